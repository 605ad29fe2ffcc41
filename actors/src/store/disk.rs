//! The seam between the share store and whatever keeps its bytes.
//!
//! A [`Disk`] carries out one operation at a time on the thread that calls it and may block; the pool decides on which
//! thread. It promises what [`DiskOp`] says of each operation, above all that `Stored` is only said of a share that no
//! crash can lose. [`FileDisk`](super::file_disk::FileDisk) keeps a file per share; a store that packs small shares
//! together belongs behind the same trait, which already takes a small share whole ([`DiskOp::Put`]).

use truckee_engine::store::{DiskOp, DiskReply};

/// Keeps shares. Shared by the threads of the pool: operations on different files run side by side, those that write
/// shares of one file come one after the other.
pub trait Disk: Send + Sync + 'static {
    /// Carries the operation out. Faults are logged here, with what the system said; the reply only classifies them.
    fn carry_out(&self, op: DiskOp) -> DiskReply;
}
