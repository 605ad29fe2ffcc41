//! Why a transfer failed, as a gateway sees it. Every text is one sentence without secrets.

use std::time::Duration;

use truckee_engine::download;
use truckee_engine::download::TooFewShares;
use truckee_engine::upload::{self, BodyFault, NotHappy};

/// Why a file was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// Not enough distinct peers can hold a share.
    #[error(transparent)]
    NotHappy(#[from] Box<NotHappy>),
    /// The body ended badly.
    #[error(transparent)]
    Body(#[from] BodyFault),
    /// A file without bytes is not stored in shares; its cap holds it.
    #[error("an empty file is not stored in shares: its cap holds it")]
    Empty,
    /// More segments than a file can have.
    #[error("the file is too long for segments of {segment_bytes} bytes: use larger segments")]
    TooLarge {
        /// Plaintext bytes of a full segment.
        segment_bytes: u32,
    },
    /// The caller cut the body wrongly.
    #[error("segment {segment} has {got} bytes where {expected} belong")]
    SegmentSize {
        /// Which one.
        segment: u64,
        /// Its length, bytes.
        got: usize,
        /// The length of a full one, bytes.
        expected: usize,
    },
    /// A segment could not be encoded.
    #[error("segment {segment} could not be encoded, see the log")]
    Encode {
        /// Which one.
        segment: u64,
    },
    /// The caller has gone.
    #[error("the upload was cancelled")]
    Cancelled,
    /// The node stops.
    #[error("the node is stopping")]
    Stopping,
    /// This node's code failed.
    #[error("the upload failed internally, see the log")]
    Internal,
}

impl UploadError {
    /// A short name from a closed set, for metrics and programs.
    pub fn cause(&self) -> &'static str {
        match self {
            UploadError::NotHappy(_) => "not_happy",
            UploadError::Body(_) => "body",
            UploadError::Empty => "empty",
            UploadError::TooLarge { .. } => "too_large",
            UploadError::SegmentSize { .. } => "segment_size",
            UploadError::Encode { .. } => "encode",
            UploadError::Cancelled => "cancelled",
            UploadError::Stopping => "stopping",
            UploadError::Internal => "internal",
        }
    }
}

impl From<upload::UploadError> for UploadError {
    fn from(error: upload::UploadError) -> Self {
        match error {
            upload::UploadError::NotHappy(not_happy) => UploadError::NotHappy(not_happy),
            upload::UploadError::Body(fault) => UploadError::Body(fault),
            upload::UploadError::Empty => UploadError::Empty,
            upload::UploadError::TooLong { segment_bytes } => UploadError::TooLarge { segment_bytes },
            upload::UploadError::SegmentSize {
                segment,
                got,
                expected,
            } => UploadError::SegmentSize {
                segment: segment.0,
                got,
                expected,
            },
            upload::UploadError::Encode { segment } => UploadError::Encode { segment: segment.0 },
            upload::UploadError::Cancelled => UploadError::Cancelled,
        }
    }
}

/// Why no (more) bytes of a file come.
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
        "segment {segment} is what was stored and does not open: the key in the cap is wrong or the file was stored wrongly"
    )]
    Inconsistent {
        /// Which one.
        segment: u64,
    },
    /// No memory for another download.
    #[error("too many downloads are under way; try again in {} s", retry_after.as_secs())]
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The caller has gone.
    #[error("the download was cancelled")]
    Cancelled,
    /// The node stops.
    #[error("the node is stopping")]
    Stopping,
    /// This node's code failed.
    #[error("the download failed internally, see the log")]
    Internal,
}

impl DownloadError {
    /// A short name from a closed set, for metrics and programs.
    pub fn cause(&self) -> &'static str {
        match self {
            DownloadError::TooFewShares(_) => "too_few_shares",
            DownloadError::RangeBeyondEnd { .. } => "range_beyond_end",
            DownloadError::CapContradicts => "cap_contradicts",
            DownloadError::Inconsistent { .. } => "inconsistent",
            DownloadError::Overloaded { .. } => "overloaded",
            DownloadError::Cancelled => "cancelled",
            DownloadError::Stopping => "stopping",
            DownloadError::Internal => "internal",
        }
    }
}

impl From<download::DownloadError> for DownloadError {
    fn from(error: download::DownloadError) -> Self {
        match error {
            download::DownloadError::TooFewShares(too_few) => DownloadError::TooFewShares(too_few),
            download::DownloadError::RangeBeyondEnd { start, size } => {
                DownloadError::RangeBeyondEnd { start, size }
            }
            download::DownloadError::CapContradicts => DownloadError::CapContradicts,
            download::DownloadError::Inconsistent { segment } => {
                DownloadError::Inconsistent { segment: segment.0 }
            }
            download::DownloadError::Fault { .. } => DownloadError::Internal,
            download::DownloadError::Cancelled => DownloadError::Cancelled,
        }
    }
}
