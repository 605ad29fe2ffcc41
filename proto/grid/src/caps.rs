//! Caps: the strings that are necessary and sufficient to reach a thing, in the grammar of Tahoe-LAFS.
//!
//! A cap is a secret unless it is a verifier: `Debug` hides it, there is no `Display`, and only [`Cap::to_uri`] writes it
//! out. Parsing is strict: a text is either exactly what `to_uri` gives for some cap, or an error. The derivations behind
//! the text are our own, so a cap of another grid parses but names shares that nobody here holds.

mod parse;

use std::fmt;

use crate::{
    base32,
    drive::DirectoryId,
    ids::{Hash, StorageIndex},
    keys::{MutableReadKey, ReadKey, WriteKey},
    params::Coding,
};

pub use parse::CapError;

/// Longest file that lives in its cap, bytes. The same bound as Tahoe-LAFS has: a CHK cap is about as long.
pub const LIT_BYTES_MAX: usize = 55;

/// A file that lives in its cap; at most [`LIT_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct LitCap(Vec<u8>);

impl LitCap {
    /// A cap that holds `bytes`; `None` if they are too many.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= LIT_BYTES_MAX).then(|| Self(bytes.to_vec()))
    }

    /// The file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads one immutable file.
#[derive(Clone, PartialEq, Eq)]
pub struct ChkCap {
    /// Opens the file.
    pub key: ReadKey,
    /// Says which file is the right one.
    pub ueb_hash: Hash,
    /// The code, so that a reader knows how many shares to ask for.
    pub coding: Coding,
    /// Plaintext bytes of the file, at least 1.
    pub size: u64,
}

impl ChkCap {
    /// The cap that checks and repairs but does not read.
    #[must_use]
    pub fn verifier(&self) -> ChkVerifier {
        ChkVerifier {
            si: self.key.storage_index(),
            ueb_hash: self.ueb_hash,
            coding: self.coding,
            size: self.size,
        }
    }

    /// The name of the shares.
    #[must_use]
    pub fn storage_index(&self) -> StorageIndex {
        self.key.storage_index()
    }
}

/// Checks and repairs one immutable file. Not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChkVerifier {
    /// The name of the shares.
    pub si: StorageIndex,
    /// Says which file is the right one.
    pub ueb_hash: Hash,
    /// The code.
    pub coding: Coding,
    /// Plaintext bytes of the file, at least 1.
    pub size: u64,
}

/// A cap of a mutable thing, in one of three strengths.
#[derive(Clone, PartialEq, Eq)]
pub enum MutableCap {
    /// Reads and changes.
    Write {
        /// The secret.
        key: WriteKey,
        /// Hash of the public key that changes are signed with.
        fingerprint: Hash,
    },
    /// Reads.
    Read {
        /// The secret.
        key: MutableReadKey,
        /// Hash of the public key that changes are signed with.
        fingerprint: Hash,
    },
    /// Checks.
    Verify {
        /// The name.
        si: StorageIndex,
        /// Hash of the public key that changes are signed with.
        fingerprint: Hash,
    },
}

impl MutableCap {
    /// The strongest cap of a fresh thing.
    #[must_use]
    pub fn of_write_key(key: WriteKey) -> Self {
        let fingerprint = key.fingerprint();
        Self::Write { key, fingerprint }
    }

    /// The name of the thing.
    #[must_use]
    pub fn storage_index(&self) -> StorageIndex {
        match self {
            Self::Write { key, .. } => key.read_key().storage_index(),
            Self::Read { key, .. } => key.storage_index(),
            Self::Verify { si, .. } => *si,
        }
    }

    /// Hash of the public key that changes are signed with.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        match self {
            Self::Write { fingerprint, .. }
            | Self::Read { fingerprint, .. }
            | Self::Verify { fingerprint, .. } => *fingerprint,
        }
    }

    /// How a vdrive knows the thing.
    #[must_use]
    pub fn directory_id(&self) -> DirectoryId {
        DirectoryId {
            si: self.storage_index(),
            fingerprint: self.fingerprint(),
        }
    }

    /// The cap that reads; `None` from a verifier.
    #[must_use]
    pub fn to_read(&self) -> Option<Self> {
        match self {
            Self::Write { key, fingerprint } => Some(Self::Read {
                key: key.read_key(),
                fingerprint: *fingerprint,
            }),
            Self::Read { .. } => Some(self.clone()),
            Self::Verify { .. } => None,
        }
    }

    /// The cap that checks.
    #[must_use]
    pub fn to_verifier(&self) -> Self {
        Self::Verify {
            si: self.storage_index(),
            fingerprint: self.fingerprint(),
        }
    }
}

/// Any cap.
#[derive(Clone, PartialEq, Eq)]
pub enum Cap {
    /// `URI:LIT`: a file in its cap.
    Lit(LitCap),
    /// `URI:CHK`: an immutable file.
    Chk(ChkCap),
    /// `URI:CHK-Verifier`.
    ChkVerifier(ChkVerifier),
    /// `URI:DIR2`, `-RO`, `-Verifier`: a directory.
    Dir(MutableCap),
    /// `URI:DIR2-LIT`: an immutable directory in its cap.
    DirLit(LitCap),
    /// `URI:DIR2-CHK`: an immutable directory.
    DirChk(ChkCap),
    /// `URI:DIR2-CHK-Verifier`.
    DirChkVerifier(ChkVerifier),
    /// `URI:SSK`, `-RO`, `-Verifier`: a mutable file.
    Ssk(MutableCap),
    /// `URI:MDMF`, `-RO`, `-Verifier`: a mutable file, as other programs name the larger kind.
    Mdmf(MutableCap),
}

impl Cap {
    /// Reads the text of a cap.
    ///
    /// # Errors
    /// [`CapError`] when the text is not the one text of a cap of a known kind.
    pub fn parse(text: &str) -> Result<Self, CapError> {
        parse::parse(text)
    }

    /// What stands between `URI:` and the first field.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Lit(_) => "LIT",
            Self::Chk(_) => "CHK",
            Self::ChkVerifier(_) => "CHK-Verifier",
            Self::Dir(cap) => mutable_kind(cap, ["DIR2", "DIR2-RO", "DIR2-Verifier"]),
            Self::DirLit(_) => "DIR2-LIT",
            Self::DirChk(_) => "DIR2-CHK",
            Self::DirChkVerifier(_) => "DIR2-CHK-Verifier",
            Self::Ssk(cap) => mutable_kind(cap, ["SSK", "SSK-RO", "SSK-Verifier"]),
            Self::Mdmf(cap) => mutable_kind(cap, ["MDMF", "MDMF-RO", "MDMF-Verifier"]),
        }
    }

    /// The text of the cap, secret and all.
    #[must_use]
    pub fn to_uri(&self) -> String {
        let fields = match self {
            Self::Lit(cap) | Self::DirLit(cap) => base32::encode(&cap.0),
            Self::Chk(cap) | Self::DirChk(cap) => {
                chk_fields(cap.key.expose(), cap.ueb_hash, cap.coding, cap.size)
            }
            Self::ChkVerifier(cap) | Self::DirChkVerifier(cap) => {
                chk_fields(cap.si.as_bytes(), cap.ueb_hash, cap.coding, cap.size)
            }
            Self::Dir(cap) | Self::Ssk(cap) | Self::Mdmf(cap) => {
                let first = match cap {
                    MutableCap::Write { key, .. } => base32::encode(key.expose()),
                    MutableCap::Read { key, .. } => base32::encode(key.expose()),
                    MutableCap::Verify { si, .. } => si.to_base32(),
                };
                format!("{first}:{}", cap.fingerprint().to_base32())
            }
        };
        format!("URI:{}:{fields}", self.kind())
    }

    /// The name of what is stored under the cap; `None` for a cap that holds its file.
    #[must_use]
    pub fn storage_index(&self) -> Option<StorageIndex> {
        match self {
            Self::Lit(_) | Self::DirLit(_) => None,
            Self::Chk(cap) | Self::DirChk(cap) => Some(cap.storage_index()),
            Self::ChkVerifier(cap) | Self::DirChkVerifier(cap) => Some(cap.si),
            Self::Dir(cap) | Self::Ssk(cap) | Self::Mdmf(cap) => Some(cap.storage_index()),
        }
    }

    /// The strongest cap that cannot change anything; `None` if this one does not even read.
    #[must_use]
    pub fn to_read(&self) -> Option<Self> {
        match self {
            Self::Lit(_) | Self::DirLit(_) | Self::Chk(_) | Self::DirChk(_) => Some(self.clone()),
            Self::ChkVerifier(_) | Self::DirChkVerifier(_) => None,
            Self::Dir(cap) => cap.to_read().map(Self::Dir),
            Self::Ssk(cap) => cap.to_read().map(Self::Ssk),
            Self::Mdmf(cap) => cap.to_read().map(Self::Mdmf),
        }
    }

    /// The cap that only checks; `None` for a cap that holds its file: nothing is stored.
    #[must_use]
    pub fn to_verifier(&self) -> Option<Self> {
        match self {
            Self::Lit(_) | Self::DirLit(_) => None,
            Self::Chk(cap) => Some(Self::ChkVerifier(cap.verifier())),
            Self::DirChk(cap) => Some(Self::DirChkVerifier(cap.verifier())),
            Self::ChkVerifier(_) | Self::DirChkVerifier(_) => Some(self.clone()),
            Self::Dir(cap) => Some(Self::Dir(cap.to_verifier())),
            Self::Ssk(cap) => Some(Self::Ssk(cap.to_verifier())),
            Self::Mdmf(cap) => Some(Self::Mdmf(cap.to_verifier())),
        }
    }

    /// Whether the cap names a directory.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        matches!(
            self,
            Self::Dir(_) | Self::DirLit(_) | Self::DirChk(_) | Self::DirChkVerifier(_)
        )
    }

    /// Whether the thing can change.
    #[must_use]
    pub const fn is_mutable(&self) -> bool {
        matches!(self, Self::Dir(_) | Self::Ssk(_) | Self::Mdmf(_))
    }
}

impl std::str::FromStr for Cap {
    type Err = CapError;

    fn from_str(text: &str) -> Result<Self, CapError> {
        Self::parse(text)
    }
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    )*};
}

redacted!(LitCap, ChkCap, MutableCap);

impl fmt::Debug for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cap({}, secret)", self.kind())
    }
}

fn mutable_kind(cap: &MutableCap, kinds: [&'static str; 3]) -> &'static str {
    match cap {
        MutableCap::Write { .. } => kinds[0],
        MutableCap::Read { .. } => kinds[1],
        MutableCap::Verify { .. } => kinds[2],
    }
}

fn chk_fields(first: &[u8; 16], ueb_hash: Hash, coding: Coding, size: u64) -> String {
    format!(
        "{}:{}:{}:{}:{size}",
        base32::encode(first),
        ueb_hash.to_base32(),
        coding.k(),
        coding.n()
    )
}

#[cfg(test)]
mod tests;
