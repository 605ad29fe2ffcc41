//! `truckee chaos --heal`: undoes what a run that was killed has left behind.
//!
//! What cannot be undone is told, stays in the record, and keeps nothing else from being undone.

use std::path::Path;
use std::time::Duration;

use truckee_nodes::RunFile;

use super::attack::disk;
use super::attack::fleet::Fleet;
use super::attack::local::Local;
use super::ground::gateway;
use super::patience::{Patience, Waited};
use super::ssh::{Inventory, Remote};
use super::undo::{Deeds, Traces, Undo};
use crate::cli::chaos::ChaosArgs;
use crate::cluster::file::{ClusterFile, NodeEntry};
use crate::cluster::signals::Signals;
use crate::error::CliError;
use crate::files;
use crate::output::print_line;

/// How long the nodes of the tool's own cluster may take to stop when it is gone: 20 s for transfers, 15 s beyond, and more
/// on a busy machine.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);

/// Runs the command on the grid of an inventory, or on the cluster in a directory.
pub(crate) fn heal(args: &ChaosArgs) -> Result<(), CliError> {
    match &args.inventory {
        Some(inventory) => elsewhere(args, inventory),
        None => here(&args.cluster()),
    }
}

fn here(dir: &Path) -> Result<(), CliError> {
    let dir = dir.canonicalize().map_err(CliError::file("read", dir))?;
    let traces = Traces::inside(&dir);
    let lock = traces.take_lock()?;
    let Some(undo) = Undo::read(&traces)? else {
        return print_line("nothing is to be undone");
    };
    let deeds = undo.deeds.clone();
    let cluster = ClusterFile::read(&dir)?;
    let hand = Local::new(&dir, nodes(&dir, cluster.as_ref()), None);
    let mut healing = Healing::new(Fleet::new(hand, undo, lock))?;
    healing.thaw(&deeds);
    healing.empty_disks(&deeds);
    let stopped = healing.have_all_stopped(deeds.own)?;
    // Nodes whose cluster has stopped altogether stay as they are: `truckee up` starts them with the others.
    if stopped || deeds.own {
        healing.fleet.undo.note(|undone| undone.down.clear())?;
    } else {
        healing.start(&deeds);
    }
    healing.unmount(&deeds, stopped)?;
    healing.end()
}

fn elsewhere(args: &ChaosArgs, inventory: &Path) -> Result<(), CliError> {
    let path = inventory
        .canonicalize()
        .map_err(CliError::file("read", inventory))?;
    let inventory = Inventory::read(&path)?;
    let traces = Traces::beside(&path);
    let lock = traces.take_lock()?;
    let Some(undo) = Undo::read(&traces)? else {
        return print_line("nothing is to be undone");
    };
    let deeds = undo.deeds.clone();
    let gateway = gateway(args, &inventory.gateway)?;
    let hand = Remote::new(inventory, &gateway)?;
    let mut healing = Healing::new(Fleet::new(hand, undo, lock))?;
    healing.thaw(&deeds);
    healing.start(&deeds);
    healing.end()
}

/// What is undone, one after the other.
struct Healing {
    fleet: Fleet,
    patience: Patience,
    done: u64,
    failed: u64,
}

impl Healing {
    fn new(fleet: Fleet) -> Result<Healing, CliError> {
        let patience = Patience::new(Signals::install()?);
        Ok(Healing {
            fleet,
            patience,
            done: 0,
            failed: 0,
        })
    }

    /// Counts and tells how one step ended.
    fn told(&mut self, outcome: Result<(), CliError>, done: &str) {
        let told = outcome.and_then(|()| print_line(done));
        match told {
            Ok(()) => self.done += 1,
            Err(error) => {
                self.failed += 1;
                eprintln!("truckee: {error}");
            }
        }
    }

    fn thaw(&mut self, deeds: &Deeds) {
        for name in &deeds.frozen {
            let thawed = self.fleet.thaw(name);
            self.told(thawed, &format!("{name} goes on"));
        }
    }

    fn start(&mut self, deeds: &Deeds) {
        for name in &deeds.down {
            let started = self.fleet.start_and_wait(name, &mut self.patience);
            self.told(started, &format!("{name} runs again"));
        }
    }

    fn empty_disks(&mut self, deeds: &Deeds) {
        for path in &deeds.fillers {
            let removed = files::remove_if_there(path);
            let undo = &mut self.fleet.undo;
            let removed = removed.and_then(|()| undo.note(|deeds| deeds.fillers.remove(path)));
            self.told(
                removed,
                &format!("{} is removed, which filled a disk", path.display()),
            );
        }
    }

    /// Whether no node runs. Those of the tool's own cluster notice that it is gone, now that they can, and stop.
    fn have_all_stopped(&mut self, own: bool) -> Result<bool, CliError> {
        let all = self.fleet.hand.nodes().len();
        if own {
            let hand = &mut self.fleet.hand;
            let waited = self
                .patience
                .until(STOPPED_WITHIN, || Ok(hand.missing()?.len() == all))?;
            if waited == Waited::Yes {
                print_line("the nodes of the tool's own cluster have stopped")?;
            }
        }
        Ok(self.fleet.hand.missing()?.len() == all)
    }

    fn unmount(&mut self, deeds: &Deeds, stopped: bool) -> Result<(), CliError> {
        for path in &deeds.mounts {
            if !stopped {
                print_line(&format!(
                    "{} stays mounted while the cluster runs",
                    path.display()
                ))?;
                continue;
            }
            disk::unmount_small(path)?;
            self.fleet.undo.note(|deeds| deeds.mounts.remove(path))?;
            print_line(&format!("{} is unmounted", path.display()))?;
        }
        Ok(())
    }

    fn end(self) -> Result<(), CliError> {
        match self.failed {
            0 => Ok(()),
            failed => Err(CliError::Partly {
                failed,
                all: failed + self.done,
            }),
        }
    }
}

/// The nodes as `cluster.json` names them; if it is gone, those that have said of themselves that they run.
fn nodes(dir: &Path, cluster: Option<&ClusterFile>) -> Vec<NodeEntry> {
    if let Some(cluster) = cluster {
        return cluster.nodes.clone();
    }
    let found = std::fs::read_dir(dir.join("nodes")).into_iter().flatten();
    let dirs = found.filter_map(|entry| Some(entry.ok()?.path()));
    let entry = |dir: std::path::PathBuf| {
        let run_file = RunFile::read(&dir).ok()??;
        Some(NodeEntry {
            name: dir.file_name()?.to_string_lossy().into_owned(),
            roles: Vec::new(),
            pid: run_file.pid,
            address: run_file.mesh.to_string(),
            dir,
        })
    };
    dirs.filter_map(entry).collect()
}
