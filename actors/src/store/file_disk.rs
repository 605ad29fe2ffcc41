//! Shares as files: `shares/aa/<storage index>/<share number>`, where `aa` are the first two characters of the index.
//!
//! A share is written in `incoming/`, made durable there, renamed to its place, and the directory made durable; only then
//! is it `Stored`. So a finished name never stands for an unfinished share, and after `kill -9` or loss of power at any
//! point an acknowledged share is there, and an unacknowledged one is either whole or leaves no trace once `incoming/`
//! was emptied at the next start. What does not check when it is touched is moved to `quarantine/` and never served; it
//! is the file that was looked at which is moved, never one that has come in its place meanwhile.
//!
//! What is not wanted any more waits in `trash/`, see [`trash`].
//!
//! The modification time of a share file is when it was written; when its file was renewed stands in `leases/`, see
//! [`leases`].
//!
//! Costs per new share: one `fsync` of its file and two of directories (three for the first of a prefix), until then less than 64 KiB
//! of memory, and for a long one room on the disk that is given back ([`appended`]); at start one `stat` per share, no reads. Not promised: that block bytes are right; whoever reads them checks their hashes.

mod appended;
mod buffers;
pub(super) mod finished;
mod hashes;
pub(in crate::store) mod incoming;
pub(in crate::store) mod leases;
mod list;
pub(in crate::store) mod opened;
mod paths;
pub(in crate::store) mod recent;
pub(in crate::store) mod scan;
pub(in crate::store) mod source;
pub(in crate::store) mod steps;
#[cfg(test)]
pub(in crate::store) mod tests;
mod trash;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::counter;
use truckee_engine::store::{Amount, Damage, DiskDone, DiskFault, DiskOp, DiskReply, IncomingId, StartSpace};
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::StorageIndex;

use self::appended::Ahead;
use self::incoming::Incoming;
use self::opened::OpenCache;
use self::paths::Paths;
pub use self::recent::PAGE_CACHE_BYTES_DEFAULT;
use self::recent::Recent;
use self::source::Source;
use self::steps::Steps;
use super::disk::{AtOnce, Disk, GivenUp, Turn};
use crate::metrics as names;

/// Why a directory cannot be used for shares.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A directory or file in it cannot be made, read or removed.
    #[error(
        "cannot use {path} for shares: {source}; check that the directory belongs to this user and its disk works"
    )]
    Io {
        /// Which.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// See the module.
#[derive(Debug)]
pub struct FileDisk {
    paths: Paths,
    steps: Steps,
    incoming: Mutex<BTreeMap<IncomingId, Arc<Mutex<Incoming>>>>,
    opened: OpenCache,
    /// What is set aside for unfinished shares.
    ahead: Ahead,
    /// What was written last, to files of their own.
    recent: Mutex<Recent>,
    /// Directories of buckets known to be durable.
    durable_buckets: Mutex<BTreeSet<Bucket>>,
    /// Held while a finished share goes from its place, so that what goes is what was looked at.
    departures: Mutex<()>,
    /// Held while a lease is read and something follows from it.
    leases: Mutex<()>,
    /// No share in its place is shorter than this; bytes of its file.
    shortest_bytes: AtomicU64,
}

/// What went wrong inside an operation, before it is classified.
#[derive(Debug)]
pub(in crate::store) enum Trouble {
    /// The system said no.
    Io(io::Error),
    /// A fault that needs no log line: it tells of the request, not of the disk.
    Plain(DiskFault),
    /// The share does not check.
    Damaged(Wrong),
}

/// What does not check.
#[derive(Debug)]
pub(in crate::store) struct Wrong {
    pub(in crate::store) why: String,
    /// What was looked at. A file is kept open, so that no other can have its inode.
    source: Source,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

impl From<GivenUp> for Trouble {
    fn from(_: GivenUp) -> Trouble {
        Trouble::Plain(DiskFault::Overloaded)
    }
}

impl FileDisk {
    /// Opens the shares below `dir`: makes what directories are missing, empties `incoming/`, and counts what is there.
    /// Blocks for about a microsecond per share.
    ///
    /// # Errors
    /// [`DiskError`] names the path that cannot be used.
    pub fn open(dir: &Path) -> Result<(FileDisk, StartSpace), DiskError> {
        FileDisk::open_with(dir, Steps::real())
    }

    pub(in crate::store) fn open_with(dir: &Path, steps: Steps) -> Result<(FileDisk, StartSpace), DiskError> {
        let paths = Paths::below(dir);
        let (start, shortest_bytes) = scan::prepare(&paths)?;
        let disk = FileDisk::over(paths, steps);
        disk.holds_one_of(shortest_bytes);
        Ok((disk, start))
    }

    /// The shares below `dir` as they are, also while a node runs there: only for operations that only read, and that put
    /// nothing aside.
    pub(super) fn only_to_look(dir: &Path) -> FileDisk {
        FileDisk::over(Paths::below(dir), Steps::real())
    }

    /// What lies in the trash; nothing, if it cannot be read.
    pub(super) fn trash_amount(&self) -> Amount {
        scan::count_trash(self.paths.trash()).unwrap_or_default()
    }

    /// Where damaged shares go.
    pub(in crate::store) fn quarantine(&self) -> &Path {
        self.paths.quarantine()
    }

    fn over(paths: Paths, steps: Steps) -> FileDisk {
        FileDisk {
            paths,
            steps,
            incoming: Mutex::new(BTreeMap::new()),
            opened: OpenCache::default(),
            ahead: Ahead::default(),
            recent: Mutex::new(Recent::keeping(PAGE_CACHE_BYTES_DEFAULT)),
            durable_buckets: Mutex::new(BTreeSet::new()),
            departures: Mutex::new(()),
            leases: Mutex::new(()),
            shortest_bytes: AtomicU64::new(u64::MAX),
        }
    }

    /// Whether it may have shares in their places that are no longer than this. While the store is open, that it may have them is
    /// not forgotten when they go.
    pub(in crate::store) fn may_hold_as_short(&self, file_bytes: u64) -> bool {
        self.shortest_bytes.load(Ordering::Acquire) <= file_bytes
    }

    /// Before anybody is told that such a share is in its place.
    fn holds_one_of(&self, file_bytes: u64) {
        self.shortest_bytes.fetch_min(file_bytes, Ordering::AcqRel);
    }

    pub(in crate::store) fn work(
        &self,
        op: DiskOp,
        turn: &dyn Turn,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        match op {
            DiskOp::Create {
                incoming,
                share,
                coding,
                segment_bytes,
                expected_bytes,
            } => self.create(incoming, share, coding, segment_bytes, expected_bytes, damage),
            DiskOp::Append { incoming, block, .. } => self.append(incoming, &block),
            DiskOp::Finish {
                incoming,
                share,
                closing,
            } => self.finish(incoming, share, &closing, damage),
            DiskOp::Discard { incoming, .. } => self.discard(incoming),
            DiskOp::Put {
                incoming,
                share,
                closing,
                block,
            } => self.put(incoming, share, &closing, &block, damage),
            DiskOp::Find { si, inline_bytes_max } => self.find(si, inline_bytes_max, damage),
            DiskOp::Read {
                share,
                segment,
                suspect,
            } => self.read(share, segment, suspect, damage),
            DiskOp::Verify { share } => self.verify(share, turn, damage),
            DiskOp::List { bucket, after } => self.list(bucket, after, turn, damage),
            DiskOp::Remove { share } => self.remove(share),
            DiskOp::Trash {
                share,
                mark,
                leased_before,
            } => self.let_go(share, mark, leased_before),
            DiskOp::Renew { bucket, day, sis } => self.renew(bucket, day, &sis, damage),
            DiskOp::Survey { bucket, after } => self.survey(bucket, after, turn),
            DiskOp::Restore { share } => self.restore(share, damage),
            DiskOp::Empty {
                bucket,
                cause,
                before,
            } => self.empty(bucket, cause, before),
            DiskOp::Measure => Ok(DiskDone::Measured {
                free_bytes: self.ahead.added_to(scan::free_bytes(self.paths.shares())?),
            }),
        }
    }

    fn incoming_table(&self) -> std::sync::MutexGuard<'_, BTreeMap<IncomingId, Arc<Mutex<Incoming>>>> {
        // A thread that panicked held the lock only around map operations, which leave the map whole.
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for FileDisk {
    fn carry_out(&self, op: DiskOp) -> DiskReply {
        self.carry_out_in_turn(op, &AtOnce)
    }

    fn carry_out_in_turn(&self, op: DiskOp, turn: &dyn Turn) -> DiskReply {
        reply_of(op.name(), op.si(), |damage| self.work(op, turn, damage))
    }
}

/// Carries out an operation and classifies what came of it.
pub(in crate::store) fn reply_of(
    name: &'static str,
    about: Option<StorageIndex>,
    work: impl FnOnce(&mut Damage) -> Result<DiskDone, Trouble>,
) -> DiskReply {
    let mut damage = Damage::default();
    let result = work(&mut damage).map_err(|trouble| {
        let fault = classify(&trouble);
        if let Trouble::Io(error) = &trouble {
            refused(name, about, error);
        }
        fault
    });
    DiskReply { result, damage }
}

/// Notes what the system said.
pub(in crate::store) fn refused(operation: &'static str, si: Option<StorageIndex>, error: &io::Error) {
    counter!(names::STORE_DISK_ERRORS, "operation" => operation).increment(1);
    tracing::error!(operation, ?si, %error, "the disk refused an operation of the share store");
}

pub(in crate::store) fn classify(trouble: &Trouble) -> DiskFault {
    match trouble {
        Trouble::Plain(fault) => *fault,
        Trouble::Damaged(_) => DiskFault::Corrupt,
        Trouble::Io(error) => match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskFault::Full,
            io::ErrorKind::NotFound => DiskFault::NotFound,
            _ => DiskFault::Failed,
        },
    }
}
