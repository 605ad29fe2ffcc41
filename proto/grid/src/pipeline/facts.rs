//! What a reader knows of a file once a storage node's answer has been checked against the cap.

use crate::{
    caps::ChkVerifier,
    ids::{Hash, ShareNumber},
    merkle,
    ueb::{Ueb, UebError, hash_of_encoded},
};

/// Why an answer is not about the file that the cap means. The peer that gave it is wrong or lies; ask another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// The UEB has not the hash in the cap.
    #[error("this is not the UEB that the cap speaks of")]
    UebHash,
    /// The UEB has the right hash and is none: its uploader was broken.
    #[error("the UEB that the cap speaks of is damaged: {0}")]
    Ueb(#[from] UebError),
    /// The UEB has the right hash, but other shares or another size than the cap.
    #[error("the numbers in the cap are not those of its file: was the cap edited?")]
    Cap,
    /// The share roots do not lead to the root in the UEB.
    #[error("these are not the share roots that the UEB speaks of")]
    ShareRoots,
}

/// Verified facts; keep it behind an `Arc` (n × 32 bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    verifier: ChkVerifier,
    ueb: Ueb,
    share_roots: Vec<Hash>,
}

impl FileFacts {
    /// Checks what a storage node says of the file that `verifier` means.
    ///
    /// # Errors
    /// [`FactsError`] says what does not fit.
    pub fn verify(verifier: &ChkVerifier, ueb: &[u8], share_roots: &[u8]) -> Result<Self, FactsError> {
        if hash_of_encoded(ueb) != verifier.ueb_hash {
            return Err(FactsError::UebHash);
        }
        let ueb = Ueb::decode(ueb)?;
        if ueb.coding() != verifier.coding || ueb.file_bytes() != verifier.size {
            return Err(FactsError::Cap);
        }
        let (roots, rest) = share_roots.as_chunks::<{ Hash::BYTES }>();
        let share_roots: Vec<Hash> = roots.iter().copied().map(Hash).collect();
        let complete = share_roots.len() == ueb.coding().n() && rest.is_empty();
        if !complete || merkle::share_root(&share_roots) != Some(*ueb.share_root()) {
            return Err(FactsError::ShareRoots);
        }
        Ok(Self {
            verifier: *verifier,
            ueb,
            share_roots,
        })
    }

    /// The cap's public part.
    #[must_use]
    pub const fn verifier(&self) -> &ChkVerifier {
        &self.verifier
    }

    /// The UEB.
    #[must_use]
    pub const fn ueb(&self) -> &Ueb {
        &self.ueb
    }

    /// The root of a share's block tree; `None` for a share that the file has not.
    #[must_use]
    pub fn share_root(&self, share: ShareNumber) -> Option<&Hash> {
        self.share_roots.get(share.index())
    }
}
