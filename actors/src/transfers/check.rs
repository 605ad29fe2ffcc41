//! One check of a file: the shell around `truckee_engine::check`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::prelude::*;
use tokio::sync::oneshot;
use truckee_engine::check::{self, Batch, Check, Config, Effect, WINDOW_BYTES};
use truckee_engine::transfer::Token;
use truckee_grid::caps::ChkVerifier;
use truckee_grid::ids::NodeId;
use truckee_grid::params::SEGMENT_BYTES_MAX;
use truckee_grid::pipeline::{BadBlockReason, check_blocks};

use super::account::{self, Active, Kind};
use super::{CheckReport, Transfers, TransfersConfig, jobs};
use crate::answers_ping;
use crate::call::{Call, CallAnswered, CallGuard, MeshHandle, Reply};
use crate::clock::ClockHandle;
use crate::cpu::{CpuError, CpuHandle};
use crate::gate::{BytePermit, CountPermit, GateError, Yielder, tell};
use crate::supervise::{ExitGuard, Stop};
use crate::timer::Timer;

/// Checks that a node has under way; more wait. Each asks every storage node, so this is also how many questions of
/// checks wait at each node.
pub(super) const CHECKS_MAX: usize = 16;

/// Why there is no report about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The cap names a file by its hash and says something else of it than the file itself.
    #[error(
        "the cap says another size or coding than the file that it names: it was changed or copied wrongly"
    )]
    CapContradicts,
    /// The caller has gone.
    #[error("the check was cancelled")]
    Cancelled,
    /// The node stops.
    #[error("the node is stopping")]
    Stopping,
    /// This node's code failed.
    #[error("the check failed internally, see the log")]
    Internal,
}

impl CheckError {
    /// A short name from a closed set, for metrics and programs.
    pub fn cause(&self) -> &'static str {
        match self {
            CheckError::CapContradicts => "cap_contradicts",
            CheckError::Cancelled => "cancelled",
            CheckError::Stopping => "stopping",
            CheckError::Internal => "internal",
        }
    }
}

impl From<check::CheckError> for CheckError {
    fn from(error: check::CheckError) -> CheckError {
        match error {
            check::CheckError::CapContradicts => CheckError::CapContradicts,
            check::CheckError::Cancelled => CheckError::Cancelled,
            check::CheckError::Fault { .. } => CheckError::Internal,
        }
    }
}

impl From<GateError> for CheckError {
    fn from(error: GateError) -> CheckError {
        match error {
            GateError::Closed { .. } => CheckError::Stopping,
            GateError::Full { .. } | GateError::TooLarge { .. } => CheckError::Internal,
        }
    }
}

impl Transfers {
    /// Asks every storage node what it holds of a file; with `verify`, reads and hashes every block of every share.
    /// Waits while too many checks are under way. Dropping the future cancels the check.
    ///
    /// # Errors
    /// [`CheckError`] when there is no report. A file that is in bad health is no error.
    pub async fn check(&self, file: ChkVerifier, verify: bool) -> Result<CheckReport, CheckError> {
        self.check_at(file, self.candidates(&file.si), verify).await
    }

    /// The same at some storage nodes alone.
    ///
    /// # Errors
    /// As [`Transfers::check`].
    pub async fn check_at(
        &self,
        file: ChkVerifier,
        candidates: Vec<NodeId>,
        verify: bool,
    ) -> Result<CheckReport, CheckError> {
        if self.0.stopping.load(Ordering::Acquire) {
            return Err(CheckError::Stopping);
        }
        let place = self.0.check_gate.acquire().await?;
        let room = if verify {
            // At least one block, however long, is read.
            let block = file.size.min(u64::from(SEGMENT_BYTES_MAX)) / file.coding.k() as u64;
            let wanted = WINDOW_BYTES.max(block as usize);
            let gate = &self.0.download_gate;
            Some(gate.acquire(wanted.min(gate.capacity_bytes())).await?)
        } else {
            None
        };
        // Held until the end: the actor takes its drop as the sign that nobody wants the report any more.
        let (_wanted, unwanted) = oneshot::channel();
        let (outcome, result) = oneshot::channel();
        let start = CheckStart {
            config: Config {
                file,
                candidates,
                verify,
            },
            outcome,
            unwanted,
            place,
            room,
        };
        let subject = account::Subject {
            storage_index: Some(file.si),
            size: Some(file.size),
        };
        self.start_child(Kind::Check, subject, start, CheckActor::new)
            .map_err(|_| CheckError::Stopping)?;
        result.await.unwrap_or(Err(CheckError::Internal))
    }
}

/// What a check starts from.
struct CheckStart {
    config: Config,
    outcome: oneshot::Sender<Result<CheckReport, CheckError>>,
    unwanted: oneshot::Receiver<()>,
    place: CountPermit,
    room: Option<BytePermit>,
}

/// See the module.
struct CheckActor {
    machine: Check,
    mesh: MeshHandle,
    clock: ClockHandle,
    cpu: CpuHandle,
    calls: BTreeMap<Token, CallGuard>,
    timer: Timer,
    yielder: Yielder,
    outcome: Option<oneshot::Sender<Result<CheckReport, CheckError>>>,
    unwanted: Option<oneshot::Receiver<()>>,
    stopping: bool,
    active: Active,
    _place: CountPermit,
    _room: Option<BytePermit>,
    _guard: ExitGuard,
}

/// Blocks came back from the CPU pool.
#[derive(Message)]
#[rtype(result = "()")]
struct Verified {
    batch: u64,
    result: Result<Vec<Result<(), BadBlockReason>>, CpuError>,
}

impl CheckActor {
    fn new(start: CheckStart, config: &TransfersConfig, active: Active, guard: ExitGuard) -> Self {
        Self {
            machine: Check::new(start.config, config.clock.now()),
            mesh: config.mesh.clone(),
            clock: Arc::clone(&config.clock),
            cpu: config.cpu.clone(),
            calls: BTreeMap::new(),
            timer: Timer::default(),
            yielder: Yielder::default(),
            outcome: Some(start.outcome),
            unwanted: Some(start.unwanted),
            stopping: false,
            active,
            _place: start.place,
            _room: start.room,
            _guard: guard,
        }
    }

    fn carry_out(&mut self, context: &mut Context<Self>) {
        while let Some(effect) = self.machine.poll_effect() {
            self.carry_out_one(effect, context);
        }
        let progress = self.machine.progress();
        let (done, of) = (
            progress.asked as u64 + progress.blocks,
            progress.nodes as u64 + progress.blocks_wanted,
        );
        self.active.progress(done, of);
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
                let call = Call {
                    request,
                    lane,
                    budget,
                    trace: self.active.trace().clone(),
                };
                self.calls.insert(token, self.mesh.call(peer, call, reply));
            }
            Effect::CancelSend { token } => drop(self.calls.remove(&token)),
            Effect::Verify(batch) => self.verify(batch, context),
            Effect::Completed(report) => self.end(Ok(*report), context),
            Effect::Failed(_) if self.stopping => self.end(Err(CheckError::Stopping), context),
            Effect::Failed(error) => self.end(Err(error.into()), context),
        }
    }

    fn verify(&mut self, Batch { id, blocks }: Batch, context: &mut Context<Self>) {
        let Some(facts) = self.machine.file().cloned() else {
            return;
        };
        let back = context.address();
        let span = tracing::debug_span!(parent: self.active.trace().span(), "verify", blocks = blocks.len());
        self.cpu.run_then(
            jobs::VERIFY,
            move || span.in_scope(|| check_blocks(&facts, &blocks)),
            move |result| {
                if tell(&back, Verified { batch: id, result }).is_err() {
                    tracing::debug!("a check ended before its blocks were hashed");
                }
            },
        );
    }

    fn on_time(&mut self, context: &mut Context<Self>) {
        self.timer.fired();
        self.machine.handle_timeout(self.clock.now());
        self.carry_out(context);
    }

    fn end(&mut self, result: Result<CheckReport, CheckError>, context: &mut Context<Self>) {
        account::check_ended(&mut self.active, &result);
        if let Ok(report) = &result {
            for found in &report.corrupt {
                tracing::warn!(parent: self.active.trace().span(), peer = %found.peer, share = found.share.0, what = ?found.what, "a check found a damaged share");
            }
        }
        if let Some(outcome) = self.outcome.take() {
            // A caller that has gone meanwhile does not want to know.
            drop(outcome.send(result));
        }
        context.stop();
    }
}

impl Actor for CheckActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some(unwanted) = self.unwanted.take() {
            context.spawn(unwanted.into_actor(self).map(|_, check, context| {
                check.machine.handle_cancel();
                check.carry_out(context);
            }));
        }
        self.carry_out(context);
    }
}

impl Handler<CallAnswered<Token>> for CheckActor {
    type Result = ();

    fn handle(&mut self, answer: CallAnswered<Token>, context: &mut Self::Context) {
        self.calls.remove(&answer.token);
        self.machine
            .handle_answer(self.clock.now(), answer.token, answer.result);
        self.carry_out(context);
        self.yielder.after_message(context);
    }
}

impl Handler<Verified> for CheckActor {
    type Result = ();

    fn handle(&mut self, Verified { batch, result }: Verified, context: &mut Self::Context) {
        let verdicts = result.inspect_err(
            |error| tracing::error!(parent: self.active.trace().span(), %error, "blocks could not be hashed"),
        );
        self.machine
            .handle_verified(self.clock.now(), batch, verdicts.ok());
        self.carry_out(context);
    }
}

impl Handler<Stop> for CheckActor {
    type Result = ();

    fn handle(&mut self, Stop: Stop, context: &mut Self::Context) {
        self.stopping = true;
        self.machine.handle_cancel();
        self.carry_out(context);
    }
}

answers_ping!(CheckActor);
