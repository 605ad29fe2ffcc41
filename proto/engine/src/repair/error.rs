//! Why a repair failed. Owns the texts that people read, and nothing that changes.

use std::fmt;

use truckee_grid::ids::SegmentIndex;

use super::Findings;
use crate::transfer::write_reports;

/// Why nothing, or no more, is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepairError {
    /// Nobody who answered holds anything of the file.
    #[error(
        "none of the storage nodes that answered holds a share of the file ({asked} asked): start those that have it"
    )]
    NoShares {
        /// Storage nodes asked.
        asked: usize,
    },
    /// Fewer shares can be read than any other can be made from.
    #[error(
        "{need} shares are needed to make others but only {have} can be read: start the storage nodes that have more"
    )]
    TooFewShares {
        /// Different shares that can be read.
        have: usize,
        /// k.
        need: usize,
    },
    /// Nobody with a cap has said which file is right, and nodes disagree.
    #[error(
        "{files} different files are stored under this name, each by as many nodes ({holders}): repair it with its cap, which says which one is right"
    )]
    Contested {
        /// Files that have as many holders as no other.
        files: usize,
        /// How many that are, each.
        holders: usize,
    },
    /// All hashes are right, and yet the shares contradict each other.
    #[error(
        "segment {segment} was stored wrongly by its uploader, its shares contradict each other: upload the file again"
    )]
    Inconsistent {
        /// Which one.
        segment: SegmentIndex,
    },
    /// A segment could not be rebuilt; a fault of this program.
    #[error("segment {segment} could not be rebuilt, see the log")]
    Fault {
        /// Which one.
        segment: SegmentIndex,
    },
    /// Nobody wants the repair any more.
    #[error("the repair was cancelled")]
    Cancelled,
}

impl RepairError {
    /// A short name from a closed set, for metrics and programs.
    pub fn name(&self) -> &'static str {
        match self {
            RepairError::NoShares { .. } => "no_shares",
            RepairError::TooFewShares { .. } => "too_few_shares",
            RepairError::Contested { .. } => "contested",
            RepairError::Inconsistent { .. } => "inconsistent",
            RepairError::Fault { .. } => "fault",
            RepairError::Cancelled => "cancelled",
        }
    }
}

/// A repair that came to no good end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairFailed {
    /// Why.
    pub error: RepairError,
    /// What was found out and done all the same.
    pub findings: Findings,
}

impl std::error::Error for RepairFailed {}

impl fmt::Display for RepairFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let peers = [&self.findings.silent[..], &self.findings.troubles[..]].concat();
        write_reports(f, &peers)
    }
}
