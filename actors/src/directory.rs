//! Where the members are: what the mesh needs of the roster, published by membership whenever it changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use truckee_grid::ids::NodeId;
use truckee_wire::message::Roles;

/// One member, or one introducer that an invite names and whose announcement is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub node_id: NodeId,
    /// Its own name for itself; empty if not known yet.
    pub nickname: String,
    /// What shares should be spread over; may be empty.
    pub zone: String,
    /// What its grant says it may be.
    pub roles: Roles,
    /// `host:port`, in the order in which they should be tried.
    pub addresses: Vec<String>,
    /// Name and version of its software.
    pub software: String,
    /// Whether this node wants a link to it all the time, and not only when there is something to ask.
    pub keep_linked: bool,
}

/// All members but this node itself, by id. Who is revoked or expired is not in it.
pub type Directory = BTreeMap<NodeId, Member>;

/// The newest directory. Membership holds the other end.
pub type DirectoryWatch = watch::Receiver<Arc<Directory>>;
