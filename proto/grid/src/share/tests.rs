use super::*;
use crate::{
    engines::Engines,
    keys::ReadKey,
    params::Encoding,
    pipeline::{EncodedFile, encode_file},
    tests::noise,
};

fn file(length: usize) -> EncodedFile {
    let encoding = Encoding::new(Coding::new(2, 3).expect("valid"), 1, 1024).expect("valid");
    encode_file(
        &noise(1, length),
        &encoding,
        &ReadKey::from_bytes([4; 16]),
        Engines::reference(),
    )
    .expect("encodes")
}

fn footer(share: &[u8]) -> Footer {
    Footer::parse(share.last_chunk().expect("long enough"), share.len() as u64).expect("good")
}

struct Parts {
    header: ShareHeader,
    block_leaves: Vec<Hash>,
    sealed_leaves: Vec<Hash>,
    roots: Vec<u8>,
    ueb: Vec<u8>,
}

fn parts(file: &EncodedFile, share: usize) -> Parts {
    let bytes = &file.shares[share];
    let Footer { header, layout, .. } = footer(bytes);
    let row = |at: u64| -> Vec<Hash> {
        let rows = &bytes[at as usize..][..layout.tree().leaves() as usize * 32];
        rows.as_chunks().0.iter().copied().map(Hash).collect()
    };
    Parts {
        header,
        block_leaves: row(layout.block_tree()),
        sealed_leaves: row(layout.sealed_tree()),
        roots: file.seal.share_roots_bytes().to_vec(),
        ueb: file.seal.ueb_bytes.to_vec(),
    }
}

fn trailer(parts: Parts) -> Result<Vec<u8>, TrailerError> {
    build_trailer(
        &parts.header,
        parts.block_leaves,
        parts.sealed_leaves,
        &parts.roots,
        &parts.ueb,
    )
}

#[test]
fn the_layout_is_that_of_the_file() {
    for length in [1, 1023, 1024, 1025, 5000] {
        let file = file(length);
        for share in &file.shares {
            let layout = footer(share).layout;
            assert_eq!(layout.share_file_bytes(), share.len() as u64);
            assert_eq!(layout.footer() + FOOTER_BYTES as u64, share.len() as u64);
            let ueb = &share[layout.ueb() as usize..][..layout.ueb_bytes()];
            assert_eq!(ueb, &file.seal.ueb_bytes[..]);
            let (last, bytes) = layout.block(layout.geometry().last()).expect("exists");
            assert_eq!(last + bytes as u64, layout.block_tree());
            let beyond = layout.geometry().last().next();
            assert_eq!(layout.block(beyond), None);
            assert!(layout.block_path(beyond).is_empty() && layout.sealed_path(beyond).is_empty());
        }
    }
}

#[test]
fn a_trailer_is_the_end_of_the_file_and_checked() {
    let file = file(3000);
    let bytes = &file.shares[1];
    let whole = trailer(parts(&file, 1)).expect("good");
    assert_eq!(&bytes[footer(bytes).layout.block_tree() as usize..], &whole[..]);

    let with = |edit: fn(&mut Parts)| {
        let mut parts = parts(&file, 1);
        edit(&mut parts);
        trailer(parts).expect_err("damaged")
    };
    assert_eq!(
        with(|parts| parts.block_leaves[1].0[0] ^= 1),
        TrailerError::BlockRoot
    );
    assert_eq!(
        with(|parts| parts.sealed_leaves[2].0[31] ^= 1),
        TrailerError::SealedRoot
    );
    assert_eq!(
        with(|parts| parts.block_leaves.swap(0, 1)),
        TrailerError::BlockRoot
    );
    assert_eq!(
        with(|parts| parts.header.share = ShareNumber(0)),
        TrailerError::BlockRoot
    );
    assert_eq!(with(|parts| parts.roots[40] ^= 1), TrailerError::ShareRoots);
    assert_eq!(with(|parts| parts.roots.truncate(64)), TrailerError::ShareRoots);
    assert_eq!(
        with(|parts| parts.header.segment_bytes = 2048),
        TrailerError::Parameters
    );
    let blocks = |found| TrailerError::Blocks { expected: 3, found };
    assert_eq!(with(|parts| parts.block_leaves.truncate(2)), blocks(2));
    assert_eq!(with(|parts| parts.sealed_leaves.clear()), blocks(0));
    assert!(matches!(
        with(|parts| parts.ueb.truncate(5)),
        TrailerError::Ueb(_)
    ));
}

#[test]
fn a_single_block_makes_the_same_file() {
    let file = file(700);
    for (index, share) in file.shares.iter().enumerate() {
        let Parts {
            header, roots, ueb, ..
        } = parts(&file, index);
        let (at, length) = footer(share).layout.block(SegmentIndex(0)).expect("exists");
        let block = &share[at as usize..][..length];
        assert_eq!(
            build_single(&header, block, &roots, &ueb).as_deref(),
            Ok(&share[..])
        );
        let short = build_single(&header, &block[1..], &roots, &ueb);
        assert_eq!(
            short,
            Err(TrailerError::BlockLength {
                expected: length,
                found: length - 1
            })
        );
        let mut damaged = block.to_vec();
        damaged[5] ^= 1;
        assert_eq!(
            build_single(&header, &damaged, &roots, &ueb),
            Err(TrailerError::BlockRoot)
        );
    }
    let longer = super::tests::file(1500);
    let Parts {
        header, roots, ueb, ..
    } = parts(&longer, 0);
    let refused = build_single(&header, &[0; 64], &roots, &ueb);
    assert_eq!(
        refused,
        Err(TrailerError::Blocks {
            expected: 2,
            found: 1
        })
    );
}

#[test]
fn headers_are_strict() {
    let header = footer(&file(10).shares[2]).header;
    let bytes = header.encode();
    assert_eq!(ShareHeader::parse(&bytes), Ok(header));
    for bit in 0..HEADER_BYTES * 8 {
        let mut damaged = bytes;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(ShareHeader::parse(&damaged), Ok(header), "bit {bit}");
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes;
        bytes[at] = byte;
        ShareHeader::parse(&bytes)
    };
    assert_eq!(with(0, b'X'), Err(HeaderError::Magic));
    assert_eq!(with(11, 2), Err(HeaderError::Version { version: 2 }));
    assert_eq!(
        with(29, 3),
        Err(HeaderError::Share {
            share: 3,
            coding: header.coding
        })
    );
    assert_eq!(
        with(28, 1),
        Err(HeaderError::Share {
            share: 258,
            coding: header.coding
        })
    );
    assert!(matches!(with(31, 9), Err(HeaderError::Params(_))));
    assert!(matches!(with(39, 1), Err(HeaderError::Params(_))));
    assert_eq!(with(63, 1), Err(HeaderError::Reserved));
}

#[test]
fn footers_are_strict() {
    let share = file(2000).shares[0].clone();
    let length = share.len() as u64;
    let bytes: [u8; FOOTER_BYTES] = *share.last_chunk().expect("long enough");
    let too_long = Err(FooterError::Length {
        expected: length,
        found: length + 1,
    });
    assert_eq!(Footer::parse(&bytes, length + 1), too_long);
    for bit in 0..FOOTER_BYTES * 8 {
        let mut damaged = bytes;
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = Footer::parse(&damaged, length).expect_err("damaged");
        assert!(
            matches!(error, FooterError::Checksum | FooterError::Magic),
            "bit {bit}: {error}"
        );
    }
    let resign = |at: usize| {
        let mut bytes = bytes;
        bytes[at] ^= 1;
        let checksum = crate::hashing::turboshake128(crate::hashing::domain::FOOTER, &[&bytes[..160]]);
        bytes[160..].copy_from_slice(&checksum);
        Footer::parse(&bytes, length).expect_err("impossible")
    };
    for at in [79, 87, 95, 103, 111, 115, 119] {
        assert_eq!(resign(at), FooterError::Offsets, "byte {at}");
    }
    assert!(matches!(resign(0), FooterError::Header(HeaderError::Magic)));
}

#[test]
fn the_disks_errors_are_not_damage() {
    let share = file(2000).shares[0].clone();
    let verified = verify_share(share.len() as u64, |_, _| Err("unreadable"));
    assert_eq!(verified, Err(VerifyError::Read("unreadable")));
    let short = verify_share(10, |_, _| Ok::<(), ()>(()));
    assert_eq!(short, Err(VerifyError::TooShort { found: 10 }));
}
