//! The healer of a storage node: the actor around the machine of `truckee_engine::heal`.
//!
//! It tells the machine who is a member and who can be reached, passes its questions to the mesh and the answers back, and
//! has [`Transfers`] carry out the repairs that it orders, all at one rate. It decides nothing. It is stopped by its
//! supervisor; repairs under way are cancelled with it, and what they have open is forgotten by the nodes that hold it.
//! After a panic a fresh one learns everything anew from the other nodes, which alone have state.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use metrics::{counter, gauge};
use tokio::sync::watch;
use truckee_engine::heal::{Config, Effect, HealReport, Healer as Machine, RepairOrder, Repaired};
use truckee_engine::repair::{RepairFailed, RepairOutcome, RepairReport};
use truckee_engine::restart::{Class, Policy};
use truckee_engine::transfer::Token;
use truckee_grid::placement::{Candidate, ring_order};
use truckee_wire::message::Role;

use crate::answers_ping;
use crate::call::{Call, CallAnswered, CallGuard, LinkState, MeshHandle, Reply};
use crate::clock::ClockHandle;
use crate::gate::Yielder;
use crate::metrics as names;
use crate::supervise::{ChildId, ChildSpec, ExitGuard, Slot, Stop};
use crate::timer::Timer;
use crate::trace::Trace;
use crate::transfers::{Rate, RepairSpec, Transfers};
use crate::trim::{MayGo, Trimmer};

/// How often it is looked who can be reached: a link that is lost is seen within seconds, and nothing hurries.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a stopping supervisor waits: cancelling takes a moment.
pub const STOP_WITHIN: Duration = Duration::from_secs(1);

/// What a healer begins with.
#[derive(Clone)]
pub struct HealerStart {
    /// How patient it is.
    pub config: Config,
    /// This node's zone.
    pub zone: String,
    /// Bytes per second of all its repairs, read and written added up.
    pub bytes_per_second: NonZeroU64,
    /// Carries its questions.
    pub mesh: MeshHandle,
    /// Carries out repairs.
    pub transfers: Transfers,
    /// Parts with copies that are too many or belong elsewhere.
    pub trimmer: Slot<Trimmer>,
    /// What time it is.
    pub clock: ClockHandle,
}

/// The healer as the rest of the node sees it.
#[derive(Clone)]
pub struct HealerHandle {
    slot: Slot<Healer>,
    report: watch::Receiver<HealReport>,
}

impl HealerHandle {
    /// What it told last; of a healer that has just begun, nothing.
    pub fn report(&self) -> HealReport {
        *self.report.borrow()
    }

    /// Has it compare what nodes hold now, and not at the next round. Nothing is lost if it does not run just now.
    pub fn look(&self) {
        if self.slot.tell(Look).is_err() {
            tracing::debug!("the healer does not run now; its next life looks anyway");
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Look;

/// See the module.
pub struct Healer {
    machine: Machine,
    start: HealerStart,
    rate: Rate,
    calls: BTreeMap<Token, CallGuard>,
    timer: Timer,
    yielder: Yielder,
    told: Option<HealReport>,
    tell: Arc<watch::Sender<HealReport>>,
    _guard: ExitGuard,
}

impl Healer {
    /// How a supervisor starts it, and where it will be.
    #[must_use]
    pub fn child(start: HealerStart) -> (ChildSpec, HealerHandle) {
        let how = (Class::Permanent, Policy::USUAL);
        let slot = Slot::new();
        let (tell, report) = watch::channel(HealReport::default());
        let tell = Arc::new(tell);
        let handle = HealerHandle {
            slot: slot.clone(),
            report,
        };
        let child = ChildSpec::new(ChildId::only("healer"), how, STOP_WITHIN, &slot, move |guard| {
            // What an earlier life had found out is not known any more.
            tell.send_replace(HealReport::default());
            Healer {
                machine: Machine::new(start.config, start.clock.now()),
                rate: Rate::new(start.bytes_per_second),
                start: start.clone(),
                calls: BTreeMap::new(),
                timer: Timer::default(),
                yielder: Yielder::default(),
                told: None,
                tell: Arc::clone(&tell),
                _guard: guard,
            }
        });
        (child, handle)
    }

    /// Tells the machine who is there.
    fn look(&mut self) {
        let own = self.start.config.own;
        let member = |id, zone: &str| Candidate {
            id,
            zone: zone.to_owned(),
        };
        let mut members = vec![(member(own, &self.start.zone), true)];
        let peers = self.start.mesh.peers();
        let storage = peers
            .iter()
            .filter(|peer| peer.roles.contains(Role::Storage) && peer.node_id != own);
        members.extend(storage.map(|peer| {
            // A link that nobody asked for yet is made when a question is.
            let reachable = !matches!(peer.state, LinkState::Backoff | LinkState::Draining);
            (member(peer.node_id, &peer.zone), reachable)
        }));
        self.machine.handle_members(self.start.clock.now(), &members);
    }

    fn carry_out(&mut self, context: &mut Context<Self>) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::Send {
                    token,
                    peer,
                    request,
                    lane,
                    budget,
                } => {
                    let reply = Reply::message(context.address().recipient(), token);
                    let call = Call {
                        request,
                        lane,
                        budget,
                        trace: Trace::none(),
                    };
                    self.calls.insert(token, self.start.mesh.call(peer, call, reply));
                }
                Effect::CancelSend { token } => drop(self.calls.remove(&token)),
                Effect::Repair(order) => self.repair(order, context),
                Effect::MayGo(share, reason) => {
                    if self.start.trimmer.tell(MayGo(share, reason)).is_err() {
                        tracing::debug!("a copy that may go is told of again by a later look");
                    }
                }
            }
        }
        self.tell_metrics();
        self.timer.arm(
            context,
            self.start.clock.as_ref(),
            self.machine.next_deadline(),
            |healer, context| {
                healer.timer.fired();
                healer.machine.handle_timeout(healer.start.clock.now());
                healer.carry_out(context);
            },
        );
    }

    fn repair(&mut self, order: RepairOrder, context: &mut Context<Self>) {
        let RepairOrder {
            si,
            candidates,
            takers,
            draining,
        } = order;
        let spec = RepairSpec {
            si,
            ueb_hash: None,
            candidates: ring_order(&si, &candidates),
            takers,
            draining,
            distrusted: BTreeSet::new(),
            rate: Some(self.rate.clone()),
        };
        let transfers = self.start.transfers.clone();
        let repair = async move { transfers.repair(spec).await };
        context.spawn(repair.into_actor(self).map(move |result, healer, context| {
            let now = healer.start.clock.now();
            healer.machine.handle_repaired(now, si, repaired(&result));
            healer.carry_out(context);
        }));
    }

    fn tell_metrics(&mut self) {
        let report = self.machine.report();
        if self.told == Some(report) {
            return;
        }
        self.told = Some(report);
        self.tell.send_replace(report);
        for (state, count) in [
            ("short", report.short_files),
            ("leaving", report.leaving_files),
            ("presumed", report.presumed_files),
            ("unreadable", report.unreadable_files),
            ("contradicted", report.contradicted_files),
        ] {
            gauge!(names::HEAL_FILES, "state" => state).set(count as f64);
        }
        let evacuation = report.evacuation.unwrap_or_default();
        for (state, count) in [
            ("moved", evacuation.moved_files),
            ("waiting", evacuation.waiting_files),
            ("stuck", evacuation.stuck_files),
        ] {
            gauge!(names::DRAIN_FILES, "state" => state).set(count as f64);
        }
        let margin = report.margin_least.map_or(f64::NAN, |margin| margin as f64);
        gauge!(names::HEAL_MARGIN).set(margin);
        gauge!(names::HEAL_SURPLUS).set(report.surplus_shares as f64);
        gauge!(names::HEAL_NODES_AWAY).set(report.nodes_in_grace as f64);
        gauge!(names::HEAL_BUCKETS_LEFT).set(report.buckets_to_list as f64);
        counter!(names::HEAL_ROUNDS).absolute(report.rounds);
        counter!(names::HEAL_BUCKETS).absolute(report.buckets_listed);
        counter!(names::HEAL_SHARES).absolute(report.shares_listed);
        counter!(names::HEAL_LISTS_FAILED).absolute(report.lists_failed);
    }
}

fn repaired(result: &Result<RepairReport, Box<RepairFailed>>) -> Repaired {
    match result {
        Ok(report) if report.outcome != RepairOutcome::Partial => Repaired::Whole,
        _ => Repaired::NotWhole,
    }
}

impl Actor for Healer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.look();
        context.run_interval(LOOK_EVERY, |healer, context| {
            healer.look();
            healer.carry_out(context);
        });
        self.carry_out(context);
    }
}

impl Handler<CallAnswered<Token>> for Healer {
    type Result = ();

    fn handle(&mut self, answer: CallAnswered<Token>, context: &mut Self::Context) {
        self.calls.remove(&answer.token);
        self.machine
            .handle_answer(self.start.clock.now(), answer.token, answer.result);
        self.carry_out(context);
        self.yielder.after_message(context);
    }
}

impl Handler<Look> for Healer {
    type Result = ();

    fn handle(&mut self, Look: Look, context: &mut Self::Context) {
        self.machine.handle_look(self.start.clock.now());
        self.carry_out(context);
    }
}

impl Handler<Stop> for Healer {
    type Result = ();

    fn handle(&mut self, Stop: Stop, context: &mut Self::Context) {
        self.machine.stop();
        self.carry_out(context);
        context.stop();
    }
}

answers_ping!(Healer);
