//! The scrubber of one storage node, without a disk or a clock: which share is read back next, and when.
//!
//! It goes round all buckets, for ever: lists one, has each share in it checked, goes on to the next. A *round* is all
//! buckets once, each from the same first bucket on, which is drawn by lot when there is no saved place. Three things hold
//! it back. Its rate: a check begins only when all before it are paid for, so over any time it reads no more than the rate
//! and one share. Its round: buckets are spread over the shortest time that a round may take, so that a nearly empty node
//! does not read the same megabyte all day. And load: a store that refuses a check or a list because peers keep it busy is
//! left alone for a while. One check or list at a time.
//!
//! States: resting until some moment, waiting for a list, waiting for a check, stopped. The place in the round is given out
//! to be saved, at most once a minute, at the end of a round and when it stops; from there the next process goes on. A share that came after its
//! bucket was listed is checked in the next round; one that has gone meanwhile is no error.
//!
//! What is damaged is put aside by the store, which counts it; here it is told apart for the report of the round. What the
//! disk cannot read is counted and passed over, with rests that grow, so that a dying disk is not worn out by it.
//!
//! Order of use: any `handle_*` or [`Scrub::stop`], then [`Scrub::poll_effect`] until it gives nothing, then
//! [`Scrub::next_deadline`].

mod cursor;
mod pace;
mod report;

use std::collections::VecDeque;
use std::time::Duration;

use truckee_grid::bucket::Bucket;

pub use self::cursor::{Cursor, CursorError};
use self::pace::{Budget, Schedule};
pub use self::pace::{ROUND_LEAST, SHARE_COST_BYTES, ScrubConfig};
pub use self::report::{RoundReport, ScrubReport};
use crate::store::{DiskFault, Holding, Listing, ShareId};
use crate::time::{Mono, UnixSeconds};

/// After a start, before anything is read: a node that starts has other work, and one that crashes at once and again must
/// not read a share each time.
pub const START_REST: Duration = Duration::from_secs(5);
/// When to ask again after the store was too busy: short beside a round, long beside a request.
pub const BUSY_REST: Duration = Duration::from_secs(1);
/// After the disk could not read something; twice as long after each further time in a row, up to [`FAILED_REST_MAX`].
pub const FAILED_REST: Duration = Duration::from_secs(1);
/// See [`FAILED_REST`]: with it a dead disk is asked for a share a minute.
pub const FAILED_REST_MAX: Duration = Duration::from_secs(64);
/// How often a bucket that cannot be listed is tried before it is passed over until the next round.
pub const LIST_TRIES: u32 = 3;
/// Within a round the place is saved at most so often: a crash costs a minute of checks, and a disk hardly notices.
pub const SAVE_EVERY: Duration = Duration::from_secs(60);

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the store for a page of a bucket and report it by [`Scrub::handle_listed`].
    List {
        /// Which bucket.
        bucket: Bucket,
        /// Only shares behind this one.
        after: Option<ShareId>,
    },
    /// Have the store check a share and report the outcome by [`Scrub::handle_verified`].
    Verify {
        /// Which share.
        share: ShareId,
    },
    /// Keep the place in the round for the next process. If it cannot be kept, that costs repeated work only.
    Save(Cursor),
    /// All buckets were gone through.
    RoundDone(RoundReport),
}

/// What is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting { until: Mono },
    Listing,
    Verifying { share: Holding, since: Mono },
    Stopped,
}

/// How much of the current bucket is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    /// Nothing, or up to this share.
    UpTo(Option<ShareId>),
    /// All.
    Whole,
}

/// See the module.
#[derive(Debug)]
pub struct Scrub {
    config: ScrubConfig,
    state: State,
    /// The place in the round, and what the round has come to so far.
    place: Cursor,
    schedule: Schedule,
    budget: Budget,
    listed: Listed,
    /// Listed and not checked yet; at most a page.
    page: VecDeque<Holding>,
    /// Times in a row that the disk could not read something.
    failures: u32,
    /// Times in a row that the bucket could not be listed.
    list_tries: u32,
    totals: ScrubReport,
    /// Whether the place has moved since it was saved.
    unsaved: bool,
    save_at: Mono,
    effects: VecDeque<Effect>,
}

impl Scrub {
    /// A scrubber that goes on at the saved place, or else begins a round at a bucket that `chance` says: any number.
    pub fn new(
        config: ScrubConfig,
        saved: Option<Cursor>,
        chance: u64,
        now: Mono,
        unix: UnixSeconds,
    ) -> Scrub {
        let drawn = Bucket::FIRST.further((chance % Bucket::COUNT as u64) as usize);
        let place = saved.unwrap_or(Cursor::begin(drawn, unix));
        let mut scrub = Scrub {
            config,
            state: State::Resting {
                until: now + START_REST,
            },
            schedule: Schedule::new(&config, place.started, now, unix),
            budget: Budget::new(&config),
            listed: Listed::UpTo(place.after),
            page: VecDeque::new(),
            failures: 0,
            list_tries: 0,
            totals: ScrubReport::default(),
            unsaved: false,
            save_at: now,
            effects: VecDeque::new(),
            place,
        };
        scrub.tell();
        scrub
    }

    /// The store has answered a list.
    pub fn handle_listed(&mut self, now: Mono, unix: UnixSeconds, result: Result<Listing, DiskFault>) {
        if self.state != State::Listing {
            return;
        }
        match result {
            Ok(listing) => {
                self.failures = 0;
                self.list_tries = 0;
                self.found(listing.put_aside, listing.unreadable);
                self.listed = listing
                    .next
                    .map_or(Listed::Whole, |next| Listed::UpTo(Some(next)));
                self.page.extend(listing.holdings);
                self.rest(now, Duration::ZERO);
            }
            Err(DiskFault::Overloaded) => self.rest(now, BUSY_REST),
            Err(_) => {
                self.list_tries += 1;
                if self.list_tries >= LIST_TRIES {
                    self.list_tries = 0;
                    self.listed = Listed::Whole;
                    self.found(0, 1);
                }
                self.rest_after_failure(now);
            }
        }
        self.go_on(now, unix);
    }

    /// The store has answered a check: the bytes that it read, or what is wrong.
    pub fn handle_verified(&mut self, now: Mono, unix: UnixSeconds, result: Result<u64, DiskFault>) {
        let State::Verifying { share, since } = self.state else {
            return;
        };
        if result == Err(DiskFault::Overloaded) {
            self.page.push_front(share);
            self.rest(now, BUSY_REST);
            self.go_on(now, unix);
            return;
        }
        let read = result.map_or(share.file_bytes, |bytes| bytes.max(share.file_bytes));
        let is_gone = result == Err(DiskFault::NotFound);
        if !is_gone {
            self.budget.pay(since, read);
        }
        match result {
            Ok(_) | Err(DiskFault::Corrupt | DiskFault::NotFound) => {
                self.failures = 0;
                self.rest(now, Duration::ZERO);
            }
            Err(_) => self.rest_after_failure(now),
        }
        match result {
            Ok(_) => {
                self.place.shares = self.place.shares.saturating_add(1);
                self.place.bytes = self.place.bytes.saturating_add(read);
                self.totals.sound += 1;
            }
            Err(DiskFault::NotFound) => {}
            Err(DiskFault::Corrupt) => self.found(1, 0),
            Err(_) => self.found(0, 1),
        }
        self.place.after = Some(share.share);
        self.moved(now);
        self.go_on(now, unix);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono, unix: UnixSeconds) {
        self.save(now);
        self.go_on(now, unix);
    }

    /// When [`Scrub::handle_timeout`] is due.
    pub fn next_deadline(&self) -> Option<Mono> {
        let rest = match self.state {
            State::Resting { until } => Some(until),
            State::Listing | State::Verifying { .. } => None,
            State::Stopped => return None,
        };
        let save = self.unsaved.then_some(self.save_at);
        [rest, save].into_iter().flatten().min()
    }

    /// Gives out the place to be saved and then nothing any more; answers that still come are ignored.
    pub fn stop(&mut self) {
        if self.state != State::Stopped {
            self.state = State::Stopped;
            self.page.clear();
            if self.unsaved {
                self.unsaved = false;
                self.effects.push_back(Effect::Save(self.place));
            }
        }
    }

    /// The next thing to do, if any.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// A look at the scrubber.
    pub fn report(&self) -> ScrubReport {
        self.totals
    }

    /// How long a round takes over so many shares of so many bytes, if nothing holds it up.
    pub fn planned(&self, shares: u64, bytes: u64) -> Duration {
        self.config.planned(shares, bytes)
    }

    /// Does what is due now.
    fn go_on(&mut self, now: Mono, unix: UnixSeconds) {
        while let State::Resting { until } = self.state {
            if until > now {
                break;
            }
            if let Some(share) = self.page.front().copied() {
                self.begin_check(now, share);
            } else if let Listed::UpTo(after) = self.listed {
                self.begin_list(now, after);
            } else {
                self.end_bucket(now, unix);
            }
        }
        self.tell();
    }

    fn begin_check(&mut self, now: Mono, share: Holding) {
        let payable = self.budget.payable_at();
        if payable > now {
            self.state = State::Resting { until: payable };
            return;
        }
        self.page.pop_front();
        self.state = State::Verifying { share, since: now };
        self.effects.push_back(Effect::Verify { share: share.share });
    }

    fn begin_list(&mut self, now: Mono, after: Option<ShareId>) {
        let due = self.schedule.due(self.place.done);
        if due > now {
            self.state = State::Resting { until: due };
            return;
        }
        self.state = State::Listing;
        let bucket = self.place.bucket();
        self.effects.push_back(Effect::List { bucket, after });
    }

    fn end_bucket(&mut self, now: Mono, unix: UnixSeconds) {
        self.listed = Listed::UpTo(None);
        self.place.after = None;
        self.place.done += 1;
        if self.place.done == Bucket::COUNT {
            let report = self.place.report(unix);
            self.effects.push_back(Effect::RoundDone(report));
            self.totals.rounds += 1;
            // The next one begins when this one has had its least time, at the latest now.
            let begins = self.schedule.due(Bucket::COUNT).max(now);
            self.place = Cursor {
                last_ended: Some(unix),
                ..Cursor::begin(self.place.first, unix + begins.saturating_sub(now))
            };
            self.schedule = Schedule::beginning(&self.config, begins);
            // At once: what was reported is not to be reported again after a crash.
            self.save_at = now;
        }
        self.moved(now);
    }

    fn rest(&mut self, now: Mono, time: Duration) {
        self.state = State::Resting { until: now + time };
    }

    fn rest_after_failure(&mut self, now: Mono) {
        let doubled = FAILED_REST.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        self.rest(now, doubled.min(FAILED_REST_MAX));
    }

    /// Counts what is not sound.
    fn found(&mut self, corrupt: u64, unreadable: u64) {
        self.place.corrupt = self.place.corrupt.saturating_add(corrupt);
        self.place.unreadable = self.place.unreadable.saturating_add(unreadable);
        self.totals.corrupt += corrupt;
        self.totals.unreadable += unreadable;
    }

    /// The place is another one.
    fn moved(&mut self, now: Mono) {
        self.unsaved = true;
        self.save(now);
    }

    fn save(&mut self, now: Mono) {
        if self.unsaved && self.save_at <= now && self.state != State::Stopped {
            self.unsaved = false;
            self.save_at = now + SAVE_EVERY;
            self.effects.push_back(Effect::Save(self.place));
        }
    }

    fn tell(&mut self) {
        self.totals.buckets_done = self.place.done;
        self.totals.round_started = self.place.started;
        self.totals.last_ended = self.place.last_ended;
    }
}

#[cfg(test)]
mod tests;
