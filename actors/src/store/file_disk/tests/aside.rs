//! Putting aside: stopped before each system call, and only ever done to the file that was looked at.

use std::cell::{Cell, RefCell};

use super::super::super::disk::{GivenUp, Turn};
use super::*;

/// Does something when a check is about to make its first read.
struct Meanwhile<'a> {
    what: RefCell<Option<Box<dyn FnOnce() + 'a>>>,
}

impl<'a> Meanwhile<'a> {
    fn does(what: impl FnOnce() + 'a) -> Meanwhile<'a> {
        Meanwhile {
            what: RefCell::new(Some(Box::new(what))),
        }
    }
}

impl Turn for Meanwhile<'_> {
    fn wait(&self) -> Result<(), GivenUp> {
        let what = self.what.borrow_mut().take();
        what.into_iter().for_each(|what| what());
        Ok(())
    }
}

/// Lets so many reads pass and then gives up.
struct Reads(Cell<u32>);

impl Turn for Reads {
    fn wait(&self) -> Result<(), GivenUp> {
        let left = self.0.get().checked_sub(1).ok_or(GivenUp)?;
        self.0.set(left);
        Ok(())
    }
}

fn flip(path: &Path, at: usize) -> Vec<u8> {
    let mut bytes = fs::read(path).expect("readable");
    bytes[at] ^= 1;
    fs::write(path, &bytes).expect("writable");
    bytes
}

/// Stops before every system call of putting a share aside: then it lies in its place or in quarantine, whole, and the
/// next look finds it and puts it aside.
fn a_stop_at_any_point_leaves_a_damaged_share_in_one_place<D: Opens>() {
    let listed = |share: ShareId| DiskOp::List {
        bucket: Bucket::of(&share.si),
        after: None,
    };
    for by_list in [false, true] {
        let mut done_after = None;
        for calls in 0..10 {
            let dir = TempDir::new().expect("temporary directory");
            let (disk, _) = D::open_in(dir.path());
            let sample = sample(5, 2500, 6);
            write(&disk, &sample, 1).expect("stored");
            let damaged = flip(&disk.files().paths.share(sample.share), 20);
            drop(disk);
            let budget = Some(Budget::new(calls, io::ErrorKind::Other, false));
            let (disk, _) = D::open_stopping(dir.path(), Steps { budget });
            let op = match by_list {
                true => listed(sample.share),
                false => DiskOp::Verify { share: sample.share },
            };
            let reply = disk.carry_out(op);
            drop(disk);
            let (disk, start) = D::open_in(dir.path());
            let aside = files_below(disk.files().paths.quarantine());
            assert_eq!(start.share_count + aside.len() as u64, 1, "after {calls} calls");
            if reply.damage.shares == 1 {
                assert_eq!(fs::read(&aside[0]).expect("readable"), damaged);
                done_after = Some(calls);
                break;
            }
            let reply = disk.carry_out(listed(sample.share));
            assert_eq!(reply.damage.shares, start.share_count, "after {calls} calls");
            assert_eq!(files_below(disk.files().paths.quarantine()).len(), 1);
        }
        assert_eq!(done_after, Some(3), "a rename, and two directories made durable");
    }
}

fn a_good_share_that_came_meanwhile_stays<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let sample = sample(5, 2500, 6);
    write(&disk, &sample, 1).expect("stored");
    flip(&disk.files().paths.share(sample.share), 100);
    // While the check reads the damaged file, its uploader takes it back and stores it again.
    let turn = Meanwhile::does(|| {
        done(&disk, DiskOp::Remove { share: sample.share }).expect("removed");
        write(&disk, &sample, 2).expect("stored again");
    });
    let reply = disk.carry_out_in_turn(DiskOp::Verify { share: sample.share }, &turn);
    assert_eq!(reply.result, Err(DiskFault::NotFound), "what was damaged is gone");
    assert_eq!(reply.damage, Damage::default());
    assert_whole(&disk, &sample);
    assert!(files_below(disk.files().paths.quarantine()).is_empty());
}

fn of_two_who_find_the_same_damage_one_puts_it_aside<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let sample = sample(5, 2500, 6);
    write(&disk, &sample, 1).expect("stored");
    flip(&disk.files().paths.share(sample.share), 100);
    let inner = Cell::new(Damage::default());
    let turn = Meanwhile::does(|| {
        let reply = disk.carry_out(DiskOp::Verify { share: sample.share });
        assert_eq!(reply.result, Err(DiskFault::Corrupt));
        inner.set(reply.damage);
    });
    let reply = disk.carry_out_in_turn(DiskOp::Verify { share: sample.share }, &turn);
    assert_eq!(reply.result, Err(DiskFault::NotFound));
    assert_eq!((inner.get().shares, reply.damage.shares), (1, 0), "counted once");
    assert_eq!(files_below(disk.files().paths.quarantine()).len(), 1);
}

fn a_check_that_is_given_up_says_nothing_about_the_share<D: Opens>() {
    let dir = TempDir::new().expect("temporary directory");
    let (disk, _) = D::open_in(dir.path());
    let sample = sample(5, 2500, 6);
    write(&disk, &sample, 1).expect("stored");
    // Damaged at its last block, which is read last.
    flip(&disk.files().paths.share(sample.share), 64 + 2 * 384 + 10);
    let mut reads = 0;
    loop {
        let turn = Reads(Cell::new(reads));
        let reply = disk.carry_out_in_turn(DiskOp::Verify { share: sample.share }, &turn);
        if reply.result == Err(DiskFault::Corrupt) {
            break;
        }
        assert_eq!(reply.result, Err(DiskFault::Overloaded), "after {reads} reads");
        assert!(files_below(disk.files().paths.quarantine()).is_empty());
        reads += 1;
    }
    assert_eq!(reads, 9, "footer, header, UEB, roots, two trees, three blocks");
    let bucket = Bucket::of(&sample.share.si);
    let listed = disk.carry_out_in_turn(DiskOp::List { bucket, after: None }, &Reads(Cell::new(0)));
    assert_eq!(listed.result, Err(DiskFault::Overloaded));
}

on_each_disk!(
    a_stop_at_any_point_leaves_a_damaged_share_in_one_place,
    a_good_share_that_came_meanwhile_stays,
    of_two_who_find_the_same_damage_one_puts_it_aside,
    a_check_that_is_given_up_says_nothing_about_the_share,
);
