//! Days as the node itself has seen them pass.
//!
//! The calendar may jump: a machine whose clock is a year ahead for an hour must not count all leases as over. So a day is
//! counted only when the calendar has reached it *and* the node has run for [`DAY_UPTIME`] since the last one. Then a day
//! that the node counts never comes sooner than half a day of its running after the one before, whatever the clock says; a
//! clock that is behind holds the count, and never turns it back. After time off, or behind a clock that was set right, the
//! count catches up at two days a day.

use std::time::Duration;

use crate::time::{Day, Mono, UnixSeconds};

/// Running time that each day needs. Half a day, so that a node that was off catches up, and one that is restarted often
/// still counts every day.
pub const DAY_UPTIME: Duration = Duration::from_secs(12 * 3600);

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Days {
    today: Day,
    /// Running time since the last day was counted, at most [`DAY_UPTIME`].
    run: Duration,
    seen_at: Mono,
}

impl Days {
    /// Goes on from what an earlier process had counted.
    pub(super) fn new(today: Day, run: Duration, now: Mono) -> Days {
        Days {
            today,
            run: run.min(DAY_UPTIME),
            seen_at: now,
        }
    }

    pub(super) fn today(&self) -> Day {
        self.today
    }

    pub(super) fn run(&self) -> Duration {
        self.run
    }

    /// Days that the calendar is ahead.
    pub(super) fn behind(&self, calendar: UnixSeconds) -> u32 {
        Day::of(calendar).saturating_sub(self.today)
    }

    /// Time has passed; true if a day was counted. One at a time: what is not used is not saved up.
    pub(super) fn pass(&mut self, now: Mono, calendar: UnixSeconds) -> bool {
        let ran = now.saturating_sub(self.seen_at);
        self.seen_at = now;
        self.run = (self.run + ran).min(DAY_UPTIME);
        if self.run < DAY_UPTIME || Day::of(calendar) <= self.today {
            return false;
        }
        self.today = self.today.plus(1);
        self.run = Duration::ZERO;
        true
    }
}
