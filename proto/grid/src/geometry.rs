//! Every length and offset that follows from file size, segment size and k. Nobody else computes one.
//!
//! A segment of p plaintext bytes becomes p + 16 sealed bytes. These are padded with zeros to k blocks of equal length, a
//! multiple of 64 bytes; data block i is the i-th slice of the padded segment. All segments but the last are full.

use std::ops::Range;

use crate::{
    ids::SegmentIndex,
    params::{Coding, ParamsError, SEGMENTS_MAX, check_segment_bytes},
};

/// What sealing adds to a segment, bytes: the Poly1305 tag.
pub const TAG_BYTES: usize = 16;
/// Blocks have a multiple of this many bytes: 32 symbols of GF(2^16), their low bytes first, then their high bytes.
pub const BLOCK_UNIT_BYTES: usize = 64;

/// Why no file can have such a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// A file without bytes has no segments; it lives in its cap.
    #[error("an empty file has no segments")]
    Empty,
    /// The file has more segments than allowed.
    #[error(
        "{file_bytes} bytes in segments of {segment_bytes} bytes are more than {SEGMENTS_MAX} segments: use larger segments"
    )]
    TooLong {
        /// Plaintext bytes of the file.
        file_bytes: u64,
        /// Plaintext bytes of a full segment.
        segment_bytes: u32,
    },
    /// The segment size is not allowed.
    #[error(transparent)]
    Params(#[from] ParamsError),
}

/// The shape of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    file_bytes: u64,
    segment_bytes: u32,
    coding: Coding,
    segments: u64,
}

impl Geometry {
    /// The shape of a file of `file_bytes` plaintext bytes.
    ///
    /// # Errors
    /// [`GeometryError`] for an empty or too long file, or a segment size out of bounds.
    pub fn new(file_bytes: u64, segment_bytes: u32, coding: Coding) -> Result<Self, GeometryError> {
        check_segment_bytes(segment_bytes.into())?;
        if file_bytes == 0 {
            return Err(GeometryError::Empty);
        }
        let segments = file_bytes.div_ceil(segment_bytes.into());
        if segments > SEGMENTS_MAX {
            return Err(GeometryError::TooLong {
                file_bytes,
                segment_bytes,
            });
        }
        Ok(Self {
            file_bytes,
            segment_bytes,
            coding,
            segments,
        })
    }

    /// Plaintext bytes of the file.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Plaintext bytes of a full segment.
    #[must_use]
    pub const fn segment_bytes(&self) -> u32 {
        self.segment_bytes
    }

    /// The code.
    #[must_use]
    pub const fn coding(&self) -> Coding {
        self.coding
    }

    /// Number of segments, at least 1.
    #[must_use]
    pub const fn segments(&self) -> u64 {
        self.segments
    }

    /// Whether the file has this segment.
    #[must_use]
    pub const fn has(&self, segment: SegmentIndex) -> bool {
        segment.0 < self.segments
    }

    /// The last segment.
    #[must_use]
    pub const fn last(&self) -> SegmentIndex {
        SegmentIndex(self.segments - 1)
    }

    /// Whether this is the last segment.
    #[must_use]
    pub const fn is_last(&self, segment: SegmentIndex) -> bool {
        segment.0 + 1 == self.segments
    }

    /// Plaintext bytes of a segment; 0 beyond the end.
    #[must_use]
    pub fn plain_bytes(&self, segment: SegmentIndex) -> usize {
        let range = self.plain_range(segment);
        (range.end - range.start) as usize
    }

    /// Where in the file the plaintext of a segment lies; empty beyond the end.
    #[must_use]
    pub fn plain_range(&self, segment: SegmentIndex) -> Range<u64> {
        let step = u64::from(self.segment_bytes);
        let start = segment.0.saturating_mul(step).min(self.file_bytes);
        start..start.saturating_add(step).min(self.file_bytes)
    }

    /// Sealed bytes of a segment.
    #[must_use]
    pub fn sealed_bytes(&self, segment: SegmentIndex) -> usize {
        self.plain_bytes(segment) + TAG_BYTES
    }

    /// Bytes of each of the n blocks of a segment.
    #[must_use]
    pub fn block_bytes(&self, segment: SegmentIndex) -> usize {
        block_bytes(self.plain_bytes(segment), self.coding)
    }

    /// Bytes of each block of a full segment, also when the file has none that is full.
    #[must_use]
    pub fn full_block_bytes(&self) -> usize {
        block_bytes(self.segment_bytes as usize, self.coding)
    }

    /// Bytes of all blocks of one share before this segment's; of all of them for the segment after the last.
    #[must_use]
    pub fn block_offset(&self, segment: SegmentIndex) -> u64 {
        let full = self.full_block_bytes() as u64;
        if segment.0 < self.segments {
            return segment.0 * full;
        }
        (self.segments - 1) * full + self.block_bytes(self.last()) as u64
    }

    /// Bytes of all blocks of one share.
    #[must_use]
    pub fn share_blocks_bytes(&self) -> u64 {
        self.block_offset(SegmentIndex(self.segments))
    }

    /// The segments that hold a range of plaintext bytes, cut to the file; empty for an empty range.
    #[must_use]
    pub fn segments_of(&self, bytes: &Range<u64>) -> Range<u64> {
        let end = bytes.end.min(self.file_bytes);
        if bytes.start >= end {
            return 0..0;
        }
        let step = u64::from(self.segment_bytes);
        bytes.start / step..end.div_ceil(step)
    }
}

/// Bytes of each block of a segment with `plain_bytes` of plaintext.
#[must_use]
pub fn block_bytes(plain_bytes: usize, coding: Coding) -> usize {
    (plain_bytes + TAG_BYTES)
        .div_ceil(coding.k())
        .next_multiple_of(BLOCK_UNIT_BYTES)
}

/// Bytes of a segment sealed and padded: the capacity to give a buffer for `plain_bytes` of plaintext, so that sealing and
/// cutting into data blocks happen in place.
#[must_use]
pub fn buffer_bytes(plain_bytes: usize, coding: Coding) -> usize {
    block_bytes(plain_bytes, coding) * coding.k()
}

#[cfg(test)]
mod tests;
