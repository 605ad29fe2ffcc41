//! What new shares leave in the system's page cache: the bytes written last, up to a limit for a store. Older ones are given back
//! to the system, so that a stream of uploads goes on in the same memory and pushes nothing out that others use; a share
//! that is wanted later is read from the disk, ahead of its reader, by the system.
//!
//! Why: a page that was free for a while is expensive. On a virtual machine whose host takes free memory back, filling one costs about
//! 3 ns a byte where a page in use costs 0.35, and n/k bytes are written for each that is uploaded. Not promised: that the pages
//! are there or gone; these are wishes, and nothing is right or wrong by them.

use std::collections::VecDeque;
use std::fs::File;
use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Advice, fadvise};
use truckee_engine::store::{IncomingId, ShareId};

use super::FileDisk;

/// What stays if nobody says otherwise: enough to read a file that was just uploaded from memory, if it is no longer than k times
/// this. With 16 MiB downloads of 100 MiB were slower by an eighth, and uploads not faster.
pub const PAGE_CACHE_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// Most parts that are remembered, however short: 48 bytes each, 32 GiB of long shares.
const PARTS_MAX: usize = 16_384;

/// Bytes of a share one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Where it was written.
    pub(super) incoming: IncomingId,
    /// Where it is once that is finished.
    pub(super) share: ShareId,
    pub(super) from: u64,
    pub(super) bytes: u64,
}

/// The parts written last, in the order in which they were written.
#[derive(Debug)]
pub(super) struct Recent {
    parts: VecDeque<Part>,
    bytes: u64,
    kept_bytes: u64,
}

impl Recent {
    pub(super) fn keeping(kept_bytes: u64) -> Recent {
        Recent {
            parts: VecDeque::new(),
            bytes: 0,
            kept_bytes,
        }
    }

    /// Takes note of a part; gives those that are no longer among the last. A part longer than the limit stays until the next.
    pub(super) fn add(&mut self, part: Part) -> Vec<Part> {
        self.parts.push_back(part);
        self.bytes += part.bytes;
        let mut older = Vec::new();
        while self.parts.len() > 1 && (self.bytes > self.kept_bytes || self.parts.len() > PARTS_MAX) {
            let Some(first) = self.parts.pop_front() else {
                break;
            };
            self.bytes -= first.bytes;
            older.push(first);
        }
        older
    }

    fn drop_all_of(&mut self, incoming: IncomingId) {
        self.parts.retain(|part| part.incoming != incoming);
        self.bytes = self.parts.iter().map(|part| part.bytes).sum();
    }

    /// Where the first part of a share begins that is among the last.
    fn first_of(&self, incoming: IncomingId) -> Option<u64> {
        let mut of_it = self.parts.iter().filter(|part| part.incoming == incoming);
        of_it.next().map(|part| part.from)
    }
}

impl FileDisk {
    pub(in crate::store) fn keep_in_page_cache(&mut self, bytes: u64) {
        self.recent = Mutex::new(Recent::keeping(bytes));
    }

    /// Takes note of a part that was written, and has the system forget older ones.
    pub(super) fn wrote(&self, part: Part) {
        let older = self.recent().add(part);
        for part in older {
            // By name, and in this order: a share that is synced just now is locked for long, and its name may change meanwhile.
            let file = File::open(self.paths.unfinished(part.incoming))
                .or_else(|_| File::open(self.paths.share(part.share)));
            if let Ok(file) = file {
                without_pages(&file, part.from, part.bytes);
            } // One that went or was set aside keeps its pages until the system wants them.
        }
    }

    /// What is known of a share that will not be finished is of no use.
    pub(super) fn forget_unfinished(&self, incoming: IncomingId) {
        self.recent().drop_all_of(incoming);
    }

    /// Of the first `noted` bytes of a share that is on the disk now, those go that are not among the last: what was not on
    /// the disk yet when it was older than these is still there.
    pub(super) fn synced(&self, file: &File, incoming: IncomingId, noted: u64) {
        let kept_from = self.recent().first_of(incoming).unwrap_or(noted);
        if kept_from > 0 {
            without_pages(file, 0, kept_from);
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the system that so many bytes of a file, 0: all that follow, are not needed in its memory. On Linux it begins to write
/// those pages that are not written yet, without waiting for them, and keeps them; it forgets the others, whole pages only. A wish:
/// a system that does not follow it gives the same bytes, and only a sync makes anything durable.
pub(in crate::store) fn without_pages(file: &File, from: u64, bytes: u64) {
    if let Err(error) = fadvise(file, from, NonZeroU64::new(bytes), Advice::DontNeed) {
        tracing::debug!(%error, "the system keeps pages of shares that are not needed");
    }
}
