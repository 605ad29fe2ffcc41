//! What is answered without waiting is what the threads would answer, and what they have to act on is left to them.

use truckee_grid::ids::SegmentIndex;

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
