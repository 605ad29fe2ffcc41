//! `targets.json`: where Prometheus finds the node of a directory, in the form of its file discovery.
//!
//! Written when the node serves, removed at a clean stop. After a kill it stays behind on purpose: a node that should run
//! and does not is what somebody has to hear of. Holds nothing secret.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::dir::{self, DirError, NodeDir};
use crate::run_file::RunFile;

/// The file's name, in the directory of a node and in that of a local cluster.
pub const FILE_NAME: &str = "targets.json";

/// What the zone of a node without one is called, because Prometheus drops labels without a value.
const NO_ZONE: &str = "none";

/// The one target that a node is; none if it serves no metrics.
pub fn of_node(run_file: &RunFile, zone: &str) -> Value {
    let roles: Vec<String> = run_file.roles.iter().map(ToString::to_string).collect();
    let targets: Vec<String> = run_file.metrics.iter().map(ToString::to_string).collect();
    json!([{
        "targets": targets,
        "labels": {
            "node": run_file.nickname,
            "zone": if zone.is_empty() { NO_ZONE } else { zone },
            "node_roles": roles.join(","),
        }
    }])
}

/// The targets that a file lists; none if it is not there or not of this form.
pub fn read(dir: &Path) -> Vec<Value> {
    let text = fs::read(dir.join(FILE_NAME)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

pub(crate) fn write(dir: &NodeDir, run_file: &RunFile, zone: &str) -> Result<(), DirError> {
    let mut text = serde_json::to_vec_pretty(&of_node(run_file, zone)).expect("texts always encode");
    text.push(b'\n');
    dir::replace(&dir.path().join(FILE_NAME), &text, MODE)
}

/// Whoever may enter the directory may read it: Prometheus is another user.
const MODE: u32 = 0o644;

pub(crate) fn remove(dir: &NodeDir) -> Result<(), DirError> {
    let path = dir.path().join(FILE_NAME);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DirError::on("remove", &path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Role;

    #[test]
    fn what_is_written_is_what_prometheus_reads() {
        let temp = tempfile::tempdir().unwrap();
        let dir = NodeDir::new(temp.path());
        let run_file = RunFile {
            pid: 1,
            node_id: "x".into(),
            nickname: "storage-01".into(),
            roles: vec![Role::Storage, Role::Gateway],
            mesh: "127.0.0.1:1".parse().unwrap(),
            http: None,
            metrics: Some("127.0.0.1:2".parse().unwrap()),
            invite: Some("secret".into()),
        };
        assert_eq!(read(temp.path()), Vec::<Value>::new());
        write(&dir, &run_file, "").unwrap();
        let text = fs::read_to_string(temp.path().join(FILE_NAME)).unwrap();
        assert!(!text.contains("secret"));
        let read = read(temp.path());
        assert_eq!(read[0]["targets"][0], "127.0.0.1:2");
        assert_eq!(read[0]["labels"]["node"], "storage-01");
        assert_eq!(read[0]["labels"]["zone"], "none");
        assert_eq!(read[0]["labels"]["node_roles"], "storage,gateway");
        remove(&dir).unwrap();
        remove(&dir).unwrap();
    }
}
