//! The erasure code: from k data blocks to n − k recovery blocks, and back from any k of the n.
//!
//! The code is that of `reed-solomon-novelpoly`: systematic Reed-Solomon over GF(2^16) in the novel polynomial basis. That
//! crate takes only powers of two for k, so the code is shortened: with K the next power of two, data symbols k to K − 1
//! are zero and never stored, and recovery block j is symbol K + j of a codeword whose length is the next power of two from
//! K + n − k. A block holds its symbols as `reed-solomon-simd` packs them: in each 64 bytes, 32 low bytes, then 32 high
//! bytes. The low-rate encoder of that crate makes the same symbols a hundred times faster, so it does the work, after it
//! has shown at start that it agrees with the reference (see [`crate::engines`]).
//!
//! Whatever the engine, data blocks that are there are only copied. Blocks are trusted here: hashes are checked before.

mod matrix;
mod reference;
mod simd;

use bytes::{Bytes, BytesMut};

use crate::{
    geometry::BLOCK_UNIT_BYTES,
    ids::ShareNumber,
    params::{Coding, ParamsError},
};

/// Which code computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErasureEngine {
    /// `reed-solomon-simd`.
    Simd,
    /// `reed-solomon-novelpoly`, which defines the symbols.
    Novelpoly,
}

impl ErasureEngine {
    /// For logs, metric labels and the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Simd => "simd",
            Self::Novelpoly => "novelpoly",
        }
    }
}

/// What the operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ErasureChoice {
    /// The fast engine if it agrees with the reference.
    #[default]
    Auto,
    /// The fast engine if it agrees with the reference; that it does not is then an error of the start.
    Simd,
    /// The reference.
    Novelpoly,
}

impl std::str::FromStr for ErasureChoice {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, UnknownChoice> {
        match text {
            "auto" => Ok(Self::Auto),
            "simd" => Ok(Self::Simd),
            "novelpoly" => Ok(Self::Novelpoly),
            _ => Err(UnknownChoice),
        }
    }
}

/// The configuration names no engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an erasure engine: use auto, simd or novelpoly")]
pub struct UnknownChoice;

/// What cannot be coded. All of it is checked by callers before; none of it depends on the content of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ErasureError {
    /// Fewer than k different shares.
    #[error("{have} shares are there, {need} are needed")]
    TooFew {
        /// Different shares given.
        have: usize,
        /// k.
        need: usize,
    },
    /// A share number from n up, or the same twice.
    #[error("share {share} does not belong into a {coding} file, or is given twice")]
    Share {
        /// The number.
        share: ShareNumber,
        /// The code.
        coding: Coding,
    },
    /// Blocks of different lengths, or of a length that is no multiple of 64.
    #[error(
        "blocks must all have one length, a multiple of {BLOCK_UNIT_BYTES} bytes: found {found} beside {expected}"
    )]
    BlockLength {
        /// Length of the first block.
        expected: usize,
        /// Length of the offender.
        found: usize,
    },
}

/// Codes blocks of one shape. Holds tables and scratch space: make one per worker and use it again.
pub struct Codec {
    coding: Coding,
    engine: EngineState,
}

enum EngineState {
    Simd(Box<simd::Simd>),
    Novelpoly(reference::Reference),
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Codec({}, {})", self.coding, self.engine().name())
    }
}

impl Codec {
    /// A codec of this shape.
    #[must_use]
    pub fn new(coding: Coding, engine: ErasureEngine) -> Self {
        let engine = match engine {
            ErasureEngine::Simd => EngineState::Simd(Box::new(simd::Simd::new(coding))),
            ErasureEngine::Novelpoly => EngineState::Novelpoly(reference::Reference::new(coding)),
        };
        Self { coding, engine }
    }

    /// The shape.
    #[must_use]
    pub const fn coding(&self) -> Coding {
        self.coding
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> ErasureEngine {
        match self.engine {
            EngineState::Simd(_) => ErasureEngine::Simd,
            EngineState::Novelpoly(_) => ErasureEngine::Novelpoly,
        }
    }

    /// The n − k recovery blocks of k data blocks, as slices of one allocation.
    ///
    /// # Errors
    /// [`ErasureError`] if there are not k blocks of one length.
    pub fn encode(&mut self, data: &[&[u8]]) -> Result<Vec<Bytes>, ErasureError> {
        let wanted: Vec<usize> = (0..self.coding.recovery()).collect();
        self.encode_rows(data, &wanted)
    }

    /// The blocks of some recovery shares, in the order of `wanted`, as slices of one allocation. The computation is that
    /// of all of them, but only those wanted are copied out of it.
    ///
    /// # Errors
    /// [`ErasureError`] if there are not k blocks of one length, or a share is no recovery share of this shape.
    pub fn encode_some(
        &mut self,
        data: &[&[u8]],
        wanted: &[ShareNumber],
    ) -> Result<Vec<Bytes>, ErasureError> {
        let coding = self.coding;
        let row = |&share: &ShareNumber| {
            let row = share.index().checked_sub(coding.k());
            row.filter(|_| coding.has(share))
                .ok_or(ErasureError::Share { share, coding })
        };
        let wanted: Vec<usize> = wanted.iter().map(row).collect::<Result<_, _>>()?;
        self.encode_rows(data, &wanted)
    }

    fn encode_rows(&mut self, data: &[&[u8]], wanted: &[usize]) -> Result<Vec<Bytes>, ErasureError> {
        let need = self.coding.k();
        if data.len() != need {
            return Err(ErasureError::TooFew {
                have: data.len(),
                need,
            });
        }
        let block_bytes = check_lengths(data.iter().copied())?;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        Ok(match &mut self.engine {
            EngineState::Simd(simd) => simd.encode(data, block_bytes, wanted),
            EngineState::Novelpoly(reference) => {
                let mut joined = reference.encode(data, block_bytes, wanted).freeze();
                wanted.iter().map(|_| joined.split_to(block_bytes)).collect()
            }
        })
    }

    /// The k data blocks, one after the other, from any k shares. More than k may be given; the data blocks among them are
    /// preferred.
    ///
    /// # Errors
    /// [`ErasureError`] if fewer than k shares are there, or they do not fit together.
    pub fn decode(&mut self, present: &[(ShareNumber, &[u8])]) -> Result<BytesMut, ErasureError> {
        let chosen = self.choose(present)?;
        let block_bytes = chosen[0].1.len();
        let k = self.coding.k();
        let mut out = BytesMut::zeroed(0);
        out.reserve(k * block_bytes);
        let mut given = chosen.iter().copied().peekable();
        for index in 0..k {
            match given.next_if(|(share, _)| share.index() == index) {
                Some((_, block)) => out.extend_from_slice(block),
                None => out.resize((index + 1) * block_bytes, 0),
            }
        }
        let lacking = self.lacking(&chosen);
        let places = out.chunks_exact_mut(block_bytes).enumerate();
        let mut missing: Vec<&mut [u8]> = places
            .filter(|(index, _)| lacking.binary_search(index).is_ok())
            .map(|(_, place)| place)
            .collect();
        self.fill(&chosen, block_bytes, &mut missing);
        Ok(out)
    }

    /// Only the data blocks that are not among the shares given, ascending, as slices of one allocation. None of those
    /// given is copied.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn restore(&mut self, present: &[(ShareNumber, &[u8])]) -> Result<Vec<Bytes>, ErasureError> {
        let chosen = self.choose(present)?;
        let block_bytes = chosen[0].1.len();
        let lacking = self.lacking(&chosen).len();
        let mut joined = BytesMut::zeroed(lacking * block_bytes);
        let mut missing: Vec<&mut [u8]> = joined.chunks_exact_mut(block_bytes).collect();
        self.fill(&chosen, block_bytes, &mut missing);
        let mut joined = joined.freeze();
        Ok((0..lacking).map(|_| joined.split_to(block_bytes)).collect())
    }

    /// Writes the data blocks that `chosen` lacks into `missing`: a place of zeros for each, ascending.
    fn fill(&mut self, chosen: &[(ShareNumber, &[u8])], block_bytes: usize, missing: &mut [&mut [u8]]) {
        if missing.is_empty() {
            return;
        }
        match &mut self.engine {
            EngineState::Simd(simd) => simd.fill(chosen, block_bytes, missing),
            EngineState::Novelpoly(reference) => reference.fill(chosen, block_bytes, missing),
        }
    }

    /// The data blocks that are not among the k chosen, ascending.
    fn lacking(&self, chosen: &[(ShareNumber, &[u8])]) -> Vec<usize> {
        let given = |index: &usize| {
            let found = chosen.binary_search_by_key(index, |(share, _)| share.index());
            found.is_ok()
        };
        (0..self.coding.k()).filter(|index| !given(index)).collect()
    }

    /// Exactly k of the shares given, ascending, as many data blocks among them as there are.
    fn choose<'a>(
        &self,
        present: &[(ShareNumber, &'a [u8])],
    ) -> Result<Vec<(ShareNumber, &'a [u8])>, ErasureError> {
        let mut chosen = present.to_vec();
        chosen.sort_unstable_by_key(|(share, _)| *share);
        let twice = chosen
            .windows(2)
            .find(|pair| pair[0].0 == pair[1].0)
            .map(|pair| pair[0].0);
        let beyond = chosen
            .last()
            .map(|(share, _)| *share)
            .filter(|&share| !self.coding.has(share));
        if let Some(share) = twice.or(beyond) {
            return Err(ErasureError::Share {
                share,
                coding: self.coding,
            });
        }
        let need = self.coding.k();
        if chosen.len() < need {
            return Err(ErasureError::TooFew {
                have: chosen.len(),
                need,
            });
        }
        check_lengths(chosen.iter().map(|(_, block)| *block))?;
        chosen.truncate(need);
        Ok(chosen)
    }
}

fn check_lengths<'a>(mut blocks: impl Iterator<Item = &'a [u8]>) -> Result<usize, ErasureError> {
    let expected = blocks.next().map_or(0, <[u8]>::len);
    if expected == 0 || !expected.is_multiple_of(BLOCK_UNIT_BYTES) {
        return Err(ErasureError::BlockLength {
            expected,
            found: expected,
        });
    }
    match blocks.find(|block| block.len() != expected) {
        Some(block) => Err(ErasureError::BlockLength {
            expected,
            found: block.len(),
        }),
        None => Ok(expected),
    }
}

/// Shapes on which the engines are compared at start: k below, at and above powers of two and n − k, and the extremes.
const CHECK_SHAPES: [(u32, u32); 9] = [
    (1, 2),
    (2, 3),
    (3, 10),
    (4, 12),
    (7, 20),
    (8, 9),
    (5, 6),
    (33, 64),
    (255, 256),
];

/// The first shape on which the engines do not make the same recovery blocks, or the fast one does not restore the data
/// from them; `None` if they agree on all.
pub(crate) fn first_disagreement() -> Result<Option<Coding>, ParamsError> {
    for (k, n) in CHECK_SHAPES {
        let coding = Coding::new(k, n)?;
        if !agree_on(coding) {
            return Ok(Some(coding));
        }
    }
    Ok(None)
}

fn agree_on(coding: Coding) -> bool {
    let k = coding.k();
    let bytes: Vec<u8> = (0..k * BLOCK_UNIT_BYTES)
        .map(|i| ((i * i) >> 3) as u8 ^ (i * 151) as u8)
        .collect();
    let data: Vec<&[u8]> = bytes.chunks_exact(BLOCK_UNIT_BYTES).collect();
    let mut fast = Codec::new(coding, ErasureEngine::Simd);
    let mut reference = Codec::new(coding, ErasureEngine::Novelpoly);
    let (Ok(made), Ok(expected)) = (fast.encode(&data), reference.encode(&data)) else {
        return false;
    };
    if made != expected {
        return false;
    }
    let data = data.iter().enumerate().map(|(index, block)| (index, *block));
    let recovery = made
        .iter()
        .enumerate()
        .map(|(index, block)| (k + index, &block[..]));
    let last_k: Vec<(ShareNumber, &[u8])> = data
        .chain(recovery)
        .skip(coding.recovery())
        .filter_map(|(index, block)| Some((ShareNumber::from_index(index)?, block)))
        .collect();
    fast.decode(&last_k).is_ok_and(|restored| restored == bytes)
}

#[cfg(test)]
mod tests;
