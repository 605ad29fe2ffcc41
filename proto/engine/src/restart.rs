//! When a supervised child is started again: a pure rule over the times and reasons of its ends.
//!
//! States: the child runs, or waits for its next start (the shell holds the timer), or is given up. The rule keeps the
//! times of the ends within the window and nothing else. It does not know what the child is, and it does not promise
//! that a restarted child works: that is what the window is for.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Mono;

/// Which ends of a child are followed by a new start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Every end but one that was asked for: the node is not whole without this child.
    Permanent,
    /// A failure or a panic; a child that is done may stay away.
    Transient,
    /// None: whoever wanted the child gets its error.
    Temporary,
}

/// Why a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitReason {
    /// It was done, or was asked to stop.
    Stopped,
    /// It found that it cannot go on.
    Failed,
    /// It panicked.
    Panicked,
}

impl ExitReason {
    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            ExitReason::Stopped => "stopped",
            ExitReason::Failed => "failed",
            ExitReason::Panicked => "panicked",
        }
    }
}

/// How often and how soon a child is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Starts again at most this often within `window`; one more end escalates. 0: the first end escalates.
    pub restarts_max: u32,
    /// See `restarts_max`.
    pub window: Duration,
    /// Waits so long before the first start again in a window; each further one waits twice as long.
    pub delay_first: Duration,
    /// Waits at most so long.
    pub delay_max: Duration,
}

impl Policy {
    /// Five in a minute: a fault that comes back at once is given up within seconds, one that comes every quarter of
    /// an hour costs a few dropped requests each time.
    pub const USUAL: Policy = Policy {
        restarts_max: 5,
        window: Duration::from_secs(60),
        delay_first: Duration::from_millis(50),
        delay_max: Duration::from_secs(5),
    };

    /// Never: a child whose state after a panic cannot be trusted, such as the share store, takes the node down, and
    /// the service manager starts a fresh process.
    pub const NEVER: Policy = Policy {
        restarts_max: 0,
        window: Duration::from_secs(60),
        delay_first: Duration::ZERO,
        delay_max: Duration::ZERO,
    };
}

/// What to do about an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start a fresh child after this time.
    Restart {
        /// Time to wait.
        after: Duration,
    },
    /// Nothing: the child was done.
    Forget,
    /// The child ended too often: whoever is responsible for the supervisor has to act.
    Escalate {
        /// Ends within the window, this one included.
        exits: u32,
    },
}

/// The rule for one child.
#[derive(Clone, Debug)]
pub struct Restart {
    class: Class,
    policy: Policy,
    /// Times of the ends within the window, oldest first; never longer than `restarts_max`.
    ends: VecDeque<Mono>,
}

impl Restart {
    /// The rule for a child that has not ended yet.
    pub fn new(class: Class, policy: Policy) -> Self {
        Self {
            class,
            policy,
            ends: VecDeque::new(),
        }
    }

    /// Judges an end of the child at `now`.
    pub fn handle_exit(&mut self, now: Mono, reason: ExitReason) -> Verdict {
        let again = match self.class {
            Class::Permanent => true,
            Class::Transient => reason != ExitReason::Stopped,
            Class::Temporary => false,
        };
        if !again {
            return Verdict::Forget;
        }
        while self
            .ends
            .front()
            .is_some_and(|end| now.saturating_sub(*end) >= self.policy.window)
        {
            self.ends.pop_front();
        }
        let earlier = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        if earlier >= self.policy.restarts_max {
            return Verdict::Escalate {
                exits: earlier.saturating_add(1),
            };
        }
        self.ends.push_back(now);
        // 2^20 times any sensible first delay is over any sensible last one.
        let doubled = self.policy.delay_first.saturating_mul(1 << earlier.min(20));
        Verdict::Restart {
            after: doubled.min(self.policy.delay_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        restarts_max: 3,
        window: Duration::from_secs(10),
        delay_first: Duration::from_millis(100),
        delay_max: Duration::from_millis(300),
    };

    fn restart_ms(ms: u64) -> Verdict {
        Verdict::Restart {
            after: Duration::from_millis(ms),
        }
    }

    #[test]
    fn delays_double_to_their_bound_and_one_too_many_escalates() {
        let mut rule = Restart::new(Class::Permanent, POLICY);
        assert_eq!(
            rule.handle_exit(Mono::from_millis(0), ExitReason::Panicked),
            restart_ms(100)
        );
        assert_eq!(
            rule.handle_exit(Mono::from_millis(1), ExitReason::Failed),
            restart_ms(200)
        );
        assert_eq!(
            rule.handle_exit(Mono::from_millis(2), ExitReason::Stopped),
            restart_ms(300)
        );
        assert_eq!(
            rule.handle_exit(Mono::from_millis(9_999), ExitReason::Panicked),
            Verdict::Escalate { exits: 4 }
        );
    }

    #[test]
    fn ends_outside_the_window_do_not_count() {
        let mut rule = Restart::new(Class::Permanent, POLICY);
        for second in 0..100 {
            let verdict = rule.handle_exit(Mono::from_millis(second * 5_000), ExitReason::Panicked);
            assert!(
                matches!(verdict, Verdict::Restart { .. }),
                "{second}: {verdict:?}"
            );
        }
        assert!(rule.ends.len() <= 3);
    }

    #[test]
    fn the_class_says_which_ends_matter() {
        use ExitReason::{Failed, Panicked, Stopped};
        let restarted = |class, reason| {
            let verdict = Restart::new(class, POLICY).handle_exit(Mono::ZERO, reason);
            matches!(verdict, Verdict::Restart { .. })
        };
        assert_eq!(
            [Stopped, Failed, Panicked].map(|r| restarted(Class::Permanent, r)),
            [true; 3]
        );
        assert_eq!(
            [Stopped, Failed, Panicked].map(|r| restarted(Class::Transient, r)),
            [false, true, true]
        );
        assert_eq!(
            [Stopped, Failed, Panicked].map(|r| restarted(Class::Temporary, r)),
            [false; 3]
        );
    }

    #[test]
    fn the_policy_never_escalates_at_the_first_end() {
        let mut rule = Restart::new(Class::Permanent, Policy::NEVER);
        assert_eq!(
            rule.handle_exit(Mono::ZERO, ExitReason::Panicked),
            Verdict::Escalate { exits: 1 }
        );
    }
}
