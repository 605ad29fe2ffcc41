//! Restoring missing data blocks by a matrix product.
//!
//! With P the data blocks that are there, M those that are missing, and R as many recovery blocks as are missing:
//! R = G·P + H·M, where G and H are columns of the generator matrix. So M = H⁻¹·R + H⁻¹·G·P, in a field where minus is
//! plus. The product with a constant is the library's vectorised one, over pieces small enough to stay in the first-level
//! cache.

use reed_solomon_simd::engine::{
    DefaultEngine, Engine as _, GF_MODULUS, GfElement,
    tables::{ExpLog, get_exp_log},
};

use crate::{geometry::BLOCK_UNIT_BYTES, ids::ShareNumber};

/// Units of 64 bytes that are worked on at a time: 8 KiB of scratch and 8 KiB of result fit the smallest first-level cache.
const PIECE_UNITS: usize = 128;

/// The rows of the generator matrix that make recovery blocks: k coefficients each.
pub(super) struct Generator {
    k: usize,
    rows: Vec<Vec<GfElement>>,
}

impl Generator {
    pub(super) const fn new(k: usize, rows: Vec<Vec<GfElement>>) -> Self {
        Self { k, rows }
    }
}

/// Restores the data blocks that are missing from one set of k shares.
pub(super) struct Restorer {
    shares: Vec<ShareNumber>,
    /// For each missing data block, ascending: by what to multiply each of the shares.
    rows: Vec<Vec<GfElement>>,
    engine: DefaultEngine,
    scratch: Vec<[u8; BLOCK_UNIT_BYTES]>,
}

impl Restorer {
    /// `shares` are k, ascending.
    pub(super) fn new(generator: &Generator, shares: &[ShareNumber]) -> Self {
        let k = generator.k;
        let field = Field::new();
        let data = shares.partition_point(|share| share.index() < k);
        let there: Vec<usize> = shares[..data].iter().map(|share| share.index()).collect();
        let missing: Vec<usize> = (0..k)
            .filter(|index| there.binary_search(index).is_err())
            .collect();
        let used: Vec<&Vec<GfElement>> = shares[data..]
            .iter()
            .map(|share| &generator.rows[share.index() - k])
            .collect();
        let square = used
            .iter()
            .map(|row| missing.iter().map(|&column| row[column]).collect())
            .collect();
        let inverse = field.invert(square);
        let row = |inverse: &Vec<GfElement>| {
            let of_there = there.iter().map(|&column| {
                let terms = inverse.iter().zip(&used);
                terms.fold(0, |sum, (&factor, row)| sum ^ field.multiply(factor, row[column]))
            });
            of_there.chain(inverse.iter().copied()).collect()
        };
        let rows = inverse.iter().map(row).collect();
        Self {
            shares: shares.to_vec(),
            rows,
            engine: DefaultEngine::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn shares(&self) -> &[ShareNumber] {
        &self.shares
    }

    /// Adds the missing blocks, ascending, each into its place, which is zero. `blocks` are those of the shares.
    pub(super) fn restore(&mut self, blocks: &[&[u8]], missing: &mut [&mut [u8]]) {
        let field = Field::new();
        let Self {
            rows,
            engine,
            scratch,
            ..
        } = self;
        for (place, row) in missing.iter_mut().zip(rows) {
            let (out, _) = place.as_chunks_mut::<BLOCK_UNIT_BYTES>();
            for (start, sum) in (0..).step_by(PIECE_UNITS).zip(out.chunks_mut(PIECE_UNITS)) {
                for (&factor, block) in row.iter().zip(blocks).filter(|(factor, _)| **factor != 0) {
                    let (units, _) = block.as_chunks::<BLOCK_UNIT_BYTES>();
                    scratch.clear();
                    scratch.extend_from_slice(&units[start..start + sum.len()]);
                    engine.mul(scratch, field.log(factor));
                    add(sum, scratch);
                }
            }
        }
    }
}

fn add(sum: &mut [[u8; BLOCK_UNIT_BYTES]], term: &[[u8; BLOCK_UNIT_BYTES]]) {
    for (sum, term) in sum.as_flattened_mut().iter_mut().zip(term.as_flattened()) {
        *sum ^= term;
    }
}

/// GF(2^16) as the library's tables have it.
struct Field(&'static ExpLog);

impl Field {
    fn new() -> Self {
        Self(get_exp_log())
    }

    /// The logarithm of an element that is not zero.
    fn log(&self, element: GfElement) -> GfElement {
        self.0.log[usize::from(element)]
    }

    fn multiply(&self, a: GfElement, b: GfElement) -> GfElement {
        if a == 0 || b == 0 {
            return 0;
        }
        let modulus = u32::from(GF_MODULUS);
        let sum = (u32::from(self.log(a)) + u32::from(self.log(b))) % modulus;
        self.0.exp[sum as usize]
    }

    /// The inverse of an element that is not zero.
    fn inverse(&self, element: GfElement) -> GfElement {
        self.0.exp[usize::from((GF_MODULUS - self.log(element)) % GF_MODULUS)]
    }

    /// Gauss-Jordan. Every square part of the generator of a code in which any k shares restore all can be inverted.
    fn invert(&self, mut left: Vec<Vec<GfElement>>) -> Vec<Vec<GfElement>> {
        let size = left.len();
        let unit = |row: usize| (0..size).map(|column| GfElement::from(row == column)).collect();
        let mut right: Vec<Vec<GfElement>> = (0..size).map(unit).collect();
        for column in 0..size {
            let pivot = (column..size)
                .find(|&row| left[row][column] != 0)
                .expect("any k rows of the generator are independent");
            left.swap(column, pivot);
            right.swap(column, pivot);
            let factor = self.inverse(left[column][column]);
            self.scale(&mut left[column], factor);
            self.scale(&mut right[column], factor);
            let (left_pivot, right_pivot) = (left[column].clone(), right[column].clone());
            for row in (0..size).filter(|&row| row != column) {
                let factor = left[row][column];
                self.add_scaled(&mut left[row], &left_pivot, factor);
                self.add_scaled(&mut right[row], &right_pivot, factor);
            }
        }
        right
    }

    fn scale(&self, row: &mut [GfElement], factor: GfElement) {
        for element in row {
            *element = self.multiply(*element, factor);
        }
    }

    fn add_scaled(&self, row: &mut [GfElement], term: &[GfElement], factor: GfElement) {
        if factor == 0 {
            return;
        }
        for (element, term) in row.iter_mut().zip(term) {
            *element ^= self.multiply(*term, factor);
        }
    }
}
