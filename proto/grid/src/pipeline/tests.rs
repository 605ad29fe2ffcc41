use bytes::{Bytes, BytesMut};

use super::*;
use crate::{
    engines::Engines,
    erasure::{Codec, ErasureChoice},
    geometry,
    ids::{Hash, SegmentIndex, ShareNumber},
    keys::ReadKey,
    merkle,
    params::{Coding, Encoding},
    sealing::Sealer,
    tests::noise,
};

fn engines() -> Engines {
    Engines::select(ErasureChoice::Auto).expect("auto is never refused")
}

fn encoding(k: u32, n: u32) -> Encoding {
    Encoding::new(Coding::new(k, n).expect("valid"), 1, 1024).expect("valid")
}

fn key() -> ReadKey {
    ReadKey::from_bytes([8; 16])
}

fn buffer(length: usize) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(geometry::buffer_bytes(length, encoding(3, 10).coding()));
    buffer.extend_from_slice(&noise(2, length));
    buffer
}

#[test]
fn data_blocks_are_slices_of_the_plaintext_buffer() {
    let mut coder = SegmentCoder::new(&encoding(3, 10), &key(), engines());
    let plaintext = buffer(1024);
    let start = plaintext.as_ptr() as usize;
    let encoded = encode_segment(&mut coder, SegmentIndex(0), plaintext, false).expect("full");
    let block_bytes = encoded.blocks[0].len();
    for (index, block) in encoded.blocks[..3].iter().enumerate() {
        assert_eq!(block.as_ptr() as usize, start + index * block_bytes);
    }
    assert_eq!(encoded.blocks.len(), 10);
    assert_eq!(encoded.block_leaves[9], merkle::block_leaf(&encoded.blocks[9]));
    assert_eq!(
        encoded.sealed_leaf,
        merkle::sealed_leaf(&encoded.block_leaves[..3])
    );
}

#[test]
fn every_stage_is_told_once_and_in_order() {
    let mut stages = Vec::new();
    let mut coder = SegmentCoder::new(&encoding(3, 10), &key(), engines());
    encode_segment_watched(&mut coder, SegmentIndex(0), buffer(700), true, |stage| {
        stages.push(stage.name());
    })
    .expect("a last segment may be short");
    assert_eq!(stages, ["seal", "code", "hash"]);

    let stored = Stored::new(700);
    let decode = |shares: &[usize]| {
        let mut stages = Vec::new();
        let mut decoder = SegmentDecoder::new(&stored.facts, &key(), engines());
        let blocks = shares.iter().map(|share| stored.fetch(*share, 0)).collect();
        let result = decode_segment_watched(&mut decoder, &stored.facts, SegmentIndex(0), blocks, |stage| {
            stages.push(stage.name());
        });
        (result.is_ok(), stages)
    };
    assert_eq!(decode(&[1, 3]), (true, vec!["verify", "decode", "open"]));
    // What was not done is not told.
    assert_eq!(decode(&[1]), (false, vec!["verify"]));
}

#[test]
fn a_buffer_without_room_gives_the_same_blocks() {
    let mut coder = SegmentCoder::new(&encoding(3, 10), &key(), engines());
    let tight = BytesMut::from(&noise(2, 700)[..]);
    let roomy = encode_segment(&mut coder, SegmentIndex(1), buffer(700), true);
    assert_eq!(encode_segment(&mut coder, SegmentIndex(1), tight, true), roomy);
}

#[test]
fn segments_of_the_wrong_length_are_refused() {
    let mut coder = SegmentCoder::new(&encoding(3, 10), &key(), engines());
    for (length, last) in [(0, true), (0, false), (1023, false), (1025, false), (1025, true)] {
        let refused = encode_segment(&mut coder, SegmentIndex(5), buffer(length), last);
        let error = EncodeError::Length {
            segment: SegmentIndex(5),
            found: length,
            segment_bytes: 1024,
        };
        assert_eq!(refused, Err(error));
    }
}

#[test]
fn an_upload_must_be_as_long_as_it_says() {
    let mut trees = FileTrees::new(encoding(3, 10).coding());
    assert!(matches!(trees.finish(0, 1024), Err(SealFileError::Geometry(_))));
    let none = SealFileError::Segments {
        expected: 1,
        found: 0,
    };
    assert_eq!(trees.finish(1, 1024), Err(none));
    trees.push(&[Hash([1; 32]); 10], Hash([2; 32]));
    assert!(trees.finish(1024, 1024).is_ok());
    let more = SealFileError::Segments {
        expected: 2,
        found: 1,
    };
    assert_eq!(trees.finish(1025, 1024), Err(more));
}

struct Stored {
    file: EncodedFile,
    facts: FileFacts,
}

impl Stored {
    fn new(length: usize) -> Self {
        let file = encode_file(&noise(3, length), &encoding(2, 4), &key(), engines()).expect("encodes");
        let (_, facts) = file_facts(&file.cap.verifier(), &file.shares[0]).expect("good");
        Self { file, facts }
    }

    fn fetch(&self, share: usize, segment: u64) -> FetchedBlock {
        let (footer, _) = file_facts(&self.file.cap.verifier(), &self.file.shares[share]).expect("good");
        fetch_from_share(&footer, &self.file.shares[share], SegmentIndex(segment)).expect("exists")
    }

    fn decode(&self, segment: u64, blocks: Vec<FetchedBlock>) -> Result<DecodedSegment, DecodeError> {
        let mut decoder = SegmentDecoder::new(&self.facts, &key(), engines());
        decode_segment(&mut decoder, &self.facts, SegmentIndex(segment), blocks)
    }
}

#[test]
fn bad_blocks_are_named_and_the_rest_is_used() {
    let stored = Stored::new(2500);
    let mut bad = stored.fetch(0, 1);
    bad.block = Bytes::from(vec![0; bad.block.len()]);
    let mut short = stored.fetch(1, 1);
    short.block = short.block.slice(1..);
    let good = vec![stored.fetch(3, 1), stored.fetch(2, 1)];
    let decoded = stored
        .decode(1, [vec![bad.clone(), short.clone()], good].concat())
        .expect("two are good");
    assert_eq!(&decoded.plaintext[..], &noise(3, 2500)[1024..2048]);
    let length = BadBlockReason::Length {
        expected: short.block.len() + 1,
        found: short.block.len(),
    };
    let expected = [
        BadBlock {
            share: ShareNumber(0),
            why: BadBlockReason::Block,
        },
        BadBlock {
            share: ShareNumber(1),
            why: length,
        },
    ];
    assert_eq!(decoded.bad, expected);
    let too_few = stored
        .decode(1, vec![bad, stored.fetch(3, 1)])
        .expect_err("one is good");
    let DecodeError::TooFew {
        need: 2, good, bad, ..
    } = too_few
    else {
        panic!("wrong error: {too_few}");
    };
    assert_eq!((good, bad), (vec![ShareNumber(3)], expected[..1].to_vec()));
}

#[test]
fn blocks_out_of_place_are_refused() {
    let stored = Stored::new(2500);
    let why = |blocks| match stored.decode(1, blocks) {
        Err(DecodeError::TooFew { bad, .. }) => bad[0].why,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(why(vec![stored.fetch(0, 0)]), BadBlockReason::Block);
    let posing = FetchedBlock {
        share: ShareNumber(1),
        ..stored.fetch(0, 1)
    };
    assert_eq!(why(vec![posing]), BadBlockReason::Block);
    let beyond = FetchedBlock {
        share: ShareNumber(4),
        ..stored.fetch(0, 1)
    };
    assert_eq!(why(vec![beyond]), BadBlockReason::NoSuchShare);
    assert_eq!(
        why(vec![stored.fetch(0, 1), stored.fetch(0, 1)]),
        BadBlockReason::Twice
    );
    let pathless = FetchedBlock {
        sealed_path: Bytes::new(),
        ..stored.fetch(0, 1)
    };
    assert_eq!(why(vec![pathless]), BadBlockReason::SealedPath);
    let odd = FetchedBlock {
        block_path: Bytes::from_static(&[0; 33]),
        ..stored.fetch(0, 1)
    };
    assert_eq!(why(vec![odd]), BadBlockReason::Block);
    let no_segment = stored.decode(3, Vec::new());
    assert_eq!(
        no_segment,
        Err(DecodeError::NoSuchSegment {
            segment: SegmentIndex(3)
        })
    );
}

/// An uploader makes each share of another plaintext: all hashes are right, but two readers could see two files.
#[test]
fn an_uploader_cannot_store_two_files_under_one_cap() {
    let coding = encoding(2, 4).coding();
    let sealed = |byte: u8| {
        let mut buffer = BytesMut::from(&[byte; 100][..]);
        Sealer::new(key().cipher_key(), engines().sealing).seal(SegmentIndex(0), true, &mut buffer);
        buffer.resize(128, 0);
        buffer
    };
    let (one, two) = (sealed(1), sealed(2));
    let mut codec = Codec::new(coding, engines().erasure);
    let data: Vec<Bytes> = one.chunks(64).map(Bytes::copy_from_slice).collect();
    let other: Vec<&[u8]> = two.chunks(64).collect();
    let recovery = codec.encode(&other).expect("valid");
    let blocks = [data, recovery].concat();
    let leaves: Vec<Hash> = blocks.iter().map(|block| merkle::block_leaf(block)).collect();
    let sealed_leaf = merkle::sealed_leaf(&leaves[..2]);
    let mut trees = FileTrees::new(coding);
    trees.push(&leaves, sealed_leaf);
    let seal = trees.finish(100, 1024).expect("one segment");
    let cap = crate::caps::ChkCap {
        key: key(),
        ueb_hash: seal.ueb_hash,
        coding,
        size: 100,
    };
    let facts = FileFacts::verify(&cap.verifier(), &seal.ueb_bytes, &seal.share_roots_bytes()).expect("good");
    let fetch = |share: usize| FetchedBlock {
        share: ShareNumber(share as u8),
        block: blocks[share].clone(),
        block_path: Bytes::new(),
        sealed_path: Bytes::copy_from_slice(&sealed_leaf.0),
    };
    let mut decoder = SegmentDecoder::new(&facts, &key(), engines());
    let mut decode = |shares: [usize; 2]| {
        decode_segment(&mut decoder, &facts, SegmentIndex(0), shares.map(fetch).to_vec())
    };
    assert_eq!(
        &decode([0, 1]).expect("the committed file").plaintext[..],
        &[1; 100]
    );
    let inconsistent = Err(DecodeError::Inconsistent {
        segment: SegmentIndex(0),
    });
    assert_eq!(decode([2, 3]), inconsistent);
    assert_eq!(decode([0, 2]), inconsistent);
}
