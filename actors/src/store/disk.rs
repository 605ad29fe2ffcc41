//! The seam between the share store and whatever keeps its bytes.
//!
//! A [`Disk`] carries out one operation at a time on the thread that calls it and may block; the pool decides on which
//! thread. It promises what [`DiskOp`] says of each operation, above all that `Stored` is only said of a share that no
//! crash can lose. [`FileDisk`](super::file_disk::FileDisk) keeps a file per share;
//! [`PackedDisk`](super::packed::PackedDisk) keeps small shares together and leaves the others to the former.

use truckee_engine::store::{DiskOp, DiskReply};

/// Keeps shares. Shared by the threads of the pool: operations on different files run side by side, those that write
/// shares of one file come one after the other.
pub trait Disk: Send + Sync + 'static {
    /// Carries the operation out. Faults are logged here, with what the system said; the reply only classifies them.
    fn carry_out(&self, op: DiskOp) -> DiskReply;

    /// The same if it is done without waiting for a device, a thread or a sound share: reads of what is in memory. None: it must
    /// be carried out as others are.
    fn at_once(&self, op: &DiskOp) -> Option<DiskReply> {
        let _ = op;
        None
    }

    /// The same for an operation that can wait ([`DiskOp::can_wait`]): asks `turn` before each of its reads, and ends with
    /// the fault [`DiskFault::Overloaded`](truckee_engine::store::DiskFault::Overloaded) when it is given up. A disk whose
    /// reads take no time need not ask.
    fn carry_out_in_turn(&self, op: DiskOp, turn: &dyn Turn) -> DiskReply {
        let _ = turn;
        self.carry_out(op)
    }

    /// The same for several [`DiskOp::Put`] at once, with an outcome for each in their order: a disk that can make several
    /// shares durable together does.
    fn carry_out_puts(&self, ops: Vec<DiskOp>) -> Vec<DiskReply> {
        ops.into_iter().map(|op| self.carry_out(op)).collect()
    }

    /// Whether this is one of those that are best handed over together, see [`Disk::carry_out_puts`].
    fn gathers(&self, op: &DiskOp) -> bool {
        let _ = op;
        false
    }

    /// Does a bounded step of what the disk has to do for itself; gives whether there was something to do. Called when nobody
    /// wants anything, by one thread.
    fn tidy(&self) -> bool {
        false
    }
}

/// When work that can wait may go on.
pub trait Turn {
    /// Returns when its next read may be made.
    ///
    /// # Errors
    /// [`GivenUp`] if the work is to end where it is.
    fn wait(&self) -> Result<(), GivenUp>;
}

/// Work that could wait is not wanted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp;

/// It is always one's turn.
#[derive(Clone, Copy, Debug)]
pub struct AtOnce;

impl Turn for AtOnce {
    fn wait(&self) -> Result<(), GivenUp> {
        Ok(())
    }
}
