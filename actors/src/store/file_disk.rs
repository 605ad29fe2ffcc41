//! Shares as files: `shares/aa/<storage index>/<share number>`, where `aa` are the first two characters of the index.
//!
//! A share is written in `incoming/`, made durable there, renamed to its place, and the directory made durable; only then
//! is it `Stored`. So a finished name never stands for an unfinished share, and after `kill -9` or loss of power at any
//! point an acknowledged share is there, and an unacknowledged one is either whole or leaves no trace once `incoming/`
//! was emptied at the next start. What does not check when it is touched is moved to `quarantine/` and never served.
//!
//! The modification time of a share file is its lease: when it was written or last renewed.
//!
//! Costs per new share: one `fsync` of its file and two of directories (three for the first of a prefix); at start one
//! `stat` per share, no reads. Not promised: that block bytes are right; whoever reads them checks their hashes.

mod finished;
mod incoming;
mod opened;
mod paths;
mod scan;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::counter;
use truckee_engine::store::{Damage, DiskDone, DiskFault, DiskOp, DiskReply, IncomingId, StartSpace};

use self::incoming::Incoming;
use self::opened::OpenCache;
use self::paths::Paths;
use self::steps::Steps;
use super::disk::Disk;
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
    /// Prefix directories known to be durable; at most the 1024 that there are.
    durable_prefixes: Mutex<BTreeSet<PathBuf>>,
}

/// What went wrong inside an operation, before it is classified.
#[derive(Debug)]
enum Trouble {
    /// The system said no.
    Io(io::Error),
    /// A fault that needs no log line: it tells of the request, not of the disk.
    Plain(DiskFault),
    /// The share does not check.
    Damaged(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
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

    fn open_with(dir: &Path, steps: Steps) -> Result<(FileDisk, StartSpace), DiskError> {
        let paths = Paths::below(dir);
        let start = scan::prepare(&paths)?;
        let disk = FileDisk {
            paths,
            steps,
            incoming: Mutex::new(BTreeMap::new()),
            opened: OpenCache::default(),
            durable_prefixes: Mutex::new(BTreeSet::new()),
        };
        Ok((disk, start))
    }

    fn work(&self, op: DiskOp, damage: &mut Damage) -> Result<DiskDone, Trouble> {
        match op {
            DiskOp::Create {
                incoming,
                share,
                coding,
                segment_bytes,
            } => self.create(incoming, share, coding, segment_bytes, damage),
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
            DiskOp::Read { share, segment } => self.guarded(share, damage, |opened| opened.read(segment)),
            DiskOp::Verify { share } => self.verify(share, damage),
            DiskOp::Remove { share } => self.remove(share),
            DiskOp::Measure => Ok(DiskDone::Measured {
                free_bytes: scan::free_bytes(self.paths.shares())?,
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
        let name = op.name();
        let about = op.si();
        let mut damage = Damage::default();
        let result = self.work(op, &mut damage).map_err(|trouble| {
            let fault = classify(&trouble);
            if let Trouble::Io(error) = &trouble {
                counter!(names::STORE_DISK_ERRORS, "operation" => name).increment(1);
                tracing::error!(operation = name, si = ?about, %error, "the disk refused an operation of the share store");
            }
            fault
        });
        DiskReply { result, damage }
    }
}

fn classify(trouble: &Trouble) -> DiskFault {
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
