//! Repair on request: what a check found missing or damaged is made again, and another check says what came of it.
//!
//! Only the second check is believed: a repair that says that all went well counts as one only if the file is whole
//! afterwards. It is left out when the repair has changed nothing. Not promised: that a share stays where it was put.

use truckee_grid::caps::ChkVerifier;

use super::DeepError;
use super::check::Checked;
use crate::http::Gateway;
use crate::http::check_port::{CheckReport, RepairFailed, RepairReport};
use crate::http::error::HttpError;

/// A repair that was attempted.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// What the check after it found.
    pub(super) after: Box<Checked>,
    /// Shares that are now where they were missing.
    pub(super) made: usize,
    /// Why it is not whole, in one sentence.
    pub(super) problem: Option<String>,
}

impl Attempt {
    /// Whether the thing is whole now.
    pub(super) fn succeeded(&self) -> bool {
        self.after.healthy
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let made = match self.made {
            0 => "no share was made again".to_owned(),
            1 => "1 share was made again".to_owned(),
            made => format!("{made} shares were made again"),
        };
        match &self.problem {
            Some(problem) => format!("{made}: {problem}"),
            None => made,
        }
    }
}

/// Repairs a file of which a check has found `report`, and checks it again in the same way.
///
/// # Errors
/// When nothing can be said of it afterwards; a repair that fails is no error.
pub(super) async fn attempt(
    gateway: &Gateway,
    file: ChkVerifier,
    report: &CheckReport,
) -> Result<Attempt, HttpError> {
    let repaired = gateway.checker.repair(file, report.clone()).await;
    let (made, problem) = match &repaired {
        Ok(repaired) => (repaired.findings.placed.len(), unplaced(repaired)),
        Err(failed) => (failed.findings.placed.len(), Some(failed.to_string())),
    };
    let after = if is_unchanged(&repaired) {
        report.clone()
    } else {
        let checked = gateway.checker.check(file, report.verified).await;
        checked.map_err(DeepError::from)?
    };
    let after = Checked::of_report(after);
    let missed = || "not all that was made again is found; check it again".to_owned();
    let problem = problem.or_else(|| (!after.healthy).then(missed));
    Ok(Attempt {
        problem: problem.filter(|_| !after.healthy),
        after: Box::new(after),
        made,
    })
}

/// Whether a check would find what the one before has found. A repair that had nothing to do sees what came back meanwhile.
fn is_unchanged(repaired: &Result<RepairReport, Box<RepairFailed>>) -> bool {
    repaired
        .as_ref()
        .is_err_and(|failed| failed.findings.placed.is_empty())
}

/// Which shares have no place, and why the first of them has none.
fn unplaced(repaired: &RepairReport) -> Option<String> {
    let first = repaired.unplaced.first()?;
    let (share, why) = (first.share.0, first.why);
    Some(match repaired.unplaced.len() {
        1 => format!("share {share} has no place: {why}"),
        count => format!("{count} shares have no place, share {share} because: {why}"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use truckee_engine::repair::{Findings, Unplaced, UnplacedWhy};
    use truckee_grid::ids::{Hash, ShareNumber, StorageIndex};
    use truckee_grid::params::Coding;

    use super::*;
    use crate::http::check_port::RepairOutcome;

    #[test]
    fn what_has_no_place_is_told_with_a_reason() {
        let mut report = RepairReport {
            si: StorageIndex([1; 16]),
            ueb_hash: Hash([2; 32]),
            coding: Coding::new(3, 10).unwrap(),
            outcome: RepairOutcome::Partial,
            before: BTreeMap::new(),
            unplaced: Vec::new(),
            findings: Findings::default(),
        };
        assert_eq!(unplaced(&report), None);
        let lost = |share| Unplaced {
            share: ShareNumber(share),
            why: UnplacedWhy::NoTaker,
            copy: false,
        };
        report.unplaced = vec![lost(4)];
        let one = "share 4 has no place: no storage node takes it";
        assert_eq!(unplaced(&report).as_deref(), Some(one));
        report.unplaced.push(lost(5));
        let two = "2 shares have no place, share 4 because: no storage node takes it";
        assert_eq!(unplaced(&report).as_deref(), Some(two));
    }
}
