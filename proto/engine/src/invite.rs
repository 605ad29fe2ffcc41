//! Invites: the one line of text that lets a node into a mesh, `truckee://NODEID@host:port[,host:port]/SECRET`.
//!
//! It says who the introducer is (by key, so that nobody can stand in for it), where it listens, and the secret that
//! proves the right to join. Owns parsing and printing; both are strict, so that one invite has one text. The secret is
//! wiped from memory when dropped, compared in constant time, and printed only by [`Invite::to_text`].

mod address;

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;
use truckee_grid::base32::{self, Base32Error};
use truckee_grid::ids::NodeId;
use truckee_wire::message::limits::ADDRESSES_MAX;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use self::address::{Address, AddressError};

/// How every invite begins.
pub const SCHEME: &str = "truckee://";
/// Longest invite that is looked at, in bytes: the scheme, 52 characters of id, eight longest addresses, 32 of secret.
pub const INVITE_BYTES_MAX: usize = 2200;

/// Why a text is not an invite. Never quotes the text: part of it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Longer than any invite.
    #[error("an invite has at most {INVITE_BYTES_MAX} bytes, this text has {bytes}")]
    TooLong {
        /// Of this text.
        bytes: usize,
    },
    /// Another kind of text.
    #[error("an invite begins with {SCHEME}")]
    Scheme,
    /// No `@`.
    #[error("an invite is truckee://NODEID@host:port/SECRET: there is no @ in this one")]
    NoAt,
    /// No `/` after the addresses.
    #[error("an invite is truckee://NODEID@host:port/SECRET: there is no / before a secret in this one")]
    NoSecret,
    /// The part before `@`.
    #[error("the node id of the invite: {0}")]
    NodeId(Base32Error),
    /// None, or too many.
    #[error("an invite names 1 to {ADDRESSES_MAX} addresses, this one {count}")]
    Addresses {
        /// Named here.
        count: usize,
    },
    /// One of the addresses is none.
    #[error("address {position} of the invite: {error}")]
    Address {
        /// Counted from 1.
        position: usize,
        /// What is wrong.
        error: AddressError,
    },
    /// The same address twice.
    #[error("address {position} of the invite stands there before")]
    AddressTwice {
        /// Counted from 1.
        position: usize,
    },
    /// The part after `/`.
    #[error("the secret of the invite: {0}")]
    Secret(Base32Error),
}

/// The right to join a mesh.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct InviteSecret([u8; InviteSecret::BYTES]);

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    introducer: NodeId,
    addresses: Vec<Address>,
    secret: InviteSecret,
}

impl InviteSecret {
    /// Length: 160 bits are beyond guessing, and exactly 32 characters.
    pub const BYTES: usize = 20;

    /// A secret of these bytes, which must come from a good source of randomness.
    pub const fn from_bytes(bytes: [u8; InviteSecret::BYTES]) -> InviteSecret {
        InviteSecret(bytes)
    }

    /// The secret itself: to send it, or to keep it in a file.
    pub const fn expose(&self) -> &[u8; InviteSecret::BYTES] {
        &self.0
    }

    /// Reads 32 characters of base32.
    ///
    /// # Errors
    /// [`Base32Error`] without a character of the text.
    pub fn parse(text: &str) -> Result<InviteSecret, Base32Error> {
        base32::decode_array(text).map(InviteSecret)
    }

    /// The text that [`InviteSecret::parse`] reads.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(base32::encode(&self.0))
    }

    /// Whether `shown` is this secret, in a time that does not tell how much of it is right.
    pub fn matches(&self, shown: &[u8]) -> bool {
        self.0.ct_eq(shown).into()
    }
}

impl PartialEq for InviteSecret {
    fn eq(&self, other: &InviteSecret) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for InviteSecret {}

impl fmt::Debug for InviteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteSecret(..)")
    }
}

impl Invite {
    /// An invite to the mesh of `introducer`, which listens at `addresses`.
    ///
    /// # Errors
    /// [`InviteError::Addresses`] or [`InviteError::AddressTwice`].
    pub fn new(
        introducer: NodeId,
        addresses: Vec<Address>,
        secret: InviteSecret,
    ) -> Result<Invite, InviteError> {
        if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
            return Err(InviteError::Addresses {
                count: addresses.len(),
            });
        }
        for (index, address) in addresses.iter().enumerate() {
            if addresses[..index].contains(address) {
                return Err(InviteError::AddressTwice { position: index + 1 });
            }
        }
        Ok(Invite {
            introducer,
            addresses,
            secret,
        })
    }

    /// Who admits.
    pub const fn introducer(&self) -> NodeId {
        self.introducer
    }

    /// Where it listens, in the order in which to try.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The right to join.
    pub const fn secret(&self) -> &InviteSecret {
        &self.secret
    }

    /// Reads an invite.
    ///
    /// # Errors
    /// [`InviteError`] says which part is wrong, without quoting it.
    pub fn parse(text: &str) -> Result<Invite, InviteError> {
        if text.len() > INVITE_BYTES_MAX {
            return Err(InviteError::TooLong { bytes: text.len() });
        }
        let rest = text.strip_prefix(SCHEME).ok_or(InviteError::Scheme)?;
        let (id, rest) = rest.split_once('@').ok_or(InviteError::NoAt)?;
        let (addresses, secret) = rest.split_once('/').ok_or(InviteError::NoSecret)?;
        let introducer = id.parse().map_err(InviteError::NodeId)?;
        let addresses = addresses
            .split(',')
            .enumerate()
            .map(|(index, address)| {
                Address::parse(address).map_err(|error| InviteError::Address {
                    position: index + 1,
                    error,
                })
            })
            .collect::<Result<Vec<Address>, InviteError>>()?;
        Invite::new(
            introducer,
            addresses,
            InviteSecret::parse(secret).map_err(InviteError::Secret)?,
        )
    }

    /// The text that [`Invite::parse`] reads. It contains the secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret = self.secret.to_text();
        // Room from the start, so that no copy of the secret is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(INVITE_BYTES_MAX));
        text.push_str(SCHEME);
        text.push_str(&self.introducer.to_base32());
        for (index, address) in self.addresses.iter().enumerate() {
            text.push(if index == 0 { '@' } else { ',' });
            text.push_str(address.as_str());
        }
        text.push('/');
        text.push_str(&secret);
        text
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Invite, InviteError> {
        Invite::parse(text)
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<&str> = self.addresses.iter().map(Address::as_str).collect();
        write!(
            f,
            "Invite({SCHEME}{}@{}/..)",
            self.introducer,
            addresses.join(",")
        )
    }
}

#[cfg(test)]
mod tests;
