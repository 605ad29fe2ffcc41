//! What the scrubber tells of itself. Owns no state.

use crate::time::UnixSeconds;

/// What one round came to, over all processes that took part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundReport {
    /// When it began.
    pub started: UnixSeconds,
    /// When it ended.
    pub ended: UnixSeconds,
    /// Shares whose every hash is right.
    pub shares: u64,
    /// Length of their files.
    pub bytes: u64,
    /// Damaged shares that were put aside.
    pub corrupt: u64,
    /// Shares, or buckets, that the disk could not read.
    pub unreadable: u64,
}

/// A look at the scrubber, for metrics and tests. Counts are since the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ScrubReport {
    /// Of [`Bucket::COUNT`](truckee_grid::bucket::Bucket::COUNT), in the round under way.
    pub buckets_done: usize,
    /// When the round under way began, or is to begin.
    pub round_started: UnixSeconds,
    /// When the last round ended, in whatever process.
    pub last_ended: Option<UnixSeconds>,
    /// Rounds that ended.
    pub rounds: u64,
    /// Shares whose every hash is right.
    pub sound: u64,
    /// Damaged shares that were put aside.
    pub corrupt: u64,
    /// Shares, or buckets, that the disk could not read.
    pub unreadable: u64,
}
