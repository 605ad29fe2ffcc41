//! Collects shares whose leases are over, as a machine without I/O: one beside each share store. Off until the operator
//! turns it on; it counts days and empties the trash of surplus shares also while it is off.
//!
//! Once a day it walks all buckets. A share whose lease is older than `expire_days` goes into the trash (phase one); what has
//! lain there for `wait_days` is deleted for good (phase two). In between, a renewal brings it back.
//!
//! States: *resting* until something is due; *asked*, one operation of the store is under way; *stopped*.
//!
//! The rules, each with its test:
//! - Off, it collects nothing, and deletes nothing of what had been collected before.
//! - In the first `expire_days` after it was turned on it collects nothing: before, nobody had a reason to renew. The same
//!   after the term was made shorter. Who loses the file of its state begins a term anew.
//! - Days are counted by the running time of the node as well as by the calendar ([`days`]): a clock that jumps ahead ages
//!   no lease faster than two days a day.
//! - The store decides again, with the lease at that moment, when a share is to go.
//! - What cannot be read is not collected.
//!
//! Bounded: one page of leases in memory, one operation at a time, at a rate.

mod days;
mod state;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::VecDeque;
use std::time::Duration;

use truckee_grid::bucket::Bucket;

pub use self::days::DAY_UPTIME;
use self::days::Days;
pub use self::state::{GcState, StateError, Term};
use self::walk::Walk;
use crate::store::{Amount, DiskFault, ShareId, Survey, TrashCause};
use crate::time::{Day, Mono, UnixSeconds};

/// Before the first walk of a process: time for links, and for renewals that were waiting for this node.
pub const START_REST: Duration = Duration::from_secs(600);
/// How often it is looked whether a day has passed.
pub const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How often the state is kept if no day has passed: so much running time is lost by a crash.
pub const SAVE_EVERY: Duration = Duration::from_secs(3600);
/// Between two operations: some 20 a second, each of which costs a disk a few syncs. A million shares go in a day.
pub const REST: Duration = Duration::from_millis(50);
/// When peers keep the store busy.
pub const BUSY_REST: Duration = Duration::from_secs(2);

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcConfig {
    /// Days after which a lease is over; `None`: collecting is off.
    pub expire_days: Option<u32>,
    /// Days that a share lies in the trash before it is deleted.
    pub wait_days: u32,
}

/// What the shell has to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep this.
    Save(GcState),
    /// Tell the store what day it is.
    Today(Day),
    /// Ask the store for a page of leases, and report by [`Collector::handle_surveyed`].
    Survey {
        /// Of which bucket.
        bucket: Bucket,
        /// Behind which share.
        after: Option<ShareId>,
    },
    /// Have the store move a share into the trash, and report by [`Collector::handle_moved`].
    Collect {
        /// Which.
        share: ShareId,
        /// The day to note.
        day: Day,
        /// Only if its lease is older.
        leased_before: Day,
    },
    /// Have the store delete from the trash, and report by [`Collector::handle_moved`].
    Empty {
        /// Of which bucket.
        bucket: Bucket,
        /// Why it was put there.
        cause: TrashCause,
        /// Before which day.
        before: Day,
    },
}

/// A look at the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct GcReport {
    /// Moved into the trash since the start.
    pub collected: Amount,
    /// Deleted for good since the start.
    pub deleted: Amount,
    /// Pages and shares that could not be looked at or moved since the start.
    pub failed: u64,
    /// Walks that came to their end since the start.
    pub walks: u64,
    /// Whether leases are collected, now or as soon as the first term is over.
    pub on: bool,
    /// Days until the first term is over.
    pub days_to_first: u32,
    /// Days that the calendar is ahead of those that were counted, at the last look.
    pub days_behind: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting { until: Mono },
    Asked,
    Stopped,
}

/// See the module. Inputs are the `handle_*` methods; after each, take effects by [`Collector::poll_effect`].
#[derive(Debug)]
pub struct Collector {
    config: GcConfig,
    term: Option<Term>,
    days: Days,
    state: State,
    walk: Option<Walk>,
    /// The day of the last walk.
    walked: Option<Day>,
    first_walk_at: Mono,
    save_at: Mono,
    report: GcReport,
    effects: VecDeque<Effect>,
}

impl Collector {
    /// Goes on from what an earlier process kept; `None`: there is nothing, and the calendar's day is the first one.
    pub fn new(config: GcConfig, kept: Option<GcState>, now: Mono, calendar: UnixSeconds) -> Collector {
        let state = kept.unwrap_or(GcState {
            today: Day::of(calendar),
            run: Duration::ZERO,
            term: None,
        });
        let mut collector = Collector {
            term: term(config, state),
            config,
            days: Days::new(state.today, state.run, now),
            state: State::Resting { until: now },
            walk: None,
            walked: None,
            first_walk_at: now + START_REST,
            save_at: now + SAVE_EVERY,
            report: GcReport::default(),
            effects: VecDeque::new(),
        };
        collector.save(now);
        collector.effects.push_back(Effect::Today(state.today));
        collector.handle_timeout(now, calendar);
        collector
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono, calendar: UnixSeconds) {
        if self.days.pass(now, calendar) {
            self.effects.push_back(Effect::Today(self.days.today()));
            self.save(now);
        } else if self.save_at <= now {
            self.save(now);
        }
        self.report.days_behind = self.days.behind(calendar);
        let is_due = matches!(self.state, State::Resting { until } if until <= now);
        if is_due {
            self.go_on(now);
        }
    }

    /// The store has answered for a page.
    pub fn handle_surveyed(&mut self, now: Mono, result: Result<Survey, DiskFault>) {
        let (State::Asked, Some(walk)) = (self.state, &mut self.walk) else {
            return;
        };
        match result {
            Ok(survey) => {
                self.report.failed += survey.unreadable;
                let before = due(self.config, self.term, self.days.today());
                walk.surveyed(&survey, before);
                self.rest(now, REST);
            }
            Err(DiskFault::Overloaded) => self.rest(now, BUSY_REST),
            Err(_) => {
                // The next walk looks again.
                self.report.failed += 1;
                walk.page_failed();
                self.rest(now, REST);
            }
        }
    }

    /// The store has moved or deleted shares.
    pub fn handle_moved(&mut self, now: Mono, result: Result<Amount, DiskFault>) {
        let (State::Asked, Some(walk)) = (self.state, &mut self.walk) else {
            return;
        };
        match result {
            Ok(amount) => {
                let deletes = walk.moved(amount);
                if deletes {
                    self.report.deleted.add(amount);
                } else {
                    self.report.collected.add(amount);
                }
                self.rest(now, REST);
            }
            Err(DiskFault::Overloaded) => self.rest(now, BUSY_REST),
            Err(fault) => {
                // What has gone meanwhile is nobody's fault; the next walk looks at the rest again.
                self.report.failed += u64::from(fault != DiskFault::NotFound);
                walk.move_failed();
                self.rest(now, REST);
            }
        }
    }

    /// Gives out what is to be kept, and then nothing any more.
    pub fn stop(&mut self, now: Mono, calendar: UnixSeconds) {
        self.days.pass(now, calendar);
        self.save(now);
        self.walk = None;
        self.state = State::Stopped;
    }

    /// When [`Collector::handle_timeout`] is due.
    pub fn next_deadline(&self) -> Option<Mono> {
        match self.state {
            State::Resting { until } => Some(until.min(self.save_at)),
            State::Asked => Some(self.save_at),
            State::Stopped => None,
        }
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// How things stand.
    pub fn report(&self) -> GcReport {
        let first = self.term.map(|term| term.since.plus(term.expire_days).plus(1));
        GcReport {
            on: self.term.is_some(),
            days_to_first: first.map_or(0, |first| first.saturating_sub(self.days.today())),
            ..self.report
        }
    }

    fn go_on(&mut self, now: Mono) {
        let today = self.days.today();
        if self.walk.is_none() && self.walked != Some(today) && self.first_walk_at <= now {
            self.walk = Some(Walk::new());
        }
        let Some(walk) = &mut self.walk else {
            return self.rest(now, LOOK_EVERY);
        };
        let leased_before = due(self.config, self.term, today);
        let delete_before = today.number().checked_sub(self.config.wait_days);
        match walk.next(today, leased_before, delete_before.map(Day::from_number)) {
            Some(effect) => {
                self.effects.push_back(effect);
                self.state = State::Asked;
            }
            None => {
                self.walk = None;
                self.walked = Some(today);
                self.report.walks += 1;
                self.rest(now, LOOK_EVERY);
            }
        }
    }

    fn rest(&mut self, now: Mono, rest: Duration) {
        self.state = State::Resting { until: now + rest };
    }

    fn save(&mut self, now: Mono) {
        self.save_at = now + SAVE_EVERY;
        self.effects.push_back(Effect::Save(GcState {
            today: self.days.today(),
            run: self.days.run(),
            term: self.term,
        }));
    }
}

/// The term that holds from now on: a new one if collecting was off before or is to be quicker than it was.
fn term(config: GcConfig, kept: GcState) -> Option<Term> {
    let expire_days = config.expire_days?;
    let since = match kept.term {
        Some(before) if before.expire_days <= expire_days => before.since,
        _ => kept.today,
    };
    Some(Term { since, expire_days })
}

/// Leases from before this day are over; `None`: none is.
pub fn due(config: GcConfig, term: Option<Term>, today: Day) -> Option<Day> {
    let (expire_days, term) = (config.expire_days?, term?);
    let first_term_over = today > term.since.plus(expire_days);
    let before = today.number().checked_sub(expire_days).map(Day::from_number);
    before.filter(|_| first_term_over)
}
