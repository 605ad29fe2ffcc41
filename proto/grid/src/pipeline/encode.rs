//! From plaintext to blocks, leaves, and in the end the UEB.

use bytes::{Bytes, BytesMut};

use super::Stage;
use crate::{
    engines::Engines,
    erasure::Codec,
    geometry::{self, Geometry, GeometryError},
    ids::{Hash, SegmentIndex},
    keys::ReadKey,
    merkle::{self, Frontier},
    params::{Coding, Encoding},
    sealing::Sealer,
    ueb::Ueb,
};

/// A segment of a length that its place forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Every segment but the last is full, and the last is neither empty nor longer.
    #[error(
        "segment {segment} has {found} bytes: all are of {segment_bytes}, only the last may have fewer, and none is empty"
    )]
    Length {
        /// Which segment.
        segment: SegmentIndex,
        /// Its plaintext, bytes.
        found: usize,
        /// Plaintext of a full segment, bytes.
        segment_bytes: u32,
    },
}

/// Encodes the segments of one file. Holds the key and scratch space; may move between threads.
#[derive(Debug)]
pub struct SegmentCoder {
    sealer: Sealer,
    codec: Codec,
    segment_bytes: u32,
}

impl SegmentCoder {
    /// `key` must be of this file alone.
    #[must_use]
    pub fn new(encoding: &Encoding, key: &ReadKey, engines: Engines) -> Self {
        Self {
            sealer: Sealer::new(key.cipher_key(), engines.sealing),
            codec: Codec::new(encoding.coding(), engines.erasure),
            segment_bytes: encoding.segment_bytes(),
        }
    }
}

/// What becomes of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedSegment {
    /// One block for each share. The first k are slices of one allocation, the others of another.
    pub blocks: Vec<Bytes>,
    /// One leaf for each share's block tree.
    pub block_leaves: Vec<Hash>,
    /// The segment's leaf in the sealed tree.
    pub sealed_leaf: Hash,
}

/// Encodes one segment. No copy is made of the plaintext if its buffer has the capacity that
/// [`geometry::buffer_bytes`] says.
///
/// # Errors
/// [`EncodeError`] if the segment has not the length that its place demands.
pub fn encode_segment(
    coder: &mut SegmentCoder,
    segment: SegmentIndex,
    plaintext: BytesMut,
    last: bool,
) -> Result<EncodedSegment, EncodeError> {
    encode_segment_watched(coder, segment, plaintext, last, |_| {})
}

/// [`encode_segment`] that calls `passed` at the end of each stage, for whoever has a clock.
///
/// # Errors
/// As [`encode_segment`].
pub fn encode_segment_watched(
    coder: &mut SegmentCoder,
    segment: SegmentIndex,
    plaintext: BytesMut,
    last: bool,
    mut passed: impl FnMut(Stage),
) -> Result<EncodedSegment, EncodeError> {
    let (found, full) = (plaintext.len(), coder.segment_bytes as usize);
    let fits = if last {
        (1..=full).contains(&found)
    } else {
        found == full
    };
    if !fits {
        return Err(EncodeError::Length {
            segment,
            found,
            segment_bytes: coder.segment_bytes,
        });
    }
    let coding = coder.codec.coding();
    let block_bytes = geometry::block_bytes(found, coding);
    let mut buffer = plaintext;
    buffer.reserve(block_bytes * coding.k() - found);
    coder.sealer.seal(segment, last, &mut buffer);
    passed(Stage::Seal);
    buffer.resize(block_bytes * coding.k(), 0);
    let mut sealed = buffer.freeze();
    let mut blocks: Vec<Bytes> = (0..coding.k()).map(|_| sealed.split_to(block_bytes)).collect();
    let data: Vec<&[u8]> = blocks.iter().map(|block| &block[..]).collect();
    let recovery = coder
        .codec
        .encode(&data)
        .expect("k blocks of one length that is a multiple of 64");
    blocks.extend(recovery);
    passed(Stage::Code);
    let all: Vec<&[u8]> = blocks.iter().map(|block| &block[..]).collect();
    let block_leaves = merkle::block_leaves(&all);
    let sealed_leaf = merkle::sealed_leaf(&block_leaves[..coding.k()]);
    passed(Stage::Hash);
    Ok(EncodedSegment {
        blocks,
        block_leaves,
        sealed_leaf,
    })
}

/// Why the segments pushed are not a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealFileError {
    /// No file has this length in such segments.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The file has another number of segments than were pushed.
    #[error("a file of this length has {expected} segments, {found} were encoded")]
    Segments {
        /// By its length.
        expected: u64,
        /// As pushed.
        found: u64,
    },
}

/// The trees of a file that is being uploaded, in memory that does not grow with it.
#[derive(Debug, Clone)]
pub struct FileTrees {
    coding: Coding,
    blocks: Vec<Frontier>,
    sealed: Frontier,
}

/// What stands at the end of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSeal {
    /// What a reader must know.
    pub ueb: Ueb,
    /// Its encoding, which goes to every storage node.
    pub ueb_bytes: Bytes,
    /// Its hash, which goes into the cap.
    pub ueb_hash: Hash,
    /// The roots of the n block trees.
    pub share_roots: Vec<Hash>,
}

impl FileSeal {
    /// The share roots as they travel and lie on disk: joined.
    #[must_use]
    pub fn share_roots_bytes(&self) -> Bytes {
        self.share_roots.iter().flat_map(|root| root.0).collect()
    }
}

impl FileTrees {
    /// No segments yet.
    #[must_use]
    pub fn new(coding: Coding) -> Self {
        Self {
            coding,
            blocks: vec![Frontier::new(); coding.n()],
            sealed: Frontier::new(),
        }
    }

    /// Segments so far.
    #[must_use]
    pub const fn segments(&self) -> u64 {
        self.sealed.count()
    }

    /// The leaves of the next segment, in the order of the segments.
    pub fn push(&mut self, block_leaves: &[Hash], sealed_leaf: Hash) {
        debug_assert_eq!(block_leaves.len(), self.blocks.len());
        for (frontier, leaf) in self.blocks.iter_mut().zip(block_leaves) {
            frontier.push(*leaf);
        }
        self.sealed.push(sealed_leaf);
    }

    /// The UEB, after the last segment of a file of `file_bytes` plaintext bytes.
    ///
    /// # Errors
    /// [`SealFileError`] if the segments pushed are not those of such a file.
    pub fn finish(&self, file_bytes: u64, segment_bytes: u32) -> Result<FileSeal, SealFileError> {
        let geometry = Geometry::new(file_bytes, segment_bytes, self.coding)?;
        let segments = SealFileError::Segments {
            expected: geometry.segments(),
            found: self.segments(),
        };
        if geometry.segments() != self.segments() {
            return Err(segments);
        }
        let share_roots: Vec<Hash> = self.blocks.iter().filter_map(Frontier::root).collect();
        let (Some(sealed_root), Some(share_root)) = (self.sealed.root(), merkle::share_root(&share_roots))
        else {
            return Err(segments);
        };
        let ueb = Ueb::new(geometry, sealed_root, share_root);
        let ueb_bytes = Bytes::from(ueb.encode());
        Ok(FileSeal {
            ueb,
            ueb_hash: ueb.hash(),
            ueb_bytes,
            share_roots,
        })
    }
}
