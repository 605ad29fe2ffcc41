//! One share that is being written: what came so far, and whether what comes next fits. Owns the leaves of its two trees
//! and their roots so far; knows nothing of disks, links or room.

use truckee_grid::geometry::{self, BLOCK_UNIT_BYTES};
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber};
use truckee_grid::merkle::{self, Frontier};
use truckee_grid::params::{Coding, SEGMENTS_MAX};
use truckee_wire::message::{FileFacts, OpenShare, WriteBlock};

use super::types::{Closing, IncomingId, Lease, ShareId, Ticket};
use crate::time::Mono;

/// What a message about a share says that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misfit {
    /// The code has no share of this number.
    #[error("share {share} does not exist in a {coding} file")]
    NoSuchShare { share: ShareNumber, coding: Coding },
    /// Blocks come in order.
    #[error("block of segment {got} where segment {expected} is next")]
    OutOfOrder {
        got: SegmentIndex,
        expected: SegmentIndex,
    },
    /// No file is that long.
    #[error("a file has at most {SEGMENTS_MAX} segments")]
    TooManySegments,
    /// Only the last block is shorter.
    #[error("a block after a shorter one: only the last may be shorter")]
    AfterLast,
    /// No block of this file has that length.
    #[error("a block of {got} bytes where at most {full}, a multiple of {BLOCK_UNIT_BYTES}, fit")]
    BlockLength { got: usize, full: usize },
    /// The UEB says another code or segment size than the share was opened with.
    #[error("the share was opened for another coding or segment size than its file has")]
    OtherShape,
    /// Blocks are missing or too many.
    #[error("{got} blocks of a file of {expected} segments")]
    Segments { got: u64, expected: u64 },
    /// The last block has another length than the length of the file demands.
    #[error("a last block of {got} bytes where the length of the file demands {expected}")]
    LastBlock { got: usize, expected: usize },
    /// One root for each share.
    #[error("{got} share roots of a {coding} file")]
    ShareRoots { got: usize, coding: Coding },
    /// The roots do not lead to the root in the UEB.
    #[error("the share roots do not lead to the root that the file's parameters say")]
    ShareRoot,
    /// The leaves do not lead to the root of this share.
    #[error("the blocks' leaves do not lead to the root of the share")]
    BlockRoot,
    /// The leaves do not lead to the root in the UEB.
    #[error("the sealed segments' leaves do not lead to the root that the file's parameters say")]
    SealedRoot,
    /// `PutShare` is for files of one segment.
    #[error("a file of {segments} segments cannot be put in one message")]
    NotOneSegment { segments: u64 },
    /// This upload has it open already.
    #[error("this upload has opened the share before")]
    OpenAlready,
    /// The share is being closed.
    #[error("the share is being closed")]
    Closing,
}

/// Where an open share is in its life.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Takes blocks.
    Open,
    /// All blocks are there; waits until the disk has written them.
    Draining { ticket: Ticket, closing: Box<Closing> },
    /// The disk makes it durable.
    Finishing {
        /// Who waits; `None` when the asker took the share back meanwhile.
        ticket: Option<Ticket>,
        /// Told when the share is gone again.
        aborted_by: Option<Ticket>,
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) incoming: IncomingId,
    pub(super) share: ShareId,
    pub(super) phase: Phase,
    coding: Coding,
    segment_bytes: u32,
    block_leaves: Vec<Hash>,
    sealed_leaves: Vec<Hash>,
    block_tree: Frontier,
    sealed_tree: Frontier,
    last_block_bytes: usize,
    /// Promised room, and how much of it is used.
    pub(super) reserved_bytes: u64,
    pub(super) written_bytes: u64,
    /// Disk operations under way.
    pub(super) pending: usize,
    /// A block was sent away as busy: those behind it are too, until it comes again.
    pub(super) held_up: bool,
    /// Somebody else was told of the share: it stays, whatever its uploader says later.
    pub(super) shown: bool,
    pub(super) last_activity: Mono,
}

impl Open {
    pub(super) fn new(request: &OpenShare, incoming: IncomingId, now: Mono) -> Open {
        Open {
            incoming,
            share: ShareId {
                si: request.si,
                share: request.share,
            },
            phase: Phase::Open,
            coding: request.coding,
            segment_bytes: request.segment_bytes,
            block_leaves: Vec::new(),
            sealed_leaves: Vec::new(),
            block_tree: Frontier::new(),
            sealed_tree: Frontier::new(),
            last_block_bytes: 0,
            reserved_bytes: 0,
            written_bytes: 0,
            pending: 0,
            held_up: false,
            shown: false,
            last_activity: now,
        }
    }

    /// Whether `request` asks again for what this share was opened for, and the disk has made its file.
    pub(super) fn is_opened_by(&self, request: &OpenShare) -> bool {
        let same = request.coding == self.coding && request.segment_bytes == self.segment_bytes;
        let is_made = self.pending == 0 || !self.block_leaves.is_empty();
        same && is_made && matches!(self.phase, Phase::Open)
    }

    pub(super) fn next_segment(&self) -> SegmentIndex {
        SegmentIndex(self.block_leaves.len() as u64)
    }

    /// Leaves kept in memory.
    pub(super) fn leaves(&self) -> usize {
        self.block_leaves.len() + self.sealed_leaves.len()
    }

    fn full_block_bytes(&self) -> usize {
        geometry::block_bytes(self.segment_bytes as usize, self.coding)
    }

    /// Whether the block may come next.
    pub(super) fn check_block(&self, write: &WriteBlock) -> Result<(), Misfit> {
        if !matches!(self.phase, Phase::Open) {
            return Err(Misfit::Closing);
        }
        let (got, expected) = (write.segment, self.next_segment());
        if got != expected {
            return Err(Misfit::OutOfOrder { got, expected });
        }
        if got.0 >= SEGMENTS_MAX {
            return Err(Misfit::TooManySegments);
        }
        let full = self.full_block_bytes();
        if got.0 > 0 && self.last_block_bytes < full {
            return Err(Misfit::AfterLast);
        }
        let bytes = write.block.len();
        if bytes == 0 || bytes > full || !bytes.is_multiple_of(BLOCK_UNIT_BYTES) {
            return Err(Misfit::BlockLength { got: bytes, full });
        }
        Ok(())
    }

    /// Takes a block that [`Open::check_block`] let through.
    pub(super) fn take_block(&mut self, write: &WriteBlock) {
        self.block_leaves.push(write.block_leaf);
        self.sealed_leaves.push(write.sealed_leaf);
        self.block_tree.push(write.block_leaf);
        self.sealed_tree.push(write.sealed_leaf);
        self.last_block_bytes = write.block.len();
        self.held_up = false;
    }

    /// Whether what came is the share that `file` says.
    pub(super) fn check_close(&self, file: &FileFacts) -> Result<(), Misfit> {
        if !matches!(self.phase, Phase::Open) {
            return Err(Misfit::Closing);
        }
        let shape = file.ueb.geometry();
        if shape.coding() != self.coding || shape.segment_bytes() != self.segment_bytes {
            return Err(Misfit::OtherShape);
        }
        let got = self.next_segment().0;
        if got != shape.segments() {
            return Err(Misfit::Segments {
                got,
                expected: shape.segments(),
            });
        }
        let expected = shape.block_bytes(shape.last());
        if self.last_block_bytes != expected {
            return Err(Misfit::LastBlock {
                got: self.last_block_bytes,
                expected,
            });
        }
        check_facts(file)?;
        if self.block_tree.root().as_ref() != file.share_roots.get(self.share.share.index()) {
            return Err(Misfit::BlockRoot);
        }
        if self.sealed_tree.root().as_ref() != Some(file.ueb.sealed_root()) {
            return Err(Misfit::SealedRoot);
        }
        Ok(())
    }

    /// What finishes the share, once [`Open::check_close`] let it through. The leaves go with it.
    pub(super) fn closing(&mut self, file: FileFacts, lease: Lease) -> Box<Closing> {
        Box::new(Closing {
            file,
            block_leaves: std::mem::take(&mut self.block_leaves),
            sealed_leaves: std::mem::take(&mut self.sealed_leaves),
            lease,
        })
    }
}

/// Whether the code has the share.
pub(super) fn check_share(share: ShareNumber, coding: Coding) -> Result<(), Misfit> {
    if coding.has(share) {
        Ok(())
    } else {
        Err(Misfit::NoSuchShare { share, coding })
    }
}

/// Whether the roots of the n shares are those that the UEB means.
fn check_facts(file: &FileFacts) -> Result<(), Misfit> {
    let coding = file.ueb.coding();
    if file.share_roots.len() != coding.n() {
        return Err(Misfit::ShareRoots {
            got: file.share_roots.len(),
            coding,
        });
    }
    if merkle::share_root(&file.share_roots).as_ref() != Some(file.ueb.share_root()) {
        return Err(Misfit::ShareRoot);
    }
    Ok(())
}

/// What finishes a share of one block. The block itself is not hashed: its leaf is the root of its share's tree, and who
/// reads the block checks it.
pub(super) fn closing_of_put(
    share: ShareNumber,
    file: FileFacts,
    block_bytes: usize,
    lease: Lease,
) -> Result<Box<Closing>, Misfit> {
    let shape = file.ueb.geometry();
    check_share(share, shape.coding())?;
    if shape.segments() != 1 {
        return Err(Misfit::NotOneSegment {
            segments: shape.segments(),
        });
    }
    let expected = shape.block_bytes(shape.last());
    if block_bytes != expected {
        return Err(Misfit::LastBlock {
            got: block_bytes,
            expected,
        });
    }
    check_facts(&file)?;
    let block_leaves = vec![file.share_roots[share.index()]];
    let sealed_leaves = vec![*file.ueb.sealed_root()];
    Ok(Box::new(Closing {
        file,
        block_leaves,
        sealed_leaves,
        lease,
    }))
}
