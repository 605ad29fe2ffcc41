//! One repair of a file, without its key: the shell around `truckee_engine::repair`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use actix::prelude::*;
use tokio::sync::oneshot;
use truckee_engine::heal::Pace;
use truckee_engine::repair::{
    Config, Effect, Findings, Repair, RepairError, RepairFailed, RepairReport, WINDOW_BYTES,
};
use truckee_engine::time::Mono;
use truckee_engine::transfer::Token;
use truckee_grid::caps::ChkVerifier;
use truckee_grid::ids::{Hash, NodeId, SegmentIndex, ShareNumber, StorageIndex};
use truckee_grid::pipeline::{DecodeError, FetchedBlock, RebuiltSegment};
use truckee_wire::message::{Lane, Request};

use super::account::{self, Active, Kind, Subject};
use super::jobs::{self, Rebuilder};
use super::{CheckReport, Transfers, TransfersConfig, random_bytes};
use crate::answers_ping;
use crate::call::{Call, CallAnswered, CallGuard, MeshHandle, Reply};
use crate::clock::ClockHandle;
use crate::cpu::{CpuError, CpuHandle};
use crate::gate::{Yielder, tell};
use crate::supervise::{ExitGuard, Stop};
use crate::timer::Timer;

/// The rate of all repairs that have a clone of it.
#[derive(Clone, Debug)]
pub struct Rate(Arc<Mutex<Pace>>);

impl Rate {
    /// So many bytes per second, read and written added up.
    #[must_use]
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self(Arc::new(Mutex::new(Pace::new(bytes_per_second))))
    }

    fn grant(&self, now: Mono, bytes: u64) -> Mono {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .grant(now, bytes)
    }
}

/// What to repair.
#[derive(Clone, Debug)]
pub struct RepairSpec {
    /// Which file.
    pub si: StorageIndex,
    /// What its cap says of it, if somebody with the cap asks; else the nodes decide by majority.
    pub ueb_hash: Option<Hash>,
    /// Storage nodes to ask, in the order of the file's ring.
    pub candidates: Vec<NodeId>,
    /// Those of them that take new shares.
    pub takers: BTreeSet<NodeId>,
    /// Those of them that are being emptied: what they hold is made again elsewhere.
    pub draining: BTreeSet<NodeId>,
    /// Copies that a check found damaged.
    pub distrusted: BTreeSet<(NodeId, ShareNumber)>,
    /// How fast; none: as fast as it goes.
    pub rate: Option<Rate>,
}

impl Transfers {
    /// Makes missing shares of a file again and places them. How many repairs run at once is the caller's to bound; each
    /// holds [`WINDOW_BYTES`] at most. Dropping the future cancels the repair.
    ///
    /// # Errors
    /// [`RepairFailed`] says why, and what was found out and done all the same.
    pub async fn repair(&self, spec: RepairSpec) -> Result<RepairReport, Box<RepairFailed>> {
        let cancelled = || failed(RepairError::Cancelled);
        if self.0.stopping.load(Ordering::Acquire) {
            return Err(cancelled());
        }
        let upload = random_bytes().map_err(|_| {
            failed(RepairError::Fault {
                segment: SegmentIndex(0),
            })
        })?;
        // Held until the end: the actor takes its drop as the sign that nobody wants the repair any more.
        let (_wanted, unwanted) = oneshot::channel();
        let (outcome, result) = oneshot::channel();
        let subject = Subject {
            storage_index: Some(spec.si),
            size: None,
        };
        let start = RepairStart {
            config: Config {
                si: spec.si,
                ueb_hash: spec.ueb_hash,
                candidates: spec.candidates,
                takers: spec.takers,
                draining: spec.draining,
                upload: upload.into(),
                window_bytes: WINDOW_BYTES,
                distrusted: spec.distrusted,
                paced: spec.rate.is_some(),
            },
            rate: spec.rate,
            outcome,
            unwanted,
        };
        self.start_child(Kind::Repair, subject, start, RepairActor::new)
            .map_err(|_| cancelled())?;
        let lost = |_| {
            Err(failed(RepairError::Fault {
                segment: SegmentIndex(0),
            }))
        };
        result.await.unwrap_or_else(lost)
    }
}

impl Transfers {
    /// Makes again what a check has just found missing or damaged, as fast as it goes: somebody waits for it. Waits for
    /// memory of downloads. All storage nodes are asked to take shares; those that do not refuse. Dropping the future
    /// cancels the repair.
    ///
    /// # Errors
    /// As [`Transfers::repair`].
    pub async fn mend(
        &self,
        file: ChkVerifier,
        found: &CheckReport,
    ) -> Result<RepairReport, Box<RepairFailed>> {
        let gate = &self.0.download_gate;
        let room = gate.acquire(WINDOW_BYTES.min(gate.capacity_bytes())).await;
        let _room = room.map_err(|_| failed(RepairError::Cancelled))?;
        let candidates = self.candidates(&file.si);
        let corrupt = found.corrupt.iter();
        self.repair(RepairSpec {
            si: file.si,
            ueb_hash: Some(file.ueb_hash),
            takers: candidates.iter().copied().collect(),
            candidates,
            // What stands on a node that is being emptied is there; its move is the healers' work.
            draining: BTreeSet::new(),
            distrusted: corrupt.map(|corrupt| (corrupt.peer, corrupt.share)).collect(),
            rate: None,
        })
        .await
    }
}

fn failed(error: RepairError) -> Box<RepairFailed> {
    Box::new(RepairFailed {
        error,
        findings: Findings::default(),
    })
}

/// What a repair starts from.
struct RepairStart {
    config: Config,
    rate: Option<Rate>,
    outcome: oneshot::Sender<Result<RepairReport, Box<RepairFailed>>>,
    unwanted: oneshot::Receiver<()>,
}

/// See the module.
struct RepairActor {
    machine: Repair,
    mesh: MeshHandle,
    clock: ClockHandle,
    cpu: CpuHandle,
    rebuilder: Arc<Rebuilder>,
    rate: Option<Rate>,
    calls: BTreeMap<Token, CallGuard>,
    timer: Timer,
    yielder: Yielder,
    outcome: Option<oneshot::Sender<Result<RepairReport, Box<RepairFailed>>>>,
    unwanted: Option<oneshot::Receiver<()>>,
    active: Active,
    _guard: ExitGuard,
}

/// A segment came back from the CPU pool.
#[derive(Message)]
#[rtype(result = "()")]
struct Rebuilt {
    job: u64,
    result: Result<Result<RebuiltSegment, DecodeError>, CpuError>,
}

impl RepairActor {
    fn new(start: RepairStart, config: &TransfersConfig, active: Active, guard: ExitGuard) -> Self {
        Self {
            machine: Repair::new(start.config, config.clock.now()),
            mesh: config.mesh.clone(),
            clock: Arc::clone(&config.clock),
            cpu: config.cpu.clone(),
            rebuilder: Rebuilder::new(config.engines.clone()),
            rate: start.rate,
            calls: BTreeMap::new(),
            timer: Timer::default(),
            yielder: Yielder::default(),
            outcome: Some(start.outcome),
            unwanted: Some(start.unwanted),
            active,
            _guard: guard,
        }
    }

    fn carry_out(&mut self, context: &mut Context<Self>) {
        while let Some(effect) = self.machine.poll_effect() {
            self.carry_out_one(effect, context);
        }
        let progress = self.machine.progress();
        self.active.progress(progress.segments_done, progress.segments);
        self.timer.arm(
            context,
            self.clock.as_ref(),
            self.machine.next_deadline(),
            Self::on_time,
        );
    }

    fn carry_out_one(&mut self, effect: Effect, context: &mut Context<Self>) {
        match effect {
            Effect::Send {
                token,
                peer,
                request,
                lane,
                budget,
            } => {
                let reply = Reply::message(context.address().recipient(), token);
                let call = self.call(request, lane, budget);
                self.calls.insert(token, self.mesh.call(peer, call, reply));
            }
            Effect::CancelSend { token } => drop(self.calls.remove(&token)),
            Effect::Notify {
                peer,
                request,
                budget,
            } => {
                let call = self.call(request, Lane::Interactive, budget);
                self.mesh.call(peer, call, Reply::new(|_| ())).detach();
            }
            Effect::Rebuild {
                job,
                segment,
                blocks,
                wanted,
            } => self.rebuild(job, segment, blocks, wanted, context),
            Effect::NeedBudget { bytes } => self.claim(bytes, context),
            Effect::Completed(report) => self.end(Ok(*report), context),
            Effect::Failed(failed) => self.end(Err(failed), context),
        }
    }

    fn call(&self, request: Request, lane: Lane, budget: std::time::Duration) -> Call {
        Call {
            request,
            lane,
            budget,
            trace: self.active.trace().clone(),
        }
    }

    fn rebuild(
        &mut self,
        job: u64,
        segment: SegmentIndex,
        blocks: Vec<FetchedBlock>,
        wanted: Vec<ShareNumber>,
        context: &mut Context<Self>,
    ) {
        let Some(facts) = self.machine.file().cloned() else {
            return;
        };
        let rebuilder = Arc::clone(&self.rebuilder);
        let span = tracing::debug_span!(parent: self.active.trace().span(), "rebuild", %segment);
        let back = context.address();
        self.cpu.run_then(
            jobs::REBUILD,
            move || span.in_scope(|| rebuilder.rebuild(&facts, segment, blocks, &wanted)),
            move |result| {
                if tell(&back, Rebuilt { job, result }).is_err() {
                    tracing::debug!("a repair ended before its segment was rebuilt");
                }
            },
        );
    }

    /// Waits for its turn to move so many bytes.
    fn claim(&mut self, bytes: u64, context: &mut Context<Self>) {
        let now = self.clock.now();
        let at = self.rate.as_ref().map_or(now, |rate| rate.grant(now, bytes));
        context.run_later(at.saturating_sub(now), move |repair, context| {
            repair.machine.handle_budget(repair.clock.now(), bytes);
            repair.carry_out(context);
        });
    }

    fn on_time(&mut self, context: &mut Context<Self>) {
        self.timer.fired();
        self.machine.handle_timeout(self.clock.now());
        self.carry_out(context);
    }

    fn end(&mut self, result: Result<RepairReport, Box<RepairFailed>>, context: &mut Context<Self>) {
        account::repair_ended(&mut self.active, &result);
        let span = self.active.trace().span();
        let findings = match &result {
            Ok(report) => {
                tracing::debug!(parent: span, outcome = report.outcome.name(), "repair ended");
                &report.findings
            }
            Err(failed) => {
                tracing::info!(parent: span, cause = failed.error.name(), "repair failed: {}", failed.error);
                &failed.findings
            }
        };
        for found in &findings.damage {
            tracing::warn!(parent: span, peer = %found.peer, share = found.share.0, what = ?found.what, "a repair found a damaged share");
        }
        for conflict in &findings.conflicts {
            tracing::warn!(parent: span, peer = %conflict.peer, shares = conflict.shares.len(), "a node holds shares of another file under the same name");
        }
        if let Some(outcome) = self.outcome.take() {
            // A caller that has gone meanwhile does not want to know.
            drop(outcome.send(result));
        }
        context.stop();
    }
}

impl Actor for RepairActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some(unwanted) = self.unwanted.take() {
            context.spawn(unwanted.into_actor(self).map(|_, repair, context| {
                repair.machine.handle_cancel(repair.clock.now());
                repair.carry_out(context);
            }));
        }
        self.carry_out(context);
    }
}

impl Handler<CallAnswered<Token>> for RepairActor {
    type Result = ();

    fn handle(&mut self, answer: CallAnswered<Token>, context: &mut Self::Context) {
        self.calls.remove(&answer.token);
        self.machine
            .handle_answer(self.clock.now(), answer.token, answer.result);
        self.carry_out(context);
        self.yielder.after_message(context);
    }
}

impl Handler<Rebuilt> for RepairActor {
    type Result = ();

    fn handle(&mut self, Rebuilt { job, result }: Rebuilt, context: &mut Self::Context) {
        let span = self.active.trace().span();
        let rebuilt = result
            .inspect_err(|error| tracing::error!(parent: span, %error, "a segment could not be rebuilt"));
        self.machine.handle_rebuilt(self.clock.now(), job, rebuilt.ok());
        self.carry_out(context);
    }
}

impl Handler<Stop> for RepairActor {
    type Result = ();

    fn handle(&mut self, Stop: Stop, context: &mut Self::Context) {
        self.machine.handle_cancel(self.clock.now());
        self.carry_out(context);
    }
}

answers_ping!(RepairActor);
