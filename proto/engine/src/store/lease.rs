//! Leases in the store: renewed for peers, in bulk, and looked through for the collector.
//!
//! A renewal of many files goes bucket by bucket, one disk operation at a time, and is answered when all of it is durable. A
//! share that its uploader finds there already is renewed before the uploader hears of it: it counts on that share from then
//! on. Leases are granted from the calendar's day or from the day that the node counts, whichever is later, so that a clock
//! that is behind makes none old.

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::StorageIndex;
use truckee_wire::message::{Failure, FailureCode, LeasesRenewed, Response};

use super::trash::Amount;
use super::types::{Asked, DiskDone, DiskFault, DiskOp, Effect, ShareId, Ticket};
use super::{Pending, RETRY_DISK, Store};
use crate::time::{Day, Mono};

/// Renewals of many files at once, each with some 50 KB of storage indexes: gateways ask one after the other.
const RENEWALS_MAX: usize = 8;

/// How old the lease of a share is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leased {
    /// Which.
    pub share: ShareId,
    /// Length of its file.
    pub file_bytes: u64,
    /// When its file was last renewed, or the share written.
    pub lease: Day,
}

/// A page of the leases of one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Survey {
    /// Ascending; at most [`super::LIST_MAX`].
    pub leased: Vec<Leased>,
    /// Where the next page goes on, if there may be more shares.
    pub next: Option<ShareId>,
    /// Shares, or directories of them, that the disk could not look at.
    pub unreadable: u64,
}

/// A renewal of many files, under way.
#[derive(Debug)]
pub(super) struct Renewal {
    sis: Vec<StorageIndex>,
    /// Of those that are done.
    held: Vec<bool>,
    day: Day,
    deadline: Mono,
}

impl Store {
    /// What day it is, as far as the node itself has seen days pass. Never goes back.
    pub fn set_today(&mut self, today: Day) {
        self.today = self.today.max(today);
    }

    /// Asks for a page of the leases of a bucket, those behind `after`; answered by [`Effect::Surveyed`]. Refused as
    /// [`Store::verify`].
    pub fn survey(&mut self, ticket: Ticket, bucket: Bucket, after: Option<ShareId>) {
        if self.is_crowded() {
            let result = Err(DiskFault::Overloaded);
            self.effects.push_back(Effect::Surveyed { ticket, result });
            return;
        }
        self.report.reads_in_flight += 1;
        self.disk(DiskOp::Survey { bucket, after }, Pending::Survey { ticket });
    }

    pub(super) fn surveyed(&mut self, ticket: Ticket, outcome: Result<DiskDone, DiskFault>) {
        self.report.reads_in_flight -= 1;
        let result = match outcome {
            Ok(DiskDone::Surveyed(survey)) => Ok(survey),
            Ok(_) => Err(DiskFault::Failed),
            Err(fault) => Err(fault),
        };
        self.effects.push_back(Effect::Surveyed { ticket, result });
    }

    /// The day of a lease that is granted now.
    fn lease_day(&self) -> Day {
        self.today.max(Day::of(self.calendar))
    }

    pub(super) fn renew_leases(&mut self, now: Mono, asked: Asked, sis: Vec<StorageIndex>) {
        if self.stopping || self.renewals.len() >= RENEWALS_MAX || self.is_crowded() {
            let text = "the disk has work that comes before renewals";
            return self.fail(asked.ticket, Failure::busy(RETRY_DISK, text));
        }
        let renewal = Renewal {
            held: Vec::with_capacity(sis.len()),
            sis,
            day: self.lease_day(),
            deadline: asked.deadline,
        };
        self.renewals.insert(asked.ticket, renewal);
        self.renew_next(now, asked.ticket);
    }

    /// Has the disk renew what the next bucket has of a renewal, or answers it.
    fn renew_next(&mut self, now: Mono, ticket: Ticket) {
        let Some(renewal) = self.renewals.get(&ticket) else {
            return;
        };
        let left = &renewal.sis[renewal.held.len()..];
        let Some(bucket) = left.first().map(Bucket::of) else {
            let renewed = LeasesRenewed::of(&renewal.held);
            self.renewals.remove(&ticket);
            return self.answer(ticket, Response::LeasesRenewed(renewed));
        };
        if now >= renewal.deadline {
            self.renewals.remove(&ticket);
            let text = "the time budget was over when some of the leases were renewed";
            return self.fail(ticket, Failure::new(FailureCode::Expired, text));
        }
        let of_bucket = left.iter().take_while(|si| Bucket::of(si) == bucket);
        let (day, sis) = (renewal.day, of_bucket.copied().collect());
        self.disk(
            DiskOp::Renew { bucket, day, sis },
            Pending::Renew { ticket, kept: None },
        );
    }

    /// Renews the lease of a share that its uploader has found there, and then answers.
    pub(super) fn keep_and_answer(&mut self, ticket: Ticket, share: ShareId, response: Response) {
        let op = DiskOp::Renew {
            bucket: Bucket::of(&share.si),
            day: self.lease_day(),
            sis: vec![share.si],
        };
        let kept = Some((share, Box::new(response)));
        self.disk(op, Pending::Renew { ticket, kept });
    }

    pub(super) fn renewed(
        &mut self,
        now: Mono,
        ticket: Ticket,
        kept: Option<(ShareId, Box<Response>)>,
        outcome: Result<DiskDone, DiskFault>,
    ) {
        let held = match outcome {
            Ok(DiskDone::Renewed { held, restored }) => {
                self.came_back(restored);
                self.report.leases_renewed += held.iter().filter(|held| **held).count() as u64;
                held
            }
            other => {
                let fault = other.err().unwrap_or(DiskFault::Failed);
                self.renewals.remove(&ticket);
                return self.fail(ticket, fault.into());
            }
        };
        if let Some((_, response)) = kept {
            return self.answer(ticket, *response);
        }
        if let Some(renewal) = self.renewals.get_mut(&ticket) {
            renewal.held.extend(held);
            self.renew_next(now, ticket);
        }
    }

    fn came_back(&mut self, restored: Amount) {
        self.report.share_count += restored.shares;
        self.taken_out.add(restored);
    }
}
