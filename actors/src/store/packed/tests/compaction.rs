//! Compaction: gives room back, moves what is there with all that is known of it, and brings nothing back.

use super::*;

fn held_and_gone(disk: &PackedDisk, shares: u8, is_kept: impl Fn(u8) -> bool) -> Vec<(Sample, bool)> {
    let mut all = Vec::new();
    for seed in 0..shares {
        let sample = sample(seed + 1, 300, seed % 10);
        put(disk, &sample, 0).expect("stored");
        all.push((sample, is_kept(seed)));
    }
    for (sample, _) in all.iter().filter(|(_, is_kept)| !is_kept) {
        let share = sample.share;
        done(disk, DiskOp::Remove { share }).expect("removed");
    }
    all
}

fn assert_as_left(disk: &PackedDisk, all: &[(Sample, bool)], when: &str) {
    for (sample, is_kept) in all {
        assert_eq!(is_there(disk, sample.share), *is_kept, "{when}: {}", sample.share);
        if *is_kept {
            assert_whole(disk, sample);
        }
    }
}

fn bytes_of_packs(dir: &Path) -> u64 {
    let lengths = pack_files(dir, "pack").into_iter();
    lengths.map(|path| fs::metadata(path).expect("there").len()).sum()
}

#[test]
fn room_is_given_back_and_nothing_comes_back() {
    for keep_every in [2, 3, 5, 100] {
        let dir = TempDir::new().expect("temporary directory");
        let disk = open(dir.path());
        let all = held_and_gone(&disk, 40, |seed| seed.is_multiple_of(keep_every));
        let kept = all.iter().filter(|(_, is_kept)| *is_kept).count() as u64;
        let before = bytes_of_packs(dir.path());
        assert!(tidy_all(&disk) > 0);
        let after = bytes_of_packs(dir.path());
        assert!(after < before);
        // As much again as what is kept, records of removals with it, and the pack that is open.
        let fair = kept * 1300 * 2 + 3 * u64::from(SMALL_PACKS);
        assert!(
            after <= fair,
            "one of {keep_every}: {before} bytes became {after}"
        );
        assert_as_left(&disk, &all, "after compaction");
        for life in 0..3 {
            let (disk, start) = open_small(dir.path(), Steps::real()).expect("opens");
            assert_eq!(start.share_count, kept);
            assert_as_left(&disk, &all, &format!("life {life}"));
            tidy_all(&disk);
            assert_as_left(&disk, &all, &format!("life {life}, tidied"));
        }
    }
}

/// A removal says something as long as the share's record is there, even if its own pack goes.
#[test]
fn a_record_of_a_removal_outlives_its_pack() {
    let dir = TempDir::new().expect("temporary directory");
    let disk = open(dir.path());
    // Two packs that stay, for more than half of each is kept; then one of removals.
    let all = held_and_gone(&disk, 8, |seed| seed % 4 != 0);
    drop(disk);
    // Each start closes the pack that was open, and compaction writes it again.
    for life in 0..4 {
        let disk = open(dir.path());
        assert_as_left(&disk, &all, &format!("life {life}"));
        tidy_all(&disk);
        drop(disk);
    }
    assert!(pack_files(dir.path(), "pack").len() >= 2);
    lose_all_indexes(dir.path());
    assert_as_left(&open(dir.path()), &all, "without index files");
}

fn lose_all_indexes(dir: &Path) {
    for path in pack_files(dir, "idx") {
        fs::remove_file(path).expect("removed");
    }
}

#[test]
fn what_lies_in_the_trash_is_moved_with_its_mark_and_its_day() {
    let dir = TempDir::new().expect("temporary directory");
    let disk = open(dir.path());
    let kept = sample(99, 300, 1);
    put(&disk, &kept, 0).expect("stored");
    trash(&disk, kept.share, 7).expect("thrown away");
    held_and_gone(&disk, 12, |_| false);
    let place = |disk: &PackedDisk| read_lock(&disk.log.index).trashed(kept.share, mark(7));
    let before = place(&disk).expect("in the trash");
    tidy_all(&disk);
    let after = place(&disk).expect("in the trash");
    assert_ne!(before.place, after.place);
    assert_eq!(before.written(), after.written());
    drop(disk);
    let (disk, start) = open_small(dir.path(), Steps::real()).expect("opens");
    assert_eq!((start.share_count, start.trash.shares), (0, 1));
    let share = kept.share;
    done(&disk, DiskOp::Restore { share }).expect("comes back");
    assert_whole(&disk, &kept);
}

/// Between two steps of a compaction, what was moved already and what was not leave, come back and are read.
#[test]
fn shares_leave_while_they_are_moved() {
    let dir = TempDir::new().expect("temporary directory");
    let disk = open(dir.path());
    let mut all = held_and_gone(&disk, 30, |seed| seed.is_multiple_of(3));
    let mut at = 0;
    while disk.tidy() {
        let (sample, is_kept) = &mut all[at % 30];
        let share = sample.share;
        if *is_kept {
            done(&disk, DiskOp::Remove { share }).expect("removed");
        } else {
            put(&disk, sample, 0).expect("stored");
        }
        *is_kept = !*is_kept;
        at += 1;
        assert_as_left(&disk, &all, &format!("after {at} steps"));
        assert!(at < 1000, "it never ends");
        if at == 60 {
            break;
        }
    }
    drop(disk);
    assert_as_left(&open(dir.path()), &all, "at the next start");
}

/// A share that was moved leaves before its old pack is gone; then the new pack goes before the old one.
#[test]
fn a_share_that_was_moved_and_removed_does_not_come_back_from_its_old_pack() {
    for calls in 0..40 {
        let dir = TempDir::new().expect("temporary directory");
        let disk = open(dir.path());
        let all = held_and_gone(&disk, 4, |seed| seed == 0);
        drop(disk);
        // Stopped in the middle of a compaction.
        if let Ok(disk) = stopping_after(dir.path(), calls) {
            tidy_all(&disk);
        }
        let disk = open(dir.path());
        assert_as_left(&disk, &all, &format!("after {calls} calls"));
        let share = all[0].0.share;
        done(&disk, DiskOp::Remove { share }).expect("removed");
        // The newest packs first.
        for number in (1..20).rev() {
            let index = read_lock(&disk.log.index);
            let is_closed = index
                .packs()
                .any(|(there, pack)| there == number && pack.is_closed);
            drop(index);
            if is_closed && number != 1 {
                disk.log.compact_only(number);
            }
        }
        drop(disk);
        let disk = open(dir.path());
        assert!(!is_there(&disk, share), "after {calls} calls");
        tidy_all(&disk);
        drop(disk);
        assert!(!is_there(&open(dir.path()), share), "after {calls} calls");
    }
}

/// Puts other shares until the open pack is full.
fn fill(disk: &PackedDisk, seed: &mut u8) {
    loop {
        *seed += 1;
        put(disk, &sample(*seed, 300, 0), 0).expect("stored");
        if disk.log.writer().durable().is_none() {
            return;
        }
    }
}

/// What a pack said of a share in another one is written again behind a later share of that name: a start must not lose the
/// first one when it comes to the second.
#[test]
fn of_two_shares_of_one_name_the_one_in_the_trash_stays_there() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, twice, mut seed) = (open(dir.path()), sample(99, 300, 1), 0);
    put(&disk, &twice, 0).expect("stored");
    fill(&disk, &mut seed);
    trash(&disk, twice.share, 7).expect("thrown away");
    fill(&disk, &mut seed);
    put(&disk, &twice, 0).expect("stored again");
    disk.log.compact_only(2);
    assert!(read_lock(&disk.log.index).has_pack(1) && !read_lock(&disk.log.index).has_pack(2));
    drop(disk);
    let (disk, start) = open_small(dir.path(), Steps::real()).expect("opens");
    assert_eq!((start.share_count, start.trash.shares), (u64::from(seed) + 1, 1));
    assert_whole(&disk, &twice);
    let share = twice.share;
    done(&disk, DiskOp::Remove { share }).expect("removed");
    done(&disk, DiskOp::Restore { share }).expect("comes back");
    assert_whole(&disk, &twice);
}
