//! The parameters of an encoding, valid by construction.

use std::fmt;

/// Most shares that a file can have: the share number is one byte.
pub const SHARES_MAX: u16 = 256;
/// Segment size unless told otherwise: large enough that per-segment costs vanish, small enough that a window of several
/// segments of many uploads fits in memory.
pub const SEGMENT_BYTES_DEFAULT: u32 = 1 << 20;
/// Smallest segment: below it, hashes and messages outweigh the data. Meant for tests.
pub const SEGMENT_BYTES_MIN: u32 = 1 << 10;
/// Largest segment: a block of it (k = 1) must fit into one message.
pub const SEGMENT_BYTES_MAX: u32 = 16 << 20;
/// Segments have a multiple of this many bytes: the unit in which the erasure code packs its symbols.
pub const SEGMENT_BYTES_UNIT: u32 = 64;
/// Most segments of a file: bounds the leaves that a storage node keeps for an open share to 2 × 32 MiB. At the default
/// segment size a file can have 1 TiB.
pub const SEGMENTS_MAX: u64 = 1 << 20;
/// The longest file at any segment size, bytes.
pub const FILE_BYTES_MAX: u64 = SEGMENTS_MAX * SEGMENT_BYTES_MAX as u64;

/// Why parameters are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// k or n is zero.
    #[error("{k}-of-{n} is no coding: at least one share must exist and be needed")]
    Zero {
        /// Shares needed.
        k: u32,
        /// Shares made.
        n: u32,
    },
    /// More shares than numbers for them.
    #[error("{n} shares are too many: at most {SHARES_MAX} can be made")]
    TooManyShares {
        /// Shares made.
        n: u32,
    },
    /// More shares needed than made.
    #[error("{k} shares cannot be needed when only {n} are made")]
    NeedsMoreThanMade {
        /// Shares needed.
        k: u32,
        /// Shares made.
        n: u32,
    },
    /// All shares needed: nothing may be lost, which only a single share can mean.
    #[error("{k}-of-{k} survives no loss: make more shares than are needed")]
    NoRedundancy {
        /// Shares needed and made.
        k: u32,
    },
    /// `happy` is not between 1 and n.
    #[error("happy = {happy} must lie between 1 and n = {n}")]
    Happy {
        /// Distinct peers that must hold a share.
        happy: u32,
        /// Shares made.
        n: u32,
    },
    /// The segment size is out of bounds or not a multiple of the unit.
    #[error(
        "segments of {segment_bytes} bytes: must be a multiple of {SEGMENT_BYTES_UNIT} from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}"
    )]
    SegmentBytes {
        /// The size refused.
        segment_bytes: u64,
    },
}

/// k-of-n: any k of n shares restore the file. 1 ≤ k ≤ n ≤ 256, and k < n unless both are 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coding {
    k: u16,
    n: u16,
}

impl Coding {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`ParamsError`] says which bound is broken.
    pub fn new(k: u32, n: u32) -> Result<Self, ParamsError> {
        if k == 0 || n == 0 {
            return Err(ParamsError::Zero { k, n });
        }
        if n > u32::from(SHARES_MAX) {
            return Err(ParamsError::TooManyShares { n });
        }
        if k > n {
            return Err(ParamsError::NeedsMoreThanMade { k, n });
        }
        if k == n && n != 1 {
            return Err(ParamsError::NoRedundancy { k });
        }
        let (Ok(k), Ok(n)) = (u16::try_from(k), u16::try_from(n)) else {
            return Err(ParamsError::TooManyShares { n });
        };
        Ok(Self { k, n })
    }

    /// Shares needed.
    #[must_use]
    pub const fn k(self) -> usize {
        self.k as usize
    }

    /// Shares made.
    #[must_use]
    pub const fn n(self) -> usize {
        self.n as usize
    }

    /// Shares beyond the k that hold the data itself.
    #[must_use]
    pub const fn recovery(self) -> usize {
        (self.n - self.k) as usize
    }

    /// Whether a file so coded has a share of this number.
    #[must_use]
    pub const fn has(self, share: crate::ids::ShareNumber) -> bool {
        share.index() < self.n as usize
    }

    /// All share numbers, ascending.
    pub fn shares(self) -> impl ExactSizeIterator<Item = crate::ids::ShareNumber> + Clone {
        (0..self.n).map(|number| crate::ids::ShareNumber(number as u8))
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-of-{}", self.k, self.n)
    }
}

impl fmt::Debug for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a file is encoded and when its upload counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding {
    coding: Coding,
    happy: u16,
    segment_bytes: u32,
}

impl Encoding {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`ParamsError`] says which bound is broken.
    pub fn new(coding: Coding, happy: u32, segment_bytes: u32) -> Result<Self, ParamsError> {
        let refused = ParamsError::Happy {
            happy,
            n: coding.n.into(),
        };
        let happy_short = u16::try_from(happy).map_err(|_| refused)?;
        if happy_short == 0 || happy_short > coding.n {
            return Err(refused);
        }
        check_segment_bytes(segment_bytes.into())?;
        Ok(Self {
            coding,
            happy: happy_short,
            segment_bytes,
        })
    }

    /// The code.
    #[must_use]
    pub const fn coding(&self) -> Coding {
        self.coding
    }

    /// Distinct peers that must hold a share before the upload is a success.
    #[must_use]
    pub const fn happy(&self) -> usize {
        self.happy as usize
    }

    /// Plaintext bytes of every segment but the last.
    #[must_use]
    pub const fn segment_bytes(&self) -> u32 {
        self.segment_bytes
    }
}

impl Default for Encoding {
    /// 3-of-10, happy 7, segments of 1 MiB.
    fn default() -> Self {
        Self {
            coding: Coding { k: 3, n: 10 },
            happy: 7,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
        }
    }
}

/// Whether segments may have this size.
///
/// # Errors
/// [`ParamsError::SegmentBytes`] if not.
pub fn check_segment_bytes(segment_bytes: u64) -> Result<u32, ParamsError> {
    let refused = ParamsError::SegmentBytes { segment_bytes };
    let short = u32::try_from(segment_bytes).map_err(|_| refused)?;
    let bounded = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&short);
    if bounded && short.is_multiple_of(SEGMENT_BYTES_UNIT) {
        Ok(short)
    } else {
        Err(refused)
    }
}

#[cfg(test)]
mod tests;
