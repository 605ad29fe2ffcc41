//! What a simulated node knows of one peer: when to dial it, and the calls that wait for a link.
//!
//! The rules are those of the peer actor: a call without a link waits for an attempt, but no longer than
//! [`WAIT_FOR_LINK_MAX`]; right after a failure it is told at once when the next attempt comes; the delay between attempts
//! grows until a link has proved itself by a round trip.

use std::collections::VecDeque;
use std::time::Duration;

use truckee_engine::backoff::Backoff;
use truckee_engine::session::CallError;
use truckee_engine::time::Mono;
use truckee_wire::message::{Lane, Request};

use super::{CallResult, Caller};
use crate::sim::network::ConnId;

/// A call waits no longer for a link than this.
const WAIT_FOR_LINK_MAX: Duration = Duration::from_millis(1500);
/// A call makes a peer be dialled that failed longer ago than this, although its next attempt is not due.
const RETRY_FOR_CALL_AFTER: Duration = Duration::from_secs(1);

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) caller: Caller,
    pub(super) request: Request,
    pub(super) lane: Lane,
    pub(super) budget: Duration,
}

#[derive(Debug)]
struct Waiting {
    call: Call,
    expires: Mono,
    gives_up: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting { next_dial: Mono },
    BackingOff { failed: Mono, until: Mono },
    Linked,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Peer {
    /// Where it is, if it is a member.
    pub(super) address: Option<String>,
    state: State,
    /// The connection by which the peer is being dialled, until it is admitted or ends.
    attempt: Option<ConnId>,
    backoff: Backoff,
    waiting: VecDeque<Waiting>,
}

impl Peer {
    pub(super) fn new(seed: [u8; 32], next_dial: Mono) -> Self {
        Self {
            address: None,
            state: State::Resting { next_dial },
            attempt: None,
            backoff: Backoff::new(seed),
            waiting: VecDeque::new(),
        }
    }

    /// Takes a call for which there is no link; gives it back with an error if it is not to wait.
    pub(super) fn wait(&mut self, now: Mono, call: Call) -> Result<(), (Caller, CallError)> {
        match self.state {
            State::BackingOff { failed, until }
                if now < until && now.saturating_sub(failed) < RETRY_FOR_CALL_AFTER =>
            {
                return Err((
                    call.caller,
                    CallError::Down {
                        retry_in: until.saturating_sub(now),
                    },
                ));
            }
            _ if self.attempt.is_some() => {}
            _ => self.state = State::Resting { next_dial: now },
        }
        let (expires, gives_up) = (now + call.budget, now + WAIT_FOR_LINK_MAX);
        self.waiting.push_back(Waiting {
            call,
            expires,
            gives_up,
        });
        Ok(())
    }

    /// Forgets a call that waits. Was there one?
    pub(super) fn take_back(&mut self, caller: Caller) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.call.caller != caller);
        self.waiting.len() < before
    }

    /// A link is up, over this connection: the calls that waited, with what is left of their time.
    pub(super) fn linked(&mut self, now: Mono, conn: ConnId) -> Vec<Call> {
        self.state = State::Linked;
        self.attempt = self.attempt.filter(|attempt| *attempt != conn);
        let left = |waiting: Waiting| Call {
            budget: waiting.expires.saturating_sub(now),
            ..waiting.call
        };
        self.waiting.drain(..).map(left).collect()
    }

    /// Something went there and back.
    pub(super) fn proved(&mut self) {
        self.backoff.reset();
    }

    /// An attempt failed or the last link is gone: the ends of the calls that waited.
    pub(super) fn failed(&mut self, now: Mono) -> Vec<(Caller, CallResult)> {
        let retry_in = self.backoff.next_delay();
        self.state = State::BackingOff {
            failed: now,
            until: now + retry_in,
        };
        self.waiting
            .drain(..)
            .map(|waiting| (waiting.call.caller, Err(CallError::Down { retry_in })))
            .collect()
    }

    /// The ends of calls that have waited too long.
    pub(super) fn expire(&mut self, now: Mono) -> Vec<(Caller, CallResult)> {
        let (over, rest): (VecDeque<_>, VecDeque<_>) = self
            .waiting
            .drain(..)
            .partition(|waiting| waiting.expires.min(waiting.gives_up) <= now);
        self.waiting = rest;
        let end = |waiting: Waiting| match waiting.expires <= now {
            true => (waiting.call.caller, Err(CallError::Expired)),
            false => (
                waiting.call.caller,
                Err(CallError::Down {
                    retry_in: RETRY_FOR_CALL_AFTER,
                }),
            ),
        };
        over.into_iter().map(end).collect()
    }

    /// When something is due.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let waiting = self
            .waiting
            .iter()
            .map(|waiting| waiting.expires.min(waiting.gives_up))
            .min();
        [self.dial_due(), waiting].into_iter().flatten().min()
    }

    /// Where to dial, if it is time.
    pub(super) fn dial_now(&self, now: Mono) -> Option<&str> {
        self.dial_due().filter(|due| *due <= now)?;
        self.address.as_deref()
    }

    /// The peer is being dialled by this connection.
    pub(super) fn dials(&mut self, conn: ConnId) {
        self.attempt = Some(conn);
    }

    /// Is the peer being dialled by this connection?
    pub(super) fn is_dialling(&self, conn: ConnId) -> bool {
        self.attempt == Some(conn)
    }

    /// The attempt has ended, one way or the other.
    pub(super) fn end_attempt(&mut self) {
        self.attempt = None;
    }

    /// Is an attempt under way?
    pub(super) fn has_attempt(&self) -> bool {
        self.attempt.is_some()
    }

    fn dial_due(&self) -> Option<Mono> {
        self.address.as_ref().filter(|_| self.attempt.is_none())?;
        match self.state {
            State::Resting { next_dial } => Some(next_dial),
            State::BackingOff { until, .. } => Some(until),
            State::Linked => None,
        }
    }
}
