//! The real disk against its promise: stopped before each single system call, damaged in every part, filled up.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tempfile::TempDir;
use truckee_engine::store::{Damage, DiskDone, DiskFault, DiskOp, IncomingId, ShareId};
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber};

use super::super::testing::{Sample, sample, sample_in_segments};
use super::steps::Steps;
use super::*;

/// A disk that the tests open.
pub(in crate::store) trait Opens: Disk + Sized {
    /// Opens it as it is.
    fn open_in(dir: &Path) -> (Self, StartSpace) {
        Self::open_stopping(dir, Steps::real())
    }

    /// Opens it with system calls that may fail.
    fn open_stopping(dir: &Path, steps: Steps) -> (Self, StartSpace);

    /// Where its large shares are.
    fn files(&self) -> &FileDisk;

    /// Flips a bit of a share file in its place; gives the length of it.
    fn flip(&self, share: ShareId, at: usize) -> u64 {
        let path = self.files().paths.share(share);
        let mut bytes = fs::read(&path).expect("readable");
        bytes[at] ^= 1;
        fs::write(&path, &bytes).expect("writable");
        self.files().opened.forget(share);
        bytes.len() as u64
    }
}

impl Opens for FileDisk {
    fn open_stopping(dir: &Path, steps: Steps) -> (FileDisk, StartSpace) {
        FileDisk::open_with(dir, steps).expect("opens")
    }

    fn files(&self) -> &FileDisk {
        self
    }
}

/// The tests of a module on each kind of disk.
macro_rules! on_each_disk {
    ($($test:ident),* $(,)?) => {
        mod on_files {
            $(#[test] fn $test() { super::$test::<crate::store::FileDisk>(); })*
        }
        mod on_packs {
            $(#[test] fn $test() { super::$test::<crate::store::PackedDisk>(); })*
        }
    };
}

mod aside;
mod leases;
mod listing;
mod recent;
mod trash;

/// Counts system calls down; when none are left all fail, as if the machine had stopped. Remembers what was changed and
/// not yet made durable, and what was made durable in which order.
#[derive(Debug)]
pub(in crate::store) struct Budget {
    pub(in crate::store) left: Mutex<(u64, BTreeSet<PathBuf>, Vec<PathBuf>)>,
    error: io::ErrorKind,
    /// Fail once and then go on, like a disk that is full for a moment, instead of stopping for good.
    once: bool,
}

impl Budget {
    pub(in crate::store) fn new(calls: u64, error: io::ErrorKind, once: bool) -> Arc<Budget> {
        Arc::new(Budget {
            left: Mutex::new((calls, BTreeSet::new(), Vec::new())),
            error,
            once,
        })
    }

    pub(in crate::store) fn has_failed(&self) -> bool {
        self.left.lock().expect("no panic inside").0 > u64::MAX / 2
    }

    pub(in crate::store) fn spend(&self, path: &Path, durable: bool) -> io::Result<()> {
        let mut guard = self.left.lock().expect("no panic inside");
        let (left, dirty, durable_in_order) = &mut *guard;
        if *left == 0 {
            *left = if self.once { u64::MAX } else { 0 };
            return Err(self.error.into());
        }
        *left -= 1;
        if durable {
            dirty.remove(path);
            durable_in_order.push(path.to_owned());
        } else {
            dirty.insert(path.to_owned());
        }
        Ok(())
    }

    /// Loss of power: files that were not synced are cut to half, also under the name that they were given since; if a
    /// directory on the way to the share was not synced, the share's name is gone.
    fn lose_power(&self, share: &Path) {
        let guard = self.left.lock().expect("no panic inside");
        for path in &guard.1 {
            let now = if path.exists() { path } else { share };
            if now.is_file() {
                let file = OpenOptions::new().write(true).open(now).expect("still there");
                file.set_len(file.metadata().expect("has a length").len() / 2)
                    .expect("can be cut");
            } else if share.starts_with(path) && share.exists() {
                fs::remove_file(share).expect("can be removed");
            }
        }
    }
}

/// A share that is written in many pieces, and of which the end has room set aside.
fn long_sample(seed: u8, share: u8) -> Sample {
    sample_in_segments(seed, 8 << 20, share, 1 << 20)
}

pub(in crate::store) fn done(disk: &dyn Disk, op: DiskOp) -> Result<DiskDone, DiskFault> {
    disk.carry_out(op).result
}

/// Writes the sample as the machine would, up to the first fault.
pub(in crate::store) fn write(
    disk: &dyn Disk,
    sample: &Sample,
    incoming: u64,
) -> Result<DiskDone, DiskFault> {
    let (incoming, share) = (IncomingId(incoming), sample.share);
    let (coding, segment_bytes) = (sample.encoding.coding(), sample.encoding.segment_bytes());
    let created = done(
        disk,
        DiskOp::Create {
            incoming,
            share,
            coding,
            segment_bytes,
            expected_bytes: sample.file_bytes(),
        },
    )?;
    if created != DiskDone::Created {
        return Ok(created);
    }
    for block in &sample.blocks {
        done(
            disk,
            DiskOp::Append {
                incoming,
                share,
                block: block.clone(),
            },
        )?;
    }
    done(
        disk,
        DiskOp::Finish {
            incoming,
            share,
            closing: Box::new(sample.closing.clone()),
        },
    )
}

pub(in crate::store) fn put(disk: &dyn Disk, sample: &Sample, incoming: u64) -> Result<DiskDone, DiskFault> {
    let (incoming, closing) = (IncomingId(incoming), Box::new(sample.closing.clone()));
    done(
        disk,
        DiskOp::Put {
            incoming,
            share: sample.share,
            closing,
            block: sample.blocks[0].clone(),
        },
    )
}

/// Everything that was stored comes back as it was.
pub(in crate::store) fn assert_whole(disk: &dyn Disk, sample: &Sample) {
    for (index, block) in sample.blocks.iter().enumerate() {
        let read = done(
            disk,
            DiskOp::Read {
                share: sample.share,
                segment: SegmentIndex(index as u64),
                suspect: false,
            },
        );
        let Ok(DiskDone::Read(read)) = read else {
            panic!("block {index}: {read:?}")
        };
        assert_eq!(&read.block, block);
        let ueb = &sample.closing.file.ueb;
        let count = ueb.segments();
        let leaf = truckee_grid::merkle::block_leaf(block);
        let root = &sample.closing.file.share_roots[sample.share.share.index()];
        assert!(truckee_grid::merkle::verify_path(
            root,
            leaf,
            index as u64,
            count,
            &read.block_path
        ));
        let proof = &read.sealed;
        assert!(truckee_grid::merkle::verify_path(
            ueb.sealed_root(),
            proof.leaf,
            index as u64,
            count,
            &proof.path
        ));
    }
    let verified = done(disk, DiskOp::Verify { share: sample.share });
    assert!(matches!(verified, Ok(DiskDone::Sound { .. })), "{verified:?}");
}

pub(in crate::store) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn what_is_stored_comes_back<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, start) = D::open_in(dir.path());
    assert_eq!((start.share_count, start.used_bytes), (0, 0));
    let (large, small) = (sample(1, 5000, 4), sample(2, 100, 9));
    let Ok(DiskDone::Stored { file_bytes }) = write(&disk, &large, 1) else {
        panic!("stored")
    };
    let Ok(DiskDone::Stored {
        file_bytes: small_bytes,
    }) = put(&disk, &small, 2)
    else {
        panic!("stored")
    };
    assert_whole(&disk, &large);
    assert_whole(&disk, &small);
    let found = done(
        &disk,
        DiskOp::Find {
            si: small.share.si,
            inline_bytes_max: 64,
        },
    );
    let Ok(DiskDone::Found(found)) = found else {
        panic!("{found:?}")
    };
    assert_eq!(found.shares, [ShareNumber(9)]);
    assert_eq!(found.file, Some(small.closing.file.clone()));
    assert_eq!(found.inlined, Some(small.blocks[0].clone()));
    let again = write(&disk, &large, 3);
    assert_eq!(
        again,
        Ok(DiskDone::Exists {
            file: large.closing.file.clone()
        })
    );
    drop(disk);
    let (disk, start) = D::open_in(dir.path());
    assert_eq!(
        (start.share_count, start.used_bytes),
        (2, file_bytes + small_bytes)
    );
    assert_whole(&disk, &large);
    assert_eq!(
        done(&disk, DiskOp::Remove { share: large.share }),
        Ok(DiskDone::Gone { file_bytes })
    );
    let read = done(
        &disk,
        DiskOp::Read {
            share: large.share,
            segment: SegmentIndex(0),
            suspect: false,
        },
    );
    assert_eq!(read, Err(DiskFault::NotFound));
}

#[test]
fn files_are_for_their_owner_alone_and_carry_the_lease() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = FileDisk::open(dir.path()).expect("opens");
    let sample = sample(1, 100, 0);
    put(&disk, &sample, 1).expect("stored");
    let path = disk.paths.share(sample.share);
    let found = fs::metadata(&path).expect("there");
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let leased = found
        .modified()
        .expect("has a time")
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    assert_eq!(leased.as_secs(), 1_700_000_000);
    for dir in [
        disk.paths.shares(),
        disk.paths.incoming(),
        disk.paths.quarantine(),
        path.parent().expect("has one"),
    ] {
        assert_eq!(
            fs::metadata(dir).expect("there").permissions().mode() & 0o777,
            0o700,
            "{}",
            dir.display()
        );
    }
}

/// Stops before every system call of a write, loses what was not durable, starts again, and looks.
#[test]
fn a_stop_at_any_point_keeps_what_was_acknowledged_and_nothing_else_half() {
    let before = sample(1, 3000, 2);
    for (whole, during) in [
        (false, sample(7, 2500, 5)),
        (true, sample(7, 500, 5)),
        (false, long_sample(7, 5)),
    ] {
        let mut calls = 0;
        loop {
            let dir = TempDir::new().expect("temporary directory");
            let (disk, _) = FileDisk::open(dir.path()).expect("opens");
            write(&disk, &before, 1).expect("stored");
            drop(disk);
            let budget = Budget::new(calls, io::ErrorKind::Other, false);
            let steps = Steps {
                budget: Some(Arc::clone(&budget)),
            };
            let (disk, _) = FileDisk::open_with(dir.path(), steps).expect("opens");
            let outcome = if whole {
                put(&disk, &during, 1)
            } else {
                write(&disk, &during, 1)
            };
            budget.lose_power(&disk.paths.share(during.share));
            drop(disk);
            let (disk, start) = FileDisk::open(dir.path()).expect("opens after the stop");
            assert_whole(&disk, &before);
            assert_eq!(
                files_below(disk.paths.incoming()),
                Vec::<PathBuf>::new(),
                "after {calls} calls"
            );
            if matches!(outcome, Ok(DiskDone::Stored { .. })) {
                assert_whole(&disk, &during);
                let least = if during.file_bytes() < 1 << 20 { 5 } else { 20 };
                assert!(calls > least, "a share takes more than {calls} calls");
                break;
            }
            if start.share_count == 2 {
                // Renamed but not acknowledged: then it is whole.
                assert_whole(&disk, &during);
            } else {
                let found = done(
                    &disk,
                    DiskOp::Find {
                        si: during.share.si,
                        inline_bytes_max: 0,
                    },
                );
                assert_eq!(
                    found,
                    Ok(DiskDone::Found(Default::default())),
                    "after {calls} calls"
                );
            }
            calls += 1;
            assert!(calls < 100, "the write never ends");
        }
    }
}

/// Each system call fails once with "no space left": the fault says so, and a discard and a retry succeed.
fn a_full_disk_is_a_fault_that_leaves_nothing_behind<D: Opens>() {
    for (whole, sample) in [
        (true, sample(3, 700, 1)),
        (false, sample(3, 2500, 1)),
        (false, long_sample(3, 1)),
    ] {
        for calls in 0..100 {
            let dir = TempDir::new().expect("temporary directory");
            let budget = Budget::new(calls, io::ErrorKind::StorageFull, true);
            let steps = Steps {
                budget: Some(Arc::clone(&budget)),
            };
            let (disk, _) = D::open_stopping(dir.path(), steps);
            let first = if whole {
                put(&disk, &sample, 1)
            } else {
                write(&disk, &sample, 1)
            };
            if first.is_ok() && budget.has_failed() {
                assert_whole(&disk, &sample); // Room ahead is a wish.
                continue;
            }
            if first.is_ok() {
                assert!(calls > 5);
                break;
            }
            assert_eq!(first, Err(DiskFault::Full), "after {calls} calls");
            done(
                &disk,
                DiskOp::Discard {
                    incoming: IncomingId(1),
                    share: sample.share,
                },
            )
            .expect("discards");
            assert_eq!(
                files_below(disk.files().paths.incoming()),
                Vec::<PathBuf>::new(),
                "after {calls} calls"
            );
            let second = if whole {
                put(&disk, &sample, 2)
            } else {
                write(&disk, &sample, 2)
            };
            assert!(
                matches!(second, Ok(DiskDone::Stored { .. } | DiskDone::Exists { .. })),
                "{second:?}"
            );
            assert_whole(&disk, &sample);
        }
    }
}

/// A torn write is taken back, so that the next block stands where it should.
fn a_failed_append_can_be_repeated<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let sample = sample_in_segments(4, 1 << 20, 1, 512 << 10);
    // A create makes one call; of the first block the first unit is written by the second, what else fills units by the third.
    let steps = Steps {
        budget: Some(Budget::new(2, io::ErrorKind::StorageFull, true)),
    };
    let (disk, _) = D::open_stopping(dir.path(), steps);
    let (incoming, share) = (IncomingId(1), sample.share);
    let (coding, segment_bytes) = (sample.encoding.coding(), sample.encoding.segment_bytes());
    done(
        &disk,
        DiskOp::Create {
            incoming,
            share,
            coding,
            segment_bytes,
            expected_bytes: sample.file_bytes(),
        },
    )
    .expect("created");
    let append = |block: &Bytes| {
        done(
            &disk,
            DiskOp::Append {
                incoming,
                share,
                block: block.clone(),
            },
        )
    };
    assert_eq!(append(&sample.blocks[0]), Err(DiskFault::Full));
    for block in &sample.blocks {
        append(block).expect("appended");
    }
    let closing = Box::new(sample.closing.clone());
    done(
        &disk,
        DiskOp::Finish {
            incoming,
            share,
            closing,
        },
    )
    .expect("stored");
    assert_whole(&disk, &sample);
}

fn a_share_that_does_not_close_is_not_stored<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let mut wrong = sample(4, 2500, 1);
    wrong.closing.block_leaves[1] = Hash([9; 32]);
    assert_eq!(write(&disk, &wrong, 1), Err(DiskFault::Failed));
    assert!(files_below(disk.files().paths.shares()).is_empty());
}

/// Flips one bit in each part of a share file and cuts it at several places.
fn damage_is_never_served_as_good<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let sample = sample(5, 2500, 6);
    write(&disk, &sample, 1).expect("stored");
    let path = disk.files().paths.share(sample.share);
    let good = fs::read(&path).expect("readable");
    let layout = truckee_grid::share::ShareLayout::new(*sample.closing.file.ueb.geometry());
    let structure = [
        0,
        20,
        layout.share_roots() as usize,
        layout.ueb() as usize,
        layout.footer() as usize + 3,
        good.len() - 1,
    ];
    let content = [64, layout.block_tree() as usize, layout.sealed_tree() as usize];
    let mut next = 2;
    let mut damaged = |bytes: &[u8], noticed_on_open: bool, what: &str| {
        fs::write(&path, bytes).expect("writable");
        disk.files().opened.forget(sample.share);
        let reply = disk.carry_out(DiskOp::Read {
            share: sample.share,
            segment: SegmentIndex(0),
            suspect: false,
        });
        if noticed_on_open {
            assert_eq!(reply.result, Err(DiskFault::Corrupt), "{what}");
        } else {
            let reply = disk.carry_out(DiskOp::Verify { share: sample.share });
            assert_eq!(reply.result, Err(DiskFault::Corrupt), "{what}");
        }
        let found = done(
            &disk,
            DiskOp::Find {
                si: sample.share.si,
                inline_bytes_max: 0,
            },
        );
        assert_eq!(found, Ok(DiskDone::Found(Default::default())), "{what}");
        // The place is free for a good one again.
        write(&disk, &sample, next).expect("stored again");
        next += 1;
        assert_whole(&disk, &sample);
    };
    for at in structure {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        damaged(&bytes, true, &format!("byte {at}"));
    }
    for at in content {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        damaged(&bytes, false, &format!("byte {at}"));
    }
    for length in [0, 1, 63, 64, 300, good.len() - 1] {
        damaged(&good[..length], true, &format!("cut to {length}"));
    }
    let aside = files_below(disk.files().paths.quarantine());
    assert_eq!(aside.len(), 15, "all are kept aside");
}

fn a_block_that_is_suspected_is_given_only_if_it_is_sound<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let sample = sample(5, 2500, 6);
    write(&disk, &sample, 1).expect("stored");
    let read = |segment: u64, suspect: bool| {
        let (share, segment) = (sample.share, SegmentIndex(segment));
        done(
            &disk,
            DiskOp::Read {
                share,
                segment,
                suspect,
            },
        )
    };
    for segment in 0..sample.blocks.len() as u64 {
        assert_eq!(read(segment, true), read(segment, false), "a wrong suspicion");
    }
    let path = disk.files().paths.share(sample.share);
    let layout = truckee_grid::share::ShareLayout::new(*sample.closing.file.ueb.geometry());
    for (incoming, at) in [64, layout.block_tree(), layout.sealed_tree()].iter().enumerate() {
        let mut bytes = fs::read(&path).expect("readable");
        bytes[*at as usize] ^= 1;
        fs::write(&path, bytes).expect("writable");
        let last = sample.blocks.len() as u64 - 1;
        // A leaf is not part of its own proof, but of those of its neighbours.
        let hurt = if *at == layout.block_tree() { 1 } else { 0 };
        assert!(read(hurt, false).is_ok(), "byte {at}: nobody looks");
        assert!(read(last, true).is_ok(), "byte {at}: another block is sound");
        assert_eq!(read(hurt, true), Err(DiskFault::Corrupt), "byte {at}");
        assert_eq!(read(hurt, true), Err(DiskFault::NotFound), "byte {at}: put aside");
        write(&disk, &sample, 10 + incoming as u64).expect("its place is free");
    }
}

fn every_byte_of_the_facts_about_a_file_is_checked<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let sample = sample(5, 2500, 6);
    write(&disk, &sample, 1).expect("stored");
    let path = disk.files().paths.share(sample.share);
    let good = fs::read(&path).expect("readable");
    let layout = truckee_grid::share::ShareLayout::new(*sample.closing.file.ueb.geometry());
    let facts = layout.share_roots() as usize..layout.footer() as usize;
    assert!(facts.contains(&(layout.ueb() as usize)), "both lie there");
    for at in facts {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).expect("writable");
        disk.files().opened.forget(sample.share);
        let find = DiskOp::Find {
            si: sample.share.si,
            inline_bytes_max: 0,
        };
        assert_eq!(
            done(&disk, find),
            Ok(DiskDone::Found(Default::default())),
            "byte {at}"
        );
    }
}

fn damage_is_counted_where_it_is_found<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let sample = sample(5, 2500, 6);
    write(&disk, &sample, 1).expect("stored");
    let path = disk.files().paths.share(sample.share);
    let bytes = fs::metadata(&path).expect("there").len() - 7;
    OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("opens")
        .set_len(bytes)
        .expect("cut");
    let reply = disk.carry_out(DiskOp::Find {
        si: sample.share.si,
        inline_bytes_max: 0,
    });
    assert_eq!(reply.damage, Damage { shares: 1, bytes });
    assert_eq!(reply.result, Ok(DiskDone::Found(Default::default())));
}

fn a_damaged_share_makes_room_for_a_new_one_and_leaves_the_books<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let sample = sample(5, 700, 6);
    let Ok(DiskDone::Stored { file_bytes }) = put(&disk, &sample, 1) else {
        panic!("stored")
    };
    disk.flip(sample.share, 0);
    let reply = disk.carry_out(DiskOp::Put {
        incoming: IncomingId(2),
        share: sample.share,
        closing: Box::new(sample.closing.clone()),
        block: sample.blocks[0].clone(),
    });
    assert_eq!(reply.result, Ok(DiskDone::Stored { file_bytes }));
    let damage = Damage {
        shares: 1,
        bytes: file_bytes,
    };
    assert_eq!(reply.damage, damage, "the one put aside is no longer counted");
    assert_whole(&disk, &sample);
}

#[test]
fn a_share_under_another_name_is_not_served() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = FileDisk::open(dir.path()).expect("opens");
    let sample = sample(5, 700, 6);
    put(&disk, &sample, 1).expect("stored");
    let wrong = ShareId {
        share: ShareNumber(7),
        ..sample.share
    };
    fs::copy(disk.paths.share(sample.share), disk.paths.share(wrong)).expect("copied");
    let read = done(
        &disk,
        DiskOp::Read {
            share: wrong,
            segment: SegmentIndex(0),
            suspect: false,
        },
    );
    assert_eq!(read, Err(DiskFault::Corrupt));
    assert_whole(&disk, &sample);
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let dir = TempDir::new().expect("temporary directory");
    fs::write(dir.path().join("shares"), b"in the way").expect("writable");
    let error = FileDisk::open(dir.path()).expect_err("shares is a file");
    assert!(error.to_string().contains("shares"), "{error}");
}

on_each_disk!(
    what_is_stored_comes_back,
    a_full_disk_is_a_fault_that_leaves_nothing_behind,
    a_failed_append_can_be_repeated,
    a_share_that_does_not_close_is_not_stored,
    damage_is_never_served_as_good,
    a_block_that_is_suspected_is_given_only_if_it_is_sound,
    every_byte_of_the_facts_about_a_file_is_checked,
    damage_is_counted_where_it_is_found,
    a_damaged_share_makes_room_for_a_new_one_and_leaves_the_books,
);
