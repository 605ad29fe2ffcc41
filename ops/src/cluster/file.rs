//! `cluster.json`: what a running local cluster looks like from outside.
//!
//! Owns the file's form. It is written whole when every node is ready, rewritten when one is started again, removed at
//! a clean stop, and readable by its owner alone (it holds the invite). After `kill -9` of `truckee up` it is stale:
//! whoever signals a pid from it must first see that the process is a node of that directory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::CliError;
use crate::files;

/// The file's name inside the cluster's directory.
pub const FILE_NAME: &str = "cluster.json";

/// Where `truckee up` keeps a cluster unless told otherwise.
pub const DEFAULT_DIR: &str = "truckee-cluster";

/// The content of `cluster.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFile {
    /// URL of the gateway, with no slash at the end.
    pub gateway: String,
    /// What a further node needs to join: a secret.
    pub invite: String,
    /// Every node, the introducer first, the gateway last.
    pub nodes: Vec<NodeEntry>,
}

/// One node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// Its name, also that of its directory.
    pub name: String,
    /// What it does: `introducer`, `vdrive`, `storage`, `gateway`.
    pub roles: Vec<String>,
    /// Its process.
    pub pid: u32,
    /// Where the mesh reaches it, `ip:port`.
    pub address: String,
    /// Its directory; `truckee run --dir` on it starts it again.
    pub dir: PathBuf,
}

impl ClusterFile {
    /// Reads the file of the cluster in `dir`; none if no cluster runs there.
    ///
    /// # Errors
    /// When the file is there and cannot be read or is not of this form.
    pub fn read(dir: &Path) -> Result<Option<ClusterFile>, CliError> {
        let path = dir.join(FILE_NAME);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(CliError::file("read", &path))?,
        };
        let parsed = serde_json::from_slice(&text);
        parsed.map(Some).map_err(|error| CliError::Usage {
            what: "the cluster file",
            value: path.display().to_string(),
            hint: format!("{error}; `truckee up` writes it anew"),
        })
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), CliError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| CliError::System {
            action: "write cluster.json",
            source: error.into(),
        })?;
        text.push(b'\n');
        files::write_whole(&dir.join(FILE_NAME), &text, 0o600)
    }

    /// Removes the file.
    pub(crate) fn remove(dir: &Path) -> Result<(), CliError> {
        files::remove_if_there(&dir.join(FILE_NAME))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn example() -> ClusterFile {
        ClusterFile {
            gateway: "http://127.0.0.1:3456".into(),
            invite: "truckee://x@127.0.0.1:1/y".into(),
            nodes: vec![NodeEntry {
                name: "introducer".into(),
                roles: vec!["introducer".into()],
                pid: 7,
                address: "127.0.0.1:1".into(),
                dir: "/d/nodes/introducer".into(),
            }],
        }
    }

    #[test]
    fn what_is_written_is_read_and_private() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ClusterFile::read(dir.path()).unwrap(), None);
        example().write(dir.path()).unwrap();
        assert_eq!(ClusterFile::read(dir.path()).unwrap(), Some(example()));
        let mode = std::fs::metadata(dir.path().join(FILE_NAME))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        ClusterFile::remove(dir.path()).unwrap();
        assert_eq!(ClusterFile::read(dir.path()).unwrap(), None);
    }

    #[test]
    fn the_keys_are_the_documented_ones() {
        let value = serde_json::to_value(example()).unwrap();
        let node = &value["nodes"][0];
        for key in ["name", "roles", "pid", "address", "dir"] {
            assert!(!node[key].is_null(), "{key}");
        }
        assert!(value["gateway"].is_string() && value["invite"].is_string());
    }

    #[test]
    fn a_broken_file_is_an_error_not_an_absence() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), b"{\"gateway\":").unwrap();
        assert!(matches!(
            ClusterFile::read(dir.path()),
            Err(CliError::Usage { .. })
        ));
    }
}
