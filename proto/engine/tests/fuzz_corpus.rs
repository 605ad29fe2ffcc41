//! The fuzz targets as ordinary tests: each body runs over its checked-in corpus and over seeded mutations of it. What a
//! fuzzer finds is added to the corpus, and stays found.

#![allow(clippy::disallowed_methods, reason = "a test may read its corpus from files")]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

#[path = "../../fuzz/src/lib.rs"]
#[allow(
    unreachable_pub,
    reason = "public in the crate of the fuzz targets, which shares the file"
)]
mod fuzzing;

#[path = "fuzz_corpus/drive_seeds.rs"]
mod drive_seeds;
#[path = "fuzz_corpus/seeds.rs"]
mod seeds;

/// Mutations of each target: together they take a few seconds in a debug build.
const MUTATIONS: u64 = 3_000;

/// Longest input that mutations grow to, in bytes.
const INPUT_BYTES_MAX: usize = 8 * 1024;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

/// The corpus of a target, in the order of its file names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<_> = fs::read_dir(folder(target))
        .expect("a corpus")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| (path.display().to_string(), fs::read(path).expect("readable")))
        .collect()
}

/// One to eight changes: flipped, set, removed, doubled or inserted bytes, and pieces of another input.
fn mutate(rng: &mut StdRng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = input.to_vec();
    for _ in 0..rng.random_range(1..=8) {
        let at = rng.random_range(0..=data.len());
        let span = rng.random_range(0..=16.min(data.len() - at));
        match rng.random_range(0..6) {
            0 if at < data.len() => data[at] ^= 1 << rng.random_range(0..8),
            1 if at < data.len() => data[at] = [0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)],
            2 => drop(data.drain(at..at + span)),
            3 => data.extend_from_within(at..at + span),
            4 => data.insert(at, rng.random()),
            5 if !other.is_empty() => {
                let from = rng.random_range(0..other.len());
                let piece = &other[from..other.len().min(from + 64)];
                data.splice(at..at, piece.iter().copied());
            }
            _ => {}
        }
    }
    data.truncate(INPUT_BYTES_MAX);
    data
}

fn check(target: &str) {
    let (name, run) = fuzzing::TARGETS
        .into_iter()
        .find(|(name, _)| *name == target)
        .expect("a target");
    let corpus = corpus(name);
    assert!(corpus.len() >= 3, "{name} has a corpus of {} only", corpus.len());
    for (path, input) in &corpus {
        assert!(catch_unwind(|| run(input)).is_ok(), "{name} fails on {path}");
    }
    for seed in 0..MUTATIONS {
        let mut rng = StdRng::seed_from_u64(seed);
        let input = &corpus[rng.random_range(0..corpus.len())].1;
        let other = &corpus[rng.random_range(0..corpus.len())].1;
        let data = mutate(&mut rng, input, other);
        assert!(
            catch_unwind(|| run(&data)).is_ok(),
            "{name} fails on seed {seed}: {data:02x?}"
        );
    }
}

#[test]
fn frame() {
    check("frame");
}

#[test]
fn envelope() {
    check("envelope");
}

#[test]
fn cap() {
    check("cap");
}

#[test]
fn share() {
    check("share");
}

#[test]
fn session() {
    check("session");
}

#[test]
fn drive() {
    check("drive");
}

/// Writes the first inputs of each corpus. Run by hand when messages change, with `--ignored`.
#[test]
#[ignore = "writes into the source tree"]
fn write_first_inputs() {
    for (target, name, input) in seeds::all() {
        fs::create_dir_all(folder(target)).expect("writable");
        fs::write(folder(target).join(name), input).expect("writable");
    }
}
