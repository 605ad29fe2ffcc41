//! Small shares in packs, large ones in files: one disk.
//!
//! A share that comes whole and is short goes to the end of a pack, an append-only file, together with what others want to
//! have written at the same moment; one sync makes all of it durable, see [`log`]. All other shares go to the [`FileDisk`].
//! A share is in one of both at most. Where a share in a pack is now, in its place, in the trash or gone, is said by further
//! records; the state is what following all records leads to, see [`index`] and [`start`]. Leases are those of the file disk.
//!
//! Costs: in memory some 50 bytes for each share, at start reading 48 bytes for each record, and on the disk up to as much
//! again as the shares, before [`compaction`] gives it back. To remove a share takes room for a record of 88 bytes: a disk that
//! is full to the last byte gives none back.
//!
//! Not promised: that block bytes are right; whoever reads them checks their hashes. A damaged share is copied to `quarantine/` before
//! it leaves its place, so that a stop in between may leave it there twice.

mod at_once;
mod compaction;
mod files;
mod index;
mod index_file;
mod log;
mod record;
mod shares;
mod start;
#[cfg(test)]
mod tests;
mod thrown;
mod writer;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use truckee_engine::store::{Amount, Damage, DiskDone, DiskOp, DiskReply, ShareId, StartSpace};
use truckee_grid::share::ShareLayout;

use self::compaction::Compaction;
use self::log::Log;
use super::disk::{AtOnce, Disk, Turn};
use super::file_disk::steps::Steps;
use super::file_disk::{DiskError, FileDisk, Trouble, reply_of};
use super::look::PackedShare;

/// A pack is closed when it is as long: a start reads one such file for the pack that was open, in a second even from a
/// slow disk, and a terabyte of small shares are few enough of them for one directory.
const PACK_BYTES: u32 = 64 << 20;
/// Locks for shares that leave their places; as many may leave at once.
const DEPARTURES: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct PackedDisk {
    files: FileDisk,
    log: Log,
    /// Held while a share in a pack leaves its place, by its storage index.
    departures: [Mutex<()>; DEPARTURES],
    /// The pack that is being emptied.
    compaction: Mutex<Option<Compaction>>,
    /// Whether short shares go to packs.
    fills_packs: bool,
}

impl PackedDisk {
    /// Opens the shares below `dir`, those in files as [`FileDisk::open`]. Blocks for about a second for a million shares in
    /// packs.
    ///
    /// # Errors
    /// [`DiskError`] names the path that cannot be used.
    pub fn open(dir: &Path) -> Result<(PackedDisk, StartSpace), DiskError> {
        PackedDisk::open_with(dir, Steps::real(), PACK_BYTES)
    }

    fn open_with(dir: &Path, steps: Steps, pack_bytes: u32) -> Result<(PackedDisk, StartSpace), DiskError> {
        let (files, mut space) = FileDisk::open_with(dir, steps.clone())?;
        let log = start::open(dir, steps, pack_bytes, false)?;
        let (used, thrown) = read_lock(&log.index).amounts();
        space.share_count += used.shares;
        space.used_bytes += used.bytes;
        space.trash.add(thrown);
        Ok((PackedDisk::over(files, log), space))
    }

    /// As [`FileDisk::only_to_look`].
    ///
    /// # Errors
    /// [`DiskError`] names what cannot be read.
    pub(super) fn only_to_look(dir: &Path) -> Result<PackedDisk, DiskError> {
        Ok(PackedDisk::over(FileDisk::only_to_look(dir), start::look(dir)?))
    }

    /// The shares in packs, and where each of them lies.
    pub(super) fn packed_shares(&self) -> Vec<PackedShare> {
        let index = read_lock(&self.log.index);
        let found = index.all_held().map(|(share, slot)| PackedShare {
            share,
            path: self.log.files.pack(slot.place.pack),
            at: files::share_at(slot),
            bytes: u64::from(slot.file_bytes),
        });
        found.collect()
    }

    /// What lies in the trash.
    pub(super) fn trash_amount(&self) -> Amount {
        let mut amount = self.files.trash_amount();
        amount.add(read_lock(&self.log.index).amounts().1);
        amount
    }

    fn over(files: FileDisk, log: Log) -> PackedDisk {
        PackedDisk {
            files,
            log,
            departures: Default::default(),
            compaction: Mutex::default(),
            fills_packs: true,
        }
    }

    /// The same, but new shares go to files however short they are. What is in packs is served as before.
    #[must_use]
    pub fn without_new_packs(self) -> PackedDisk {
        PackedDisk {
            fills_packs: false,
            ..self
        }
    }

    /// The same, but so many bytes of the shares in files stay in the system's page cache when they were written, instead of
    /// [`PAGE_CACHE_BYTES_DEFAULT`](super::PAGE_CACHE_BYTES_DEFAULT).
    #[must_use]
    pub fn with_page_cache(mut self, bytes: u64) -> PackedDisk {
        self.files.keep_in_page_cache(bytes);
        self
    }

    fn work(&self, op: DiskOp, turn: &dyn Turn, damage: &mut Damage) -> Result<DiskDone, Trouble> {
        match op {
            DiskOp::Create { share, .. } => match self.packed(share, damage)? {
                Some(file) => Ok(DiskDone::Exists { file }),
                None => self.files.work(op, turn, damage),
            },
            DiskOp::Finish { incoming, share, .. } => match self.packed(share, damage)? {
                Some(file) => {
                    self.files.discard(incoming)?;
                    Ok(DiskDone::Exists { file })
                }
                None => self.files.work(op, turn, damage),
            },
            DiskOp::Put { .. } => self.put(op, turn, damage),
            DiskOp::Find { si, inline_bytes_max } => self.find(si, inline_bytes_max, damage),
            DiskOp::Read {
                share,
                segment,
                suspect,
            } if self.is_packed(share) => self.read(share, segment, suspect, damage),
            DiskOp::Verify { share } if self.is_packed(share) => self.verify(share, turn, damage),
            DiskOp::Remove { share } if self.is_packed(share) => self.remove(share),
            DiskOp::List { bucket, after } => self.list(bucket, after, turn, damage),
            DiskOp::Trash {
                share,
                mark,
                leased_before,
            } => self.let_go(share, mark, leased_before),
            DiskOp::Renew { bucket, day, sis } => self.renew(bucket, day, &sis, damage),
            DiskOp::Survey { bucket, after } => self.survey(bucket, after, turn),
            DiskOp::Restore { share } => self.restore(share, damage),
            DiskOp::Empty {
                bucket,
                cause,
                before,
            } => self.empty(bucket, cause, before),
            DiskOp::Append { .. }
            | DiskOp::Discard { .. }
            | DiskOp::Read { .. }
            | DiskOp::Verify { .. }
            | DiskOp::Remove { .. }
            | DiskOp::Measure => self.files.work(op, turn, damage),
        }
    }

    fn departure(&self, share: ShareId) -> MutexGuard<'_, ()> {
        // Storage indexes are hashes: any byte of them spreads them evenly.
        lock(&self.departures[usize::from(share.si.0[15]) % DEPARTURES])
    }
}

impl Disk for PackedDisk {
    fn carry_out(&self, op: DiskOp) -> DiskReply {
        self.carry_out_in_turn(op, &AtOnce)
    }

    fn at_once(&self, op: &DiskOp) -> Option<DiskReply> {
        self.answer_at_once(op)
    }

    fn carry_out_in_turn(&self, op: DiskOp, turn: &dyn Turn) -> DiskReply {
        reply_of(op.name(), op.si(), |damage| self.work(op, turn, damage))
    }

    fn carry_out_puts(&self, ops: Vec<DiskOp>) -> Vec<DiskReply> {
        self.put_all(ops)
    }

    fn gathers(&self, op: &DiskOp) -> bool {
        let DiskOp::Put { closing, .. } = op else {
            return false;
        };
        self.is_for_packs(&ShareLayout::new(*closing.file.ueb.geometry()))
    }

    fn tidy(&self) -> bool {
        self.log.compact(&mut lock(&self.compaction))
    }
}

/// A thread that panicked held the lock around work that leaves what is behind it whole, or says where it does not.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_lock<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write_lock<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
