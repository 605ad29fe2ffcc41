//! Counts transfers under way and what came of them.

use metrics::{Gauge, counter, gauge, histogram};
use tokio::sync::watch;
use truckee_engine::download::DownloadDone;
use truckee_engine::upload::UploadTimings;

use super::{DownloadError, UploadError, UploadOutcome};
use crate::metrics as names;

/// Counts one transfer for as long as it lives, whatever its end.
pub(super) struct Active {
    count: watch::Sender<usize>,
    gauge: Gauge,
}

impl Active {
    pub(super) fn begin(kind: &'static str, count: watch::Sender<usize>) -> Self {
        let gauge = match kind {
            "upload" => gauge!(names::UPLOAD_ACTIVE),
            _ => gauge!(names::DOWNLOAD_ACTIVE),
        };
        gauge.increment(1.0);
        count.send_modify(|count| *count += 1);
        Self { count, gauge }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
        self.count.send_modify(|count| *count -= 1);
    }
}

/// Notes the end of an upload that took in `taken_bytes`.
pub(super) fn upload_ended(taken_bytes: u64, n: usize, result: &Result<UploadOutcome, UploadError>) {
    counter!(names::UPLOAD_PLAINTEXT_BYTES).increment(taken_bytes);
    let outcome = result.as_ref().map_or_else(UploadError::cause, |_| "completed");
    counter!(names::UPLOAD_FINISHED, "outcome" => outcome).increment(1);
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
pub(super) fn download_ended(done: &DownloadDone, failed: Option<&DownloadError>) {
    let outcome = failed.map_or("completed", DownloadError::cause);
    counter!(names::DOWNLOAD_FINISHED, "outcome" => outcome).increment(1);
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
