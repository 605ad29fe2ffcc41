//! What a node tells of itself and of its peers: the data behind pages, readiness and `/?t=json`.
//!
//! Gateways, which show it on pages, and introducers, whose operators send nodes away, also ask the storage peers from time to time how
//! full they are. That has a second use: a gateway that has asked everybody has links to everybody before the first upload needs
//! them. Other nodes do not ask: if all did, it would be most of what a large grid at rest does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use metrics::gauge;
use truckee_actors::call::{Call, LinkState, MeshHandle, PeerView};
use truckee_actors::clock::ClockHandle;
use truckee_actors::metrics as names;
use truckee_actors::trace::Trace;
use truckee_actors::vdrive::VdriveHealth;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Lane, Request, Response, Roles};

use crate::http::port::{NodeSnapshot, NodeView, PeerRow, PeerState, StorageStatus};
use crate::role::Role;

/// How long a peer may take to say how full it is. Twice the bound after which a silent link counts as dead.
const STATUS_BUDGET: Duration = Duration::from_secs(4);
/// Peers asked at the same time: enough for a mesh of hundreds within one round.
const ASKED_AT_ONCE: usize = 32;
/// Between two rounds: free space changes slowly, and links that idle are kept.
const ROUND: Duration = Duration::from_secs(30);
/// Between two rounds while the node is not ready: peers come up one after another when a cluster starts.
const ROUND_UNREADY: Duration = Duration::from_millis(250);

/// What the node itself is.
#[derive(Clone, Debug)]
pub struct OwnFacts {
    /// Its id.
    pub node_id: NodeId,
    /// Its name for people.
    pub nickname: String,
    /// What it does.
    pub roles: Vec<Role>,
    /// Where it stands.
    pub zone: String,
    /// Address that peers dial.
    pub address: String,
    /// Distinct peers that an upload needs; role gateway only.
    pub happy: Option<usize>,
}

/// See the module.
pub struct MeshView {
    own: OwnFacts,
    mesh: MeshHandle,
    clock: ClockHandle,
    /// Whether some introducer has admitted this node.
    admitted: Box<dyn Fn() -> bool + Send + Sync>,
    said: Mutex<BTreeMap<NodeId, StorageStatus>>,
    stopping: AtomicBool,
    vdrive: VdriveHealth,
}

impl MeshView {
    /// A view through `mesh`. `admitted` tells whether the node holds a valid grant.
    pub fn new(
        own: OwnFacts,
        mesh: MeshHandle,
        clock: ClockHandle,
        admitted: Box<dyn Fn() -> bool + Send + Sync>,
    ) -> MeshView {
        let (said, stopping) = (Mutex::default(), AtomicBool::new(false));
        MeshView {
            own,
            mesh,
            clock,
            admitted,
            said,
            stopping,
            vdrive: VdriveHealth::default(),
        }
    }

    /// The same, not ready while the node's vdrive is in trouble.
    #[must_use]
    pub fn with_vdrive(mut self, health: VdriveHealth) -> MeshView {
        self.vdrive = health;
        self
    }

    /// From now on the node says that it is not ready.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
        gauge!(names::NODE_READY).set(0.0);
    }

    fn unready(&self, peers: &[PeerRow]) -> Option<String> {
        if self.stopping.load(Ordering::Acquire) {
            return Some("the node is stopping".to_owned());
        }
        if !(self.admitted)() {
            return Some("no introducer has admitted this node to the mesh yet".to_owned());
        }
        if let Some(trouble) = self.vdrive.trouble() {
            return Some(trouble);
        }
        let happy = self.own.happy?;
        let storage = peers.iter().filter(|peer| peer.roles.contains(&Role::Storage));
        let up = storage.filter(|peer| peer.state.is_up()).count();
        (up < happy).then(|| format!("{up} storage peers are linked and an upload needs {happy}"))
    }

    fn own_row(&self, available_bytes: Option<u64>) -> PeerRow {
        PeerRow {
            node_id: self.own.node_id.to_base32(),
            nickname: self.own.nickname.clone(),
            roles: self.own.roles.clone(),
            zone: self.own.zone.clone(),
            software: software(),
            state: PeerState::Own,
            address: Some(self.own.address.clone()),
            last_heard_unix_s: Some(self.clock.unix().as_secs()),
            round_trip: None,
            available_bytes,
            last_failure: None,
        }
    }

    fn row(&self, peer: PeerView, available_bytes: Option<u64>) -> PeerRow {
        let (now, unix_s) = (self.clock.now(), self.clock.unix().as_secs());
        let heard = |at| unix_s.saturating_sub(now.saturating_sub(at).as_secs());
        PeerRow {
            node_id: peer.node_id.to_base32(),
            nickname: peer.nickname,
            roles: roles_of(peer.roles),
            zone: peer.zone,
            software: peer.software,
            state: state_of(peer.state),
            address: peer.address,
            last_heard_unix_s: peer.last_heard.map(heard),
            round_trip: peer.round_trip,
            available_bytes,
            last_failure: peer.last_failure.map(str::to_owned),
        }
    }

    /// Keeps looking whether the node is ready and, if that is shown to anybody, how full the storage peers are, for as long as the
    /// view is held by others.
    pub async fn keep_looking(self: Arc<Self>) {
        let shown = [Role::Gateway, Role::Introducer]
            .iter()
            .any(|role| self.own.roles.contains(role));
        let weak = Arc::downgrade(&self);
        drop(self);
        while let Some(view) = weak.upgrade() {
            if shown {
                view.ask_all().await;
            }
            let ready = view.snapshot().unready.is_none();
            gauge!(names::NODE_READY).set(if ready { 1.0 } else { 0.0 });
            drop(view);
            tokio::time::sleep(if ready { ROUND } else { ROUND_UNREADY }).await;
        }
    }

    async fn ask_all(&self) {
        let is_storage = |peer: &PeerView| peer.roles.contains(truckee_wire::message::Role::Storage);
        // A peer in backoff is dialled when its time has come, not by every round.
        let peers = self.mesh.peers().into_iter();
        let mut asked: Vec<NodeId> = peers
            .filter(|peer| is_storage(peer) && peer.state != LinkState::Backoff)
            .map(|peer| peer.node_id)
            .collect();
        if self.own.roles.contains(&Role::Storage) {
            asked.push(self.own.node_id);
        }
        let answers = stream::iter(asked).map(|peer| async move { (peer, self.ask(peer).await) });
        let answers: BTreeMap<NodeId, Option<StorageStatus>> =
            answers.buffer_unordered(ASKED_AT_ONCE).collect().await;
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        *said = answers
            .into_iter()
            .filter_map(|(peer, status)| status.map(|status| (peer, status)))
            .collect();
    }

    /// None if it does not say.
    async fn ask(&self, peer: NodeId) -> Option<StorageStatus> {
        let call = Call {
            request: Request::GetStatus,
            lane: Lane::Control,
            budget: STATUS_BUDGET,
            trace: Trace::none(),
        };
        match self.mesh.ask(peer, call).await {
            Ok(Response::NodeStatus(status)) => Some(StorageStatus {
                shares: status.share_count,
                used_bytes: status.used_bytes,
                available_bytes: status.available_bytes,
                accepts: status.accepts_shares,
                uptime: status.uptime,
            }),
            _ => None,
        }
    }
}

impl NodeView for MeshView {
    fn snapshot(&self) -> NodeSnapshot {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let known = |id: &NodeId| said.get(id).map(|status| status.available_bytes);
        let mut peers: Vec<PeerRow> = self
            .mesh
            .peers()
            .into_iter()
            .map(|peer| {
                let bytes = known(&peer.node_id);
                self.row(peer, bytes)
            })
            .collect();
        peers.sort_by(|a, b| (&a.roles, &a.nickname, &a.node_id).cmp(&(&b.roles, &b.nickname, &b.node_id)));
        peers.insert(0, self.own_row(known(&self.own.node_id)));
        NodeSnapshot {
            node_id: self.own.node_id.to_base32(),
            nickname: self.own.nickname.clone(),
            roles: self.own.roles.clone(),
            unready: self.unready(&peers),
            peers,
        }
    }

    fn storage(&self) -> BTreeMap<String, StorageStatus> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter()
            .map(|(id, status)| (id.to_base32(), *status))
            .collect()
    }
}

/// Name and version, as peers and pages show it.
pub fn software() -> String {
    concat!("truckee/", env!("CARGO_PKG_VERSION")).to_owned()
}

/// Roles as the wire has them.
pub fn wire_roles(roles: &[Role]) -> Roles {
    roles.iter().map(|role| wire_role(*role)).collect()
}

fn wire_role(role: Role) -> truckee_wire::message::Role {
    match role {
        Role::Introducer => truckee_wire::message::Role::Introducer,
        Role::Storage => truckee_wire::message::Role::Storage,
        Role::Vdrive => truckee_wire::message::Role::Vdrive,
        Role::Gateway => truckee_wire::message::Role::Gateway,
    }
}

/// Roles as pages and files have them.
pub(crate) fn roles_of(roles: Roles) -> Vec<Role> {
    Role::ALL
        .into_iter()
        .filter(|role| roles.contains(wire_role(*role)))
        .collect()
}

fn state_of(state: LinkState) -> PeerState {
    match state {
        LinkState::Idle => PeerState::Idle,
        LinkState::Dialing => PeerState::Dialing,
        LinkState::Backoff => PeerState::Backoff,
        LinkState::Up => PeerState::Up,
        LinkState::Draining => PeerState::Draining,
    }
}

#[cfg(test)]
mod tests {
    use truckee_actors::call::{CallGuard, MeshCalls, Reply};
    use truckee_actors::clock::SystemClock;
    use truckee_engine::session::CallError;
    use truckee_wire::message::NodeStatus;

    use super::*;

    /// Storage peers 1, 2, … of which the first `up` are linked and answer.
    struct FakeMesh {
        up: u8,
        all: u8,
    }

    impl MeshCalls for FakeMesh {
        fn call(&self, peer: NodeId, _: Call, reply: Reply) -> CallGuard {
            let guard = CallGuard::new(&reply, || {});
            let status = NodeStatus {
                share_count: 0,
                used_bytes: 0,
                available_bytes: u64::from(peer.0[0]) * 1000,
                accepts_shares: true,
                uptime: Duration::ZERO,
                software: String::new(),
            };
            let up = peer.0[0] <= self.up;
            reply.answer(if up {
                Ok(Response::NodeStatus(status))
            } else {
                Err(CallError::LinkLost)
            });
            guard
        }

        fn peers(&self) -> Vec<PeerView> {
            let peer = |number: u8| PeerView {
                node_id: NodeId([number; 32]),
                nickname: format!("peer {number}"),
                roles: wire_roles(&[Role::Storage]),
                zone: String::new(),
                software: String::new(),
                state: if number <= self.up {
                    LinkState::Up
                } else {
                    LinkState::Idle
                },
                address: None,
                since: truckee_engine::time::Mono::ZERO,
                last_heard: None,
                round_trip: None,
                last_failure: None,
            };
            (1..=self.all).rev().map(peer).collect()
        }

        fn is_up(&self, peer: NodeId) -> bool {
            peer.0[0] <= self.up
        }

        fn own_id(&self) -> NodeId {
            NodeId([0; 32])
        }
    }

    fn view(up: u8, happy: Option<usize>, admitted: bool) -> MeshView {
        let own = OwnFacts {
            node_id: NodeId([0; 32]),
            nickname: "own".to_owned(),
            roles: vec![Role::Gateway],
            zone: String::new(),
            address: "127.0.0.1:1".to_owned(),
            happy,
        };
        let mesh = MeshHandle::new(FakeMesh { up, all: 3 });
        MeshView::new(own, mesh, SystemClock::handle(), Box::new(move || admitted))
    }

    #[test]
    fn readiness() {
        assert_eq!(view(2, Some(2), true).snapshot().unready, None);
        assert_eq!(
            view(0, None, true).snapshot().unready,
            None,
            "only a gateway needs storage peers"
        );
        let short = view(1, Some(2), true).snapshot().unready.unwrap();
        assert!(
            short.starts_with("1 storage peers") && short.ends_with("needs 2"),
            "{short}"
        );
        assert!(
            view(3, Some(1), false)
                .snapshot()
                .unready
                .unwrap()
                .contains("admitted")
        );
        let stopping = view(3, Some(1), true);
        stopping.set_stopping();
        assert!(stopping.snapshot().unready.unwrap().contains("stopping"));
    }

    #[tokio::test]
    async fn peers_with_their_free_space() {
        let view = view(2, Some(2), true);
        view.ask_all().await;
        let peers = view.snapshot().peers;
        let rows: Vec<(&str, Option<u64>)> = peers
            .iter()
            .map(|peer| (peer.nickname.as_str(), peer.available_bytes))
            .collect();
        assert_eq!(
            rows,
            [
                ("own", None),
                ("peer 1", Some(1000)),
                ("peer 2", Some(2000)),
                ("peer 3", None)
            ]
        );
        assert_eq!(peers[0].state, PeerState::Own);
    }
}
