//! `truckee backup`: a directory of this machine as a snapshot in the grid.
//!
//! A snapshot is a tree of directories that can never change, linked as `Archives/DATE` and `Latest` below the target. A file
//! that looks as it did in an earlier run (size, both times, inode) is not read again, and a directory that holds the same is
//! not stored again, so that a run without changes stores nothing but one link. What was stored long ago is checked now and
//! then, and stored again if shares of it are missing. The snapshot appears when all of it is stored; what could not be read
//! is named and missing in it.

mod db;
mod exclude;
mod scan;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, json};

use crate::cli::drive::BackupArgs;
use crate::client::{CheckChoice, NewChild, Place, Replace};
use crate::copy::report::{Report, patiently};
use crate::copy::tree::metadata_of;
use crate::date::civil;
use crate::drive::Drive;
use crate::error::CliError;
use crate::http::{Gateway, PutChoice};
use crate::output::{Counted, print_json, transfer_bar};
use crate::parallel;
use db::{Database, Look, Stored};
use exclude::Excludes;
use scan::{Found, Scan};

/// After this time without a check, stored things are looked after. Each has its own day within a second such span, so
/// that not all of a first backup comes due at once.
const CHECK_AFTER_SECONDS: u64 = 30 * 86_400;

/// Snapshots of one target that may begin in one second.
const SAME_SECOND_MAX: u32 = 16;

/// Longest file of patterns.
const PATTERN_FILE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Default)]
struct Counts {
    reused: AtomicU64,
    checked: AtomicU64,
    changed: AtomicU64,
    directories_made: AtomicU64,
    directories_reused: AtomicU64,
}

struct Backup<'a> {
    gateway: &'a Gateway,
    args: &'a BackupArgs,
    database: Mutex<Database>,
    now: u64,
    scan: &'a Scan,
    report: &'a Report,
    counts: Counts,
    /// Children of each directory that are stored.
    children: Vec<Mutex<BTreeMap<String, NewChild>>>,
}

/// Runs the command.
pub(crate) fn run(args: &BackupArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    let target = drive.place(&args.target)?;
    let excludes = excludes(args)?;
    let source = args
        .source
        .canonicalize()
        .map_err(CliError::file("read", &args.source))?;
    let target_name = db::target_name(target.cap());
    let database = match &args.database {
        Some(path) => path.clone(),
        None => state_dir()?.join(format!("backup-{target_name}.db")),
    };
    let database = Database::open(&database, &target_name)?;
    let mut found = scan::scan(&source, &excludes)?;
    let archives = target.child("Archives");
    // Before all the work: the target may not be writable.
    drive.gateway.mkdir_all(&archives)?;
    let bar = transfer_bar("backup", Some(found.bytes()), args.json);
    let report = Report::new("backup", bar, found.files.len(), args.verbose);
    for failure in std::mem::take(&mut found.failures) {
        report.fail(failure.path, failure.error);
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let backup = Backup {
        gateway: &drive.gateway,
        args,
        database: Mutex::new(database),
        now,
        scan: &found,
        report: &report,
        counts: Counts::default(),
        children: found.dirs.iter().map(|_| Mutex::default()).collect(),
    };
    parallel::for_each(usize::from(args.jobs), &found.files, |file| backup.file(file));
    let snapshot = civil(now as f64).snapshot();
    let linked = backup.directories().and_then(|root| match root {
        Some(cap) => {
            let place = link_snapshot(&drive.gateway, &archives, &snapshot, &cap)?;
            drive
                .gateway
                .link(&target.child("Latest"), &cap, Replace::Always)?;
            Ok(Some(place))
        }
        None => Ok(None),
    });
    let counts = backup.counts;
    let made = counts.directories_made.load(Ordering::Relaxed);
    match linked {
        Err(error) => report.fail(String::new(), error),
        Ok(Some(place)) if !report.stopped() => {
            counts.tell(&place, report.files(), found.excluded, args.json)?;
        }
        Ok(_) => {}
    }
    report.tell(made as usize, found.skipped, args.json)
}

/// Gives the snapshot its name. Names count seconds, so one that begins in the same second as another gets a number too.
fn link_snapshot(gateway: &Gateway, archives: &Place, snapshot: &str, cap: &str) -> Result<Place, CliError> {
    let mut place = archives.child(snapshot);
    for number in 2..=SAME_SECOND_MAX {
        match gateway.link(&place, cap, Replace::Never) {
            Err(CliError::Status { status: 409, .. }) => {
                place = archives.child(&format!("{snapshot}-{number}"));
            }
            linked => return linked.map(|()| place),
        }
    }
    gateway.link(&place, cap, Replace::Never).map(|()| place)
}

impl Counts {
    /// Says where the snapshot is, and what did and did not have to be sent.
    fn tell(self, snapshot: &Place, sent: u64, excluded: u64, as_json: bool) -> Result<(), CliError> {
        let (reused, made) = (self.reused.into_inner(), self.directories_made.into_inner());
        if as_json {
            return print_json(&json!({
                "snapshot": snapshot.shown(),
                "reused": reused,
                "checked": self.checked.into_inner(),
                "changed": self.changed.into_inner(),
                "directories_made": made,
                "directories_reused": self.directories_reused.into_inner(),
                "excluded": excluded,
            }));
        }
        eprintln!(
            "truckee: {}: {sent} files stored, {reused} unchanged, {made} directories new or changed, {excluded} left out",
            snapshot.shown()
        );
        Ok(())
    }
}

impl Backup<'_> {
    fn database(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, file: &Found) {
        if self.report.stopped() {
            return;
        }
        let name = self.scan.path(file.dir, &file.name);
        match self.store(file, &name) {
            Err(error) => self.report.fail(name, error),
            Ok(child) => {
                let mut children = self.children[file.dir]
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                children.insert(file.name.clone(), child);
            }
        }
    }

    /// The file as a child of its directory, stored if it is not.
    fn store(&self, file: &Found, name: &str) -> Result<NewChild, CliError> {
        let facts = std::fs::symlink_metadata(&file.path).map_err(CliError::file("read", &file.path))?;
        let child = |cap: String, facts: &std::fs::Metadata| NewChild {
            directory: false,
            cap,
            metadata: metadata_of(facts),
        };
        let key = file.path.to_string_lossy();
        let look = Look::of(&facts);
        let known = self
            .database()
            .file(&key, look)
            .cloned()
            .filter(|_| !self.args.ignore_timestamps);
        if let Some(known) = known
            && self.still_good(&key, &known)?
        {
            if self.due(&key, &known) {
                let stored = Stored {
                    checked: self.now,
                    ..known.clone()
                };
                self.database().add_file(&key, look, stored)?;
            }
            self.counts.reused.fetch_add(1, Ordering::Relaxed);
            self.report.bar().inc(file.bytes);
            return Ok(child(known.cap, &facts));
        }
        let (cap, bytes, facts, quiet) = self.upload(&file.path)?;
        if quiet {
            let stored = Stored {
                cap: cap.clone(),
                checked: self.now,
            };
            self.database().add_file(&key, Look::of(&facts), stored)?;
        } else {
            self.counts.changed.fetch_add(1, Ordering::Relaxed);
            eprintln!("truckee: {name} changed while it was read; the snapshot may have a mixture");
        }
        self.report.done(name, bytes);
        Ok(child(cap, &facts))
    }

    /// Sends the file, a second time if it changed meanwhile. Gives cap, bytes, how it looked, and whether it kept still.
    fn upload(&self, path: &Path) -> Result<(String, u64, std::fs::Metadata, bool), CliError> {
        let choice = PutChoice {
            convergent: !self.args.random_keys,
            ..PutChoice::default()
        };
        let once = || {
            let source = File::open(path).map_err(CliError::file("read", path))?;
            let facts = source.metadata().map_err(CliError::file("read", path))?;
            let mut body = Counted::new(source, self.report.bar().clone());
            let sent = self.gateway.put(&mut body, Some(facts.len()), choice);
            let after = std::fs::symlink_metadata(path);
            let quiet = after.is_ok_and(|after| Look::of(&after) == Look::of(&facts));
            match sent {
                Ok(cap) => Ok((cap, body.bytes, facts, quiet)),
                Err(error @ CliError::Status { .. }) => Err(error),
                Err(_) if body.failure.is_some() => {
                    let kind = body.failure.unwrap_or(std::io::ErrorKind::Other);
                    Err(CliError::file("read", path)(kind.into()))
                }
                Err(_) if body.ended && body.bytes < facts.len() => Err(CliError::Changed {
                    path: path.to_owned(),
                }),
                Err(error) => Err(error),
            }
        };
        match patiently(once) {
            Ok((_, _, _, false)) | Err(CliError::Changed { .. }) => patiently(once),
            done => done,
        }
    }

    /// Makes the directories, children first. Gives the cap of the root, unless the gateway is gone.
    fn directories(&self) -> Result<Option<String>, CliError> {
        let mut root = None;
        for (at, dir) in self.scan.dirs.iter().enumerate().rev() {
            if self.report.stopped() {
                return Ok(None);
            }
            let children = self.children[at].lock().unwrap_or_else(PoisonError::into_inner);
            let cap = self.directory(&children)?;
            drop(children);
            if at == 0 {
                root = Some(cap);
                break;
            }
            let child = NewChild {
                directory: true,
                cap,
                metadata: Map::new(),
            };
            let mut siblings = self.children[dir.parent]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            siblings.insert(dir.name.clone(), child);
        }
        Ok(root)
    }

    fn directory(&self, children: &BTreeMap<String, NewChild>) -> Result<String, CliError> {
        let listing: Map<_, _> = children
            .iter()
            .map(|(name, child)| (name.clone(), child.json()))
            .collect();
        let content = db::content_name(&serde_json::Value::Object(listing).to_string());
        let known = self.database().directory(&content).cloned();
        if let Some(known) = known
            && self.still_good(&content, &known)?
        {
            if self.due(&content, &known) {
                let stored = Stored {
                    checked: self.now,
                    ..known.clone()
                };
                self.database().add_directory(&content, stored)?;
            }
            self.counts.directories_reused.fetch_add(1, Ordering::Relaxed);
            return Ok(known.cap);
        }
        let cap = patiently(|| self.gateway.mkdir_immutable(children))?;
        let stored = Stored {
            cap: cap.clone(),
            checked: self.now,
        };
        self.database().add_directory(&content, stored)?;
        self.counts.directories_made.fetch_add(1, Ordering::Relaxed);
        Ok(cap)
    }

    /// Whether `stored` was not looked after for so long that it should be.
    fn due(&self, key: &str, stored: &Stored) -> bool {
        due(self.now, key, stored.checked)
    }

    /// Whether `stored` can be relied on; asks the gateway if that is due.
    fn still_good(&self, key: &str, stored: &Stored) -> Result<bool, CliError> {
        if !self.due(key, stored) {
            return Ok(true);
        }
        self.counts.checked.fetch_add(1, Ordering::Relaxed);
        let place = Place::of(&stored.cap);
        let result = patiently(|| self.gateway.check_one(&place, CheckChoice::default()));
        match result {
            Ok(result) => Ok(result["results"]["healthy"] == true),
            Err(error @ CliError::Unreachable { .. }) => Err(error),
            // Whatever else is wrong with it: storing it again helps.
            Err(_) => Ok(false),
        }
    }
}

/// Whether what was last checked at `checked` is to be checked `now`; `key` picks its day.
fn due(now: u64, key: &str, checked: u64) -> bool {
    let print = truckee_grid::merkle::block_leaf(key.as_bytes()).0;
    let spread =
        u64::from(u32::from_be_bytes([print[0], print[1], print[2], print[3]])) % CHECK_AFTER_SECONDS;
    now.saturating_sub(checked) > CHECK_AFTER_SECONDS + spread
}

fn excludes(args: &BackupArgs) -> Result<Excludes, CliError> {
    let too_many = |error: exclude::TooMany| CliError::Usage {
        what: "--exclude",
        value: String::new(),
        hint: error.to_string(),
    };
    let mut excludes = Excludes::default();
    if args.exclude_vcs {
        excludes.add_vcs();
    }
    for pattern in &args.exclude {
        excludes.add(pattern).map_err(too_many)?;
    }
    for path in &args.exclude_from {
        let file = File::open(path).map_err(CliError::file("read", path))?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, PATTERN_FILE_BYTES_MAX), &mut text)
            .map_err(CliError::file("read", path))?;
        for pattern in text.lines().filter(|line| !line.starts_with('#')) {
            excludes.add(pattern).map_err(too_many)?;
        }
    }
    Ok(excludes)
}

/// Where programs keep what they can do without: the XDG state directory.
fn state_dir() -> Result<PathBuf, CliError> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|dir| dir.join("truckee"))
        .ok_or_else(|| CliError::Usage {
            what: "the backup database",
            value: String::new(),
            hint: "neither HOME nor XDG_STATE_HOME is set; name it with --database".into(),
        })
}

#[cfg(test)]
mod tests;
