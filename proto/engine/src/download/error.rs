//! Why a download failed. Owns the texts that people read, and nothing that changes.

use std::fmt;

use truckee_grid::ids::SegmentIndex;

use crate::transfer::{PeerReport, write_reports};

/// Why no (more) bytes come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// Not enough good shares can be reached.
    #[error(transparent)]
    TooFewShares(#[from] Box<TooFewShares>),
    /// The first byte asked for is beyond the last.
    #[error("the range begins at byte {start} but the file has only {size} bytes")]
    RangeBeyondEnd {
        /// First byte asked for.
        start: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// The cap names a file by its hash and says something else of it than the file itself.
    #[error(
        "the cap says another size or coding than the file that it names: it was changed or copied wrongly"
    )]
    CapContradicts,
    /// All hashes are right, and yet the segment does not open.
    #[error(
        "segment {segment} is what was stored and does not open: the cap's key is wrong or the file was stored wrongly"
    )]
    Inconsistent {
        /// Which one.
        segment: SegmentIndex,
    },
    /// The decoder failed; a fault of this program.
    #[error("segment {segment} could not be decoded, see the log")]
    Fault {
        /// Which one.
        segment: SegmentIndex,
    },
    /// Nobody reads any more.
    #[error("the download was cancelled")]
    Cancelled,
}

impl DownloadError {
    /// A short name from a closed set, for metrics and programs.
    pub fn name(&self) -> &'static str {
        match self {
            DownloadError::TooFewShares(_) => "too_few_shares",
            DownloadError::RangeBeyondEnd { .. } => "range_beyond_end",
            DownloadError::CapContradicts => "cap_contradicts",
            DownloadError::Inconsistent { .. } => "inconsistent",
            DownloadError::Fault { .. } => "fault",
            DownloadError::Cancelled => "cancelled",
        }
    }
}

/// Not enough good shares can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooFewShares {
    /// Distinct shares that could be read.
    pub have: usize,
    /// Distinct shares that are needed.
    pub need: usize,
    /// Storage nodes asked.
    pub asked: usize,
    /// What each of those said that was of no use.
    pub peers: Vec<PeerReport>,
}

impl std::error::Error for TooFewShares {}

impl fmt::Display for TooFewShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} shares are needed but only {} can be read",
            self.need, self.have
        )?;
        if self.have == 0 {
            f.write_str("; the cap may belong to another grid")?;
        }
        write!(f, " ({} storage nodes asked)", self.asked)?;
        write_reports(f, &self.peers)
    }
}
