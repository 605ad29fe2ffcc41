//! The trash: where a finished share waits that is not wanted any more.
//!
//! A share in the trash is whole and durable and is not served; its bytes still count as used. Keepers see it gone if it was
//! surplus. If its lease was over they are told of it until it is deleted: all its like go at about the same time, and
//! nobody is to make them again. It can be given its place back until it is deleted for good. Who
//! calls decides which shares go and how long they wait. Owns no state: what lies in the trash is the disk's, the machine
//! counts it.

use super::types::{DiskDone, DiskFault, DiskOp, Effect, ShareId, Ticket};
use super::{Pending, Store};
use crate::time::Day;
use truckee_grid::bucket::Bucket;

/// Why a share is in the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrashCause {
    /// Its lease was over.
    Expired,
    /// There are more copies of it than are wanted.
    Surplus,
}

impl TrashCause {
    /// All of them.
    pub const ALL: [TrashCause; 2] = [TrashCause::Expired, TrashCause::Surplus];

    /// The word in names of files.
    pub fn word(self) -> &'static str {
        match self {
            TrashCause::Expired => "expired",
            TrashCause::Surplus => "surplus",
        }
    }

    /// The cause of a word.
    pub fn from_word(word: &str) -> Option<TrashCause> {
        TrashCause::ALL.into_iter().find(|cause| cause.word() == word)
    }
}

/// What is kept with a share in the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrashMark {
    /// When it was put there.
    pub day: Day,
    /// Why.
    pub cause: TrashCause,
}

/// How many shares, and the length of their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Amount {
    /// How many.
    pub shares: u64,
    /// Length of their files.
    pub bytes: u64,
}

impl Amount {
    /// One share.
    pub fn one(bytes: u64) -> Amount {
        Amount { shares: 1, bytes }
    }

    /// Adds another amount.
    pub fn add(&mut self, more: Amount) {
        self.shares += more.shares;
        self.bytes += more.bytes;
    }

    /// What is left without another amount; not less than nothing.
    #[must_use]
    pub fn without(self, less: Amount) -> Amount {
        Amount {
            shares: self.shares.saturating_sub(less.shares),
            bytes: self.bytes.saturating_sub(less.bytes),
        }
    }
}

impl Store {
    /// Moves a finished share into the trash; answered by [`Effect::TrashDone`]. Refused with
    /// [`DiskFault::Overloaded`] while peers keep the disk busy, while the share is being written or looked for, and from
    /// [`Store::stop`] on.
    pub fn trash(&mut self, ticket: Ticket, share: ShareId, mark: TrashMark) {
        if self.is_asked_for(share) {
            return self.trash_done(ticket, Err(DiskFault::Overloaded));
        }
        let leased_before = None;
        self.trash_op(
            ticket,
            DiskOp::Trash {
                share,
                mark,
                leased_before,
            },
        );
    }

    /// The same for a share whose lease is over: with nothing moved if it has been renewed and is not from before
    /// `leased_before` any more.
    pub fn collect(&mut self, ticket: Ticket, share: ShareId, day: Day, leased_before: Day) {
        if self.is_asked_for(share) {
            return self.trash_done(ticket, Err(DiskFault::Overloaded));
        }
        let cause = TrashCause::Expired;
        self.trash_op(
            ticket,
            DiskOp::Trash {
                share,
                mark: TrashMark { day, cause },
                leased_before: Some(leased_before),
            },
        );
    }

    /// Gives a share in the trash its place back; answered by [`Effect::TrashDone`], with nothing moved if there is one in
    /// its place. Refused as [`Store::trash`].
    pub fn restore(&mut self, ticket: Ticket, share: ShareId) {
        self.trash_op(ticket, DiskOp::Restore { share });
    }

    /// Deletes for good some of what was put into the trash of a bucket for a cause before a day; answered by [`Effect::TrashDone`],
    /// with nothing if nothing is left. Refused as [`Store::trash`].
    pub fn empty_trash(&mut self, ticket: Ticket, bucket: Bucket, cause: TrashCause, before: Day) {
        self.trash_op(
            ticket,
            DiskOp::Empty {
                bucket,
                cause,
                before,
            },
        );
    }

    fn trash_op(&mut self, ticket: Ticket, op: DiskOp) {
        if self.is_crowded() {
            return self.trash_done(ticket, Err(DiskFault::Overloaded));
        }
        let share = match &op {
            DiskOp::Trash { share, .. } => Some(*share),
            _ => None,
        };
        self.disk(op, Pending::Trash { ticket, share });
    }

    fn trash_done(&mut self, ticket: Ticket, result: Result<Amount, DiskFault>) {
        self.effects.push_back(Effect::TrashDone { ticket, result });
    }

    /// Keeps the books right about what was moved, and answers.
    pub(super) fn trash_moved(&mut self, ticket: Ticket, outcome: &Result<DiskDone, DiskFault>) {
        let result = match *outcome {
            Ok(DiskDone::Trashed { file_bytes }) => {
                self.report.share_count = self.report.share_count.saturating_sub(1);
                self.thrown.add(Amount::one(file_bytes));
                Ok(Amount::one(file_bytes))
            }
            Ok(DiskDone::Restored { file_bytes }) => {
                self.report.share_count += 1;
                self.taken_out.add(Amount::one(file_bytes));
                Ok(Amount::one(file_bytes))
            }
            Ok(DiskDone::Emptied { gone }) => {
                self.taken_out.add(gone);
                self.space.gone(gone.bytes);
                Ok(gone)
            }
            Ok(DiskDone::Exists { .. } | DiskDone::Kept) => Ok(Amount::default()),
            Ok(_) => Err(DiskFault::Failed),
            Err(fault) => Err(fault),
        };
        self.trash_done(ticket, result);
    }
}
