//! What the operator's commands have in common: which node's directory is meant, and its answer.

use std::path::{Path, PathBuf};

use truckee_nodes::control::{self, Answer, Ask};

use crate::cluster::file::{ClusterFile, NodeEntry};
use crate::error::CliError;

/// Asks the node that runs in `dir`; a refusal is an error.
pub(crate) fn ask(dir: &Path, what: &Ask) -> Result<Answer, CliError> {
    match control::ask(dir, what)? {
        Answer::Refused { sentence } => Err(CliError::NodeRefused { sentence }),
        answer => Ok(answer),
    }
}

/// An answer that does not belong to its question.
pub(crate) fn odd(dir: &Path) -> CliError {
    CliError::NodeRefused {
        sentence: format!(
            "the node in {} answered something else than it was asked; it may be of another version of Truckee",
            dir.display()
        ),
    }
}

/// The directory of the first node of a local cluster that is as `wanted`.
pub(crate) fn in_cluster(
    cluster: &Path,
    wanted: impl Fn(&NodeEntry) -> bool,
) -> Result<Option<PathBuf>, CliError> {
    let file = ClusterFile::read(cluster)?.ok_or_else(|| CliError::NoCluster {
        dir: cluster.to_owned(),
    })?;
    Ok(file
        .nodes
        .into_iter()
        .find(|node| wanted(node))
        .map(|node| node.dir))
}
