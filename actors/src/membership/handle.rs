//! What the rest of the node sees of its membership: who may link and ask, who there is and where, how joining stands.
//! Everything here answers from the newest snapshot, on any thread, without waiting for the actor.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};
use truckee_engine::invite::Address;
use truckee_engine::membership::announcement::Member as Known;
use truckee_engine::membership::{
    self as machine, Admission as Judge, Refusal as Judgement, RevokeError, RosterView, Standing,
};
use truckee_engine::time::UnixSeconds;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Grant, RequestKind, Role, Roles, RosterFile};

use super::{Membership, Revoke};
use crate::clock::ClockHandle;
use crate::directory::{Directory, DirectoryWatch, Member};
use crate::inbound::{Admission, Admitted, Refusal};
use crate::supervise::Slot;

/// How a node stands with its mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinStatus {
    /// It has a grant.
    Member {
        /// When that ends.
        expires: UnixSeconds,
    },
    /// It asks its introducers.
    Asking {
        /// What the last attempt at each came to, where it failed.
        errors: Vec<(NodeId, String)>,
    },
    /// An introducer has revoked it.
    Revoked,
}

/// Why nobody was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevokeFailed {
    /// The node may not, or there is no room.
    #[error(transparent)]
    Refused(#[from] RevokeError),
    /// The actor is being started again or has ended.
    #[error("the node's membership does not run now; try again")]
    NotRunning,
    /// Everybody hears of it, but this node does not remember it.
    #[error(
        "the node is revoked and the others are told, but the introducer could not write that to its disk and may \
         forget it at a restart; look into its log, make room on its disk, and revoke again"
    )]
    NotWritten,
}

struct Shared {
    clock: ClockHandle,
    slot: Slot<Membership>,
    state: Mutex<State>,
    directory: watch::Sender<Arc<Directory>>,
}

struct State {
    judge: Judge,
    status: JoinStatus,
    /// What was last meant for the disk: a new life of the actor begins with it.
    roster: RosterFile,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct MembershipHandle(Arc<Shared>);

impl std::fmt::Debug for MembershipHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MembershipHandle({:?})", self.status())
    }
}

impl MembershipHandle {
    pub(super) fn new(clock: ClockHandle, slot: Slot<Membership>, machine: &machine::Membership) -> Self {
        let view = Arc::new(machine.view());
        let unix = clock.unix();
        let state = State {
            status: status(&view, machine, unix),
            judge: Judge::new(Arc::clone(&view)),
            roster: machine.file(),
        };
        let (directory, _) = watch::channel(Arc::new(directory(&view, unix)));
        MembershipHandle(Arc::new(Shared {
            clock,
            slot,
            state: Mutex::new(state),
            directory,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked in here left maps whole: nothing is changed in two steps.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a new snapshot in place.
    pub(super) fn publish(&self, machine: &machine::Membership) {
        let view = Arc::new(machine.view());
        let unix = self.0.clock.unix();
        let now = status(&view, machine, unix);
        let before = {
            let mut state = self.state();
            state.judge.set_view(Arc::clone(&view));
            std::mem::replace(&mut state.status, now.clone())
        };
        if before != now {
            log(&now);
        }
        let directory = Arc::new(directory(&view, unix));
        self.0.directory.send_if_modified(|there| {
            let differs = *there != directory;
            *there = directory;
            differs
        });
    }

    pub(super) fn remember(&self, roster: RosterFile) {
        self.state().roster = roster;
    }

    pub(super) fn last_roster(&self) -> Option<RosterFile> {
        Some(self.state().roster.clone())
    }

    pub(super) fn forget(&self, peer: NodeId) {
        self.state().judge.forget(peer);
    }

    /// The members and where they are, whenever that changes.
    pub fn directory(&self) -> DirectoryWatch {
        self.0.directory.subscribe()
    }

    /// The newest snapshot.
    pub fn view(&self) -> Arc<RosterView> {
        Arc::clone(self.state().judge.view())
    }

    /// How the node stands with its mesh.
    pub fn status(&self) -> JoinStatus {
        let (view, status) = {
            let state = self.state();
            (Arc::clone(state.judge.view()), state.status.clone())
        };
        match status {
            JoinStatus::Member { expires } if expires <= self.0.clock.unix() => {
                JoinStatus::Asking { errors: Vec::new() }
            }
            _ if view.own_revoked() => JoinStatus::Revoked,
            other => other,
        }
    }

    /// Whether the node has a grant that runs, and is not revoked.
    pub fn has_grant(&self) -> bool {
        matches!(self.status(), JoinStatus::Member { .. })
    }

    /// Ends the membership of a node; everybody will hear of it. Resolves when this node has it on its disk.
    ///
    /// # Errors
    /// [`RevokeFailed`].
    pub async fn revoke(&self, node: NodeId) -> Result<(), RevokeFailed> {
        let (asker, answer) = oneshot::channel();
        self.0
            .slot
            .tell(Revoke(node, asker))
            .map_err(|_| RevokeFailed::NotRunning)?;
        answer.await.map_err(|_| RevokeFailed::NotRunning)?
    }
}

impl Admission for MembershipHandle {
    fn admit(&self, peer: NodeId, grant: Option<&Grant>) -> Result<Admitted, Refusal> {
        let unix = self.0.clock.unix();
        match self.state().judge.admit(peer, grant, unix) {
            Ok(Standing::Member(roles)) => Ok(Admitted::Member(roles)),
            Ok(Standing::Joining) => Ok(Admitted::Joining),
            Err(judgement) => Err(refusal(judgement)),
        }
    }

    fn authorise(&self, peer: NodeId, kind: RequestKind) -> Result<Roles, Refusal> {
        let unix = self.0.clock.unix();
        self.state().judge.authorise(peer, kind, unix).map_err(refusal)
    }

    fn own_hello(&self) -> (Option<Grant>, u64) {
        let state = self.state();
        let view = state.judge.view();
        (view.own_grant().cloned(), view.own_sequence())
    }
}

const fn refusal(judgement: Judgement) -> Refusal {
    match judgement {
        Judgement::Stranger => Refusal::Stranger,
        Judgement::BadGrant => Refusal::BadGrant,
        Judgement::Expired => Refusal::Expired,
        Judgement::Revoked => Refusal::Revoked,
        Judgement::WrongRole => Refusal::WrongRole,
    }
}

fn status(view: &RosterView, machine: &machine::Membership, now: UnixSeconds) -> JoinStatus {
    if view.own_revoked() {
        return JoinStatus::Revoked;
    }
    match view.own_grant_expires() {
        Some(expires) if expires > now => JoinStatus::Member { expires },
        _ => JoinStatus::Asking {
            errors: machine
                .join_errors()
                .map(|(node, error)| (node, error.to_string()))
                .collect(),
        },
    }
}

fn log(status: &JoinStatus) {
    match status {
        JoinStatus::Member { expires } => {
            tracing::info!(
                expires_unix_s = expires.as_secs(),
                "the node is a member of its mesh"
            );
        }
        JoinStatus::Asking { errors } => {
            for (introducer, error) in errors {
                tracing::warn!(%introducer, %error, "the node could not join its mesh; it asks again");
            }
        }
        JoinStatus::Revoked => {
            tracing::error!("an introducer has revoked this node; it talks to nobody any more");
        }
    }
}

/// Members whose grants run, and the introducers of the invites whether or not they are known.
fn directory(view: &RosterView, now: UnixSeconds) -> Directory {
    if view.own_revoked() {
        return Directory::new();
    }
    let wanted = view.links_wanted(now);
    let others = view.members_at(now).filter(|member| member.node() != view.own());
    let mut directory: Directory = others
        .map(|member| (member.node(), entry(member, &wanted)))
        .collect();
    for contact in view.contacts() {
        if view.is_revoked(contact.node) {
            continue;
        }
        let member = directory.entry(contact.node).or_insert_with(|| Member {
            node_id: contact.node,
            nickname: String::new(),
            zone: String::new(),
            roles: Roles::NONE.with(Role::Introducer),
            addresses: Vec::new(),
            software: String::new(),
            keep_linked: true,
        });
        for address in &contact.addresses {
            if !member.addresses.iter().any(|known| known == address.as_str()) {
                member.addresses.push(address.to_string());
            }
        }
    }
    directory
}

fn entry(member: &Known, wanted: &BTreeSet<NodeId>) -> Member {
    Member {
        node_id: member.node(),
        nickname: member.nickname().to_owned(),
        zone: member.zone().to_owned(),
        roles: member.roles(),
        addresses: member
            .addresses()
            .map(|address: Address| address.to_string())
            .collect(),
        software: member.software().to_owned(),
        keep_linked: wanted.contains(&member.node()),
    }
}
