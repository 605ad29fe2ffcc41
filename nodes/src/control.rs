//! What the operator of a node asks it while it runs: a socket in the node's directory, for its owner alone.
//!
//! `control.sock` takes one line of JSON, an [`Ask`], and gives one, an [`Answer`]. Whoever may open it has the rights of
//! the node's own user or of root: both the file's mode and the caller's identity, which the kernel tells, are checked. It
//! is no address of the network, so that no scraper, browser or peer ever reaches it.
//!
//! Bounded: one ask on each connection, its length, the time for it, and how many are served at once.

mod client;
mod members;
mod server;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::client::{ControlError, ask};
pub(crate) use self::server::{Control, Operated};
use crate::dir::NodeDir;
use crate::role::Role;

/// Longest ask and longest answer; those that there are have some hundred bytes.
const LINE_BYTES_MAX: u64 = 16 << 10;
/// Time for an ask. The slowest waits for a write of the roster, which a bad disk may delay.
const ASK_WITHIN: Duration = Duration::from_secs(20);
/// Longest path of a socket in `sockaddr_un`, its end included.
const SOCKET_PATH_MAX: usize = 108;

/// A question or order of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Whom does this name mean, and what would its end mean? Only an introducer knows what to do with the answer.
    Member {
        /// Node id, or a nickname that only one member has.
        node: String,
    },
    /// End the membership of a node for good.
    Revoke {
        /// Its id, as [`Ask::Member`] gave it: a nickname could change hands in between.
        node_id: String,
    },
    /// Have this storage node take no shares any more, and have the others make again what it holds; or undo that.
    Drain {
        /// Or undo.
        on: bool,
    },
    /// How far is it?
    DrainStatus,
}

/// What the node says to an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Ask::Member`].
    Member(Subject),
    /// To [`Ask::Revoke`]: it is on the introducer's disk, and being told to everybody.
    Revoked,
    /// To [`Ask::Drain`], when it is on the disk, and to [`Ask::DrainStatus`].
    Drain(DrainStatus),
    /// Nothing was done.
    Refused {
        /// Why, and what to do.
        sentence: String,
    },
}

/// A member that the operator has named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Text form of its id.
    pub node_id: String,
    /// What it calls itself.
    pub nickname: String,
    /// What it does.
    pub roles: Vec<Role>,
    /// Whether there is a link to it.
    pub linked: bool,
    /// Shares that it says it holds; none if it is no storage node or has not said.
    pub shares: Option<u64>,
    /// Bytes of them.
    pub used_bytes: Option<u64>,
    /// Other storage nodes that are linked.
    pub other_storage: usize,
}

/// How far a storage node is emptied. Counts are as of the last look, which a node takes once a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// Whether it is being emptied.
    pub draining: bool,
    /// All of `moved_files` and nothing else is here, and nothing can come any more: it may be taken away.
    pub safe: bool,
    /// Whether everything has been looked at since nothing can come any more.
    pub checked: bool,
    /// Shares here.
    pub shares: u64,
    /// Bytes of them.
    pub used_bytes: u64,
    /// Shares that were begun before and are not finished.
    pub unfinished_shares: u64,
    /// Files with a share here, all of whose shares are on other nodes that stay.
    pub moved_files: u64,
    /// Those that are not that far.
    pub waiting_files: u64,
    /// Those of which too few shares answer to make any again.
    pub stuck_files: u64,
    /// Parts of what is here, of 1024, that have not been looked at.
    pub unknown_buckets: u64,
    /// Nodes that answer and take shares.
    pub takers: u64,
}

/// The socket of a node's directory, by a path that the system takes. A directory whose path is too long for that is
/// opened, and the socket named through the open file, which is to be kept for as long as the path is used.
fn socket_path(dir: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = NodeDir::new(dir).control_path();
    if path.as_os_str().len() < SOCKET_PATH_MAX {
        return Ok((path, None));
    }
    use std::os::fd::AsRawFd;
    let open = File::open(dir)?;
    let name = path.file_name().unwrap_or_default();
    let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd())).join(name);
    Ok((path, Some(open)))
}
