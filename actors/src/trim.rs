//! Parting with copies of shares that are too many: the actor around the machine of `truckee_engine::trim`.
//!
//! The healer tells it of copies. It asks all storage nodes what they hold of the file, has another node's copy read whole and
//! hashed, and moves this node's copy into the trash of the store, each when the machine says so. Once an hour it deletes for
//! good what has been in the trash for long enough. It decides nothing. It is stopped by its supervisor; after a panic a fresh
//! one knows of no copy, and is told again by later looks.

use std::collections::BTreeSet;
use std::time::Duration;

use actix::prelude::*;
use metrics::{counter, gauge};
use truckee_engine::restart::{Class, Policy};
use truckee_engine::store::{DiskFault, EMPTY_MAX, ShareId, TrashCause, TrashMark};
use truckee_engine::time::Day;
use truckee_engine::trim::{Config, Effect, Holdings, Stays, TrimReport, Trimmer as Machine};
use truckee_grid::bucket::Bucket;
use truckee_grid::caps::ChkVerifier;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{FindShares, Lane, Request, Response, Role};

use crate::answers_ping;
use crate::call::{Call, MeshHandle};
use crate::clock::ClockHandle;
use crate::gate::Yielder;
use crate::metrics as names;
use crate::store::ShareStoreHandle;
use crate::supervise::{ChildId, ChildSpec, ExitGuard, Slot, Stop};
use crate::timer::Timer;
use crate::trace::Trace;
use crate::transfers::Transfers;

/// How long a stopping supervisor waits: cancelling takes a moment.
pub const STOP_WITHIN: Duration = Duration::from_secs(1);
/// Time for a node to say whether it is being emptied, or what it holds of a file.
const ASK_BUDGET: Duration = Duration::from_secs(10);
/// How often the trash is looked through: days are what counts there.
const EMPTY_EVERY: Duration = Duration::from_secs(3600);

/// What a trimmer begins with.
#[derive(Clone)]
pub struct TrimmerStart {
    /// How patient it is.
    pub config: Config,
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

/// A copy on this node that may be too many.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Surplus(pub ShareId);

/// See the module.
pub struct Trimmer {
    machine: Machine,
    start: TrimmerStart,
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
        ChildSpec::new(ChildId::only("trimmer"), how, STOP_WITHIN, slot, move |guard| {
            Trimmer {
                machine: Machine::new(start.config),
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
            let start = self.start.clone();
            match effect {
                Effect::Survey(share) => {
                    let survey = async move { start.survey(share).await };
                    context.spawn(survey.into_actor(self).map(move |holdings, trimmer, context| {
                        let now = trimmer.start.clock.now();
                        trimmer.machine.handle_holdings(now, share, holdings.as_ref());
                        trimmer.go_on(context);
                    }));
                }
                Effect::Prove { share, witness } => {
                    let proof = async move { start.prove(share, witness).await };
                    context.spawn(
                        proof
                            .into_actor(self)
                            .map(move |(proven, bytes), trimmer, context| {
                                let now = trimmer.start.clock.now();
                                trimmer.machine.handle_proof(now, share, proven, bytes);
                                trimmer.go_on(context);
                            }),
                    );
                }
                Effect::Drop(share) => {
                    let dropping = async move { start.throw_away(share).await };
                    context.spawn(dropping.into_actor(self).map(move |done, trimmer, context| {
                        let now = trimmer.start.clock.now();
                        trimmer.machine.handle_dropped(now, share, done);
                        trimmer.go_on(context);
                    }));
                }
            }
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

    fn tell_metrics(&mut self) {
        let report = self.machine.report();
        if self.told.as_ref() == Some(&report) {
            return;
        }
        gauge!(names::TRIM_COPIES, "state" => "waiting").set(report.waiting as f64);
        gauge!(names::TRIM_COPIES, "state" => "in_grace").set(report.in_grace as f64);
        counter!(names::TRIM_DROPPED).absolute(report.dropped);
        for why in Stays::ALL {
            let count = report.stays.get(&why).copied().unwrap_or(0);
            counter!(names::TRIM_STAYS, "cause" => why.word()).absolute(count);
        }
        self.told = Some(report);
    }
}

impl TrimmerStart {
    async fn ask(&self, node: NodeId, request: Request) -> Option<Response> {
        let call = Call {
            request,
            lane: Lane::Bulk,
            budget: ASK_BUDGET,
            trace: Trace::none(),
        };
        self.mesh.ask(node, call).await.ok()
    }

    /// Which file the copy is of, as this node's own disk says.
    async fn file_of(&self, share: ShareId) -> Option<ChkVerifier> {
        let find = FindShares {
            si: share.si,
            inline_bytes_max: 0,
        };
        let Some(Response::FoundShares(found)) = self.ask(self.config.own, Request::FindShares(find)).await
        else {
            return None;
        };
        let file = found.file.filter(|_| found.shares.contains(&share.share))?;
        Some(ChkVerifier {
            si: share.si,
            ueb_hash: file.ueb.hash(),
            coding: file.ueb.coding(),
            size: file.ueb.file_bytes(),
        })
    }

    /// What all storage nodes that answer hold of the file of a copy.
    async fn survey(&self, share: ShareId) -> Option<Holdings> {
        let file = self.file_of(share).await?;
        let mut nodes = vec![self.config.own];
        let peers = self.mesh.peers().into_iter();
        nodes.extend(
            peers
                .filter(|peer| peer.roles.contains(Role::Storage) && peer.node_id != self.config.own)
                .map(|peer| peer.node_id),
        );
        let (mut answering, mut draining) = (Vec::new(), BTreeSet::new());
        for node in nodes {
            if let Some(Response::Inventory(said)) = self.ask(node, Request::GetInventory).await {
                answering.push(node);
                if said.draining {
                    draining.insert(node);
                }
            }
        }
        let report = self.transfers.check_at(file, answering, false).await.ok()?;
        let held = report.sharemap.iter();
        Some(Holdings {
            coding: file.coding,
            held: held
                .flat_map(|(share, nodes)| nodes.iter().map(|node| (*node, *share)))
                .collect(),
            draining,
        })
    }

    /// Whether a node has all blocks of the share, and the bytes read to find out.
    async fn prove(&self, share: ShareId, witness: NodeId) -> (bool, u64) {
        let Some(file) = self.file_of(share).await else {
            return (false, 0);
        };
        match self.transfers.check_at(file, vec![witness], true).await {
            Ok(report) => {
                let holders = report.sharemap.get(&share.share);
                let proven = holders.is_some_and(|nodes| nodes.contains(&witness));
                (proven, report.received_bytes)
            }
            Err(error) => {
                tracing::debug!(%error, "a copy was not proven");
                (false, 0)
            }
        }
    }

    async fn throw_away(&self, share: ShareId) -> bool {
        let mark = TrashMark {
            day: Day::of(self.clock.unix()),
            cause: TrashCause::Surplus,
        };
        match self.store.trash(share, mark).await {
            Ok(moved) => {
                tracing::info!(si = %share.si, share = share.share.0, bytes = moved.bytes, "a copy that is too many went into the trash");
                true
            }
            Err(fault) => {
                tracing::debug!(si = %share.si, share = share.share.0, ?fault, "a copy that is too many stays for now");
                false
            }
        }
    }

    /// Deletes for good what has been in the trash for long enough.
    async fn empty_trash(self) {
        let today = Day::of(self.clock.unix()).number();
        let Some(before) = today.checked_sub(self.trash_days) else {
            return;
        };
        let before = Day::from_number(before);
        for bucket in Bucket::all() {
            loop {
                match self.store.empty_trash(bucket, TrashCause::Surplus, before).await {
                    Ok(gone) if gone.shares >= EMPTY_MAX => {}
                    Ok(_) => break,
                    // What comes first, comes first; the next hour goes on.
                    Err(DiskFault::Overloaded) => return,
                    Err(fault) => {
                        tracing::warn!(?fault, "the trash cannot be emptied; the next hour tries again");
                        return;
                    }
                }
            }
        }
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

impl Handler<Surplus> for Trimmer {
    type Result = ();

    fn handle(&mut self, Surplus(share): Surplus, context: &mut Self::Context) {
        self.machine.handle_surplus(self.start.clock.now(), share);
        self.go_on(context);
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
