//! The head of a directory: which version it has, and which rows belong to it, signed by whoever holds the write key.
//!
//! A head says nothing about who may read. Not promised: that it is the newest one; a server that rolls back shows an
//! old head whose signature is good.

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::Sha512;
use zeroize::Zeroizing;

use super::{DirectoryId, row::ROWS_MAX};
use crate::{hashing::tagged, ids::Hash, keys::fingerprint};

/// Stands before what is signed, with its length, so that a signature means this and nothing else.
const TAG_HEAD: &str = "truckee/1 directory head";
const TAG_SIGNING_PREFIX: &str = "truckee/1 directory head signing prefix";
/// Bytes that are signed: length and text of the tag, directory, version, number of rows, digest.
const SIGNED_BYTES: usize = 1 + TAG_HEAD.len() + 16 + 32 + 8 + 4 + 32;

/// One version of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Of which directory.
    pub directory: DirectoryId,
    /// Counts the changes, from 1.
    pub version: u64,
    /// How many rows there are, at most [`ROWS_MAX`].
    pub rows: u32,
    /// [`super::RowSum::digest`] of the rows.
    pub digest: Hash,
}

/// A head with its signature, as it travels and is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedHead {
    /// What is signed.
    pub head: Head,
    /// Ed25519 key; its hash is the directory's fingerprint.
    pub public_key: [u8; 32],
    /// Ed25519 signature.
    pub signature: [u8; 64],
}

/// Why a head counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is of another directory.
    #[error("the head belongs to another directory")]
    OtherDirectory,
    /// The public key is not the directory's.
    #[error("the head is signed with a key that is not the directory's")]
    OtherKey,
    /// The signature is not one of the key over this head.
    #[error("the signature of the head is not valid")]
    Signature,
    /// Version 0, which is that of a directory that does not exist, or too many rows.
    #[error(
        "a head has version {version} and {rows} rows; versions count from 1, and {ROWS_MAX} rows are allowed"
    )]
    Bounds {
        /// Its version.
        version: u64,
        /// Its number of rows.
        rows: u32,
    },
}

impl Head {
    /// Signs it. `key` must be the directory's: nothing else verifies.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> SignedHead {
        SignedHead {
            head: self,
            public_key: key.verifying_key().to_bytes(),
            signature: key.sign(&self.signed_bytes()).to_bytes(),
        }
    }

    /// As [`Head::sign`], with a signature that nobody else makes, even of the same head: two writers that delete the
    /// same row of the same version make the same head, and only their signatures tell which of them was taken.
    ///
    /// The one-time secret of the signature is hashed from key, `random` and head (in place of key and head), so that it
    /// stays a secret even if `random` is known or repeated. It verifies like any other.
    #[must_use]
    pub fn sign_fresh(self, key: &SigningKey, random: &[u8; 32]) -> SignedHead {
        let mut expanded = Zeroizing::new([0; 64]);
        expanded[..32].copy_from_slice(Zeroizing::new(key.to_scalar_bytes()).as_ref());
        let prefix = Zeroizing::new(tagged(TAG_SIGNING_PREFIX, &[key.as_bytes(), random]));
        expanded[32..].copy_from_slice(prefix.as_ref());
        let expanded = ExpandedSecretKey::from_bytes(&expanded);
        let public = key.verifying_key();
        SignedHead {
            head: self,
            public_key: public.to_bytes(),
            signature: raw_sign::<Sha512>(&expanded, &self.signed_bytes(), &public).to_bytes(),
        }
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIGNED_BYTES);
        bytes.push(TAG_HEAD.len() as u8);
        bytes.extend_from_slice(TAG_HEAD.as_bytes());
        bytes.extend_from_slice(self.directory.si.as_bytes());
        bytes.extend_from_slice(self.directory.fingerprint.as_bytes());
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.rows.to_be_bytes());
        bytes.extend_from_slice(self.digest.as_bytes());
        bytes
    }
}

impl SignedHead {
    /// Whether the owner of `directory` signed this. Costs some 50 µs.
    ///
    /// # Errors
    /// [`HeadError`] when not.
    pub fn verify(&self, directory: &DirectoryId) -> Result<(), HeadError> {
        let Head { version, rows, .. } = self.head;
        if self.head.directory != *directory {
            return Err(HeadError::OtherDirectory);
        }
        if version == 0 || rows as usize > ROWS_MAX {
            return Err(HeadError::Bounds { version, rows });
        }
        let key = VerifyingKey::from_bytes(&self.public_key).map_err(|_| HeadError::OtherKey)?;
        if fingerprint(&key) != directory.fingerprint {
            return Err(HeadError::OtherKey);
        }
        let signature = Signature::from_bytes(&self.signature);
        key.verify_strict(&self.head.signed_bytes(), &signature)
            .map_err(|_| HeadError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{caps::MutableCap, ids::StorageIndex, keys::WriteKey};

    fn signed() -> (DirectoryId, SignedHead) {
        let key = WriteKey::from_bytes([5; 16]);
        let directory = MutableCap::of_write_key(key.clone()).directory_id();
        let head = Head {
            directory,
            version: 3,
            rows: 2,
            digest: Hash([7; 32]),
        };
        (directory, head.sign(&key.signing_key()))
    }

    #[test]
    fn what_is_signed_verifies_and_any_change_of_it_does_not() {
        let (directory, good) = signed();
        assert_eq!(good.head.signed_bytes().len(), SIGNED_BYTES);
        assert_eq!(good.verify(&directory), Ok(()));
        let changed = |change: fn(&mut SignedHead)| {
            let mut head = good;
            change(&mut head);
            head.verify(&head.head.directory)
        };
        assert_eq!(changed(|head| head.head.version += 1), Err(HeadError::Signature));
        assert_eq!(changed(|head| head.head.rows += 1), Err(HeadError::Signature));
        assert_eq!(
            changed(|head| head.head.digest.0[0] ^= 1),
            Err(HeadError::Signature)
        );
        assert_eq!(changed(|head| head.signature[9] ^= 1), Err(HeadError::Signature));
        assert_eq!(
            changed(|head| head.head.directory.si.0[0] ^= 1),
            Err(HeadError::Signature)
        );
        assert_eq!(
            changed(|head| head.head.directory.fingerprint.0[0] ^= 1),
            Err(HeadError::OtherKey)
        );
        let other = DirectoryId {
            si: StorageIndex([0; 16]),
            ..directory
        };
        assert_eq!(good.verify(&other), Err(HeadError::OtherDirectory));
    }

    #[test]
    fn any_flipped_bit_of_a_head_is_found() {
        let (directory, good) = signed();
        for bit in 0..8 * (64 + 32 + 32 + 32 + 16 + 8 + 4) {
            let (mut head, at, flip) = (good, bit / 8, 1u8 << (bit % 8));
            match at {
                0..64 => head.signature[at] ^= flip,
                64..96 => head.public_key[at - 64] ^= flip,
                96..128 => head.head.digest.0[at - 96] ^= flip,
                128..160 => head.head.directory.fingerprint.0[at - 128] ^= flip,
                160..176 => head.head.directory.si.0[at - 160] ^= flip,
                176..184 => head.head.version ^= u64::from(flip) << (8 * (at - 176)),
                _ => head.head.rows ^= u32::from(flip) << (8 * (at - 184)),
            }
            assert!(head.verify(&directory).is_err(), "bit {bit}");
            assert!(
                head.verify(&head.head.directory).is_err(),
                "bit {bit} of another directory"
            );
        }
    }

    #[test]
    fn fresh_signatures_of_one_head_are_good_and_differ() {
        let (directory, good) = signed();
        let key = WriteKey::from_bytes([5; 16]).signing_key();
        let fresh = [1, 2, 1].map(|random| good.head.sign_fresh(&key, &[random; 32]));
        for head in fresh {
            assert_eq!(head.verify(&directory), Ok(()));
            assert_ne!(head.signature, good.signature);
        }
        assert_ne!(fresh[0].signature[..16], fresh[1].signature[..16]);
        assert_eq!(fresh[0], fresh[2]);
    }

    #[test]
    fn another_key_does_not_sign_for_the_directory() {
        let (directory, good) = signed();
        let other = good.head.sign(&WriteKey::from_bytes([6; 16]).signing_key());
        assert_eq!(other.verify(&directory), Err(HeadError::OtherKey));
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        // With the neutral element as key and R, and S zero, the equation holds for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let (mut directory, good) = signed();
        let key = VerifyingKey::from_bytes(&neutral).expect("a point");
        directory.fingerprint = fingerprint(&key);
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&neutral);
        let head = SignedHead {
            head: Head {
                directory,
                ..good.head
            },
            public_key: neutral,
            signature,
        };
        assert_eq!(head.verify(&directory), Err(HeadError::Signature));
    }

    #[test]
    fn no_version_0_and_no_more_rows_than_allowed() {
        let (directory, good) = signed();
        let key = WriteKey::from_bytes([5; 16]).signing_key();
        let verify = |version, rows| {
            Head {
                version,
                rows,
                ..good.head
            }
            .sign(&key)
            .verify(&directory)
        };
        assert_eq!(verify(0, 0), Err(HeadError::Bounds { version: 0, rows: 0 }));
        assert_eq!(verify(u64::MAX, ROWS_MAX as u32), Ok(()));
        let rows = ROWS_MAX as u32 + 1;
        assert_eq!(verify(1, rows), Err(HeadError::Bounds { version: 1, rows }));
    }
}
