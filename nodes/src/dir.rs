//! The directory of a node: which files stand in it and how they are written.
//!
//! | file | mode | what |
//! |---|---|---|
//! | `truckee.toml` | 0644 | configuration; may hold invites, so [`NodeDir::create`] makes the directory itself 0700 |
//! | `identity.key` | 0600 | the node's private key |
//! | `invite.secret` | 0600 | role introducer: the secret in its invites |
//! | `convergence.secret` | 0600 | role gateway: mixed into keys that derive from content |
//! | `drive.sqlite` | 0600 | the database of a vdrive, with `-wal` and `-shm` beside it; made by its role |
//! | `ports.json` | 0644 | ports that were chosen at the first start |
//! | `node.lock` | 0644 | locked by the running node |
//! | `run.json` | 0600 | addresses of the running node, and its invite |
//! | `control.sock` | 0600 | where the running node takes orders of its operator |
//! | `roster.bin` | 0600 | the mesh as last seen |
//! | `draining` | 0644 | role storage: there while the node is being emptied |
//! | `incidents/` | 0700 | recent events, written after panics |
//! | `shares/`, `incoming/`, `quarantine/`, `trash/`, `leases/`, `packs/` | 0700 | role storage |
//! | `gc.json` | 0600 | role storage: the days that the node has seen pass, and since when leases are collected |
//! | `scrub.json` | 0600 | role storage: how far the shares have been read back and checked |
//!
//! A file written here is there whole or not at all, also after a power failure.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Mode of files that hold a secret.
pub const MODE_SECRET: u32 = 0o600;
/// Mode of files that anybody may read who may enter the directory.
pub const MODE_OPEN: u32 = 0o644;

/// A file of the node directory cannot be read or written.
#[derive(Debug, Error)]
#[error("cannot {action} {path}: {source}", path = .path.display())]
pub struct DirError {
    /// What was tried: "read", "write", "create".
    pub action: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

impl DirError {
    /// For use in `map_err`.
    pub fn on(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DirError {
        let path = path.to_owned();
        move |source| DirError { action, path, source }
    }
}

/// Paths inside one node's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeDir(PathBuf);

impl NodeDir {
    /// Names the directory; nothing is touched.
    pub fn new(dir: &Path) -> NodeDir {
        NodeDir(dir.to_owned())
    }

    /// Makes the directory and its parents, for its owner only, unless it is there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(&self) -> Result<(), DirError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&self.0).map_err(DirError::on("create", &self.0))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `gc.json`.
    pub fn gc_path(&self) -> PathBuf {
        self.0.join("gc.json")
    }

    /// `truckee.toml`.
    pub fn config_path(&self) -> PathBuf {
        self.0.join("truckee.toml")
    }

    /// `identity.key`.
    pub fn identity_path(&self) -> PathBuf {
        self.0.join("identity.key")
    }

    /// `invite.secret`.
    pub fn invite_secret_path(&self) -> PathBuf {
        self.0.join("invite.secret")
    }

    /// `convergence.secret`.
    pub fn convergence_secret_path(&self) -> PathBuf {
        self.0.join("convergence.secret")
    }

    /// `drive.sqlite`: the database of a vdrive.
    pub fn drive_path(&self) -> PathBuf {
        self.0.join("drive.sqlite")
    }

    /// `ports.json`.
    pub fn ports_path(&self) -> PathBuf {
        self.0.join("ports.json")
    }

    /// `node.lock`.
    pub fn lock_path(&self) -> PathBuf {
        self.0.join("node.lock")
    }

    /// `run.json`.
    pub fn run_file_path(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// `incidents/`: recent events, written after panics and when asked for.
    pub fn incidents_path(&self) -> PathBuf {
        self.0.join("incidents")
    }

    /// `scrub.json`: the scrubber's place.
    pub fn scrub_path(&self) -> PathBuf {
        self.0.join("scrub.json")
    }

    /// `control.sock`.
    pub fn control_path(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// `draining`.
    pub fn draining_path(&self) -> PathBuf {
        self.0.join("draining")
    }

    /// `roster.bin`.
    pub fn roster_path(&self) -> PathBuf {
        self.0.join("roster.bin")
    }
}

/// Writes a file that must not be there yet. A reader sees all of it or nothing.
///
/// # Errors
/// The file is there already ([`io::ErrorKind::AlreadyExists`]), or the disk refuses.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DirError> {
    let staged = stage(path, bytes, mode)?;
    // A link, unlike a rename, never replaces what is there.
    let linked = fs::hard_link(&staged, path).map_err(DirError::on("create", path));
    let removed = fs::remove_file(&staged).map_err(DirError::on("remove", &staged));
    linked?;
    removed?;
    sync_parent(path)
}

/// Writes a file in place of the one that may be there. A reader sees the old one or the new one.
///
/// # Errors
/// The disk refuses; then the old file stands.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DirError> {
    let staged = stage(path, bytes, mode)?;
    fs::rename(&staged, path).map_err(DirError::on("write", path))?;
    sync_parent(path)
}

/// Removes a file; it is gone also after a power failure. One that is not there is no error.
///
/// # Errors
/// The disk refuses.
pub fn remove(path: &Path) -> Result<(), DirError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(DirError::on("remove", path)(error)),
        Ok(()) => sync_parent(path),
    }
}

/// Writes the bytes to a file beside `path` and makes them durable.
fn stage(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, DirError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let staged = path.with_file_name(name);
    // Left over by a process that was killed in between; only one process holds the directory's lock.
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(DirError::on("remove", &staged)(error));
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&staged)
        .map_err(DirError::on("create", &staged))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(DirError::on("write", &staged))?;
    Ok(staged)
}

fn sync_parent(path: &Path) -> Result<(), DirError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(DirError::on("write", parent))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_file_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_new(&path, b"one", MODE_SECRET).unwrap();
        let error = write_new(&path, b"two", MODE_SECRET).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(dir.path().join("a.new"), b"left over").unwrap();
        replace(&path, b"one", MODE_OPEN).unwrap();
        replace(&path, b"three", MODE_OPEN).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        remove(&path).unwrap();
        assert!(!path.exists());
        remove(&path).unwrap();
    }

    #[test]
    fn the_directory_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let node = NodeDir::new(&dir.path().join("x/y"));
        node.create().unwrap();
        node.create().unwrap();
        assert_eq!(
            fs::metadata(node.path()).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
