//! Unfinished shares: made, filled block by block, finished or thrown away. Owns the way to durability.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use truckee_engine::store::{Closing, Damage, DiskDone, DiskFault, IncomingId, ShareId};
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::Hash;
use truckee_grid::params::Coding;
use truckee_grid::share::{ShareHeader, build_trailer};

use super::appended::Appended;
use super::recent::{Part, without_pages};
use super::{FileDisk, Trouble};

/// One unfinished share file.
#[derive(Debug)]
pub(super) struct Incoming {
    file: Appended,
    header: ShareHeader,
    /// Bytes of it that the system has been told to write to the disk.
    begun: u64,
}

impl Incoming {
    /// Has the system begin to write what it has not been told of yet.
    fn begin_writing(&mut self, incoming: IncomingId) -> Part {
        let part = self.rest(incoming);
        without_pages(self.file.file(), part.from, part.bytes);
        self.begun = self.file.written_bytes();
        part
    }

    /// What the system has, and has not been told to write.
    fn rest(&self, incoming: IncomingId) -> Part {
        Part {
            incoming,
            share: ShareId {
                si: self.header.si,
                share: self.header.share,
            },
            from: self.begun,
            bytes: self.file.written_bytes() - self.begun,
        }
    }
}

/// The system begins to write a long share to the disk while further blocks are on their way, so much at a time: the sync at its
/// end, for which its uploader waits, then has less than twice that left to do.
const WRITTEN_AT_ONCE_BYTES: u64 = 2 * 1024 * 1024;

impl FileDisk {
    pub(super) fn create(
        &self,
        incoming: IncomingId,
        share: ShareId,
        coding: Coding,
        segment_bytes: u32,
        expected_bytes: u64,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        if let Some(file) = self.existing(share, damage)? {
            return Ok(DiskDone::Exists { file });
        }
        let header = ShareHeader {
            si: share.si,
            share: share.share,
            coding,
            segment_bytes,
        };
        self.begin(incoming, header, expected_bytes)?;
        Ok(DiskDone::Created)
    }

    fn begin(
        &self,
        incoming: IncomingId,
        header: ShareHeader,
        expected_bytes: u64,
    ) -> Result<Arc<Mutex<Incoming>>, Trouble> {
        let path = self.paths.unfinished(incoming);
        let file = Appended::create(&self.steps, path, expected_bytes, &self.ahead)?;
        let begun = Arc::new(Mutex::new(Incoming {
            file,
            header,
            begun: 0,
        }));
        self.incoming_table().insert(incoming, Arc::clone(&begun));
        let written = self.extend(&begun, &header.encode());
        if written.is_err() {
            self.discard(incoming)?;
        }
        written.map(|()| begun)
    }

    pub(super) fn append(&self, incoming: IncomingId, block: &Bytes) -> Result<DiskDone, Trouble> {
        let unfinished = self.unfinished(incoming)?;
        let mut guard = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        guard.file.append(&self.steps, block)?;
        if guard.file.written_bytes() - guard.begun >= WRITTEN_AT_ONCE_BYTES {
            let part = guard.begin_writing(incoming);
            drop(guard);
            self.wrote(part);
        }
        Ok(DiskDone::Appended)
    }

    /// Appends, or leaves the file as it was.
    fn extend(&self, unfinished: &Mutex<Incoming>, bytes: &[u8]) -> Result<(), Trouble> {
        let mut guard = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(guard.file.append(&self.steps, bytes)?)
    }

    pub(super) fn finish(
        &self,
        incoming: IncomingId,
        share: ShareId,
        closing: &Closing,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        let unfinished = self.unfinished(incoming)?;
        if let Some(file) = self.existing(share, damage)? {
            self.discard(incoming)?;
            return Ok(DiskDone::Exists { file });
        }
        let header = unfinished.lock().unwrap_or_else(PoisonError::into_inner).header;
        if (header.si, header.share) != (share.si, share.share) {
            return Err(Trouble::Plain(DiskFault::NotFound));
        }
        self.extend(&unfinished, &trailer(&header, closing)?)?;
        let (file_bytes, rest) = {
            let mut guard = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
            guard.file.complete(&self.steps)?;
            let (file, path) = (guard.file.file(), guard.file.path());
            self.steps.stamp(file, path, closing.lease.granted)?;
            self.steps.sync(file, path)?;
            self.synced(file, incoming, guard.begun);
            self.publish(path, share)?;
            (guard.file.length_bytes(), guard.rest(incoming))
        };
        self.holds_one_of(file_bytes);
        self.incoming_table().remove(&incoming);
        self.wrote(rest);
        Ok(DiskDone::Stored { file_bytes })
    }

    /// Gives a durable file its place and makes every name on the way to it durable. The directory of its file is synced
    /// into its parent even if it was there: an earlier run may have been killed between making and syncing it.
    pub(super) fn publish(&self, from: &std::path::Path, share: ShareId) -> Result<(), Trouble> {
        let bucket = Bucket::of(&share.si);
        let (bucket_dir, file_dir) = (self.paths.bucket(bucket), self.paths.file(share.si));
        self.durable_bucket(bucket, &bucket_dir)?;
        self.steps.make_dir(&file_dir)?;
        self.steps.rename(from, &self.paths.share(share))?;
        self.steps.sync_dir(&file_dir)?;
        self.steps.sync_dir(&bucket_dir)?;
        Ok(())
    }

    /// Makes sure, once a process, that the directory of a bucket is durable. Held over the whole work: a second thread must not
    /// go on with a directory that the first has made but not yet synced.
    fn durable_bucket(&self, bucket: Bucket, dir: &std::path::Path) -> Result<(), Trouble> {
        let mut durable = self
            .durable_buckets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !durable.contains(&bucket) {
            self.steps.make_dir(dir)?;
            self.steps.sync_dir(self.paths.shares())?;
            durable.insert(bucket);
        }
        Ok(())
    }

    pub(super) fn put(
        &self,
        incoming: IncomingId,
        share: ShareId,
        closing: &Closing,
        block: &Bytes,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        if let Some(file) = self.existing(share, damage)? {
            return Ok(DiskDone::Exists { file });
        }
        let shape = closing.file.ueb.geometry();
        let header = ShareHeader {
            si: share.si,
            share: share.share,
            coding: shape.coding(),
            segment_bytes: shape.segment_bytes(),
        };
        let unfinished = self.begin(incoming, header, 0)?;
        let stored = self
            .extend(&unfinished, block)
            .and_then(|()| self.finish(incoming, share, closing, damage));
        if stored.is_err() {
            self.discard(incoming)?;
        }
        stored
    }

    pub(in crate::store) fn discard(&self, incoming: IncomingId) -> Result<DiskDone, Trouble> {
        // The table is not locked while this share is waited for.
        let removed = self.incoming_table().remove(&incoming);
        if let Some(unfinished) = removed {
            self.forget_unfinished(incoming);
            let guard = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
            self.steps.remove(guard.file.path())?;
        }
        Ok(DiskDone::Gone { file_bytes: 0 })
    }

    fn unfinished(&self, incoming: IncomingId) -> Result<Arc<Mutex<Incoming>>, Trouble> {
        let table = self.incoming_table();
        table
            .get(&incoming)
            .cloned()
            .ok_or(Trouble::Plain(DiskFault::NotFound))
    }
}

/// What goes behind the blocks. The machine checked the trees already; this checks them again, because here is the last
/// place before they are durable, and they are small.
pub(in crate::store) fn trailer(header: &ShareHeader, closing: &Closing) -> Result<Vec<u8>, Trouble> {
    let roots: Vec<u8> = closing
        .file
        .share_roots
        .iter()
        .flat_map(|root: &Hash| root.0)
        .collect();
    let (blocks, sealed) = (closing.block_leaves.clone(), closing.sealed_leaves.clone());
    build_trailer(header, blocks, sealed, &roots, &closing.file.ueb.encode()).map_err(|error| {
        tracing::error!(%error, "a share that was let through does not close");
        Trouble::Plain(DiskFault::Failed)
    })
}
