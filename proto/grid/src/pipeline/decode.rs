//! From blocks to plaintext.

use bytes::Bytes;

use super::verify::{self, BadBlock, FetchedBlock};
use super::{FileFacts, Stage};
use crate::{
    engines::Engines,
    erasure::Codec,
    ids::{SegmentIndex, ShareNumber},
    keys::ReadKey,
    sealing::{SealError, Sealer},
};

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
    /// The file has no such share; only when shares are rebuilt.
    #[error("the file has no share {share}")]
    NoSuchShare {
        /// Which share.
        share: ShareNumber,
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
    let enough = verify::enough(facts, segment, blocks, &mut passed)?;
    let mut data = decoder
        .codec
        .decode(&enough.present())
        .expect("k different verified blocks of one length");
    let ueb = facts.ueb();
    let k = ueb.coding().k();
    let pieces = data.chunks_exact(ueb.geometry().block_bytes(segment)).enumerate();
    let restored: Vec<&[u8]> = pieces
        .filter(|(index, _)| enough.given(*index).is_none())
        .map(|(_, block)| block)
        .collect();
    if enough.data_leaves(k, &restored).is_none() {
        return Err(DecodeError::Inconsistent { segment });
    }
    passed(Stage::Decode);
    data.truncate(ueb.geometry().sealed_bytes(segment));
    decoder.sealer.open(segment, ueb.is_last(segment), &mut data)?;
    passed(Stage::Open);
    Ok(DecodedSegment {
        plaintext: data.freeze(),
        bad: enough.bad,
    })
}
