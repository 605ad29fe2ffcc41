//! Calls of this node to the peer: onto the link, into the queue for one, or back with the reason.

use std::time::Duration;

use actix::prelude::*;
use truckee_engine::session::CallError;
use truckee_engine::time::Mono;

use super::dialing::{RETRY_FOR_CALL_AFTER, Without};
use super::line::Pending;
use super::messages::PeerCall;
use super::{LineId, Peer};
use crate::call::{self, Call, Reply};
use crate::mesh::cancelled;

/// A call waits no longer for a link than this. A dial within the internet takes a few hundred milliseconds; a peer
/// that needs more is frozen or far, and the caller has others.
const WAIT_FOR_LINK_MAX: Duration = Duration::from_millis(1500);

/// Calls that wait for a link. A caller has a few under way per transfer; more are told at once.
const WAITING_MAX: usize = 256;

/// A call that waits for a link.
pub(super) struct Waiting {
    number: u64,
    call: Call,
    pub(super) reply: Reply,
    /// When its budget ends.
    expires: Mono,
    /// When it has waited long enough.
    gives_up: Mono,
}

impl Waiting {
    pub(super) fn deadline(&self) -> Mono {
        self.expires.min(self.gives_up)
    }
}

impl Peer {
    /// Sends the call, or has it wait for a link, or answers it.
    pub(super) fn place_call(
        &mut self,
        PeerCall { number, call, reply }: PeerCall,
        context: &mut Context<Self>,
    ) {
        self.was_needed = true;
        if let Some(line) = self.best_line() {
            self.send_call(line, number, &call, reply);
            return;
        }
        let kind = call.request.kind();
        let now = self.now();
        let verdict = if self.stopping {
            None
        } else {
            Some(self.dialing.handle_call(now))
        };
        let error = match verdict {
            None => CallError::Leaving,
            Some(Without::Down { retry_in }) => CallError::Down { retry_in },
            Some(Without::Wait | Without::WaitAndDial) if self.waiting.len() >= WAITING_MAX => {
                CallError::Saturated
            }
            Some(wait) => {
                let expires = now + call.budget;
                let gives_up = now + WAIT_FOR_LINK_MAX;
                self.waiting.push_back(Waiting {
                    number,
                    call,
                    reply,
                    expires,
                    gives_up,
                });
                if wait == Without::WaitAndDial {
                    self.dial(context);
                }
                return;
            }
        };
        let result = Err(error);
        self.figures.ended(kind, call::outcome(&result), None);
        reply.answer(result);
    }

    fn send_call(&mut self, line_id: LineId, number: u64, call: &Call, reply: Reply) {
        let now = self.now();
        let Some(line) = self.lines.get_mut(&line_id) else {
            return;
        };
        let kind = call.request.kind();
        match line
            .session
            .request_traced(now, &call.request, call.lane, call.budget, call.trace.ids())
        {
            Ok(id) => {
                line.add_call(id, Pending::new(number, kind, now, reply));
                self.under_way.insert(number, (line_id, id));
                self.restless.push(line_id);
            }
            Err(error) => {
                let result = Err(error);
                self.figures.ended(kind, call::outcome(&result), None);
                reply.answer(result);
            }
        }
    }

    /// A link is up: sends what waited for it.
    pub(super) fn send_waiting(&mut self) {
        let now = self.now();
        for waiting in std::mem::take(&mut self.waiting) {
            let Waiting {
                number,
                mut call,
                reply,
                expires,
                ..
            } = waiting;
            call.budget = expires.saturating_sub(now);
            match self.best_line() {
                Some(line) if !call.budget.is_zero() => self.send_call(line, number, &call, reply),
                Some(_) => reply.answer(Err(CallError::Expired)),
                // The line refused the calls before: it has just begun to leave.
                None => reply.answer(Err(CallError::LinkLost)),
            }
        }
    }

    /// There will be no link for now: answers what waits for one.
    pub(super) fn fail_waiting(&mut self, retry_in: Duration) {
        for waiting in std::mem::take(&mut self.waiting) {
            let result = Err(CallError::Down { retry_in });
            self.figures
                .ended(waiting.call.request.kind(), call::outcome(&result), None);
            waiting.reply.answer(result);
        }
    }

    /// Answers what has waited too long.
    pub(super) fn expire_waiting(&mut self, now: Mono) {
        for waiting in std::mem::take(&mut self.waiting) {
            if waiting.deadline() > now {
                self.waiting.push_back(waiting);
                continue;
            }
            let result = if waiting.expires <= now {
                Err(CallError::Expired)
            } else {
                Err(CallError::Down {
                    retry_in: RETRY_FOR_CALL_AFTER,
                })
            };
            self.figures
                .ended(waiting.call.request.kind(), call::outcome(&result), None);
            waiting.reply.answer(result);
        }
    }

    /// The caller no longer wants an answer.
    pub(super) fn take_back(&mut self, number: u64) {
        if let Some(place) = self.waiting.iter().position(|waiting| waiting.number == number) {
            if let Some(waiting) = self.waiting.remove(place) {
                waiting.reply.answer(Err(cancelled()));
            }
            return;
        }
        let now = self.now();
        let Some((line_id, id)) = self.under_way.remove(&number) else {
            return;
        };
        let Some(line) = self.lines.get_mut(&line_id) else {
            return;
        };
        line.session.cancel(now, id);
        if let Some(pending) = line.take_call(id) {
            pending.finish(now, Err(cancelled()), &mut self.figures);
        }
        self.restless.push(line_id);
    }
}
