//! What is wrong with a grid, in words, and what to do now.
//!
//! Owns the order of urgency. The judgements are those of `ops/prometheus/rules/alerts.yml` as far as one can make them
//! from the last minutes alone, without their patience: an alarm is what stands so now, and goes when it does not. Each
//! that has an alert names its heading in `ops/README.md`, where the first steps stand.

mod nodes;
mod safety;

use std::time::Duration;

use super::grid::{Answering, Grid};
use super::row::Row;

/// How urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Now.
    Critical,
    /// Today.
    Warning,
    /// When there is time.
    Info,
}

impl Severity {
    /// As people and programs read it, as in the labels of alerts.
    pub(super) fn word(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alarm {
    pub(super) severity: Severity,
    /// What is so.
    pub(super) what: String,
    /// What to do.
    pub(super) advice: String,
    /// Its heading in `ops/README.md`, without `#`.
    pub(super) heading: Option<&'static str>,
}

/// What is judged.
pub(super) struct Judged<'a> {
    pub(super) grid: &'a Grid,
    pub(super) rows: &'a [Row],
    /// Those of `rows` that answered, with what they answered.
    pub(super) answering: &'a [Answering<'a>],
    /// Now, since the watch began.
    pub(super) at: Duration,
    /// Now, in seconds since 1970.
    pub(super) unix_s: f64,
    /// Time of a request to the storage node in the middle.
    pub(super) usual_latency_s: Option<f64>,
    /// Why the list of nodes is an old one, if it is.
    pub(super) trouble: Option<&'a str>,
}

/// Everything that is wrong, the most urgent first.
pub(super) fn judge(judged: &Judged<'_>) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    // Of what is as urgent, the cause stands before what follows from it.
    nodes::judge(judged, &mut alarms);
    safety::judge(judged, &mut alarms);
    alarms.sort_by_key(|alarm| alarm.severity);
    alarms
}

fn alarm(severity: Severity, heading: Option<&'static str>, what: String, advice: &str) -> Alarm {
    Alarm {
        severity,
        what,
        advice: advice.to_owned(),
        heading,
    }
}

#[cfg(test)]
mod tests;
