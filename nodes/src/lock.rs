//! One process per node directory: `node.lock` is locked for as long as the node runs.
//!
//! The kernel lets go of the lock when the process ends, however it ends, so a lock never outlives its node. The
//! file itself stays.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use crate::dir::{DirError, NodeDir};

/// Held by the running node; let go when dropped.
#[derive(Debug)]
pub struct NodeLock {
    _file: File,
}

/// The directory cannot be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process runs on it.
    #[error("{} is in use by a running node; stop that one first or choose another directory", .0.display())]
    Held(PathBuf),
    /// The lock file cannot be opened.
    #[error(transparent)]
    Dir(#[from] DirError),
}

/// Whoever only looks whether the lock is held takes it for an instant; a node that starts just then tries again.
const ATTEMPTS: u32 = 5;
/// Far longer than a look takes, short enough for all attempts to go unnoticed.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(20);

impl NodeLock {
    /// Locks the directory for this process.
    ///
    /// # Errors
    /// It is held, or the file cannot be opened.
    pub fn acquire(dir: &NodeDir) -> Result<NodeLock, LockError> {
        let path = dir.lock_path();
        let file = open(&path)?;
        for attempt in 1.. {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if attempt < ATTEMPTS => std::thread::sleep(ATTEMPT_PAUSE),
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(LockError::Held(dir.path().to_owned())),
                Err(error) => return Err(DirError::on("lock", &path)(error.into()).into()),
            }
        }
        Ok(NodeLock { _file: file })
    }
}

/// Whether a running node holds the directory. False for a directory that is absent.
///
/// # Errors
/// The lock file is there but cannot be opened.
pub fn is_locked(dir: &Path) -> Result<bool, LockError> {
    let path = NodeDir::new(dir).lock_path();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(DirError::on("open", &path)(error).into()),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(DirError::on("lock", &path)(error.into()).into()),
    }
}

fn open(path: &Path) -> Result<File, DirError> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    opened.map_err(DirError::on("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_run_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = NodeDir::new(temp.path());
        assert!(!is_locked(temp.path()).unwrap());
        let lock = NodeLock::acquire(&dir).unwrap();
        assert!(is_locked(temp.path()).unwrap());
        let error = NodeLock::acquire(&dir).unwrap_err();
        assert!(
            matches!(&error, LockError::Held(path) if path == temp.path()),
            "{error}"
        );
        drop(lock);
        assert!(!is_locked(temp.path()).unwrap());
        NodeLock::acquire(&dir).unwrap();
    }
}
