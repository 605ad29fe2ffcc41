//! What a backup saves: the directory walked, without what is left out.

use std::fs;
use std::path::{Path, PathBuf};

use crate::copy::report::Failure;
use crate::copy::tree::not_utf8;
use crate::error::CliError;

use super::exclude::Excludes;

/// Most directories and files; see the walk of `cp`.
const ENTRIES_MAX: usize = 10_000_000;

/// A directory; its number is its place in [`Scan::dirs`], parents before children.
pub(super) struct Dir {
    pub(super) parent: usize,
    pub(super) name: String,
    /// Below the saved directory.
    pub(super) path: String,
}

/// A file.
pub(super) struct Found {
    pub(super) dir: usize,
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// All that was found.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) dirs: Vec<Dir>,
    pub(super) files: Vec<Found>,
    pub(super) failures: Vec<Failure>,
    /// Symlinks and special files.
    pub(super) skipped: u64,
    /// Left out by a pattern.
    pub(super) excluded: u64,
}

/// Walks `root`.
pub(super) fn scan(root: &Path, excludes: &Excludes) -> Result<Scan, CliError> {
    let mut scan = Scan::default();
    scan.dirs.push(Dir {
        parent: 0,
        name: String::new(),
        path: String::new(),
    });
    let mut open = vec![(0, root.to_owned())];
    while let Some((dir, path)) = open.pop() {
        let mut entries = match fs::read_dir(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            // Without its root there is nothing to save.
            Err(error) if dir == 0 => return Err(CliError::file("read", &path)(error)),
            Err(error) => {
                let error = CliError::file("read", &path)(error);
                scan.fail(scan.dirs[dir].path.clone(), error);
                continue;
            }
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if let Some(child) = scan.entry(dir, &entry, excludes)? {
                open.push((child, entry.path()));
            }
        }
    }
    Ok(scan)
}

impl Scan {
    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Path of something called `name` in directory `dir`, below the saved directory.
    pub(super) fn path(&self, dir: usize, name: &str) -> String {
        match self.dirs[dir].path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}/{name}"),
        }
    }

    fn fail(&mut self, path: String, error: CliError) {
        self.failures.push(Failure { path, error });
    }

    /// One entry of directory `dir`; gives its number if it is a directory.
    fn entry(
        &mut self,
        dir: usize,
        entry: &fs::DirEntry,
        excludes: &Excludes,
    ) -> Result<Option<usize>, CliError> {
        if self.files.len() + self.dirs.len() >= ENTRIES_MAX {
            return Err(CliError::Usage {
                what: "a backup of more files than",
                value: ENTRIES_MAX.to_string(),
                hint: "save the directories in it one by one".into(),
            });
        }
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let path = self.path(dir, &name.to_string_lossy());
            self.fail(path, not_utf8(&entry.path()));
            return Ok(None);
        };
        let path = self.path(dir, name);
        if excludes.has(name, &path) {
            self.excluded += 1;
            return Ok(None);
        }
        match entry.metadata() {
            Err(error) => self.fail(path, CliError::file("read", &entry.path())(error)),
            Ok(facts) if facts.is_dir() => {
                self.dirs.push(Dir {
                    parent: dir,
                    name: name.to_owned(),
                    path,
                });
                return Ok(Some(self.dirs.len() - 1));
            }
            Ok(facts) if facts.is_file() => self.files.push(Found {
                dir,
                name: name.to_owned(),
                path: entry.path(),
                bytes: facts.len(),
            }),
            Ok(_) => self.skipped += 1,
        }
        Ok(None)
    }
}
