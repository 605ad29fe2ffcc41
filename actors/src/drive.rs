//! The virtual drive as a gateway uses it: a handle for any thread, and one actor around `truckee_engine::drive`.
//!
//! The actor keeps the verified copies of directories and everything that is under way. A call goes to it as a message
//! and comes back through a channel; requests to vdrives go through the mesh; what costs CPU time for longer than half a
//! millisecond goes to the CPU pool. When the actor is started again after a panic, copies are read anew; calls that
//! were under way end: reads with [`DriveError::Internal`], changes with [`DriveError::Unknown`].
//!
//! Dropping the future of a call takes the call back if its change has not been sent yet. Not promised: that a rollback
//! of a directory is noticed over a restart.

mod actor;
mod count;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use truckee_engine::drive::{DirectoryView, Edit, Edited, Outcome, Ticket};
use truckee_engine::restart::{Class, Policy};
use truckee_grid::caps::MutableCap;
use truckee_grid::drive::{Child, DirectoryKeys, RowName};
use truckee_grid::ids::NodeId;
use truckee_grid::keys::WriteKey;
use truckee_wire::message::Role;

use self::actor::{Ask, DriveActor, TakeBack, What};
use self::count::Asked;
use crate::call::{LinkState, MeshHandle};
use crate::clock::ClockHandle;
use crate::cpu::CpuHandle;
use crate::directory::DirectoryWatch;
use crate::supervise::{ChildId, ChildSpec, Slot};

pub use truckee_engine::drive::{DriveError, Limits};

/// How long the actor may take to end: it only tells its callers.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// What the drive needs of the rest of the node.
#[derive(Clone)]
pub struct DriveConfig {
    /// Carries requests to vdrives, and to this node's own.
    pub mesh: MeshHandle,
    /// Opens and seals rows.
    pub cpu: CpuHandle,
    /// What time it is.
    pub clock: ClockHandle,
    /// The members of the mesh; those with role vdrive are asked.
    pub directory: DirectoryWatch,
    /// This node itself, if it has the role vdrive.
    pub own: Option<NodeId>,
    /// Bounds.
    pub limits: Limits,
}

impl DriveConfig {
    /// Nodes with the role, this one included.
    fn vdrives(&self) -> Vec<NodeId> {
        let directory = Arc::clone(&self.directory.borrow());
        let members = directory
            .values()
            .filter(|member| member.roles.contains(Role::Vdrive));
        members.map(|member| member.node_id).chain(self.own).collect()
    }
}

/// The virtual drive; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Drive(Arc<Shared>);

struct Shared {
    config: DriveConfig,
    slot: Slot<DriveActor>,
    active: watch::Sender<usize>,
    stopping: AtomicBool,
    next_ticket: AtomicU64,
}

impl Drive {
    /// The handle, and how a supervisor starts the actor behind it. `seed` must come from a good random source: the
    /// nonces of rows are drawn from it.
    #[must_use]
    pub fn prepare(config: DriveConfig, seed: [u8; 32]) -> (Self, ChildSpec) {
        let slot = Slot::new();
        let how = (Class::Permanent, Policy::USUAL);
        let make = DriveActor::factory(config.clone(), seed);
        let child = ChildSpec::new(ChildId::only("drive"), how, STOP_WITHIN, &slot, make);
        let shared = Shared {
            config,
            slot,
            active: watch::Sender::new(0),
            stopping: AtomicBool::new(false),
            next_ticket: AtomicU64::new(1),
        };
        (Self(Arc::new(shared)), child)
    }

    /// Makes a new directory or mutable file with these rows. The key must be fresh from a good random source.
    ///
    /// # Errors
    /// [`DriveError`] says whether it may exist all the same.
    pub async fn create(&self, key: WriteKey, rows: Vec<(RowName, Child)>) -> Result<(), DriveError> {
        let keys = readable(&MutableCap::of_write_key(key))?;
        self.ask(Asked::Create, keys, What::Create(rows))
            .await
            .map(|_| ())
    }

    /// The newest version, verified.
    ///
    /// # Errors
    /// [`DriveError`] when it cannot be had.
    pub async fn read(&self, cap: &MutableCap) -> Result<Arc<DirectoryView>, DriveError> {
        match self.ask(Asked::Read, readable(cap)?, What::Read).await? {
            Outcome::Read(view) => Ok(view),
            Outcome::Edited(_) => Err(DriveError::Internal),
        }
    }

    /// Applies `edits` in order, all or none, on top of the newest version; durable when it resolves. One answer for
    /// each edit.
    ///
    /// # Errors
    /// [`DriveError`]; nothing was changed unless it is [`DriveError::Unknown`].
    pub async fn edit(&self, cap: &MutableCap, edits: Vec<Edit>) -> Result<Vec<Edited>, DriveError> {
        let keys = readable(cap)?;
        if !keys.writable() {
            return Err(DriveError::ReadOnly);
        }
        match self.ask(Asked::Edit, keys, What::Edit(edits)).await? {
            Outcome::Edited(edited) => Ok(edited),
            Outcome::Read(_) => Err(DriveError::Internal),
        }
    }

    /// Whether the mesh has a vdrive that can be asked now; else why not. A vdrive without a link that was not tried
    /// lately counts as one that can.
    ///
    /// # Errors
    /// [`DriveError::NoVdrive`] or [`DriveError::Unreachable`].
    pub fn reachable(&self) -> Result<(), DriveError> {
        let config = &self.0.config;
        let vdrives = config.vdrives();
        if vdrives.is_empty() {
            return Err(DriveError::NoVdrive);
        }
        let own = config.own.is_some();
        let peers = config.mesh.peers();
        let can = |peer: &crate::call::PeerView| {
            vdrives.contains(&peer.node_id) && !matches!(peer.state, LinkState::Backoff | LinkState::Draining)
        };
        if own || peers.iter().any(can) {
            return Ok(());
        }
        let known = vdrives.len();
        Err(DriveError::Unreachable { known })
    }

    /// Calls under way.
    #[must_use]
    pub fn active(&self) -> usize {
        *self.0.active.borrow()
    }

    /// Refuses new calls from now on and waits until those under way have ended, but no longer than `patience`; the
    /// others end when the actor is stopped. Gives how many that are.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.0.stopping.store(true, Ordering::Release);
        let mut active = self.0.active.subscribe();
        match tokio::time::timeout(patience, active.wait_for(|count| *count == 0)).await {
            Ok(_) => 0,
            Err(_) => self.active(),
        }
    }

    async fn ask(&self, asked: Asked, keys: DirectoryKeys, what: What) -> Result<Outcome, DriveError> {
        if self.0.stopping.load(Ordering::Acquire) {
            return Err(DriveError::Stopping);
        }
        let ticket = Ticket(self.0.next_ticket.fetch_add(1, Ordering::Relaxed));
        let mut counted = count::Counted::begin(asked, &self.0.active);
        let (answer, result) = oneshot::channel();
        let ask = Ask {
            ticket,
            keys,
            what,
            answer,
            trace: counted.trace.clone(),
        };
        let result = match self.0.slot.tell(ask) {
            // Between two lives of the actor.
            Err(_) => Err(DriveError::Internal),
            Ok(()) => {
                let waiting = Waiting {
                    slot: &self.0.slot,
                    ticket,
                };
                let result = result.await;
                drop(waiting);
                result.unwrap_or(Err(asked.lost()))
            }
        };
        counted.end(result.as_ref().err());
        result
    }
}

impl std::fmt::Debug for Drive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Drive({} active)", self.active())
    }
}

/// Takes a call back whose future is dropped. A call that has ended is not known any more by then.
struct Waiting<'a> {
    slot: &'a Slot<DriveActor>,
    ticket: Ticket,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.slot.tell(TakeBack(self.ticket)).is_err() {
            tracing::debug!("the drive ended before a call was taken back");
        }
    }
}

fn readable(cap: &MutableCap) -> Result<DirectoryKeys, DriveError> {
    DirectoryKeys::of(cap).ok_or(DriveError::VerifyOnly)
}
