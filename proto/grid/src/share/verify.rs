//! Reading a whole share file back against all of its hashes.

use super::{FOOTER_BYTES, Footer, FooterError, HEADER_BYTES, ShareHeader};
use crate::{
    ids::{Hash, SegmentIndex},
    merkle,
    ueb::{Ueb, UebError, hash_of_encoded},
};

/// Blocks read before they are hashed: as many as are hashed side by side.
const BLOCKS_AT_ONCE: u64 = 4;

/// A part of a share file, to say which is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The header differs from its copy in the footer.
    Header,
    /// A block has not the hash in the tree.
    Block(SegmentIndex),
    /// The block tree is not a tree, or has not the root in the share roots.
    BlockTree,
    /// The sealed tree is not a tree, or has not the root in the UEB.
    SealedTree,
    /// The share roots do not lead to the root in the UEB.
    ShareRoots,
    /// The UEB has not the hash in the footer, or speaks of another file.
    Ueb,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::Block(segment) => write!(f, "block {segment}"),
            Self::BlockTree => f.write_str("block tree"),
            Self::SealedTree => f.write_str("sealed tree"),
            Self::ShareRoots => f.write_str("share roots"),
            Self::Ueb => f.write_str("UEB"),
        }
    }
}

/// Why a share file is not good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError<E> {
    /// The file cannot be read; nothing is said about its content.
    #[error("the share file cannot be read: {0}")]
    Read(E),
    /// The file is shorter than any share file.
    #[error("{found} bytes are too short for a share file")]
    TooShort {
        /// The length of the file.
        found: u64,
    },
    /// The footer is damaged or the file incomplete.
    #[error("the share file is damaged at its end: {0}")]
    Footer(#[from] FooterError),
    /// The UEB is none.
    #[error("the share file is damaged in its UEB: {0}")]
    Ueb(#[from] UebError),
    /// Something else is damaged.
    #[error("the share file is damaged in its {0}")]
    Damaged(Part),
}

/// A share file all of whose bytes are accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedShare {
    /// Whose share it is.
    pub header: ShareHeader,
    /// What it says of the file.
    pub ueb: Ueb,
}

/// Reads a share file of `file_len` bytes through `read`, which fills the whole buffer from an offset or fails, and checks
/// every byte. Memory: one tree, at most 64 bytes per segment of the file, and four blocks. `read` sets the pace.
///
/// # Errors
/// [`VerifyError`] names the first part found damaged.
pub fn verify_share<E>(
    file_len: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<VerifiedShare, VerifyError<E>> {
    let too_short = VerifyError::TooShort { found: file_len };
    let footer_at = file_len.checked_sub(FOOTER_BYTES as u64).ok_or(too_short)?;
    let mut bytes = [0; FOOTER_BYTES];
    read(footer_at, &mut bytes).map_err(VerifyError::Read)?;
    let footer = Footer::parse(&bytes, file_len)?;
    let layout = footer.layout;
    let mut read_part = |at: u64, length: usize| {
        let mut part = vec![0; length];
        read(at, &mut part).map(|()| part).map_err(VerifyError::Read)
    };

    if read_part(0, HEADER_BYTES)? != footer.header.encode() {
        return Err(VerifyError::Damaged(Part::Header));
    }
    let ueb_bytes = read_part(layout.ueb(), layout.ueb_bytes())?;
    if hash_of_encoded(&ueb_bytes) != footer.ueb_hash {
        return Err(VerifyError::Damaged(Part::Ueb));
    }
    let ueb = Ueb::decode(&ueb_bytes)?;
    if ueb.geometry() != layout.geometry() {
        return Err(VerifyError::Damaged(Part::Ueb));
    }
    let roots = read_part(layout.share_roots(), layout.share_roots_bytes())?;
    let roots: Vec<Hash> = roots.as_chunks().0.iter().copied().map(Hash).collect();
    if merkle::share_root(&roots) != Some(*ueb.share_root()) {
        return Err(VerifyError::Damaged(Part::ShareRoots));
    }
    let leaves = layout.tree().leaves();
    let tree_bytes = layout.tree().bytes() as usize;
    let sealed_rows = read_part(layout.sealed_tree(), tree_bytes)?;
    if merkle::root_of_rows(leaves, &sealed_rows) != Some(*ueb.sealed_root()) {
        return Err(VerifyError::Damaged(Part::SealedTree));
    }
    drop(sealed_rows);
    let block_rows = read_part(layout.block_tree(), tree_bytes)?;
    if merkle::root_of_rows(leaves, &block_rows) != Some(roots[footer.header.share.index()]) {
        return Err(VerifyError::Damaged(Part::BlockTree));
    }
    let (block_leaves, _) = block_rows.as_chunks::<{ Hash::BYTES }>();
    verify_blocks(&footer, &block_leaves[..leaves as usize], read_part)?;
    Ok(VerifiedShare {
        header: footer.header,
        ueb,
    })
}

fn verify_blocks<E>(
    footer: &Footer,
    leaves: &[[u8; Hash::BYTES]],
    mut read_part: impl FnMut(u64, usize) -> Result<Vec<u8>, VerifyError<E>>,
) -> Result<(), VerifyError<E>> {
    let mut group: Vec<(SegmentIndex, Vec<u8>)> = Vec::new();
    for segment in (0..leaves.len() as u64).map(SegmentIndex) {
        if let Some((at, length)) = footer.layout.block(segment) {
            group.push((segment, read_part(at, length)?));
        }
        if group.len() as u64 == BLOCKS_AT_ONCE || footer.layout.geometry().is_last(segment) {
            let blocks: Vec<&[u8]> = group.iter().map(|(_, block)| &block[..]).collect();
            let hashes = merkle::block_leaves(&blocks);
            let bad = group
                .iter()
                .zip(hashes)
                .find(|((segment, _), hash)| leaves[segment.0 as usize] != hash.0);
            if let Some(((segment, _), _)) = bad {
                return Err(VerifyError::Damaged(Part::Block(*segment)));
            }
            group.clear();
        }
    }
    Ok(())
}
