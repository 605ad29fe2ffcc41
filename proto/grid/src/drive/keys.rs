//! The keys of one directory, derived once from its cap: what seals, opens, names and signs.

use bytes::Bytes;
use ed25519_dalek::SigningKey;

use super::{
    Child, DirectoryId, Head, RowError, RowId, RowName, RowSum, SealedRow, SignedHead,
    row::{self, Secrets},
};
use crate::{caps::MutableCap, hashing::tagged, ids::Hash, keys::CipherKey};

const TAG_ROW_ID: &str = "truckee/1 row id";

/// What a cap lets one do with its directory. See the module.
#[derive(Clone)]
pub struct DirectoryKeys {
    id: DirectoryId,
    content: CipherKey,
    write: Option<WriteKeys>,
}

#[derive(Clone)]
struct WriteKeys {
    signing: SigningKey,
    child: CipherKey,
}

impl DirectoryKeys {
    /// The keys of a cap that reads or writes; `None` for one that only checks. A write cap whose fingerprint is not
    /// that of its key names a directory that nobody can write: it gives keys that read.
    #[must_use]
    pub fn of(cap: &MutableCap) -> Option<Self> {
        let id = cap.directory_id();
        match cap {
            MutableCap::Write { key, .. } => {
                let genuine = key.fingerprint() == id.fingerprint;
                Some(Self {
                    id,
                    content: key.read_key().content_key(),
                    write: genuine.then(|| WriteKeys {
                        signing: key.signing_key(),
                        child: key.child_key(),
                    }),
                })
            }
            MutableCap::Read { key, .. } => Some(Self {
                id,
                content: key.content_key(),
                write: None,
            }),
            MutableCap::Verify { .. } => None,
        }
    }

    /// The directory.
    #[must_use]
    pub const fn id(&self) -> DirectoryId {
        self.id
    }

    /// Whether changes can be signed.
    #[must_use]
    pub const fn writable(&self) -> bool {
        self.write.is_some()
    }

    /// The name of a row as servers see it: without the key, it tells nothing of the name.
    #[must_use]
    pub fn row_id(&self, name: &RowName) -> RowId {
        let (kind, text) = row::name_parts(name);
        RowId(tagged(
            TAG_ROW_ID,
            &[self.content.expose(), &[kind], text.as_bytes()],
        ))
    }

    /// Seals a row. `nonces` must be fresh from a good random source.
    ///
    /// # Errors
    /// [`RowError::ReadOnly`] without write strength; else what of the row breaks a bound.
    pub fn seal_row(&self, name: &RowName, child: &Child, nonces: [u8; 48]) -> Result<SealedRow, RowError> {
        let write = self.write.as_ref().ok_or(RowError::ReadOnly)?;
        let secrets = Secrets {
            content: &self.content,
            child: Some(&write.child),
        };
        let bytes: Bytes = row::seal(secrets, name, child, &nonces)?;
        Ok(SealedRow {
            id: self.row_id(name),
            bytes,
        })
    }

    /// Opens a row: the strongest caps that these keys may see.
    ///
    /// # Errors
    /// [`RowError`] when it was not sealed for this directory under this id, or is not in the one form of a row.
    pub fn open_row(&self, id: RowId, sealed: &[u8]) -> Result<(RowName, Child), RowError> {
        let secrets = Secrets {
            content: &self.content,
            child: self.write.as_ref().map(|write| &write.child),
        };
        let (name, child) = row::open(secrets, sealed)?;
        if self.row_id(&name) == id {
            Ok((name, child))
        } else {
            Err(RowError::OtherId)
        }
    }

    /// Signs the head of a version. `digest` is that of the [`RowSum`] of its rows.
    ///
    /// # Errors
    /// [`RowError::ReadOnly`] without write strength.
    pub fn sign(&self, version: u64, rows: u32, digest: Hash) -> Result<SignedHead, RowError> {
        let write = self.write.as_ref().ok_or(RowError::ReadOnly)?;
        let head = Head {
            directory: self.id,
            version,
            rows,
            digest,
        };
        Ok(head.sign(&write.signing))
    }

    /// As [`DirectoryKeys::sign`], the digest taken from the sum.
    ///
    /// # Errors
    /// [`RowError::ReadOnly`] without write strength.
    pub fn sign_sum(&self, version: u64, rows: u32, sum: &RowSum) -> Result<SignedHead, RowError> {
        self.sign(version, rows, sum.digest())
    }
}

impl DirectoryKeys {
    /// As [`DirectoryKeys::sign_sum`], with a signature that nobody else makes ([`Head::sign_fresh`]).
    ///
    /// # Errors
    /// [`RowError::ReadOnly`] without write strength.
    pub fn sign_sum_fresh(
        &self,
        version: u64,
        rows: u32,
        sum: &RowSum,
        random: &[u8; 32],
    ) -> Result<SignedHead, RowError> {
        let write = self.write.as_ref().ok_or(RowError::ReadOnly)?;
        let head = Head {
            directory: self.id,
            version,
            rows,
            digest: sum.digest(),
        };
        Ok(head.sign_fresh(&write.signing, random))
    }
}

impl std::fmt::Debug for DirectoryKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DirectoryKeys(secret)")
    }
}

#[cfg(test)]
mod forms;
#[cfg(test)]
mod tests;
