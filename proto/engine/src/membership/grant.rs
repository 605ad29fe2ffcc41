//! Grants: an introducer's signed word that a node belongs to the mesh, until when, and as what.

use std::collections::BTreeSet;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use truckee_grid::ids::NodeId;
use truckee_wire::convert::ConvertError;
use truckee_wire::message::{Grant, GrantBody, Roles};

use super::signed::{GRANT_TAG, is_by, sign};
use crate::time::UnixSeconds;

/// Longest life of a grant: a tombstone has to be remembered so long, since any grant before it may still run.
pub const GRANT_TERM_MAX: Duration = Duration::from_secs(730 * 24 * 3600);

/// Introducers whose word counts: those that the node's invites name, and the node itself if it is one.
pub type Trust = BTreeSet<NodeId>;

/// Why a grant is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Signed by somebody whose word does not count here.
    #[error("the grant is by {introducer}, which is not an introducer of this node's invites")]
    Untrusted {
        /// Who signed, or pretends to.
        introducer: NodeId,
    },
    /// Not signed by the key that it names.
    #[error("the signature of the grant is wrong")]
    Signature,
    /// Signed, and yet not a grant.
    #[error("the grant is not well formed")]
    Malformed,
    /// Longer than any grant may be.
    #[error("the grant runs longer than {} days", GRANT_TERM_MAX.as_secs() / 86_400)]
    TooLong,
    /// It is about another node.
    #[error("the grant is for {granted}")]
    OtherNode {
        /// The node that it is about.
        granted: NodeId,
    },
}

/// A grant whose signature, signer and form have been checked. Whether it still runs is asked with a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidGrant {
    grant: Grant,
    node: NodeId,
    introducer: NodeId,
    body: GrantBody,
}

impl ValidGrant {
    /// Signs a grant for the node with key `node`. `term` is cut to [`GRANT_TERM_MAX`].
    ///
    /// # Errors
    /// [`ConvertError`] if the body breaks its bound, which no set of roles does.
    pub fn issue(
        introducer: &SigningKey,
        node: [u8; 32],
        roles: Roles,
        now: UnixSeconds,
        term: Duration,
    ) -> Result<ValidGrant, ConvertError> {
        let expires = now + term.min(GRANT_TERM_MAX);
        let body = GrantBody {
            node,
            roles,
            issued_unix_s: now.as_secs(),
            expires_unix_s: expires.as_secs(),
        };
        let bytes = body.encode()?;
        let key = introducer.verifying_key().to_bytes();
        let signature = sign(introducer, GRANT_TAG, &bytes);
        Ok(ValidGrant {
            grant: Grant {
                body: bytes,
                introducer: key,
                signature,
            },
            node: NodeId::of_public_key(&node),
            introducer: NodeId::of_public_key(&key),
            body,
        })
    }

    /// Checks everything about a grant but the date.
    ///
    /// # Errors
    /// [`GrantError`] says what is wrong.
    pub fn check(grant: &Grant, trust: &Trust) -> Result<ValidGrant, GrantError> {
        let introducer = NodeId::of_public_key(&grant.introducer);
        if !trust.contains(&introducer) {
            return Err(GrantError::Untrusted { introducer });
        }
        if !is_by(&grant.introducer, GRANT_TAG, &grant.body, &grant.signature) {
            return Err(GrantError::Signature);
        }
        let body = GrantBody::decode(&grant.body).map_err(|_| GrantError::Malformed)?;
        let term = body.expires_unix_s.saturating_sub(body.issued_unix_s);
        if term > GRANT_TERM_MAX.as_secs() {
            return Err(GrantError::TooLong);
        }
        let node = NodeId::of_public_key(&body.node);
        Ok(ValidGrant {
            grant: grant.clone(),
            node,
            introducer,
            body,
        })
    }

    /// The same grant again if it is about `node`.
    ///
    /// # Errors
    /// [`GrantError::OtherNode`].
    pub fn for_node(self, node: NodeId) -> Result<ValidGrant, GrantError> {
        if self.node == node {
            Ok(self)
        } else {
            Err(GrantError::OtherNode { granted: self.node })
        }
    }

    /// As it travels.
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The node that it is about.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Who signed it.
    pub const fn introducer(&self) -> NodeId {
        self.introducer
    }

    /// What the node may be.
    pub const fn roles(&self) -> Roles {
        self.body.roles
    }

    /// From when on it is worth nothing.
    pub const fn expires(&self) -> UnixSeconds {
        UnixSeconds::from_secs(self.body.expires_unix_s)
    }

    /// Whether it still runs.
    pub fn runs_at(&self, now: UnixSeconds) -> bool {
        now < self.expires()
    }

    /// When half of it is over: time to ask for a new one, with as much left in which introducers may be down.
    pub const fn renew_at(&self) -> UnixSeconds {
        let (issued, expires) = (self.body.issued_unix_s, self.body.expires_unix_s);
        UnixSeconds::from_secs(issued.saturating_add(expires.saturating_sub(issued) / 2))
    }
}
