//! The segments that a repair holds: being read, being rebuilt, or rebuilt and not yet with every peer. Also grows the
//! trees of the shares that are made, of which it keeps one path each, so that nothing here depends on the length of the
//! file.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use truckee_grid::ids::ShareNumber;
use truckee_grid::pipeline::{BadBlock, FetchedBlock, RebuiltSegment, RebuiltTrees};

use crate::time::Mono;
use crate::transfer::Token;
use crate::transfer::supply::{Piece, Pieces};

/// See the module. The default is one that holds nothing of a file without segments.
#[derive(Debug, Default)]
pub(super) struct Window {
    capacity: usize,
    /// Segments of the file.
    segments: u64,
    /// Index of the first segment held.
    base: u64,
    held: VecDeque<Slot>,
    /// Segments below this are rebuilt and in the trees.
    rebuilt_end: u64,
    trees: RebuiltTrees,
}

/// One segment.
#[derive(Debug)]
pub(super) struct Slot {
    /// When it came into its stage.
    pub(super) since: Mono,
    pub(super) stage: Stage,
    /// Blocks on their way, with the copy that each is asked of.
    pub(super) reads: BTreeMap<Token, usize>,
    /// Blocks that came, by share, with the copy that gave each.
    pub(super) got: BTreeMap<ShareNumber, (usize, FetchedBlock)>,
}

/// How far a segment is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Blocks are missing.
    Fetching,
    /// Blocks of these shares are being made.
    Rebuilding { job: u64, wanted: Vec<ShareNumber> },
    /// They are there.
    Rebuilt(RebuiltSegment),
}

impl Window {
    pub(super) fn new(capacity: usize, segments: u64) -> Self {
        Self {
            capacity,
            segments,
            ..Self::default()
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The next segment to be held, if there is one and room for it.
    pub(super) fn next(&self) -> Option<u64> {
        let next = self.base + self.held.len() as u64;
        (self.held.len() < self.capacity && next < self.segments).then_some(next)
    }

    pub(super) fn open(&mut self, now: Mono) {
        self.held.push_back(Slot {
            since: now,
            stage: Stage::Fetching,
            reads: BTreeMap::new(),
            got: BTreeMap::new(),
        });
    }

    /// Indexes of the segments held.
    pub(super) fn held(&self) -> std::ops::Range<u64> {
        self.base..self.base + self.held.len() as u64
    }

    pub(super) fn slot(&mut self, segment: u64) -> Option<&mut Slot> {
        let at = usize::try_from(segment.checked_sub(self.base)?).ok()?;
        self.held.get_mut(at)
    }

    pub(super) fn slots(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.held.iter_mut()
    }

    /// The segment that a job works on.
    pub(super) fn segment_of(&self, job: u64) -> Option<u64> {
        let works = |slot: &Slot| matches!(slot.stage, Stage::Rebuilding { job: at, .. } if at == job);
        let at = self.held.iter().position(works)?;
        Some(self.base + at as u64)
    }

    /// Whether a segment's blocks are those that were to be made.
    pub(super) fn is_as_wanted(&mut self, segment: u64, rebuilt: &RebuiltSegment) -> bool {
        let made = rebuilt.blocks.iter().map(|block| &block.share);
        self.slot(segment).is_some_and(
            |slot| matches!(&slot.stage, Stage::Rebuilding { wanted, .. } if wanted.iter().eq(made)),
        )
    }

    /// Lets go of blocks that are bad, and gives the copies that they came from.
    pub(super) fn take_bad(&mut self, segment: u64, bad: &[BadBlock]) -> Vec<usize> {
        let Some(slot) = self.slot(segment) else {
            return Vec::new();
        };
        let taken = bad.iter().filter_map(|bad| slot.got.remove(&bad.share));
        taken.map(|(copy, _)| copy).collect()
    }

    /// A segment needs other blocks. Gives the time that it took to find out.
    pub(super) fn fetch_again(&mut self, now: Mono, segment: u64) -> Duration {
        let Some(slot) = self.slot(segment) else {
            return Duration::ZERO;
        };
        slot.stage = Stage::Fetching;
        now.saturating_sub(std::mem::replace(&mut slot.since, now))
    }

    /// Keeps the blocks that were made and lets go of those that they were made of. Gives the time that it took.
    pub(super) fn rebuilt(&mut self, now: Mono, segment: u64, rebuilt: RebuiltSegment) -> Duration {
        let Some(slot) = self.slot(segment) else {
            return Duration::ZERO;
        };
        let took = now.saturating_sub(slot.since);
        slot.got.clear();
        slot.stage = Stage::Rebuilt(rebuilt);
        let next = usize::try_from(self.rebuilt_end - self.base).unwrap_or(usize::MAX);
        for slot in self.held.iter().skip(next) {
            let Stage::Rebuilt(rebuilt) = &slot.stage else {
                break;
            };
            self.trees.push(rebuilt);
            self.rebuilt_end += 1;
        }
        took
    }

    /// Segments below this one are rebuilt, those before the window included.
    pub(super) fn rebuilt_end(&self) -> u64 {
        self.rebuilt_end
    }

    /// Whether the last segment is rebuilt.
    pub(super) fn is_complete(&self) -> bool {
        self.rebuilt_end == self.segments
    }

    pub(super) fn trees(&self) -> &RebuiltTrees {
        &self.trees
    }

    /// Whether a share can still be written from its first block on.
    pub(super) fn holds_first(&self) -> bool {
        self.base == 0
    }

    /// Lets go of the segments of which every peer has its block.
    pub(super) fn release(&mut self, done: u64) {
        while self.base < done.min(self.rebuilt_end) && self.held.pop_front().is_some() {
            self.base += 1;
        }
    }

    /// Bytes of blocks held, and of those that are on their way if each has `block_bytes`.
    #[cfg(test)]
    pub(super) fn held_bytes(&self, block_bytes: usize) -> usize {
        let bytes = |slot: &Slot| {
            let got: usize = slot.got.values().map(|(_, block)| block.block.len()).sum();
            let made = match &slot.stage {
                Stage::Rebuilt(rebuilt) => rebuilt.blocks.iter().map(|block| block.block.len()).sum(),
                Stage::Rebuilding { wanted, .. } => wanted.len() * block_bytes,
                Stage::Fetching => 0,
            };
            got + made + slot.reads.len() * block_bytes
        };
        self.held.iter().map(bytes).sum()
    }
}

impl Pieces for Window {
    fn piece(&self, share: ShareNumber, segment: u64) -> Option<Piece> {
        let at = usize::try_from(segment.checked_sub(self.base)?).ok()?;
        let Stage::Rebuilt(rebuilt) = &self.held.get(at)?.stage else {
            return None;
        };
        let made = rebuilt.blocks.iter().find(|block| block.share == share)?;
        Some(Piece {
            block: made.block.clone(),
            block_leaf: made.leaf,
            sealed_leaf: rebuilt.sealed_leaf,
        })
    }
}
