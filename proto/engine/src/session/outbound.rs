//! What goes out: requests, answers, cancels, and the choice of the next frame.

use std::time::Duration;

use bytes::Bytes;
use truckee_wire::convert::{self, ConvertError, Prepared};
use truckee_wire::frame::FrameOut;
use truckee_wire::message::{Failure, FailureCode, Lane, Request, Response, TraceContext};

use super::calls::GivenUp;
use super::outbox::{Outgoing, Part, Signal};
use super::serving::Stage;
use super::{Answer, CallError, CloseReason, InboundId, Phase, RequestId, Session};
use crate::time::Mono;

impl Session {
    /// Asks the peer. The request waits for the hello, its lane's turn and the peer's credit within its time budget;
    /// the answer comes as [`super::Event::Answer`].
    ///
    /// # Errors
    /// [`CallError::LinkLost`], [`CallError::Leaving`], [`CallError::Saturated`], [`CallError::Unsendable`], or
    /// [`CallError::Expired`] if the budget is zero. Nothing was sent, and no event follows.
    pub fn request(
        &mut self,
        now: Mono,
        request: &Request,
        lane: Lane,
        budget: Duration,
    ) -> Result<RequestId, CallError> {
        self.request_traced(now, request, lane, budget, None)
    }

    /// As [`Session::request`], as part of a trace.
    ///
    /// # Errors
    /// As there.
    pub fn request_traced(
        &mut self,
        now: Mono,
        request: &Request,
        lane: Lane,
        budget: Duration,
        trace: Option<TraceContext>,
    ) -> Result<RequestId, CallError> {
        if matches!(self.phase, Phase::Closed | Phase::Refusing) {
            return Err(CallError::LinkLost);
        }
        if self.farewell.ours.is_some() {
            return Err(CallError::Leaving);
        }
        if budget.is_zero() {
            return Err(CallError::Expired);
        }
        // The number is known only after the table took the request, the bounds are checked before.
        let id = self.calls.next_id();
        let head = Prepared::request(id.0, lane, trace, request).map_err(CallError::Unsendable)?;
        let budget = budget.min(self.config.budget_max);
        self.calls
            .open(now, request, budget, self.config.waiting_bytes_max)?;
        self.outbox
            .push(Outgoing::Request(id), lane, head, request.payload());
        Ok(id)
    }

    /// Takes a request back: no event follows for it. Unknown and finished requests are left alone.
    pub fn cancel(&mut self, now: Mono, id: RequestId) {
        if self.give_up(id) {
            self.last_used = now;
            self.finish_if_drained();
        }
    }

    /// Answers a request of the peer. Call it exactly once for each [`super::Event::Request`], also if that was
    /// cancelled; an answer to an unknown request is dropped, since the link may have ended meanwhile.
    ///
    /// # Errors
    /// The answer breaks a bound, which is a mistake of this end; the peer gets [`FailureCode::Internal`].
    pub fn respond(&mut self, now: Mono, id: InboundId, answer: Answer) -> Result<(), ConvertError> {
        self.last_used = now;
        if self.serving.stage(id) != Some(Stage::Working) {
            return Ok(());
        }
        // The number and lane make no difference to the bounds.
        let broken = Prepared::answer(id.0, Lane::Control, &answer).err();
        if broken.is_some() {
            self.answer(
                id,
                Err(Failure::new(FailureCode::Internal, "the answer cannot be sent")),
            );
        } else {
            self.answer(id, answer);
        }
        broken.map_or(Ok(()), Err)
    }

    /// Queues an answer, if the request still has none. Failures take the control lane: a refusal should not wait.
    pub(super) fn answer(&mut self, id: InboundId, answer: Answer) {
        let Some((lane, cancelled)) = self.serving.answer(id) else {
            return;
        };
        let answer = if cancelled {
            Err(cancelled_failure())
        } else {
            answer
        };
        let lane = if answer.is_err() { Lane::Control } else { lane };
        match Prepared::answer(id.0, lane, &answer) {
            Ok(head) => {
                let payload = answer.as_ref().map_or_else(|_| Bytes::new(), Response::payload);
                self.outbox.push(Outgoing::Answer(id), lane, head, payload);
            }
            // Not reached: `respond` checked the bounds, and own failures keep them. The peer's deadline ends it.
            Err(error) => debug_assert!(false, "an unchecked answer: {error}"),
        }
    }

    pub(super) fn answer_cancelled(&mut self, id: InboundId) {
        self.answer(id, Err(cancelled_failure()));
    }

    /// Nobody waits for an answer that is queued or going out: sends no more of it than must be.
    pub(super) fn shorten_answer(&mut self, id: InboundId) {
        let waits = self.outbox.is_waiting(Outgoing::Answer(id));
        if !self.outbox.remove(Outgoing::Answer(id)) {
            return;
        }
        if !waits {
            // Its first frame is out, so the peer has its answer.
            return self.serving.finish(id);
        }
        if let Ok(head) = Prepared::answer(id.0, Lane::Control, &Err(cancelled_failure())) {
            self.outbox
                .push(Outgoing::Answer(id), Lane::Control, head, Bytes::new());
        }
    }

    /// Nobody waits for a request any more. Says whether somebody did.
    pub(super) fn give_up(&mut self, id: RequestId) -> bool {
        let Some(given_up) = self.calls.give_up(id) else {
            return false;
        };
        match given_up {
            GivenUp::Queued => {
                self.outbox.remove(Outgoing::Request(id));
            }
            GivenUp::Begun => {
                self.outbox.remove(Outgoing::Request(id));
                self.outbox.cancel(id);
            }
            GivenUp::Answering => {
                self.assemblies.drop_message(id.0, true);
                self.outbox.cancel(id);
            }
        }
        true
    }

    /// The next frame to write, or `None` if nothing can go now; may bring events (a request that expired, the end of
    /// a drained link), so poll for those afterwards. Call it only when the socket takes more, so that what
    /// is urgent does not wait behind what is not.
    pub fn poll_transmit(&mut self, now: Mono) -> Option<FrameOut> {
        if self.phase == Phase::Closed {
            return None;
        }
        self.expire_calls(now);
        let frame = match self.outbox.next_signal(self.phase != Phase::Open) {
            Some((signal, frame)) => {
                self.signal_sent(now, signal);
                frame
            }
            None if self.phase == Phase::Open => {
                let part = self.outbox.next_part(|id| self.calls.fits(id, self.credit))?;
                self.lay_out(now, part)
            }
            None => return None,
        };
        self.liveness.sent();
        self.finish_if_drained();
        Some(frame)
    }

    fn signal_sent(&mut self, now: Mono, signal: Signal) {
        match signal {
            Signal::Ping => self.liveness.ping_sent(now),
            Signal::Goodbye if self.phase == Phase::Refusing => self.close(CloseReason::Refused),
            Signal::Goodbye | Signal::Other => {}
        }
    }

    fn lay_out(&mut self, now: Mono, part: Part) -> FrameOut {
        let Part {
            what,
            lane,
            head,
            bytes,
            last,
        } = part;
        match what {
            Outgoing::Request(id) => {
                let frame = match head {
                    Some(head) => head.into_frame(Some(self.calls.begin(now, id)), bytes),
                    None => convert::more_frame(id.0, lane, false, bytes),
                };
                if last {
                    self.calls.sent(now, id);
                }
                frame
            }
            Outgoing::Answer(id) => {
                if head.is_some() {
                    self.serving.answer_begins(id);
                }
                if last {
                    self.serving.finish(id);
                }
                match head {
                    Some(head) => head.into_frame(None, bytes),
                    None => convert::more_frame(id.0, lane, true, bytes),
                }
            }
        }
    }
}

fn cancelled_failure() -> Failure {
    Failure::new(FailureCode::Cancelled, "the request was taken back")
}
