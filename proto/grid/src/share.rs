//! The share file: one share of one file as it lies on a storage node's disk.
//!
//! ```text
//! header (64)  blocks in order  block tree  sealed tree  share roots (32 n)  UEB  footer (192)
//! ```
//!
//! It is written once, front to back, while the length of the file is still unknown; the trees are stored row by row,
//! leaves first. The footer repeats the header and holds all offsets, so that one read at the end of the file tells where
//! everything is. All offsets follow from the shape of the file: a footer that says anything else is refused.
//!
//! This module makes and checks the bytes; reading and writing them is for others.

mod build;
mod footer;
mod verify;

use crate::{
    geometry::Geometry,
    ids::{Hash, SegmentIndex, ShareNumber, StorageIndex},
    merkle::TreeShape,
    params::{Coding, ParamsError, check_segment_bytes},
    ueb,
};

pub use build::{TrailerError, build_single, build_trailer};
pub use footer::{FOOTER_BYTES, Footer, FooterError};
pub use verify::{Part, VerifiedShare, VerifyError, verify_share};

/// Length of the header, bytes: blocks begin on a multiple of 64.
pub const HEADER_BYTES: usize = 64;
/// First bytes of a share file.
pub const HEADER_MAGIC: [u8; 8] = *b"TRUCKEE\x01";
/// The version that this code writes and reads.
pub const SHARE_VERSION: u32 = 1;

/// Why bytes are not the header of a share file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not a share file, or its first bytes are damaged.
    #[error("no share file begins like this")]
    Magic,
    /// Made by a later version.
    #[error("share file version {version} is not known here: a newer version of the software is needed")]
    Version {
        /// The version that it says.
        version: u32,
    },
    /// k, n or segment size out of bounds.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The share number is not below n.
    #[error("share {share} does not exist in a {coding} file")]
    Share {
        /// The number.
        share: u16,
        /// The code.
        coding: Coding,
    },
    /// Bytes without meaning are not zero.
    #[error("the reserved bytes of the header are not zero")]
    Reserved,
}

/// What is known of a share before its first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareHeader {
    /// The name of the file.
    pub si: StorageIndex,
    /// Which share; below n.
    pub share: ShareNumber,
    /// The code.
    pub coding: Coding,
    /// Plaintext bytes of every segment but the last.
    pub segment_bytes: u32,
}

impl ShareHeader {
    /// The bytes with which the file begins.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&HEADER_MAGIC);
        out[8..12].copy_from_slice(&SHARE_VERSION.to_be_bytes());
        out[12..28].copy_from_slice(&self.si.0);
        out[28..30].copy_from_slice(&u16::from(self.share.0).to_be_bytes());
        out[30..32].copy_from_slice(&(self.coding.k() as u16).to_be_bytes());
        out[32..34].copy_from_slice(&(self.coding.n() as u16).to_be_bytes());
        out[36..40].copy_from_slice(&self.segment_bytes.to_be_bytes());
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`HeaderError`] for anything that [`Self::encode`] does not give.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        if bytes[..8] != HEADER_MAGIC {
            return Err(HeaderError::Magic);
        }
        let version = u32_at(bytes, 8);
        if version != SHARE_VERSION {
            return Err(HeaderError::Version { version });
        }
        let si = StorageIndex(std::array::from_fn(|i| bytes[12 + i]));
        let (number, k, n) = (u16_at(bytes, 28), u16_at(bytes, 30), u16_at(bytes, 32));
        let coding = Coding::new(k.into(), n.into())?;
        let segment_bytes = check_segment_bytes(u32_at(bytes, 36).into())?;
        let share = ShareNumber::from_index(number.into())
            .filter(|&share| coding.has(share))
            .ok_or(HeaderError::Share {
                share: number,
                coding,
            })?;
        let header = Self {
            si,
            share,
            coding,
            segment_bytes,
        };
        if header.encode() == *bytes {
            Ok(header)
        } else {
            Err(HeaderError::Reserved)
        }
    }
}

/// Where everything lies in a share file; offsets in bytes from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareLayout {
    geometry: Geometry,
    tree: TreeShape,
}

impl ShareLayout {
    /// The layout of the shares of a file of this shape.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let tree = TreeShape::new(geometry.segments()).expect("every file has a segment");
        Self { geometry, tree }
    }

    /// The shape of the file.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The shape of the block tree and of the sealed tree.
    #[must_use]
    pub const fn tree(&self) -> TreeShape {
        self.tree
    }

    /// Where a block lies, and its length; `None` if the file has no such segment.
    #[must_use]
    pub fn block(&self, segment: SegmentIndex) -> Option<(u64, usize)> {
        let offset = HEADER_BYTES as u64 + self.geometry.block_offset(segment);
        self.geometry
            .has(segment)
            .then(|| (offset, self.geometry.block_bytes(segment)))
    }

    /// Where the block tree begins: the first byte of the trailer.
    #[must_use]
    pub fn block_tree(&self) -> u64 {
        HEADER_BYTES as u64 + self.geometry.share_blocks_bytes()
    }

    /// Where the sealed tree begins.
    #[must_use]
    pub fn sealed_tree(&self) -> u64 {
        self.block_tree() + self.tree.bytes()
    }

    /// Where the n share roots begin.
    #[must_use]
    pub fn share_roots(&self) -> u64 {
        self.sealed_tree() + self.tree.bytes()
    }

    /// Length of the share roots, bytes.
    #[must_use]
    pub const fn share_roots_bytes(&self) -> usize {
        self.geometry.coding().n() * Hash::BYTES
    }

    /// Where the UEB begins.
    #[must_use]
    pub fn ueb(&self) -> u64 {
        self.share_roots() + self.share_roots_bytes() as u64
    }

    /// Length of the UEB, bytes.
    #[must_use]
    pub fn ueb_bytes(&self) -> usize {
        ueb::encoded_bytes(&self.geometry)
    }

    /// Where the footer begins.
    #[must_use]
    pub fn footer(&self) -> u64 {
        self.ueb() + self.ueb_bytes() as u64
    }

    /// Length of the share file, bytes.
    #[must_use]
    pub fn share_file_bytes(&self) -> u64 {
        self.footer() + FOOTER_BYTES as u64
    }

    /// Where the nodes of a block's authentication path lie, 32 bytes each, from the leaf upwards.
    #[must_use]
    pub fn block_path(&self, segment: SegmentIndex) -> Vec<u64> {
        self.path(self.block_tree(), segment)
    }

    /// Where a segment's leaf in the sealed tree and then the nodes of its authentication path lie, 32 bytes each: in this
    /// order they go to a reader.
    #[must_use]
    pub fn sealed_path(&self, segment: SegmentIndex) -> Vec<u64> {
        if !self.geometry.has(segment) {
            return Vec::new();
        }
        let leaf = self.sealed_tree() + segment.0 * Hash::BYTES as u64;
        std::iter::once(leaf)
            .chain(self.path(self.sealed_tree(), segment))
            .collect()
    }

    fn path(&self, tree: u64, segment: SegmentIndex) -> Vec<u64> {
        let positions = self.tree.path_positions(segment.0);
        positions
            .into_iter()
            .map(|position| tree + position * Hash::BYTES as u64)
            .collect()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cfg(test)]
mod tests;
