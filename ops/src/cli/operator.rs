//! Commands that speak to one running node, on its machine, by the control socket in its directory.

use std::path::PathBuf;

use clap::Args;

use crate::cluster::file::DEFAULT_DIR;

/// Shuts a node out of the mesh for good, as when it was stolen or broken into. Runs on the machine of an introducer.
///
/// What the node holds counts as lost at once, and the storage nodes make it again. A node that still works and shall
/// merely go is better emptied first, which risks nothing: see `truckee drain`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Its id, or its name if no other node has the same
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Directory of a running introducer [default: that of the local cluster]
    #[arg(long, value_name = "DIR", conflicts_with = "cluster")]
    pub(crate) dir: Option<PathBuf>,
    /// Directory of a local cluster, whose introducer is asked
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub(crate) cluster: PathBuf,
    /// Do not ask whether that is meant
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print one line of JSON; needs --yes
    #[arg(long, requires = "yes")]
    pub(crate) json: bool,
}

/// Empties a storage node before it is taken away. Runs on the machine of that node.
///
/// It takes no new shares from then on, also after a restart, and the storage nodes make again elsewhere what it holds, at the
/// rate of their repairs. Nothing is removed from it, and it goes on serving. The command shows how far that is and ends when
/// the node is safe to unplug; interrupted, it leaves the node draining. Exit code 4: it cannot be emptied as things are.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// Name of a node of the local cluster; left out with --dir
    #[arg(value_name = "NODE", required_unless_present = "dir", conflicts_with = "dir")]
    pub(crate) node: Option<String>,
    /// Directory of the running node
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Directory of the local cluster
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub(crate) cluster: PathBuf,
    /// Let the node take shares again; what it holds is still there
    #[arg(long)]
    pub(crate) undo: bool,
    /// Only say how far it is; exit code 4 if it is not safe to unplug
    #[arg(long, conflicts_with = "undo")]
    pub(crate) status: bool,
    /// Do not wait until it is safe to unplug
    #[arg(long, conflicts_with_all = ["undo", "status"])]
    pub(crate) no_wait: bool,
    /// Print one line of JSON with the last state
    #[arg(long)]
    pub(crate) json: bool,
}
