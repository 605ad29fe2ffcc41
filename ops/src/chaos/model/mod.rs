//! What must be in the grid, by what the gateway acknowledged: [`files`], and [`names`] in directories.

pub(crate) mod files;
pub(crate) mod names;

use std::time::Duration;

/// A moment of the run: time since its start.
pub(crate) type At = Duration;

/// Content that follows from a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Text {
    /// Seed of the bytes.
    pub(crate) seed: u64,
    /// How many there are.
    pub(crate) size_bytes: u64,
}
