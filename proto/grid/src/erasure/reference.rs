//! The reference engine: the code as `reed-solomon-novelpoly` computes it, one column of symbols at a time. Slow, and
//! only for checks and as the way out when the fast engine fails its check.

use bytes::BytesMut;
use reed_solomon_novelpoly::f2e16::{
    Additive, FIELD_SIZE, Multiplier, encode_low_plain, eval_error_polynomial, reconstruct_sub,
};

use crate::{geometry::BLOCK_UNIT_BYTES, ids::ShareNumber, params::Coding};

pub(super) struct Reference {
    coding: Coding,
    /// K: data symbols of a codeword, those from k up always zero.
    data_symbols: usize,
    /// Symbols of a codeword, of which those from K + n − k up are never made.
    codeword_symbols: usize,
}

impl Reference {
    pub(super) fn new(coding: Coding) -> Self {
        let data_symbols = coding.k().next_power_of_two();
        let codeword_symbols = (data_symbols + coding.recovery()).next_power_of_two();
        Self {
            coding,
            data_symbols,
            codeword_symbols,
        }
    }

    /// The recovery blocks of k data blocks that are wanted, joined; they count from 0.
    pub(super) fn encode(&self, data: &[&[u8]], block_bytes: usize, wanted: &[usize]) -> BytesMut {
        let mut joined = BytesMut::zeroed(wanted.len() * block_bytes);
        let mut column = vec![Additive(0); self.codeword_symbols];
        let mut codeword = vec![Additive(0); self.codeword_symbols];
        for symbol in 0..block_bytes / 2 {
            for (slot, block) in column.iter_mut().zip(data) {
                *slot = Additive(get(block, symbol));
            }
            encode_low_plain(&column, self.data_symbols, &mut codeword, self.codeword_symbols);
            let recovery = &codeword[self.data_symbols..];
            for (block, index) in joined.chunks_exact_mut(block_bytes).zip(wanted) {
                put(block, symbol, recovery[*index].0);
            }
        }
        joined
    }

    /// Writes the missing data blocks, ascending, each into its place.
    pub(super) fn fill(&self, chosen: &[(ShareNumber, &[u8])], block_bytes: usize, places: &mut [&mut [u8]]) {
        let k = self.coding.k();
        let position = |share: ShareNumber| match share.index().checked_sub(k) {
            None => share.index(),
            Some(recovery) => self.data_symbols + recovery,
        };
        let mut erased = vec![true; self.codeword_symbols];
        erased[k..self.data_symbols].fill(false);
        for (share, _) in chosen {
            erased[position(*share)] = false;
        }
        let mut locator: Box<[Multiplier; FIELD_SIZE]> = vec![Multiplier(0); FIELD_SIZE]
            .try_into()
            .expect("a vector of the field's size makes an array of it");
        eval_error_polynomial(&erased, &mut locator[..], FIELD_SIZE);
        let missing: Vec<usize> = (0..k).filter(|&index| erased[index]).collect();
        let mut column: Vec<Option<Additive>> = erased
            .iter()
            .map(|&erased| (!erased).then_some(Additive(0)))
            .collect();
        for symbol in 0..block_bytes / 2 {
            for (share, block) in chosen {
                column[position(*share)] = Some(Additive(get(block, symbol)));
            }
            let restored = reconstruct_sub(
                &column,
                &erased,
                self.codeword_symbols,
                self.data_symbols,
                &locator,
            )
            .expect("it returns no error");
            for (index, place) in missing.iter().zip(places.iter_mut()) {
                let value = u16::from_be_bytes([restored[2 * index], restored[2 * index + 1]]);
                put(place, symbol, value);
            }
        }
    }
}

/// Where the low byte of a symbol is; its high byte is 32 further on.
const fn low_byte(symbol: usize) -> usize {
    symbol / 32 * BLOCK_UNIT_BYTES + symbol % 32
}

fn get(block: &[u8], symbol: usize) -> u16 {
    u16::from_le_bytes([block[low_byte(symbol)], block[low_byte(symbol) + 32]])
}

fn put(block: &mut [u8], symbol: usize, value: u16) {
    let [low, high] = value.to_le_bytes();
    block[low_byte(symbol)] = low;
    block[low_byte(symbol) + 32] = high;
}
