//! How a node gets its grant and keeps it: asks an introducer of its invites, at once when it has none, from half of the
//! life of the one that it has when it has one, and again with growing pauses when there is no answer.

use std::time::Duration;

use truckee_wire::message::{Failure, FailureCode};

use crate::time::Mono;

/// First pause after a failed attempt: an introducer that restarts is back within seconds.
pub const JOIN_RETRY_MIN: Duration = Duration::from_millis(500);
/// Longest pause while the node has no grant: it can do nothing until it has one.
pub const JOIN_RETRY_MAX: Duration = Duration::from_secs(30);
/// Pause after a wrong secret, and between attempts to renew: neither gets better by asking soon.
pub const JOIN_SLOW_RETRY: Duration = Duration::from_secs(600);
/// An introducer that did not answer for so long is taken as silent.
pub const JOIN_BUDGET: Duration = Duration::from_secs(10);

/// Why an introducer gave no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// It said why.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// There was no answer.
    #[error("the introducer cannot be reached")]
    NotReached,
    /// It gave something that is not a grant for this node.
    #[error("the introducer gave a grant that is worth nothing: {0}")]
    BadGrant(#[from] super::grant::GrantError),
    /// It answered something else.
    #[error("the introducer answered something else than a grant")]
    OddAnswer,
}

/// The attempts at one introducer.
#[derive(Clone, Debug)]
pub(super) struct Joiner {
    next_at: Mono,
    pause: Duration,
    asking: bool,
    pub(super) last_error: Option<JoinError>,
}

impl Joiner {
    pub(super) fn new(now: Mono) -> Joiner {
        Joiner {
            next_at: now,
            pause: JOIN_RETRY_MIN,
            asking: false,
            last_error: None,
        }
    }

    /// When to ask next; `None` while an answer is awaited.
    pub(super) fn due(&self) -> Option<Mono> {
        (!self.asking).then_some(self.next_at)
    }

    pub(super) fn asked(&mut self) {
        self.asking = true;
    }

    /// A link to it has come up: there is no point in waiting on. Not after a refusal, which a new link does not change.
    pub(super) fn reachable(&mut self, now: Mono) {
        if matches!(self.last_error, None | Some(JoinError::NotReached)) {
            self.next_at = self.next_at.min(now);
        }
    }

    /// There was no grant. `jitter` lies between 0 and 1.
    pub(super) fn failed(&mut self, now: Mono, error: JoinError, renewing: bool, jitter: f64) {
        let slow = renewing
            || matches!(&error, JoinError::Refused(failure) if failure.code == FailureCode::BadSecret);
        let pause = if slow { JOIN_SLOW_RETRY } else { self.pause };
        self.pause = (self.pause * 2).min(JOIN_RETRY_MAX);
        self.next_at = now + pause.mul_f64(0.5 + jitter / 2.0);
        self.asking = false;
        self.last_error = Some(error);
    }

    /// There was one, from this introducer or another; the next is due at `renew_at`.
    pub(super) fn succeeded(&mut self, renew_at: Mono) {
        *self = Joiner {
            next_at: renew_at,
            pause: JOIN_RETRY_MIN,
            asking: false,
            last_error: None,
        };
    }
}
