//! Who may link and who may ask what, answered at once from a snapshot. The machine makes a new [`RosterView`] whenever
//! something changes; an [`Admission`] adds the grants that linked peers have shown and whose announcements have not
//! spread to here yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use truckee_grid::ids::NodeId;
use truckee_wire::message::{Grant, RequestKind, Role, Roles};

use super::announcement::Member;
use super::grant::{GrantError, Trust, ValidGrant};
use super::roster::MEMBERS_MAX;
use crate::invite::Address;
use crate::time::UnixSeconds;

/// Links to all members, up to so many. A heartbeat each twenty seconds and a TLS session per pair are nothing at this
/// number, and every request then finds its link open.
pub const FULL_MESH_MAX: usize = 50;

/// Why a peer, or one of its requests, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// It shows no grant, the roster does not know it, and this node admits nobody.
    #[error("it is not a member of this mesh and shows no grant")]
    Stranger,
    /// Its grant is by nobody whose word counts here, is for another node, or is no grant.
    #[error("its grant is not one of this mesh's introducers for this node")]
    BadGrant,
    /// Its grant is over.
    #[error("its grant has expired")]
    Expired,
    /// An introducer has revoked it.
    #[error("an introducer has revoked it")]
    Revoked,
    /// Its roles, or this node's, do not allow what it asks.
    #[error("its roles do not allow this request")]
    WrongRole,
}

/// What a greeted peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A member, with the roles of its grant.
    Member(Roles),
    /// Not a member: it may only ask to join.
    Joining,
}

/// Where an introducer of an invite is, whether or not it has announced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub node: NodeId,
    /// Where the invite says it is.
    pub addresses: Vec<Address>,
}

/// A snapshot of all that others ask the membership for.
#[derive(Clone, Debug)]
pub struct RosterView {
    pub(super) own: NodeId,
    pub(super) own_roles: Roles,
    pub(super) own_grant: Option<Grant>,
    pub(super) own_grant_expires: Option<UnixSeconds>,
    pub(super) own_sequence: u64,
    pub(super) own_revoked: bool,
    pub(super) trust: Arc<Trust>,
    pub(super) contacts: Arc<Vec<Contact>>,
    pub(super) members: BTreeMap<NodeId, Arc<Member>>,
    pub(super) revoked: BTreeSet<NodeId>,
}

impl RosterView {
    /// This node.
    pub const fn own(&self) -> NodeId {
        self.own
    }

    /// What this node does.
    pub const fn own_roles(&self) -> Roles {
        self.own_roles
    }

    /// The grant that this node shows, if it has one.
    pub const fn own_grant(&self) -> Option<&Grant> {
        self.own_grant.as_ref()
    }

    /// When it ends.
    pub const fn own_grant_expires(&self) -> Option<UnixSeconds> {
        self.own_grant_expires
    }

    /// Sequence of this node's newest announcement.
    pub const fn own_sequence(&self) -> u64 {
        self.own_sequence
    }

    /// Whether an introducer has revoked this very node.
    pub const fn own_revoked(&self) -> bool {
        self.own_revoked
    }

    /// The introducers of this node's invites.
    pub fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    /// Members whose grants run, this node among them if it is one.
    pub fn members_at(&self, now: UnixSeconds) -> impl Iterator<Item = &Arc<Member>> {
        self.members
            .values()
            .filter(move |member| member.grant().runs_at(now))
    }

    /// All members, whether or not their grants run, by id.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.values()
    }

    /// One member, whether or not its grant runs.
    pub fn member(&self, node: NodeId) -> Option<&Arc<Member>> {
        self.members.get(&node)
    }

    /// Whether an introducer has revoked the node.
    pub fn is_revoked(&self, node: NodeId) -> bool {
        self.revoked.contains(&node)
    }

    /// How many are revoked.
    pub fn revoked_count(&self) -> usize {
        self.revoked.len()
    }

    /// Whom to keep a link to. In a small mesh everybody; in a large one the members whose places on the ring of ids are
    /// 1, 2, 4, … after this node's, so that news crosses it in logarithmically many steps, and the one before it.
    /// Links to others are made when there is something to ask. Introducers of the invites always belong to it.
    pub fn links_wanted(&self, now: UnixSeconds) -> BTreeSet<NodeId> {
        let others: Vec<NodeId> = {
            let ids = self
                .members_at(now)
                .map(|member| member.node())
                .filter(|node| *node != self.own);
            let (before, after): (Vec<NodeId>, Vec<NodeId>) = ids.partition(|node| *node < self.own);
            after.into_iter().chain(before).collect()
        };
        let mut wanted: BTreeSet<NodeId> = self
            .contacts
            .iter()
            .map(|contact| contact.node)
            .filter(|node| *node != self.own)
            .collect();
        if others.len() < FULL_MESH_MAX {
            wanted.extend(others);
            return wanted;
        }
        let steps = std::iter::successors(Some(1_usize), |step| step.checked_mul(2));
        wanted.extend(steps.map_while(|step| others.get(step - 1)));
        wanted.extend(others.last());
        wanted
    }

    fn is_introducer(&self) -> bool {
        self.own_roles.contains(Role::Introducer)
    }

    /// Judges a peer by its id, proven by TLS, and the grant in its hello.
    fn judge(&self, peer: NodeId, grant: Option<&Grant>, now: UnixSeconds) -> Result<Judged, Refusal> {
        if self.is_revoked(peer) {
            return Err(Refusal::Revoked);
        }
        let shown =
            grant.map(|grant| ValidGrant::check(grant, &self.trust).and_then(|grant| grant.for_node(peer)));
        let refusal = match shown {
            Some(Ok(shown)) if shown.runs_at(now) => return Ok(Judged::Shown(Box::new(shown))),
            Some(Ok(_)) => Refusal::Expired,
            // A grant of another mesh is no offence at a node's first knock at an introducer.
            Some(Err(GrantError::Untrusted { .. })) if self.is_introducer() => Refusal::Stranger,
            Some(Err(_)) => return Err(Refusal::BadGrant),
            None => Refusal::Stranger,
        };
        match self.members.get(&peer) {
            Some(member) if member.grant().runs_at(now) => Ok(Judged::Known(member.grant().roles())),
            _ if self.is_introducer() => Ok(Judged::Joining),
            Some(_) => Err(Refusal::Expired),
            None => Err(refusal),
        }
    }
}

enum Judged {
    Shown(Box<ValidGrant>),
    Known(Roles),
    Joining,
}

/// A view, and what linked peers have shown.
#[derive(Clone, Debug)]
pub struct Admission {
    view: Arc<RosterView>,
    /// Of peers whose announcements are not in the view with a grant that runs as long.
    shown: BTreeMap<NodeId, ValidGrant>,
}

impl Admission {
    /// Judges by `view` from the start.
    pub fn new(view: Arc<RosterView>) -> Admission {
        Admission {
            view,
            shown: BTreeMap::new(),
        }
    }

    /// The newest view.
    pub const fn view(&self) -> &Arc<RosterView> {
        &self.view
    }

    /// Something changed.
    pub fn set_view(&mut self, view: Arc<RosterView>) {
        self.shown.retain(|node, grant| {
            let known = view
                .members
                .get(node)
                .is_some_and(|member| member.grant().expires() >= grant.expires());
            !known && !view.is_revoked(*node)
        });
        self.view = view;
    }

    /// Judges a peer by its id, proven by TLS, and the grant in its hello; remembers the grant.
    ///
    /// # Errors
    /// [`Refusal`], never [`Refusal::WrongRole`].
    pub fn admit(
        &mut self,
        peer: NodeId,
        grant: Option<&Grant>,
        now: UnixSeconds,
    ) -> Result<Standing, Refusal> {
        match self.view.judge(peer, grant, now)? {
            Judged::Joining => Ok(Standing::Joining),
            Judged::Known(roles) => Ok(Standing::Member(roles)),
            Judged::Shown(shown) => {
                let roles = shown.roles();
                let known = self.view.members.get(&peer);
                if known.is_none_or(|member| member.grant().expires() < shown.expires()) {
                    self.remember(peer, *shown, now);
                }
                Ok(Standing::Member(roles))
            }
        }
    }

    /// Bounded as the roster is: the grants are by trusted introducers, so there are no more than members, but for ones
    /// that have ended.
    fn remember(&mut self, peer: NodeId, shown: ValidGrant, now: UnixSeconds) {
        if self.shown.len() >= MEMBERS_MAX {
            self.shown.retain(|_, grant| grant.runs_at(now));
        }
        if self.shown.len() < MEMBERS_MAX {
            self.shown.insert(peer, shown);
        }
    }

    /// Forgets what a peer has shown: its last link is gone.
    pub fn forget(&mut self, peer: NodeId) {
        self.shown.remove(&peer);
    }

    /// Judges one request of an admitted peer by what is known now. Gives the roles of the peer's grant: none for one
    /// that is not a member and wants to be.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn authorise(&self, peer: NodeId, kind: RequestKind, now: UnixSeconds) -> Result<Roles, Refusal> {
        if peer == self.view.own {
            return Ok(self.view.own_roles);
        }
        if self.view.is_revoked(peer) {
            return Err(Refusal::Revoked);
        }
        let known = self.view.members.get(&peer).map(|member| member.grant());
        let grants = || known.into_iter().chain(self.shown.get(&peer));
        let running = grants()
            .filter(|grant| grant.runs_at(now))
            .max_by_key(|grant| grant.expires());
        let roles = running.map(ValidGrant::roles);
        if kind == RequestKind::Join {
            let open = self.view.is_introducer();
            return if open {
                Ok(roles.unwrap_or_default())
            } else {
                Err(Refusal::WrongRole)
            };
        }
        let had_one = grants().next().is_some();
        let roles = roles.ok_or(if had_one {
            Refusal::Expired
        } else {
            Refusal::Stranger
        })?;
        if may(roles, kind) {
            Ok(roles)
        } else {
            Err(Refusal::WrongRole)
        }
    }
}

/// Whether a member with these roles may ask for that.
fn may(roles: Roles, kind: RequestKind) -> bool {
    match kind {
        // Gateways and vdrives store and fetch for people; storage nodes repair.
        RequestKind::FindShares
        | RequestKind::OpenShare
        | RequestKind::WriteBlock
        | RequestKind::CloseShare
        | RequestKind::AbortShare
        | RequestKind::PutShare
        | RequestKind::ReadBlock => [Role::Gateway, Role::Vdrive, Role::Storage]
            .iter()
            .any(|role| roles.contains(*role)),
        // What a node holds as a whole is for those who keep it whole.
        RequestKind::GetInventory
        | RequestKind::ListShares
        | RequestKind::ListAdded
        | RequestKind::KeepShare => roles.contains(Role::Storage),
        // Directories are for people, who come by a gateway.
        RequestKind::GetRows | RequestKind::CommitChange => roles.contains(Role::Gateway),
        // Who keeps files for people knows which are still wanted.
        RequestKind::RenewLeases => roles.contains(Role::Gateway),
        RequestKind::GetStatus | RequestKind::Join | RequestKind::SyncRoster | RequestKind::PushRoster => {
            true
        }
    }
}
