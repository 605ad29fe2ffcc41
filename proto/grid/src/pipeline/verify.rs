//! Which blocks are as they were stored, and whether they are enough. What decoding and rebuilding have in common: both
//! use nothing that did not pass here.

use bytes::Bytes;

use super::{DecodeError, FileFacts, Stage};
use crate::{
    ids::{Hash, SegmentIndex, ShareNumber},
    merkle,
};

/// A block as a storage node sent it: not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedBlock {
    /// Of which share.
    pub share: ShareNumber,
    /// The block.
    pub block: Bytes,
    /// Authentication path in the share's block tree, leaf upwards, 32 bytes each.
    pub block_path: Bytes,
    /// The segment's leaf in the sealed tree, then its authentication path, leaf upwards, 32 bytes each.
    pub sealed_path: Bytes,
}

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBlockReason {
    /// The file has no such share.
    #[error("the file has no such share")]
    NoSuchShare,
    /// The share is there twice.
    #[error("the share was given twice")]
    Twice,
    /// It has not the length of a block of this segment.
    #[error("the block has {found} bytes instead of {expected}")]
    Length {
        /// By the shape of the file.
        expected: usize,
        /// As it came.
        found: usize,
    },
    /// Block and path do not lead to the share's root.
    #[error("the block is not the one that was stored")]
    Block,
    /// Sealed leaf and path do not lead to the sealed root.
    #[error("the segment's hash is not the one that was stored")]
    SealedPath,
}

/// A block that must not be used, and whose share should not be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadBlock {
    /// Of which share.
    pub share: ShareNumber,
    /// Why.
    pub why: BadBlockReason,
}

/// A block that is as it was stored.
pub(super) struct GoodBlock {
    pub(super) share: ShareNumber,
    pub(super) block: Bytes,
    pub(super) leaf: Hash,
}

/// Blocks of exactly k different shares that are as they were stored.
pub(super) struct Enough {
    /// Ascending by share number, so data blocks first.
    pub(super) good: Vec<GoodBlock>,
    /// What was given and is not as it was stored.
    pub(super) bad: Vec<BadBlock>,
    /// The segment's leaf in the sealed tree.
    pub(super) sealed_leaf: Hash,
}

impl Enough {
    /// The blocks as the erasure code takes them.
    pub(super) fn present(&self) -> Vec<(ShareNumber, &[u8])> {
        let blocks = self.good.iter();
        blocks.map(|good| (good.share, &good.block[..])).collect()
    }

    /// The block of a share, if it is one of the k.
    pub(super) fn given(&self, share: usize) -> Option<&GoodBlock> {
        self.good.iter().find(|good| good.share.index() == share)
    }

    /// The leaves of all k data blocks, if with `restored`, those that were not given, they are what the sealed leaf
    /// speaks of. Hashes the restored ones alone.
    pub(super) fn data_leaves(&self, k: usize, restored: &[&[u8]]) -> Option<Vec<Hash>> {
        let mut restored = merkle::block_leaves(restored).into_iter();
        let leaves: Vec<Hash> = (0..k)
            .filter_map(|index| {
                let given = self.given(index).map(|good| good.leaf);
                given.or_else(|| restored.next())
            })
            .collect();
        (merkle::sealed_leaf(&leaves) == self.sealed_leaf).then_some(leaves)
    }
}

/// Checks the blocks of one segment and gives k good ones. Hashes each block given.
///
/// # Errors
/// [`DecodeError`] if too few are good, or there is no such segment.
pub(super) fn enough(
    facts: &FileFacts,
    segment: SegmentIndex,
    blocks: Vec<FetchedBlock>,
    mut passed: impl FnMut(Stage),
) -> Result<Enough, DecodeError> {
    let ueb = facts.ueb();
    if !ueb.geometry().has(segment) {
        return Err(DecodeError::NoSuchSegment { segment });
    }
    let (mut good, bad, sealed_leaf) = verify(facts, segment, blocks);
    passed(Stage::Verify);
    let need = ueb.coding().k();
    let Some(sealed_leaf) = sealed_leaf.filter(|_| good.len() >= need) else {
        let good = good.iter().map(|block| block.share).collect();
        return Err(DecodeError::TooFew {
            segment,
            need,
            good,
            bad,
        });
    };
    good.truncate(need);
    Ok(Enough {
        good,
        bad,
        sealed_leaf,
    })
}

/// Checks blocks of any shares and segments of one file against its facts, without a key: one verdict for each, in order.
/// Whether the blocks of different shares belong together is for [`super::decode_segment`] to say.
#[must_use]
pub fn check_blocks(
    facts: &FileFacts,
    blocks: &[(SegmentIndex, FetchedBlock)],
) -> Vec<Result<(), BadBlockReason>> {
    let contents: Vec<&[u8]> = blocks.iter().map(|(_, block)| &block.block[..]).collect();
    let leaves = merkle::block_leaves(&contents);
    let checked = blocks.iter().zip(leaves);
    checked
        .map(|((segment, block), leaf)| check(facts, *segment, block, leaf, false).map(|_| ()))
        .collect()
}

/// Sorts good from bad; the good ones ascending by share number. With them the sealed leaf, if there is a good one.
fn verify(
    facts: &FileFacts,
    segment: SegmentIndex,
    mut blocks: Vec<FetchedBlock>,
) -> (Vec<GoodBlock>, Vec<BadBlock>, Option<Hash>) {
    blocks.sort_by_key(|block| block.share);
    let contents: Vec<&[u8]> = blocks.iter().map(|block| &block.block[..]).collect();
    let leaves = merkle::block_leaves(&contents);
    let (mut good, mut bad): (Vec<GoodBlock>, Vec<BadBlock>) = (Vec::new(), Vec::new());
    let mut sealed_leaf = None;
    let mut sealed_path: Option<Bytes> = None;
    for (block, leaf) in blocks.into_iter().zip(leaves) {
        let twice = good.last().is_some_and(|last| last.share == block.share);
        let known = sealed_path
            .as_ref()
            .is_some_and(|known| *known == block.sealed_path);
        let checked = if twice {
            Err(BadBlockReason::Twice)
        } else {
            check(facts, segment, &block, leaf, known)
        };
        match checked {
            Ok(found) => {
                sealed_leaf = sealed_leaf.or(found);
                sealed_path.get_or_insert(block.sealed_path);
                good.push(GoodBlock {
                    share: block.share,
                    block: block.block,
                    leaf,
                });
            }
            Err(why) => bad.push(BadBlock {
                share: block.share,
                why,
            }),
        }
    }
    (good, bad, sealed_leaf)
}

/// Checks one block; gives the sealed leaf unless its path is known to be good already.
fn check(
    facts: &FileFacts,
    segment: SegmentIndex,
    block: &FetchedBlock,
    leaf: Hash,
    sealed_path_known: bool,
) -> Result<Option<Hash>, BadBlockReason> {
    let ueb = facts.ueb();
    let segments = ueb.segments();
    let root = facts.share_root(block.share).ok_or(BadBlockReason::NoSuchShare)?;
    let expected = ueb.geometry().block_bytes(segment);
    let found = block.block.len();
    if found != expected {
        return Err(BadBlockReason::Length { expected, found });
    }
    let path = hashes(&block.block_path).ok_or(BadBlockReason::Block)?;
    if !merkle::verify_path(root, leaf, segment.0, segments, &path) {
        return Err(BadBlockReason::Block);
    }
    if sealed_path_known {
        return Ok(None);
    }
    let path = hashes(&block.sealed_path).ok_or(BadBlockReason::SealedPath)?;
    let (sealed_leaf, path) = path.split_first().ok_or(BadBlockReason::SealedPath)?;
    if !merkle::verify_path(ueb.sealed_root(), *sealed_leaf, segment.0, segments, path) {
        return Err(BadBlockReason::SealedPath);
    }
    Ok(Some(*sealed_leaf))
}

/// Rows of 32 bytes; at most a hundred, far more than any path has.
fn hashes(joined: &[u8]) -> Option<Vec<Hash>> {
    let (rows, rest) = joined.as_chunks::<{ Hash::BYTES }>();
    (rest.is_empty() && rows.len() <= 100).then(|| rows.iter().copied().map(Hash).collect())
}
