//! Counts transfers under way and what came of them.

use metrics::{Gauge, counter, gauge, histogram};
use tokio::sync::watch;
use tracing::Span;
use tracing::field::Empty;
use truckee_engine::check::CheckReport;
use truckee_engine::download::DownloadDone;
use truckee_engine::repair::{RepairFailed, RepairReport};
use truckee_engine::upload::UploadTimings;
use truckee_grid::ids::StorageIndex;

use super::history::{Entry, History, OperationKind};
use super::{CheckError, DownloadError, UploadError, UploadOutcome};
use crate::metrics as names;
use crate::trace::Trace;

/// The names under which one kind of transfer is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Upload,
    Download,
    Check,
    Repair,
}

/// What a transfer is about, for its record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subject {
    pub(super) storage_index: Option<StorageIndex>,
    pub(super) size: Option<u64>,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Upload => "upload",
            Kind::Download => "download",
            Kind::Check => "check",
            Kind::Repair => "repair",
        }
    }

    fn operation(self) -> OperationKind {
        match self {
            Kind::Upload => OperationKind::Upload,
            Kind::Download => OperationKind::Download,
            Kind::Check => OperationKind::Check,
            Kind::Repair => OperationKind::Repair,
        }
    }

    fn span(self, above: &Span) -> Span {
        match self {
            Kind::Upload => tracing::info_span!(parent: above, "upload", outcome = Empty),
            Kind::Download => tracing::info_span!(parent: above, "download", outcome = Empty),
            Kind::Check => tracing::info_span!(parent: above, "check", outcome = Empty),
            Kind::Repair => tracing::info_span!(parent: above, "repair", outcome = Empty),
        }
    }

    fn count_end(self, outcome: &'static str) {
        let name = match self {
            Kind::Upload => names::UPLOAD_FINISHED,
            Kind::Download => names::DOWNLOAD_FINISHED,
            Kind::Check => names::CHECK_FINISHED,
            Kind::Repair => names::REPAIR_FINISHED,
        };
        counter!(name, "outcome" => outcome).increment(1);
    }
}

/// Counts one transfer for as long as it lives, and its end whatever that is.
pub(super) struct Active {
    kind: Kind,
    count: watch::Sender<usize>,
    gauge: Gauge,
    record: Entry,
    ended: bool,
    /// The transfer itself.
    trace: Trace,
}

impl Active {
    pub(super) fn begin(
        kind: Kind,
        subject: Subject,
        count: watch::Sender<usize>,
        history: &History,
    ) -> Self {
        let (started, active) = match kind {
            Kind::Upload => (names::UPLOAD_STARTED, names::UPLOAD_ACTIVE),
            Kind::Download => (names::DOWNLOAD_STARTED, names::DOWNLOAD_ACTIVE),
            Kind::Check => (names::CHECK_STARTED, names::CHECK_ACTIVE),
            Kind::Repair => (names::REPAIR_STARTED, names::REPAIR_ACTIVE),
        };
        counter!(started).increment(1);
        let gauge = gauge!(active);
        gauge.increment(1.0);
        count.send_modify(|count| *count += 1);
        Self {
            kind,
            count,
            gauge,
            record: history.begin(kind.operation(), subject.storage_index, subject.size),
            ended: false,
            // Below the request on whose behalf it is begun.
            trace: Trace::current().part(|above| kind.span(above)),
        }
    }

    /// What its requests and jobs are a part of.
    pub(super) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// How much is done, of how much if that is known (else 0).
    pub(super) fn progress(&self, done: u64, of: u64) {
        self.record.progress(done, of);
    }

    /// Notes the end; only the first one counts.
    fn end(&mut self, outcome: &'static str) {
        if !std::mem::replace(&mut self.ended, true) {
            self.kind.count_end(outcome);
            self.record.end(outcome);
            self.trace.end(outcome);
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        // Its actor panicked or was killed.
        self.end("internal");
        self.gauge.decrement(1.0);
        self.count.send_modify(|count| *count -= 1);
    }
}

/// Notes the end of an upload that took in `taken_bytes`.
pub(super) fn upload_ended(
    active: &mut Active,
    taken_bytes: u64,
    n: usize,
    result: &Result<UploadOutcome, UploadError>,
) {
    counter!(names::UPLOAD_PLAINTEXT_BYTES).increment(taken_bytes);
    active.progress(taken_bytes, 0);
    if let Ok(done) = result {
        let UploadTimings {
            choose,
            encode,
            push,
            close,
            total,
        } = done.timings;
        histogram!(names::UPLOAD_SECONDS).record(total.as_secs_f64());
        let stages = [
            ("locate", choose),
            ("encode", encode),
            ("send", push),
            ("close", close),
        ];
        for (stage, time) in stages {
            histogram!(names::UPLOAD_STAGE_SECONDS, "stage" => stage).record(time.as_secs_f64());
        }
        active.record.size(done.cap.size);
        active.record.stages(stages.to_vec());
        active.record.count("shares-placed", done.placed as u64);
        active.record.count("shares-found", done.existing as u64);
        active.record.count("happiness", done.happiness as u64);
        counter!(names::UPLOAD_SHARES_MISSING).increment((n - done.placed.min(n)) as u64);
    }
    active.end(result.as_ref().map_or_else(UploadError::cause, |_| "completed"));
    let troubles = match result {
        Ok(done) => &done.troubles,
        Err(UploadError::NotHappy(not_happy)) => &not_happy.peers,
        Err(_) => return,
    };
    for trouble in troubles {
        counter!(names::UPLOAD_PEERS_FAILED, "cause" => trouble.why.name()).increment(1);
    }
}

/// Notes the end of a download.
pub(super) fn download_ended(active: &mut Active, done: &DownloadDone, failed: Option<&DownloadError>) {
    active.progress(done.delivered_bytes, 0);
    active.record.stages(vec![
        ("locate", done.locate),
        ("fetch", done.fetch),
        ("decode", done.decode),
        ("deliver", done.deliver),
    ]);
    active.record.count("bytes-delivered", done.delivered_bytes);
    active.record.count("bytes-received", done.received_bytes);
    active.record.count("segments", done.segments);
    active.record.count("hedges", done.hedges);
    active.record.count("corrupt-blocks", done.corrupt);
    active.end(failed.map_or("completed", DownloadError::cause));
    counter!(names::DOWNLOAD_PLAINTEXT_BYTES).increment(done.delivered_bytes);
    counter!(names::DOWNLOAD_RECEIVED_BYTES).increment(done.received_bytes);
    counter!(names::DOWNLOAD_HEDGES).increment(done.hedges);
    counter!(names::DOWNLOAD_CORRUPT).increment(done.corrupt);
    if failed.is_none() && done.segments > 0 {
        histogram!(names::DOWNLOAD_SECONDS).record(done.total.as_secs_f64());
        histogram!(names::DOWNLOAD_FIRST_BYTE_SECONDS).record(done.first_byte.as_secs_f64());
        histogram!(names::DOWNLOAD_STAGE_SECONDS, "stage" => "locate").record(done.locate.as_secs_f64());
        for (stage, time) in [
            ("fetch", done.fetch),
            ("decode", done.decode),
            ("deliver", done.deliver),
        ] {
            histogram!(names::DOWNLOAD_STAGE_SECONDS, "stage" => stage).record(time.as_secs_f64());
        }
    }
}

/// Notes the end of a check.
pub(super) fn check_ended(active: &mut Active, result: &Result<CheckReport, CheckError>) {
    if let Ok(report) = result {
        histogram!(names::CHECK_SECONDS).record(report.total.as_secs_f64());
        counter!(names::CHECK_RECEIVED_BYTES).increment(report.received_bytes);
        counter!(names::CHECK_CORRUPT).increment(report.corrupt.len() as u64);
        let verify = report.total.saturating_sub(report.locate);
        active
            .record
            .stages(vec![("locate", report.locate), ("verify", verify)]);
        active.record.count("shares-good", report.good() as u64);
        active.record.count("shares-corrupt", report.corrupt.len() as u64);
        active.record.count("blocks-verified", report.blocks);
        active
            .record
            .count("nodes-responding", report.responding.len() as u64);
    }
    active.end(result.as_ref().map_or_else(CheckError::cause, |_| "completed"));
}

/// Notes the end of a repair.
pub(super) fn repair_ended(active: &mut Active, result: &Result<RepairReport, Box<RepairFailed>>) {
    let (findings, outcome) = match result {
        Ok(report) => (&report.findings, report.outcome.name()),
        Err(failed) => (&failed.findings, failed.error.name()),
    };
    let times = findings.timings;
    histogram!(names::REPAIR_SECONDS).record(times.total.as_secs_f64());
    counter!(names::REPAIR_READ_BYTES).increment(findings.read_bytes);
    counter!(names::REPAIR_WRITTEN_BYTES).increment(findings.written_bytes);
    let made = findings.placed.iter().filter(|placed| !placed.existed).count() as u64;
    counter!(names::REPAIR_SHARES).increment(made);
    active.record.stages(vec![
        ("locate", times.asking),
        ("open", times.opening),
        ("fetch", times.fetching),
        ("rebuild", times.rebuilding),
        ("send", times.writing),
    ]);
    active.record.count("shares-placed", made);
    active
        .record
        .count("shares-corrupt", findings.damage.len() as u64);
    active.record.count("bytes-received", findings.read_bytes);
    active.end(outcome);
}
