//! What a run has done to a cluster and must undo, on disk: `chaos.json` in the cluster's directory, or beside the inventory.
//!
//! Owns the file's form and its lock. It is always on this machine, wherever the nodes are. It is written before the deed, so that a run that is killed leaves behind what `--heal` needs: which
//! nodes it froze, which it stopped, which files fill a disk, what is mounted. It goes when all is undone.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cluster::layout::lock;
use crate::error::CliError;
use crate::files;

/// The file's name inside the cluster's directory.
const FILE_NAME: &str = "chaos.json";

/// Locked while a run, or a healing, is at work.
const LOCK_NAME: &str = "chaos.lock";

/// Where a run leaves its traces while it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traces {
    /// The cluster's directory, or the inventory.
    of: PathBuf,
    record: PathBuf,
    lock: PathBuf,
}

impl Traces {
    /// Inside the directory of a cluster on this machine.
    pub(crate) fn inside(cluster: &Path) -> Traces {
        Traces {
            of: cluster.to_owned(),
            record: cluster.join(FILE_NAME),
            lock: cluster.join(LOCK_NAME),
        }
    }

    /// Beside the inventory of a grid, with its name: `grid.toml.chaos.json`.
    pub(crate) fn beside(inventory: &Path) -> Traces {
        let named = |name: &str| {
            let mut path = inventory.as_os_str().to_owned();
            path.push(".");
            path.push(name);
            PathBuf::from(path)
        };
        Traces {
            of: inventory.to_owned(),
            record: named(FILE_NAME),
            lock: named(LOCK_NAME),
        }
    }

    /// Takes the lock that keeps a second run away.
    ///
    /// # Errors
    /// When another run holds it.
    pub(crate) fn take_lock(&self) -> Result<File, CliError> {
        lock(&self.lock)?.ok_or_else(|| CliError::ChaosInUse { of: self.of.clone() })
    }
}

/// What is to be undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deeds {
    /// Nodes that may be frozen.
    pub(crate) frozen: BTreeSet<String>,
    /// Nodes that were stopped and have to run.
    pub(crate) down: BTreeSet<String>,
    /// Files that fill a disk.
    pub(crate) fillers: BTreeSet<PathBuf>,
    /// File systems that were mounted.
    pub(crate) mounts: BTreeSet<PathBuf>,
    /// Whether the cluster is the tool's own, and ends with it.
    #[serde(default)]
    pub(crate) own: bool,
}

impl Deeds {
    fn is_undone(&self) -> bool {
        let Deeds {
            frozen,
            down,
            fillers,
            mounts,
            own: _,
        } = self;
        frozen.is_empty() && down.is_empty() && fillers.is_empty() && mounts.is_empty()
    }
}

/// The deeds and their file.
#[derive(Debug)]
pub(crate) struct Undo {
    record: PathBuf,
    pub(crate) deeds: Deeds,
}

impl Undo {
    /// Nothing is to be undone yet. `own`: the cluster is the tool's own.
    pub(crate) fn new(traces: &Traces, own: bool) -> Undo {
        Undo {
            record: traces.record.clone(),
            deeds: Deeds {
                own,
                ..Deeds::default()
            },
        }
    }

    /// What an earlier run left; none if it left nothing.
    ///
    /// # Errors
    /// When the file is there and cannot be understood.
    pub(crate) fn read(traces: &Traces) -> Result<Option<Undo>, CliError> {
        let path = traces.record.clone();
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(CliError::file("read", &path))?,
        };
        let deeds = serde_json::from_slice(&text).map_err(|error| CliError::Usage {
            what: "the file of what is to be undone",
            value: path.display().to_string(),
            hint: format!("{error}; look for frozen nodes yourself (`ps`, state T), then remove it"),
        })?;
        Ok(Some(Undo { record: path, deeds }))
    }

    /// Changes what is to be undone, on disk too before this returns.
    ///
    /// # Errors
    /// When the disk refuses; the deed must then not be done.
    pub(crate) fn note<T>(&mut self, change: impl FnOnce(&mut Deeds) -> T) -> Result<(), CliError> {
        let before = self.deeds.clone();
        // Whether it was there before shows below.
        let _was_there = change(&mut self.deeds);
        if self.deeds == before {
            return Ok(());
        }
        if self.deeds.is_undone() {
            return files::remove_if_there(&self.record);
        }
        let text = serde_json::to_vec_pretty(&self.deeds).map_err(|error| CliError::System {
            action: "write chaos.json",
            source: error.into(),
        })?;
        files::write_whole(&self.record, &text, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_undone_stands_on_disk_until_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let traces = Traces::inside(dir.path());
        assert!(Undo::read(&traces).unwrap().is_none());
        let mut undo = Undo::new(&traces, true);
        undo.note(|deeds| deeds.frozen.insert("storage-01".into()))
            .unwrap();
        undo.note(|deeds| deeds.down.insert("vdrive-01".into())).unwrap();
        let read = Undo::read(&traces).unwrap().unwrap();
        assert_eq!(read.deeds, undo.deeds);
        assert!(read.deeds.frozen.contains("storage-01"));
        undo.note(|deeds| deeds.frozen.clear()).unwrap();
        assert!(Undo::read(&traces).unwrap().is_some_and(|undo| undo.deeds.own));
        undo.note(|deeds| deeds.down.clear()).unwrap();
        assert!(Undo::read(&traces).unwrap().is_none());
        std::fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        assert!(matches!(Undo::read(&traces), Err(CliError::Usage { .. })));
    }

    #[test]
    fn two_runs_do_not_attack_one_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let grid = dir.path().join("grid.toml");
        for traces in [Traces::inside(dir.path()), Traces::beside(&grid)] {
            let first = traces.take_lock().unwrap();
            assert!(matches!(traces.take_lock(), Err(CliError::ChaosInUse { .. })));
            drop(first);
            traces.take_lock().unwrap();
        }
        assert!(dir.path().join("grid.toml.chaos.lock").exists());
    }
}
