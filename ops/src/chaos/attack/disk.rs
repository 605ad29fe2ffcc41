//! Disks that fill up.
//!
//! Owns small file systems in memory that are mounted for a node of the tool's own cluster, where that is allowed, and the
//! files that fill them. Nothing here touches a disk that somebody else uses.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::error::CliError;

/// Size of such a disk: room for what a run stores at most on one of ten peers, 170 MiB, and for the log.
const DISK_BYTES: u64 = 256 << 20;

/// Name of the file that fills it.
const FILLER: &str = "filler-of-chaos";

/// Written at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Mounts a small disk at `dir`, which is made.
///
/// # Errors
/// When the system does not allow it, in one word or two.
pub(crate) fn mount_small(dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|error| error.to_string())?;
    let options = CString::new(format!("size={DISK_BYTES},mode=700")).map_err(|error| error.to_string())?;
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    mount("truckee-chaos", dir, "tmpfs", flags, options.as_c_str()).map_err(|error| error.to_string())
}

/// Takes it away, with all that is on it.
pub(crate) fn unmount_small(dir: &Path) -> Result<(), CliError> {
    // Detached: a log that is still open keeps nobody from it.
    match unmount(dir, UnmountFlags::DETACH) {
        // It is not mounted, or not there.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        other => other.map_err(|error| CliError::file("unmount", dir)(error.into())),
    }
}

/// Where the file that fills a node's disk stands.
pub(crate) fn filler(node: &Path) -> PathBuf {
    node.join(FILLER)
}

/// Fills the disk to its last byte; gives how many that took.
pub(crate) fn fill(path: &Path) -> Result<u64, CliError> {
    let mut file = File::create(path).map_err(CliError::file("create", path))?;
    let piece = vec![0; PIECE_BYTES];
    let mut written = 0;
    // The disk has a size: this ends.
    while written <= DISK_BYTES {
        match file.write(&piece) {
            Ok(0) => break,
            Ok(bytes) => written += bytes as u64,
            Err(error) if error.kind() == ErrorKind::StorageFull => break,
            Err(error) => return Err(CliError::file("write", path)(error)),
        }
    }
    Ok(written)
}
