//! Names of things: plain values that are copied, compared, ordered and printed. Nothing here is a secret.

use std::{fmt, str::FromStr};

use crate::{
    base32::{self, Base32Error},
    hashing,
};

/// A byte string of the wrong length where an id belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} has {found} bytes instead of {expected}")]
pub struct WrongLength {
    /// Which id.
    pub what: &'static str,
    /// Its length, bytes.
    pub expected: usize,
    /// The length found, bytes.
    pub found: usize,
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Length, bytes.
            pub const BYTES: usize = $bytes;

            /// Takes exactly the right number of bytes.
            ///
            /// # Errors
            /// [`WrongLength`] otherwise.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, WrongLength> {
                match bytes.try_into() {
                    Ok(array) => Ok(Self(array)),
                    Err(_) => Err(WrongLength { what: $what, expected: $bytes, found: bytes.len() }),
                }
            }

            /// The bytes themselves.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// Lower-case base32, the text form that [`FromStr`] takes.
            #[must_use]
            pub fn to_base32(&self) -> String {
                base32::encode(&self.0)
            }
        }

        impl From<[u8; $bytes]> for $name {
            fn from(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Base32Error;

            fn from_str(text: &str) -> Result<Self, Base32Error> {
                base32::decode_array(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_base32())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.to_base32())
            }
        }
    };
}

byte_id!(
    /// A node: the SHA3-256 of its Ed25519 key as a DER `SubjectPublicKeyInfo`, which is what TLS shows of a peer.
    NodeId, 32, "node id"
);
byte_id!(
    /// The name of a file on storage nodes, derived one-way from its key.
    StorageIndex, 16, "storage index"
);
byte_id!(
    /// One attempt to store one file; random, so that two uploads of the same file do not mix.
    UploadId, 16, "upload id"
);
byte_id!(
    /// A 32-byte hash: a leaf, node or root of a tree, or the hash of a UEB.
    Hash, 32, "hash"
);

/// DER of a `SubjectPublicKeyInfo` for Ed25519 up to the key itself (RFC 8410).
pub const ED25519_SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

impl NodeId {
    /// The id of the node with this Ed25519 public key.
    #[must_use]
    pub fn of_public_key(key: &[u8; 32]) -> Self {
        let mut spki = [0; 44];
        spki[..12].copy_from_slice(&ED25519_SPKI_PREFIX);
        spki[12..].copy_from_slice(key);
        Self::of_spki(&spki)
    }

    /// The id of the node that shows this DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn of_spki(spki_der: &[u8]) -> Self {
        Self(hashing::sha3_256(&[spki_der]))
    }
}

/// Which of the n shares of a file: 0 ≤ number < n ≤ 256. Those below k hold the sealed file itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareNumber(pub u8);

impl ShareNumber {
    /// For indexing.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The share at `index`, if a file can have so many.
    #[must_use]
    pub fn from_index(index: usize) -> Option<Self> {
        u8::try_from(index).ok().map(Self)
    }
}

impl fmt::Display for ShareNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which segment of a file, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentIndex(pub u64);

impl SegmentIndex {
    /// The segment after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for SegmentIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
