//! Counts calls of the drive, and what the machine says that operators count.

use metrics::{counter, histogram};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::field::Empty;
use truckee_engine::drive::{DriveError, Note};

use crate::metrics as names;
use crate::trace::Trace;

/// The kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Create,
    Read,
    Edit,
}

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Asked::Create => "create",
            Asked::Read => "read",
            Asked::Edit => "edit",
        }
    }

    /// What a call came to whose actor ended under it.
    pub(super) fn lost(self) -> DriveError {
        match self {
            Asked::Read => DriveError::Internal,
            Asked::Create | Asked::Edit => DriveError::Unknown,
        }
    }
}

/// One call for as long as it is under way; its end is counted whatever that is.
pub(super) struct Counted<'a> {
    asked: Asked,
    active: &'a watch::Sender<usize>,
    began: Instant,
    outcome: &'static str,
    /// The call itself.
    pub(super) trace: Trace,
}

impl<'a> Counted<'a> {
    pub(super) fn begin(asked: Asked, active: &'a watch::Sender<usize>) -> Self {
        active.send_modify(|count| *count += 1);
        let trace = Trace::current().part(|above| {
            tracing::info_span!(parent: above, "directory", operation = asked.name(), outcome = Empty)
        });
        Self {
            asked,
            active,
            began: Instant::now(),
            outcome: "cancelled",
            trace,
        }
    }

    pub(super) fn end(&mut self, error: Option<&DriveError>) {
        self.outcome = error.map_or("ok", cause);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let operation = self.asked.name();
        self.trace.end(self.outcome);
        counter!(names::DRIVE_CALLS, "operation" => operation, "outcome" => self.outcome).increment(1);
        histogram!(names::DRIVE_CALL_SECONDS, "operation" => operation)
            .record(self.began.elapsed().as_secs_f64());
        self.active.send_modify(|count| *count -= 1);
    }
}

/// A short name from a closed set.
fn cause(error: &DriveError) -> &'static str {
    match error {
        DriveError::NoVdrive => "no_vdrive",
        DriveError::Unreachable { .. } => "unreachable",
        DriveError::Unknown => "unknown",
        DriveError::NotFound => "not_found",
        DriveError::ReadOnly | DriveError::VerifyOnly => "too_weak",
        DriveError::Forged => "forged",
        DriveError::RolledBack { .. } => "rolled_back",
        DriveError::SplitDatabase => "split_database",
        DriveError::Refused(_) => "refused",
        DriveError::Contended { .. } => "contended",
        DriveError::TooLarge { .. } | DriveError::DirectoryTooLarge { .. } => "too_large",
        DriveError::Busy { .. } => "busy",
        DriveError::Database => "database",
        DriveError::Stopping => "stopping",
        DriveError::Internal => "internal",
    }
}

/// Counts what the machine says.
pub(super) fn note(note: Note) {
    match note {
        Note::Current => counter!(names::DRIVE_FETCHES, "outcome" => "current").increment(1),
        Note::News { rows } => fetched("news", rows),
        Note::Whole { rows } => fetched("whole", rows),
        Note::Taken { calls } => {
            counter!(names::DRIVE_CHANGES).increment(1);
            counter!(names::DRIVE_CHANGED_CALLS).increment(calls as u64);
        }
        Note::Conflict => counter!(names::DRIVE_CONFLICTS).increment(1),
        Note::RequestFailed => counter!(names::DRIVE_REQUESTS_FAILED).increment(1),
        Note::Evicted => counter!(names::DRIVE_EVICTED).increment(1),
        Note::Forged => distrust("forged"),
        Note::RolledBack => distrust("rolled_back"),
        Note::SplitDatabase => distrust("split_database"),
    }
}

fn fetched(outcome: &'static str, rows: usize) {
    counter!(names::DRIVE_FETCHES, "outcome" => outcome).increment(1);
    counter!(names::DRIVE_ROWS_OPENED).increment(rows as u64);
}

fn distrust(cause: &'static str) {
    counter!(names::DRIVE_DISTRUSTED, "cause" => cause).increment(1);
    tracing::warn!(cause, "an answer of a vdrive was not believed");
}
