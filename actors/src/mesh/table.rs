//! What all threads see of the mesh: who has an actor, how each link stands, and the way to send a call.
//!
//! The table is written by the mesh's actors and read by everybody else. A call goes from its caller's thread straight
//! into the mailbox of the peer's actor; only a call to a peer without an actor goes through the mesh.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use metrics::gauge;
use truckee_engine::time::Mono;
use truckee_grid::ids::NodeId;

use super::{CallPeer, Mesh, OwnNode};
use crate::call::{Call, CallGuard, LinkState, MeshCalls, PeerView, Reply};
use crate::directory::{Directory, DirectoryWatch, Member};
use crate::metrics as names;
use crate::peer::{CancelCall, Peer, PeerCall};
use crate::supervise::Slot;

/// How the link to one peer stands. Counts itself in the gauge of link states for as long as it exists.
#[derive(Debug)]
pub(crate) struct Status {
    state: LinkState,
    pub(crate) since: Mono,
    /// Where this node has dialled it for the newest link. None if the peer dialled: the port that it did so from is
    /// chosen anew each time and takes no calls.
    pub(crate) dialled: Option<String>,
    pub(crate) last_heard: Option<Mono>,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) last_failure: Option<&'static str>,
}

impl Status {
    fn new(now: Mono) -> Self {
        let state = LinkState::Idle;
        gauge!(names::MESH_PEERS, "state" => state.name()).increment(1.0);
        Self {
            state,
            since: now,
            dialled: None,
            last_heard: None,
            round_trip: None,
            last_failure: None,
        }
    }

    pub(crate) fn state(&self) -> LinkState {
        self.state
    }

    pub(crate) fn set_state(&mut self, state: LinkState, now: Mono) {
        if self.state != state {
            gauge!(names::MESH_PEERS, "state" => self.state.name()).decrement(1.0);
            gauge!(names::MESH_PEERS, "state" => state.name()).increment(1.0);
            self.state = state;
            self.since = now;
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        gauge!(names::MESH_PEERS, "state" => self.state.name()).decrement(1.0);
    }
}

/// One peer in the table.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Where its actor is.
    pub(crate) slot: Slot<Peer>,
    status: Mutex<Status>,
}

impl Entry {
    pub(crate) fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) own_id: NodeId,
    pub(crate) own: Slot<OwnNode>,
    pub(crate) mesh: Slot<Mesh>,
    directory: DirectoryWatch,
    entries: RwLock<BTreeMap<NodeId, Arc<Entry>>>,
    calls: AtomicU64,
}

impl Table {
    pub(crate) fn new(own_id: NodeId, directory: DirectoryWatch) -> Self {
        Self {
            own_id,
            own: Slot::new(),
            mesh: Slot::new(),
            directory,
            entries: RwLock::default(),
            calls: AtomicU64::new(1),
        }
    }

    pub(crate) fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.borrow())
    }

    pub(crate) fn watch(&self) -> DirectoryWatch {
        self.directory.clone()
    }

    /// What the directory says of a peer.
    pub(crate) fn member(&self, peer: NodeId) -> Option<Member> {
        self.directory.borrow().get(&peer).cloned()
    }

    pub(crate) fn entry(&self, peer: NodeId) -> Option<Arc<Entry>> {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&peer)
            .cloned()
    }

    /// Gives a peer its place; the second value says whether it is new.
    pub(crate) fn enter(&self, peer: NodeId, now: Mono) -> (Arc<Entry>, bool) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(&peer) {
            return (Arc::clone(entry), false);
        }
        let entry = Arc::new(Entry {
            slot: Slot::new(),
            status: Mutex::new(Status::new(now)),
        });
        entries.insert(peer, Arc::clone(&entry));
        (entry, true)
    }

    pub(crate) fn leave(&self, peer: NodeId) {
        self.entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&peer);
    }

    pub(crate) fn all(&self) -> Vec<(NodeId, Arc<Entry>)> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .map(|(peer, entry)| (*peer, Arc::clone(entry)))
            .collect()
    }
}

/// The table as callers of the mesh know it.
pub(crate) struct TableCalls(pub(crate) Arc<Table>);

impl MeshCalls for TableCalls {
    fn call(&self, peer: NodeId, call: Call, reply: Reply) -> CallGuard {
        let table = Arc::clone(&self.0);
        let number = table.calls.fetch_add(1, Ordering::Relaxed);
        let answered = reply.answered();
        let outgoing = PeerCall { number, call, reply };
        // A message that cannot be left anywhere is dropped, and its reply says that the link is lost.
        let _lost = if peer == table.own_id {
            table.own.tell(outgoing)
        } else if let Some(entry) = table.entry(peer) {
            entry.slot.tell(outgoing)
        } else {
            table.mesh.tell(CallPeer { peer, outgoing })
        };
        CallGuard::with_flag(answered, move || {
            // An actor that has ended has answered all its calls.
            let _gone = if peer == table.own_id {
                table.own.tell(CancelCall { number })
            } else if let Some(entry) = table.entry(peer) {
                entry.slot.tell(CancelCall { number })
            } else {
                Ok(())
            };
        })
    }

    fn peers(&self) -> Vec<PeerView> {
        let directory = self.0.directory();
        let members = directory
            .values()
            .filter(|member| member.node_id != self.0.own_id);
        members
            .map(|member| {
                let entry = self.0.entry(member.node_id);
                let status = entry.as_ref().map(|entry| entry.status());
                let status = status.as_deref();
                PeerView {
                    node_id: member.node_id,
                    nickname: member.nickname.clone(),
                    roles: member.roles,
                    zone: member.zone.clone(),
                    software: member.software.clone(),
                    state: status.map_or(LinkState::Idle, Status::state),
                    address: status
                        .and_then(|status| status.dialled.clone())
                        .or_else(|| member.addresses.first().cloned()),
                    since: status.map_or(Mono::ZERO, |status| status.since),
                    last_heard: status.and_then(|status| status.last_heard),
                    round_trip: status.and_then(|status| status.round_trip),
                    last_failure: status.and_then(|status| status.last_failure),
                }
            })
            .collect()
    }

    fn is_up(&self, peer: NodeId) -> bool {
        peer == self.0.own_id
            || self
                .0
                .entry(peer)
                .is_some_and(|entry| entry.status().state() == LinkState::Up)
    }

    fn own_id(&self) -> NodeId {
        self.0.own_id
    }
}
