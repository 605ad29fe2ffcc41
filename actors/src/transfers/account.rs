//! Counts transfers under way and what came of them.

use metrics::{Gauge, counter, gauge, histogram};
use tokio::sync::watch;
use truckee_engine::download::DownloadDone;
use truckee_engine::upload::UploadTimings;

use super::{DownloadError, UploadError, UploadOutcome};
use crate::metrics as names;

/// The names under which one kind of transfer is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Upload,
    Download,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Upload => "upload",
            Kind::Download => "download",
        }
    }

    fn count_end(self, outcome: &'static str) {
        let name = match self {
            Kind::Upload => names::UPLOAD_FINISHED,
            Kind::Download => names::DOWNLOAD_FINISHED,
        };
        counter!(name, "outcome" => outcome).increment(1);
    }
}

/// Counts one transfer for as long as it lives, and its end whatever that is.
pub(super) struct Active {
    kind: Kind,
    count: watch::Sender<usize>,
    gauge: Gauge,
    ended: bool,
}

impl Active {
    pub(super) fn begin(kind: Kind, count: watch::Sender<usize>) -> Self {
        let (started, active) = match kind {
            Kind::Upload => (names::UPLOAD_STARTED, names::UPLOAD_ACTIVE),
            Kind::Download => (names::DOWNLOAD_STARTED, names::DOWNLOAD_ACTIVE),
        };
        counter!(started).increment(1);
        let gauge = gauge!(active);
        gauge.increment(1.0);
        count.send_modify(|count| *count += 1);
        Self {
            kind,
            count,
            gauge,
            ended: false,
        }
    }

    /// Notes the end; only the first one counts.
    fn end(&mut self, outcome: &'static str) {
        if !std::mem::replace(&mut self.ended, true) {
            self.kind.count_end(outcome);
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
    active.end(result.as_ref().map_or_else(UploadError::cause, |_| "completed"));
    if let Ok(done) = result {
        let UploadTimings {
            choose,
            encode,
            push,
            close,
            total,
        } = done.timings;
        histogram!(names::UPLOAD_SECONDS).record(total.as_secs_f64());
        for (stage, time) in [
            ("locate", choose),
            ("encode", encode),
            ("send", push),
            ("close", close),
        ] {
            histogram!(names::UPLOAD_STAGE_SECONDS, "stage" => stage).record(time.as_secs_f64());
        }
        counter!(names::UPLOAD_SHARES_MISSING).increment((n - done.placed.min(n)) as u64);
    }
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
    active.end(failed.map_or("completed", DownloadError::cause));
    counter!(names::DOWNLOAD_PLAINTEXT_BYTES).increment(done.delivered_bytes);
    counter!(names::DOWNLOAD_RECEIVED_BYTES).increment(done.received_bytes);
    counter!(names::DOWNLOAD_HEDGES).increment(done.hedges);
    counter!(names::DOWNLOAD_CORRUPT).increment(done.corrupt);
    if failed.is_none() && done.segments > 0 {
        histogram!(names::DOWNLOAD_SECONDS).record(done.total.as_secs_f64());
        histogram!(names::DOWNLOAD_FIRST_BYTE_SECONDS).record(done.first_byte.as_secs_f64());
        histogram!(names::DOWNLOAD_STAGE_SECONDS, "stage" => "locate").record(done.locate.as_secs_f64());
        let fetch = done.total.saturating_sub(done.locate);
        histogram!(names::DOWNLOAD_STAGE_SECONDS, "stage" => "fetch").record(fetch.as_secs_f64());
    }
}
