//! `truckee chaos --heal`: undoes what a run that was killed has left behind.

use std::path::Path;
use std::time::Duration;

use truckee_nodes::RunFile;

use super::attack::disk;
use super::attack::fleet::Fleet;
use super::patience::{Patience, Waited};
use super::undo::{Undo, take_lock};
use crate::cluster::file::{ClusterFile, NodeEntry};
use crate::cluster::signals::Signals;
use crate::error::CliError;
use crate::files;
use crate::output::print_line;

/// How long the nodes of the tool's own cluster may take to stop when it is gone: 20 s for transfers, 15 s beyond, and more
/// on a busy machine.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);

/// Runs the command on the cluster in `dir`.
pub(crate) fn heal(dir: &Path) -> Result<(), CliError> {
    let dir = dir.canonicalize().map_err(CliError::file("read", dir))?;
    let lock = take_lock(&dir)?;
    let Some(undo) = Undo::read(&dir)? else {
        return print_line("nothing is to be undone");
    };
    let mut patience = Patience::new(Signals::install()?);
    let deeds = undo.deeds.clone();
    let cluster = ClusterFile::read(&dir)?;
    let mut fleet = Fleet::new(nodes(&dir, cluster.as_ref()), None, undo, lock);
    for name in &deeds.frozen {
        fleet.thaw(name)?;
        print_line(&format!("{name} goes on"))?;
    }
    for path in &deeds.fillers {
        files::remove_if_there(path)?;
        fleet.undo.note(|deeds| deeds.fillers.remove(path))?;
        print_line(&format!("{} is removed, which filled a disk", path.display()))?;
    }
    let all = fleet.entries().count();
    if deeds.own {
        // They notice that the tool is gone, now that they can.
        let waited = patience.until(STOPPED_WITHIN, || Ok(fleet.missing().len() == all))?;
        if waited == Waited::Yes {
            print_line("the nodes of the tool's own cluster have stopped")?;
        }
    }
    // Nodes whose cluster has stopped altogether stay as they are: `truckee up` starts them with the others.
    let stopped = fleet.missing().len() == all;
    for name in &deeds.down {
        if stopped || deeds.own {
            fleet.undo.note(|deeds| deeds.down.remove(name))?;
        } else {
            fleet.start_and_wait(name, &mut patience)?;
            print_line(&format!("{name} runs again"))?;
        }
    }
    for path in &deeds.mounts {
        if !stopped {
            print_line(&format!(
                "{} stays mounted while the cluster runs",
                path.display()
            ))?;
            continue;
        }
        disk::unmount_small(path)?;
        fleet.undo.note(|deeds| deeds.mounts.remove(path))?;
        print_line(&format!("{} is unmounted", path.display()))?;
    }
    Ok(())
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
