//! The fast engine: the low-rate encoder of `reed-solomon-simd` (its default would pick another code for some shapes),
//! and two decoders: for few missing blocks a product with the inverted part of the generator matrix, for many the
//! library's own.
//!
//! Each 64 bytes of the blocks are coded by themselves. So the encoder, which wants its input and gives its output in a
//! buffer of its own, is given a strip of all blocks after the other, short enough that this buffer stays in the
//! processor's cache.

use bytes::{Bytes, BytesMut};
use reed_solomon_simd::{
    engine::DefaultEngine,
    rate::{LowRateDecoder, LowRateEncoder, RateDecoder, RateEncoder},
};

use super::matrix::{Generator, Restorer};
use crate::{geometry::BLOCK_UNIT_BYTES, ids::ShareNumber, params::Coding};

/// Up to so many missing data blocks, the matrix restores faster than the library's decoder, whose cost hardly depends
/// on their number (measured: the product of one block and one coefficient runs at several GB/s, the decoder at about
/// 0.3 GB/s of data).
const MATRIX_MISSING_MAX: usize = 24;

/// Length of the encoder's buffer, for all rows of a strip together: a part of the smallest second-level caches.
const STRIPS_BYTES: usize = 128 * 1024;

pub(super) struct Simd {
    coding: Coding,
    /// `None` for 1-of-1, which has no recovery blocks.
    encoder: Option<LowRateEncoder<DefaultEngine>>,
    decoder: Option<LowRateDecoder<DefaultEngine>>,
    generator: Option<Generator>,
    /// For the shares of the last decoding: those of the next segment are likely the same.
    restorer: Option<Restorer>,
    shape_error: &'static str,
}

impl Simd {
    pub(super) fn new(coding: Coding) -> Self {
        let shape_error = "every coding has a shape that the library takes, and blocks are checked before";
        let encoder = (coding.recovery() > 0).then(|| {
            let unit = BLOCK_UNIT_BYTES;
            LowRateEncoder::new(coding.k(), coding.recovery(), unit, DefaultEngine::new(), None)
                .expect(shape_error)
        });
        Self {
            coding,
            encoder,
            decoder: None,
            generator: None,
            restorer: None,
            shape_error,
        }
    }

    /// The recovery blocks of k data blocks that are wanted, as slices of one allocation; they count from 0.
    pub(super) fn encode(&mut self, data: &[&[u8]], block_bytes: usize, wanted: &[usize]) -> Vec<Bytes> {
        let (k, recovery) = (self.coding.k(), self.coding.recovery());
        let Some(encoder) = &mut self.encoder else {
            return Vec::new();
        };
        let mut room = BytesMut::with_capacity(wanted.len() * block_bytes);
        let mut blocks: Vec<BytesMut> = wanted
            .iter()
            .map(|_| {
                let rest = room.split_off(block_bytes);
                std::mem::replace(&mut room, rest)
            })
            .collect();
        let rows = k.next_power_of_two() + recovery;
        let strip_bytes = (STRIPS_BYTES / rows).next_multiple_of(BLOCK_UNIT_BYTES);
        for start in (0..block_bytes).step_by(strip_bytes) {
            let strip = start..block_bytes.min(start + strip_bytes);
            encoder.reset(k, recovery, strip.len()).expect(self.shape_error);
            for block in data {
                encoder
                    .add_original_shard(&block[strip.clone()])
                    .expect(self.shape_error);
            }
            let encoded = encoder.encode().expect(self.shape_error);
            for (block, index) in blocks.iter_mut().zip(wanted) {
                block.extend_from_slice(encoded.recovery(*index).expect(self.shape_error));
            }
        }
        blocks.into_iter().map(BytesMut::freeze).collect()
    }

    /// Writes the missing data blocks, ascending, each into its place.
    pub(super) fn fill(
        &mut self,
        chosen: &[(ShareNumber, &[u8])],
        block_bytes: usize,
        missing: &mut [&mut [u8]],
    ) {
        if missing.len() > MATRIX_MISSING_MAX {
            self.fill_by_library(chosen, block_bytes, missing);
            return;
        }
        let shares: Vec<ShareNumber> = chosen.iter().map(|(share, _)| *share).collect();
        if self
            .restorer
            .as_ref()
            .is_none_or(|restorer| restorer.shares() != shares)
        {
            let generator = match self.generator.take() {
                Some(generator) => generator,
                None => self.generator(),
            };
            self.restorer = Some(Restorer::new(&generator, &shares));
            self.generator = Some(generator);
        }
        if let Some(restorer) = &mut self.restorer {
            let blocks: Vec<&[u8]> = chosen.iter().map(|(_, block)| *block).collect();
            restorer.restore(&blocks, missing);
        }
    }

    /// The generator matrix: data block i gets the symbol 1 in column i, so row j of the recovery part is what recovery
    /// block j then holds.
    fn generator(&mut self) -> Generator {
        let k = self.coding.k();
        let block_bytes = (2 * k).next_multiple_of(BLOCK_UNIT_BYTES);
        let low_byte = |symbol: usize| symbol / 32 * BLOCK_UNIT_BYTES + symbol % 32;
        let mut units = vec![0; k * block_bytes];
        for (index, block) in units.chunks_exact_mut(block_bytes).enumerate() {
            block[low_byte(index)] = 1;
        }
        let units: Vec<&[u8]> = units.chunks_exact(block_bytes).collect();
        let all: Vec<usize> = (0..self.coding.recovery()).collect();
        let encoded = self.encode(&units, block_bytes, &all);
        let row = |block: &[u8]| -> Vec<u16> {
            let symbol = |at: usize| u16::from_le_bytes([block[low_byte(at)], block[low_byte(at) + 32]]);
            (0..k).map(symbol).collect()
        };
        Generator::new(k, encoded.iter().map(|block| row(block)).collect())
    }

    fn fill_by_library(
        &mut self,
        chosen: &[(ShareNumber, &[u8])],
        block_bytes: usize,
        missing: &mut [&mut [u8]],
    ) {
        let (k, recovery) = (self.coding.k(), self.coding.recovery());
        let decoder = self.decoder.get_or_insert_with(|| {
            LowRateDecoder::new(k, recovery, block_bytes, DefaultEngine::new(), None).expect(self.shape_error)
        });
        decoder.reset(k, recovery, block_bytes).expect(self.shape_error);
        for (share, block) in chosen {
            match share.index().checked_sub(k) {
                None => decoder.add_original_shard(share.index(), block),
                Some(index) => decoder.add_recovery_shard(index, block),
            }
            .expect(self.shape_error);
        }
        let decoded = decoder.decode().expect(self.shape_error);
        for (place, (_, block)) in missing.iter_mut().zip(decoded.restored_original_iter()) {
            place.copy_from_slice(block);
        }
    }
}
