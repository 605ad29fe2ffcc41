//! From blocks to plaintext.

use bytes::Bytes;

use super::{FileFacts, Stage};
use crate::{
    engines::Engines,
    erasure::Codec,
    ids::{Hash, SegmentIndex, ShareNumber},
    keys::ReadKey,
    merkle,
    sealing::{SealError, Sealer},
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

/// Why a segment cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Too few of the blocks are good: get others.
    #[error("segment {segment}: {} of the {need} blocks needed are good, {} are bad", good.len(), bad.len())]
    TooFew {
        /// Which segment.
        segment: SegmentIndex,
        /// k.
        need: usize,
        /// Shares whose blocks are good and may be given again.
        good: Vec<ShareNumber>,
        /// Those to replace.
        bad: Vec<BadBlock>,
    },
    /// The file has no such segment.
    #[error("the file has no segment {segment}")]
    NoSuchSegment {
        /// Which segment.
        segment: SegmentIndex,
    },
    /// All blocks are as stored, but they are not shares of one segment: the uploader was broken or malicious. No other
    /// block helps.
    #[error("segment {segment} was stored wrongly by its uploader: its shares contradict each other")]
    Inconsistent {
        /// Which segment.
        segment: SegmentIndex,
    },
    /// All blocks are as stored, but the key does not open them.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A segment of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedSegment {
    /// Verified plaintext.
    pub plaintext: Bytes,
    /// Blocks that were not used because they are bad.
    pub bad: Vec<BadBlock>,
}

/// Decodes the segments of one file. Holds the key and scratch space; may move between threads.
#[derive(Debug)]
pub struct SegmentDecoder {
    sealer: Sealer,
    codec: Codec,
}

impl SegmentDecoder {
    /// A decoder for the file of these facts.
    #[must_use]
    pub fn new(facts: &FileFacts, key: &ReadKey, engines: Engines) -> Self {
        Self {
            sealer: Sealer::new(key.cipher_key(), engines.sealing),
            codec: Codec::new(facts.ueb().coding(), engines.erasure),
        }
    }
}

struct GoodBlock {
    share: ShareNumber,
    block: Bytes,
    leaf: Hash,
}

/// Decodes one segment from at least k blocks, of which some may be bad as long as k are good. Hashes each block given,
/// and each data block that had to be restored.
///
/// # Errors
/// [`DecodeError`] says whether other blocks would help, and which are bad.
pub fn decode_segment(
    decoder: &mut SegmentDecoder,
    facts: &FileFacts,
    segment: SegmentIndex,
    blocks: Vec<FetchedBlock>,
) -> Result<DecodedSegment, DecodeError> {
    decode_segment_watched(decoder, facts, segment, blocks, |_| {})
}

/// [`decode_segment`] that calls `passed` at the end of each stage, for whoever has a clock.
///
/// # Errors
/// As [`decode_segment`].
pub fn decode_segment_watched(
    decoder: &mut SegmentDecoder,
    facts: &FileFacts,
    segment: SegmentIndex,
    blocks: Vec<FetchedBlock>,
    mut passed: impl FnMut(Stage),
) -> Result<DecodedSegment, DecodeError> {
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
    let present: Vec<(ShareNumber, &[u8])> = good.iter().map(|good| (good.share, &good.block[..])).collect();
    let mut data = decoder
        .codec
        .decode(&present)
        .expect("k different verified blocks of one length");
    let block_bytes = ueb.geometry().block_bytes(segment);
    if sealed_leaf_of(&data, block_bytes, need, &good) != sealed_leaf {
        return Err(DecodeError::Inconsistent { segment });
    }
    passed(Stage::Decode);
    data.truncate(ueb.geometry().sealed_bytes(segment));
    decoder.sealer.open(segment, ueb.is_last(segment), &mut data)?;
    passed(Stage::Open);
    Ok(DecodedSegment {
        plaintext: data.freeze(),
        bad,
    })
}

/// Checks blocks of any shares and segments of one file against its facts, without a key: one verdict for each, in order.
/// Whether the blocks of different shares belong together is for [`decode_segment`] to say.
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

/// The sealed leaf of restored data: only the data blocks that did not come with a verified leaf are hashed.
fn sealed_leaf_of(data: &[u8], block_bytes: usize, k: usize, good: &[GoodBlock]) -> Hash {
    let blocks: Vec<&[u8]> = data.chunks_exact(block_bytes).collect();
    let given = |index: usize| {
        good.iter()
            .find(|good| good.share.index() == index)
            .map(|good| good.leaf)
    };
    let restored: Vec<&[u8]> = (0..k)
        .filter(|&index| given(index).is_none())
        .map(|index| blocks[index])
        .collect();
    let mut restored = merkle::block_leaves(&restored).into_iter();
    let leaves: Vec<Hash> = (0..k)
        .filter_map(|index| given(index).or_else(|| restored.next()))
        .collect();
    merkle::sealed_leaf(&leaves)
}

/// Rows of 32 bytes; at most a hundred, far more than any path has.
fn hashes(joined: &[u8]) -> Option<Vec<Hash>> {
    let (rows, rest) = joined.as_chunks::<{ Hash::BYTES }>();
    (rest.is_empty() && rows.len() <= 100).then(|| rows.iter().copied().map(Hash).collect())
}
