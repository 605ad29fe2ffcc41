//! What is answered without waiting is what the threads would answer, and what they have to act on is left to them.

use truckee_grid::ids::SegmentIndex;

use super::super::super::file_disk::recent::without_pages;
use super::super::super::file_disk::source::read_at_once;
use super::super::super::file_disk::tests::write;
use super::*;

fn find(sample: &Sample) -> DiskOp {
    DiskOp::Find {
        si: sample.share.si,
        inline_bytes_max: 1 << 14,
    }
}

fn read(sample: &Sample, suspect: bool) -> DiskOp {
    DiskOp::Read {
        share: sample.share,
        segment: SegmentIndex(0),
        suspect,
    }
}

/// A disk with two shares, and what it has been asked once, so that the packs are open and their pages in memory.
fn warm(dir: &Path) -> (PackedDisk, Sample, Sample) {
    let disk = PackedDisk::open(dir).expect("opens").0;
    let samples = [sample(1, 500, 3), sample(2, 700, 3)];
    for (at, sample) in samples.iter().enumerate() {
        put(&disk, sample, at as u64).expect("stored");
        assert!(is_there(&disk, sample.share));
    }
    let [one, other] = samples;
    (disk, one, other)
}

#[test]
fn a_sound_share_in_memory_is_answered_as_the_threads_would() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, one, other) = warm(dir.path());
    for op in [find(&one), find(&other), read(&one, false), read(&other, false)] {
        let at_once = disk.at_once(&op).expect("nobody has to wait");
        assert!(at_once.result.is_ok(), "{op:?}");
        assert_eq!(at_once, disk.carry_out(op));
    }
    let absent = sample(3, 500, 3);
    let left = [find(&absent), read(&absent, false), read(&one, true)];
    for op in left {
        assert_eq!(disk.at_once(&op), None, "{op:?}");
    }
}

#[test]
fn a_damaged_share_is_left_to_the_threads_which_put_it_aside() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, one, other) = warm(dir.path());
    // In the footer, where a look of any kind finds it.
    let file_bytes = read_lock(&disk.log.index)
        .held(one.share)
        .expect("held")
        .file_bytes as usize;
    disk.flip(one.share, file_bytes - 5);
    assert_eq!(disk.at_once(&find(&one)), None);
    assert_eq!(disk.at_once(&read(&one, false)), None);
    assert!(disk.at_once(&find(&other)).is_some());
    assert_eq!(disk.carry_out(find(&one)).damage.shares, 1);
    assert!(!is_there(&disk, one.share));
}

#[test]
fn where_short_shares_may_lie_in_files_as_well_both_are_looked_at() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, one, _) = warm(dir.path());
    assert!(disk.at_once(&find(&one)).is_some());
    let disk = disk.without_new_packs();
    put(&disk, &sample(4, 500, 3), 9).expect("stored in a file");
    assert_eq!(disk.at_once(&find(&one)), None);
    drop(disk);
    // What a start finds counts as well.
    let disk = PackedDisk::open(dir.path()).expect("opens").0;
    assert!(is_there(&disk, one.share));
    assert_eq!(disk.at_once(&find(&one)), None);
    assert!(
        disk.at_once(&read(&one, false)).is_some(),
        "it is known where this one is"
    );
}

fn block(sample: &Sample, segment: usize, suspect: bool) -> DiskOp {
    DiskOp::Read {
        share: sample.share,
        segment: SegmentIndex(segment as u64),
        suspect,
    }
}

#[test]
fn blocks_of_a_file_that_is_open_are_answered_as_long_as_they_are_in_memory() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = PackedDisk::open_in(dir.path());
    let long = sample(1, 5000, 4);
    write(&disk, &long, 1).expect("stored");
    assert_eq!(
        disk.at_once(&block(&long, 0, false)),
        None,
        "nobody has opened it"
    );
    done(&disk, block(&long, 0, false)).expect("read");
    for segment in 0..long.blocks.len() {
        let op = block(&long, segment, false);
        let at_once = disk.at_once(&op).expect("nobody has to wait");
        let Ok(DiskDone::Read(read)) = &at_once.result else {
            panic!("{at_once:?}");
        };
        assert_eq!(read.block, long.blocks[segment]);
        assert_eq!(at_once, disk.carry_out(op));
    }
    assert_eq!(disk.at_once(&block(&long, 0, true)), None, "it has to be checked");
    done(&disk, DiskOp::Remove { share: long.share }).expect("removed");
    assert_eq!(disk.at_once(&block(&long, 0, false)), None, "it is gone");
}

/// Where a system keeps all files in memory it answers, and rightly so.
#[test]
fn a_block_that_would_have_to_come_from_the_disk_is_left_to_the_threads() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = PackedDisk::open_in(dir.path());
    let long = sample(1, 5000, 4);
    write(&disk, &long, 1).expect("stored");
    done(&disk, block(&long, 0, false)).expect("read");
    let path = files_below(&dir.path().join("shares")).pop().expect("one share");
    let file = fs::File::open(path).expect("there");
    without_pages(&file, 0, 0);
    let kept_anyway = read_at_once(&file, &mut [0], 0).is_ok();
    let at_once = disk.at_once(&block(&long, 1, false));
    assert_eq!(at_once.is_some(), kept_anyway, "{at_once:?}");
    let Ok(DiskDone::Read(read)) = done(&disk, block(&long, 1, false)) else {
        panic!("the threads wait for the disk");
    };
    assert_eq!(read.block, long.blocks[1]);
    // It is in memory now, but of a share that was not the threads are asked for a while.
    let at_once = || disk.at_once(&block(&long, 1, false)).is_some();
    let asked = (0..100).find(|_| at_once()).expect("not for ever");
    assert_eq!(asked > 10, !kept_anyway, "after {asked} others");
    assert!(at_once());
}

#[test]
fn what_is_read_at_once_is_all_of_it_or_nothing() {
    let dir = TempDir::new().expect("temporary directory");
    let path = dir.path().join("file");
    let bytes: Vec<u8> = (0..100_000).map(|at: usize| (at / 3) as u8).collect();
    fs::write(&path, &bytes).expect("writable");
    let file = fs::File::open(&path).expect("readable");
    for (from, to) in [(0, 100_000), (7, 80_000), (99_990, 100_000), (5, 5)] {
        let mut got = vec![0; to - from];
        read_at_once(&file, &mut got, from as u64).expect("just written");
        assert_eq!(got, bytes[from..to]);
    }
    for (from, length) in [(0, 100_001), (99_990, 11), (200_000, 70_000)] {
        let mut got = vec![0; length];
        let short = read_at_once(&file, &mut got, from).map_err(|error| error.kind());
        assert_eq!(
            short,
            Err(io::ErrorKind::WouldBlock),
            "{length} bytes from {from} on"
        );
    }
}
