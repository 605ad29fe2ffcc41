use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    caps::ChkCap,
    erasure::ErasureChoice,
    keys::ReadKey,
    params::Encoding,
    pipeline::{BadBlockReason, EncodedFile, FileSeal, FileTrees, encode_file, fetch_from_share, file_facts},
    share::{Footer, ShareHeader, build_trailer},
    tests::noise,
};

fn engines() -> Engines {
    Engines::select(ErasureChoice::Auto).expect("auto is never refused")
}

fn coding(k: u32, n: u32) -> Coding {
    Coding::new(k, n).expect("valid")
}

fn share(index: usize) -> ShareNumber {
    ShareNumber::from_index(index).expect("below 256")
}

struct Stored {
    file: EncodedFile,
    footers: Vec<Footer>,
    facts: FileFacts,
}

impl Stored {
    fn new(k: u32, n: u32, plaintext: &[u8], engines: Engines) -> Self {
        let encoding = Encoding::new(coding(k, n), 1, 1024).expect("valid");
        let file =
            encode_file(plaintext, &encoding, &ReadKey::from_bytes([5; 16]), engines).expect("encodes");
        let verifier = file.cap.verifier();
        let known: Vec<_> = file
            .shares
            .iter()
            .map(|share| file_facts(&verifier, share).expect("good"))
            .collect();
        let facts = known[0].1.clone();
        let footers = known.into_iter().map(|(footer, _)| footer).collect();
        Self { file, footers, facts }
    }

    fn fetch(&self, share: usize, segment: SegmentIndex) -> FetchedBlock {
        fetch_from_share(&self.footers[share], &self.file.shares[share], segment).expect("exists")
    }

    /// The whole share files of `wanted`, made from the shares `from` alone, and what the trees say of each.
    fn rebuild(&self, from: &[usize], wanted: &[ShareNumber], engines: Engines) -> Vec<(Vec<u8>, bool)> {
        let mut rebuilder = SegmentRebuilder::new(self.facts.ueb().coding(), engines);
        let mut trees = RebuiltTrees::default();
        let header = |share| ShareHeader {
            share,
            ..self.footers[0].header
        };
        let mut files: Vec<Vec<u8>> = wanted
            .iter()
            .map(|&share| header(share).encode().to_vec())
            .collect();
        let (mut leaves, mut sealed_leaves) = (vec![Vec::new(); wanted.len()], Vec::new());
        for segment in (0..self.facts.ueb().segments()).map(SegmentIndex) {
            let blocks = from.iter().map(|&share| self.fetch(share, segment)).collect();
            let rebuilt =
                rebuild_segment(&mut rebuilder, &self.facts, segment, blocks, wanted).expect("enough");
            assert!(rebuilt.bad.is_empty());
            trees.push(&rebuilt);
            sealed_leaves.push(rebuilt.sealed_leaf);
            for (index, block) in rebuilt.blocks.iter().enumerate() {
                assert_eq!(block.share, wanted[index]);
                files[index].extend_from_slice(&block.block);
                leaves[index].push(block.leaf);
            }
        }
        let seal = &self.file.seal;
        let roots = seal.share_roots_bytes();
        for ((file, leaves), &share) in files.iter_mut().zip(leaves).zip(wanted) {
            let sealed_leaves = sealed_leaves.clone();
            let trailer = build_trailer(&header(share), leaves, sealed_leaves, &roots, &seal.ueb_bytes);
            file.extend_from_slice(&trailer.expect("fits"));
        }
        let stored = wanted
            .iter()
            .map(|&share| trees.is_stored(&self.facts, share))
            .collect::<Vec<_>>();
        files.into_iter().zip(stored).collect()
    }
}

fn shapes() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![
        Just((1, 1)),
        (1u32..=9, 1u32..=12).prop_map(|(k, more)| (k, k + more)),
        (10u32..=40, 1u32..=30).prop_map(|(k, more)| (k, k + more)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_rebuilt_share_is_the_uploaders_to_the_last_bit(
        (k, n) in shapes(), length in 1usize..4500, seed in any::<u64>(), order in any::<u64>(), slow in 0u8..8,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
    ) {
        let engines = if slow == 0 { Engines::reference() } else { engines() };
        let stored = Stored::new(k, n, &noise(seed, length), engines);
        let keys = noise(order, n as usize);
        let mut from: Vec<usize> = (0..n as usize).collect();
        from.sort_by_key(|&share| (keys[share], share));
        from.truncate(k as usize);
        // Any shares, also some that are given; sometimes one of them twice.
        let wanted: Vec<ShareNumber> = picks.iter().map(|pick| share(pick.index(n as usize))).collect();
        for ((file, is_stored), share) in stored.rebuild(&from, &wanted, engines).iter().zip(&wanted) {
            let twice = wanted.iter().filter(|other| *other == share).count() > 1;
            prop_assert!(file[..] == stored.file.shares[share.index()][..], "share {} of {}-of-{}", share, k, n);
            prop_assert!(*is_stored || twice);
        }
    }

    #[test]
    fn of_any_blocks_the_good_ones_are_used_and_the_bad_ones_named(
        bad in prop::collection::btree_set(0usize..7, 0..7), seed in any::<u64>(), missing in 0usize..7,
    ) {
        let stored = Stored::new(3, 7, &noise(seed, 2500), engines());
        let mut rebuilder = SegmentRebuilder::new(coding(3, 7), engines());
        let spoil = |share: usize| {
            let mut block = stored.fetch(share, SegmentIndex(1));
            if bad.contains(&share) {
                let mut bytes = block.block.to_vec();
                bytes[share] ^= 1;
                block.block = bytes.into();
            }
            block
        };
        let blocks: Vec<FetchedBlock> = (0..7).filter(|&share| share != missing).map(spoil).collect();
        let bad: BTreeSet<usize> = bad.into_iter().filter(|&share| share != missing).collect();
        let named = |found: &[BadBlock]| found.iter().map(|bad| bad.share.index()).collect::<BTreeSet<_>>();
        let wanted = [share(missing)];
        match rebuild_segment(&mut rebuilder, &stored.facts, SegmentIndex(1), blocks, &wanted) {
            Ok(rebuilt) => {
                prop_assert!(bad.len() <= 3);
                prop_assert_eq!(named(&rebuilt.bad), bad);
                prop_assert_eq!(&rebuilt.blocks[0].block, &stored.fetch(missing, SegmentIndex(1)).block);
            }
            Err(DecodeError::TooFew { need: 3, good, bad: found, .. }) => {
                prop_assert!(bad.len() > 3);
                prop_assert_eq!(good.len() + bad.len(), 6);
                prop_assert_eq!(named(&found), bad);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn blocks_that_were_given_are_neither_copied_nor_hashed_anew() {
    let stored = Stored::new(3, 6, &noise(1, 1000), engines());
    let mut rebuilder = SegmentRebuilder::new(coding(3, 6), engines());
    let given: Vec<FetchedBlock> = [1, 2, 4]
        .iter()
        .map(|&share| stored.fetch(share, SegmentIndex(0)))
        .collect();
    let wanted = [share(4), share(1), share(0), share(5)];
    let rebuilt = rebuild_segment(
        &mut rebuilder,
        &stored.facts,
        SegmentIndex(0),
        given.clone(),
        &wanted,
    );
    let rebuilt = rebuilt.expect("enough");
    assert_eq!(rebuilt.blocks[0].block.as_ptr(), given[2].block.as_ptr());
    assert_eq!(rebuilt.blocks[1].block.as_ptr(), given[0].block.as_ptr());
    for block in &rebuilt.blocks {
        let stored = stored.fetch(block.share.index(), SegmentIndex(0)).block;
        assert_eq!(block.block, stored);
        assert_eq!(block.leaf, merkle::block_leaf(&stored));
    }
}

#[test]
fn every_stage_is_told_once_and_in_order() {
    let stored = Stored::new(2, 4, &noise(2, 100), engines());
    let mut rebuilder = SegmentRebuilder::new(coding(2, 4), engines());
    let mut rebuild = |shares: &[usize]| {
        let mut stages = Vec::new();
        let blocks = shares
            .iter()
            .map(|&share| stored.fetch(share, SegmentIndex(0)))
            .collect();
        let result = rebuild_segment_watched(
            &mut rebuilder,
            &stored.facts,
            SegmentIndex(0),
            blocks,
            &[share(2)],
            |stage| stages.push(stage.name()),
        );
        (result.is_ok(), stages)
    };
    assert_eq!(rebuild(&[1, 3]), (true, vec!["verify", "decode", "code", "hash"]));
    assert_eq!(rebuild(&[1]), (false, vec!["verify"]));
}

#[test]
fn what_the_file_has_not_is_refused() {
    let stored = Stored::new(2, 4, &noise(3, 2500), engines());
    let mut rebuilder = SegmentRebuilder::new(coding(2, 4), engines());
    let blocks = |segment| vec![stored.fetch(0, segment), stored.fetch(1, segment)];
    let mut rebuild = |segment, blocks, wanted| {
        rebuild_segment(&mut rebuilder, &stored.facts, segment, blocks, &[share(wanted)])
    };
    let first = SegmentIndex(0);
    let no_share = Err(DecodeError::NoSuchShare { share: share(4) });
    assert_eq!(rebuild(first, blocks(first), 4), no_share);
    let no_segment = Err(DecodeError::NoSuchSegment {
        segment: SegmentIndex(3),
    });
    assert_eq!(rebuild(SegmentIndex(3), blocks(first), 2), no_segment);
    // Blocks of another segment, and a share given twice, are bad blocks.
    let why = |result: Result<RebuiltSegment, DecodeError>| match result {
        Err(DecodeError::TooFew { bad, .. }) => bad[0].why,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(
        why(rebuild(SegmentIndex(1), blocks(first), 2)),
        BadBlockReason::Block
    );
    let twice = vec![stored.fetch(3, first), stored.fetch(3, first)];
    assert_eq!(why(rebuild(first, twice, 2)), BadBlockReason::Twice);
    let mut pathless = blocks(first);
    pathless[1].sealed_path = Bytes::new();
    assert_eq!(why(rebuild(first, pathless, 2)), BadBlockReason::SealedPath);
}

/// A file of one segment whose uploader made some shares of other bytes than the rest; all hashes are right.
fn crooked(coding: Coding, swapped: &[usize]) -> (FileFacts, Vec<FetchedBlock>) {
    let length = 64 * coding.k();
    let blocks_of = |seed: u64| {
        let bytes = noise(seed, length);
        let data: Vec<&[u8]> = bytes.chunks(64).collect();
        let recovery = Codec::new(coding, engines().erasure)
            .encode(&data)
            .expect("valid");
        let data = data.into_iter().map(Bytes::copy_from_slice);
        data.chain(recovery).collect::<Vec<Bytes>>()
    };
    let (mut blocks, others) = (blocks_of(1), blocks_of(2));
    for &share in swapped {
        blocks[share] = others[share].clone();
    }
    let leaves: Vec<Hash> = blocks.iter().map(|block| merkle::block_leaf(block)).collect();
    let sealed_leaf = merkle::sealed_leaf(&leaves[..coding.k()]);
    let mut trees = FileTrees::new(coding);
    trees.push(&leaves, sealed_leaf);
    let FileSeal { ueb, ueb_hash, .. } = trees.finish(length as u64 - 16, 1024).expect("one segment");
    let cap = ChkCap {
        key: ReadKey::from_bytes([5; 16]),
        ueb_hash,
        coding,
        size: ueb.file_bytes(),
    };
    let roots: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.0).collect();
    let facts = FileFacts::verify(&cap.verifier(), &ueb.encode(), &roots).expect("good");
    let fetched = blocks.into_iter().enumerate().map(|(index, block)| FetchedBlock {
        share: share(index),
        block,
        block_path: Bytes::new(),
        sealed_path: Bytes::copy_from_slice(&sealed_leaf.0),
    });
    (facts, fetched.collect())
}

#[test]
fn what_an_uploader_stored_inconsistently_is_found_and_not_spread() {
    let coding = coding(2, 5);
    let (facts, blocks) = crooked(coding, &[3]);
    let mut rebuilder = SegmentRebuilder::new(coding, engines());
    let mut rebuild = |from: [usize; 2], wanted: &[ShareNumber]| {
        let blocks = from.iter().map(|&share| blocks[share].clone()).collect();
        rebuild_segment(&mut rebuilder, &facts, SegmentIndex(0), blocks, wanted)
    };
    // From the share that does not belong to the others nothing is made.
    let inconsistent = Err(DecodeError::Inconsistent {
        segment: SegmentIndex(0),
    });
    assert_eq!(rebuild([0, 3], &[share(4)]), inconsistent);
    assert_eq!(rebuild([3, 4], &[share(0)]), inconsistent);
    // And when it is to be made from the others, the trees tell that it is not the one that was stored.
    let mut trees = RebuiltTrees::default();
    trees.push(&rebuild([0, 2], &[share(1), share(3), share(4)]).expect("these belong together"));
    assert!(trees.is_stored(&facts, share(1)) && trees.is_stored(&facts, share(4)));
    assert!(!trees.is_stored(&facts, share(3)));
    assert!(!trees.is_stored(&facts, share(0)), "it was not rebuilt");
}

#[test]
fn a_share_is_not_stored_before_its_last_segment() {
    let stored = Stored::new(2, 4, &noise(4, 2048), engines());
    let mut rebuilder = SegmentRebuilder::new(coding(2, 4), engines());
    let mut trees = RebuiltTrees::default();
    for segment in (0..2).map(SegmentIndex) {
        assert!(!trees.is_stored(&stored.facts, share(2)));
        let blocks = vec![stored.fetch(0, segment), stored.fetch(3, segment)];
        let rebuilt = rebuild_segment(&mut rebuilder, &stored.facts, segment, blocks, &[share(2)]);
        trees.push(&rebuilt.expect("enough"));
    }
    assert!(trees.is_stored(&stored.facts, share(2)));
}
