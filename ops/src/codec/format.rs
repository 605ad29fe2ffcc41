//! The share file of `truckee codec`: what stands where, and how damage shows.
//!
//! ```text
//! head     64 bytes   "TRKCODEC", version u16, k u16, n u16, share number u16, segment bytes u32, 12 zero bytes,
//!                     then the checksum of these 32 bytes
//! blocks              for each segment: its block of this share, then the block's checksum (32 bytes)
//! tail                "TRKCDEND", file bytes u64, segments u64, bytes of a full block u32, of the last block u32,
//!                     n x 32 bytes: the roots of the checksum trees of all shares,
//!                     then the checksum of the head and all of the tail before it
//! ```
//!
//! Numbers are big-endian. A segment is cut into k data blocks (the last one filled up with zeros), each a multiple of 64
//! bytes; blocks k to n − 1 are those of the mesh's own erasure code. A block's checksum also covers the share number and
//! the segment's index, so that blocks that changed places are found like damaged ones. Checksums are TurboSHAKE128; the
//! tree over them has the shape of the mesh's hash trees. Two shares belong together if their tails agree on everything.
//!
//! There is no secret in it: a share shows its part of the file to whoever has it.

use truckee_grid::merkle;
use truckee_grid::{Coding, Hash};

/// Bytes of the head.
pub const HEAD_BYTES: usize = 64;

/// Bytes of a checksum.
pub const CHECK_BYTES: usize = 32;

/// File bytes coded together. As in the mesh: large enough for full speed, small enough that k + n blocks are no burden.
pub const SEGMENT_BYTES: u32 = 1 << 20;

/// Largest segment that is read. A larger one would be a way to make the reader allocate what a stranger wants.
const SEGMENT_BYTES_MAX: u32 = 16 << 20;

/// The format described above.
const VERSION: u16 = 1;

/// Blocks come in multiples of this, for the code works on 64 bytes at a time.
const BLOCK_UNIT_BYTES: u64 = 64;

const HEAD_MAGIC: &[u8; 8] = b"TRKCODEC";
const TAIL_MAGIC: &[u8; 8] = b"TRKCDEND";

/// Bytes of the tail before the roots.
const TAIL_FIXED_BYTES: usize = 32;

/// Why a file is no share, or not a sound one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareFlaw {
    /// Shorter than any share.
    #[error("it is too short to be a share")]
    Short,
    /// Another kind of file.
    #[error("it is no share file")]
    Foreign,
    /// A format of a later program.
    #[error("it has format {0}, which a newer truckee writes")]
    Version(u16),
    /// The head is damaged.
    #[error("its head is damaged")]
    Head,
    /// The tail is damaged or missing.
    #[error("its end is damaged or cut off")]
    Tail,
}

/// The start of a share file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// k and n.
    pub coding: Coding,
    /// Which of the n shares.
    pub number: u8,
    /// File bytes coded together.
    pub segment_bytes: u32,
}

impl Head {
    /// The bytes on disk.
    #[must_use]
    pub fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(HEAD_MAGIC);
        let words = [
            VERSION,
            small(self.coding.k()),
            small(self.coding.n()),
            u16::from(self.number),
        ];
        for (at, word) in words.into_iter().enumerate() {
            bytes[8 + 2 * at..10 + 2 * at].copy_from_slice(&word.to_be_bytes());
        }
        bytes[16..20].copy_from_slice(&self.segment_bytes.to_be_bytes());
        let check = merkle::block_leaf(&bytes[..32]);
        bytes[32..].copy_from_slice(&check.0);
        bytes
    }

    /// Reads the bytes on disk.
    ///
    /// # Errors
    /// [`ShareFlaw`] says what is wrong with them.
    pub fn parse(bytes: &[u8; HEAD_BYTES]) -> Result<Head, ShareFlaw> {
        if &bytes[..8] != HEAD_MAGIC {
            return Err(ShareFlaw::Foreign);
        }
        if bytes[32..] != merkle::block_leaf(&bytes[..32]).0 {
            return Err(ShareFlaw::Head);
        }
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        if word(8) != VERSION {
            return Err(ShareFlaw::Version(word(8)));
        }
        let coding = Coding::new(u32::from(word(10)), u32::from(word(12))).map_err(|_| ShareFlaw::Head)?;
        let number = u8::try_from(word(14)).map_err(|_| ShareFlaw::Head)?;
        let segment_bytes = u32::from_be_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        let sound = usize::from(number) < coding.n()
            && (1..=SEGMENT_BYTES_MAX).contains(&segment_bytes)
            && bytes[20..32] == [0; 12];
        if !sound {
            return Err(ShareFlaw::Head);
        }
        Ok(Head {
            coding,
            number,
            segment_bytes,
        })
    }

    /// Bytes of the tail of such a share.
    #[must_use]
    pub fn tail_bytes(&self) -> usize {
        TAIL_FIXED_BYTES + self.coding.n() * CHECK_BYTES + CHECK_BYTES
    }
}

/// The end of a share file: what is known only when the whole file was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tail {
    /// Length of the file that was split.
    pub file_bytes: u64,
    /// Root of each share's checksum tree; zeros for an empty file.
    pub roots: Vec<Hash>,
}

impl Tail {
    /// The bytes on disk of the share with this head.
    #[must_use]
    pub fn encode(&self, head: &Head) -> Vec<u8> {
        let shape = Shape::new(head.coding, head.segment_bytes, self.file_bytes);
        let mut bytes = Vec::with_capacity(head.tail_bytes());
        bytes.extend_from_slice(TAIL_MAGIC);
        bytes.extend_from_slice(&self.file_bytes.to_be_bytes());
        bytes.extend_from_slice(&shape.segments.to_be_bytes());
        bytes.extend_from_slice(&shape.full_block_bytes.to_be_bytes());
        bytes.extend_from_slice(&shape.last_block_bytes.to_be_bytes());
        for root in &self.roots {
            bytes.extend_from_slice(&root.0);
        }
        let check = merkle::block_leaf(&[&head.encode()[..], &bytes].concat());
        bytes.extend_from_slice(&check.0);
        bytes
    }

    /// Reads the bytes on disk. What they say twice must agree.
    ///
    /// # Errors
    /// [`ShareFlaw::Tail`] if anything is wrong.
    pub fn parse(head: &Head, bytes: &[u8]) -> Result<Tail, ShareFlaw> {
        if bytes.len() != head.tail_bytes() {
            return Err(ShareFlaw::Tail);
        }
        let mut file_bytes = [0; 8];
        file_bytes.copy_from_slice(&bytes[8..16]);
        let roots = bytes[TAIL_FIXED_BYTES..bytes.len() - CHECK_BYTES].chunks_exact(CHECK_BYTES);
        let tail = Tail {
            file_bytes: u64::from_be_bytes(file_bytes),
            roots: roots.map(hash_of).collect(),
        };
        if tail.file_bytes > Shape::file_bytes_max(head.segment_bytes) || tail.encode(head) != bytes {
            return Err(ShareFlaw::Tail);
        }
        Ok(tail)
    }
}

/// Every length that follows from k, n, the segment size and the length of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Segments; none for an empty file.
    pub segments: u64,
    /// Bytes of the block of a full segment.
    pub full_block_bytes: u32,
    /// Bytes of the block of the last segment.
    pub last_block_bytes: u32,
    segment_bytes: u32,
    file_bytes: u64,
}

impl Shape {
    /// Works them out.
    #[must_use]
    pub fn new(coding: Coding, segment_bytes: u32, file_bytes: u64) -> Shape {
        let segments = file_bytes.div_ceil(u64::from(segment_bytes));
        let last = file_bytes - segments.saturating_sub(1) * u64::from(segment_bytes);
        Shape {
            segments,
            full_block_bytes: block_bytes(coding, u64::from(segment_bytes)),
            last_block_bytes: block_bytes(coding, last),
            segment_bytes,
            file_bytes,
        }
    }

    /// Longest file whose share offsets all fit comfortably into 64 bits.
    fn file_bytes_max(segment_bytes: u32) -> u64 {
        (1 << 50) / u64::from(SEGMENT_BYTES_MAX) * u64::from(segment_bytes)
    }

    /// Bytes of the file in segment `index`.
    #[must_use]
    pub fn plain_bytes(&self, index: u64) -> usize {
        let before = index * u64::from(self.segment_bytes);
        (self.file_bytes - before).min(u64::from(self.segment_bytes)) as usize
    }

    /// Bytes of the block of segment `index`.
    #[must_use]
    pub fn block_bytes(&self, index: u64) -> usize {
        let last = index + 1 == self.segments;
        (if last {
            self.last_block_bytes
        } else {
            self.full_block_bytes
        }) as usize
    }

    /// Where the block of segment `index` starts in the share file.
    #[must_use]
    pub fn block_offset(&self, index: u64) -> u64 {
        HEAD_BYTES as u64 + index * (u64::from(self.full_block_bytes) + CHECK_BYTES as u64)
    }

    /// Where the tail starts.
    #[must_use]
    pub fn tail_offset(&self) -> u64 {
        match self.segments.checked_sub(1) {
            None => HEAD_BYTES as u64,
            Some(last) => self.block_offset(last) + u64::from(self.last_block_bytes) + CHECK_BYTES as u64,
        }
    }
}

/// Bytes of each of the k blocks of a segment of `plain_bytes`.
#[must_use]
pub fn block_bytes(coding: Coding, plain_bytes: u64) -> u32 {
    let bytes = plain_bytes
        .div_ceil(coding.k() as u64)
        .next_multiple_of(BLOCK_UNIT_BYTES);
    u32::try_from(bytes).expect("segments have at most 16 MiB")
}

/// The checksum of a block, given the plain hash of its bytes: binds it to its place.
#[must_use]
pub fn placed(block: &Hash, number: u8, segment: u64) -> Hash {
    let mut place = [0; 9];
    place[0] = number;
    place[1..].copy_from_slice(&segment.to_be_bytes());
    merkle::node(block, &merkle::block_leaf(&place))
}

/// The checksum in `bytes`, which has just its length.
pub(super) fn hash_of(bytes: &[u8]) -> Hash {
    let mut hash = [0; CHECK_BYTES];
    hash.copy_from_slice(bytes);
    Hash(hash)
}

fn small(count: usize) -> u16 {
    u16::try_from(count).expect("a coding has at most 256 shares")
}
