//! Parting with copies of shares that are too many or belong elsewhere: the actor around the machine of `truckee_engine::trim`.
//!
//! The healer tells it of copies. What the machine orders is done by its [`work`]: it asks all storage nodes what they hold of the
//! file, has the copy written where it belongs, asks another node whether it keeps its own and has that read whole and hashed, and
//! moves this node's copy into the trash of the store. Other nodes that are about to part with a copy ask it whether this one
//! stays. Once an hour it deletes for good what has been in the trash for long enough. It decides nothing. It is stopped by its
//! supervisor; after a panic a fresh one knows of no copy, and is told again by later looks.

use std::future::Future;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::prelude::*;
use metrics::{counter, gauge};
use truckee_engine::restart::{Class, Policy};
use truckee_engine::store::ShareId;
use truckee_engine::time::Mono;
use truckee_engine::trim::{Config, Effect, QUIET, Reason, Stays, TrimReport, Trimmer as Machine};
use truckee_wire::message::{FailureCode, Request, Response};

use crate::answers_ping;
use crate::call::MeshHandle;
use crate::clock::ClockHandle;
use crate::gate::Yielder;
use crate::inbound::Inbound;
use crate::metrics as names;
use crate::store::ShareStoreHandle;
use crate::supervise::{ChildId, ChildSpec, ExitGuard, Slot, Stop};
use crate::timer::Timer;
use crate::transfers::{Rate, Transfers};

mod work;

/// How long a stopping supervisor waits: cancelling takes a moment.
pub const STOP_WITHIN: Duration = Duration::from_secs(1);
/// How often the trash is looked through: days are what counts there.
const EMPTY_EVERY: Duration = Duration::from_secs(3600);

/// What a trimmer begins with.
#[derive(Clone)]
pub struct TrimmerStart {
    /// How patient it is.
    pub config: Config,
    /// Bytes per second of copies that are made where they belong, read and written added up.
    pub moved_bytes_per_second: NonZeroU64,
    /// Days that a copy stays in the trash.
    pub trash_days: u32,
    /// Carries its questions.
    pub mesh: MeshHandle,
    /// Carries out checks.
    pub transfers: Transfers,
    /// Holds the copies.
    pub store: ShareStoreHandle,
    /// What time it is.
    pub clock: ClockHandle,
}

/// A copy on this node that may go, and why.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct MayGo(pub ShareId, pub Reason);

/// See the module.
pub struct Trimmer {
    machine: Machine,
    start: TrimmerStart,
    moves: Rate,
    timer: Timer,
    yielder: Yielder,
    told: Option<TrimReport>,
    _guard: ExitGuard,
}

impl Trimmer {
    /// How a supervisor starts it in `slot`.
    #[must_use]
    pub fn child(start: TrimmerStart, slot: &Slot<Trimmer>) -> ChildSpec {
        let how = (Class::Permanent, Policy::USUAL);
        let earlier = AtomicBool::new(false);
        ChildSpec::new(ChildId::only("trimmer"), how, STOP_WITHIN, slot, move |guard| {
            let now = start.clock.now();
            // What an earlier life has ordered the disk may still be doing.
            let had_life = earlier.swap(true, Ordering::Relaxed);
            Trimmer {
                machine: Machine::new(start.config, if had_life { now + QUIET } else { now }),
                moves: Rate::new(start.moved_bytes_per_second),
                start: start.clone(),
                timer: Timer::default(),
                yielder: Yielder::default(),
                told: None,
                _guard: guard,
            }
        })
    }

    fn go_on(&mut self, context: &mut Context<Self>) {
        while let Some(effect) = self.machine.poll_effect() {
            self.carry_out(effect, context);
        }
        self.tell_metrics();
        let deadline = self.machine.next_deadline();
        self.timer.arm(
            context,
            self.start.clock.as_ref(),
            deadline,
            |trimmer, context| {
                trimmer.timer.fired();
                trimmer.machine.handle_timeout(trimmer.start.clock.now());
                trimmer.go_on(context);
            },
        );
    }

    fn carry_out(&mut self, effect: Effect, context: &mut Context<Self>) {
        let start = self.start.clone();
        match effect {
            Effect::Survey(share) => {
                let survey = async move { start.survey(share).await };
                self.then(context, survey, move |machine, now, holdings| {
                    machine.handle_holdings(now, share, holdings.as_ref());
                });
            }
            Effect::Copy { share, to } => {
                let rate = self.moves.clone();
                let copying = async move { start.copy(share, to, rate).await };
                self.then(context, copying, move |machine, now, done| {
                    machine.handle_copied(now, share, done);
                });
            }
            Effect::Ask { share, witness } => {
                let asking = async move { start.is_kept(share, witness).await };
                self.then(context, asking, move |machine, now, kept| {
                    machine.handle_kept(now, share, kept);
                });
            }
            Effect::Prove { share, witness } => {
                let proof = async move { start.prove(share, witness).await };
                self.then(context, proof, move |machine, now, (proven, bytes)| {
                    machine.handle_proof(now, share, proven, bytes);
                });
            }
            Effect::Drop(share, reason) => {
                let dropping = async move { start.throw_away(share, reason).await };
                self.then(context, dropping, move |machine, now, done| {
                    machine.handle_dropped(now, share, done);
                });
            }
        }
    }

    /// Tells the machine what came of some work.
    fn then<T: 'static>(
        &mut self,
        context: &mut Context<Self>,
        work: impl Future<Output = T> + 'static,
        tell: impl FnOnce(&mut Machine, Mono, T) + 'static,
    ) {
        context.spawn(work.into_actor(self).map(move |result, trimmer, context| {
            tell(&mut trimmer.machine, trimmer.start.clock.now(), result);
            trimmer.go_on(context);
        }));
    }

    fn tell_metrics(&mut self) {
        let report = self.machine.report();
        if self.told.as_ref() == Some(&report) {
            return;
        }
        gauge!(names::TRIM_COPIES, "state" => "waiting").set(report.waiting as f64);
        gauge!(names::TRIM_COPIES, "state" => "in_grace").set(report.in_grace as f64);
        gauge!(names::TRIM_COPIES, "state" => "leaving").set(report.leaving as f64);
        counter!(names::TRIM_DROPPED).absolute(report.dropped);
        counter!(names::TRIM_MOVED).absolute(report.moved);
        for why in Stays::ALL {
            let count = report.stays.get(&why).copied().unwrap_or(0);
            counter!(names::TRIM_STAYS, "cause" => why.word()).absolute(count);
        }
        self.told = Some(report);
    }
}

impl Actor for Trimmer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(EMPTY_EVERY, |trimmer, context| {
            let emptying = trimmer.start.clone().empty_trash();
            context.spawn(emptying.into_actor(trimmer));
        });
        self.go_on(context);
    }
}

impl Handler<MayGo> for Trimmer {
    type Result = ();

    fn handle(&mut self, MayGo(share, reason): MayGo, context: &mut Self::Context) {
        self.machine.handle_found(self.start.clock.now(), share, reason);
        self.go_on(context);
        self.yielder.after_message(context);
    }
}

impl Handler<Inbound> for Trimmer {
    type Result = ();

    fn handle(&mut self, inbound: Inbound, context: &mut Self::Context) {
        match inbound.request {
            Request::KeepShare(keep) => {
                let share = ShareId {
                    si: keep.si,
                    share: keep.share,
                };
                let kept = self.machine.keeps(self.start.clock.now(), share);
                inbound.responder.respond(Ok(Response::ShareKept { kept }));
            }
            _ => inbound
                .responder
                .fail(FailureCode::Unsupported, "the trimmer does not serve this"),
        }
        self.yielder.after_message(context);
    }
}

impl Handler<Stop> for Trimmer {
    type Result = ();

    fn handle(&mut self, Stop: Stop, context: &mut Self::Context) {
        self.machine.stop();
        context.stop();
    }
}

answers_ping!(Trimmer);
