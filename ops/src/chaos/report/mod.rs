//! What a run tells at its end, for people and for programs.
//!
//! Owns the outcome and the sentence of each promise; [`text`] and [`json`] lay it out, `timeline` draws bars. Holds no cap.

pub(crate) mod json;
pub(crate) mod text;
mod timeline;

use std::time::Duration;

use super::plan::Plan;
use super::record::{Promise, Record, Sort, Violation};
use super::shape::Shape;
use super::verdict::Verdict;
use crate::output::bytes_text;

/// Everything that there is to tell.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    /// The command that does the same again.
    pub(crate) again: String,
    /// What was attacked, in words.
    pub(crate) place: String,
    pub(crate) clients: u16,
    pub(crate) at_once: usize,
    pub(crate) beyond: bool,
    pub(crate) shape: Shape,
    pub(crate) plan: Plan,
    pub(crate) record: Record,
    /// Files that were acknowledged.
    pub(crate) files: usize,
    /// Names that were ever given, and those that stand for something beyond doubt.
    pub(crate) names: (usize, usize),
    /// Changes of directories that were acknowledged, and those whose answer was lost.
    pub(crate) changes: (u64, u64),
    pub(crate) verdict: Verdict,
    /// What went wrong with the attack itself.
    pub(crate) troubles: Vec<String>,
    /// What a reader should know of how far the tool reaches.
    pub(crate) notes: Vec<String>,
    pub(crate) ended_early: bool,
    /// How long the attack lasted, and all.
    pub(crate) attack: Duration,
    pub(crate) took: Duration,
}

impl Outcome {
    /// Violations of a promise.
    pub(crate) fn violations(&self, promise: Promise) -> impl Iterator<Item = &Violation> {
        self.record
            .violations
            .iter()
            .filter(move |violation| violation.promise == promise)
    }

    /// All violations, also those of which no evidence was kept.
    pub(crate) fn violated(&self) -> u64 {
        self.record.violations.len() as u64 + self.record.violations_cut
    }

    /// What was seen of a promise, in figures.
    pub(crate) fn figures(&self, promise: Promise) -> String {
        let record = &self.record;
        match promise {
            Promise::Bytes => format!(
                "{} compared, in {} downloads during the attack and {} files afterwards",
                bytes_text(record.compared_bytes),
                record.tally(Sort::Download).done,
                self.verdict.intact,
            ),
            Promise::Files => {
                let lost = self.verdict.lost.len();
                let lost = if lost == 0 {
                    String::new()
                } else {
                    format!(", {lost} lost beyond the budget")
                };
                let (intact, files) = (self.verdict.intact, self.files);
                let stored = bytes_text(record.stored_bytes);
                format!(
                    "{intact} of {files} acknowledged files came back, every byte ({stored} stored){lost}"
                )
            }
            Promise::Readable => {
                let gap = record.gaps(Sort::Download).map(super::record::Gap::length).max();
                format!(
                    "the longest time without a download was {}",
                    seconds(gap.unwrap_or_default())
                )
            }
            Promise::Names => {
                let (acknowledged, lost) = self.changes;
                let (names, sure) = self.names;
                format!(
                    "{acknowledged} acknowledged changes and {lost} without an answer fit {} listings; {sure} of {names} names stand, and {} were followed to their files",
                    record.listings, self.verdict.paths
                )
            }
            Promise::Errors => {
                let failed: u64 = Sort::ALL.into_iter().map(|sort| record.tally(sort).failed).sum();
                format!("{failed} requests failed, each with an error that may be")
            }
            Promise::Recovery => {
                let end = if self.troubles.is_empty() {
                    "all run, are linked, and serve"
                } else {
                    "what the attack itself could not do is told below"
                };
                format!("{} starts of nodes; {end}", record.restarts)
            }
        }
    }

    /// What each promise says.
    pub(crate) fn wording(promise: Promise) -> &'static str {
        match promise {
            Promise::Bytes => "no wrong byte is served",
            Promise::Files => "what was acknowledged comes back",
            Promise::Readable => "within the budget files stay readable",
            Promise::Names => "directories hold what was acknowledged, and nothing else",
            Promise::Errors => "errors say what is wrong, none is internal",
            Promise::Recovery => "when the faults are over all is as before",
        }
    }
}

/// A duration for people.
fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests;
