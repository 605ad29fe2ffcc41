//! The segments that an upload holds: taken from the body, being encoded, or encoded and not yet with every peer. Also
//! grows the hash trees, of which it keeps one path each, so that nothing here depends on the length of the file.

use std::collections::VecDeque;
use std::time::Duration;

use truckee_grid::ids::{SegmentIndex, ShareNumber};
use truckee_grid::params::Coding;
use truckee_grid::pipeline::{EncodedSegment, FileSeal, FileTrees, SealFileError};

use crate::time::Mono;
use crate::transfer::supply::{Piece, Pieces};

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    capacity: usize,
    /// Index of the first segment held.
    base: u64,
    held: VecDeque<Slot>,
    pulling: bool,
    last_taken: bool,
    file_bytes: u64,
    trees: FileTrees,
}

#[derive(Debug)]
struct Slot {
    taken_at: Mono,
    coded: Option<EncodedSegment>,
}

impl Window {
    pub(super) fn new(coding: Coding, capacity: usize) -> Self {
        Self {
            capacity,
            base: 0,
            held: VecDeque::with_capacity(capacity),
            pulling: false,
            last_taken: false,
            file_bytes: 0,
            trees: FileTrees::new(coding),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Index of the next segment that the body gives.
    pub(super) fn next_index(&self) -> u64 {
        self.base + self.held.len() as u64
    }

    pub(super) fn is_pulling(&self) -> bool {
        self.pulling
    }

    /// Whether one more segment is to be asked for; it then counts as asked for.
    pub(super) fn start_pull(&mut self) -> bool {
        let room = self.held.len() < self.capacity;
        let start = room && !self.pulling && !self.last_taken;
        self.pulling |= start;
        start
    }

    /// Whether the first segment is here, and if so whether it is the only one.
    pub(super) fn first_is_only(&self) -> Option<bool> {
        (self.next_index() > 0).then_some(self.last_taken && self.next_index() == 1)
    }

    pub(super) fn take_in(&mut self, now: Mono, plain_bytes: usize, last: bool) -> SegmentIndex {
        let segment = SegmentIndex(self.next_index());
        self.held.push_back(Slot {
            taken_at: now,
            coded: None,
        });
        self.pulling = false;
        self.last_taken = last;
        self.file_bytes += plain_bytes as u64;
        segment
    }

    /// Keeps the blocks and gives the time since the segment was taken in; `None` if it was not awaited.
    pub(super) fn encoded(
        &mut self,
        now: Mono,
        segment: SegmentIndex,
        coded: EncodedSegment,
    ) -> Option<Duration> {
        let at = usize::try_from(segment.0.checked_sub(self.base)?).ok()?;
        let slot = self.held.get_mut(at).filter(|slot| slot.coded.is_none())?;
        slot.coded = Some(coded);
        let took = now.saturating_sub(slot.taken_at);
        let next = usize::try_from(self.encoded_end() - self.base).ok()?;
        for coded in self.held.iter().skip(next).map_while(|slot| slot.coded.as_ref()) {
            self.trees.push(&coded.block_leaves, coded.sealed_leaf);
        }
        Some(took)
    }

    /// A segment that is held and encoded.
    fn coded(&self, segment: u64) -> Option<&EncodedSegment> {
        let at = usize::try_from(segment.checked_sub(self.base)?).ok()?;
        self.held.get(at)?.coded.as_ref()
    }

    /// Segments below this one are encoded, those before the window included.
    pub(super) fn encoded_end(&self) -> u64 {
        self.trees.segments()
    }

    pub(super) fn all_encoded(&self) -> bool {
        self.last_taken && self.encoded_end() == self.next_index()
    }

    /// Whether a share can still be written from its first block on.
    pub(super) fn holds_first(&self) -> bool {
        self.base == 0
    }

    /// Lets go of the first segment held if all shares have all blocks below `done`.
    pub(super) fn release(&mut self, done: u64) -> Option<SegmentIndex> {
        if self.base >= done.min(self.encoded_end()) {
            return None;
        }
        self.held.pop_front()?;
        let released = SegmentIndex(self.base);
        self.base += 1;
        Some(released)
    }

    /// What the shares say of the file, after the last segment.
    pub(super) fn seal(&self, segment_bytes: u32) -> Result<FileSeal, SealFileError> {
        self.trees.finish(self.file_bytes, segment_bytes)
    }
}

impl Pieces for Window {
    fn piece(&self, share: ShareNumber, segment: u64) -> Option<Piece> {
        let coded = self.coded(segment)?;
        Some(Piece {
            block: coded.blocks.get(share.index())?.clone(),
            block_leaf: *coded.block_leaves.get(share.index())?,
            sealed_leaf: coded.sealed_leaf,
        })
    }
}
