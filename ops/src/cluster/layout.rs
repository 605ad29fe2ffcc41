//! What a cluster is on disk: its directory, its lock, its nodes and how each is set up.
//!
//! Owns the names of the nodes (`introducer`, `vdrive-01`, `storage-01`…, `gateway`, also those of their directories under `nodes/`)
//! and the decision what a further `up` on the same directory means: the same nodes with their data, more peers if more
//! are asked for, never fewer. A node is set up when its `truckee.toml` is there.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use truckee_nodes::{Config, InitExtra, InitSpec, Role, init_node};

use crate::error::CliError;
use crate::files;

/// Storage peers of a new cluster: as many as the default coding makes shares.
const PEERS_DEFAULT: u16 = 10;

/// Most storage peers that a name can count to; the command line allows fewer.
const PEERS_MAX: u16 = 999;

/// Name of the introducer.
pub(crate) const INTRODUCER: &str = "introducer";

/// Name of the vdrive.
pub(crate) const VDRIVE: &str = "vdrive-01";

/// Name of the gateway.
pub(crate) const GATEWAY: &str = "gateway";

/// What one node of a cluster has differently from the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Special {
    /// Address that other nodes are told, if not the one listened on.
    pub(crate) advertise: Option<SocketAddr>,
    /// Bytes of its disk that shares leave free, if not as many as usual.
    pub(crate) reserve_bytes: Option<u64>,
    /// Seconds between looks for missing shares, and until they are made again, if not as many as usual.
    pub(crate) heal_seconds: Option<(u32, u32)>,
}

/// An opened cluster directory. The lock is held as long as this lives.
#[derive(Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
    /// Storage peers that the cluster has from now on.
    pub(crate) peers: u16,
    /// By name of the node; counts when it is set up.
    pub(crate) special: BTreeMap<String, Special>,
    _lock: File,
}

impl Layout {
    /// Opens the directory (made when absent), locks it, and settles the number of peers.
    pub(crate) fn open(dir: &Path, peers_asked: Option<u16>) -> Result<Layout, CliError> {
        let nodes = dir.join("nodes");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&nodes)
            .map_err(CliError::file("create", &nodes))?;
        let dir = dir.canonicalize().map_err(CliError::file("read", dir))?;
        let lock = lock(&dir.join("up.lock"))?.ok_or_else(|| CliError::ClusterInUse { dir: dir.clone() })?;
        let mut layout = Layout {
            dir,
            peers: 0,
            special: BTreeMap::new(),
            _lock: lock,
        };
        let have = layout.peers_on_disk();
        layout.peers =
            settle_peers(have, layout.is_set_up(GATEWAY), peers_asked).ok_or_else(|| CliError::Shrink {
                dir: layout.dir.clone(),
                have,
                asked: peers_asked.unwrap_or(0),
            })?;
        Ok(layout)
    }

    /// The cluster's directory, absolute.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory of one node.
    pub(crate) fn node_dir(&self, name: &str) -> PathBuf {
        self.dir.join("nodes").join(name)
    }

    /// Names of the storage peers.
    pub(crate) fn storage_names(&self) -> Vec<String> {
        (1..=self.peers).map(storage_name).collect()
    }

    /// Sets up the introducer if it is new.
    pub(crate) fn ensure_introducer(&self) -> Result<(), CliError> {
        self.ensure(INTRODUCER, Role::Introducer, |_| {})
    }

    /// Sets up the vdrive if it is new, also in a cluster that was made without one.
    pub(crate) fn ensure_vdrive(&self, invite: &str) -> Result<(), CliError> {
        self.ensure(VDRIVE, Role::Vdrive, |spec| {
            spec.invites = vec![invite.to_owned()];
        })
    }

    /// Whether this cluster was set up without a vdrive, by an earlier version or because somebody removed it.
    pub(crate) fn lacks_vdrive(&self) -> bool {
        self.is_set_up(GATEWAY) && !self.is_set_up(VDRIVE)
    }

    /// Sets up a storage peer if it is new.
    pub(crate) fn ensure_storage(&self, name: &str, invite: &str) -> Result<(), CliError> {
        self.ensure(name, Role::Storage, |spec| spec.invites = vec![invite.to_owned()])
    }

    /// Sets up the gateway if it is new; else gives it the address asked for, if that is another.
    pub(crate) fn ensure_gateway(&self, invite: &str, listen: Option<SocketAddr>) -> Result<(), CliError> {
        if self.is_set_up(GATEWAY) {
            return listen.map_or(Ok(()), |listen| self.move_gateway(listen));
        }
        self.ensure(GATEWAY, Role::Gateway, |spec| {
            spec.invites = vec![invite.to_owned()];
            spec.gateway_listen = listen;
            spec.extra = coding_for(self.peers);
        })
    }

    fn ensure(&self, name: &str, role: Role, fill: impl FnOnce(&mut InitSpec)) -> Result<(), CliError> {
        if self.is_set_up(name) {
            return Ok(());
        }
        let mut spec = InitSpec::new(&self.node_dir(name), name, &[role]);
        fill(&mut spec);
        if let Some(special) = self.special.get(name) {
            spec.advertise
                .extend(special.advertise.map(|address| address.to_string()));
            spec.extra.reserve_bytes = special.reserve_bytes;
            spec.extra.round_seconds = special.heal_seconds.map(|(round, _)| round);
            spec.extra.settle_seconds = special.heal_seconds.map(|(_, settle)| settle);
        }
        match init_node(&spec) {
            Ok(_) => Ok(()),
            Err(error) => Err(CliError::Node {
                node: name.to_owned(),
                reason: error.to_string(),
            }),
        }
    }

    /// Writes another listening address into the gateway's configuration, if it differs.
    fn move_gateway(&self, listen: SocketAddr) -> Result<(), CliError> {
        let dir = self.node_dir(GATEWAY);
        let bad = |reason: String| CliError::Node {
            node: GATEWAY.to_owned(),
            reason,
        };
        let config = Config::load(&dir).map_err(|errors| bad(errors.to_string()))?;
        if config.gateway.is_some_and(|gateway| gateway.listen == listen) {
            return Ok(());
        }
        let path = dir.join("truckee.toml");
        let text = std::fs::read_to_string(&path).map_err(CliError::file("read", &path))?;
        let text = with_listen(&text, listen).ok_or_else(|| {
            bad(format!(
                "{} has no `listen` under [gateway] to change; edit it by hand",
                path.display()
            ))
        })?;
        files::write_whole(&path, text.as_bytes(), 0o600)
    }

    /// Whether the node has its configuration.
    pub(crate) fn is_set_up(&self, name: &str) -> bool {
        self.node_dir(name).join("truckee.toml").is_file()
    }

    /// Storage peers that were set up before; their names count from 1 without a gap.
    fn peers_on_disk(&self) -> u16 {
        (1..=PEERS_MAX)
            .take_while(|number| self.is_set_up(&storage_name(*number)))
            .count() as u16
    }
}

fn storage_name(number: u16) -> String {
    format!("storage-{number:02}")
}

/// Takes a lock that keeps others away, such as a second `up` from the directory; none if somebody else has it. It is
/// held as long as the file stays open.
pub(crate) fn lock(path: &Path) -> Result<Option<File>, CliError> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    let file = opened.map_err(CliError::file("create", path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(CliError::file("lock", path)(error)),
    }
}

/// How many peers the cluster has from now on; none if it would shrink. `complete`: an earlier start got as far as
/// setting up everything, so that what is there is what was asked for then.
fn settle_peers(have: u16, complete: bool, asked: Option<u16>) -> Option<u16> {
    match asked {
        Some(asked) if asked < have => None,
        Some(asked) => Some(asked),
        None if complete && have > 0 => Some(have),
        None => Some(have.max(PEERS_DEFAULT)),
    }
}

/// The coding for a cluster with fewer peers than the default makes shares: the same proportions, one share each.
fn coding_for(peers: u16) -> InitExtra {
    if peers >= PEERS_DEFAULT {
        return InitExtra::default();
    }
    let k = (3 * peers).div_ceil(10);
    let happy = k.max((7 * peers + 5) / 10);
    InitExtra {
        k: Some(k),
        n: Some(peers),
        happy: Some(happy),
        ..InitExtra::default()
    }
}

/// The configuration with another `listen` in its `[gateway]` table, all else as it was; none if there is no such line.
fn with_listen(text: &str, listen: SocketAddr) -> Option<String> {
    let mut table = String::new();
    let mut changed = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            table = trimmed.to_owned();
        }
        let key = trimmed.split_once('=').map(|(key, _)| key.trim());
        if table == "[gateway]" && key == Some("listen") && !changed {
            lines.push(format!("listen = \"{listen}\""));
            changed = true;
        } else {
            lines.push(line.to_owned());
        }
    }
    changed.then(|| lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_stay_grow_but_never_shrink() {
        assert_eq!(settle_peers(0, false, None), Some(10));
        assert_eq!(settle_peers(0, false, Some(4)), Some(4));
        assert_eq!(settle_peers(4, true, None), Some(4));
        assert_eq!(settle_peers(4, true, Some(6)), Some(6));
        assert_eq!(settle_peers(4, true, Some(3)), None);
        // A first start that was interrupted goes on where it was.
        assert_eq!(settle_peers(4, false, None), Some(10));
    }

    #[test]
    fn small_clusters_can_store() {
        for peers in 1..PEERS_DEFAULT {
            let extra = coding_for(peers);
            let (k, n, happy) = (extra.k.unwrap(), extra.n.unwrap(), extra.happy.unwrap());
            assert!(
                1 <= k && k <= happy && happy <= n && n == peers,
                "{k} {happy} {n} of {peers}"
            );
            assert!(k < n || n == 1, "{k} of {n}");
        }
        assert_eq!(coding_for(10).n, None);
    }

    #[test]
    fn a_second_up_is_refused_while_the_first_lives() {
        let dir = tempfile::tempdir().unwrap();
        let first = Layout::open(dir.path(), Some(3)).unwrap();
        assert!(matches!(
            Layout::open(dir.path(), Some(3)),
            Err(CliError::ClusterInUse { .. })
        ));
        drop(first);
        Layout::open(dir.path(), Some(3)).unwrap();
    }

    #[test]
    fn a_cluster_that_would_shrink_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for number in 1..=3 {
            let node = dir.path().join("nodes").join(storage_name(number));
            std::fs::create_dir_all(&node).unwrap();
            std::fs::write(node.join("truckee.toml"), "").unwrap();
        }
        let error = Layout::open(dir.path(), Some(2)).unwrap_err();
        assert!(
            matches!(
                error,
                CliError::Shrink {
                    have: 3,
                    asked: 2,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(
            Layout::open(dir.path(), Some(5)).unwrap().storage_names().len(),
            5
        );
    }

    #[test]
    fn only_the_gateways_listen_changes() {
        let before =
            "listen = \"a\"\n[gateway]\n# say\nlisten = \"127.0.0.1:1\"\nk = 3\n[metrics]\nlisten = \"b\"\n";
        let after = with_listen(before, "127.0.0.1:2".parse().unwrap()).unwrap();
        assert_eq!(after, before.replace("127.0.0.1:1", "127.0.0.1:2"));
        assert_eq!(
            with_listen("listen = \"a\"\n", "127.0.0.1:2".parse().unwrap()),
            None
        );
    }
}
