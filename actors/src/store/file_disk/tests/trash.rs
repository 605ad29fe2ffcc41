//! The trash: stopped before each system call, with loss of power, and never a share lost on the way.

use truckee_engine::store::{Amount, TrashCause, TrashMark};
use truckee_engine::time::Day;

use super::*;

fn mark(day: u32) -> TrashMark {
    TrashMark {
        day: Day::from_number(day),
        cause: TrashCause::Expired,
    }
}

fn trash(disk: &dyn Disk, share: ShareId, day: u32) -> Result<DiskDone, DiskFault> {
    done(
        disk,
        DiskOp::Trash {
            share,
            mark: mark(day),
            leased_before: None,
        },
    )
}

fn empty(disk: &dyn Disk, share: ShareId, before: u32) -> Result<DiskDone, DiskFault> {
    let (bucket, before) = (Bucket::of(&share.si), Day::from_number(before));
    let cause = TrashCause::Expired;
    done(
        disk,
        DiskOp::Empty {
            bucket,
            cause,
            before,
        },
    )
}

fn stopping_after<D: Opens>(dir: &Path, calls: u64) -> (D, Arc<Budget>) {
    let budget = Budget::new(calls, io::ErrorKind::Other, false);
    let steps = Steps {
        budget: Some(Arc::clone(&budget)),
    };
    (D::open_stopping(dir, steps).0, budget)
}

/// The one share below the directory, wherever it lies.
fn only_file(dir: &Path, when: &str) -> PathBuf {
    let mut found = files_below(dir);
    assert_eq!(found.len(), 1, "{when}: {found:?}");
    found.remove(0)
}

fn a_stop_at_any_point_leaves_a_share_in_its_place_or_in_the_trash<D: Opens>() {
    for back in [false, true] {
        let mut calls = 0;
        loop {
            let (dir, sample) = (TempDir::new().expect("temporary directory"), sample(5, 2500, 6));
            let (disk, _) = D::open_in(dir.path());
            write(&disk, &sample, 1).expect("stored");
            let whole = fs::read(disk.files().paths.share(sample.share)).expect("readable");
            if back {
                trash(&disk, sample.share, 7).expect("thrown away");
            }
            drop(disk);
            let (disk, _) = stopping_after::<D>(dir.path(), calls);
            let outcome = match back {
                false => trash(&disk, sample.share, 7),
                true => done(&disk, DiskOp::Restore { share: sample.share }),
            };
            drop(disk);
            let (disk, start) = D::open_in(dir.path());
            let lies = only_file(dir.path(), &format!("after {calls} calls, back: {back}"));
            assert_eq!(fs::read(lies).expect("readable"), whole);
            assert_eq!(start.share_count + start.trash.shares, 1);
            assert_eq!(start.used_bytes + start.trash.bytes, whole.len() as u64);
            if outcome.is_ok() {
                assert_eq!(start.share_count, u64::from(back));
                break;
            }
            // It goes on from wherever it lies.
            if start.share_count == 0 {
                done(&disk, DiskOp::Restore { share: sample.share }).expect("comes back");
            }
            assert_whole(&disk, &sample);
            trash(&disk, sample.share, 7).expect("goes");
            calls += 1;
            assert!(calls < 20, "it never ends");
        }
        assert!(calls >= 5, "names are made durable: {calls} calls, back: {back}");
    }
}

/// In the other order, loss of power in between could leave a share in neither place.
fn where_a_share_goes_is_durable_before_where_it_came_from<D: Opens>() {
    for back in [false, true] {
        for calls in 0..20 {
            let (dir, sample) = (TempDir::new().expect("temporary directory"), sample(5, 2500, 6));
            let (disk, _) = D::open_in(dir.path());
            write(&disk, &sample, 1).expect("stored");
            let at_home = disk.files().paths.file(sample.share.si);
            let in_trash = disk.files().paths.trash_of(Bucket::of(&sample.share.si));
            if back {
                trash(&disk, sample.share, 7).expect("thrown away");
            }
            drop(disk);
            let (disk, budget) = stopping_after::<D>(dir.path(), calls);
            let outcome = match back {
                false => trash(&disk, sample.share, 7),
                true => done(&disk, DiskOp::Restore { share: sample.share }),
            };
            let (to, from) = if back {
                (at_home, in_trash)
            } else {
                (in_trash, at_home)
            };
            let guard = budget.left.lock().expect("no panic inside");
            let synced = |dir: &PathBuf| guard.2.iter().position(|path| path == dir);
            if let Some(first) = synced(&from) {
                let goal = synced(&to).expect("where it goes is durable first");
                assert!(goal < first, "after {calls} calls, back: {back}");
            }
            if outcome.is_ok() {
                assert!(synced(&from).is_some(), "both are durable in the end");
                break;
            }
        }
    }
}

fn a_share_comes_back_as_it_was_with_its_time<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let sample = sample(5, 2500, 6);
    let Ok(DiskDone::Stored { file_bytes }) = write(&disk, &sample, 1) else {
        panic!("stored")
    };
    let written = fs::metadata(disk.files().paths.share(sample.share))
        .and_then(|found| found.modified())
        .expect("there");
    assert_eq!(
        trash(&disk, sample.share, 7),
        Ok(DiskDone::Trashed { file_bytes })
    );
    assert!(
        !disk.files().paths.file(sample.share.si).exists(),
        "no empty directory stays"
    );
    let read = done(
        &disk,
        DiskOp::Read {
            share: sample.share,
            segment: SegmentIndex(0),
            suspect: false,
        },
    );
    assert_eq!(read, Err(DiskFault::NotFound), "not from an open file either");
    assert_eq!(
        done(&disk, DiskOp::Restore { share: sample.share }),
        Ok(DiskDone::Restored { file_bytes })
    );
    assert_whole(&disk, &sample);
    let now = fs::metadata(disk.files().paths.share(sample.share))
        .and_then(|found| found.modified())
        .expect("there");
    assert_eq!(now, written);
}

#[test]
fn nothing_replaces_anything() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = FileDisk::open(dir.path()).expect("opens");
    let sample = sample(5, 700, 6);
    put(&disk, &sample, 1).expect("stored");
    trash(&disk, sample.share, 7).expect("thrown away");
    put(&disk, &sample, 2).expect("stored again");
    assert_eq!(
        trash(&disk, sample.share, 7),
        Err(DiskFault::Failed),
        "the name is taken"
    );
    let restored = done(&disk, DiskOp::Restore { share: sample.share });
    assert!(matches!(restored, Ok(DiskDone::Exists { .. })), "{restored:?}");
    trash(&disk, sample.share, 8).expect("under another day");
    assert_eq!(files_below(disk.paths.trash()).len(), 2);
    done(&disk, DiskOp::Restore { share: sample.share }).expect("restored");
    assert!(
        disk.paths.trashed(sample.share, mark(7)).exists(),
        "the one of the later day came back"
    );
}

#[test]
fn the_trash_is_emptied_by_day_and_of_nothing_else() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = FileDisk::open(dir.path()).expect("opens");
    let (old, young) = (sample(5, 700, 6), sample(5, 700, 7));
    put(&disk, &old, 1).expect("stored");
    put(&disk, &young, 2).expect("stored");
    trash(&disk, old.share, 7).expect("thrown away");
    trash(&disk, young.share, 8).expect("thrown away");
    let strange = disk.paths.trash_of(Bucket::of(&old.share.si)).join("notes.txt");
    fs::write(&strange, b"not ours").expect("writable");
    let nothing = Ok(DiskDone::Emptied {
        gone: Amount::default(),
    });
    let other = DiskOp::Empty {
        bucket: Bucket::of(&old.share.si),
        cause: TrashCause::Surplus,
        before: Day::from_number(99),
    };
    assert_eq!(done(&disk, other), nothing, "thrown away for another reason");
    assert_eq!(empty(&disk, old.share, 7), nothing);
    let Ok(DiskDone::Emptied { gone }) = empty(&disk, old.share, 8) else {
        panic!("emptied")
    };
    assert_eq!(gone.shares, 1);
    assert_eq!(empty(&disk, old.share, 8), nothing);
    assert!(disk.paths.trashed(young.share, mark(8)).exists() && strange.exists());
    drop(disk);
    let (_, start) = FileDisk::open(dir.path()).expect("opens");
    assert_eq!(
        (start.share_count, start.trash),
        (0, gone),
        "both have one length"
    );
}

on_each_disk!(
    a_stop_at_any_point_leaves_a_share_in_its_place_or_in_the_trash,
    where_a_share_goes_is_durable_before_where_it_came_from,
    a_share_comes_back_as_it_was_with_its_time,
);
