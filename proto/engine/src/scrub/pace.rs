//! How fast: the rate that is never exceeded, and the time over which a round is spread. Owns no clock.

use std::num::NonZeroU64;
use std::time::Duration;

use truckee_grid::bucket::Bucket;

use crate::time::{self, Mono, UnixSeconds};

/// What a share costs besides the length of its file: its name, its inode and the few parts of it that are read apart. A
/// rotating disk seeks twice for that and could have read more meanwhile, so that a store of very many small shares is
/// checked at 60 a second with the usual rate instead of a thousand.
pub const SHARE_COST_BYTES: u64 = 16 << 10;

/// No round is shorter. An empty node lists a hundred buckets a second then, which costs next to nothing.
pub const ROUND_LEAST: Duration = Duration::from_secs(10);

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubConfig {
    rate_bytes_per_second: NonZeroU64,
    round_min: Duration,
}

impl ScrubConfig {
    /// Reads so much at most, on average, and takes so long for a round at least; never less than [`ROUND_LEAST`].
    pub fn new(rate_bytes_per_second: NonZeroU64, round_min: Duration) -> ScrubConfig {
        ScrubConfig {
            rate_bytes_per_second,
            round_min: round_min.max(ROUND_LEAST),
        }
    }

    /// How long a round takes over so many shares of so many bytes.
    pub(super) fn planned(&self, shares: u64, bytes: u64) -> Duration {
        let all = bytes.saturating_add(shares.saturating_mul(SHARE_COST_BYTES));
        self.time_for(all).max(self.round_min)
    }

    /// The time in which so many bytes may be read.
    fn time_for(&self, bytes: u64) -> Duration {
        time::time_for(bytes, self.rate_bytes_per_second)
    }
}

/// The rate, kept: whoever begins a share pays for it afterwards by waiting, and nothing is saved up while nothing is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    config: ScrubConfig,
    /// When all that was read is paid for.
    paid_at: Mono,
}

impl Budget {
    pub(super) fn new(config: &ScrubConfig) -> Budget {
        Budget {
            config: *config,
            paid_at: Mono::ZERO,
        }
    }

    /// When the next share may be begun.
    pub(super) fn payable_at(&self) -> Mono {
        self.paid_at
    }

    /// A share of so many bytes was begun at `since`, when all before it were paid for.
    pub(super) fn pay(&mut self, since: Mono, file_bytes: u64) {
        let cost = file_bytes.saturating_add(SHARE_COST_BYTES);
        self.paid_at = since + self.config.time_for(cost);
    }
}

/// When each bucket of a round is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    round_min: Duration,
    /// The round had this age ...
    age: Duration,
    /// ... at this moment.
    at: Mono,
}

impl Schedule {
    /// Of a round that began, or is to begin, at `started`. A calendar that was set back makes it begin later, but by one
    /// round at most.
    pub(super) fn new(config: &ScrubConfig, started: UnixSeconds, now: Mono, unix: UnixSeconds) -> Schedule {
        let ahead = started.saturating_sub(unix).min(config.round_min);
        Schedule {
            round_min: config.round_min,
            age: unix.saturating_sub(started),
            at: now + ahead,
        }
    }

    /// Of a round that begins at this moment.
    pub(super) fn beginning(config: &ScrubConfig, at: Mono) -> Schedule {
        Schedule {
            round_min: config.round_min,
            age: Duration::ZERO,
            at,
        }
    }

    /// When the bucket behind `done` others may be begun; with all of them done, when the next round may.
    pub(super) fn due(&self, done: usize) -> Mono {
        let part = self.round_min.as_micros() * done as u128 / Bucket::COUNT as u128;
        let due = Duration::from_micros(u64::try_from(part).unwrap_or(u64::MAX));
        self.at + due.saturating_sub(self.age)
    }
}
