//! Whom the operator of an introducer means, and the end of that node's membership.

use std::str::FromStr;

use truckee_actors::membership::{MembershipHandle, RevokeFailed};
use truckee_engine::membership::RosterView;
use truckee_grid::ids::NodeId;
use truckee_wire::message::Role as WireRole;

use super::Subject;
use crate::http::port::NodeView;
use crate::role::Role;
use crate::view::roles_of;

/// The member that is meant by an id or a nickname.
///
/// # Errors
/// The sentence for the operator: nobody, several, this node itself, or one that is revoked already.
pub(super) fn find(view: &RosterView, name: &str) -> Result<NodeId, String> {
    if !view.own_roles().contains(WireRole::Introducer) {
        return Err("this node is no introducer: give the directory of one with --dir".to_owned());
    }
    let node = match NodeId::from_str(name) {
        Ok(id) => id,
        Err(_) => called(view, name)?,
    };
    if view.is_revoked(node) {
        return Err(format!("{name} has been revoked already; nothing is to be done"));
    }
    if node == view.own() {
        return Err(
            "an introducer cannot revoke itself: stop it, and take its invite from the configurations of all nodes"
                .to_owned(),
        );
    }
    match view.member(node) {
        Some(_) => Ok(node),
        None => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> String {
    format!(
        "no node {name} is known to this introducer; `truckee status` lists the names of all, and their ids with --json"
    )
}

/// Nicknames are what nodes say of themselves, so that two may have the same.
fn called(view: &RosterView, name: &str) -> Result<NodeId, String> {
    let mut ids = view
        .members()
        .filter(|member| member.nickname() == name)
        .map(|member| member.node());
    match (ids.next(), ids.next()) {
        (None, _) => Err(unknown(name)),
        (Some(id), None) => Ok(id),
        (Some(one), Some(two)) => Err(format!(
            "several nodes call themselves {name}, such as {one} and {two}: give the id of the one that is meant"
        )),
    }
}

/// What the operator ought to know before it goes.
pub(super) fn describe(view: &RosterView, node: NodeId, seen: &dyn NodeView) -> Subject {
    let node_id = node.to_base32();
    let peers = seen.snapshot().peers;
    let linked = |id: &str| peers.iter().any(|peer| peer.node_id == id && peer.state.is_up());
    let others = peers
        .iter()
        .filter(|peer| peer.roles.contains(&Role::Storage) && peer.state.is_up() && peer.node_id != node_id);
    let said = seen.storage().get(&node_id).copied();
    let member = view.member(node);
    Subject {
        nickname: member
            .map(|member| member.nickname().to_owned())
            .unwrap_or_default(),
        roles: member.map(|member| roles_of(member.roles())).unwrap_or_default(),
        linked: linked(&node_id),
        shares: said.map(|status| status.shares),
        used_bytes: said.map(|status| status.used_bytes),
        other_storage: others.count(),
        node_id,
    }
}

/// Ends the membership of a node that is a member.
///
/// # Errors
/// The sentence for the operator.
pub(super) async fn revoke(membership: &MembershipHandle, node_id: &str) -> Result<(), String> {
    let node = find(&membership.view(), node_id)?;
    let revoked = membership.revoke(node).await;
    match &revoked {
        Ok(()) | Err(RevokeFailed::NotWritten) => {
            tracing::warn!(node = %node, "the operator has revoked a node");
        }
        Err(error) => tracing::warn!(node = %node, %error, "a node was to be revoked, and is not"),
    }
    revoked.map_err(|error| error.to_string())
}
