//! What the node itself asks of its store, and no peer waits for: checks and lists. Refused while peers keep the disk busy.

use truckee_grid::bucket::Bucket;

use super::types::{DiskFault, DiskOp, Effect, ShareId, Ticket};
use super::{CROWDED_PART, Pending, Store};

impl Store {
    /// Has a share read back and every hash of it checked; answered by [`Effect::Verified`]. What is wrong is put aside.
    /// Refused with [`DiskFault::Overloaded`] while peers keep the disk busy, and from [`Store::stop`] on.
    pub fn verify(&mut self, ticket: Ticket, share: ShareId) {
        if self.is_crowded() {
            let result = Err(DiskFault::Overloaded);
            self.effects.push_back(Effect::Verified { ticket, result });
            return;
        }
        self.report.reads_in_flight += 1;
        self.disk(DiskOp::Verify { share }, Pending::Verify { ticket });
    }

    /// Asks for a page of the shares of a bucket, those behind `after`; answered by [`Effect::Listed`]. Refused as
    /// [`Store::verify`].
    pub fn list(&mut self, ticket: Ticket, bucket: Bucket, after: Option<ShareId>) {
        if self.is_crowded() {
            let result = Err(DiskFault::Overloaded);
            self.effects.push_back(Effect::Listed { ticket, result });
            return;
        }
        self.report.reads_in_flight += 1;
        self.disk(DiskOp::List { bucket, after }, Pending::List { ticket });
    }

    /// Whether work that can wait has to.
    pub(super) fn is_crowded(&self) -> bool {
        let (limits, part) = (&self.config.limits, CROWDED_PART as u64);
        self.stopping
            || self.report.reads_in_flight * CROWDED_PART >= limits.reads_max
            || self.report.write_bytes_in_flight * part >= limits.write_bytes_max
    }
}
