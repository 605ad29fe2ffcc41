use super::*;
use crate::tests::noise;
use proptest::prelude::*;

fn coding(k: u32, n: u32) -> Coding {
    Coding::new(k, n).expect("valid")
}

fn blocks_of(bytes: &[u8], length: usize) -> Vec<&[u8]> {
    bytes.chunks(length).collect()
}

fn shares<'a>(data: &[&'a [u8]], recovery: &'a [Bytes]) -> Vec<(ShareNumber, &'a [u8])> {
    let all = data
        .iter()
        .copied()
        .chain(recovery.iter().map(|block| &block[..]));
    all.enumerate()
        .map(|(index, block)| (ShareNumber(index as u8), block))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn engines_make_and_restore_the_same(
        k in 1u32..=70, more in 1u32..=70, units in 1usize..4, seed in any::<u64>(),
    ) {
        let coding = coding(k, k + more);
        let length = units * BLOCK_UNIT_BYTES;
        let bytes = noise(seed, length * k as usize);
        let data = blocks_of(&bytes, length);
        let (mut fast, mut reference) =
            (Codec::new(coding, ErasureEngine::Simd), Codec::new(coding, ErasureEngine::Novelpoly));
        let recovery = fast.encode(&data).expect("valid");
        prop_assert_eq!(&recovery, &reference.encode(&data).expect("valid"));
        let mut present = shares(&data, &recovery);
        let order = noise(!seed, present.len());
        present.sort_by_key(|(share, _)| order[share.index()]);
        present.truncate(k as usize);
        prop_assert_eq!(&fast.decode(&present).expect("enough")[..], &bytes[..]);
        prop_assert_eq!(&reference.decode(&present).expect("enough")[..], &bytes[..]);
        let lacking: Vec<&[u8]> = shares(&data, &recovery)[..k as usize].iter()
            .filter(|(share, _)| present.iter().all(|(given, _)| given != share))
            .map(|(_, block)| *block)
            .collect();
        prop_assert_eq!(fast.restore(&present).expect("enough"), &lacking[..]);
        prop_assert_eq!(reference.restore(&present).expect("enough"), &lacking[..]);
    }

    #[test]
    fn some_recovery_blocks_are_those_of_all(
        k in 1u32..=40, more in 1u32..=40, picks in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let coding = coding(k, k + more);
        let bytes = noise(u64::from(more), BLOCK_UNIT_BYTES * k as usize);
        let data = blocks_of(&bytes, BLOCK_UNIT_BYTES);
        for engine in [ErasureEngine::Simd, ErasureEngine::Novelpoly] {
            let mut codec = Codec::new(coding, engine);
            let all = codec.encode(&data).expect("valid");
            let rows: Vec<usize> = picks.iter().map(|pick| pick.index(more as usize)).collect();
            let wanted: Vec<ShareNumber> =
                rows.iter().filter_map(|row| ShareNumber::from_index(k as usize + row)).collect();
            let expected: Vec<&Bytes> = rows.iter().map(|row| &all[*row]).collect();
            let some = codec.encode_some(&data, &wanted).expect("valid");
            prop_assert_eq!(some.iter().collect::<Vec<_>>(), expected);
        }
    }
}

/// Longer than the strips that the encoder works on, by nothing, a little and much.
#[test]
fn long_blocks_are_coded_like_short_ones() {
    for (k, n) in [(1, 2), (3, 10), (7, 20), (33, 64), (255, 256)] {
        let coding = coding(k, n);
        let rows = coding.k().next_power_of_two() + coding.recovery();
        let strip = (128 * 1024 / rows).next_multiple_of(BLOCK_UNIT_BYTES);
        for length in [strip, strip + 64, 3 * strip - 64] {
            let bytes = noise(length as u64, length * coding.k());
            let data = blocks_of(&bytes, length);
            let mut codec = Codec::new(coding, ErasureEngine::Simd);
            let made = codec.encode(&data).expect("valid");
            for start in (0..length).step_by(BLOCK_UNIT_BYTES * 61) {
                let unit = start..start + BLOCK_UNIT_BYTES;
                let short: Vec<&[u8]> = data.iter().map(|block| &block[unit.clone()]).collect();
                let expected = codec.encode(&short).expect("valid");
                assert!(
                    made.iter()
                        .zip(&expected)
                        .all(|(block, short)| block[unit.clone()] == short[..]),
                    "{coding}, {length} bytes, from {start} on"
                );
            }
        }
    }
}

/// Both of the fast engine's decoders, on the same input.
#[test]
fn matrix_and_library_decoders_agree() {
    for missing in [1, 23, 24, 25, 26, 60] {
        let coding = coding(60, 130);
        let bytes = noise(missing as u64, 60 * 192);
        let data = blocks_of(&bytes, 192);
        let mut codec = Codec::new(coding, ErasureEngine::Simd);
        let recovery = codec.encode(&data).expect("valid");
        let all = shares(&data, &recovery);
        let present: Vec<_> = all[missing..60 + missing].to_vec();
        assert_eq!(
            codec.decode(&present).expect("enough"),
            bytes,
            "{missing} missing"
        );
        let present: Vec<_> = all[..60 - missing]
            .iter()
            .chain(&all[130 - missing..])
            .copied()
            .collect();
        assert_eq!(
            codec.decode(&present).expect("enough"),
            bytes,
            "last {missing} missing"
        );
    }
}

/// A codec is used again for other lengths and other sets of shares.
#[test]
fn a_codec_keeps_no_state_that_matters() {
    let mut codec = Codec::new(coding(3, 10), ErasureEngine::Simd);
    for round in 0..20usize {
        let length = BLOCK_UNIT_BYTES * (1 + round * 7 % 5);
        let bytes = noise(round as u64, 3 * length);
        let data = blocks_of(&bytes, length);
        let recovery = codec.encode(&data).expect("valid");
        let all = shares(&data, &recovery);
        let present = [all[round % 10], all[(round + 3) % 10], all[(round + 7) % 10]];
        assert_eq!(codec.decode(&present).expect("enough"), bytes, "round {round}");
    }
}

/// Longer than the pieces that the matrix works on.
#[test]
fn long_blocks_are_restored() {
    let length = 3 * 8192 + 64;
    let bytes = noise(5, 3 * length);
    let data = blocks_of(&bytes, length);
    let mut codec = Codec::new(coding(3, 6), ErasureEngine::Simd);
    let recovery = codec.encode(&data).expect("valid");
    let all = shares(&data, &recovery);
    assert_eq!(codec.decode(&all[3..]).expect("enough"), bytes);
    assert_eq!(codec.decode(&[all[1], all[3], all[5]]).expect("enough"), bytes);
}

#[test]
fn the_largest_shapes_work() {
    for (k, n) in [(1, 1), (1, 256), (128, 256), (255, 256), (129, 200)] {
        let coding = coding(k, n);
        let bytes = noise(u64::from(k), 64 * k as usize);
        let data = blocks_of(&bytes, 64);
        let mut codec = Codec::new(coding, ErasureEngine::Simd);
        let recovery = codec.encode(&data).expect("valid");
        assert_eq!(recovery.len(), coding.recovery());
        let all = shares(&data, &recovery);
        let present = &all[all.len() - k as usize..];
        assert_eq!(codec.decode(present).expect("enough"), bytes, "{coding}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for engine in [ErasureEngine::Simd, ErasureEngine::Novelpoly] {
        let mut codec = Codec::new(coding(2, 4), engine);
        let (block, long, odd) = ([1; 64], [1; 128], [1; 63]);
        let too_few = ErasureError::TooFew { have: 1, need: 2 };
        assert_eq!(codec.encode(&[&block]), Err(too_few));
        let lengths = ErasureError::BlockLength {
            expected: 64,
            found: 128,
        };
        assert_eq!(codec.encode(&[&block, &long]), Err(lengths));
        let length = ErasureError::BlockLength {
            expected: 63,
            found: 63,
        };
        assert_eq!(codec.encode(&[&odd, &odd]), Err(length));
        let empty = ErasureError::BlockLength {
            expected: 0,
            found: 0,
        };
        assert_eq!(codec.encode(&[&[], &[]]), Err(empty));
        let share = |number| (ShareNumber(number), &block[..]);
        assert_eq!(codec.decode(&[share(3)]), Err(too_few));
        assert_eq!(codec.decode(&[]), Err(ErasureError::TooFew { have: 0, need: 2 }));
        let refused = |share| ErasureError::Share {
            share: ShareNumber(share),
            coding: coding(2, 4),
        };
        assert_eq!(codec.decode(&[share(1), share(4)]), Err(refused(4)));
        assert_eq!(codec.decode(&[share(1), share(1)]), Err(refused(1)));
        assert_eq!(codec.decode(&[share(0), (ShareNumber(3), &long)]), Err(lengths));
        assert_eq!(codec.restore(&[share(3)]), Err(too_few));
        for beside in [1, 4] {
            let wanted = [ShareNumber(2), ShareNumber(beside)];
            assert_eq!(
                codec.encode_some(&[&block, &block], &wanted),
                Err(refused(beside))
            );
        }
    }
}

#[test]
fn the_check_at_start_passes() {
    assert_eq!(first_disagreement(), Ok(None));
}

#[test]
fn choices_have_one_spelling() {
    assert_eq!("auto".parse(), Ok(ErasureChoice::Auto));
    assert_eq!("simd".parse(), Ok(ErasureChoice::Simd));
    assert_eq!("novelpoly".parse(), Ok(ErasureChoice::Novelpoly));
    assert_eq!("Auto".parse::<ErasureChoice>(), Err(UnknownChoice));
}
