//! The mesh: which peers have an actor, and the way to them.
//!
//! An actor per peer is made when there is a reason: a call to it, a socket from it, or that the directory wants a
//! link to it all the time. The actors are children of the mesh's own supervisor; one that ends too often is put in
//! quarantine for a while, because a single peer must not take the node down. Everything that is read often lies in a
//! table that all threads see.
//!
//! Stopping says goodbye on every link and waits for what is under way, within the supervisor's bound.

mod own;
mod table;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use truckee_engine::restart::{Class, Policy};
use truckee_engine::session::CallError;
use truckee_engine::time::Mono;
use truckee_grid::ids::NodeId;

pub(crate) use self::own::{OwnNode, cancelled};
pub(crate) use self::table::{Entry, Table, TableCalls};
pub use self::world::MeshLimits;
pub(crate) use self::world::World;
use crate::answers_ping;
use crate::gate::{CountPermit, tell};
use crate::net::Socket;
use crate::peer::{Attach, Peer, PeerCall, Recheck};
use crate::supervise::{
    ChildId, ChildSpec, Ended, Escalated, ExitGuard, Health, KillAll, Settled, StartChild, Stop, StopOrder,
    Supervisor, stop_all,
};

/// How long a peer whose actor ended too often gets no new one.
const QUARANTINE: Duration = Duration::from_secs(60);

/// Time for the requests under way on one link to end when the node stops.
const PEER_STOP_WITHIN: Duration = Duration::from_secs(2);

/// Told to the caller of a peer that the roster does not name: gossip brings news within this time, if there are any.
const UNKNOWN_PEER_RETRY: Duration = Duration::from_secs(5);

/// A call to a peer that has no actor yet.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct CallPeer {
    pub(crate) peer: NodeId,
    pub(crate) outgoing: PeerCall,
}

/// A peer has dialled this node and shown who it is.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Accepted {
    pub(crate) socket: Box<Socket>,
    pub(crate) permit: CountPermit,
}

#[derive(Message)]
#[rtype(result = "()")]
struct DirectoryChanged;

/// See the module.
pub(crate) struct Mesh {
    world: Arc<World>,
    peers: Addr<Supervisor>,
    quarantined: BTreeMap<NodeId, Mono>,
    _guard: ExitGuard,
}

impl Mesh {
    pub(crate) fn new(world: Arc<World>, guard: ExitGuard) -> Self {
        let clock = Arc::clone(&world.clock);
        let peers = Supervisor::new(clock, world.table.mesh.clone(), Health::new())
            .stopping(StopOrder::AllAtOnce)
            .start();
        Self {
            world,
            peers,
            quarantined: BTreeMap::new(),
            _guard: guard,
        }
    }

    /// The peer's place in the table; its actor is started if it is new.
    fn enter(&mut self, peer: NodeId) -> Option<Arc<Entry>> {
        let now = self.world.clock.now();
        self.quarantined.retain(|_, until| *until > now);
        if self.quarantined.contains_key(&peer) || peer == self.world.own_id() {
            return None;
        }
        let (entry, is_new) = self.world.table.enter(peer, now);
        if is_new {
            let world = Arc::clone(&self.world);
            let slot = entry.slot.clone();
            let of_child = Arc::clone(&entry);
            let spec = ChildSpec::new(
                ChildId::named("peer", peer.to_base32()),
                (Class::Transient, Policy::USUAL),
                PEER_STOP_WITHIN,
                &slot,
                move |guard| Peer::new(peer, Arc::clone(&world), Arc::clone(&of_child), guard),
            );
            if tell(&self.peers, StartChild(spec)).is_err() {
                self.world.table.leave(peer);
                return None;
            }
        }
        Some(entry)
    }

    /// Passes a message on to a peer's actor, which may only be about to start.
    fn pass_on<M>(&self, entry: &Arc<Entry>, message: M, context: &mut Context<Self>)
    where
        Peer: Handler<M>,
        M: Message<Result = ()> + Send + 'static,
    {
        if entry.slot.get().is_some() {
            // Dropping a message answers for it.
            let _gone = entry.slot.tell(message);
            return;
        }
        // The supervisor starts the child before it answers this.
        let entry = Arc::clone(entry);
        let started = self.peers.send(Settled);
        context.spawn(actix::fut::wrap_future(async move {
            if started.await.is_ok() {
                let _gone = entry.slot.tell(message);
            }
        }));
    }

    fn follow_directory(&mut self, context: &mut Context<Self>) {
        let directory = self.world.table.directory();
        for member in directory.values().filter(|member| member.keep_linked) {
            // A new actor looks by itself whether it should dial.
            self.enter(member.node_id);
        }
        for (_, entry) in self.world.table.all() {
            if entry.slot.get().is_some() {
                self.pass_on(&entry, Recheck, context);
            }
        }
    }
}

impl Drop for Mesh {
    /// After an orderly stop nothing is left to kill; after a panic the next mesh starts from nothing.
    fn drop(&mut self) {
        let _gone = tell(&self.peers, KillAll);
    }
}

impl Actor for Mesh {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        // A life before this one left its peers' places behind; their actors ended with their supervisor.
        for (peer, _) in self.world.table.all() {
            self.world.table.leave(peer);
        }
        self.follow_directory(context);
        let mut watch = self.world.table.watch();
        let mesh = context.address().downgrade();
        tokio::task::spawn_local(async move {
            while watch.changed().await.is_ok() {
                let Some(mesh) = mesh.upgrade() else { return };
                if tell(&mesh, DirectoryChanged).is_err() {
                    return;
                }
            }
        });
    }
}

answers_ping!(Mesh);

impl Handler<CallPeer> for Mesh {
    type Result = ();

    fn handle(&mut self, CallPeer { peer, outgoing }: CallPeer, context: &mut Self::Context) {
        if self.world.table.member(peer).is_none() {
            outgoing.reply.answer(Err(CallError::Down {
                retry_in: UNKNOWN_PEER_RETRY,
            }));
            return;
        }
        match self.enter(peer) {
            Some(entry) => self.pass_on(&entry, outgoing, context),
            None => outgoing
                .reply
                .answer(Err(CallError::Down { retry_in: QUARANTINE })),
        }
    }
}

impl Handler<Accepted> for Mesh {
    type Result = ();

    fn handle(&mut self, Accepted { socket, permit }: Accepted, context: &mut Self::Context) {
        // Without a place the socket is closed: the peer is quarantined, or it is this node itself.
        if let Some(entry) = self.enter(socket.peer) {
            self.pass_on(&entry, Attach { socket, permit }, context);
        }
    }
}

impl Handler<DirectoryChanged> for Mesh {
    type Result = ();

    fn handle(&mut self, _: DirectoryChanged, context: &mut Self::Context) {
        self.follow_directory(context);
    }
}

fn peer_of(child: &ChildId) -> Option<NodeId> {
    child.name.parse().ok()
}

impl Handler<Ended> for Mesh {
    type Result = ();

    fn handle(&mut self, ended: Ended, _: &mut Self::Context) {
        if let Some(peer) = peer_of(&ended.child) {
            self.world.table.leave(peer);
        }
    }
}

impl Handler<Escalated> for Mesh {
    type Result = ();

    fn handle(&mut self, escalated: Escalated, _: &mut Self::Context) {
        let Some(peer) = peer_of(&escalated.child) else {
            return;
        };
        tracing::error!(
            ?peer,
            exits = escalated.exits,
            "the actor of a peer ends again and again, quarantined"
        );
        self.world.table.leave(peer);
        self.quarantined.insert(peer, self.world.clock.now() + QUARANTINE);
    }
}

impl Handler<Stop> for Mesh {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        let peers = self.peers.clone();
        context.spawn(
            actix::fut::wrap_future::<_, Self>(async move { stop_all(&peers).await })
                .map(|_overdue, _, context| context.stop()),
        );
    }
}

/// Lets a test see what a panic of the mesh leads to.
#[cfg(test)]
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct PanicNow;

#[cfg(test)]
impl Handler<PanicNow> for Mesh {
    type Result = ();

    fn handle(&mut self, _: PanicNow, _: &mut Self::Context) {
        panic!("on purpose");
    }
}
