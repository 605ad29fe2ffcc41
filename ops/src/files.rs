//! Files that appear whole or not at all.
//!
//! Owns the one way in which this program writes a file under its final name: a temporary file in the same directory,
//! filled, synced, renamed. A crash leaves at most a temporary file (`.NAME.PID.part`), never half a file under the name.
//! It does not lock: the last of two writers wins.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::CliError;
use crate::interrupt;

/// File systems take names of 255 bytes; a longer name than this leaves no room for what is put around it.
const HIDDEN_NAME_BYTES_MAX: usize = 230;

/// Tells apart the temporary files of targets with long names.
static LONG_NAMES: AtomicU64 = AtomicU64::new(0);

/// A file that is being written and has no name yet. Dropped before [`PendingFile::keep`], it is removed.
#[derive(Debug)]
pub(crate) struct PendingFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    kept: bool,
}

impl PendingFile {
    /// Opens a temporary file beside `target`, with the permission bits `mode` (before the umask).
    pub(crate) fn create(target: &Path, mode: u32) -> Result<PendingFile, CliError> {
        let name = target.file_name().ok_or_else(|| CliError::Usage {
            what: "the output path",
            value: target.display().to_string(),
            hint: "it must end in a file name".into(),
        })?;
        let mut hidden = std::ffi::OsString::from(".");
        if name.len() <= HIDDEN_NAME_BYTES_MAX {
            hidden.push(name);
        } else {
            hidden.push(LONG_NAMES.fetch_add(1, Ordering::Relaxed).to_string());
        }
        hidden.push(format!(".{}.part", std::process::id()));
        let temporary = target.with_file_name(hidden);
        interrupt::begun(&temporary);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)
            .map_err(CliError::file("create", &temporary))?;
        Ok(PendingFile {
            file,
            temporary,
            target: target.to_owned(),
            kept: false,
        })
    }

    /// Where the bytes go.
    pub(crate) fn writer(&mut self) -> &mut File {
        &mut self.file
    }

    /// The path of the file while it is unfinished, for error messages.
    pub(crate) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Makes the content durable and gives it its name, replacing what had it before.
    pub(crate) fn keep(mut self) -> Result<(), CliError> {
        self.file
            .sync_all()
            .map_err(CliError::file("write", &self.temporary))?;
        std::fs::rename(&self.temporary, &self.target).map_err(CliError::file("write", &self.target))?;
        self.kept = true;
        interrupt::ended(&self.temporary);
        Ok(())
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        // Best effort: the error that led here is the one to report, and a left-over has a name that says what it is.
        if !self.kept {
            let _ = std::fs::remove_file(&self.temporary);
            interrupt::ended(&self.temporary);
        }
    }
}

/// Writes `content` under `target` with the permission bits `mode`, whole or not at all.
pub(crate) fn write_whole(target: &Path, content: &[u8], mode: u32) -> Result<(), CliError> {
    let mut pending = PendingFile::create(target, mode)?;
    let path = pending.path().to_owned();
    pending
        .writer()
        .write_all(content)
        .map_err(CliError::file("write", &path))?;
    pending.keep()
}

/// Removes a file; that it is not there is no error.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), CliError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CliError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_unfinished_file_leaves_the_old_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("file");
        write_whole(&target, b"old", 0o600).unwrap();
        let mut pending = PendingFile::create(&target, 0o600).unwrap();
        pending.writer().write_all(b"ne").unwrap();
        drop(pending);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "the temporary file is gone"
        );
    }

    #[test]
    fn a_kept_file_replaces_the_old_one_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("file");
        write_whole(&target, b"old", 0o644).unwrap();
        write_whole(&target, b"new", 0o600).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(
            std::fs::metadata(&target).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn the_longest_names_work() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("n".repeat(255));
        write_whole(&target, b"x", 0o600).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"x");
    }

    #[test]
    fn a_path_without_a_name_is_refused() {
        assert!(matches!(
            PendingFile::create(Path::new("/"), 0o600),
            Err(CliError::Usage { .. })
        ));
    }
}
