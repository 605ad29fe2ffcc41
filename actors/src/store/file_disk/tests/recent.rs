//! What stays in the system's memory of what was written.

use rustix::io::{Errno, IoSliceMut, ReadWriteFlags, preadv2};

use super::super::recent::{Part, Recent};
use super::*;
use crate::store::PackedDisk;

fn part(incoming: u64, from: u64, bytes: u64) -> Part {
    let (incoming, share) = (
        IncomingId(incoming),
        ShareId {
            si: StorageIndex([1; 16]),
            share: ShareNumber(0),
        },
    );
    Part {
        incoming,
        share,
        from,
        bytes,
    }
}

#[test]
fn what_was_written_first_is_forgotten_first_and_no_more_than_is_too_much() {
    let mut recent = Recent::keeping(10);
    let parts = [part(1, 0, 4), part(2, 0, 4), part(1, 4, 2), part(2, 4, 3)];
    for part in &parts[..3] {
        assert_eq!(recent.add(*part), [], "ten are not too many");
    }
    assert_eq!(recent.add(parts[3]), [parts[0]]);
    let longer = part(3, 0, 25);
    assert_eq!(
        recent.add(longer),
        parts[1..],
        "one that is too long by itself stays until the next"
    );
    assert_eq!(recent.add(part(3, 25, 10)), [longer]);
}

#[test]
fn no_more_parts_are_remembered_than_have_room() {
    let mut recent = Recent::keeping(u64::MAX);
    let most = (0..100_000).find(|at| !recent.add(part(*at, 0, 1)).is_empty());
    assert_eq!(most, Some(16_384), "the first that makes another one go");
}

/// Whether the system can give bytes of a file without its disk; nothing where it does not tell.
fn in_memory(path: &Path, at: u64) -> Option<bool> {
    let file = fs::File::open(path).expect("there");
    let mut bytes = [0; 64];
    match preadv2(
        &file,
        &mut [IoSliceMut::new(&mut bytes)],
        at,
        ReadWriteFlags::NOWAIT,
    ) {
        Ok(read) => Some(read > 0),
        Err(Errno::AGAIN) => Some(false),
        Err(Errno::OPNOTSUPP) => None,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// Needs a file system that forgets what it is told to; one that keeps all files in memory does not.
#[test]
fn shares_that_are_not_among_the_last_leave_the_memory_of_the_system_and_come_back_from_the_disk() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = PackedDisk::open_in(dir.path());
    let disk = disk.with_page_cache(1);
    let samples: Vec<Sample> = (1..=3).map(|seed| sample(seed, 5000, 4)).collect();
    let kept: Vec<Option<bool>> = samples
        .iter()
        .zip(1..)
        .map(|(sample, incoming)| {
            let stored = write(&disk, sample, incoming);
            assert!(matches!(stored, Ok(DiskDone::Stored { .. })), "{stored:?}");
            in_memory(&disk.files().paths.share(sample.share), 0)
        })
        .collect();
    let now: Vec<Option<bool>> = samples
        .iter()
        .map(|sample| in_memory(&disk.files().paths.share(sample.share), 0))
        .collect();
    if kept.contains(&None) {
        eprintln!("this file system does not tell what it has in memory");
    } else {
        assert_eq!(kept, [Some(true); 3], "what was just written");
        assert_eq!(
            now,
            [Some(false), Some(false), Some(true)],
            "after all were written"
        );
    }
    for sample in &samples {
        assert_whole(&disk, sample);
    }
}

/// Its blocks are long enough for the system to be told to write them before the share is finished, and not sealed by anybody: the
/// disk does not look at them.
#[test]
fn of_a_long_share_the_end_stays_and_the_beginning_goes_once_it_is_on_the_disk() {
    const BLOCK: usize = 1 << 20;
    let dir = TempDir::new().expect("temporary directory");
    let disk = PackedDisk::open_in(dir.path()).0.with_page_cache(4 << 20);
    let mut long = sample(1, 5000, 4);
    long.blocks = vec![Bytes::from(vec![7; BLOCK]); 16];
    let stored = write(&disk, &long, 1);
    assert!(matches!(stored, Ok(DiskDone::Stored { .. })), "{stored:?}");
    let path = disk.files().paths.share(long.share);
    let seen: Vec<Option<bool>> = (0..16)
        .map(|block| in_memory(&path, block * BLOCK as u64 + 512 * 1024))
        .collect();
    if seen.contains(&None) {
        eprintln!("this file system does not tell what it has in memory");
    } else {
        assert_eq!(seen[..12], [Some(false); 12], "{seen:?}");
    }
}

#[test]
fn what_was_known_of_a_share_that_was_thrown_away_is_of_no_use() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = FileDisk::open_in(dir.path());
    let sample = sample(1, 5000, 4);
    write(&disk, &sample, 1).expect("stored");
    let noted = || format!("{:?}", disk.recent.lock().expect("no panic inside"));
    let before = noted();
    let (coding, segment_bytes) = (sample.encoding.coding(), sample.encoding.segment_bytes());
    let incoming = IncomingId(2);
    let share = ShareId {
        share: ShareNumber(5),
        ..sample.share
    };
    let created = DiskOp::Create {
        incoming,
        share,
        coding,
        segment_bytes,
        expected_bytes: 0,
    };
    done(&disk, created).expect("made");
    let block = Bytes::from(vec![7; 3 << 20]);
    let append = DiskOp::Append {
        incoming,
        share,
        block,
    };
    done(&disk, append).expect("appended");
    assert_ne!(noted(), before, "it is noted");
    done(&disk, DiskOp::Discard { incoming, share }).expect("gone");
    assert_eq!(noted(), before);
}

#[test]
fn a_share_that_went_meanwhile_is_no_trouble() {
    let dir = TempDir::new().expect("temporary directory");
    let (mut disk, _) = FileDisk::open_in(dir.path());
    disk.keep_in_page_cache(1);
    let (first, second) = (sample(1, 5000, 4), sample(2, 5000, 4));
    write(&disk, &first, 1).expect("stored");
    fs::remove_file(disk.paths.share(first.share)).expect("there");
    write(&disk, &second, 2).expect("stored");
    assert_whole(&disk, &second);
}
