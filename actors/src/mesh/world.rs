//! What every actor of the mesh needs of the node around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use truckee_engine::session;
use truckee_grid::ids::NodeId;
use truckee_wire::frame::FRAME_BYTES_MAX;
use truckee_wire::message::{Hello, PROTOCOL_VERSION, SessionId};

use super::Table;
use crate::clock::ClockHandle;
use crate::inbound::{Admission, LinkId, LinkListener, Router};
use crate::link::{FRAME_WITHIN_DEFAULT, LineId};
use crate::net::NetBounds;
use crate::tls::TlsIdentity;

/// Bounds of the mesh.
#[derive(Clone, Debug)]
pub struct MeshLimits {
    /// Of new connections.
    pub net: NetBounds,
    /// Of each session.
    pub session: session::Config,
    /// From the first byte of a frame to its last.
    pub frame_within: Duration,
    /// Payload bytes of one peer's unanswered requests that this node takes.
    pub inflight_bytes_max: u32,
    /// A node that is admitted only to join has to be a member after this time. Until then it counts as not judged:
    /// whoever does not hold the secret cannot keep links open.
    pub join_within: Duration,
}

impl Default for MeshLimits {
    fn default() -> Self {
        Self {
            net: NetBounds::default(),
            session: session::Config::default(),
            frame_within: FRAME_WITHIN_DEFAULT,
            inflight_bytes_max: session::INFLIGHT_BYTES_DEFAULT,
            join_within: Duration::from_secs(10),
        }
    }
}

/// Shared by the mesh's actors of one node.
pub(crate) struct World {
    pub(crate) identity: TlsIdentity,
    pub(crate) clock: ClockHandle,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) router: Router,
    pub(crate) listeners: Vec<Arc<dyn LinkListener>>,
    pub(crate) limits: MeshLimits,
    pub(crate) table: Arc<Table>,
    /// This run of the process.
    pub(crate) session: SessionId,
    /// Drives the jitter of delays and nothing that must be secret.
    seed: [u8; 32],
    counter: AtomicU64,
}

impl World {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different thing, named at its one use"
    )]
    pub(crate) fn new(
        identity: TlsIdentity,
        clock: ClockHandle,
        admission: Arc<dyn Admission>,
        router: Router,
        listeners: Vec<Arc<dyn LinkListener>>,
        limits: MeshLimits,
        table: Arc<Table>,
        seed: [u8; 32],
    ) -> Self {
        let session = SessionId(*seed.first_chunk().expect("16 of 32 bytes"));
        let counter = AtomicU64::new(1);
        Self {
            identity,
            clock,
            admission,
            router,
            listeners,
            limits,
            table,
            session,
            seed,
            counter,
        }
    }

    pub(crate) fn own_id(&self) -> NodeId {
        self.identity.node_id()
    }

    /// What this node says first on a link.
    pub(crate) fn own_hello(&self) -> Hello {
        let (grant, announcement_sequence) = self.admission.own_hello();
        Hello {
            version: PROTOCOL_VERSION,
            session: self.session,
            grant,
            announcement_sequence,
            frame_bytes_max: FRAME_BYTES_MAX as u32,
            inflight_bytes_max: self.limits.inflight_bytes_max,
        }
    }

    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_line(&self) -> LineId {
        LineId(self.next())
    }

    pub(crate) fn next_link(&self) -> LinkId {
        LinkId(self.next())
    }

    /// A seed for jitter that nothing else got.
    pub(crate) fn random_seed(&self) -> [u8; 32] {
        let mut seed = self.seed;
        for (byte, count) in seed.iter_mut().zip(self.next().to_be_bytes()) {
            *byte ^= count;
        }
        seed
    }
}
