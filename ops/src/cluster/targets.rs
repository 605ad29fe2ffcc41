//! `targets.json` of a local cluster: all its nodes, for Prometheus's file discovery.
//!
//! Put together from what each node says of itself, whenever `cluster.json` is written.

use std::path::Path;

use serde_json::Value;
use truckee_nodes::targets;

use crate::error::CliError;
use crate::files;

/// Writes the file of the cluster in `dir` from those of its nodes' directories.
pub(crate) fn write<'a>(dir: &Path, nodes: impl Iterator<Item = &'a Path>) -> Result<(), CliError> {
    let all: Vec<Value> = nodes.flat_map(targets::read).collect();
    let mut text = serde_json::to_vec_pretty(&all).map_err(|error| CliError::System {
        action: "write targets.json",
        source: error.into(),
    })?;
    text.push(b'\n');
    files::write_whole(&dir.join(targets::FILE_NAME), &text, 0o644)
}
