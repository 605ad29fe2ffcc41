//! Reads that nobody has to wait for: the thread that is asked answers, without handing them to one that may wait for the disk. For
//! a small file that is most of what a storage node does; for a block of a large one it saves waking two threads.
//!
//! Only what is as it should be is answered here: a damaged share, one that is being moved, a file that is not open, or bytes
//! that the system would have to get from a device are left to the threads of the pool, which find the same and act on it.

use bytes::Bytes;
use truckee_engine::store::{DiskDone, DiskFault, DiskOp, DiskReply, ShareId};

use super::super::file_disk::Trouble;
use super::super::file_disk::finished::find_among;
use super::super::file_disk::opened::Opened;
use super::super::file_disk::source::Source;
use super::record::SHARE_BYTES_MAX;
use super::{PackedDisk, read_lock};

impl PackedDisk {
    pub(super) fn answer_at_once(&self, op: &DiskOp) -> Option<DiskReply> {
        let done = match *op {
            DiskOp::Find { si, inline_bytes_max } => {
                // A file of which some shares are in files has short ones there: all shares of a file have one length.
                if self.files.may_hold_as_short(SHARE_BYTES_MAX) {
                    return None;
                }
                let numbers = read_lock(&self.log.index).numbers(si);
                if numbers.is_empty() {
                    return None;
                }
                let found = find_among(si, numbers, |share| {
                    let shown = self
                        .open_at_once(share)
                        .and_then(|opened| opened.shown(inline_bytes_max).ok());
                    // No fault that would have the share passed over.
                    shown.ok_or(Trouble::Plain(DiskFault::Overloaded))
                });
                found.ok()?
            }
            DiskOp::Read {
                share,
                segment,
                suspect: false,
            } if self.is_packed(share) => DiskDone::Read(self.open_at_once(share)?.read(segment).ok()?),
            DiskOp::Read {
                share,
                segment,
                suspect: false,
            } => self.files.read_at_once(share, segment)?,
            _ => return None,
        };
        Some(Ok(done).into())
    }

    fn open_at_once(&self, share: ShareId) -> Option<Opened> {
        let slot = read_lock(&self.log.index).held(share)?;
        let bytes = self.log.files.read_at_once(slot)?;
        Opened::of(Source::Memory(Bytes::from(bytes)), share).ok()
    }
}
