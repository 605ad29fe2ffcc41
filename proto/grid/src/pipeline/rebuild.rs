//! From some blocks of a segment to the blocks of other shares, without a key: how lost shares are made again.
//!
//! What is made is what the uploader made, to the last bit, or nothing: the blocks given are checked against the file's
//! trees, the data blocks against the sealed leaf, and [`RebuiltTrees`] tells in the end whether a share made anew is the
//! one that the file speaks of. An uploader whose shares contradict each other is found and what it did is not spread.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::verify::{self, BadBlock, FetchedBlock};
use super::{DecodeError, FileFacts, Stage};
use crate::{
    engines::Engines,
    erasure::Codec,
    ids::{Hash, SegmentIndex, ShareNumber},
    merkle::{self, Frontier},
    params::Coding,
};

/// Rebuilds the segments of one file. Holds scratch space; may move between threads.
#[derive(Debug)]
pub struct SegmentRebuilder {
    codec: Codec,
}

impl SegmentRebuilder {
    /// A rebuilder for files of this shape.
    #[must_use]
    pub fn new(coding: Coding, engines: Engines) -> Self {
        Self {
            codec: Codec::new(coding, engines.erasure),
        }
    }
}

/// The block of a share, as the uploader made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuiltBlock {
    /// Which share.
    pub share: ShareNumber,
    /// Its block of the segment.
    pub block: Bytes,
    /// The leaf of the share's block tree.
    pub leaf: Hash,
}

/// Blocks of one segment that were made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuiltSegment {
    /// One for each share that was wanted, in that order. Data blocks are slices of one allocation, recovery blocks of
    /// another, and a share that was among those given is what was given.
    pub blocks: Vec<RebuiltBlock>,
    /// The segment's leaf in the sealed tree.
    pub sealed_leaf: Hash,
    /// Blocks that were not used because they are bad.
    pub bad: Vec<BadBlock>,
}

/// Makes the blocks of the `wanted` shares of one segment from at least k blocks, of which some may be bad as long as k
/// are good.
///
/// What it costs, and no more: one hash of each block given; of the data blocks that were not given, restoring them and
/// one hash of each, because only that shows that the uploader's shares belong together; one computation of the recovery
/// blocks if one is wanted that was not given, and one copy and one hash of each of these. Blocks given are not copied,
/// and a wanted share that was given costs nothing. With k data blocks given nothing is restored.
///
/// # Errors
/// [`DecodeError`] says whether other blocks would help, and which are bad.
pub fn rebuild_segment(
    rebuilder: &mut SegmentRebuilder,
    facts: &FileFacts,
    segment: SegmentIndex,
    blocks: Vec<FetchedBlock>,
    wanted: &[ShareNumber],
) -> Result<RebuiltSegment, DecodeError> {
    rebuild_segment_watched(rebuilder, facts, segment, blocks, wanted, |_| {})
}

/// [`rebuild_segment`] that calls `passed` at the end of each stage, for whoever has a clock.
///
/// # Errors
/// As [`rebuild_segment`].
pub fn rebuild_segment_watched(
    rebuilder: &mut SegmentRebuilder,
    facts: &FileFacts,
    segment: SegmentIndex,
    blocks: Vec<FetchedBlock>,
    wanted: &[ShareNumber],
    mut passed: impl FnMut(Stage),
) -> Result<RebuiltSegment, DecodeError> {
    let coding = facts.ueb().coding();
    if let Some(&share) = wanted.iter().find(|&&share| !coding.has(share)) {
        return Err(DecodeError::NoSuchShare { share });
    }
    let enough = verify::enough(facts, segment, blocks, &mut passed)?;
    let codec = &mut rebuilder.codec;
    let restored = codec.restore(&enough.present()).expect(VERIFIED);
    let pieces: Vec<&[u8]> = restored.iter().map(|block| &block[..]).collect();
    let Some(leaves) = enough.data_leaves(coding.k(), &pieces) else {
        return Err(DecodeError::Inconsistent { segment });
    };
    passed(Stage::Decode);
    let mut known: BTreeMap<ShareNumber, (Bytes, Hash)> = BTreeMap::new();
    for good in &enough.good {
        known.insert(good.share, (good.block.clone(), good.leaf));
    }
    let lacking = (0..coding.k()).filter(|index| enough.given(*index).is_none());
    for (index, block) in lacking.zip(restored) {
        known.extend(ShareNumber::from_index(index).map(|share| (share, (block, leaves[index]))));
    }
    let unknown: BTreeSet<ShareNumber> = wanted
        .iter()
        .filter(|share| !known.contains_key(share))
        .copied()
        .collect();
    let unknown: Vec<ShareNumber> = unknown.into_iter().collect();
    // Data shares have the smallest numbers.
    let data = known.values().take(coding.k());
    let data: Vec<&[u8]> = data.map(|(block, _)| &block[..]).collect();
    let made = codec.encode_some(&data, &unknown).expect(VERIFIED);
    passed(Stage::Code);
    let pieces: Vec<&[u8]> = made.iter().map(|block| &block[..]).collect();
    let leaves = merkle::block_leaves(&pieces);
    known.extend(unknown.into_iter().zip(made.into_iter().zip(leaves)));
    passed(Stage::Hash);
    let rebuilt = |&share: &ShareNumber| {
        let (block, leaf) = known.get(&share)?.clone();
        Some(RebuiltBlock { share, block, leaf })
    };
    Ok(RebuiltSegment {
        blocks: wanted.iter().filter_map(rebuilt).collect(),
        sealed_leaf: enough.sealed_leaf,
        bad: enough.bad,
    })
}

const VERIFIED: &str = "k different verified blocks of one length";

/// The block trees of shares that are being rebuilt, in memory that does not grow with the file.
#[derive(Debug, Clone, Default)]
pub struct RebuiltTrees {
    shares: BTreeMap<ShareNumber, Frontier>,
}

impl RebuiltTrees {
    /// The next segment, in the order of the segments; with each share once.
    pub fn push(&mut self, rebuilt: &RebuiltSegment) {
        for block in &rebuilt.blocks {
            self.shares.entry(block.share).or_default().push(block.leaf);
        }
    }

    /// Whether the share, after its last segment, is the one that the file speaks of. If it is not, then its uploader
    /// stored something else under its number than the data demand, and nobody may be given what was rebuilt.
    #[must_use]
    pub fn is_stored(&self, facts: &FileFacts, share: ShareNumber) -> bool {
        let root = self.shares.get(&share).and_then(Frontier::root);
        root.is_some() && root.as_ref() == facts.share_root(share)
    }
}

#[cfg(test)]
mod tests;
