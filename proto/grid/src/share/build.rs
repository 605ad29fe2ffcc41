//! The end of a share file from its leaves, and the check that a storage node makes before it acknowledges a share.

use super::{Footer, HEADER_BYTES, ShareHeader, ShareLayout};
use crate::{
    ids::Hash,
    merkle::{self, Tree},
    ueb::{Ueb, UebError, hash_of_encoded},
};

/// Why a share does not close. Each is the fault of the uploader or of what it sent, not of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrailerError {
    /// The UEB is none.
    #[error(transparent)]
    Ueb(#[from] UebError),
    /// The UEB speaks of another code or segment size than the share was opened with.
    #[error("the share was opened with other parameters than its UEB has")]
    Parameters,
    /// There are not as many blocks as the file has segments.
    #[error("the file has {expected} segments, {found} blocks were written")]
    Blocks {
        /// Segments of the file.
        expected: u64,
        /// Blocks written.
        found: u64,
    },
    /// A single block has not the length that the file's shape demands.
    #[error("the block has {found} bytes instead of {expected}")]
    BlockLength {
        /// What the shape demands.
        expected: usize,
        /// What was sent.
        found: usize,
    },
    /// The share roots are not those whose root stands in the UEB.
    #[error("the share roots do not lead to the root in the UEB")]
    ShareRoots,
    /// The blocks written are not those of this share.
    #[error("the tree over the blocks written has not the root that this share must have")]
    BlockRoot,
    /// The sealed leaves are not those of the file.
    #[error("the tree over the sealed leaves has not the root in the UEB")]
    SealedRoot,
}

/// All that follows the blocks of a share file, after checking that the leaves lead to the roots in UEB and share roots.
///
/// # Errors
/// [`TrailerError`] if anything does not fit: the share must then not be kept.
pub fn build_trailer(
    header: &ShareHeader,
    block_leaves: Vec<Hash>,
    sealed_leaves: Vec<Hash>,
    share_roots: &[u8],
    ueb_bytes: &[u8],
) -> Result<Vec<u8>, TrailerError> {
    let ueb = Ueb::decode(ueb_bytes)?;
    if ueb.coding() != header.coding || ueb.segment_bytes() != header.segment_bytes {
        return Err(TrailerError::Parameters);
    }
    let expected = ueb.segments();
    for found in [block_leaves.len() as u64, sealed_leaves.len() as u64] {
        if found != expected {
            return Err(TrailerError::Blocks { expected, found });
        }
    }
    let own_root = check_share_roots(&ueb, share_roots, header)?;
    let block_tree = Tree::from_leaves(block_leaves).ok_or(TrailerError::BlockRoot)?;
    if block_tree.root() != own_root {
        return Err(TrailerError::BlockRoot);
    }
    let sealed_tree = Tree::from_leaves(sealed_leaves).ok_or(TrailerError::SealedRoot)?;
    if sealed_tree.root() != *ueb.sealed_root() {
        return Err(TrailerError::SealedRoot);
    }
    let layout = ShareLayout::new(*ueb.geometry());
    let footer = Footer {
        header: *header,
        layout,
        ueb_hash: hash_of_encoded(ueb_bytes),
    };
    let bytes = layout.share_file_bytes() - layout.block_tree();
    let mut trailer = Vec::with_capacity(bytes as usize);
    for node in block_tree.nodes().iter().chain(sealed_tree.nodes()) {
        trailer.extend_from_slice(&node.0);
    }
    trailer.extend_from_slice(share_roots);
    trailer.extend_from_slice(ueb_bytes);
    trailer.extend_from_slice(&footer.encode());
    Ok(trailer)
}

/// The whole share file of a file of one segment.
///
/// # Errors
/// [`TrailerError`] if the block is not the one that UEB and share roots speak of.
pub fn build_single(
    header: &ShareHeader,
    block: &[u8],
    share_roots: &[u8],
    ueb_bytes: &[u8],
) -> Result<Vec<u8>, TrailerError> {
    let ueb = Ueb::decode(ueb_bytes)?;
    let expected = ueb.geometry().block_bytes(ueb.geometry().last());
    if ueb.segments() == 1 && block.len() != expected {
        return Err(TrailerError::BlockLength {
            expected,
            found: block.len(),
        });
    }
    let block_leaves = vec![merkle::block_leaf(block)];
    let trailer = build_trailer(
        header,
        block_leaves,
        vec![*ueb.sealed_root()],
        share_roots,
        ueb_bytes,
    )?;
    let mut file = Vec::with_capacity(HEADER_BYTES + block.len() + trailer.len());
    file.extend_from_slice(&header.encode());
    file.extend_from_slice(block);
    file.extend_from_slice(&trailer);
    Ok(file)
}

/// The root that this share's block tree must have.
fn check_share_roots(ueb: &Ueb, share_roots: &[u8], header: &ShareHeader) -> Result<Hash, TrailerError> {
    let (roots, rest) = share_roots.as_chunks::<{ Hash::BYTES }>();
    if roots.len() != ueb.coding().n() || !rest.is_empty() {
        return Err(TrailerError::ShareRoots);
    }
    let roots: Vec<Hash> = roots.iter().copied().map(Hash).collect();
    if merkle::share_root(&roots) != Some(*ueb.share_root()) {
        return Err(TrailerError::ShareRoots);
    }
    roots
        .get(header.share.index())
        .copied()
        .ok_or(TrailerError::ShareRoots)
}
