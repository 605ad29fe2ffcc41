//! Keys and their one-way derivations. The tags are part of the format; see `proto/README.md`.
//!
//! A key is 16 bytes because it stands in a cap that people copy; it is stretched to the 32 bytes of the cipher. Write →
//! read → storage index, never back. Secrets are wiped when dropped, compared in constant time and never printed. The text
//! of a cap is an ordinary string, which nobody wipes.

use ed25519_dalek::{SigningKey, VerifyingKey};
use sha3::{Digest, Sha3_256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    hashing::{tagged, tagged_hasher},
    ids::{Hash, StorageIndex},
    params::Encoding,
};

const TAG_CIPHER_KEY: &str = "truckee/1 file cipher key";
const TAG_STORAGE_INDEX: &str = "truckee/1 file storage index";
const TAG_CONVERGENT_KEY: &str = "truckee/1 convergent key";
const TAG_MUTABLE_READ_KEY: &str = "truckee/1 mutable read key";
const TAG_MUTABLE_STORAGE_INDEX: &str = "truckee/1 mutable storage index";
const TAG_MUTABLE_SIGNING_KEY: &str = "truckee/1 mutable signing key";
const TAG_MUTABLE_FINGERPRINT: &str = "truckee/1 mutable fingerprint";
const TAG_MUTABLE_CONTENT_KEY: &str = "truckee/1 mutable content key";
const TAG_MUTABLE_CHILD_KEY: &str = "truckee/1 mutable child write key";

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Length, bytes.
            pub const BYTES: usize = $bytes;

            /// Takes the bytes as they are; where a fresh secret is meant, they must come from a good random source.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The secret itself.
            #[must_use]
            pub const fn expose(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl ConstantTimeEq for $name {
            fn ct_eq(&self, other: &Self) -> Choice {
                self.0.ct_eq(&other.0)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.ct_eq(other).into()
            }
        }

        impl Eq for $name {}

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    };
}

secret!(
    /// Opens one immutable file.
    ReadKey, 16
);
secret!(
    /// What the cipher is keyed with; derived from a [`ReadKey`] or a mutable read key, used for nothing else.
    CipherKey, 32
);
secret!(
    /// What makes convergent keys of one node different from those of all others, so that nobody without it can test
    /// whether somebody stored a known file.
    ConvergenceSecret, 32
);
secret!(
    /// Changes one mutable thing: a directory or a mutable file.
    WriteKey, 16
);
secret!(
    /// Reads one mutable thing.
    MutableReadKey, 16
);

impl ReadKey {
    /// The key of the cipher.
    #[must_use]
    pub fn cipher_key(&self) -> CipherKey {
        CipherKey(tagged(TAG_CIPHER_KEY, &[&self.0]))
    }

    /// The name under which the shares are kept.
    #[must_use]
    pub fn storage_index(&self) -> StorageIndex {
        StorageIndex(first_16(&Zeroizing::new(tagged(TAG_STORAGE_INDEX, &[&self.0]))))
    }
}

impl WriteKey {
    /// The key that a reader gets.
    #[must_use]
    pub fn read_key(&self) -> MutableReadKey {
        MutableReadKey(first_16(&Zeroizing::new(tagged(
            TAG_MUTABLE_READ_KEY,
            &[&self.0],
        ))))
    }

    /// The key that signs changes.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&Zeroizing::new(tagged(TAG_MUTABLE_SIGNING_KEY, &[&self.0])))
    }

    /// The hash of the public half of the signing key, which stands in all caps of the thing.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        fingerprint(&self.signing_key().verifying_key())
    }

    /// The key under which a directory seals its children's write caps, which readers must not see.
    #[must_use]
    pub fn child_key(&self) -> CipherKey {
        CipherKey(tagged(TAG_MUTABLE_CHILD_KEY, &[&self.0]))
    }
}

impl MutableReadKey {
    /// The name under which the thing is kept.
    #[must_use]
    pub fn storage_index(&self) -> StorageIndex {
        StorageIndex(first_16(&Zeroizing::new(tagged(
            TAG_MUTABLE_STORAGE_INDEX,
            &[&self.0],
        ))))
    }

    /// The key under which names, read caps and metadata are sealed.
    #[must_use]
    pub fn content_key(&self) -> CipherKey {
        CipherKey(tagged(TAG_MUTABLE_CONTENT_KEY, &[&self.0]))
    }
}

/// The hash of a public key, as it stands in the caps of a mutable thing.
#[must_use]
pub fn fingerprint(key: &VerifyingKey) -> Hash {
    Hash(tagged(TAG_MUTABLE_FINGERPRINT, &[key.as_bytes()]))
}

/// Derives the key of a file from its plaintext, so that the same file stored twice by one node is one file. Feed it the
/// whole plaintext in order, in pieces of any size.
pub struct ConvergentHasher(Sha3_256);

impl ConvergentHasher {
    /// `happy` has no part in the key: it says when an upload counts, not what is stored.
    #[must_use]
    pub fn new(secret: &ConvergenceSecret, encoding: &Encoding) -> Self {
        let mut hasher = tagged_hasher(TAG_CONVERGENT_KEY);
        let coding = encoding.coding();
        Digest::update(&mut hasher, secret.expose());
        Digest::update(&mut hasher, (coding.k() as u16).to_be_bytes());
        Digest::update(&mut hasher, (coding.n() as u16).to_be_bytes());
        Digest::update(&mut hasher, encoding.segment_bytes().to_be_bytes());
        Self(hasher)
    }

    /// The next piece of plaintext.
    pub fn update(&mut self, plaintext: &[u8]) {
        Digest::update(&mut self.0, plaintext);
    }

    /// The key, after the last piece.
    #[must_use]
    pub fn finish(self) -> ReadKey {
        let hash: Zeroizing<[u8; 32]> = Zeroizing::new(self.0.finalize().into());
        ReadKey(first_16(&hash))
    }
}

impl std::fmt::Debug for ConvergentHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConvergentHasher(secret)")
    }
}

fn first_16(hash: &[u8; 32]) -> [u8; 16] {
    *hash.first_chunk().expect("32 bytes begin with 16")
}

#[cfg(test)]
mod tests;
