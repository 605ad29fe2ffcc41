//! Why an upload failed. Owns the texts that people read, and nothing that changes.

use std::fmt;
use std::time::Duration;

use truckee_grid::ids::SegmentIndex;
use truckee_grid::params::SEGMENTS_MAX;

use crate::transfer::{PeerReport, write_reports};

/// Why a file was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// Not enough distinct peers can hold a share.
    #[error(transparent)]
    NotHappy(#[from] Box<NotHappy>),
    /// The body ended badly.
    #[error(transparent)]
    Body(#[from] BodyFault),
    /// A file without bytes is not stored in shares.
    #[error("an empty file is not stored in shares: its cap holds it")]
    Empty,
    /// More segments than a file can have.
    #[error("the file is longer than {SEGMENTS_MAX} segments of {segment_bytes} bytes: use larger segments")]
    TooLong {
        /// Plaintext bytes of a full segment.
        segment_bytes: u32,
    },
    /// The body was cut wrongly; a fault of this program.
    #[error("segment {segment} has {got} bytes where {expected} belong")]
    SegmentSize {
        /// Which one.
        segment: SegmentIndex,
        /// Its length, bytes.
        got: usize,
        /// The length of a full one, bytes.
        expected: usize,
    },
    /// A segment could not be encoded; a fault of this program.
    #[error("segment {segment} could not be encoded, see the log")]
    Encode {
        /// Which one.
        segment: SegmentIndex,
    },
    /// Whoever wanted the file stored has gone.
    #[error("the upload was cancelled")]
    Cancelled,
}

impl UploadError {
    /// A short name from a closed set, for metrics and programs.
    pub fn name(&self) -> &'static str {
        match self {
            UploadError::NotHappy(_) => "not_happy",
            UploadError::Body(_) => "body",
            UploadError::Empty => "empty",
            UploadError::TooLong { .. } => "too_long",
            UploadError::SegmentSize { .. } => "segment_size",
            UploadError::Encode { .. } => "encode",
            UploadError::Cancelled => "cancelled",
        }
    }
}

/// How a body ended before its last segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// Whoever sent it has gone.
    #[error("the client went away in the middle of the body")]
    Vanished,
    /// It ended before the length that was announced.
    #[error("the body ended after {got} bytes although {expected} were announced")]
    TooShort {
        /// Bytes announced.
        expected: u64,
        /// Bytes received.
        got: u64,
    },
    /// Its framing is broken.
    #[error("the body is not in the form that its head announced")]
    Malformed,
    /// A copy of it on this node's disk could not be read back.
    #[error("the spooled body could not be read back: {kind}")]
    Spool {
        /// What the disk said.
        kind: std::io::ErrorKind,
    },
    /// Nothing came for too long.
    #[error("the client sent nothing for {} s", idle.as_secs())]
    Slow {
        /// For how long.
        idle: Duration,
    },
}

/// Not enough distinct peers can hold a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotHappy {
    /// Distinct peers wanted.
    pub happy: usize,
    /// Distinct peers that could have held a share when the upload gave up.
    pub reachable: usize,
    /// Storage nodes known.
    pub candidates: usize,
    /// What went wrong with each that failed.
    pub peers: Vec<PeerReport>,
}

impl std::error::Error for NotHappy {}

impl fmt::Display for NotHappy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "shares must go to {} distinct peers but only {} of {} can take one",
            self.happy, self.reachable, self.candidates
        )?;
        write_reports(f, &self.peers)
    }
}
