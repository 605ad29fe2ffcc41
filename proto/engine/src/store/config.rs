//! What a store is told at its start, and what it tells of itself.

use super::trash::Amount;

/// Bounds of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Shares open at once. Each costs an open file, of which a process by default has 1024, and less than 64 KiB of memory that
    /// the disk holds back until they fill a unit.
    pub open_max: usize,
    /// Shares open at once over one link, so that one peer cannot take them all.
    pub open_per_link_max: usize,
    /// Bytes of blocks that are on their way to the disk: the queue's memory.
    pub write_bytes_max: u64,
    /// Reads, searches and checks that are on their way to the disk.
    pub reads_max: usize,
    /// Leaves that all open shares keep, 32 bytes each. An open share of a file of the greatest length has 2^21.
    pub leaves_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            open_max: 384,
            open_per_link_max: 192,
            write_bytes_max: 64 << 20,
            reads_max: 512,
            leaves_max: 1 << 22,
        }
    }
}

/// What the operator decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// All finished and open shares together stay below.
    pub quota_bytes: u64,
    /// So much of the disk stays free.
    pub reserve_bytes: u64,
    /// Random, new at each start of the process, not 0: what is counted is counted from then on.
    pub epoch: u64,
    /// As [`super::Store::set_draining`] would say at the start.
    pub draining: bool,
    /// Name and version, for status.
    pub software: String,
    /// Bounds.
    pub limits: Limits,
}

/// What was found on the disk at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StartSpace {
    /// Finished shares.
    pub share_count: u64,
    /// Length of their files.
    pub used_bytes: u64,
    /// What lies in the trash.
    pub trash: Amount,
    /// Free bytes of the file system.
    pub free_bytes: u64,
}

/// Why open shares were given up, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Aborted {
    /// Their uploader said so.
    pub asked: u64,
    /// Their link went away.
    pub link_lost: u64,
    /// Nothing came for [`super::IDLE_MAX`].
    pub idle: u64,
    /// Disk fault, no room, or wrong hashes.
    pub failed: u64,
}

/// What was at work on a share when it was found damaged, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Corrupt {
    /// A peer asked for shares or for a block.
    pub read: u64,
    /// A share was to be written where it lay.
    pub write: u64,
    /// The node itself looked through what it holds: a check or a list.
    pub scrub: u64,
}

impl Corrupt {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.read + self.write + self.scrub
    }
}

/// A look at the store, for metrics and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StoreReport {
    /// Finished shares.
    pub share_count: u64,
    /// Length of their files and of those in the trash.
    pub used_bytes: u64,
    /// What lies in the trash.
    pub trash: Amount,
    /// Room for new ones.
    pub available_bytes: u64,
    /// Open shares.
    pub open_shares: usize,
    /// Open shares, and those that came in one message and are not durable yet.
    pub unfinished_shares: usize,
    /// Whether the store takes no shares because it is being emptied.
    pub draining: bool,
    /// Bytes on their way to the disk.
    pub write_bytes_in_flight: u64,
    /// Reads on their way to the disk.
    pub reads_in_flight: usize,
    /// Bytes of blocks written since the start.
    pub written_bytes: u64,
    /// Bytes of blocks read since the start.
    pub read_bytes: u64,
    /// Open shares given up since the start.
    pub aborted: Aborted,
    /// Damaged shares put aside since the start.
    pub corrupt: Corrupt,
    /// Leases renewed since the start, one for each file and renewal.
    pub leases_renewed: u64,
    /// Bytes read back and checked since the start.
    pub verified_bytes: u64,
}
