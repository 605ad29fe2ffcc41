//! What comes in: bytes, frames, and what each kind of frame does.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use truckee_wire::convert::{ConvertError, Head, decode_head};
use truckee_wire::frame::{FRAME_BYTES_MAX, Frame};
use truckee_wire::message::{Failure, FailureCode, GoodbyeReason, Lane, Request, Response, TraceContext};

use super::assembly::Incoming;
use super::outbox::Outgoing;
use super::serving::Stage;
use super::{
    Answer, CallError, CloseReason, Event, HELD_FRAMES_MAX, InboundId, Phase, RequestId, Session, Violation,
};
use crate::time::Mono;

/// The head of a request, as it came.
#[derive(Clone, Copy)]
struct Asked {
    id: InboundId,
    lane: Lane,
    trace: Option<TraceContext>,
    deadline: Mono,
    payload_bytes: usize,
}

impl Session {
    /// A piece of the byte stream came in. For sessions that are fed bytes; do not mix with
    /// [`Session::handle_frame`].
    pub fn handle_bytes(&mut self, now: Mono, bytes: &[u8]) {
        if matches!(self.phase, Phase::Closed | Phase::Refusing) || bytes.is_empty() {
            return;
        }
        self.decoder.push(bytes);
        if self.phase == Phase::Judging && self.decoder.buffered_bytes() > 2 * FRAME_BYTES_MAX {
            return self.violated(Violation::Unadmitted);
        }
        self.read_frames(now);
        self.note_heard(now);
    }

    /// A frame came in, from a decoder elsewhere. Who reads there must see to [`super::Config::frame_within`].
    pub fn handle_frame(&mut self, now: Mono, frame: Frame) {
        self.handle_frame_received_at(now, now, frame);
    }

    /// As [`Session::handle_frame`], for a frame that came off the socket at `received` and waited in a queue until
    /// `now`: a time budget runs from `received`.
    pub fn handle_frame_received_at(&mut self, now: Mono, received: Mono, frame: Frame) {
        match self.phase {
            Phase::Closed | Phase::Refusing => return,
            Phase::Judging if self.held.len() >= HELD_FRAMES_MAX => {
                return self.violated(Violation::Unadmitted);
            }
            Phase::Judging => self.held.push_back((received, frame)),
            Phase::AwaitHello | Phase::Open => self.take_frame(now, received, frame),
        }
        self.note_heard(now);
    }

    /// Bytes came in that are no whole frame yet, in a decoder elsewhere: the peer lives.
    pub fn handle_progress(&mut self, now: Mono) {
        self.liveness.heard(now, true);
    }

    /// Takes all whole frames out of the decoder that the phase allows.
    pub(super) fn read_frames(&mut self, now: Mono) {
        let mut took_one = false;
        while matches!(self.phase, Phase::AwaitHello | Phase::Open) {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => {
                    took_one = true;
                    self.take_frame(now, now, frame);
                }
                Ok(None) => break,
                Err(error) => return self.violated(error.into()),
            }
        }
        if !self.decoder.is_mid_frame() || self.phase == Phase::Judging {
            self.frame_since = None;
        } else if took_one || self.frame_since.is_none() {
            self.frame_since = Some(now);
        }
    }

    fn note_heard(&mut self, now: Mono) {
        let unfinished = self.assemblies.any() || self.decoder.is_mid_frame();
        self.liveness.heard(now, unfinished);
    }

    fn take_frame(&mut self, now: Mono, received: Mono, frame: Frame) {
        let head = match decode_head(frame.head) {
            Ok(head) => head,
            Err(error) => return self.violated(error.into()),
        };
        if self.phase == Phase::AwaitHello {
            return match head {
                Head::Hello(hello) => self.meet(hello),
                _ => self.violated(Violation::HelloExpected),
            };
        }
        let taken = match head {
            Head::Hello(_) => Err(Violation::HelloRepeated),
            Head::Goodbye(goodbye) => self.take_goodbye(now, goodbye.reason),
            Head::Ping { id } => {
                self.outbox.pong(id);
                Ok(())
            }
            Head::Pong { id } => {
                self.liveness.pong(now, id, &self.config);
                Ok(())
            }
            Head::Cancel { id } => self.take_cancel(InboundId(id)),
            Head::Request {
                id,
                lane,
                budget,
                trace,
                payload_bytes,
                request,
            } => {
                let deadline = received + self.budget_of(budget);
                let asked = Asked {
                    id: InboundId(id),
                    lane,
                    trace,
                    deadline,
                    payload_bytes,
                };
                self.take_request(now, asked, request, frame.payload)
            }
            Head::Answer {
                id,
                lane,
                payload_bytes,
                answer,
            } => self.take_answer(now, RequestId(id), lane, payload_bytes, answer, frame.payload),
            Head::More { id, lane, of_answer } => self.take_part(now, id, lane, of_answer, frame.payload),
        };
        match taken {
            Ok(()) => self.finish_if_drained(),
            Err(violation) => self.violated(violation),
        }
    }

    fn budget_of(&self, budget: Option<Duration>) -> Duration {
        budget
            .unwrap_or(self.config.budget_default)
            .min(self.config.budget_max)
    }

    fn take_goodbye(&mut self, now: Mono, reason: GoodbyeReason) -> Result<(), Violation> {
        if self.farewell.theirs.is_some() {
            return Err(Violation::GoodbyeRepeated);
        }
        if reason == GoodbyeReason::Refused {
            self.close(CloseReason::RefusedByPeer);
            return Ok(());
        }
        self.farewell.theirs = Some(reason);
        self.farewell
            .drain_until
            .get_or_insert(now + self.config.drain_within);
        self.events.push_back(Event::PeerLeaving(reason));
        if self.farewell.ours.is_none() {
            self.farewell.ours = Some(reason);
            self.outbox.goodbye(reason);
        }
        Ok(())
    }

    fn take_request(
        &mut self,
        now: Mono,
        asked: Asked,
        request: Result<Request, ConvertError>,
        part: BytesMut,
    ) -> Result<(), Violation> {
        let id = asked.id;
        if self.farewell.theirs.is_some() {
            return Err(Violation::RequestAfterGoodbye { id: id.0 });
        }
        self.serving.open(id, asked.lane, asked.payload_bytes)?;
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                let unknown = error == ConvertError::UnknownMessage;
                let code = if unknown {
                    FailureCode::Unsupported
                } else {
                    FailureCode::BadRequest
                };
                self.answer(id, Err(Failure::new(code, error.to_string())));
                return Ok(());
            }
        };
        if asked.deadline <= now {
            self.answer_expired(id);
            return Ok(());
        }
        let (lane, payload_bytes) = (asked.lane, asked.payload_bytes);
        let incoming = Incoming::Request {
            id,
            request,
            lane,
            trace: asked.trace,
            deadline: asked.deadline,
        };
        let whole = self.assemblies.begin(lane, incoming, payload_bytes, part)?;
        self.deliver(now, whole);
        Ok(())
    }

    fn take_answer(
        &mut self,
        now: Mono,
        id: RequestId,
        lane: Lane,
        payload_bytes: usize,
        answer: Result<Answer, ConvertError>,
        part: BytesMut,
    ) -> Result<(), Violation> {
        let answered = self
            .calls
            .answer_begins(id)
            .ok_or(Violation::NoSuchRequest { id: id.0 })?;
        if payload_bytes > answered.answer_bytes_max {
            let max = answered.answer_bytes_max;
            return Err(Violation::PayloadNotAsked {
                id: id.0,
                bytes: payload_bytes,
                max,
            });
        }
        // An answer to a request of which not all is out is a refusal: the rest need not go.
        self.outbox.remove(Outgoing::Request(id));
        if !answered.wanted {
            return Ok(());
        }
        if let Some(sent_at) = answered.sent_at {
            self.liveness.answered_after(now.saturating_sub(sent_at));
        }
        let usable = match answer {
            Ok(Ok(response)) if response.answers(answered.kind) => Ok(response),
            Ok(Ok(_)) => Err(CallError::BadAnswer(ConvertError::Unexpected { field: "answer" })),
            Ok(Err(failure)) => Err(CallError::Refused(failure)),
            Err(error) => Err(CallError::BadAnswer(error)),
        };
        let response = match usable {
            Ok(response) => response,
            Err(error) => {
                self.finish_call(now, id, Err(error));
                return Ok(());
            }
        };
        let whole = self
            .assemblies
            .begin(lane, Incoming::Answer { id, response }, payload_bytes, part)?;
        self.deliver(now, whole);
        Ok(())
    }

    fn take_part(
        &mut self,
        now: Mono,
        id: u64,
        lane: Lane,
        of_answer: bool,
        part: BytesMut,
    ) -> Result<(), Violation> {
        let known = if of_answer {
            self.calls.was_used(RequestId(id))
        } else {
            self.serving.was_used(InboundId(id))
        };
        if !known {
            return Err(Violation::NoSuchRequest { id });
        }
        let whole = self.assemblies.push(lane, id, of_answer, part)?;
        self.deliver(now, whole);
        Ok(())
    }

    /// Hands on a message that is all here.
    fn deliver(&mut self, now: Mono, whole: Option<(Incoming, Bytes)>) {
        match whole {
            None => {}
            Some((Incoming::Request { id, deadline, .. }, _)) if deadline <= now => self.answer_expired(id),
            Some((
                Incoming::Request {
                    id,
                    mut request,
                    lane,
                    trace,
                    deadline,
                },
                payload,
            )) => {
                if let Err(error) = request.attach_payload(payload) {
                    self.answer(id, Err(Failure::new(FailureCode::BadRequest, error.to_string())));
                    return;
                }
                self.serving.work(id);
                self.events.push_back(Event::Request {
                    id,
                    request,
                    lane,
                    trace,
                    deadline,
                });
            }
            Some((Incoming::Answer { id, mut response }, payload)) => {
                let attached = response.attach_payload(payload);
                let result = attached.map(|()| response).map_err(CallError::BadAnswer);
                self.finish_call(now, id, result);
            }
        }
    }

    fn finish_call(&mut self, now: Mono, id: RequestId, result: Result<Response, CallError>) {
        self.calls.finish(id);
        self.last_used = now;
        self.events.push_back(Event::Answer { id, result });
    }

    pub(super) fn answer_expired(&mut self, id: InboundId) {
        let text = "the time budget was over before the work began";
        self.answer(id, Err(Failure::new(FailureCode::Expired, text)));
    }

    fn take_cancel(&mut self, id: InboundId) -> Result<(), Violation> {
        if !self.serving.was_used(id) {
            return Err(Violation::NoSuchRequest { id: id.0 });
        }
        match self.serving.stage(id) {
            None => {}
            Some(Stage::Arriving) => {
                self.assemblies.drop_message(id.0, false);
                self.answer_cancelled(id);
            }
            Some(Stage::Working) => {
                self.serving.cancel(id);
                self.events.push_back(Event::Cancelled { id });
            }
            Some(Stage::Answering) => self.shorten_answer(id),
        }
        Ok(())
    }
}
