//! When a peer is dialled: a pure rule, told of time, calls and outcomes by the peer's actor.
//!
//! States: at rest, dialling, backing off after a failure, linked. A call while the peer backs off fails at once with
//! the time that is left, except that a failure over a second old is put to the test again: what was down may be up,
//! and somebody is waiting. The delay grows with each failure and shrinks only after a link proved itself by a round
//! trip, so that a peer that takes connections and drops them is not dialled in a tight loop.

use std::time::Duration;

use truckee_engine::backoff::Backoff;
use truckee_engine::time::Mono;

/// A call may cut the backoff short when the last failure is this old. Below it the answer would most likely be the
/// same, and a caller in a loop would dial as fast as it loops.
pub(super) const RETRY_FOR_CALL_AFTER: Duration = Duration::from_secs(1);

/// What becomes of a call when there is no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    /// It waits for the attempt under way.
    Wait,
    /// It waits, and the attempt has to be started now.
    WaitAndDial,
    /// It fails: the next attempt is so far away.
    Down {
        /// Until the next attempt.
        retry_in: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting,
    Dialing,
    BackingOff { failed: Mono, until: Mono },
    Linked,
}

/// The rule for one peer.
#[derive(Debug)]
pub(super) struct Dialing {
    state: State,
    backoff: Backoff,
    /// Whether a link is wanted all the time.
    wanted: bool,
    was_up: bool,
}

impl Dialing {
    /// A peer that was never dialled. `seed` drives the jitter of its delays.
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self {
            state: State::Resting,
            backoff: Backoff::new(seed),
            wanted: false,
            was_up: false,
        }
    }

    /// Whether the last attempt or link failed and the next attempt waits.
    pub(super) fn is_backing_off(&self) -> bool {
        matches!(self.state, State::BackingOff { .. })
    }

    /// Says whether a link is wanted all the time; gives whether to dial now.
    pub(super) fn set_wanted(&mut self, wanted: bool) -> bool {
        self.wanted = wanted;
        self.dial_if(wanted && self.state == State::Resting)
    }

    /// A call came and there is no link.
    pub(super) fn handle_call(&mut self, now: Mono) -> Without {
        match self.state {
            State::Dialing => Without::Wait,
            State::BackingOff { failed, until }
                if now < until && now.saturating_sub(failed) < RETRY_FOR_CALL_AFTER =>
            {
                Without::Down {
                    retry_in: until.saturating_sub(now),
                }
            }
            // A link may be up but already on its way out; a fresh one is dialled beside it.
            State::Resting | State::BackingOff { .. } | State::Linked => {
                self.state = State::Dialing;
                Without::WaitAndDial
            }
        }
    }

    /// The attempt failed, or the last link was lost. Gives the time to the next attempt.
    pub(super) fn handle_failure(&mut self, now: Mono) -> Duration {
        let delay = self.backoff.next_delay();
        self.state = State::BackingOff {
            failed: now,
            until: now + delay,
        };
        delay
    }

    /// A link is up, whoever dialled it; says whether there had been one before.
    pub(super) fn handle_up(&mut self) -> bool {
        self.state = State::Linked;
        std::mem::replace(&mut self.was_up, true)
    }

    /// A request or heartbeat went there and back: the link works.
    pub(super) fn handle_round_trip(&mut self) {
        self.backoff.reset();
    }

    /// When to call [`Dialing::handle_timeout`].
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        match self.state {
            State::BackingOff { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Time has passed; gives whether to dial now.
    pub(super) fn handle_timeout(&mut self, now: Mono) -> bool {
        let State::BackingOff { until, .. } = self.state else {
            return false;
        };
        if now < until {
            return false;
        }
        self.state = State::Resting;
        self.dial_if(self.wanted)
    }

    fn dial_if(&mut self, dial: bool) -> bool {
        if dial {
            self.state = State::Dialing;
        }
        dial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    #[test]
    fn a_call_dials_and_others_wait_for_the_same_attempt() {
        let mut rule = Dialing::new([1; 32]);
        assert_eq!(rule.handle_call(at(0)), Without::WaitAndDial);
        assert_eq!(rule.handle_call(at(1)), Without::Wait);
    }

    #[test]
    fn a_call_soon_after_a_failure_is_told_when_and_a_later_one_dials() {
        let mut rule = Dialing::new([2; 32]);
        assert_eq!(rule.handle_call(at(0)), Without::WaitAndDial);
        // Failures until the delay is over the second that a call may cut short.
        let mut now = 0;
        let mut delay = rule.handle_failure(at(now));
        while delay < Duration::from_secs(2) {
            now += 60_000;
            delay = rule.handle_failure(at(now));
        }
        assert!(rule.is_backing_off());
        assert_eq!(rule.next_deadline(), Some(at(now) + delay));
        let left = delay - Duration::from_millis(999);
        assert_eq!(rule.handle_call(at(now + 999)), Without::Down { retry_in: left });
        assert_eq!(rule.handle_call(at(now + 1_000)), Without::WaitAndDial);
    }

    #[test]
    fn only_a_wanted_peer_is_dialled_again_by_itself() {
        let mut rule = Dialing::new([3; 32]);
        assert!(rule.set_wanted(true));
        let delay = rule.handle_failure(at(0));
        assert!(
            !rule.handle_timeout(Mono::ZERO),
            "not before its time, unless the delay is nothing"
        );
        assert!(rule.handle_timeout(Mono::ZERO + delay));
        rule.set_wanted(false);
        let delay = rule.handle_failure(at(0));
        assert!(!rule.handle_timeout(Mono::ZERO + delay));
        assert_eq!(rule.next_deadline(), None);
    }

    #[test]
    fn delays_grow_until_a_round_trip() {
        let mut rule = Dialing::new([4; 32]);
        let sum =
            |rule: &mut Dialing, count: u32| (0..count).map(|_| rule.handle_failure(at(0))).sum::<Duration>();
        let early = sum(&mut rule, 4);
        let late = sum(&mut rule, 20);
        assert!(late > early * 5);
        assert!(!rule.handle_up());
        rule.handle_round_trip();
        assert!(sum(&mut rule, 4) < late);
    }
}
