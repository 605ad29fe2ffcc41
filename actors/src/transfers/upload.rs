//! One upload: the shell around `truckee_engine::upload`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::BytesMut;
use metrics::counter;
use tokio::sync::{mpsc, oneshot};
use truckee_engine::transfer::Token;
use truckee_engine::upload::{Config, Effect, Upload, UploadDone, WINDOW_BYTES};
use truckee_grid::caps::ChkCap;
use truckee_grid::ids::{NodeId, SegmentIndex, UploadId};
use truckee_grid::keys::ReadKey;
use truckee_grid::pipeline::{EncodeError, EncodedSegment};
use truckee_wire::message::{Lane, Request};

use super::account::{self, Active};
use super::jobs::{self, Encoder};
use super::{
    BodyError, KeyChoice, SegmentIn, TransfersConfig, UploadError, UploadOutcome, UploadSpec, segment_cost,
};
use crate::answers_ping;
use crate::call::{Call, CallAnswered, CallGuard, MeshHandle, Reply};
use crate::clock::ClockHandle;
use crate::cpu::{CpuError, Ordered};
use crate::gate::{BytePermit, Yielder, tell};
use crate::metrics as names;
use crate::supervise::{ExitGuard, Stop};
use crate::timer::Timer;

type Body = mpsc::Receiver<Result<SegmentIn, BodyError>>;

/// What an upload starts from.
pub(super) struct UploadStart {
    pub(super) spec: UploadSpec,
    pub(super) key: ReadKey,
    pub(super) upload: UploadId,
    pub(super) candidates: Vec<NodeId>,
    pub(super) body: Body,
    pub(super) outcome: oneshot::Sender<Result<UploadOutcome, UploadError>>,
    /// Ends when the caller has dropped its future.
    pub(super) unwanted: oneshot::Receiver<()>,
}

/// See the module.
pub(super) struct UploadActor {
    machine: Upload,
    spec: UploadSpec,
    key: ReadKey,
    mesh: MeshHandle,
    clock: ClockHandle,
    cpu: Ordered,
    encoder: Arc<Encoder>,
    /// `None` while a segment is awaited.
    body: Option<Body>,
    /// Room held by the segments in the window.
    permits: BTreeMap<SegmentIndex, BytePermit>,
    /// Room of the segment that the machine is about to take.
    arrived: Option<BytePermit>,
    calls: BTreeMap<Token, CallGuard>,
    timer: Timer,
    yielder: Yielder,
    outcome: Option<oneshot::Sender<Result<UploadOutcome, UploadError>>>,
    unwanted: Option<oneshot::Receiver<()>>,
    stopping: bool,
    active: Active,
    _guard: ExitGuard,
}

/// A segment came back from the CPU pool.
#[derive(Message)]
#[rtype(result = "()")]
struct Encoded {
    segment: SegmentIndex,
    result: Result<Result<EncodedSegment, EncodeError>, CpuError>,
}

impl UploadActor {
    pub(super) fn new(
        start: UploadStart,
        config: &TransfersConfig,
        active: Active,
        guard: ExitGuard,
    ) -> Self {
        let UploadStart {
            spec,
            key,
            upload,
            candidates,
            body,
            outcome,
            unwanted,
        } = start;
        let machine = Upload::new(
            Config {
                si: key.storage_index(),
                upload,
                encoding: spec.encoding,
                candidates,
                find_existing: matches!(spec.key, KeyChoice::Convergent(_)),
                size_hint: spec.size_hint,
                window_bytes: WINDOW_BYTES,
            },
            config.clock.now(),
        );
        Self {
            machine,
            mesh: config.mesh.clone(),
            clock: Arc::clone(&config.clock),
            cpu: Ordered::new(config.cpu.clone()),
            encoder: Encoder::new(spec.encoding, key.clone(), config.engines.clone()),
            spec,
            key,
            body: Some(body),
            permits: BTreeMap::new(),
            arrived: None,
            calls: BTreeMap::new(),
            timer: Timer::default(),
            yielder: Yielder::default(),
            outcome: Some(outcome),
            unwanted: Some(unwanted),
            stopping: false,
            active,
            _guard: guard,
        }
    }

    /// Carries out what the machine wants, and sets the timer.
    fn carry_out(&mut self, context: &mut Context<Self>) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::PullSegment => self.pull(context),
                Effect::Encode {
                    segment,
                    plaintext,
                    last,
                } => self.encode(segment, plaintext, last, context),
                Effect::Send {
                    token,
                    peer,
                    request,
                    lane,
                    budget,
                } => {
                    count_sent(&request);
                    let reply = Reply::message(context.address().recipient(), token);
                    let guard = self.call(peer, request, lane, budget, reply);
                    self.calls.insert(token, guard);
                }
                Effect::CancelSend { token } => drop(self.calls.remove(&token)),
                Effect::Notify {
                    peer,
                    request,
                    budget,
                } => {
                    self.call(peer, request, Lane::Interactive, budget, Reply::new(|_| ()))
                        .detach();
                }
                Effect::Release { segment } => drop(self.permits.remove(&segment)),
                Effect::Completed(done) => {
                    let outcome = self.outcome_of(*done);
                    self.end(Ok(outcome), context);
                }
                Effect::Failed(error) => {
                    let error = if self.stopping {
                        UploadError::Stopping
                    } else {
                        error.into()
                    };
                    self.end(Err(error), context);
                }
            }
        }
        self.timer.arm(
            context,
            self.clock.as_ref(),
            self.machine.next_deadline(),
            Self::on_time,
        );
    }

    fn call(&self, peer: NodeId, request: Request, lane: Lane, budget: Duration, reply: Reply) -> CallGuard {
        let call = Call {
            request,
            lane,
            budget,
            trace: self.active.trace().clone(),
        };
        self.mesh.call(peer, call, reply)
    }

    fn encode(
        &mut self,
        segment: SegmentIndex,
        plaintext: BytesMut,
        last: bool,
        context: &mut Context<Self>,
    ) {
        if let Some(permit) = self.arrived.take() {
            self.permits.insert(segment, permit);
        }
        let encoder = Arc::clone(&self.encoder);
        let span = tracing::debug_span!(parent: self.active.trace().span(), "encode", %segment);
        let back = context.address();
        self.cpu.run_then(
            jobs::ENCODE,
            move || span.in_scope(|| encoder.encode(segment, plaintext, last)),
            move |result| {
                if tell(&back, Encoded { segment, result }).is_err() {
                    tracing::debug!("an upload ended before its segment was encoded");
                }
            },
        );
    }

    fn on_time(&mut self, context: &mut Context<Self>) {
        self.timer.fired();
        self.machine.handle_timeout(self.clock.now());
        self.carry_out(context);
    }

    fn pull(&mut self, context: &mut Context<Self>) {
        let Some(mut body) = self.body.take() else { return };
        let next = async move {
            let segment = body.recv().await;
            (body, segment)
        };
        context.spawn(next.into_actor(self).map(|(body, segment), upload, context| {
            upload.body = Some(body);
            upload.on_body(segment);
            upload.carry_out(context);
        }));
    }

    fn on_body(&mut self, segment: Option<Result<SegmentIn, BodyError>>) {
        match segment {
            Some(Ok(SegmentIn {
                plaintext,
                last,
                mut permit,
            })) => {
                permit.shrink_to(segment_cost(self.spec.encoding.coding(), plaintext.len()));
                self.arrived = Some(permit);
                self.machine.handle_segment(self.clock.now(), plaintext, last);
            }
            Some(Err(fault)) => self.machine.handle_body_failed(fault),
            None => self.machine.handle_body_failed(BodyError::Vanished),
        }
    }

    fn outcome_of(&self, done: UploadDone) -> UploadOutcome {
        let UploadDone {
            ueb,
            ueb_hash,
            placements,
            existing,
            happiness,
            troubles,
            needs_repair,
            timings,
        } = done;
        let cap = ChkCap {
            key: self.key.clone(),
            ueb_hash,
            coding: ueb.coding(),
            size: ueb.file_bytes(),
        };
        let placed = placements.len();
        UploadOutcome {
            cap,
            placements,
            placed,
            existing,
            happiness,
            needs_repair,
            troubles,
            timings,
        }
    }

    fn end(&mut self, result: Result<UploadOutcome, UploadError>, context: &mut Context<Self>) {
        account::upload_ended(
            &mut self.active,
            self.machine.taken_bytes(),
            self.spec.encoding.coding().n(),
            &result,
        );
        match &result {
            Ok(done) => tracing::debug!(
                parent: self.active.trace().span(),
                placed = done.placed,
                happiness = done.happiness,
                total_ms = done.timings.total.as_millis(),
                "upload completed"
            ),
            Err(error) => {
                tracing::info!(parent: self.active.trace().span(), cause = error.cause(), %error, "upload failed");
            }
        }
        if let Some(outcome) = self.outcome.take() {
            // A caller that has gone meanwhile does not want to know.
            drop(outcome.send(result));
        }
        context.stop();
    }
}

/// Counts bytes of blocks that leave for storage nodes.
fn count_sent(request: &Request) {
    let bytes = request.payload_bytes();
    if bytes > 0 {
        counter!(names::UPLOAD_SENT_BYTES).increment(bytes as u64);
    }
}

impl Actor for UploadActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some(unwanted) = self.unwanted.take() {
            context.spawn(unwanted.into_actor(self).map(|_, upload, context| {
                upload.machine.handle_cancel();
                upload.carry_out(context);
            }));
        }
        self.carry_out(context);
    }
}

impl Handler<CallAnswered<Token>> for UploadActor {
    type Result = ();

    fn handle(&mut self, answer: CallAnswered<Token>, context: &mut Self::Context) {
        self.calls.remove(&answer.token);
        self.machine
            .handle_answer(self.clock.now(), answer.token, answer.result);
        self.carry_out(context);
        self.yielder.after_message(context);
    }
}

impl Handler<Encoded> for UploadActor {
    type Result = ();

    fn handle(&mut self, Encoded { segment, result }: Encoded, context: &mut Self::Context) {
        let coded = match result {
            Ok(Ok(coded)) => Some(coded),
            Ok(Err(error)) => {
                tracing::error!(parent: self.active.trace().span(), %segment, %error, "a segment could not be encoded");
                None
            }
            Err(error) => {
                tracing::error!(parent: self.active.trace().span(), %segment, %error, "a segment could not be encoded");
                None
            }
        };
        self.machine.handle_encoded(self.clock.now(), segment, coded);
        self.active.progress(self.machine.taken_bytes(), 0);
        self.carry_out(context);
    }
}

impl Handler<Stop> for UploadActor {
    type Result = ();

    fn handle(&mut self, Stop: Stop, context: &mut Self::Context) {
        self.stopping = true;
        self.machine.handle_cancel();
        self.carry_out(context);
    }
}

answers_ping!(UploadActor);
