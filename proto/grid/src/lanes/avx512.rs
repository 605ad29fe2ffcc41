//! Eight messages at a time: each 512-bit register holds one word of the Keccak state of each of them.
//!
//! As the AVX2 kernel, with the rotations and the three-operand logic that AVX-512F has as single instructions.
//! Immediates of the ternary logic: 0x96 is `x ^ y ^ z`, 0xd2 is `x ^ (!y & z)` (Intel SDM, VPTERNLOG).

use super::{RATE_BYTES, ROUND_CONSTANTS, block, last_block, word};
use std::arch::x86_64::*;

const LANES: usize = 8;

macro_rules! rotate {
    ($x:expr, $bits:literal) => {
        _mm512_rol_epi64::<$bits>($x)
    };
}

/// TurboSHAKE128, 32 bytes, of eight messages of one length.
#[target_feature(enable = "avx512f")]
pub(super) fn hash(messages: [&[u8]; LANES], domain: u8) -> [[u8; 32]; LANES] {
    let mut state = [_mm512_setzero_si512(); 25];
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

#[target_feature(enable = "avx512f")]
fn absorb(state: &mut [__m512i; 25], blocks: [&[u8; RATE_BYTES]; LANES]) {
    for (at, words) in state[..RATE_BYTES / 8].iter_mut().enumerate() {
        let [a, b, c, d, e, f, g, h] = blocks.map(|from| word(from, at));
        *words = _mm512_xor_si512(*words, _mm512_set_epi64(h, g, f, e, d, c, b, a));
    }
}

#[target_feature(enable = "avx512f")]
fn squeeze(state: &[__m512i; 25]) -> [[u8; 32]; LANES] {
    let mut digests = [[0; 32]; LANES];
    for (index, words) in state[..4].iter().enumerate() {
        let halves = [
            _mm512_extracti64x4_epi64::<0>(*words),
            _mm512_extracti64x4_epi64::<1>(*words),
        ];
        for (half, words) in halves.into_iter().enumerate() {
            let lanes = [
                _mm256_extract_epi64::<0>(words),
                _mm256_extract_epi64::<1>(words),
                _mm256_extract_epi64::<2>(words),
                _mm256_extract_epi64::<3>(words),
            ];
            for (digest, lane) in digests[half * 4..].iter_mut().zip(lanes) {
                digest[index * 8..index * 8 + 8].copy_from_slice(&lane.to_le_bytes());
            }
        }
    }
    digests
}

/// Keccak-p[1600, 12].
#[target_feature(enable = "avx512f")]
#[inline]
fn permute(a: &mut [__m512i; 25]) {
    let xor3 = |x, y, z| _mm512_ternarylogic_epi64::<0x96>(x, y, z);
    for constant in ROUND_CONSTANTS {
        let c: [__m512i; 5] =
            std::array::from_fn(|x| xor3(xor3(a[x], a[x + 5], a[x + 10]), a[x + 15], a[x + 20]));
        let turned: [__m512i; 5] = std::array::from_fn(|x| rotate!(c[x], 1));
        macro_rules! theta {
            ($at:literal) => {
                xor3(a[$at], c[($at + 4) % 5], turned[($at + 1) % 5])
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
                rotate!(theta!(19), 8),
                rotate!(theta!(20), 18),
            ],
            [
                rotate!(theta!(4), 27),
                rotate!(theta!(5), 36),
                rotate!(theta!(11), 10),
                rotate!(theta!(17), 15),
                rotate!(theta!(23), 56),
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
                a[5 * y + x] = _mm512_ternarylogic_epi64::<0xd2>(row[x], row[(x + 1) % 5], row[(x + 2) % 5]);
            }
        }
        a[0] = _mm512_xor_si512(a[0], _mm512_set1_epi64(constant as i64));
    }
}
