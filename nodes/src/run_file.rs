//! `run.json`: where the node of a directory can be reached while it runs.
//!
//! Written when the node serves, removed at a clean stop. After a kill it stays behind: whoever reads it asks
//! [`crate::lock::is_locked`] whether a node still stands behind it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dir::{self, DirError, NodeDir};
use crate::role::Role;

/// What a running node tells about itself to those who may read its directory.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// Process id.
    pub pid: u32,
    /// Text form of the node's id.
    pub node_id: String,
    /// Name for people.
    pub nickname: String,
    /// What the node does.
    pub roles: Vec<Role>,
    /// Address listened on for peers.
    pub mesh: SocketAddr,
    /// Base URL of the gateway; role gateway only.
    pub http: Option<String>,
    /// Address of `/metrics`, `/healthz` and `/readyz`.
    pub metrics: Option<SocketAddr>,
    /// An invite with its secret; role introducer only.
    pub invite: Option<String>,
}

impl std::fmt::Debug for RunFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunFile")
            .field("pid", &self.pid)
            .field("node_id", &self.node_id)
            .field("nickname", &self.nickname)
            .field("roles", &self.roles)
            .field("mesh", &self.mesh)
            .field("http", &self.http)
            .field("metrics", &self.metrics)
            .finish_non_exhaustive()
    }
}

/// The file cannot be read.
#[derive(Debug, Error)]
pub enum RunFileError {
    /// The system refuses.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// It is not what a node writes.
    #[error("{path} is not a run file: {source}", path = .path.display())]
    Malformed {
        /// The file.
        path: std::path::PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
}

impl RunFile {
    /// Reads the file of a directory; none if there is none.
    ///
    /// # Errors
    /// It is there, but cannot be read or understood.
    pub fn read(dir: &Path) -> Result<Option<RunFile>, RunFileError> {
        let path = NodeDir::new(dir).run_file_path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DirError::on("read", &path)(error).into()),
        };
        match serde_json::from_slice(&bytes) {
            Ok(run_file) => Ok(Some(run_file)),
            Err(source) => Err(RunFileError::Malformed { path, source }),
        }
    }

    /// Writes the file, in place of one that an earlier run may have left.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, dir: &NodeDir) -> Result<(), DirError> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("a struct of texts and numbers always encodes");
        bytes.push(b'\n');
        dir::replace(&dir.run_file_path(), &bytes, dir::MODE_SECRET)
    }

    /// Removes the file if it is there.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remove(dir: &NodeDir) -> Result<(), DirError> {
        let path = dir.run_file_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DirError::on("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> RunFile {
        RunFile {
            pid: 7,
            node_id: "abc".to_owned(),
            nickname: "alpha".to_owned(),
            roles: vec![Role::Introducer, Role::Gateway],
            mesh: "127.0.0.1:7000".parse().unwrap(),
            http: Some("http://127.0.0.1:3456".to_owned()),
            metrics: None,
            invite: Some("truckee://abc@127.0.0.1:7000/very-secret".to_owned()),
        }
    }

    #[test]
    fn written_read_removed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = NodeDir::new(temp.path());
        assert_eq!(RunFile::read(temp.path()).unwrap(), None);
        example().write(&dir).unwrap();
        assert_eq!(RunFile::read(temp.path()).unwrap(), Some(example()));
        RunFile::remove(&dir).unwrap();
        RunFile::remove(&dir).unwrap();
        assert_eq!(RunFile::read(temp.path()).unwrap(), None);
        fs::write(dir.run_file_path(), b"{").unwrap();
        assert!(matches!(
            RunFile::read(temp.path()),
            Err(RunFileError::Malformed { .. })
        ));
    }

    #[test]
    fn the_invite_is_not_shown() {
        assert!(!format!("{:?}", example()).contains("very-secret"));
    }
}
