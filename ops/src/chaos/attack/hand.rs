//! How things are done to nodes: the interface between what a fault is and the way to processes and disks.
//!
//! A fault says what shall happen to whom; a [`Hand`] does it, on this machine ([`super::local`]) or on others
//! ([`super::super::ssh`]). Nothing here remembers what is to be undone: that is [`super::fleet`]'s, which notes it first.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::up::Cluster;
use crate::error::CliError;

/// A node as far as an attack depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// What it does: `introducer`, `vdrive`, `storage`, `gateway`.
    pub(crate) roles: Vec<String>,
    /// Where its metrics are served, `host:port`; none if that is not known.
    pub(crate) metrics: Option<String>,
}

/// What can be done to a process at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// `kill -9`.
    Kill,
    /// Asked to stop in order.
    Stop,
    /// It neither answers nor hangs up.
    Freeze,
    /// It goes on.
    Thaw,
}

/// Which bytes on a disk, so that those that have come in their place are told from them: device and number of the inode of the
/// file, and where in it they begin.
pub(crate) type Identity = (u64, u64, u64);

/// A share: a file, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// The file: as whoever found it can find it again.
    pub(crate) path: PathBuf,
    /// Where in it the share begins, if it is one of many in a pack; else the file is the share.
    pub(crate) packed_at: Option<u64>,
    /// Storage index of its file, in text.
    pub(crate) index: String,
    /// Its number, in text.
    pub(crate) number: String,
    pub(crate) identity: Identity,
    pub(crate) bytes: u64,
}

/// Damage to one share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spoil {
    pub(crate) share: Share,
    pub(crate) how: How,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Bits flip: position of the byte, and which bits of it.
    Flip(Vec<(u64, u8)>),
    /// So many bytes are left; what follows in a pack is zeros instead.
    Cut(u64),
}

/// Which shares may be touched: all, or those of some storage indexes.
pub(crate) type Only = Option<BTreeSet<String>>;

/// See the module. Names that it does not know are errors, or of nodes that do not run.
pub(crate) trait Hand {
    /// Every node.
    fn nodes(&self) -> Vec<Node>;

    /// Nodes that do not run.
    fn missing(&mut self) -> Result<Vec<String>, CliError>;

    /// Whether a node runs. A frozen one does.
    fn runs(&mut self, name: &str) -> Result<bool, CliError>;

    /// Whether it runs and says that it serves.
    fn is_ready(&mut self, name: &str) -> Result<bool, CliError>;

    /// Does something to its process, if there is one.
    fn deed(&mut self, name: &str, deed: Deed) -> Result<(), CliError>;

    /// Begins to start it. It does not run.
    fn start(&mut self, name: &str) -> Result<(), CliError>;

    /// It was started and is ready: those that list the nodes are told.
    fn is_back(&mut self) -> Result<(), CliError> {
        Ok(())
    }

    /// Between two looks whether a node has died by itself.
    fn look_every(&self) -> Duration;

    /// Where its log is, for people.
    fn log(&self, name: &str) -> String;

    /// Whether the shares of every storage peer can be looked at.
    fn sees_all_shares(&self) -> bool;

    /// Its shares, sorted, as far as they may be touched.
    fn shares(&mut self, name: &str, only: &Only) -> Result<Vec<Share>, CliError>;

    /// Damages shares; gives which files were hit. One that is not there any more is left out.
    fn spoil(&mut self, name: &str, spoils: &[Spoil]) -> Result<Vec<Identity>, CliError>;

    /// Takes shares away from a node that does not run, to a place named after `label`; says which. A pack goes whole.
    fn take_away(&mut self, name: &str, shares: &[Share], label: &str) -> Result<String, CliError>;

    /// Its directory, if that is on this machine.
    fn dir(&self, _name: &str) -> Option<PathBuf> {
        None
    }

    /// Its clock is wrong by so many seconds from its next start on; 0: it is right.
    fn set_clock(&mut self, _name: &str, _wrong_seconds: i64) {}

    /// Whether the cluster is the tool's own.
    fn is_own(&self) -> bool {
        false
    }

    /// The tool's own cluster, to be stopped.
    fn take_own(&mut self) -> Option<Cluster> {
        None
    }
}
