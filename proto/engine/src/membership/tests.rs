use std::collections::BTreeSet;
use std::sync::LazyLock;

use truckee_grid::ids::StorageIndex;
use truckee_wire::message::{
    AnnouncementBody, FailureCode, Grant, Join, JoinSecret, PushRoster, RequestKind, Role, SyncRoster,
};

use super::announcement::{check_signed, sign_announcement};
use super::grant::{GRANT_TERM_MAX, GrantError};
use super::roster::{EXPIRED_KEPT, MEMBERS_MAX, SYNC_ITEMS_MAX};
use super::*;

mod mesh;
mod rules;
mod views;

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(super) const TERM: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn key(number: u16) -> SigningKey {
    let mut seed = [0x11; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

/// Public keys, made once: each costs as much as a signature.
static PUBLIC: LazyLock<Vec<[u8; 32]>> = LazyLock::new(|| {
    (0..=5000)
        .map(|number| key(number).verifying_key().to_bytes())
        .collect()
});

pub(super) fn public(number: u16) -> [u8; 32] {
    PUBLIC[usize::from(number)]
}

pub(super) fn id(number: u16) -> NodeId {
    NodeId::of_public_key(&public(number))
}

/// Node 0 is the introducer of all tests.
pub(super) fn trust() -> Trust {
    Trust::from([id(0)])
}

pub(super) fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::from_secs(1_800_000_000 + seconds)
}

pub(super) fn roles(roles: &[Role]) -> Roles {
    roles.iter().copied().collect()
}

pub(super) fn storage() -> Roles {
    roles(&[Role::Storage])
}

pub(super) fn secret() -> InviteSecret {
    InviteSecret::from_bytes([7; 20])
}

pub(super) fn facts(number: u16, roles: Roles) -> OwnFacts {
    OwnFacts {
        nickname: format!("node {number}"),
        addresses: vec![Address::parse(&format!("10.0.0.1:{}", 4000 + number)).unwrap()],
        roles,
        zone: String::new(),
        software: "test 1".to_owned(),
    }
}

pub(super) fn invite() -> Invite {
    Invite::new(id(0), vec![Address::parse("10.0.0.1:4000").unwrap()], secret()).unwrap()
}

pub(super) fn grant_of(number: u16, roles: Roles, now: UnixSeconds) -> ValidGrant {
    ValidGrant::issue(&key(0), public(number), roles, now, TERM).unwrap()
}

pub(super) fn body(number: u16, sequence: u64, roles: Roles) -> AnnouncementBody {
    let facts = facts(number, roles);
    AnnouncementBody {
        sequence,
        nickname: facts.nickname,
        addresses: facts.addresses.iter().map(ToString::to_string).collect(),
        roles,
        zone: facts.zone,
        software: facts.software,
    }
}

pub(super) fn member(number: u16, sequence: u64, now: UnixSeconds) -> Member {
    let grant = grant_of(number, storage(), now);
    Member::announce(&key(number), &body(number, sequence, storage()), &grant).unwrap()
}

pub(super) fn introducer(now: Mono, unix: UnixSeconds) -> Membership {
    let config = MembershipConfig {
        key: key(0),
        facts: facts(0, roles(&[Role::Introducer])),
        invites: Vec::new(),
        introducer: Some(IntroducerConfig {
            secret: secret(),
            grant_term: TERM,
        }),
    };
    Membership::new(config, None, now, unix, [1; 32]).unwrap()
}

pub(super) fn node(number: u16, roles: Roles, cached: Option<RosterFile>, unix: UnixSeconds) -> Membership {
    let config = MembershipConfig {
        key: key(number),
        facts: facts(number, roles),
        invites: vec![invite()],
        introducer: None,
    };
    let mut seed = [number as u8; 32];
    seed[1] = (number >> 8) as u8;
    Membership::new(config, cached, Mono::ZERO, unix, seed).unwrap()
}

pub(super) fn effects(machine: &mut Membership) -> Vec<Effect> {
    std::iter::from_fn(|| machine.poll_effect()).collect()
}

pub(super) fn calls(machine: &mut Membership) -> Vec<(CallToken, NodeId, Request)> {
    let calls = effects(machine).into_iter().filter_map(|effect| match effect {
        Effect::Call {
            token, peer, request, ..
        } => Some((token, peer, request)),
        Effect::Save(_) | Effect::Changed => None,
    });
    calls.collect()
}

pub(super) fn join_of(number: u16, secret: &[u8], roles: Roles) -> Request {
    let announcement = sign_announcement(&key(number), &body(number, 1, roles)).unwrap();
    Request::Join(Box::new(Join {
        secret: JoinSecret::new(secret),
        announcement,
    }))
}

/// Runs the machine until it has nothing to do at `now`.
pub(super) fn settle(machine: &mut Membership, now: Mono, unix: UnixSeconds) {
    for _ in 0..1000 {
        if machine.next_deadline(now) > now {
            return;
        }
        machine.handle_timeout(now, unix);
    }
    panic!("the machine never comes to rest");
}
