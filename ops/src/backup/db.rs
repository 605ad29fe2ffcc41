//! What is remembered of earlier backups: which file had which size and times when it was stored, and under which cap.
//!
//! A text file of one JSON object a line, only ever appended to, the last one for a path counting; so that a backup that is
//! interrupted at any moment remembers what it had stored. It is rewritten, whole or not at all, when most lines are old.
//! It belongs to one target: caps of one grid mean nothing in another. The caps in it are secrets: mode 0600.
//!
//! Losing it is no harm: the next backup sends every file again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use truckee_grid::merkle::block_leaf;

use crate::error::CliError;
use crate::files::write_whole;

/// The form described above.
const FORMAT: u32 = 1;

/// Old lines that are not worth a rewrite.
const OLD_LINES_MIN: usize = 10_000;

/// What tells a changed file from an unchanged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Look {
    bytes: u64,
    /// Seconds since 1970, and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl Look {
    /// As the file system has it.
    pub(super) fn of(facts: &fs::Metadata) -> Look {
        Look {
            bytes: facts.len(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
            inode: facts.ino(),
        }
    }
}

/// A stored file or directory.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) cap: String,
    /// When it was stored or last found healthy, seconds since 1970.
    pub(super) checked: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
enum Line {
    /// The first one.
    Database { format: u32, target: String },
    File {
        path: String,
        look: Look,
        #[serde(flatten)]
        stored: Stored,
    },
    Directory {
        content: String,
        #[serde(flatten)]
        stored: Stored,
    },
}

/// The open database. Another process cannot open it meanwhile.
pub(super) struct Database {
    path: PathBuf,
    file: File,
    lock: File,
    files: BTreeMap<String, (Look, Stored)>,
    directories: BTreeMap<String, Stored>,
}

/// A short name for a target, from which its cap cannot be found.
pub(super) fn target_name(cap: &str) -> String {
    hex(&[b"backup target:", cap.as_bytes()].concat())[..16].to_owned()
}

/// What a directory holds, in a word.
pub(super) fn content_name(listing: &str) -> String {
    hex(listing.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    block_leaf(bytes)
        .0
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Database {
    /// Opens the database at `path`, new if it is not there, for backups to the target called `target`.
    pub(super) fn open(path: &Path, target: &str) -> Result<Database, CliError> {
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(CliError::file("create", dir))?;
        }
        let lock = lock(path)?;
        let mut files = BTreeMap::new();
        let mut directories = BTreeMap::new();
        let lines = read(path, target, &mut files, &mut directories)?;
        let live = files.len() + directories.len() + 1;
        if lines == 0 || lines > 2 * live + OLD_LINES_MIN {
            write_whole(path, &text(target, &files, &directories)?, 0o600)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(CliError::file("write", path))?;
        Ok(Database {
            path: path.to_owned(),
            file,
            lock,
            files,
            directories,
        })
    }

    /// The file at `path`, if it still looks as it did when it was stored.
    pub(super) fn file(&self, path: &str, look: Look) -> Option<&Stored> {
        let (then, stored) = self.files.get(path)?;
        (*then == look).then_some(stored)
    }

    /// A directory of this content.
    pub(super) fn directory(&self, content: &str) -> Option<&Stored> {
        self.directories.get(content)
    }

    /// Remembers a file.
    pub(super) fn add_file(&mut self, path: &str, look: Look, stored: Stored) -> Result<(), CliError> {
        self.files.insert(path.to_owned(), (look, stored.clone()));
        self.append(&Line::File {
            path: path.to_owned(),
            look,
            stored,
        })
    }

    /// Remembers a directory.
    pub(super) fn add_directory(&mut self, content: &str, stored: Stored) -> Result<(), CliError> {
        self.directories.insert(content.to_owned(), stored.clone());
        self.append(&Line::Directory {
            content: content.to_owned(),
            stored,
        })
    }

    fn append(&mut self, line: &Line) -> Result<(), CliError> {
        let bytes = line_bytes(line)?;
        self.file
            .write_all(&bytes)
            .map_err(CliError::file("write", &self.path))
    }
}

impl Drop for Database {
    /// Closing the file would not do: a child that another thread is just starting holds a copy of it until it has
    /// become its program, and the lock with it.
    fn drop(&mut self) {
        // It fails only if there is no lock, and then there is nothing to give back.
        self.lock.unlock().ok();
    }
}

fn lock(path: &Path) -> Result<File, CliError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(CliError::file("create", &lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CliError::Place {
            what: "another backup is running with the database",
            place: path.display().to_string(),
            hint: "wait until it is done, or give another --database".into(),
        }),
        Err(TryLockError::Error(error)) => Err(CliError::file("lock", &lock_path)(error)),
    }
}

/// Reads all lines; gives their number. A last line that was cut off by an interrupt does not count.
fn read(
    path: &Path,
    target: &str,
    files: &mut BTreeMap<String, (Look, Stored)>,
    directories: &mut BTreeMap<String, Stored>,
) -> Result<usize, CliError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        opened => opened.map_err(CliError::file("read", path))?,
    };
    let mut reader = BufReader::new(file);
    let mut lines = 0;
    let mut whole = true;
    let mut line = Vec::new();
    loop {
        line.clear();
        let got = reader
            .read_until(b'\n', &mut line)
            .map_err(CliError::file("read", path))?;
        if got == 0 {
            break;
        }
        let parsed = serde_json::from_slice(&line)
            .ok()
            .filter(|_| line.ends_with(b"\n"));
        match parsed {
            Some(Line::Database {
                format,
                target: theirs,
            }) if lines == 0 => {
                if format != FORMAT || theirs != target {
                    return Err(other(path));
                }
            }
            Some(Line::File { path, look, stored }) if lines > 0 => {
                files.insert(path, (look, stored));
            }
            Some(Line::Directory { content, stored }) if lines > 0 => {
                directories.insert(content, stored);
            }

            _ if lines == 0 => return Err(other(path)),
            // A line that is broken is a file that will be sent again.
            _ => whole = false,
        }
        lines += 1;
    }
    // Written anew if anything is broken, so that nothing is appended behind half a line.
    Ok(if whole { lines } else { usize::MAX })
}

fn other(path: &Path) -> CliError {
    CliError::Usage {
        what: "the backup database",
        value: path.display().to_string(),
        hint: "it belongs to another target, or is no such database; give another --database".into(),
    }
}

fn text(
    target: &str,
    files: &BTreeMap<String, (Look, Stored)>,
    directories: &BTreeMap<String, Stored>,
) -> Result<Vec<u8>, CliError> {
    let mut text = line_bytes(&Line::Database {
        format: FORMAT,
        target: target.to_owned(),
    })?;
    for (path, (look, stored)) in files {
        text.extend(line_bytes(&Line::File {
            path: path.clone(),
            look: *look,
            stored: stored.clone(),
        })?);
    }
    for (content, stored) in directories {
        text.extend(line_bytes(&Line::Directory {
            content: content.clone(),
            stored: stored.clone(),
        })?);
    }
    Ok(text)
}

fn line_bytes(line: &Line) -> Result<Vec<u8>, CliError> {
    let mut bytes = serde_json::to_vec(line).map_err(|error| CliError::System {
        action: "write a line of the backup database",
        source: error.into(),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn look(bytes: u64) -> Look {
        Look {
            bytes,
            modified: (i64::MAX, 5),
            changed: (-5, 999_999_999),
            inode: u64::MAX,
        }
    }

    fn stored(cap: &str) -> Stored {
        Stored {
            cap: cap.into(),
            checked: 9,
        }
    }

    fn cap(database: &Database, path: &str, bytes: u64) -> Option<String> {
        database.file(path, look(bytes)).map(|stored| stored.cap.clone())
    }

    #[test]
    fn what_was_added_is_there_in_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state").join("db");
        let mut database = Database::open(&path, "t").unwrap();
        database.add_file("/a", look(1), stored("URI:1")).unwrap();
        database.add_file("/a", look(2), stored("URI:2")).unwrap();
        database.add_directory("c", stored("URI:d")).unwrap();
        assert!(Database::open(&path, "t").is_err(), "one at a time");
        drop(database);
        let database = Database::open(&path, "t").unwrap();
        assert_eq!(cap(&database, "/a", 2), Some("URI:2".into()));
        assert_eq!(cap(&database, "/a", 1), None);
        assert_eq!(cap(&database, "/b", 1), None);
        assert_eq!(database.directory("c").unwrap().cap, "URI:d");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_cut_off_at_any_byte_costs_that_line_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let mut database = Database::open(&path, "t").unwrap();
        database.add_file("/a", look(1), stored("URI:1")).unwrap();
        let kept = fs::metadata(&path).unwrap().len() as usize;
        database.add_file("/b", look(1), stored("URI:2")).unwrap();
        drop(database);
        let whole = fs::read(&path).unwrap();
        for cut in kept..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut database = Database::open(&path, "t").unwrap();
            assert_eq!(cap(&database, "/a", 1), Some("URI:1".into()), "cut at {cut}");
            assert_eq!(cap(&database, "/b", 1), None, "cut at {cut}");
            database.add_file("/c", look(1), stored("URI:3")).unwrap();
            drop(database);
            let database = Database::open(&path, "t").unwrap();
            assert_eq!(cap(&database, "/c", 1), Some("URI:3".into()), "cut at {cut}");
        }
    }

    #[test]
    fn old_lines_are_dropped_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let mut database = Database::open(&path, "t").unwrap();
        for number in 0..OLD_LINES_MIN as u64 + 10 {
            database.add_file("/a", look(number), stored("URI:x")).unwrap();
        }
        drop(database);
        let database = Database::open(&path, "t").unwrap();
        assert!(cap(&database, "/a", OLD_LINES_MIN as u64 + 9).is_some());
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_database_of_another_target_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        drop(Database::open(&path, "t").unwrap());
        assert!(Database::open(&path, "other").is_err());
        fs::write(&path, "my diary\n").unwrap();
        assert!(Database::open(&path, "t").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "my diary\n");
        assert_ne!(target_name("URI:DIR2:a:b"), target_name("URI:DIR2:a:c"));
    }
}
