//! What is attacked: a cluster of the tool's own, one that somebody else runs on this machine, or a grid on others; and how it
//! is left.

use std::path::{Path, PathBuf};

use super::attack::fleet::Fleet;
use super::attack::local::Local;
use super::fault::Kind;
use super::net::Proxies;
use super::own::{self, Wanted};
use super::patience::Patience;
use super::shape::Means;
use super::ssh::{Inventory, Remote};
use super::undo::{Traces, Undo};
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
    /// What it is, in words.
    pub(crate) place: String,
    /// Directory of a cluster on this machine; of a grid on others, that of its inventory.
    pub(crate) dir: PathBuf,
    /// Whether the directory goes at the end.
    pub(crate) temporary: bool,
}

/// Starts a cluster, or finds the one that is to be attacked.
pub(crate) fn ground(args: &ChaosArgs, seed: u64, patience: &Patience) -> Result<Ground, CliError> {
    if let Some(inventory) = &args.inventory {
        return elsewhere(args, inventory);
    }
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
    let hand = Local::new(&own.dir, file.nodes, Some(own.cluster));
    Ok(Ground {
        gateway: Gateway::at(&file.gateway)?,
        fleet: Fleet::new(hand, own.undo, own.lock),
        proxies: own.proxies,
        means: own.means,
        place: format!("a cluster of its own in {}", own.dir.display()),
        dir: own.dir,
        temporary: own.temporary,
    })
}

/// The gateway at an address that a file names, with what the command line says of it.
pub(super) fn gateway(args: &ChaosArgs, address: &str) -> Result<Gateway, CliError> {
    Gateway::of(&ClientArgs {
        gateway: Some(address.to_owned()),
        ca: args.ca.clone(),
        token_file: args.token_file.clone(),
        token: args.token.clone(),
    })
}

/// The cluster that somebody else runs in `dir`.
fn running(args: &ChaosArgs, dir: &Path) -> Result<Ground, CliError> {
    let dir = dir.canonicalize().map_err(CliError::file("read", dir))?;
    let traces = Traces::inside(&dir);
    let lock = traces.take_lock()?;
    if Undo::read(&traces)?.is_some() {
        let heal = format!("--cluster {}", dir.display());
        return Err(CliError::Unhealed { heal });
    }
    let cluster = ClusterFile::read(&dir)?.ok_or_else(|| CliError::NoCluster { dir: dir.clone() })?;
    let means = Means {
        no_links: Some("links are out of reach in a cluster that is not the tool's own".to_owned()),
        no_small_disks: Some("disks are only filled in a cluster of the tool's own".to_owned()),
        no_clocks: Some("clocks are only set wrong in a cluster of the tool's own".to_owned()),
        ..Means::default()
    };
    let hand = Local::new(&dir, cluster.nodes, None);
    Ok(Ground {
        gateway: gateway(args, &cluster.gateway)?,
        fleet: Fleet::new(hand, Undo::new(&traces, false), lock),
        proxies: None,
        means,
        place: format!("the cluster in {}", dir.display()),
        dir,
        temporary: false,
    })
}

/// The grid that an inventory describes. Nothing is changed when one of its nodes is not as it must be.
fn elsewhere(args: &ChaosArgs, path: &Path) -> Result<Ground, CliError> {
    let path = path.canonicalize().map_err(CliError::file("read", path))?;
    let inventory = Inventory::read(&path)?;
    let traces = Traces::beside(&path);
    let lock = traces.take_lock()?;
    if Undo::read(&traces)?.is_some() {
        let heal = format!("--inventory {}", path.display());
        return Err(CliError::Unhealed { heal });
    }
    let gateway = gateway(args, &inventory.gateway)?;
    let means = inventory.means();
    let hand = Remote::new(inventory, &gateway)?;
    hand.check()?;
    Ok(Ground {
        fleet: Fleet::new(hand, Undo::new(&traces, false), lock),
        gateway,
        proxies: None,
        means,
        place: format!("the grid of {}", path.display()),
        dir: path.parent().unwrap_or(Path::new("/")).to_owned(),
        temporary: false,
    })
}

/// Leaves the cluster: the tool's own is stopped, another one goes on with every node that can.
pub(crate) fn leave(mut fleet: Fleet, dir: &Path, kept: bool, patience: &Patience) -> Result<(), CliError> {
    let frozen: Vec<String> = fleet.undo.deeds.frozen.iter().cloned().collect();
    // One that cannot be reached must not keep the others from going on.
    let thawed: Vec<_> = frozen.iter().map(|name| fleet.thaw(name)).collect();
    for path in fleet.undo.deeds.fillers.clone() {
        files::remove_if_there(&path)?;
        fleet.undo.note(|deeds| deeds.fillers.remove(&path))?;
    }
    let Some(mut cluster) = fleet.hand.take_own() else {
        let started = start_missing(&mut fleet);
        return thawed.into_iter().chain([started]).collect();
    };
    thawed.into_iter().collect::<Result<(), CliError>>()?;
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

/// Starts every node that does not run; gives the first error, after all were tried.
fn start_missing(fleet: &mut Fleet) -> Result<(), CliError> {
    let (missing, mut outcome) = match fleet.hand.missing() {
        Ok(missing) => (missing, Ok(())),
        // Some cannot be looked at: those that are known to be down are tried all the same.
        Err(error) => (fleet.undo.deeds.down.iter().cloned().collect(), Err(error)),
    };
    for name in missing {
        let started = fleet.start(&name);
        let started = started.and_then(|()| fleet.undo.note(|deeds| deeds.down.remove(&name)));
        if started.is_ok() {
            eprintln!("truckee: {name} was down and is started again; `truckee doctor` says whether it runs");
        }
        outcome = outcome.and(started);
    }
    outcome
}
