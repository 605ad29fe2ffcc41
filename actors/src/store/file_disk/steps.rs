//! The system calls that change the disk, one function each, so that a test can stop the disk before any of them.
//!
//! In a real node [`Steps`] is nothing but these calls. A test hands in a budget: when it is used up, every further call
//! fails, as if the machine had stopped there; what was written but not made durable can then be damaged on purpose.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{FallocateFlags, fallocate};
use truckee_engine::time::UnixSeconds;

/// Shares are ciphertext, but who holds which file is nobody's business: owner only.
pub(in crate::store) const FILE_MODE: u32 = 0o600;
/// As [`FILE_MODE`], for directories.
pub(in crate::store) const DIR_MODE: u32 = 0o700;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::store) struct Steps {
    #[cfg(test)]
    pub(in crate::store) budget: Option<std::sync::Arc<super::tests::Budget>>,
}

impl Steps {
    pub(in crate::store) fn real() -> Steps {
        Steps {
            #[cfg(test)]
            budget: None,
        }
    }

    #[cfg(test)]
    fn step(&self, path: &Path, durable: bool) -> io::Result<()> {
        self.budget
            .as_ref()
            .map_or(Ok(()), |budget| budget.spend(path, durable))
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // the test's twin uses both
    #[inline]
    fn step(&self, _: &Path, _: bool) -> io::Result<()> {
        Ok(())
    }

    /// Makes a file that must not be there yet.
    pub(in crate::store) fn create(&self, path: &Path) -> io::Result<File> {
        self.step(path, false)?;
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(path)
    }

    pub(in crate::store) fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step(path, false)?;
        file.write_all(bytes)
    }

    /// Has the file system set so many bytes aside for a file; its length stays.
    pub(in crate::store) fn make_room(
        &self,
        file: &File,
        path: &Path,
        from: u64,
        bytes: u64,
    ) -> io::Result<()> {
        self.step(path, false)?;
        Ok(fallocate(file, FallocateFlags::KEEP_SIZE, from, bytes)?)
    }

    /// Takes back what a failed write may have left behind `length`, and room there.
    pub(in crate::store) fn truncate(&self, file: &File, path: &Path, length: u64) -> io::Result<()> {
        self.step(path, false)?;
        file.set_len(length)
    }

    pub(in crate::store) fn stamp(&self, file: &File, path: &Path, at: UnixSeconds) -> io::Result<()> {
        self.step(path, false)?;
        file.set_modified(UNIX_EPOCH + Duration::from_secs(at.as_secs()))
    }

    /// Makes content and length of a file durable.
    pub(in crate::store) fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        self.step(path, true)?;
        file.sync_all()
    }

    /// Makes content and length of a file durable, and not its times.
    pub(in crate::store) fn sync_data(&self, file: &File, path: &Path) -> io::Result<()> {
        self.step(path, true)?;
        file.sync_data()
    }

    /// Makes the names in a directory durable.
    pub(in crate::store) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step(path, true)?;
        File::open(path)?.sync_all()
    }

    pub(in crate::store) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(parent(to), false)?;
        fs::rename(from, to)
    }

    /// Makes a directory; one that is there is fine.
    pub(in crate::store) fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.step(parent(path), false)?;
        match DirBuilder::new().mode(DIR_MODE).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a directory if it is empty; one that is not, or is not there, is fine.
    pub(in crate::store) fn remove_empty_dir(&self, path: &Path) -> io::Result<()> {
        self.step(parent(path), false)?;
        match fs::remove_dir(path) {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
                ) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Removes a file; one that is not there is fine.
    pub(in crate::store) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(path, false)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// What has to be synced before a name in it is durable.
fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
