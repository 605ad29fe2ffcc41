//! All that happens because time passes. One deadline covers it: the earliest of
//!
//! | timer | when |
//! |---|---|
//! | hello | the peer must have said it and been admitted |
//! | drain | the goodbye's end |
//! | frame | the frame that comes in must be whole |
//! | calls | the first own request's budget |
//! | assembly | the first arriving request's budget |
//! | liveness | ping, sign of life, death by silence |

use super::liveness::Due;
use super::{CallError, CloseReason, Event, Phase, Session};
use crate::time::Mono;

impl Session {
    /// When [`Session::handle_timeout`] wants to be called next; `None` when the link is over.
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.phase == Phase::Closed {
            return None;
        }
        let hello = (self.phase != Phase::Open).then_some(self.hello_until);
        let frame = self.frame_since.map(|since| since + self.config.frame_within);
        let assembly = self.assemblies.next_deadline().map(|(deadline, _)| deadline);
        let liveness = self.liveness.next_deadline(self.busy_since(), &self.config);
        [
            hello,
            frame,
            assembly,
            self.farewell.drain_until,
            self.calls.next_deadline(),
            Some(liveness),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has passed. May be called early or late, and at any time.
    pub fn handle_timeout(&mut self, now: Mono) {
        if self.phase == Phase::Closed {
            return;
        }
        if let Some(reason) = self.overdue(now) {
            return self.close(reason);
        }
        self.expire_calls(now);
        while let Some((deadline, id)) = self.assemblies.next_deadline() {
            if deadline > now {
                break;
            }
            self.assemblies.drop_message(id.0, false);
            self.answer_expired(id);
        }
        while let Some(due) = self.liveness.due(now, self.busy_since(), &self.config) {
            match due {
                Due::Dead(silent) => return self.close(CloseReason::Silent { silent }),
                Due::Ping(id) => self.outbox.ping(id),
                Due::LifeSign => self.outbox.pong(0),
            }
        }
        self.finish_if_drained();
    }

    /// A bound on the link itself that has passed.
    fn overdue(&self, now: Mono) -> Option<CloseReason> {
        if self.phase != Phase::Open && now >= self.hello_until {
            let refused = self.phase == Phase::Refusing;
            return Some(if refused {
                CloseReason::Refused
            } else {
                CloseReason::HelloTimeout
            });
        }
        if let Some(until) = self.farewell.drain_until
            && now >= until
            && let Some(reason) = self.farewell.theirs.or(self.farewell.ours)
        {
            return Some(CloseReason::DrainTimeout(reason));
        }
        let within = self.config.frame_within;
        self.frame_since
            .filter(|since| now >= *since + within)
            .map(|_| CloseReason::SlowFrame { within })
    }

    pub(super) fn expire_calls(&mut self, now: Mono) {
        while let Some(id) = self.calls.next_expired(now) {
            self.give_up(id);
            self.last_used = now;
            self.events.push_back(Event::Answer {
                id,
                result: Err(CallError::Expired),
            });
        }
    }

    /// Since when somebody here waits for the peer. Before the peer was admitted the hello's timer is what counts.
    fn busy_since(&self) -> Option<Mono> {
        if self.phase == Phase::Open {
            self.calls.busy_since()
        } else {
            None
        }
    }
}
