//! The room of a storage node: what finished shares use, what open ones have reserved, what the file system has left.
//!
//! Two bounds hold at once: finished and reserved bytes stay within the quota, and what is reserved but not yet written
//! leaves the operator's reserve free on the disk. The free figure is measured from time to time; what was written since
//! is subtracted, so between two measurements the store errs only by what others write to the same disk, and by what of its own blocks
//! is in the figure although it came after the question. What was set aside for an open share counts as free: it is promised already.

use truckee_grid::share::{FOOTER_BYTES, HEADER_BYTES};

/// What every share file has besides blocks, hashes and UEB: header and footer.
pub(super) const SHARE_FRAME_BYTES: u64 = (HEADER_BYTES + FOOTER_BYTES) as u64;
/// What each segment adds to a share file besides its block: at most two nodes in each of two trees.
pub(super) const SEGMENT_HASH_BYTES: u64 = 2 * 2 * 32;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    quota_bytes: u64,
    reserve_bytes: u64,
    used_bytes: u64,
    /// Of all open shares, finished length expected.
    reserved_bytes: u64,
    /// Of all open shares, already written (part of `reserved_bytes`).
    written_bytes: u64,
    /// At the last measurement.
    free_bytes: u64,
    /// Everything ever written by this process.
    total_bytes: u64,
    /// `total_bytes` when the last measurement that was answered was asked for.
    measured_at_total: u64,
    /// `total_bytes` when the measurement under way was asked for.
    asked_at_total: u64,
}

impl Space {
    pub(super) fn new(quota_bytes: u64, reserve_bytes: u64, used_bytes: u64, free_bytes: u64) -> Space {
        Space {
            quota_bytes,
            reserve_bytes,
            used_bytes,
            reserved_bytes: 0,
            written_bytes: 0,
            free_bytes,
            total_bytes: 0,
            measured_at_total: 0,
            asked_at_total: 0,
        }
    }

    /// Bytes for new shares, after quota, reserve and what open shares were promised.
    pub(super) fn available(&self) -> u64 {
        let by_quota = self
            .quota_bytes
            .saturating_sub(self.used_bytes)
            .saturating_sub(self.reserved_bytes);
        let free_now = self
            .free_bytes
            .saturating_sub(self.total_bytes - self.measured_at_total);
        let promised = self.reserved_bytes - self.written_bytes;
        by_quota.min(
            free_now
                .saturating_sub(self.reserve_bytes)
                .saturating_sub(promised),
        )
    }

    pub(super) fn used(&self) -> u64 {
        self.used_bytes
    }

    /// Promises `bytes`, if they are there.
    pub(super) fn reserve(&mut self, bytes: u64) -> bool {
        let granted = bytes <= self.available();
        if granted {
            self.reserved_bytes += bytes;
        }
        granted
    }

    /// A part of a reservation is on its way to the disk.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.written_bytes += bytes;
        self.total_bytes += bytes;
    }

    /// An open share is gone: its promise of `reserved` bytes ends, `written` of which were written.
    pub(super) fn release(&mut self, reserved: u64, written: u64) {
        self.reserved_bytes -= reserved;
        self.written_bytes -= written;
    }

    /// A share is finished and has `bytes`, of which `written` have been counted as written before.
    pub(super) fn stored(&mut self, bytes: u64, written: u64) {
        self.used_bytes += bytes;
        self.total_bytes += bytes.saturating_sub(written);
    }

    /// A finished share is gone.
    pub(super) fn gone(&mut self, bytes: u64) {
        self.used_bytes = self.used_bytes.saturating_sub(bytes);
    }

    pub(super) fn asked(&mut self) {
        self.asked_at_total = self.total_bytes;
    }

    pub(super) fn measured(&mut self, free_bytes: u64) {
        self.free_bytes = free_bytes;
        self.measured_at_total = self.asked_at_total;
    }

    /// The disk said that it is full, whatever was measured: nothing is free until the next measurement.
    pub(super) fn full(&mut self) {
        self.free_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_and_reserve_both_bind() {
        let mut space = Space::new(1000, 100, 200, 10_000);
        assert_eq!(space.available(), 800, "the quota is nearer");
        assert!(!space.reserve(801));
        assert!(space.reserve(800));
        assert_eq!(space.available(), 0);
        space.release(800, 0);
        space.asked();
        space.measured(350);
        assert_eq!(space.available(), 250, "the reserve stays free");
        assert!(space.reserve(250));
        assert!(!space.reserve(1));
    }

    #[test]
    fn what_was_written_since_the_measurement_counts_once() {
        let mut space = Space::new(u64::MAX, 0, 0, 1000);
        assert!(space.reserve(400));
        space.wrote(300);
        assert_eq!(space.available(), 600, "300 written, 100 promised");
        space.asked();
        space.wrote(50);
        space.measured(700);
        assert_eq!(
            space.available(),
            600,
            "50 written since it was asked, 50 promised"
        );
        space.release(400, 350);
        space.stored(400, 350);
        assert_eq!(space.available(), 600);
        assert_eq!(space.used(), 400);
        space.full();
        assert_eq!(space.available(), 0);
    }
}
