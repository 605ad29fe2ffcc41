//! Group commit: nobody hears of success before the sync, and all hear of a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Shares put by several threads at once.
const THREADS: u8 = 8;

fn failing(calls: u64, once: bool) -> Arc<Budget> {
    Budget::new(calls, io::ErrorKind::StorageFull, once)
}

#[test]
fn many_threads_put_at_once_and_all_of_it_is_there() {
    let dir = TempDir::new().expect("temporary directory");
    let disk = open(dir.path());
    let syncs_before = pack_files(dir.path(), "pack").len();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let disk = &disk;
            scope.spawn(move || {
                for round in 0..8 {
                    let sample = sample(thread * 8 + round + 1, 300, round);
                    assert!(matches!(put(disk, &sample, 0), Ok(DiskDone::Stored { .. })));
                    assert_whole(disk, &sample);
                    if round % 2 == 1 {
                        let share = sample.share;
                        done(disk, DiskOp::Remove { share }).expect("removed");
                    }
                }
            });
        }
        scope.spawn(|| {
            (0..200).for_each(|_| {
                disk.tidy();
            });
        });
    });
    assert!(pack_files(dir.path(), "pack").len() > syncs_before);
    drop(disk);
    let (disk, start) = open_small(dir.path(), Steps::real()).expect("opens");
    assert_eq!(start.share_count, u64::from(THREADS) * 4);
    for seed in 0..THREADS * 8 {
        let sample = sample(seed + 1, 300, seed % 8);
        match seed % 2 {
            0 => assert_whole(&disk, &sample),
            _ => assert!(!is_there(&disk, sample.share)),
        }
    }
}

/// The disk stops at some call while many put: a share is there after the next start if its putter was told so, and who was not
/// told finds it whole or not at all.
#[test]
fn a_sync_that_fails_acknowledges_nobody() {
    for calls in 0..40 {
        let dir = TempDir::new().expect("temporary directory");
        let budget = Some(failing(calls, false));
        let disk = open_small(dir.path(), Steps { budget }).expect("opens").0;
        let told = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (disk, told) = (&disk, &told);
                scope.spawn(move || {
                    if put(disk, &sample(thread + 1, 300, 0), 0).is_ok() {
                        told.fetch_or(1 << thread, Ordering::SeqCst);
                    } else {
                        let share = sample(thread + 1, 300, 0).share;
                        assert!(!is_there(disk, share), "after a fault nothing is left");
                    }
                });
            }
        });
        // What was not synced is lost.
        let durable = disk.log.writer().durable();
        if let Some((number, bytes)) = durable {
            let path = disk.log.files.pack(number);
            let file = fs::OpenOptions::new().write(true).open(path).expect("opens");
            file.set_len(u64::from(bytes)).expect("cut");
        }
        drop(disk);
        let disk = open(dir.path());
        let told = told.into_inner();
        for thread in 0..THREADS {
            let sample = sample(thread + 1, 300, 0);
            if told & (1 << thread) != 0 {
                assert_whole(&disk, &sample);
            }
        }
    }
}

/// A write or a sync fails once: the pack is cut and closed, a new one is begun, and nothing that failed comes back.
#[test]
fn after_a_failure_the_pack_is_cut_and_another_begun() {
    let (before, failed, after) = (sample(1, 300, 0), sample(2, 300, 1), sample(3, 300, 2));
    // Making a pack takes four calls, a batch two: these are the write and the sync of the second batch.
    for calls in [6, 7] {
        let dir = TempDir::new().expect("temporary directory");
        let budget = Some(failing(calls, true));
        let disk = open_small(dir.path(), Steps { budget }).expect("opens").0;
        put(&disk, &before, 0).expect("stored");
        assert_eq!(
            put(&disk, &failed, 0),
            Err(DiskFault::Full),
            "after {calls} calls"
        );
        assert!(!is_there(&disk, failed.share));
        assert_whole(&disk, &before);
        put(&disk, &after, 0).expect("stored again");
        assert_eq!(pack_files(dir.path(), "pack").len(), 2, "after {calls} calls");
        drop(disk);
        let disk = open(dir.path());
        assert_whole(&disk, &before);
        assert_whole(&disk, &after);
        assert!(!is_there(&disk, failed.share), "after {calls} calls");
    }
}

#[test]
fn several_at_once_are_answered_each_with_its_own() {
    let dir = TempDir::new().expect("temporary directory");
    let budget = failing(u64::MAX, true);
    let steps = Steps {
        budget: Some(Arc::clone(&budget)),
    };
    let disk = open_small(dir.path(), steps).expect("opens").0;
    let samples: Vec<Sample> = (0..5).map(|seed| sample(seed + 1, 300, seed)).collect();
    put(&disk, &samples[0], 0).expect("stored");
    let mut wrong = samples[3].closing.clone();
    wrong.block_leaves.clear();
    let op = |sample: &Sample, closing: &truckee_engine::store::Closing| DiskOp::Put {
        incoming: truckee_engine::store::IncomingId(9),
        share: sample.share,
        closing: Box::new(closing.clone()),
        block: sample.blocks[0].clone(),
    };
    let mut ops: Vec<DiskOp> = samples.iter().map(|sample| op(sample, &sample.closing)).collect();
    ops[3] = op(&samples[3], &wrong);
    ops.push(ops[2].clone());
    let calls = budget.left.lock().expect("no panic inside").0;
    let replies = disk.carry_out_puts(ops);
    let kinds: Vec<char> = replies
        .iter()
        .map(|reply| match &reply.result {
            Ok(DiskDone::Stored { .. }) => 's',
            Ok(DiskDone::Exists { .. }) => 'e',
            Err(DiskFault::Failed) => 'f',
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ['e', 's', 's', 'f', 's', 'e']);
    let calls = calls - budget.left.lock().expect("no panic inside").0;
    assert!(calls < 10, "they are synced together: {calls} calls");
    for at in [1, 2, 4] {
        assert_whole(&disk, &samples[at]);
    }
}

/// Whatever is answered, the packs have been synced since they were last written to.
#[test]
fn nothing_is_answered_before_it_is_synced() {
    let dir = TempDir::new().expect("temporary directory");
    let budget = failing(u64::MAX, true);
    let steps = Steps {
        budget: Some(Arc::clone(&budget)),
    };
    let disk = open_small(dir.path(), steps).expect("opens").0;
    let is_synced = |what: &str| {
        let dirty = &budget.left.lock().expect("no panic inside").1;
        assert!(
            !dirty
                .iter()
                .any(|path| path.extension().is_some_and(|end| end == "pack")),
            "{what}: {dirty:?}"
        );
        assert!(
            !dirty.contains(&dir.path().join("packs")) || what == "compacted",
            "{what}: {dirty:?}"
        );
    };
    for seed in 1..12 {
        let sample = sample(seed, 300, 0);
        let share = sample.share;
        put(&disk, &sample, 0).expect("stored");
        is_synced("put");
        trash(&disk, share, 7).expect("thrown away");
        is_synced("thrown away");
        done(&disk, DiskOp::Restore { share }).expect("restored");
        is_synced("restored");
        if seed.is_multiple_of(2) {
            done(&disk, DiskOp::Remove { share }).expect("removed");
            is_synced("removed");
        } else if seed.is_multiple_of(3) {
            trash(&disk, share, 8).expect("thrown away");
            let (bucket, before) = (Bucket::of(&share.si), Day::from_number(9));
            let cause = TrashCause::Expired;
            let empty = DiskOp::Empty {
                bucket,
                cause,
                before,
            };
            done(&disk, empty).expect("emptied");
            is_synced("emptied");
            assert!(read_lock(&disk.log.index).thrown_of(share).next().is_none());
        }
    }
}
