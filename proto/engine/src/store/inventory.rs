//! What the store holds as a whole, for storage nodes that look for files with missing shares: how often each bucket has
//! changed since the process began, and pages of what is in one.
//!
//! Only numbers are kept, one for each bucket, however much there is. A number says that the shares of a bucket may be
//! others than before, not which: who wants to know lists the bucket. Not promised: that a share which vanished behind the
//! disk's back, or which nobody has found to be damaged yet, is counted.

use std::collections::BTreeMap;

use truckee_grid::bucket::Bucket;
use truckee_wire::message::{
    Failure, FailureCode, Inventory, ListShares, ListedShare, Response, SharePlace, SharesListed,
};

use super::types::{DiskDone, DiskFault, DiskOp, DiskReply, DiskToken, Holding, Listing, ShareId, Ticket};
use super::{Pending, RETRY_DISK, Store};
use crate::time::Mono;

/// How often the shares of each bucket changed.
#[derive(Debug)]
pub(super) struct Changes {
    epoch: u64,
    counts: Vec<u32>,
    /// Operations under way that may change what is in a bucket, or find it changed.
    under_way: BTreeMap<DiskToken, Bucket>,
}

impl Changes {
    /// `epoch` must not be 0 and not be drawn twice.
    pub(super) fn new(epoch: u64) -> Changes {
        Changes {
            epoch: epoch.max(1),
            counts: vec![0; Bucket::COUNT],
            under_way: BTreeMap::new(),
        }
    }

    pub(super) fn begin(&mut self, token: DiskToken, op: &DiskOp) {
        if let Some(bucket) = op.bucket() {
            self.under_way.insert(token, bucket);
        }
    }

    pub(super) fn end(&mut self, token: DiskToken, reply: &DiskReply) {
        let Some(bucket) = self.under_way.remove(&token) else {
            return;
        };
        let done = match &reply.result {
            Ok(DiskDone::Stored { .. } | DiskDone::Trashed { .. } | DiskDone::Restored { .. }) => true,
            Ok(DiskDone::Gone { file_bytes }) => *file_bytes > 0,
            Ok(DiskDone::Emptied { gone }) => gone.shares > 0,
            Ok(DiskDone::Renewed { restored, .. }) => restored.shares > 0,
            _ => false,
        };
        if done || reply.damage.shares > 0 {
            let count = &mut self.counts[bucket.index()];
            *count = count.wrapping_add(1);
        }
    }

    fn of(&self, bucket: Bucket) -> u32 {
        self.counts[bucket.index()]
    }
}

impl Store {
    pub(super) fn inventory(&self, now: Mono) -> Inventory {
        Inventory {
            epoch: self.changes.epoch,
            changes: self.changes.counts.clone(),
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
        let changes = self.changes.of(list.bucket);
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
                    epoch: self.changes.epoch,
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
