//! What a start finds: makes the directories, empties `incoming/`, counts shares and their bytes, also in the trash, asks for free room.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use metrics::counter;
use truckee_engine::store::{Amount, StartSpace};

use super::DiskError;
use super::paths::{Paths, share_number, trashed_share};
use super::steps::DIR_MODE;
use crate::metrics as names;

/// What there is, and the length of the shortest share file.
pub(super) fn prepare(paths: &Paths) -> Result<(StartSpace, u64), DiskError> {
    for dir in [
        paths.shares(),
        paths.incoming(),
        paths.quarantine(),
        paths.trash(),
        paths.leases(),
    ] {
        at(dir, make(dir))?;
    }
    let removed = at(paths.incoming(), empty(paths.incoming()))?;
    if removed > 0 {
        counter!(names::STORE_ABORTED, "cause" => "restart").increment(removed);
        tracing::info!(shares = removed, "unfinished shares of the last run were removed");
    }
    let (held, shortest_bytes) = at(paths.shares(), count(paths.shares()))?;
    let free_bytes = at(paths.shares(), free_bytes(paths.shares()))?;
    let start = StartSpace {
        share_count: held.shares,
        used_bytes: held.bytes,
        trash: at(paths.trash(), count_trash(paths.trash()))?,
        free_bytes,
    };
    Ok((start, shortest_bytes))
}

/// Room for an unprivileged writer on the file system of `path`, bytes.
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

pub(in crate::store) fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, DiskError> {
    result.map_err(|source| DiskError::Io {
        path: path.display().to_string(),
        source,
    })
}

pub(in crate::store) fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)?;
    let parent = dir.parent().unwrap_or(dir);
    fs::File::open(parent)?.sync_all()
}

fn empty(dir: &Path) -> io::Result<u64> {
    let mut removed = 0;
    for entry in fs::read_dir(dir)? {
        fs::remove_file(entry?.path())?;
        removed += 1;
    }
    Ok(removed)
}

/// Shares and the length of their files, and of the shortest: two levels of directories and a `stat` for each share.
fn count(shares: &Path) -> io::Result<(Amount, u64)> {
    let (mut held, mut shortest_bytes) = (Amount::default(), u64::MAX);
    for prefix in fs::read_dir(shares)? {
        for file in fs::read_dir(prefix?.path())? {
            for share in fs::read_dir(file?.path())? {
                let share = share?;
                if share_number(&share.file_name()).is_some() {
                    let file_bytes = share.metadata()?.len();
                    held.add(Amount::one(file_bytes));
                    shortest_bytes = shortest_bytes.min(file_bytes);
                }
            }
        }
    }
    Ok((held, shortest_bytes))
}

/// The same for the trash, which has one level.
pub(super) fn count_trash(trash: &Path) -> io::Result<Amount> {
    let mut found = Amount::default();
    for bucket in fs::read_dir(trash)? {
        for share in fs::read_dir(bucket?.path())? {
            let share = share?;
            if trashed_share(&share.file_name()).is_some() {
                found.add(Amount::one(share.metadata()?.len()));
            }
        }
    }
    Ok(found)
}
