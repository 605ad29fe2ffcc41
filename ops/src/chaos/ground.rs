//! What is attacked: a cluster of the tool's own, or one that somebody else runs; and how it is left.

use std::path::{Path, PathBuf};

use super::attack::fleet::Fleet;
use super::fault::Kind;
use super::net::Proxies;
use super::own::{self, Wanted};
use super::patience::Patience;
use super::shape::Means;
use super::undo::{Undo, take_lock};
use crate::cli::ClientArgs;
use crate::cli::chaos::ChaosArgs;
use crate::cluster::file::ClusterFile;
use crate::cluster::watch;
use crate::error::CliError;
use crate::files;
use crate::http::Gateway;

/// What is attacked.
pub(crate) struct Ground {
    pub(crate) fleet: Fleet,
    pub(crate) proxies: Option<Proxies>,
    pub(crate) means: Means,
    pub(crate) gateway: Gateway,
    pub(crate) dir: PathBuf,
    /// Whether the directory goes at the end.
    pub(crate) temporary: bool,
}

/// Starts a cluster, or finds the one that is to be attacked.
pub(crate) fn ground(args: &ChaosArgs, seed: u64, patience: &Patience) -> Result<Ground, CliError> {
    if let Some(dir) = &args.cluster {
        return running(args, dir);
    }
    let wanted = Wanted {
        dir: args.dir.as_deref(),
        peers: args.peers,
        links: args.kinds().iter().any(|kind| kind.is_of_the_network()),
        disks: args.kinds().contains(&Kind::Fill),
        seed,
    };
    let own = own::start(&wanted, patience)?;
    let file = own.cluster.file();
    Ok(Ground {
        gateway: Gateway::at(&file.gateway)?,
        fleet: Fleet::new(file.nodes, Some(own.cluster), own.undo, own.lock),
        proxies: own.proxies,
        means: own.means,
        dir: own.dir,
        temporary: own.temporary,
    })
}

/// The cluster that somebody else runs in `dir`.
fn running(args: &ChaosArgs, dir: &Path) -> Result<Ground, CliError> {
    let dir = dir.canonicalize().map_err(CliError::file("read", dir))?;
    let lock = take_lock(&dir)?;
    if Undo::read(&dir)?.is_some() {
        return Err(CliError::Unhealed { dir });
    }
    let cluster = ClusterFile::read(&dir)?.ok_or_else(|| CliError::NoCluster { dir: dir.clone() })?;
    let client = ClientArgs {
        gateway: Some(cluster.gateway),
        ca: args.ca.clone(),
        token_file: args.token_file.clone(),
        token: args.token.clone(),
    };
    let means = Means {
        no_links: Some("links are out of reach in a cluster that is not the tool's own".to_owned()),
        no_small_disks: Some("disks are only filled in a cluster of the tool's own".to_owned()),
        no_clocks: Some("clocks are only set wrong in a cluster of the tool's own".to_owned()),
        ..Means::default()
    };
    Ok(Ground {
        gateway: Gateway::of(&client)?,
        fleet: Fleet::new(cluster.nodes, None, Undo::new(&dir, false), lock),
        proxies: None,
        means,
        dir,
        temporary: false,
    })
}

/// Leaves the cluster: the tool's own is stopped, another one goes on with every node that can.
pub(crate) fn leave(mut fleet: Fleet, dir: &Path, kept: bool, patience: &Patience) -> Result<(), CliError> {
    let frozen: Vec<String> = fleet.undo.deeds.frozen.iter().cloned().collect();
    for name in frozen {
        fleet.thaw(&name)?;
    }
    for path in fleet.undo.deeds.fillers.clone() {
        files::remove_if_there(&path)?;
        fleet.undo.note(|deeds| deeds.fillers.remove(&path))?;
    }
    let Some(mut cluster) = fleet.own.take() else {
        for name in fleet.missing() {
            fleet.start(&name)?;
            fleet.undo.note(|deeds| deeds.down.remove(&name))?;
            eprintln!("truckee: {name} was down and is started again; `truckee doctor` says whether it runs");
        }
        return Ok(());
    };
    watch::stop(&mut cluster, patience.signals());
    ClusterFile::remove(cluster.layout.dir())?;
    own::unmount(&mut fleet.undo)?;
    fleet.undo.note(|deeds| deeds.down.clear())?;
    drop(cluster);
    if kept {
        return Ok(());
    }
    std::fs::remove_dir_all(dir).map_err(CliError::file("remove", dir))
}
