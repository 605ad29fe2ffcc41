//! The packed disk against its promise. What it has in common with the disk of files is tested with that one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use truckee_engine::store::{DiskFault, ShareId, StartSpace, TrashCause, TrashMark};
use truckee_engine::time::Day;
use truckee_grid::bucket::Bucket;

use super::super::file_disk::tests::{Budget, Opens, assert_whole, done, files_below, put};
use super::super::testing::{Sample, sample};
use super::record::HEAD_BYTES;
use super::*;

#[test]
fn without_new_packs_short_shares_go_to_files_and_what_is_packed_is_served() {
    let dir = TempDir::new().expect("temporary directory");
    let (old, new) = (sample(1, 500, 3), sample(2, 500, 3));
    put(&open(dir.path()), &old, 1).expect("stored");
    let disk = open(dir.path()).without_new_packs();
    put(&disk, &new, 2).expect("stored");
    assert!(read_lock(&disk.log.index).held(old.share).is_some());
    assert!(read_lock(&disk.log.index).held(new.share).is_none());
    assert_whole(&disk, &old);
    assert_whole(&disk, &new);
    assert!(
        matches!(put(&disk, &old, 3), Ok(DiskDone::Exists { .. })),
        "in one place at most"
    );
}

#[test]
fn from_outside_each_share_is_seen_where_it_lies_also_one_that_was_moved() {
    let dir = TempDir::new().expect("temporary directory");
    let samples: Vec<_> = (0..9).map(|seed| sample(seed, 500, 1)).collect();
    let disk = open(dir.path());
    for (at, sample) in samples.iter().enumerate() {
        put(&disk, sample, at as u64).expect("stored");
    }
    let seen = || super::super::look::packed_shares(dir.path()).expect("readable");
    let whole = |found: &super::super::look::PackedShare| {
        let bytes = fs::read(&found.path).expect("readable");
        let share = bytes[found.at as usize..][..found.bytes as usize].to_vec();
        let sample = samples.iter().find(|sample| sample.share == found.share);
        (sample.expect("one that was put").share, share)
    };
    let before: BTreeMap<_, _> = seen().iter().map(whole).collect();
    assert_eq!(before.len(), samples.len());
    // Packs have room for three; of each, two go, and what is left moves.
    for sample in samples.iter().filter(|sample| sample.share.si.0[0] % 3 != 0) {
        done(&disk, DiskOp::Remove { share: sample.share }).expect("removed");
    }
    tidy_all(&disk);
    let after: BTreeMap<_, _> = seen().iter().map(whole).collect();
    let left = samples
        .iter()
        .filter(|sample| is_there(&disk, sample.share))
        .count();
    assert_eq!(after.len(), left);
    assert!(after.iter().all(|(share, bytes)| before[share] == *bytes));
}

impl Opens for PackedDisk {
    fn open_stopping(dir: &Path, steps: Steps) -> (PackedDisk, StartSpace) {
        // What an earlier life has left open is closed first: calls are counted from there.
        PackedDisk::open(dir).expect("opens");
        PackedDisk::open_with(dir, steps, PACK_BYTES).expect("opens")
    }

    fn files(&self) -> &FileDisk {
        &self.files
    }

    fn flip(&self, share: ShareId, at: usize) -> u64 {
        let slot = read_lock(&self.log.index).held(share).expect("in a pack");
        let path = self.log.files.pack(slot.place.pack);
        let mut bytes = fs::read(&path).expect("readable");
        bytes[slot.place.at as usize + HEAD_BYTES + at] ^= 1;
        fs::write(&path, bytes).expect("writable");
        u64::from(slot.file_bytes)
    }
}

mod at_once;
mod commit;
mod compaction;
mod damage;
mod measure;
mod model;
mod stops;

/// Packs of so many bytes, so that a few shares fill one: a share of the samples takes some 1,100 bytes.
const SMALL_PACKS: u32 = 4000;

fn open(dir: &Path) -> PackedDisk {
    open_small(dir, Steps::real()).expect("opens").0
}

fn open_small(dir: &Path, steps: Steps) -> Result<(PackedDisk, StartSpace), DiskError> {
    PackedDisk::open_with(dir, steps, SMALL_PACKS)
}

fn stopping_after(dir: &Path, calls: u64) -> Result<PackedDisk, DiskError> {
    let budget = Some(Budget::new(calls, io::ErrorKind::Other, false));
    Ok(open_small(dir, Steps { budget })?.0)
}

/// Tidies up until nothing is left to do.
fn tidy_all(disk: &PackedDisk) -> usize {
    let steps = (0..1000).take_while(|_| disk.tidy()).count();
    assert!(steps < 1000, "it never ends");
    steps
}

/// The files of packs, by the ends of their names.
fn pack_files(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = files_below(&dir.join("packs"));
    found.retain(|path| path.extension().is_some_and(|end| end == kind));
    found.sort_by_key(|path| {
        let name = path.file_stem().and_then(|name| name.to_str());
        name.and_then(|name| name.parse::<u32>().ok())
    });
    found
}

fn is_there(disk: &PackedDisk, share: ShareId) -> bool {
    let (si, inline_bytes_max) = (share.si, 0);
    match done(disk, DiskOp::Find { si, inline_bytes_max }) {
        Ok(DiskDone::Found(found)) => found.shares.contains(&share.share),
        other => panic!("{other:?}"),
    }
}

fn trash(disk: &PackedDisk, share: ShareId, day: u32) -> Result<DiskDone, DiskFault> {
    let mark = mark(day);
    done(
        disk,
        DiskOp::Trash {
            share,
            mark,
            leased_before: None,
        },
    )
}

fn mark(day: u32) -> TrashMark {
    TrashMark {
        day: Day::from_number(day),
        cause: TrashCause::Expired,
    }
}

/// Another one each time; it is printed, and a failure is repeated with it.
fn any_seed() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    u64::from_be_bytes(bytes)
}
