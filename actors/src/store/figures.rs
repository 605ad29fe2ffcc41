//! What the share store tells the metrics, after each block that it writes.
//!
//! Owns the handles of its gauges and counters: to look each up by its name after every message was half of what metrics cost an
//! upload.

use metrics::{Counter, Gauge, counter, gauge};
use truckee_engine::store::StoreReport;

use crate::metrics as names;

/// See the module.
pub(super) struct Figures {
    shares: Gauge,
    used_bytes: Gauge,
    trash_shares: Gauge,
    trash_bytes: Gauge,
    available_bytes: Gauge,
    open_shares: Gauge,
    draining: Gauge,
    written_bytes: Counter,
    read_bytes: Counter,
    leases_renewed: Counter,
    scrubbed_bytes: Counter,
    corrupt: [Counter; 3],
    aborted: [Counter; 4],
    told: Option<StoreReport>,
}

impl Figures {
    /// Tells nothing yet.
    pub(super) fn new() -> Self {
        Self {
            shares: gauge!(names::STORE_SHARES),
            used_bytes: gauge!(names::STORE_USED_BYTES),
            trash_shares: gauge!(names::STORE_TRASH_SHARES),
            trash_bytes: gauge!(names::STORE_TRASH_BYTES),
            available_bytes: gauge!(names::STORE_AVAILABLE_BYTES),
            open_shares: gauge!(names::STORE_OPEN_SHARES),
            draining: gauge!(names::STORE_DRAINING),
            written_bytes: counter!(names::STORE_WRITTEN_BYTES),
            read_bytes: counter!(names::STORE_READ_BYTES),
            leases_renewed: counter!(names::STORE_LEASES_RENEWED),
            scrubbed_bytes: counter!(names::STORE_SCRUBBED_BYTES),
            corrupt: ["read", "write", "scrub"].map(|by| counter!(names::STORE_CORRUPT, "found_by" => by)),
            aborted: ["asked", "link_lost", "idle", "failed"]
                .map(|cause| counter!(names::STORE_ABORTED, "cause" => cause)),
            told: None,
        }
    }

    /// Tells how things stand, unless nothing has changed.
    pub(super) fn tell(&mut self, report: StoreReport) {
        if self.told == Some(report) {
            return;
        }
        self.told = Some(report);
        self.shares.set(report.share_count as f64);
        self.used_bytes.set(report.used_bytes as f64);
        self.trash_shares.set(report.trash.shares as f64);
        self.trash_bytes.set(report.trash.bytes as f64);
        self.available_bytes.set(report.available_bytes as f64);
        self.open_shares.set(report.open_shares as f64);
        self.draining.set(if report.draining { 1.0 } else { 0.0 });
        self.written_bytes.absolute(report.written_bytes);
        self.read_bytes.absolute(report.read_bytes);
        self.leases_renewed.absolute(report.leases_renewed);
        self.scrubbed_bytes.absolute(report.verified_bytes);
        let found = report.corrupt;
        for (counter, count) in self.corrupt.iter().zip([found.read, found.write, found.scrub]) {
            counter.absolute(count);
        }
        let ended = report.aborted;
        let ended = [ended.asked, ended.link_lost, ended.idle, ended.failed];
        for (counter, count) in self.aborted.iter().zip(ended) {
            counter.absolute(count);
        }
    }
}
