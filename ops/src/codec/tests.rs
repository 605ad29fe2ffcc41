//! Round trips of every shape, and each kind of damage.

use std::io::Cursor;

use clap::Parser;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use super::decode::{Chosen, choose, join};
use super::encode::split;
use super::format::{HEAD_BYTES, Head, Shape, ShareFlaw, Tail};
use super::*;
use crate::cli::codec::CodecCommand;
use crate::cli::{Cli, Command};
use crate::exit::Exit;

/// Small, so that a test has many segments.
const SEGMENT: u32 = 1024;

fn shares(content: &[u8], k: u32, n: u32) -> Vec<Vec<u8>> {
    let coding = Coding::new(k, n).unwrap();
    let mut out = vec![Vec::new(); n as usize];
    let engine = Engines::reference().erasure;
    let bytes = split(&mut &content[..], &mut out, coding, engine, SEGMENT).unwrap();
    assert_eq!(bytes, content.len() as u64);
    out
}

fn open(share: &[u8], name: &str) -> Result<OpenShare, decode::OpenError> {
    OpenShare::open(name, Box::new(Cursor::new(share.to_vec())))
}

fn flaw(share: &[u8]) -> ShareFlaw {
    match open(share, "s").err() {
        Some(decode::OpenError::Flaw(flaw)) => flaw,
        other => panic!("{other:?}"),
    }
}

fn chosen(shares: &[Vec<u8>], which: &[usize]) -> Result<Chosen, CodecError> {
    let opened: Vec<OpenShare> = which
        .iter()
        .filter_map(|&number| open(&shares[number], &number.to_string()).ok())
        .collect();
    choose(opened, which.len())
}

fn restore(shares: &[Vec<u8>], which: &[usize]) -> Result<(Vec<u8>, Vec<String>), CodecError> {
    let mut out = Vec::new();
    let mut warned = Vec::new();
    let engine = Engines::reference().erasure;
    let joined = join(chosen(shares, which)?, engine, &mut out, |name| {
        warned.push(name.to_owned());
    });
    match joined {
        Ok(joined) => {
            assert_eq!((joined.file_bytes, &joined.damaged), (out.len() as u64, &warned));
            Ok((out, warned))
        }
        Err(JoinError::Shares(error)) => Err(error),
        Err(JoinError::Output(error)) => panic!("{error}"),
    }
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 % 251) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_k_of_n_restore_any_file(
        (n, which) in (2usize..14).prop_flat_map(|n| {
            (Just(n), (1..n).prop_flat_map(move |k| subsequence((0..n).collect::<Vec<_>>(), k).prop_shuffle()))
        }),
        bytes in prop_oneof![0usize..200, 1000usize..1100, 2000usize..6000],
    ) {
        let file = content(bytes);
        let shares = shares(&file, which.len() as u32, n as u32);
        prop_assert_eq!(restore(&shares, &which).unwrap(), (file, vec![]));
    }

    #[test]
    fn a_flipped_bit_never_comes_through(bytes in 1usize..3000, share in 0usize..5, at in any::<Index>(), bit in 0u8..8) {
        let file = content(bytes);
        let mut shares = shares(&file, 3, 5);
        let at = at.index(shares[share].len());
        shares[share][at] ^= 1 << bit;
        let (restored, warned) = restore(&shares, &[0, 1, 2, 3, 4]).unwrap();
        prop_assert_eq!(restored, file);
        prop_assert!(warned.iter().all(|name| *name == share.to_string()));
        // With no share to spare it is an error, whatever was hit.
        let only = [share, (share + 1) % 5, (share + 2) % 5];
        prop_assert!(restore(&shares, &only).is_err());
    }

    #[test]
    fn a_cut_share_is_refused(bytes in 0usize..3000, keep in any::<Index>()) {
        let share = &shares(&content(bytes), 2, 3)[2];
        let keep = keep.index(share.len());
        prop_assert!(open(&share[..keep], "s").is_err());
    }

    #[test]
    fn junk_is_no_share(junk in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&junk, "s").is_err());
        let mut behind_magic = b"TRKCODEC".to_vec();
        behind_magic.extend(junk);
        prop_assert!(open(&behind_magic, "s").is_err());
    }
}

#[test]
fn the_largest_codings_work() {
    let file = content(5000);
    for (k, n) in [(1, 1), (1, 256), (255, 256), (101, 256)] {
        let shares = shares(&file, k, n);
        let last: Vec<usize> = ((n - k) as usize..n as usize).collect();
        assert_eq!(restore(&shares, &last).unwrap().0, file, "{k} of {n}");
    }
}

#[test]
fn damage_in_different_places_is_no_loss() {
    let file = content(3 * 1024);
    let mut shares = shares(&file, 2, 3);
    let shape = Shape::new(Coding::new(2, 3).unwrap(), SEGMENT, 3 * 1024);
    for (number, share) in shares.iter_mut().enumerate() {
        share[shape.block_offset(number as u64) as usize] ^= 1;
    }
    let (restored, warned) = restore(&shares, &[2, 0, 1]).unwrap();
    // The third share is not needed where it is damaged.
    assert_eq!((restored, warned.len()), (file, 2));
    // Two at one place are too many.
    shares[1][HEAD_BYTES] ^= 1;
    let error = restore(&shares, &[0, 1, 2]).unwrap_err();
    assert_eq!(
        error,
        CodecError::DamagedTogether {
            at_byte: 0,
            have: 1,
            need: 2
        }
    );
    assert_eq!(error.exit(), Exit::NotFound);
}

#[test]
fn blocks_that_changed_places_are_damage() {
    let file = content(2 * 1024);
    let mut shares = shares(&file, 1, 2);
    let shape = Shape::new(Coding::new(1, 2).unwrap(), SEGMENT, 2 * 1024);
    let (first, second) = (shape.block_offset(0) as usize, shape.block_offset(1) as usize);
    let body = second - first;
    let swapped = [
        &shares[0][..first],
        &shares[0][second..second + body],
        &shares[0][first..second],
        &shares[0][second + body..],
    ]
    .concat();
    shares[0] = swapped;
    assert_eq!(restore(&shares, &[0, 1]).unwrap(), (file, vec!["0".to_owned()]));
}

#[test]
fn a_spliced_share_is_noticed() {
    let file = content(1024);
    let mut other = content(1024);
    other[0] ^= 0xff;
    let (ours, others) = (shares(&file, 1, 2), shares(&other, 1, 2));
    let shape = Shape::new(Coding::new(1, 2).unwrap(), SEGMENT, 1024);
    let tail = shape.tail_offset() as usize;
    let spliced = [&others[0][..tail], &ours[0][tail..]].concat();
    let error = restore(&[spliced], &[0]).unwrap_err();
    assert_eq!(error, CodecError::Spliced { share: "0".into() });
}

#[test]
fn shares_of_other_files_are_put_aside() {
    let (ours, others) = (shares(&content(3000), 2, 4), shares(&content(3001), 2, 4));
    let mixed = [ours[0].clone(), others[1].clone(), ours[3].clone()];
    let taken = chosen(&mixed, &[0, 1, 2]).unwrap();
    assert_eq!((taken.shares.len(), taken.foreign), (2, vec!["1".to_owned()]));
    let both = [
        ours[0].clone(),
        others[1].clone(),
        ours[3].clone(),
        others[2].clone(),
    ];
    let error = chosen(&both, &[0, 1, 2, 3]).err().unwrap();
    assert_eq!(error, CodecError::Mixed { files: 2 });
    let same_twice = chosen(&[ours[1].clone(), ours[1].clone()], &[0, 1])
        .err()
        .unwrap();
    assert_eq!(same_twice, CodecError::TooFew { have: 1, need: 2 });
    assert_eq!(chosen(&[], &[]).err().unwrap(), CodecError::NoShares { given: 0 });
}

#[test]
fn each_flaw_has_its_name() {
    let share = shares(&content(100), 2, 3).remove(0);
    let head = Head::parse(share[..HEAD_BYTES].try_into().unwrap()).unwrap();
    assert_eq!((head.coding, head.number), (Coding::new(2, 3).unwrap(), 0));
    assert_eq!(flaw(&share[..10]), ShareFlaw::Short);
    assert_eq!(flaw(&[b'x'; 100]), ShareFlaw::Foreign);
    let changed = |at: usize| {
        let mut share = share.clone();
        share[at] ^= 1;
        share
    };
    assert_eq!(flaw(&changed(9)), ShareFlaw::Head);
    assert_eq!(flaw(&changed(share.len() - 1)), ShareFlaw::Tail);
    let grown = [&share[..], b"x"].concat();
    assert_eq!(flaw(&grown), ShareFlaw::Tail);
    let endless = Tail {
        file_bytes: u64::MAX,
        roots: vec![truckee_grid::Hash([0; 32]); 3],
    };
    assert_eq!(
        Tail::parse(&head, &endless_bytes(&head, &endless)),
        Err(ShareFlaw::Tail)
    );
}

/// A tail with a good checksum and a length that nobody has.
fn endless_bytes(head: &Head, tail: &Tail) -> Vec<u8> {
    let small = Tail {
        file_bytes: 1,
        ..tail.clone()
    };
    let mut bytes = small.encode(head);
    bytes[8..16].copy_from_slice(&tail.file_bytes.to_be_bytes());
    bytes
}

#[test]
fn the_format_is_pinned() {
    // A change of any byte is a new format and needs a new version number.
    let share = shares(b"any k of n", 2, 3).remove(2);
    assert_eq!(share.len(), HEAD_BYTES + 64 + 32 + 32 + 3 * 32 + 32);
    assert_eq!(&share[..20], b"TRKCODEC\0\x01\0\x02\0\x03\0\x02\0\0\x04\0");
    let print = truckee_grid::merkle::block_leaf(&share);
    let hex: String = print.0[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "5e314ab2dc8b889c");
}

fn run(line: &[&str]) -> Result<(), CliError> {
    match Cli::try_parse_from([&["truckee", "codec"], line].concat())
        .unwrap()
        .command
    {
        Command::Codec(CodecCommand::Encode(args)) => encode(&args),
        Command::Codec(CodecCommand::Decode(args)) => super::decode(&args),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_on_disk_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(at("file"), content(100_000)).unwrap();
    run(&["encode", &at("file"), "-k", "2", "-n", "12", "--quiet"]).unwrap();
    assert!(std::path::Path::new(&at("file.00_12.share")).exists());
    assert!(std::path::Path::new(&at("file.11_12.share")).exists());
    let error = run(&["encode", &at("file"), "-n", "12", "--quiet"]).unwrap_err();
    assert_eq!(error.exit(), Exit::Refused, "{error}");
    run(&["encode", &at("file"), "-k", "2", "-n", "12", "--quiet", "--force"]).unwrap();

    std::fs::write(at("junk"), b"junk").unwrap();
    run(&[
        "decode",
        &at("junk"),
        &at("file.11_12.share"),
        &at("file.05_12.share"),
        "-q",
        "-o",
        &at("copy"),
    ])
    .unwrap();
    assert_eq!(std::fs::read(at("copy")).unwrap(), content(100_000));
    let error = run(&["decode", &at("file.11_12.share"), "-q", "-o", &at("copy")]).unwrap_err();
    assert_eq!(error.exit(), Exit::Refused, "{error}");
    let error = run(&["decode", &at("file.11_12.share"), "-q", "-o", &at("other")]).unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound, "{error}");
    assert!(!std::path::Path::new(&at("other")).exists());
    let error = run(&["encode", &at("file"), "-k", "9", "-n", "3"]).unwrap_err();
    assert_eq!(error.exit(), Exit::Usage, "{error}");
}

#[test]
fn failed_work_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // A directory can be opened but not read.
    let error = run(&[
        "encode",
        &dir.path().display().to_string(),
        "-q",
        "-d",
        &dir.path().display().to_string(),
    ]);
    assert!(error.is_err());
    let mut out = shares(&content(2000), 1, 2);
    out.iter_mut().for_each(|share| share[1500] ^= 1);
    let paths: Vec<String> = (0..2)
        .map(|at| dir.path().join(at.to_string()).display().to_string())
        .collect();
    for (path, share) in paths.iter().zip(&out) {
        std::fs::write(path, share).unwrap();
    }
    let copy = dir.path().join("copy").display().to_string();
    assert!(run(&["decode", &paths[0], &paths[1], "-q", "-o", &copy]).is_err());
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        2,
        "only the two shares are there"
    );
}
