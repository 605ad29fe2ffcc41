//! Carries out a copy from the grid to this machine.
//!
//! Names come from whoever may write to the directory: one that would lead out of the target is refused. A file has its
//! name when it is whole.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::report::{Report, patiently};
use super::tree::{FileJob, Origin, Tree};
use crate::client::Place;
use crate::drive::get::{FILE_MODE, copy as copy_download};
use crate::error::CliError;
use crate::files::{PendingFile, write_whole};
use crate::http::Gateway;
use crate::parallel;

/// Permission bits of a file that holds a cap: it is a secret.
const CAP_FILE_MODE: u32 = 0o600;

/// How files are written.
pub(crate) struct Options {
    /// Caps instead of contents.
    pub(crate) caps_only: bool,
    /// Set the time of change that the grid remembers.
    pub(crate) preserve: bool,
    /// Transfers at the same time.
    pub(crate) jobs: usize,
}

/// Copies `tree` into the directory `base`, which is made if it is not there (its parent has to be).
pub(crate) fn copy(gateway: &Gateway, base: &Path, tree: &Tree, options: &Options, report: &Report) {
    let mut dirs: Vec<Option<PathBuf>> = Vec::with_capacity(tree.dirs.len());
    for (at, dir) in tree.dirs.iter().enumerate() {
        let path = if at == 0 {
            Some(Ok(base.to_owned()))
        } else {
            let parent = dirs[dir.parent].as_ref();
            parent.map(|parent| inside(parent, &dir.name))
        };
        let made = path.map(|path| path.and_then(|path| make(&path).map(|()| path)));
        dirs.push(match made {
            Some(Ok(path)) => Some(path),
            Some(Err(error)) => {
                report.fail(tree.path(dir.parent, &dir.name), error);
                None
            }
            None => None,
        });
    }
    parallel::for_each(options.jobs, &tree.files, |file| {
        let Some(dir) = &dirs[file.dir] else {
            return;
        };
        if report.stopped() {
            return;
        }
        let path = tree.path(file.dir, &file.name);
        let written = inside(dir, &file.name)
            .and_then(|target| patiently(|| write(gateway, file, &target, options, report)));
        match written {
            Ok(bytes) => report.done(&path, bytes),
            Err(error) => report.fail(path, error),
        }
    });
}

fn make(path: &Path) -> Result<(), CliError> {
    match DirBuilder::new().create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        // The current directory, when the target is a plain name.
        Err(_) if path.as_os_str().is_empty() => Ok(()),
        made => made.map_err(CliError::file("create", path)),
    }
}

/// `name` in `dir`, if it is a plain name.
fn inside(dir: &Path, name: &str) -> Result<PathBuf, CliError> {
    let harmless = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
    if harmless {
        return Ok(dir.join(name));
    }
    Err(CliError::Usage {
        what: "the name",
        value: name.to_owned(),
        hint: "no file of this machine can be called so; fetch it by itself with `truckee get`".into(),
    })
}

fn write(
    gateway: &Gateway,
    file: &FileJob,
    target: &Path,
    options: &Options,
    report: &Report,
) -> Result<u64, CliError> {
    let Origin::Grid { cap, .. } = &file.from else {
        return Err(CliError::Usage {
            what: "the source",
            value: file.name.clone(),
            hint: "source and target are both on this machine; use cp".into(),
        });
    };
    if target.is_dir() {
        return Err(CliError::Place {
            what: "a directory is in the way at",
            place: target.display().to_string(),
            hint: "remove it, or copy to another place".into(),
        });
    }
    if options.caps_only {
        let text = format!("{cap}\n");
        write_whole(target, text.as_bytes(), CAP_FILE_MODE)?;
        return Ok(text.len() as u64);
    }
    let download = gateway.fetch(&Place::of(cap), None)?;
    let mut pending = PendingFile::create(target, FILE_MODE)?;
    let temporary = pending.path().to_owned();
    let broken = CliError::file("write", &temporary);
    let bytes = copy_download(gateway, download, pending.writer(), broken, report.bar())?;
    if options.preserve
        && let Some(time) = file
            .metadata
            .get("mtime")
            .and_then(Value::as_f64)
            .and_then(moment)
    {
        pending
            .writer()
            .set_modified(time)
            .map_err(CliError::file("set the time of", &temporary))?;
    }
    pending.keep()?;
    Ok(bytes)
}

/// Seconds since 1970 as a time of this machine, if it has such a time.
fn moment(seconds: f64) -> Option<SystemTime> {
    let distance = Duration::try_from_secs_f64(seconds.abs()).ok()?;
    if seconds < 0.0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_target() {
        let dir = Path::new("/target");
        for name in ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\0b"] {
            assert!(inside(dir, name).is_err(), "{name:?}");
        }
        assert_eq!(inside(dir, "..a").unwrap(), Path::new("/target/..a"));
    }

    #[test]
    fn odd_times_are_left_alone() {
        assert_eq!(
            moment(1.5),
            Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1500))
        );
        assert!(moment(-86_400.0).is_some());
        assert_eq!(moment(f64::NAN), None);
        assert_eq!(moment(1e300), None);
    }
}
