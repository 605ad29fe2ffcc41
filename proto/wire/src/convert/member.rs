//! Grants, announcements, tombstones, rosters, and the bodies that are signed.

use bytes::Bytes;
use prost::Message;
use truckee_grid::ids::NodeId;

use super::{ConvertError, array, at_most, check_text};
use crate::frame::HEAD_BYTES_MAX;
use crate::message::limits::{
    ADDRESS_BYTES_MAX, ADDRESSES_MAX, ANNOUNCEMENT_BODY_BYTES_MAX, NICKNAME_BYTES_MAX, ROLES_MAX,
    ROSTER_FILE_MEMBERS_MAX, ROSTER_ITEMS_MAX, ROSTER_NEWS_MAX, SIGNED_BODY_BYTES_MAX, SOFTWARE_BYTES_MAX,
    WANTED_MAX, ZONE_BYTES_MAX,
};
use crate::message::{
    Announcement, AnnouncementBody, Grant, GrantBody, PushRoster, Role, Roles, RosterFile, RosterItem,
    RosterSynced, SyncRoster, Tombstone, TombstoneBody,
};
use crate::schema;

/// What the announcements, tombstones and wanted ids of one message may take together, in bytes: the longest head less
/// 1 KiB for the envelope around them. [`Announcement::encoded_len`] and its like say what each takes.
pub const ROSTER_NEWS_BYTES: usize = HEAD_BYTES_MAX - 1024;

/// What one wanted id takes.
pub const WANTED_BYTES: usize = 2 + NodeId::BYTES;

/// Tag and length around an item of a list; no item is longer than 3 length bytes say.
const ITEM_PREFIX_BYTES: usize = 4;

/// The version of the roster file that this code writes and reads.
const ROSTER_FILE_VERSION: u32 = 1;

impl GrantBody {
    /// The bytes to sign.
    ///
    /// # Errors
    /// None today; the bound is checked for the day when the body grows.
    pub fn encode(&self) -> Result<Bytes, ConvertError> {
        let body = schema::GrantBody {
            node: Bytes::copy_from_slice(&self.node),
            roles: roles_to_wire(self.roles),
            issued_unix_s: self.issued_unix_s,
            expires_unix_s: self.expires_unix_s,
        };
        bounded("grant.body", body.encode_to_vec(), SIGNED_BODY_BYTES_MAX)
    }

    /// What signed bytes say.
    ///
    /// # Errors
    /// They are not a grant's body, or a field breaks its bound.
    pub fn decode(body: &[u8]) -> Result<GrantBody, ConvertError> {
        at_most("grant.body", body.len(), SIGNED_BODY_BYTES_MAX)?;
        let body: schema::GrantBody = parse("grant.body", body)?;
        Ok(GrantBody {
            node: array("grant.node", &body.node)?,
            roles: roles_from_wire(&body.roles)?,
            issued_unix_s: body.issued_unix_s,
            expires_unix_s: body.expires_unix_s,
        })
    }
}

impl AnnouncementBody {
    /// The bytes to sign.
    ///
    /// # Errors
    /// A text or the list of addresses breaks its bound.
    pub fn encode(&self) -> Result<Bytes, ConvertError> {
        self.check()?;
        let body = schema::AnnouncementBody {
            sequence: self.sequence,
            nickname: self.nickname.clone(),
            addresses: self.addresses.clone(),
            roles: roles_to_wire(self.roles),
            zone: self.zone.clone(),
            software: self.software.clone(),
        };
        bounded(
            "announcement.body",
            body.encode_to_vec(),
            ANNOUNCEMENT_BODY_BYTES_MAX,
        )
    }

    /// What signed bytes say.
    ///
    /// # Errors
    /// They are not an announcement's body, or a field breaks its bound.
    pub fn decode(body: &[u8]) -> Result<AnnouncementBody, ConvertError> {
        at_most("announcement.body", body.len(), ANNOUNCEMENT_BODY_BYTES_MAX)?;
        let body: schema::AnnouncementBody = parse("announcement.body", body)?;
        let body = AnnouncementBody {
            sequence: body.sequence,
            nickname: body.nickname,
            addresses: body.addresses,
            roles: roles_from_wire(&body.roles)?,
            zone: body.zone,
            software: body.software,
        };
        body.check()?;
        Ok(body)
    }

    fn check(&self) -> Result<(), ConvertError> {
        check_text("nickname", &self.nickname, NICKNAME_BYTES_MAX)?;
        check_text("zone", &self.zone, ZONE_BYTES_MAX)?;
        check_text("software", &self.software, SOFTWARE_BYTES_MAX)?;
        at_most("addresses", self.addresses.len(), ADDRESSES_MAX)?;
        for address in &self.addresses {
            check_text("address", address, ADDRESS_BYTES_MAX)?;
        }
        Ok(())
    }
}

impl TombstoneBody {
    /// The bytes to sign.
    ///
    /// # Errors
    /// None today; the bound is checked for the day when the body grows.
    pub fn encode(&self) -> Result<Bytes, ConvertError> {
        let node_id = Bytes::copy_from_slice(self.node_id.as_bytes());
        let body = schema::TombstoneBody {
            node_id,
            revoked_unix_s: self.revoked_unix_s,
        };
        bounded("tombstone.body", body.encode_to_vec(), SIGNED_BODY_BYTES_MAX)
    }

    /// What signed bytes say.
    ///
    /// # Errors
    /// They are not a tombstone's body.
    pub fn decode(body: &[u8]) -> Result<TombstoneBody, ConvertError> {
        at_most("tombstone.body", body.len(), SIGNED_BODY_BYTES_MAX)?;
        let body: schema::TombstoneBody = parse("tombstone.body", body)?;
        let node_id = NodeId(array("tombstone.node_id", &body.node_id)?);
        Ok(TombstoneBody {
            node_id,
            revoked_unix_s: body.revoked_unix_s,
        })
    }
}

impl Announcement {
    /// Most bytes that this takes in a message.
    pub fn encoded_len(&self) -> usize {
        let grant = self
            .grant
            .as_ref()
            .map_or(0, |grant| ITEM_PREFIX_BYTES + grant.encoded_len());
        ITEM_PREFIX_BYTES + signed_len(&self.body) + grant
    }
}

impl Grant {
    /// Most bytes that this takes in a message, less what stands around it.
    pub fn encoded_len(&self) -> usize {
        signed_len(&self.body)
    }
}

impl Tombstone {
    /// Most bytes that this takes in a message.
    pub fn encoded_len(&self) -> usize {
        ITEM_PREFIX_BYTES + signed_len(&self.body)
    }
}

impl RosterFile {
    /// The file's bytes.
    ///
    /// # Errors
    /// There are too many members or tombstones, or one of them breaks a bound.
    pub fn encode(&self) -> Result<Bytes, ConvertError> {
        at_most(
            "roster.announcements",
            self.announcements.len(),
            ROSTER_FILE_MEMBERS_MAX,
        )?;
        at_most(
            "roster.tombstones",
            self.tombstones.len(),
            ROSTER_FILE_MEMBERS_MAX,
        )?;
        let file = schema::RosterFile {
            version: ROSTER_FILE_VERSION,
            announcements: each(&self.announcements, announcement_to_wire)?,
            tombstones: each(&self.tombstones, tombstone_to_wire)?,
            own_grant: self.own_grant.as_ref().map(grant_to_wire).transpose()?,
            own_sequence: self.own_sequence,
        };
        Ok(file.encode_to_vec().into())
    }

    /// What a file says.
    ///
    /// # Errors
    /// It is not a roster file of this version, or breaks a bound.
    pub fn decode(bytes: &[u8]) -> Result<RosterFile, ConvertError> {
        let file: schema::RosterFile = parse("the roster file", bytes)?;
        let version = u64::from(ROSTER_FILE_VERSION);
        super::within("roster.version", file.version.into(), version, version)?;
        at_most(
            "roster.announcements",
            file.announcements.len(),
            ROSTER_FILE_MEMBERS_MAX,
        )?;
        at_most(
            "roster.tombstones",
            file.tombstones.len(),
            ROSTER_FILE_MEMBERS_MAX,
        )?;
        Ok(RosterFile {
            announcements: each(file.announcements, announcement_from_wire)?,
            tombstones: each(file.tombstones, tombstone_from_wire)?,
            own_grant: file.own_grant.map(grant_from_wire).transpose()?,
            own_sequence: file.own_sequence,
        })
    }
}

pub(super) fn grant_to_wire(grant: &Grant) -> Result<schema::Grant, ConvertError> {
    at_most("grant.body", grant.body.len(), SIGNED_BODY_BYTES_MAX)?;
    Ok(schema::Grant {
        body: grant.body.clone(),
        introducer: Bytes::copy_from_slice(&grant.introducer),
        signature: Bytes::copy_from_slice(&grant.signature),
    })
}

pub(super) fn grant_from_wire(grant: schema::Grant) -> Result<Grant, ConvertError> {
    at_most("grant.body", grant.body.len(), SIGNED_BODY_BYTES_MAX)?;
    Ok(Grant {
        introducer: array("grant.introducer", &grant.introducer)?,
        signature: array("grant.signature", &grant.signature)?,
        body: grant.body,
    })
}

pub(super) fn announcement_to_wire(
    announcement: &Announcement,
) -> Result<schema::Announcement, ConvertError> {
    at_most(
        "announcement.body",
        announcement.body.len(),
        ANNOUNCEMENT_BODY_BYTES_MAX,
    )?;
    Ok(schema::Announcement {
        body: announcement.body.clone(),
        node: Bytes::copy_from_slice(&announcement.node),
        signature: Bytes::copy_from_slice(&announcement.signature),
        grant: announcement.grant.as_ref().map(grant_to_wire).transpose()?,
    })
}

pub(super) fn announcement_from_wire(
    announcement: schema::Announcement,
) -> Result<Announcement, ConvertError> {
    at_most(
        "announcement.body",
        announcement.body.len(),
        ANNOUNCEMENT_BODY_BYTES_MAX,
    )?;
    Ok(Announcement {
        node: array("announcement.node", &announcement.node)?,
        signature: array("announcement.signature", &announcement.signature)?,
        grant: announcement.grant.map(grant_from_wire).transpose()?,
        body: announcement.body,
    })
}

fn tombstone_to_wire(tombstone: &Tombstone) -> Result<schema::Tombstone, ConvertError> {
    at_most("tombstone.body", tombstone.body.len(), SIGNED_BODY_BYTES_MAX)?;
    Ok(schema::Tombstone {
        body: tombstone.body.clone(),
        introducer: Bytes::copy_from_slice(&tombstone.introducer),
        signature: Bytes::copy_from_slice(&tombstone.signature),
    })
}

fn tombstone_from_wire(tombstone: schema::Tombstone) -> Result<Tombstone, ConvertError> {
    at_most("tombstone.body", tombstone.body.len(), SIGNED_BODY_BYTES_MAX)?;
    Ok(Tombstone {
        introducer: array("tombstone.introducer", &tombstone.introducer)?,
        signature: array("tombstone.signature", &tombstone.signature)?,
        body: tombstone.body,
    })
}

pub(super) fn sync_to_wire(sync: &SyncRoster) -> Result<schema::SyncRoster, ConvertError> {
    check_items(&sync.items)?;
    let items = sync.items.iter().map(|item| schema::RosterItem {
        node_id: Bytes::copy_from_slice(item.node_id.as_bytes()),
        sequence: item.sequence,
        revoked: item.revoked,
        grant_expires_unix_s: item.grant_expires_unix_s,
    });
    Ok(schema::SyncRoster {
        items: items.collect(),
        after: bound_to_wire(sync.after),
        upto: bound_to_wire(sync.upto),
    })
}

pub(super) fn sync_from_wire(sync: &schema::SyncRoster) -> Result<SyncRoster, ConvertError> {
    at_most("items", sync.items.len(), ROSTER_ITEMS_MAX)?;
    let items = each(&sync.items, |item| {
        Ok(RosterItem {
            node_id: NodeId(array("item.node_id", &item.node_id)?),
            sequence: item.sequence,
            revoked: item.revoked,
            grant_expires_unix_s: item.grant_expires_unix_s,
        })
    })?;
    check_items(&items)?;
    Ok(SyncRoster {
        items,
        after: bound_from_wire("after", &sync.after)?,
        upto: bound_from_wire("upto", &sync.upto)?,
    })
}

fn check_items(items: &[RosterItem]) -> Result<(), ConvertError> {
    at_most("items", items.len(), ROSTER_ITEMS_MAX)?;
    let ascending = items.is_sorted_by(|a, b| a.node_id < b.node_id);
    if ascending {
        Ok(())
    } else {
        Err(ConvertError::Order { field: "items" })
    }
}

fn bound_to_wire(bound: Option<NodeId>) -> Bytes {
    bound.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes()))
}

fn bound_from_wire(field: &'static str, bound: &[u8]) -> Result<Option<NodeId>, ConvertError> {
    if bound.is_empty() {
        Ok(None)
    } else {
        Ok(Some(NodeId(array(field, bound)?)))
    }
}

pub(super) fn synced_to_wire(synced: &RosterSynced) -> Result<schema::RosterSynced, ConvertError> {
    at_most("wanted", synced.wanted.len(), WANTED_MAX)?;
    Ok(schema::RosterSynced {
        announcements: each_news("announcements", &synced.announcements, announcement_to_wire)?,
        tombstones: each_news("tombstones", &synced.tombstones, tombstone_to_wire)?,
        wanted: synced
            .wanted
            .iter()
            .map(|id| Bytes::copy_from_slice(id.as_bytes()))
            .collect(),
        truncated: synced.truncated,
    })
}

pub(super) fn synced_from_wire(synced: schema::RosterSynced) -> Result<RosterSynced, ConvertError> {
    at_most("wanted", synced.wanted.len(), WANTED_MAX)?;
    Ok(RosterSynced {
        announcements: each_news("announcements", synced.announcements, announcement_from_wire)?,
        tombstones: each_news("tombstones", synced.tombstones, tombstone_from_wire)?,
        wanted: each(&synced.wanted, |id| Ok(NodeId(array("wanted", id)?)))?,
        truncated: synced.truncated,
    })
}

pub(super) fn push_to_wire(push: &PushRoster) -> Result<schema::PushRoster, ConvertError> {
    Ok(schema::PushRoster {
        announcements: each_news("announcements", &push.announcements, announcement_to_wire)?,
        tombstones: each_news("tombstones", &push.tombstones, tombstone_to_wire)?,
    })
}

pub(super) fn push_from_wire(push: schema::PushRoster) -> Result<PushRoster, ConvertError> {
    Ok(PushRoster {
        announcements: each_news("announcements", push.announcements, announcement_from_wire)?,
        tombstones: each_news("tombstones", push.tombstones, tombstone_from_wire)?,
    })
}

fn roles_to_wire(roles: Roles) -> Vec<i32> {
    let role = |role| match role {
        Role::Introducer => schema::Role::Introducer,
        Role::Storage => schema::Role::Storage,
        Role::Vdrive => schema::Role::Vdrive,
        Role::Gateway => schema::Role::Gateway,
    };
    roles.iter().map(|r| role(r).into()).collect()
}

/// Roles of later versions are skipped: they give nothing that this version could allow.
fn roles_from_wire(roles: &[i32]) -> Result<Roles, ConvertError> {
    at_most("roles", roles.len(), ROLES_MAX)?;
    let known = roles
        .iter()
        .filter_map(|role| match schema::Role::try_from(*role) {
            Ok(schema::Role::Introducer) => Some(Role::Introducer),
            Ok(schema::Role::Storage) => Some(Role::Storage),
            Ok(schema::Role::Vdrive) => Some(Role::Vdrive),
            Ok(schema::Role::Gateway) => Some(Role::Gateway),
            Ok(schema::Role::Unspecified) | Err(_) => None,
        });
    Ok(known.collect())
}

fn each<T, U>(
    items: impl IntoIterator<Item = T>,
    convert: impl Fn(T) -> Result<U, ConvertError>,
) -> Result<Vec<U>, ConvertError> {
    items.into_iter().map(convert).collect()
}

/// As [`each`], for a list of news in a message.
fn each_news<T, U, I>(
    field: &'static str,
    items: I,
    convert: impl Fn(T) -> Result<U, ConvertError>,
) -> Result<Vec<U>, ConvertError>
where
    I: IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
{
    let items = items.into_iter();
    at_most(field, items.len(), ROSTER_NEWS_MAX)?;
    each(items, convert)
}

/// Body, key and signature, each with its tag and length.
fn signed_len(body: &Bytes) -> usize {
    (ITEM_PREFIX_BYTES + body.len()) + (2 + 32) + (2 + 64)
}

fn bounded(field: &'static str, bytes: Vec<u8>, max: usize) -> Result<Bytes, ConvertError> {
    at_most(field, bytes.len(), max)?;
    Ok(bytes.into())
}

fn parse<M: Message + Default>(what: &'static str, bytes: &[u8]) -> Result<M, ConvertError> {
    M::decode(bytes).map_err(|_| ConvertError::Malformed { what })
}
