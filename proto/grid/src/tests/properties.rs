//! What must hold of every file: any k shares restore it, and no damage goes unseen.

use std::sync::LazyLock;

use bytes::Bytes;
use proptest::prelude::*;

use super::noise;
use crate::{
    caps::{Cap, ChkCap, ChkVerifier},
    engines::Engines,
    erasure::ErasureChoice,
    ids::{SegmentIndex, ShareNumber},
    keys::ReadKey,
    params::{Coding, Encoding},
    pipeline::{
        BadBlockReason, DecodeError, DecodeFileError, EncodedFile, FileFacts, SegmentDecoder,
        ShareFactsError, decode_file, decode_segment, encode_file, fetch_from_share, file_facts,
    },
    share::verify_share,
    ueb::Ueb,
};

fn fast() -> Engines {
    static FAST: LazyLock<Engines> =
        LazyLock::new(|| Engines::select(ErasureChoice::Auto).expect("auto is never refused"));
    *FAST
}

fn encoded(k: u32, n: u32, plaintext: &[u8], engines: Engines) -> EncodedFile {
    let encoding = Encoding::new(Coding::new(k, n).expect("valid"), 1, 1024).expect("valid");
    encode_file(plaintext, &encoding, &ReadKey::from_bytes([k as u8; 16]), engines).expect("encodes")
}

fn verify(share: &[u8]) -> bool {
    let read = |at: u64, buffer: &mut [u8]| match share.get(at as usize..at as usize + buffer.len()) {
        Some(part) => {
            buffer.copy_from_slice(part);
            Ok(())
        }
        None => Err("out of the file"),
    };
    verify_share(share.len() as u64, read).is_ok()
}

fn flipped(bytes: &[u8], bit: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes.into()
}

fn coding() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![
        Just((1, 1)),
        (1u32..=9, 1u32..=12).prop_map(|(k, more)| (k, k + more)),
        (10u32..=40, 1u32..=30).prop_map(|(k, more)| (k, k + more)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_k_of_n_restore_any_file(
        (k, n) in coding(), length in 1usize..5000, seed in any::<u64>(), order in any::<u64>(), slow in 0u8..8,
    ) {
        let engines = if slow == 0 { Engines::reference() } else { fast() };
        let plaintext = noise(seed, length);
        let file = encoded(k, n, &plaintext, engines);
        prop_assert!(file.shares.iter().all(|share| verify(share)));
        let keys = noise(order, n as usize);
        let mut chosen: Vec<usize> = (0..n as usize).collect();
        chosen.sort_by_key(|&share| (keys[share], share));
        let k_shares: Vec<Bytes> = chosen[..k as usize].iter().map(|&share| file.shares[share].clone()).collect();
        prop_assert_eq!(decode_file(&file.cap, &k_shares, engines), Ok(plaintext));
        let fewer = decode_file(&file.cap, &k_shares[1..], engines);
        prop_assert!(fewer.is_err());
    }

    #[test]
    fn engines_make_the_same_files((k, n) in coding(), length in 1usize..3000, seed in any::<u64>()) {
        let plaintext = noise(seed, length);
        let (a, b) = (encoded(k, n, &plaintext, fast()), encoded(k, n, &plaintext, Engines::reference()));
        prop_assert_eq!(&a.cap, &b.cap);
        prop_assert_eq!(&a.shares, &b.shares);
        let last = &b.shares[(n - k) as usize..];
        prop_assert_eq!(decode_file(&b.cap, last, Engines::reference()), Ok(plaintext));
    }

    #[test]
    fn a_damaged_share_is_not_used(length in 1usize..4000, share in 0usize..5, at in any::<u64>()) {
        let plaintext = noise(at, length);
        let mut file = encoded(3, 5, &plaintext, fast());
        let bit = (at % (file.shares[share].len() as u64 * 8)) as usize;
        file.shares[share] = flipped(&file.shares[share], bit);
        prop_assert!(!verify(&file.shares[share]));
        prop_assert_eq!(&decode_file(&file.cap, &file.shares, fast()), &Ok(plaintext.clone()));
        let three: Vec<Bytes> = (0..3).map(|index| file.shares[(share + index) % 5].clone()).collect();
        if let Ok(restored) = decode_file(&file.cap, &three, fast()) {
            prop_assert_eq!(restored, plaintext);
        }
    }
}

#[test]
fn every_bit_of_a_share_file_is_checked() {
    let file = encoded(2, 3, &noise(7, 1500), fast());
    for share in [&file.shares[0], &file.shares[2]] {
        assert!(verify(share));
        for bit in 0..share.len() * 8 {
            assert!(
                !verify(&flipped(share, bit)),
                "bit {bit} of {} is not checked",
                share.len() * 8
            );
        }
        for shorter in 0..share.len() {
            assert!(!verify(&share[..shorter]), "cut to {shorter}");
        }
        assert!(!verify(&[share, &[0][..]].concat()), "one byte more");
    }
}

#[test]
fn every_bit_of_a_fetched_block_is_checked() {
    let engines = fast();
    let file = encoded(1, 3, &noise(8, 3000), engines);
    let verifier = file.cap.verifier();
    for share in [0, 2] {
        let (footer, facts) = file_facts(&verifier, &file.shares[share]).expect("good");
        let mut decoder = SegmentDecoder::new(&facts, &file.cap.key, engines);
        for segment in (0..3).map(SegmentIndex) {
            let good = fetch_from_share(&footer, &file.shares[share], segment).expect("exists");
            assert!(decode_segment(&mut decoder, &facts, segment, vec![good.clone()]).is_ok());
            let mut refused = |bad, why| {
                let blocks = vec![bad];
                match decode_segment(&mut decoder, &facts, segment, blocks) {
                    Err(DecodeError::TooFew {
                        need: 1, good, bad, ..
                    }) => {
                        assert!(good.is_empty());
                        assert_eq!(bad.len(), 1);
                        assert_eq!((bad[0].share, bad[0].why), (ShareNumber(share as u8), why));
                    }
                    other => panic!("a damaged block was not refused: {other:?}"),
                }
            };
            for bit in (0..good.block.len() * 8).step_by(7) {
                let bad = crate::pipeline::FetchedBlock {
                    block: flipped(&good.block, bit),
                    ..good.clone()
                };
                refused(bad, BadBlockReason::Block);
            }
            for bit in 0..good.block_path.len() * 8 {
                let bad = crate::pipeline::FetchedBlock {
                    block_path: flipped(&good.block_path, bit),
                    ..good.clone()
                };
                refused(bad, BadBlockReason::Block);
            }
            for bit in 0..good.sealed_path.len() * 8 {
                let bad = crate::pipeline::FetchedBlock {
                    sealed_path: flipped(&good.sealed_path, bit),
                    ..good.clone()
                };
                refused(bad, BadBlockReason::SealedPath);
            }
        }
    }
}

#[test]
fn every_bit_of_ueb_and_share_roots_is_checked() {
    let file = encoded(3, 5, &noise(9, 2000), fast());
    let verifier = file.cap.verifier();
    let roots = file.seal.share_roots_bytes();
    assert!(FileFacts::verify(&verifier, &file.seal.ueb_bytes, &roots).is_ok());
    for bit in 0..file.seal.ueb_bytes.len() * 8 {
        let damaged = flipped(&file.seal.ueb_bytes, bit);
        assert!(
            FileFacts::verify(&verifier, &damaged, &roots).is_err(),
            "UEB bit {bit}"
        );
        assert_ne!(Ueb::decode(&damaged).ok(), Some(file.seal.ueb), "UEB bit {bit}");
    }
    for bit in 0..roots.len() * 8 {
        let damaged = flipped(&roots, bit);
        assert!(
            FileFacts::verify(&verifier, &file.seal.ueb_bytes, &damaged).is_err(),
            "root bit {bit}"
        );
    }
    assert!(FileFacts::verify(&verifier, &file.seal.ueb_bytes, &roots[32..]).is_err());
}

#[test]
fn every_bit_of_a_cap_is_checked() {
    let plaintext = noise(10, 1100);
    let file = encoded(2, 3, &plaintext, fast());
    let uri = Cap::Chk(file.cap.clone()).to_uri();
    let mut parsed = 0;
    for bit in 0..uri.len() * 8 {
        let Ok(text) = String::from_utf8(flipped(uri.as_bytes(), bit).to_vec()) else {
            continue;
        };
        match Cap::parse(&text) {
            Ok(Cap::Chk(cap)) => {
                parsed += 1;
                assert!(
                    decode_file(&cap, &file.shares, fast()).is_err(),
                    "bit {bit}: {text}"
                );
            }
            Ok(other) => panic!("bit {bit} turned the cap into {other:?}"),
            Err(_) => {}
        }
    }
    assert!(
        parsed > 50,
        "too few of the damaged caps were caps to prove anything: {parsed}"
    );
}

#[test]
fn numbers_of_a_cap_must_be_those_of_its_file() {
    let file = encoded(2, 3, &noise(11, 1100), fast());
    let roots = file.seal.share_roots_bytes();
    let good = file.cap.verifier();
    let others = [
        ChkVerifier {
            size: good.size + 1,
            ..good
        },
        ChkVerifier {
            coding: Coding::new(1, 3).expect("valid"),
            ..good
        },
        ChkVerifier {
            coding: Coding::new(2, 4).expect("valid"),
            ..good
        },
    ];
    for other in others {
        assert!(FileFacts::verify(&other, &file.seal.ueb_bytes, &roots).is_err());
    }
}

/// The key of another file, with the storage index check taken out of the way.
#[test]
fn a_wrong_key_does_not_open() {
    let file = encoded(2, 3, &noise(12, 500), fast());
    let (footer, facts) = file_facts(&file.cap.verifier(), &file.shares[0]).expect("good");
    let (second, _) = file_facts(&file.cap.verifier(), &file.shares[1]).expect("good");
    let mut decoder = SegmentDecoder::new(&facts, &ReadKey::from_bytes([0xee; 16]), fast());
    let blocks = vec![
        fetch_from_share(&footer, &file.shares[0], SegmentIndex(0)).expect("exists"),
        fetch_from_share(&second, &file.shares[1], SegmentIndex(0)).expect("exists"),
    ];
    let error = decode_segment(&mut decoder, &facts, SegmentIndex(0), blocks);
    assert!(matches!(error, Err(DecodeError::Seal(_))), "{error:?}");
}

#[test]
fn shares_of_another_file_are_not_mixed_in() {
    let (one, two) = (
        encoded(2, 3, &noise(13, 900), fast()),
        encoded(2, 3, &noise(14, 900), fast()),
    );
    let cap = ChkCap {
        key: one.cap.key.clone(),
        ..two.cap
    };
    assert!(decode_file(&cap, &one.shares, fast()).is_err());
    let mixed = [one.shares[0].clone(), two.shares[1].clone()];
    assert!(decode_file(&one.cap, &mixed, fast()).is_err());
}

#[test]
fn a_share_of_another_name_is_refused() {
    let file = encoded(2, 3, &noise(15, 900), fast());
    let cap = ChkCap {
        key: ReadKey::from_bytes([0xdd; 16]),
        ..file.cap
    };
    let refused = decode_file(&cap, &file.shares, fast());
    let expected = DecodeFileError::NoFacts {
        shares: 3,
        last: ShareFactsError::OtherFile,
    };
    assert_eq!(refused, Err(expected));
}
