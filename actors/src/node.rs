//! A node's actors, from the first start to the last stop: the root supervisor and its children.
//!
//! Order of start: what other crates hand in first (membership, the store), then the node's link to itself, the mesh,
//! what works on top of it (transfers), and the listener. Stopping goes the other way round: no new links, transfers
//! drain, goodbye to peers, the store flushes. Each child has its own bound of time for that.
//!
//! A child of the root that ends too often is more than this process can mend: [`Node::failed`] resolves, and whoever
//! runs the process ends it with an error, for the service manager to start a fresh one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;
use truckee_engine::restart::{Class, Policy};
use truckee_grid::ids::NodeId;
use truckee_wire::message::Roles;

use crate::call::MeshHandle;
use crate::clock::ClockHandle;
use crate::directory::DirectoryWatch;
use crate::gate::{Gone, tell};
use crate::inbound::{Admission, LinkListener, Router};
use crate::listener::Listener;
use crate::mesh::{Mesh, MeshLimits, OwnNode, Table, TableCalls, World};
use crate::supervise::{
    ChildId, ChildSpec, Ended, Escalated, Health, Parent, Settled, StartChild, Supervisor, stop_all,
};
use crate::tls::TlsIdentity;

/// Time for links to say goodbye, over the bound that each peer has.
const MESH_STOP_WITHIN: Duration = Duration::from_secs(3);

/// Time for children that have nothing to finish.
const QUICK_STOP_WITHIN: Duration = Duration::from_millis(500);

/// Connections that the kernel holds before the listener takes them.
const LISTEN_BACKLOG: i32 = 1024;

/// The way into the mesh before there is one, for children that need it at their birth.
#[derive(Clone, Debug)]
pub struct MeshAccess {
    table: Arc<Table>,
}

impl MeshAccess {
    /// The access of the node `own_id` to the members that `directory` will name.
    pub fn new(own_id: NodeId, directory: DirectoryWatch) -> Self {
        Self {
            table: Arc::new(Table::new(own_id, directory)),
        }
    }

    /// What callers hold. Calls made before the node started fail with a lost link.
    pub fn handle(&self) -> MeshHandle {
        MeshHandle::new(TableCalls(Arc::clone(&self.table)))
    }

    #[cfg(test)]
    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }
}

/// All that a node is made of.
pub struct NodeParts {
    /// Its key.
    pub identity: TlsIdentity,
    /// What it does.
    pub roles: Roles,
    /// Its time.
    pub clock: ClockHandle,
    /// The access that its children got.
    pub access: MeshAccess,
    /// Who may link and ask.
    pub admission: Arc<dyn Admission>,
    /// Who serves what.
    pub router: Router,
    /// Who hears of links.
    pub listeners: Vec<Arc<dyn LinkListener>>,
    /// Children that start before the mesh and stop after it, in order of start.
    pub below: Vec<ChildSpec>,
    /// Children that start after the mesh and stop before it, in order of start.
    pub above: Vec<ChildSpec>,
    /// Where it listens, bound already: see [`bind`].
    pub socket: TcpListener,
    /// Bounds of the mesh.
    pub limits: MeshLimits,
    /// Random: drives jitter and names this run of the process.
    pub seed: [u8; 32],
}

impl std::fmt::Debug for NodeParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeParts({:?}, {:?})", self.identity, self.roles)
    }
}

/// A node that cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}; is the port in use by another process?")]
pub struct BindError {
    /// Where it should listen.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

/// Binds the socket of a node, which fails early and clearly if the port is in use. Port 0 takes a free one.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    use socket2::{Domain, Protocol, Socket, Type};
    let bound = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A node that restarts takes its port back from connections that are still closing.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    bound().map_err(|error| BindError { address, error })
}

/// What took a node down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{child} ended {exits} times, the last time because it {}; the log says why", reason.name())]
pub struct NodeFailure {
    /// The child.
    pub child: ChildId,
    /// Why it ended last.
    pub reason: truckee_engine::restart::ExitReason,
    /// Ends within its window.
    pub exits: u32,
}

/// Hears of what the root supervisor cannot mend.
struct Root(watch::Sender<Option<NodeFailure>>);

impl Parent for Root {
    fn escalated(&self, Escalated { child, reason, exits }: Escalated) {
        self.0.send_modify(|failure| {
            failure.get_or_insert(NodeFailure { child, reason, exits });
        });
    }

    fn ended(&self, ended: Ended) {
        tracing::info!(child = %ended.child, "a child of the root is done");
    }
}

/// A running node: the handle of its root.
#[derive(Clone, Debug)]
pub struct Node {
    root: Addr<Supervisor>,
    mesh: MeshHandle,
    health: Health,
    failure: watch::Receiver<Option<NodeFailure>>,
}

impl Node {
    /// Starts all actors on this thread, which must run a `LocalSet` (actix's arbiters and systems do). When this
    /// returns, all of them take messages.
    pub async fn start(parts: NodeParts) -> Result<Self, Gone> {
        let health = Health::new();
        let (failed, failure) = watch::channel(None);
        let root = Supervisor::new(Arc::clone(&parts.clock), Root(failed), health.clone()).start();
        let mesh = parts.access.handle();
        for spec in children(parts) {
            tell(&root, StartChild(spec))?;
        }
        root.send(Settled).await.map_err(|_| Gone)?;
        Ok(Self {
            root,
            mesh,
            health,
            failure,
        })
    }

    /// The mesh, for callers.
    pub fn mesh(&self) -> &MeshHandle {
        &self.mesh
    }

    /// Whether the children of the root answer.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Resolves when something broke that only a fresh process can mend.
    pub async fn failed(&self) -> NodeFailure {
        let mut failure = self.failure.clone();
        // The root ends only after a stop was asked for: then nothing fails any more.
        let failed = failure
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|failure| failure.clone());
        match failed {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }

    /// Stops everything in order; gives the children that did not end in time.
    pub async fn stop(&self) -> Vec<ChildId> {
        stop_all(&self.root).await
    }
}

fn children(parts: NodeParts) -> Vec<ChildSpec> {
    let NodeParts {
        identity,
        roles,
        clock,
        access,
        admission,
        router,
        listeners,
        below,
        above,
        socket,
        limits,
        seed,
    } = parts;
    let table = access.table;
    let permanent = (Class::Permanent, Policy::USUAL);
    let own_id = identity.node_id();
    let own = {
        let (clock, router) = (Arc::clone(&clock), router.clone());
        let slot = table.own.clone();
        ChildSpec::new(
            ChildId::only("own_node"),
            permanent,
            QUICK_STOP_WITHIN,
            &slot,
            move |guard| OwnNode::new(own_id, roles, Arc::clone(&clock), router.clone(), guard),
        )
    };
    let slot = table.mesh.clone();
    let world = Arc::new(World::new(
        identity, clock, admission, router, listeners, limits, table, seed,
    ));
    let of_mesh = Arc::clone(&world);
    let mesh = ChildSpec::new(
        ChildId::only("mesh"),
        permanent,
        MESH_STOP_WITHIN,
        &slot,
        move |guard| Mesh::new(Arc::clone(&of_mesh), guard),
    );
    let socket = Arc::new(socket);
    let listener = ChildSpec::new(
        ChildId::only("listener"),
        permanent,
        QUICK_STOP_WITHIN,
        &crate::supervise::Slot::new(),
        move |guard| Listener::new(Arc::clone(&world), Arc::clone(&socket), guard),
    );
    let mut children = below;
    children.extend([own, mesh]);
    children.extend(above);
    children.push(listener);
    children
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers_ping;
    use crate::supervise::{ExitGuard, Slot, Stop};
    use crate::testing::{TestNode, short_limits};
    use truckee_engine::restart::ExitReason;

    struct Fragile(#[expect(dead_code, reason = "reports the end")] ExitGuard);

    impl Actor for Fragile {
        type Context = Context<Self>;
    }

    answers_ping!(Fragile);

    impl Handler<Stop> for Fragile {
        type Result = ();

        fn handle(&mut self, _: Stop, _: &mut Self::Context) {
            panic!("on purpose");
        }
    }

    #[actix::test]
    async fn a_child_that_cannot_be_mended_fails_the_node() {
        let slot = Slot::new();
        let spec = ChildSpec::new(
            ChildId::only("fragile"),
            (Class::Permanent, Policy::NEVER),
            QUICK_STOP_WITHIN,
            &slot,
            Fragile,
        );
        let node = TestNode::start_with(1, short_limits(), vec![spec]).await;
        slot.tell(Stop).expect("alive");
        let failure = node.node.failed().await;
        assert_eq!(
            (failure.child, failure.reason),
            (ChildId::only("fragile"), ExitReason::Panicked)
        );
    }

    #[test]
    fn a_port_in_use_is_named() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = first.local_addr().expect("bound");
        let error = bind(address).expect_err("in use");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
