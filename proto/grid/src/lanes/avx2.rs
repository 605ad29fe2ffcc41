//! Four messages at a time: each 256-bit register holds one word of the Keccak state of each of them.
//!
//! Names follow FIPS 202, section 3.2: `c` and `d` of the step θ, `b` what ρ and π make of the state, χ combines rows.

use super::{RATE_BYTES, ROUND_CONSTANTS, block, last_block, word};
use std::arch::x86_64::*;

const LANES: usize = 4;

macro_rules! rotate {
    ($x:expr, $bits:literal) => {
        _mm256_or_si256(
            _mm256_slli_epi64::<$bits>($x),
            _mm256_srli_epi64::<{ 64 - $bits }>($x),
        )
    };
}

/// TurboSHAKE128, 32 bytes, of four messages of one length.
#[target_feature(enable = "avx2")]
pub(super) fn hash(messages: [&[u8]; LANES], domain: u8) -> [[u8; 32]; LANES] {
    let mut state = [_mm256_setzero_si256(); 25];
    for index in 0..messages[0].len() / RATE_BYTES {
        absorb(
            &mut state,
            std::array::from_fn(|lane| block(messages[lane], index)),
        );
        permute(&mut state);
    }
    let last: [[u8; RATE_BYTES]; LANES] = std::array::from_fn(|lane| last_block(messages[lane], domain));
    absorb(&mut state, std::array::from_fn(|lane| &last[lane]));
    permute(&mut state);
    squeeze(&state)
}

/// Twenty words are taken four by four, loaded along the messages and transposed; the twenty-first is gathered.
#[target_feature(enable = "avx2")]
fn absorb(state: &mut [__m256i; 25], blocks: [&[u8; RATE_BYTES]; LANES]) {
    for at in (0..20).step_by(LANES) {
        let row: [__m256i; LANES] = std::array::from_fn(|lane| {
            let from = blocks[lane];
            _mm256_set_epi64x(
                word(from, at + 3),
                word(from, at + 2),
                word(from, at + 1),
                word(from, at),
            )
        });
        let (low01, high01) = (
            _mm256_unpacklo_epi64(row[0], row[1]),
            _mm256_unpackhi_epi64(row[0], row[1]),
        );
        let (low23, high23) = (
            _mm256_unpacklo_epi64(row[2], row[3]),
            _mm256_unpackhi_epi64(row[2], row[3]),
        );
        let words = [
            _mm256_permute2x128_si256::<0x20>(low01, low23),
            _mm256_permute2x128_si256::<0x20>(high01, high23),
            _mm256_permute2x128_si256::<0x31>(low01, low23),
            _mm256_permute2x128_si256::<0x31>(high01, high23),
        ];
        for (offset, words) in words.into_iter().enumerate() {
            state[at + offset] = _mm256_xor_si256(state[at + offset], words);
        }
    }
    let [first, second, third, fourth] = blocks.map(|from| word(from, 20));
    state[20] = _mm256_xor_si256(state[20], _mm256_set_epi64x(fourth, third, second, first));
}

#[target_feature(enable = "avx2")]
fn squeeze(state: &[__m256i; 25]) -> [[u8; 32]; LANES] {
    let mut digests = [[0; 32]; LANES];
    for (index, words) in state[..4].iter().enumerate() {
        let lanes = [
            _mm256_extract_epi64::<0>(*words),
            _mm256_extract_epi64::<1>(*words),
            _mm256_extract_epi64::<2>(*words),
            _mm256_extract_epi64::<3>(*words),
        ];
        for (digest, lane) in digests.iter_mut().zip(lanes) {
            digest[index * 8..index * 8 + 8].copy_from_slice(&lane.to_le_bytes());
        }
    }
    digests
}

/// Keccak-p[1600, 12].
#[target_feature(enable = "avx2")]
#[inline]
fn permute(a: &mut [__m256i; 25]) {
    // Rotations by whole bytes are one shuffle.
    let by_8 = _mm256_set_epi8(
        14, 13, 12, 11, 10, 9, 8, 15, 6, 5, 4, 3, 2, 1, 0, 7, 14, 13, 12, 11, 10, 9, 8, 15, 6, 5, 4, 3, 2, 1,
        0, 7,
    );
    let by_56 = _mm256_set_epi8(
        8, 15, 14, 13, 12, 11, 10, 9, 0, 7, 6, 5, 4, 3, 2, 1, 8, 15, 14, 13, 12, 11, 10, 9, 0, 7, 6, 5, 4, 3,
        2, 1,
    );
    let xor = |left, right| _mm256_xor_si256(left, right);
    for constant in ROUND_CONSTANTS {
        let c: [__m256i; 5] =
            std::array::from_fn(|x| xor(xor(xor(xor(a[x], a[x + 5]), a[x + 10]), a[x + 15]), a[x + 20]));
        let d: [__m256i; 5] = std::array::from_fn(|x| xor(c[(x + 4) % 5], rotate!(c[(x + 1) % 5], 1)));
        macro_rules! theta {
            ($at:literal) => {
                xor(a[$at], d[$at % 5])
            };
        }
        let b = [
            [
                theta!(0),
                rotate!(theta!(6), 44),
                rotate!(theta!(12), 43),
                rotate!(theta!(18), 21),
                rotate!(theta!(24), 14),
            ],
            [
                rotate!(theta!(3), 28),
                rotate!(theta!(9), 20),
                rotate!(theta!(10), 3),
                rotate!(theta!(16), 45),
                rotate!(theta!(22), 61),
            ],
            [
                rotate!(theta!(1), 1),
                rotate!(theta!(7), 6),
                rotate!(theta!(13), 25),
                _mm256_shuffle_epi8(theta!(19), by_8),
                rotate!(theta!(20), 18),
            ],
            [
                rotate!(theta!(4), 27),
                rotate!(theta!(5), 36),
                rotate!(theta!(11), 10),
                rotate!(theta!(17), 15),
                _mm256_shuffle_epi8(theta!(23), by_56),
            ],
            [
                rotate!(theta!(2), 62),
                rotate!(theta!(8), 55),
                rotate!(theta!(14), 39),
                rotate!(theta!(15), 41),
                rotate!(theta!(21), 2),
            ],
        ];
        for (y, row) in b.iter().enumerate() {
            for x in 0..5 {
                a[5 * y + x] = xor(row[x], _mm256_andnot_si256(row[(x + 1) % 5], row[(x + 2) % 5]));
            }
        }
        a[0] = xor(a[0], _mm256_set1_epi64x(constant as i64));
    }
}
