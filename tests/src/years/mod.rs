//! Years of a grid whose disks die for good, in seconds: how durable healing makes files, at which bandwidth.
//!
//! The healers are the real machines of `truckee_engine::heal`, one on each node, and so are their pace and the placement
//! of what they make again. What they ask is answered from a model: who holds which share, and who is away ([`grid`]). A
//! repair reads k blocks and writes the missing ones, and takes as long as the pace of its node gives ([`world`]). The
//! same events come in the same order, whatever the bandwidth, so that outcomes can be compared ([`events`]). [`markov`]
//! is the closed form beside it, [`report`] the table and the plot.
//!
//! What is coarser than life: disks die, and nodes go and come back, at set hours of the day, several at once; a dead
//! disk is replaced by an empty one a day later; a file here stands for all files whose shares are on the same nodes;
//! messages take no time, and none is lost; nobody corrupts anything. The per-message simulator ([`crate::sim`]) has all
//! that, and hours instead of years.

use std::num::NonZeroU64;
use std::time::Duration;

use truckee_grid::params::Coding;

pub mod events;
pub mod grid;
pub mod markov;
pub mod report;
pub mod world;

/// Seconds in a year.
pub const YEAR_SECONDS: f64 = 365.25 * 86_400.0;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// Everything random follows from it.
    pub seed: u64,
    /// Storage nodes.
    pub nodes: usize,
    /// Files; one that is lost is replaced by a new one.
    pub files: usize,
    /// k of n.
    pub coding: Coding,
    /// Bytes of a share: with the numbers above, what a disk holds.
    pub share_bytes: u64,
    /// Bytes that each node reads and writes per second for repairs.
    pub bytes_per_second: NonZeroU64,
    /// Times in a year that a disk dies for good.
    pub deaths_per_year: f64,
    /// Times in a year that a node goes away, for hours or days, with all it holds.
    pub absences_per_year: f64,
    /// How long.
    pub time: Duration,
}

impl Params {
    /// Bytes that a disk holds on average, when every file is whole.
    #[must_use]
    pub fn disk_bytes(&self) -> f64 {
        (self.files * self.coding.n()) as f64 * self.share_bytes as f64 / self.nodes as f64
    }

    /// Years.
    #[must_use]
    pub fn years(&self) -> f64 {
        self.time.as_secs_f64() / YEAR_SECONDS
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Disks that died.
    pub deaths: u64,
    /// Times that a node went away.
    pub absences: u64,
    /// Files of which fewer than k shares were left on any disk.
    pub lost: u64,
    /// Simulated years times files.
    pub file_years: f64,
    /// The fewest different shares of a file that were ever left on disks.
    pub least_shares: usize,
    /// Times that a file lost shares and had all of them again later.
    pub mended: u64,
    /// From the loss of the first share until all were there again, added up, in seconds.
    pub mending_seconds: f64,
    /// Repairs that were begun.
    pub repairs: u64,
    /// Bytes read and written by repairs.
    pub moved_bytes: u64,
    /// Shares on all disks at the end for each one that is needed.
    pub copies: f64,
}

impl Outcome {
    /// From the loss of the first share until all were there again, on average; `None` if that never happened.
    #[must_use]
    pub fn mean_mending(&self) -> Option<Duration> {
        (self.mended > 0).then(|| Duration::from_secs_f64(self.mending_seconds / self.mended as f64))
    }
}
