//! TurboSHAKE128 of four messages of one length at a time, in the four 64-bit lanes of AVX2 registers.
//!
//! Hashing is the largest cost per stored byte, a hash is one long chain of dependent steps, and the n blocks of a segment
//! are of one length: so four chains run side by side. The one unsafe call of the crate is here, where it is checked that
//! the processor has the instructions. Without them, or if the kernel disagrees with the `turboshake` crate on the check
//! vectors at first use, all hashes are made by that crate.

use std::sync::OnceLock;

use crate::hashing;

/// Messages hashed side by side.
pub(crate) const LANES: usize = 4;

/// What the check at first use found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneCheck {
    /// The kernel works and is used.
    Agree,
    /// The kernel computes something else and is not used.
    Differ,
    /// This processor has no AVX2.
    Unsupported,
}

/// Whether the kernel is used, decided once.
pub(crate) fn check() -> LaneCheck {
    static CHECK: OnceLock<LaneCheck> = OnceLock::new();
    *CHECK.get_or_init(|| {
        // On both sides of the sponge's rate (168 bytes) and of its words.
        let lengths = [0, 1, 7, 8, 64, 160, 167, 168, 169, 335, 336, 337, 1000];
        let mut check = LaneCheck::Agree;
        for length in lengths {
            let messages: [Vec<u8>; LANES] = std::array::from_fn(|lane| {
                (0..length)
                    .map(|i: usize| (i * 31 + lane * 97 + length) as u8)
                    .collect()
            });
            let borrowed = std::array::from_fn(|lane| &messages[lane][..]);
            let Some(hashes) = kernel(hashing::domain::BLOCK, borrowed) else {
                return LaneCheck::Unsupported;
            };
            let expected = borrowed.map(|message| hashing::turboshake128(hashing::domain::BLOCK, &[message]));
            if hashes != expected {
                check = LaneCheck::Differ;
            }
        }
        check
    })
}

/// The first 32 bytes of TurboSHAKE128 of each message. All messages must have one length.
pub(crate) fn turboshake128_x4(domain: u8, messages: [&[u8]; LANES]) -> [[u8; 32]; LANES] {
    debug_assert!(messages.iter().all(|message| message.len() == messages[0].len()));
    let lanes = if check() == LaneCheck::Agree {
        kernel(domain, messages)
    } else {
        None
    };
    lanes.unwrap_or_else(|| messages.map(|message| hashing::turboshake128(domain, &[message])))
}

/// The kernel's answer, right or wrong; `None` where it cannot run.
fn kernel(domain: u8, messages: [&[u8]; LANES]) -> Option<[[u8; 32]; LANES]> {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the function is safe but for the instructions that it needs, and these were just found to be there.
        #[allow(unsafe_code)]
        return Some(unsafe { avx2::turboshake128_x4(domain, messages) });
    }
    let _ = (domain, messages);
    None
}

/// The kernel's answer for any domain byte, for the published vectors.
#[cfg(test)]
pub(crate) fn kernel_for_tests(domain: u8, messages: [&[u8]; LANES]) -> Option<[[u8; 32]; LANES]> {
    kernel(domain, messages)
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    //! Keccak-p[1600, 12] on 25 registers of four lanes. Safe code: the intrinsics without pointers are safe where the
    //! feature is enabled.

    use core::arch::x86_64::{
        __m256i, _mm256_andnot_si256, _mm256_extract_epi64, _mm256_or_si256, _mm256_set_epi64x,
        _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_xor_si256,
    };

    /// Rate of TurboSHAKE128, bytes.
    const RATE: usize = 168;

    /// The last twelve round constants of Keccak-f[1600] (FIPS 202, section 3.2.5).
    const ROUND_CONSTANTS: [u64; 12] = [
        0x0000_0000_8000_808b,
        0x8000_0000_0000_008b,
        0x8000_0000_0000_8089,
        0x8000_0000_0000_8003,
        0x8000_0000_0000_8002,
        0x8000_0000_0000_0080,
        0x0000_0000_0000_800a,
        0x8000_0000_8000_000a,
        0x8000_0000_8000_8081,
        0x8000_0000_0000_8080,
        0x0000_0000_8000_0001,
        0x8000_0000_8000_8008,
    ];

    #[target_feature(enable = "avx2")]
    pub(super) fn turboshake128_x4(domain: u8, messages: [&[u8]; 4]) -> [[u8; 32]; 4] {
        let mut state = [_mm256_setzero_si256(); 25];
        let [(a, a_rest), (b, b_rest), (c, c_rest), (d, d_rest)] = messages.map(<[u8]>::as_chunks::<RATE>);
        for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
            absorb(&mut state, [a, b, c, d]);
        }
        let tails = [a_rest, b_rest, c_rest, d_rest].map(|rest| {
            let mut tail = [0; RATE];
            tail[..rest.len()].copy_from_slice(rest);
            tail[rest.len()] = domain;
            tail[RATE - 1] ^= 0x80;
            tail
        });
        absorb(&mut state, [&tails[0], &tails[1], &tails[2], &tails[3]]);
        let mut hashes = [[0; 32]; 4];
        for (word, lanes) in state[..4].iter().enumerate() {
            let lanes = [
                _mm256_extract_epi64::<0>(*lanes),
                _mm256_extract_epi64::<1>(*lanes),
                _mm256_extract_epi64::<2>(*lanes),
                _mm256_extract_epi64::<3>(*lanes),
            ];
            for (hash, lane) in hashes.iter_mut().zip(lanes) {
                hash[word * 8..][..8].copy_from_slice(&lane.to_le_bytes());
            }
        }
        hashes
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn absorb(state: &mut [__m256i; 25], blocks: [&[u8; RATE]; 4]) {
        let [a, b, c, d] = blocks.map(|block| block.as_chunks::<8>().0);
        for word in 0..RATE / 8 {
            let lanes = _mm256_set_epi64x(
                i64::from_le_bytes(d[word]),
                i64::from_le_bytes(c[word]),
                i64::from_le_bytes(b[word]),
                i64::from_le_bytes(a[word]),
            );
            state[word] = _mm256_xor_si256(state[word], lanes);
        }
        for constant in ROUND_CONSTANTS {
            round(state, constant);
        }
    }

    macro_rules! rotate {
        ($lanes:expr, $by:literal) => {{
            let lanes = $lanes;
            _mm256_or_si256(
                _mm256_slli_epi64::<$by>(lanes),
                _mm256_srli_epi64::<{ 64 - $by }>(lanes),
            )
        }};
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn round(s: &mut [__m256i; 25], constant: u64) {
        let column = |x: usize| {
            let first = _mm256_xor_si256(s[x], s[x + 5]);
            let second = _mm256_xor_si256(s[x + 10], s[x + 15]);
            _mm256_xor_si256(_mm256_xor_si256(first, second), s[x + 20])
        };
        let c = [column(0), column(1), column(2), column(3), column(4)];
        let d = [
            _mm256_xor_si256(c[4], rotate!(c[1], 1)),
            _mm256_xor_si256(c[0], rotate!(c[2], 1)),
            _mm256_xor_si256(c[1], rotate!(c[3], 1)),
            _mm256_xor_si256(c[2], rotate!(c[4], 1)),
            _mm256_xor_si256(c[3], rotate!(c[0], 1)),
        ];
        let t = |index: usize| _mm256_xor_si256(s[index], d[index % 5]);
        let b = [
            [
                t(0),
                rotate!(t(6), 44),
                rotate!(t(12), 43),
                rotate!(t(18), 21),
                rotate!(t(24), 14),
            ],
            [
                rotate!(t(3), 28),
                rotate!(t(9), 20),
                rotate!(t(10), 3),
                rotate!(t(16), 45),
                rotate!(t(22), 61),
            ],
            [
                rotate!(t(1), 1),
                rotate!(t(7), 6),
                rotate!(t(13), 25),
                rotate!(t(19), 8),
                rotate!(t(20), 18),
            ],
            [
                rotate!(t(4), 27),
                rotate!(t(5), 36),
                rotate!(t(11), 10),
                rotate!(t(17), 15),
                rotate!(t(23), 56),
            ],
            [
                rotate!(t(2), 62),
                rotate!(t(8), 55),
                rotate!(t(14), 39),
                rotate!(t(15), 41),
                rotate!(t(21), 2),
            ],
        ];
        for (row, b) in b.iter().enumerate() {
            for x in 0..5 {
                let chi = _mm256_andnot_si256(b[(x + 1) % 5], b[(x + 2) % 5]);
                s[row * 5 + x] = _mm256_xor_si256(b[x], chi);
            }
        }
        s[0] = _mm256_xor_si256(s[0], _mm256_set1_epi64x(constant.cast_signed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashing::{domain, turboshake128};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn lanes_hash_as_the_crate_does(length in 0usize..3000, seed in any::<u64>(), kind in 1u8..=5) {
            let mut state = seed | 1;
            let mut byte = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            };
            let messages: [Vec<u8>; 4] = std::array::from_fn(|_| (0..length).map(|_| byte()).collect());
            let borrowed = std::array::from_fn(|lane| &messages[lane][..]);
            let expected = borrowed.map(|message| turboshake128(kind, &[message]));
            if let Some(hashes) = kernel(kind, borrowed) {
                prop_assert_eq!(hashes, expected);
            }
            prop_assert_eq!(turboshake128_x4(kind, borrowed), expected);
        }
    }

    #[test]
    fn every_length_around_the_rate() {
        for length in 0..=2 * 168 + 9 {
            let message = vec![0xa5; length];
            let expected = [turboshake128(domain::NODE, &[&message]); LANES];
            assert_eq!(
                turboshake128_x4(domain::NODE, [&message; LANES]),
                expected,
                "length {length}"
            );
        }
    }

    #[test]
    fn the_kernel_is_used_where_it_can_run() {
        assert_ne!(check(), LaneCheck::Differ);
    }
}
