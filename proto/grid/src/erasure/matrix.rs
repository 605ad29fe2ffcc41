//! Restoring missing data blocks by a matrix product.
//!
//! With P the data blocks that are there, M those that are missing, and R as many recovery blocks as are missing:
//! R = G·P + H·M, where G and H are columns of the generator matrix. So M = H⁻¹·R + H⁻¹·G·P, in a field where minus is
//! plus. The product with a constant is the library's vectorised one, which works in place; so each sum of products is taken in Horner's
//! order, f₀·b₀ + f₁·b₁ + f₂·b₂ = ((b₀·f₀/f₁ + b₁)·f₁/f₂ + b₂)·f₂, and nothing is copied but the first term. All missing blocks
//! are made piece by piece together, so that what they are made of is in the first-level cache the second time.

use std::ops::Range;

use reed_solomon_simd::engine::{
    DefaultEngine, Engine as _, GF_MODULUS, GfElement,
    tables::{ExpLog, get_exp_log},
};

use crate::{geometry::BLOCK_UNIT_BYTES, ids::ShareNumber};

/// Units of 64 bytes that are worked on at a time: 4 KiB of a result and of each of k = 3 blocks fit the smallest first-level cache.
const PIECE_UNITS: usize = 64;

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
    /// For each missing data block, ascending: how it is made.
    recipes: Vec<Vec<Step>>,
    engine: DefaultEngine,
}

/// Add a block, multiply the sum.
struct Step {
    /// Which of the shares' blocks.
    block: usize,
    /// Logarithm of the factor.
    log: GfElement,
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
            of_there.chain(inverse.iter().copied()).collect::<Vec<_>>()
        };
        Self {
            shares: shares.to_vec(),
            recipes: inverse.iter().map(row).map(|row| field.recipe(&row)).collect(),
            engine: DefaultEngine::new(),
        }
    }

    pub(super) fn shares(&self) -> &[ShareNumber] {
        &self.shares
    }

    /// Writes the missing blocks, ascending, each into its place. `blocks` are those of the shares, of the same length.
    pub(super) fn restore(&self, blocks: &[&[u8]], missing: &mut [&mut [u8]]) {
        let units = missing.first().map_or(0, |place| place.len() / BLOCK_UNIT_BYTES);
        for start in (0..units).step_by(PIECE_UNITS) {
            let piece = start..units.min(start + PIECE_UNITS);
            for (place, recipe) in missing.iter_mut().zip(&self.recipes) {
                let (place, _) = place.as_chunks_mut::<BLOCK_UNIT_BYTES>();
                self.make(recipe, blocks, piece.clone(), &mut place[piece.clone()]);
            }
        }
    }

    fn make(
        &self,
        recipe: &[Step],
        blocks: &[&[u8]],
        piece: Range<usize>,
        sum: &mut [[u8; BLOCK_UNIT_BYTES]],
    ) {
        for (number, step) in recipe.iter().enumerate() {
            let (units, _) = blocks[step.block].as_chunks::<BLOCK_UNIT_BYTES>();
            let term = &units[piece.clone()];
            if number == 0 {
                sum.copy_from_slice(term);
            } else {
                add(sum, term);
            }
            self.engine.mul(sum, step.log);
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

    /// How to make the sum of the products of each block with its factor. Not all factors are zero.
    fn recipe(&self, factors: &[GfElement]) -> Vec<Step> {
        let used: Vec<usize> = (0..factors.len()).filter(|&block| factors[block] != 0).collect();
        let step = |(number, &block): (usize, &usize)| {
            let next = used.get(number + 1).map(|&next| self.inverse(factors[next]));
            let factor = next.map_or(factors[block], |next| self.multiply(factors[block], next));
            Step {
                block,
                log: self.log(factor),
            }
        };
        used.iter().enumerate().map(step).collect()
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
