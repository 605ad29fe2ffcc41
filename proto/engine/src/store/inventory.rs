//! What the store holds as a whole, for storage nodes that look for files with missing shares: how often each bucket has
//! changed since the process began, what came last ([`super::ChangeLog`]), and pages of what is in one.
//!
//! Not promised: that a share which vanished behind the disk's back, or which nobody has found to be damaged yet, is counted.

use std::collections::BTreeMap;

use truckee_grid::bucket::Bucket;
use truckee_wire::message::{
    Failure, FailureCode, Inventory, ListShares, ListedShare, Response, SharePlace, SharesListed,
};

use super::change_log::ChangeLog;
use super::types::{DiskDone, DiskFault, DiskOp, DiskReply, DiskToken, Holding, Listing, ShareId, Ticket};
use super::{Pending, RETRY_DISK, Store};
use crate::time::Mono;

/// What an operation may do to a bucket.
#[derive(Clone, Copy, Debug)]
enum May {
    /// Store this share there.
    Store(ListedShare),
    /// Change it in another way.
    Change(Bucket),
    /// Find it changed.
    Look(Bucket),
}

impl May {
    fn of(op: &DiskOp) -> Option<May> {
        match op {
            DiskOp::Finish { share, closing, .. } | DiskOp::Put { share, closing, .. } => {
                let coding = closing.file.ueb.coding();
                let place = (*share).into();
                Some(May::Store(ListedShare { place, coding }))
            }
            read if read.only_reads() => read.bucket().map(May::Look),
            write => write.bucket().map(May::Change),
        }
    }

    fn bucket(&self) -> Bucket {
        match self {
            May::Store(share) => Bucket::of(&share.place.si),
            May::Change(bucket) | May::Look(bucket) => *bucket,
        }
    }
}

/// Counts what disk operations change.
#[derive(Debug)]
pub(super) struct Changes {
    log: ChangeLog,
    under_way: BTreeMap<DiskToken, May>,
}

impl Changes {
    /// `epoch` as for [`ChangeLog::new`].
    pub(super) fn new(epoch: u64) -> Changes {
        Changes {
            log: ChangeLog::new(epoch),
            under_way: BTreeMap::new(),
        }
    }

    pub(super) fn log(&self) -> &ChangeLog {
        &self.log
    }

    pub(super) fn begin(&mut self, token: DiskToken, op: &DiskOp) {
        self.under_way.extend(May::of(op).map(|may| (token, may)));
    }

    pub(super) fn end(&mut self, token: DiskToken, reply: &DiskReply) {
        let Some(may) = self.under_way.remove(&token) else {
            return;
        };
        let damaged = reply.damage.shares > 0;
        let changed = match &reply.result {
            Ok(DiskDone::Stored { .. } | DiskDone::Trashed { .. } | DiskDone::Restored { .. }) => true,
            Ok(DiskDone::Gone { file_bytes }) => *file_bytes > 0,
            Ok(DiskDone::Emptied { gone }) => gone.shares > 0,
            Ok(DiskDone::Renewed { restored, .. }) => restored.shares > 0,
            // It may have failed after its work was done, when that was to be made durable.
            Err(DiskFault::Failed) => !matches!(may, May::Look(_)),
            _ => false,
        };
        match (may, &reply.result) {
            (May::Store(share), Ok(DiskDone::Stored { .. })) if !damaged => self.log.share_came(share),
            _ if damaged || changed => self.log.changed(may.bucket()),
            _ => {}
        }
    }
}

impl Store {
    pub(super) fn inventory(&self, now: Mono) -> Inventory {
        Inventory {
            epoch: self.changes.log.epoch(),
            changes: self.changes.log.counts().to_vec(),
            accepts_shares: self.status(now).accepts_shares,
            draining: self.draining,
        }
    }

    /// A page of a bucket for a peer.
    pub(super) fn list_shares(&mut self, ticket: Ticket, list: ListShares) {
        if self.is_crowded() {
            let text = "the disk has work that comes before a list";
            return self.fail(ticket, Failure::busy(RETRY_DISK, text));
        }
        self.report.reads_in_flight += 1;
        // Taken before the disk looks: what changes meanwhile is then seen as a change.
        let changes = self.changes.log.count(list.bucket);
        let op = DiskOp::List {
            bucket: list.bucket,
            after: list.after.map(ShareId::from),
        };
        self.disk(op, Pending::Page { ticket, changes });
    }

    pub(super) fn page(&mut self, ticket: Ticket, changes: u32, outcome: Result<DiskDone, DiskFault>) {
        self.report.reads_in_flight -= 1;
        match outcome {
            // Shares that cannot be read are not known not to be there: better no answer than a wrong one.
            Ok(DiskDone::Listed(Listing {
                holdings,
                next,
                unreadable: 0,
                ..
            })) => {
                let listed = SharesListed {
                    epoch: self.changes.log.epoch(),
                    changes,
                    shares: holdings.iter().map(ListedShare::from).collect(),
                    next: next.map(SharePlace::from),
                };
                self.answer(ticket, Response::SharesListed(listed));
            }
            Ok(DiskDone::Listed(_)) => {
                let text = "the disk cannot read a part of what it holds";
                self.fail(ticket, Failure::new(FailureCode::Internal, text));
            }
            Ok(_) => self.fail(ticket, DiskFault::Failed.into()),
            Err(fault) => self.fail(ticket, fault.into()),
        }
    }
}

impl From<SharePlace> for ShareId {
    fn from(place: SharePlace) -> ShareId {
        ShareId {
            si: place.si,
            share: place.share,
        }
    }
}

impl From<ShareId> for SharePlace {
    fn from(share: ShareId) -> SharePlace {
        SharePlace {
            si: share.si,
            share: share.share,
        }
    }
}

impl From<&Holding> for ListedShare {
    fn from(holding: &Holding) -> ListedShare {
        ListedShare {
            place: holding.share.into(),
            coding: holding.coding,
        }
    }
}
