//! A cluster of the tool's own: on free ports, with links through proxies and a few small disks, to be thrown away.
//!
//! Owns its directory. A temporary one goes at the end unless something was violated; one that was given stays.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use truckee_nodes::Config;

use super::attack::{clock, disk};
use super::net::{Doors, Proxies};
use super::patience::Patience;
use super::shape::Means;
use super::undo::{Traces, Undo};
use crate::cluster::layout::{GATEWAY, INTRODUCER, VDRIVE};
use crate::cluster::process::log_path;
use crate::cluster::up::Cluster;
use crate::error::CliError;

/// Most peers with a small disk.
const SMALL_DISKS_MAX: usize = 2;

/// Bytes that shares leave free on a small disk.
const RESERVE_BYTES: u64 = 1 << 20;

/// Seconds between looks for missing shares, and until they are made again: an attack lasts minutes, and what is usual in
/// a grid would be most of it.
const HEAL_SECONDS: (u32, u32) = (5, 5);

/// What a cluster of one's own is to be like.
pub(crate) struct Wanted<'a> {
    /// Its directory; none: a temporary one.
    pub(crate) dir: Option<&'a Path>,
    pub(crate) peers: Option<u16>,
    /// Whether faults of the network are wanted.
    pub(crate) links: bool,
    /// Whether disks are to fill up.
    pub(crate) disks: bool,
    pub(crate) seed: u64,
}

/// A cluster that runs.
pub(crate) struct Own {
    pub(crate) cluster: Cluster,
    pub(crate) undo: Undo,
    pub(crate) proxies: Option<Proxies>,
    pub(crate) means: Means,
    pub(crate) dir: PathBuf,
    /// Keeps a second attack away.
    pub(crate) lock: File,
    /// Whether the directory is a temporary one.
    pub(crate) temporary: bool,
}

/// Starts it. When that fails nothing runs and nothing is mounted.
pub(crate) fn start(wanted: &Wanted<'_>, patience: &Patience) -> Result<Own, CliError> {
    let (dir, temporary) = match wanted.dir {
        Some(dir) => (dir.to_owned(), false),
        None => (temporary_dir(wanted.seed)?, true),
    };
    let mut cluster = Cluster::open(&dir, wanted.peers)?;
    let dir = cluster.layout.dir().to_owned();
    let traces = Traces::inside(&dir);
    let lock = traces.take_lock()?;
    let mut undo = Undo::new(&traces, true);
    let mut means = Means::default();
    for name in cluster.layout.storage_names() {
        cluster.layout.special.entry(name).or_default().heal_seconds = Some(HEAL_SECONDS);
    }
    if clock::library().is_none() {
        let why = "libfaketime, which takes the package `faketime`, is not installed";
        means.no_clocks = Some(why.to_owned());
    }
    small_disks(&mut cluster, &mut undo, &mut means, wanted.disks && temporary)?;
    let started = links(&mut cluster, &mut means, wanted.links).and_then(|proxies| {
        cluster.start(
            Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            patience.signals(),
        )?;
        Ok(proxies)
    });
    match started {
        Ok(proxies) => Ok(Own {
            lock,
            cluster,
            undo,
            proxies,
            means,
            dir,
            temporary,
        }),
        Err(error) => {
            crate::cluster::watch::stop(&mut cluster, patience.signals());
            unmount(&mut undo)?;
            // After any other error its logs are of use.
            if temporary && matches!(error, CliError::Interrupted) {
                drop(cluster);
                fs::remove_dir_all(&dir).map_err(CliError::file("remove", &dir))?;
            }
            Err(error)
        }
    }
}

/// Takes the small disks away; nothing must run on them any more. The logs on them are kept beside.
pub(crate) fn unmount(undo: &mut Undo) -> Result<(), CliError> {
    for path in undo.deeds.mounts.clone() {
        let log = log_path(&path);
        if log.is_file() {
            let beside = path.with_extension("log");
            fs::copy(&log, &beside).map_err(CliError::file("copy", &log))?;
        }
        disk::unmount_small(&path)?;
        undo.note(|deeds| deeds.mounts.remove(&path))?;
    }
    Ok(())
}

fn temporary_dir(seed: u64) -> Result<PathBuf, CliError> {
    let dir = std::env::temp_dir().join(format!("truckee-chaos-{}-{seed:x}", std::process::id()));
    let made = fs::DirBuilder::new().mode(0o700).create(&dir);
    made.map_err(CliError::file("create", &dir))?;
    Ok(dir)
}

fn small_disks(
    cluster: &mut Cluster,
    undo: &mut Undo,
    means: &mut Means,
    wanted: bool,
) -> Result<(), CliError> {
    if !wanted {
        let why = "a disk is only filled in a cluster of the tool's own in a temporary directory";
        means.no_small_disks = Some(why.to_owned());
        return Ok(());
    }
    for name in cluster.layout.storage_names().into_iter().take(SMALL_DISKS_MAX) {
        let dir = cluster.layout.node_dir(&name);
        undo.note(|deeds| deeds.mounts.insert(dir.clone()))?;
        if let Err(why) = disk::mount_small(&dir) {
            undo.note(|deeds| deeds.mounts.remove(&dir))?;
            let why = format!(
                "a small disk cannot be mounted here ({why}); it takes root and a machine of one's own"
            );
            means.no_small_disks = Some(why);
            return Ok(());
        }
        cluster
            .layout
            .special
            .entry(name.clone())
            .or_default()
            .reserve_bytes = Some(RESERVE_BYTES);
        means.small_disks.push(name);
    }
    Ok(())
}

/// Opens a proxy for each node. A node that was set up before keeps the address that it told others.
fn links(cluster: &mut Cluster, means: &mut Means, wanted: bool) -> Result<Option<Proxies>, CliError> {
    if !wanted {
        means.no_links = Some("no fault of the network was asked for".to_owned());
        return Ok(None);
    }
    let names = [INTRODUCER, VDRIVE, GATEWAY].map(str::to_owned);
    let names: Vec<String> = names.into_iter().chain(cluster.layout.storage_names()).collect();
    let mut doors = Doors::default();
    let mut dirs = BTreeMap::new();
    for name in names {
        let dir = cluster.layout.node_dir(&name);
        let port = if cluster.layout.is_set_up(&name) {
            let Some(port) = advertised(&dir) else {
                let why = format!("{name} was set up without a proxy; give a new directory");
                means.no_links = Some(why);
                // Nobody may be told a door that nobody serves.
                for special in cluster.layout.special.values_mut() {
                    special.advertise = None;
                }
                return Ok(None);
            };
            Some(port)
        } else {
            None
        };
        let address = doors.open(&name, port)?;
        cluster.layout.special.entry(name.clone()).or_default().advertise = Some(address);
        dirs.insert(name, dir);
    }
    Proxies::start(doors, dirs).map(Some)
}

/// The port at which a node has told others to dial it.
fn advertised(dir: &Path) -> Option<u16> {
    let config = Config::load(dir).ok()?;
    let address: SocketAddr = config.advertise.first()?.parse().ok()?;
    address.ip().is_loopback().then(|| address.port())
}
