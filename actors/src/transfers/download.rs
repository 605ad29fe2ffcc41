//! One download: the shell around `truckee_engine::download`.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use truckee_engine::download::{Config, Download, Effect};
use truckee_engine::transfer::Token;
use truckee_grid::ids::{NodeId, SegmentIndex};
use truckee_grid::pipeline::{DecodeError, DecodedSegment, FetchedBlock};

use super::account::{self, Active};
use super::jobs::{self, Decoder};
use super::{DownloadError, DownloadSpec, ROOM_WAIT, TransfersConfig};
use crate::answers_ping;
use crate::call::{Call, CallAnswered, CallGuard, MeshHandle, Reply};
use crate::clock::ClockHandle;
use crate::cpu::{CpuError, Ordered};
use crate::gate::{ByteGate, BytePermit, GateError, Yielder, tell};
use crate::supervise::{ExitGuard, Stop};
use crate::timer::Timer;

/// Segments that may wait in the channel to the reader: one that it works on and one that is ready when it comes back.
const CHUNKS_WAITING: usize = 2;

/// When it is worth trying again after there was no memory: some download has ended by then.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Segments that a download begins with; more are read ahead as the reader shows that it takes them.
const WINDOW_START: usize = 2;

type Chunk = Result<Bytes, DownloadError>;

/// The bytes of a file or of a part of it, in pieces of at most a segment. Ends with `None` after the last byte; an
/// error is the last thing it gives. A stream that ends before it gave as many bytes as were asked for was killed while
/// its reader took nothing, or its actor panicked: that is [`DownloadError::Internal`] to the reader, who counts.
/// Dropping the stream cancels the download.
#[derive(Debug)]
pub struct DownloadStream {
    /// The pieces.
    pub rx: mpsc::Receiver<Result<Bytes, DownloadError>>,
}

impl DownloadStream {
    pub(super) fn channel() -> (mpsc::Sender<Chunk>, Self) {
        let (chunks, rx) = mpsc::channel(CHUNKS_WAITING);
        (chunks, Self { rx })
    }

    /// The next piece.
    pub async fn recv(&mut self) -> Option<Result<Bytes, DownloadError>> {
        self.rx.recv().await
    }
}

impl futures_util::Stream for DownloadStream {
    type Item = Result<Bytes, DownloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.rx.poll_recv(context)
    }
}

/// What a download starts from.
pub(super) struct DownloadStart {
    pub(super) spec: DownloadSpec,
    pub(super) candidates: Vec<NodeId>,
    pub(super) chunks: mpsc::Sender<Chunk>,
    /// Told when the first bytes are there, or why there are none.
    pub(super) begun: oneshot::Sender<Result<(), DownloadError>>,
    pub(super) gate: ByteGate,
}

/// See the module.
pub(super) struct DownloadActor {
    machine: Download,
    mesh: MeshHandle,
    clock: ClockHandle,
    cpu: Ordered,
    decoder: Arc<Decoder>,
    gate: ByteGate,
    room: Room,
    calls: BTreeMap<Token, CallGuard>,
    timer: Timer,
    yielder: Yielder,
    begun: Option<oneshot::Sender<Result<(), DownloadError>>>,
    chunks: mpsc::Sender<Chunk>,
    /// Pieces for which the channel had no place yet.
    waiting: VecDeque<Chunk>,
    /// A place in the channel is awaited.
    reserving: bool,
    /// Whether the machine has given its verdict; the actor ends when nothing waits any more.
    ended: bool,
    stopping: bool,
    active: Active,
    _guard: ExitGuard,
}

/// Memory that a download holds.
enum Room {
    /// The length of a segment is not known yet.
    Unknown,
    /// Asked for.
    Awaited,
    /// Held: so much for each segment in the window.
    Held {
        segment_cost: usize,
        permits: Vec<BytePermit>,
    },
}

/// A segment came back from the CPU pool.
#[derive(Message)]
#[rtype(result = "()")]
struct Decoded {
    segment: SegmentIndex,
    result: Result<Result<DecodedSegment, DecodeError>, CpuError>,
}

impl DownloadActor {
    pub(super) fn new(
        start: DownloadStart,
        config: &TransfersConfig,
        active: Active,
        guard: ExitGuard,
    ) -> Self {
        let DownloadStart {
            spec,
            candidates,
            chunks,
            begun,
            gate,
        } = start;
        let machine = Download::new(
            Config {
                file: spec.cap.verifier(),
                candidates,
                range: spec.range,
            },
            config.clock.now(),
        );
        Self {
            machine,
            mesh: config.mesh.clone(),
            clock: Arc::clone(&config.clock),
            cpu: Ordered::new(config.cpu.clone()),
            decoder: Decoder::new(spec.cap.key, config.engines.clone()),
            gate,
            room: Room::Unknown,
            calls: BTreeMap::new(),
            timer: Timer::default(),
            yielder: Yielder::default(),
            begun: Some(begun),
            chunks,
            waiting: VecDeque::new(),
            reserving: false,
            ended: false,
            stopping: false,
            active,
            _guard: guard,
        }
    }

    /// Carries out what the machine wants, hands on what is ready, and sets the timer.
    fn carry_out(&mut self, context: &mut Context<Self>) {
        loop {
            while let Some(effect) = self.machine.poll_effect() {
                self.carry_out_one(effect, context);
            }
            self.claim_room(context);
            // What the reader takes makes room for more.
            if !self.hand_on(context) {
                break;
            }
        }
        if self.ended && self.waiting.is_empty() {
            return context.stop();
        }
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
                self.calls.insert(
                    token,
                    self.mesh.call(
                        peer,
                        Call {
                            request,
                            lane,
                            budget,
                            trace: self.active.trace().clone(),
                        },
                        reply,
                    ),
                );
            }
            Effect::CancelSend { token } => drop(self.calls.remove(&token)),
            Effect::Decode { segment, blocks } => self.decode(segment, blocks, context),
            Effect::Deliver { plaintext, .. } => {
                self.begin(Ok(()));
                self.active.progress(self.machine.progress().delivered_bytes, 0);
                self.waiting.push_back(Ok(plaintext));
            }
            Effect::ReportCorrupt { peer, share, what } => {
                tracing::warn!(parent: self.active.trace().span(), %peer, share = share.map(|share| share.0), ?what, "a peer gave something damaged");
            }
            Effect::Completed(_) => self.end(None),
            Effect::Failed(error) => {
                let error = if self.stopping {
                    DownloadError::Stopping
                } else {
                    error.into()
                };
                self.end(Some(error));
            }
        }
    }

    fn decode(&mut self, segment: SegmentIndex, blocks: Vec<FetchedBlock>, context: &mut Context<Self>) {
        let Some(facts) = self.machine.file().cloned() else {
            return;
        };
        let decoder = Arc::clone(&self.decoder);
        let span = tracing::debug_span!(parent: self.active.trace().span(), "decode", %segment);
        let back = context.address();
        self.cpu.run_then(
            jobs::DECODE,
            move || span.in_scope(|| decoder.decode(&facts, segment, blocks)),
            move |result| {
                if tell(&back, Decoded { segment, result }).is_err() {
                    tracing::debug!("a download ended before its segment was decoded");
                }
            },
        );
    }

    fn on_time(&mut self, context: &mut Context<Self>) {
        self.timer.fired();
        self.machine.handle_timeout(self.clock.now());
        self.carry_out(context);
    }

    /// Asks for memory as soon as it is known how much a segment takes.
    fn claim_room(&mut self, context: &mut Context<Self>) {
        let (Room::Unknown, Some(facts), false) = (&self.room, self.machine.file(), self.ended) else {
            return;
        };
        let geometry = facts.ueb().geometry();
        let plain_bytes = u64::from(geometry.segment_bytes()).min(geometry.file_bytes());
        // Blocks and plaintext exist side by side. The conversion fails on no machine that holds a segment.
        let segment_cost = usize::try_from(plain_bytes * 2).unwrap_or(usize::MAX);
        let segments = usize::try_from(geometry.segments())
            .unwrap_or(usize::MAX)
            .min(WINDOW_START);
        let wanted = segment_cost
            .saturating_mul(segments)
            .min(self.gate.capacity_bytes());
        if let Ok(permit) = self.gate.try_acquire(wanted) {
            return self.got_room(segment_cost, permit);
        }
        self.room = Room::Awaited;
        let gate = self.gate.clone();
        let room = async move { tokio::time::timeout(ROOM_WAIT, gate.acquire(wanted)).await };
        context.spawn(room.into_actor(self).map(move |room, download, context| {
            match room {
                Ok(Ok(permit)) => download.got_room(segment_cost, permit),
                Ok(Err(GateError::Closed { .. })) => download.give_up(DownloadError::Stopping),
                Ok(Err(_)) | Err(_) => download.give_up(DownloadError::Overloaded {
                    retry_after: RETRY_AFTER,
                }),
            }
            download.carry_out(context);
        }));
    }

    fn got_room(&mut self, segment_cost: usize, permit: BytePermit) {
        self.room = Room::Held {
            segment_cost,
            permits: vec![permit],
        };
        self.machine.handle_window(self.clock.now(), WINDOW_START);
    }

    /// Reads further ahead for a reader that takes what it gets, while there is memory.
    fn widen(&mut self) {
        let window = self.machine.window_segments();
        if self
            .machine
            .window_segments_max()
            .is_none_or(|most| window >= most)
        {
            return;
        }
        if let Room::Held {
            segment_cost,
            permits,
        } = &mut self.room
            && self.gate.available_bytes() >= *segment_cost
            && let Ok(permit) = self.gate.try_acquire(*segment_cost)
        {
            permits.push(permit);
            self.machine.handle_window(self.clock.now(), window + 1);
        }
    }

    /// Puts what waits into the channel while it has places. True if the machine was told of any.
    fn hand_on(&mut self, context: &mut Context<Self>) -> bool {
        let mut any = false;
        while !self.reserving
            && let Some(chunk) = self.waiting.pop_front()
        {
            match self.chunks.try_send(chunk) {
                Ok(()) => {
                    any = true;
                    self.consumed();
                }
                Err(mpsc::error::TrySendError::Full(chunk)) => {
                    self.waiting.push_front(chunk);
                    self.reserve(context);
                }
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    self.waiting.clear();
                    self.machine.handle_cancel();
                    any = true;
                }
            }
        }
        any
    }

    fn consumed(&mut self) {
        self.machine.handle_consumed(self.clock.now());
        self.widen();
    }

    /// Waits for a place in the channel.
    fn reserve(&mut self, context: &mut Context<Self>) {
        self.reserving = true;
        let place = self.chunks.clone().reserve_owned();
        context.spawn(place.into_actor(self).map(|place, download, context| {
            download.reserving = false;
            match (place, download.waiting.pop_front()) {
                (Ok(place), Some(chunk)) => {
                    drop(place.send(chunk));
                    download.consumed();
                }
                (Ok(_), None) => {}
                (Err(_), _) => {
                    download.waiting.clear();
                    download.machine.handle_cancel();
                }
            }
            download.carry_out(context);
        }));
    }

    fn begin(&mut self, result: Result<(), DownloadError>) {
        if let Some(begun) = self.begun.take() {
            // A caller that has gone meanwhile has dropped its end of the channel too.
            drop(begun.send(result));
        }
    }

    /// Ends the machine for a reason of the shell's own.
    fn give_up(&mut self, error: DownloadError) {
        if !self.ended {
            self.end(Some(error));
            self.machine.handle_cancel();
        }
    }

    fn end(&mut self, failed: Option<DownloadError>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        account::download_ended(&mut self.active, self.machine.progress(), failed.as_ref());
        match failed {
            None => self.begin(Ok(())),
            Some(error) => {
                tracing::info!(parent: self.active.trace().span(), cause = error.cause(), %error, "download failed");
                if self.begun.is_some() {
                    self.begin(Err(error));
                } else {
                    self.waiting.push_back(Err(error));
                }
            }
        }
    }
}

impl Actor for DownloadActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let chunks = self.chunks.clone();
        let gone = async move { chunks.closed().await };
        context.spawn(gone.into_actor(self).map(|(), download, context| {
            download.waiting.clear();
            download.machine.handle_cancel();
            download.carry_out(context);
        }));
        self.carry_out(context);
    }
}

impl Handler<CallAnswered<Token>> for DownloadActor {
    type Result = ();

    fn handle(&mut self, answer: CallAnswered<Token>, context: &mut Self::Context) {
        self.calls.remove(&answer.token);
        self.machine
            .handle_answer(self.clock.now(), answer.token, answer.result);
        self.carry_out(context);
        self.yielder.after_message(context);
    }
}

impl Handler<Decoded> for DownloadActor {
    type Result = ();

    fn handle(&mut self, Decoded { segment, result }: Decoded, context: &mut Self::Context) {
        let decoded =
            result.inspect_err(|error| tracing::error!(parent: self.active.trace().span(), %segment, %error, "a segment could not be decoded"));
        self.machine
            .handle_decoded(self.clock.now(), segment, decoded.ok());
        self.carry_out(context);
    }
}

impl Handler<Stop> for DownloadActor {
    type Result = ();

    fn handle(&mut self, Stop: Stop, context: &mut Self::Context) {
        self.stopping = true;
        self.machine.handle_cancel();
        self.carry_out(context);
    }
}

answers_ping!(DownloadActor);
