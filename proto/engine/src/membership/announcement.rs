//! Announcements and tombstones: a node's signed word about itself, and an introducer's that a node is out.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use truckee_grid::ids::NodeId;
use truckee_wire::convert::ConvertError;
use truckee_wire::message::{Announcement, AnnouncementBody, Grant, Roles, Tombstone, TombstoneBody};

use super::grant::{GrantError, Trust, ValidGrant};
use super::signed::{ANNOUNCEMENT_TAG, TOMBSTONE_TAG, is_by, sign};
use crate::invite::Address;
use crate::time::UnixSeconds;

/// Why news of a member is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewsError {
    /// Not signed by the key that it names.
    #[error("the signature of the announcement is wrong")]
    Signature,
    /// Signed, and yet not an announcement.
    #[error("the announcement is not well formed")]
    Malformed,
    /// It comes without a proof of membership.
    #[error("the announcement has no grant")]
    NoGrant,
    /// The proof of membership is worth nothing.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The proof of membership is over.
    #[error("the grant of the announcement has expired")]
    Expired,
    /// The node says that it is more than it may be, or nothing at all.
    #[error("the announcement names roles that its grant does not allow, or none")]
    Roles,
    /// An introducer has revoked the node.
    #[error("the node has been revoked")]
    Revoked,
    /// A tombstone by somebody whose word does not count, or not signed by whom it names, or not well formed.
    #[error("the tombstone is not by an introducer of this node's invites, or is not well formed")]
    Tombstone,
    /// No room in the roster.
    #[error("the roster is full")]
    RosterFull,
}

impl NewsError {
    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            NewsError::Signature => "signature",
            NewsError::Malformed => "malformed",
            NewsError::NoGrant => "no_grant",
            NewsError::Grant(_) => "grant",
            NewsError::Expired => "expired",
            NewsError::Roles => "roles",
            NewsError::Revoked => "revoked",
            NewsError::Tombstone => "tombstone",
            NewsError::RosterFull => "roster_full",
        }
    }
}

/// A member, from an announcement that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    node: NodeId,
    body: AnnouncementBody,
    announcement: Announcement,
    grant: ValidGrant,
}

impl Member {
    /// Signs an announcement of the owner of `key` and checks it like any other.
    ///
    /// # Errors
    /// [`NewsError::Malformed`] if a text of `body` breaks its bound, and what [`Member::check`] says.
    pub fn announce(
        key: &SigningKey,
        body: &AnnouncementBody,
        grant: &ValidGrant,
    ) -> Result<Member, NewsError> {
        let mut announcement = sign_announcement(key, body).map_err(|_| NewsError::Malformed)?;
        announcement.grant = Some(grant.grant().clone());
        let node = NodeId::of_public_key(&announcement.node);
        let grant = grant.clone().for_node(node)?;
        Member::with_grant(&announcement, grant)
    }

    /// Checks an announcement and its grant, but not the date of the grant.
    ///
    /// # Errors
    /// [`NewsError`] says what is wrong.
    pub fn check(announcement: &Announcement, trust: &Trust) -> Result<Member, NewsError> {
        let grant = announcement.grant.as_ref().ok_or(NewsError::NoGrant)?;
        let node = NodeId::of_public_key(&announcement.node);
        let grant = ValidGrant::check(grant, trust)?.for_node(node)?;
        Member::with_grant(announcement, grant)
    }

    fn with_grant(announcement: &Announcement, grant: ValidGrant) -> Result<Member, NewsError> {
        let body = check_signed(announcement)?;
        if body.roles.is_empty() || !grant.roles().contains_all(body.roles) {
            return Err(NewsError::Roles);
        }
        Ok(Member {
            node: grant.node(),
            body,
            announcement: announcement.clone(),
            grant,
        })
    }

    /// Who.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// As it travels.
    pub const fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// Its proof of membership.
    pub const fn grant(&self) -> &ValidGrant {
        &self.grant
    }

    /// The highest counts.
    pub const fn sequence(&self) -> u64 {
        self.body.sequence
    }

    /// What decides which of two announcements of a node is the newer.
    pub const fn version(&self) -> (u64, UnixSeconds) {
        (self.body.sequence, self.grant.expires())
    }

    /// For people.
    pub fn nickname(&self) -> &str {
        &self.body.nickname
    }

    /// What shares should be spread over.
    pub fn zone(&self) -> &str {
        &self.body.zone
    }

    /// Name and version.
    pub fn software(&self) -> &str {
        &self.body.software
    }

    /// What it does; its grant allows all of it.
    pub const fn roles(&self) -> Roles {
        self.body.roles
    }

    /// Where it listens, as far as that is well formed.
    pub fn addresses(&self) -> impl Iterator<Item = Address> {
        self.body
            .addresses
            .iter()
            .filter_map(|text| Address::parse(text).ok())
    }
}

/// Signs an announcement, without a grant.
///
/// # Errors
/// [`ConvertError`] if a text breaks its bound.
pub fn sign_announcement(key: &SigningKey, body: &AnnouncementBody) -> Result<Announcement, ConvertError> {
    let bytes = body.encode()?;
    Ok(Announcement {
        signature: sign(key, ANNOUNCEMENT_TAG, &bytes),
        node: key.verifying_key().to_bytes(),
        body: bytes,
        grant: None,
    })
}

/// Checks the signature of an announcement and nothing else: what an introducer does for one that has no grant yet.
///
/// # Errors
/// [`NewsError::Signature`] or [`NewsError::Malformed`].
pub fn check_signed(announcement: &Announcement) -> Result<AnnouncementBody, NewsError> {
    if !is_by(
        &announcement.node,
        ANNOUNCEMENT_TAG,
        &announcement.body,
        &announcement.signature,
    ) {
        return Err(NewsError::Signature);
    }
    AnnouncementBody::decode(&announcement.body).map_err(|_| NewsError::Malformed)
}

/// The same announcement with a grant beside it.
pub(super) fn with_grant(announcement: &Announcement, grant: Grant) -> Announcement {
    Announcement {
        grant: Some(grant),
        ..announcement.clone()
    }
}

/// A tombstone that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    node: NodeId,
    since: UnixSeconds,
    tombstone: Tombstone,
}

impl Revoked {
    /// Signs a tombstone.
    ///
    /// # Errors
    /// [`ConvertError`] if the body breaks its bound, which none does.
    pub fn issue(introducer: &SigningKey, node: NodeId, now: UnixSeconds) -> Result<Revoked, ConvertError> {
        let body: Bytes = TombstoneBody {
            node_id: node,
            revoked_unix_s: now.as_secs(),
        }
        .encode()?;
        let signature = sign(introducer, TOMBSTONE_TAG, &body);
        let tombstone = Tombstone {
            body,
            introducer: introducer.verifying_key().to_bytes(),
            signature,
        };
        Ok(Revoked {
            node,
            since: now,
            tombstone,
        })
    }

    /// Checks a tombstone.
    ///
    /// # Errors
    /// [`NewsError::Tombstone`].
    pub fn check(tombstone: &Tombstone, trust: &Trust) -> Result<Revoked, NewsError> {
        let Tombstone {
            body,
            introducer,
            signature,
        } = tombstone;
        let trusted = trust.contains(&NodeId::of_public_key(introducer));
        if !trusted || !is_by(introducer, TOMBSTONE_TAG, body, signature) {
            return Err(NewsError::Tombstone);
        }
        let body = TombstoneBody::decode(body).map_err(|_| NewsError::Tombstone)?;
        let since = UnixSeconds::from_secs(body.revoked_unix_s);
        Ok(Revoked {
            node: body.node_id,
            since,
            tombstone: tombstone.clone(),
        })
    }

    /// Who is out.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Since when.
    pub const fn since(&self) -> UnixSeconds {
        self.since
    }

    /// As it travels.
    pub const fn tombstone(&self) -> &Tombstone {
        &self.tombstone
    }
}
