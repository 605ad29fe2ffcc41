//! Links between the nodes of the tool's own cluster, with faults on demand.
//!
//! Every node tells the others the address of a proxy of its own, so each link passes through the proxy of the node that
//! was dialled. Who dialled is found out from the system's table of sockets; so a fault can hit one pair of nodes, in one
//! direction, whoever dialled. What cannot be imitated this way is loss and reordering of packets: a byte comes late or
//! never, and a connection that is cut is closed at once. [`rules`] says what holds on a way, `owner` who dialled,
//! `proxy` carries bytes.

mod owner;
mod proxy;
pub(crate) mod rules;

pub(crate) use proxy::{Doors, Proxies};
