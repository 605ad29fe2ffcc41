//! Who belongs to the mesh. Signed messages travel as the bytes that were signed (`body`), so that nobody has to encode
//! them the same way twice; `*Body` types are what those bytes say. A signature is checked by the membership machine,
//! never here.

use std::fmt;

use bytes::Bytes;
use truckee_grid::ids::NodeId;
use zeroize::Zeroizing;

/// What a node does for the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Admits nodes and knows where they are.
    Introducer,
    /// Holds shares.
    Storage,
    /// Maps path names to caps.
    Vdrive,
    /// Serves people over HTTP.
    Gateway,
}

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Roles(u8);

/// An introducer's word that a node belongs to the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The signed bytes: a [`GrantBody`].
    pub body: Bytes,
    /// Ed25519 public key of the introducer.
    pub introducer: [u8; 32],
    /// Over the tag and `body`.
    pub signature: [u8; 64],
}

/// What a grant says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantBody {
    /// Ed25519 public key of the node.
    pub node: [u8; 32],
    /// What the node may be.
    pub roles: Roles,
    /// When it was signed.
    pub issued_unix_s: u64,
    /// From when on it is worth nothing.
    pub expires_unix_s: u64,
}

/// A node's word about itself: where it is and what it does. The highest sequence counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The signed bytes: an [`AnnouncementBody`].
    pub body: Bytes,
    /// Ed25519 public key of the announcing node.
    pub node: [u8; 32],
    /// Over the tag and `body`.
    pub signature: [u8; 64],
    /// The node's proof of membership.
    pub grant: Option<Grant>,
}

/// What an announcement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncementBody {
    /// Grows with each announcement of the node.
    pub sequence: u64,
    /// For people; at most 64 bytes.
    pub nickname: String,
    /// `host:port`; at most 8 of 255 bytes.
    pub addresses: Vec<String>,
    /// What the node does.
    pub roles: Roles,
    /// What shares should be spread over; at most 64 bytes, may be empty.
    pub zone: String,
    /// Name and version; at most 64 bytes.
    pub software: String,
}

/// An introducer's word that a node no longer belongs to the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The signed bytes: a [`TombstoneBody`].
    pub body: Bytes,
    /// Ed25519 public key of the introducer.
    pub introducer: [u8; 32],
    /// Over the tag and `body`.
    pub signature: [u8; 64],
}

/// What a tombstone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TombstoneBody {
    /// Who is out.
    pub node_id: NodeId,
    /// Since when.
    pub revoked_unix_s: u64,
}

/// Asks an introducer for admission, or for a fresh grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Of the invite; empty when a grant is to be renewed.
    pub secret: JoinSecret,
    /// The asker's, without a grant when it is new.
    pub announcement: Announcement,
}

/// The secret of an invite: wiped when dropped, not printed, compared in constant time by who checks it.
///
/// The bytes of the frame that carried it are not wiped: they are in buffers of the TLS library as well.
#[derive(Clone)]
pub struct JoinSecret(Zeroizing<Vec<u8>>);

/// What a node knows of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterItem {
    /// The member.
    pub node_id: NodeId,
    /// Of the announcement known; 0 and `revoked` for a tombstone.
    pub sequence: u64,
    /// A tombstone is known.
    pub revoked: bool,
    /// When the newest grant known ends.
    pub grant_expires_unix_s: u64,
}

/// One page of what the sender knows, ordered by node id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRoster {
    /// All that the sender knows with `after` < node id <= `upto`; strictly ascending.
    pub items: Vec<RosterItem>,
    /// `None`: from the first.
    pub after: Option<NodeId>,
    /// `None`: to the last.
    pub upto: Option<NodeId>,
}

/// The answer to [`SyncRoster`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RosterSynced {
    /// Newer than the asker's, or unknown to it.
    pub announcements: Vec<Announcement>,
    /// Unknown to the asker.
    pub tombstones: Vec<Tombstone>,
    /// Members of which the asker knows more.
    pub wanted: Vec<NodeId>,
    /// There is more than fits in one answer: ask again.
    pub truncated: bool,
}

/// News of members.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PushRoster {
    /// Of members.
    pub announcements: Vec<Announcement>,
    /// Of members no longer.
    pub tombstones: Vec<Tombstone>,
}

/// The roster as a node caches it on its disk.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RosterFile {
    /// Of all members known.
    pub announcements: Vec<Announcement>,
    /// All known.
    pub tombstones: Vec<Tombstone>,
    /// The node's own proof of membership.
    pub own_grant: Option<Grant>,
    /// Of the node's newest announcement.
    pub own_sequence: u64,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 4] = [Role::Introducer, Role::Storage, Role::Vdrive, Role::Gateway];

    /// The name in configuration, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Introducer => "introducer",
            Role::Storage => "storage",
            Role::Vdrive => "vdrive",
            Role::Gateway => "gateway",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    const fn bit(self) -> u8 {
        match self {
            Role::Introducer => 1,
            Role::Storage => 2,
            Role::Vdrive => 4,
            Role::Gateway => 8,
        }
    }
}

impl Roles {
    /// No role.
    pub const NONE: Roles = Roles(0);

    /// Whether `role` is in the set.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether all of `other` is in the set.
    pub const fn contains_all(self, other: Roles) -> bool {
        self.0 & other.0 == other.0
    }

    /// The set with `role`.
    #[must_use]
    pub const fn with(self, role: Role) -> Roles {
        Roles(self.0 | role.bit())
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles of the set, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Roles {
        roles.into_iter().fold(Roles::NONE, Roles::with)
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Role::name)).finish()
    }
}

impl JoinSecret {
    /// Takes a copy of `secret`. More than [`super::limits::SECRET_BYTES_MAX`] bytes cannot be sent.
    pub fn new(secret: &[u8]) -> JoinSecret {
        JoinSecret(Zeroizing::new(secret.to_vec()))
    }

    /// The secret itself: for a constant-time comparison and for sending.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for JoinSecret {
    /// In constant time for secrets of one length.
    fn eq(&self, other: &JoinSecret) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.expose(), other.expose()).into()
    }
}

impl Eq for JoinSecret {}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(..)")
    }
}
