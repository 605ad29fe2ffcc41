//! A disk in memory for simulations and tests: keeps what the real one promises, and fails as it may.
//!
//! Each operation is carried out at once and whole; what a crash between operations leaves is [`ModelDisk::crash`]'s:
//! finished shares stay, unfinished ones go. Room is bounded, faults are scheduled, shares can be damaged. Crashes
//! *within* an operation are the real disk's tests.

mod leases;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{Hash, SegmentIndex, StorageIndex};
use truckee_grid::merkle::Tree;
use truckee_grid::params::Coding;
use truckee_grid::share::ShareLayout;
use truckee_wire::message::{BlockRead, SealedProof};

use super::StartSpace;
use super::types::{
    Closing, Damage, DiskDone, DiskFault, DiskOp, DiskReply, Found, Holding, IncomingId, LIST_MAX, Listing,
    ShareId,
};
use super::{Amount, TrashCause, TrashMark};
use crate::time::Day;

/// A finished share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredShare {
    /// What stands behind the blocks.
    pub closing: Closing,
    /// In order of the segments.
    pub blocks: Vec<Bytes>,
}

#[derive(Clone, Debug)]
struct Incoming {
    share: ShareId,
    shape: (Coding, u32),
    blocks: Vec<Bytes>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct ModelDisk {
    capacity_bytes: u64,
    shares: BTreeMap<ShareId, StoredShare>,
    incoming: BTreeMap<IncomingId, Incoming>,
    trash: BTreeMap<(ShareId, TrashMark), StoredShare>,
    leases: BTreeMap<StorageIndex, Day>,
    damaged: BTreeSet<ShareId>,
    /// Of the damaged ones those whose headers are.
    damaged_headers: BTreeSet<ShareId>,
    fail_in: Option<u64>,
}

impl ModelDisk {
    /// An empty disk of so many bytes.
    pub fn new(capacity_bytes: u64) -> ModelDisk {
        ModelDisk {
            capacity_bytes,
            shares: BTreeMap::new(),
            incoming: BTreeMap::new(),
            trash: BTreeMap::new(),
            leases: BTreeMap::new(),
            damaged: BTreeSet::new(),
            damaged_headers: BTreeSet::new(),
            fail_in: None,
        }
    }

    /// The process or the machine stops: unfinished files go, finished ones stay. Returns what a start finds.
    pub fn crash(&mut self) -> StartSpace {
        self.incoming.clear();
        self.fail_in = None;
        StartSpace {
            share_count: self.shares.len() as u64,
            used_bytes: self.used_bytes(),
            trash: self.trash_amount(),
            free_bytes: self.free_bytes(),
        }
    }

    /// Finished shares.
    pub fn shares(&self) -> &BTreeMap<ShareId, StoredShare> {
        &self.shares
    }

    /// Shares in the trash.
    pub fn trash(&self) -> &BTreeMap<(ShareId, TrashMark), StoredShare> {
        &self.trash
    }

    /// What lies in the trash.
    pub fn trash_amount(&self) -> Amount {
        Amount {
            shares: self.trash.len() as u64,
            bytes: self.trash.values().map(stored_bytes).sum(),
        }
    }

    /// Unfinished files.
    pub fn incoming_count(&self) -> usize {
        self.incoming.len()
    }

    /// Another process fills the disk, or clears it.
    pub fn set_capacity(&mut self, bytes: u64) {
        self.capacity_bytes = bytes;
    }

    /// The operation after `after` further ones fails.
    pub fn fail_in(&mut self, after: u64) {
        self.fail_in = Some(after);
    }

    /// Bits of a share rot; whoever touches it next notices, but for lists, which do not read blocks.
    pub fn damage(&mut self, share: ShareId) {
        self.damaged.insert(share);
    }

    /// Bits of the header of a share rot; lists notice as well.
    pub fn damage_header(&mut self, share: ShareId) {
        self.damaged.insert(share);
        self.damaged_headers.insert(share);
    }

    /// Length of all finished files.
    pub fn used_bytes(&self) -> u64 {
        self.shares.values().map(stored_bytes).sum()
    }

    fn free_bytes(&self) -> u64 {
        let unfinished: u64 = self.incoming.values().map(|file| sum(&file.blocks)).sum();
        let used = self.used_bytes() + self.trash_amount().bytes;
        self.capacity_bytes.saturating_sub(used + unfinished)
    }

    /// Does the work.
    pub fn carry_out(&mut self, op: DiskOp) -> DiskReply {
        if let Some(left) = self.fail_in {
            self.fail_in = left.checked_sub(1);
            if left == 0 {
                return Err(DiskFault::Failed).into();
            }
        }
        let goes_on = matches!(op, DiskOp::Find { .. } | DiskOp::List { .. });
        let damage = self.notice(&op);
        let mut result = if damage.shares > 0 && !goes_on {
            Err(DiskFault::Corrupt)
        } else {
            self.work(op)
        };
        if let Ok(DiskDone::Listed(listing)) = &mut result {
            listing.put_aside = damage.shares;
        }
        DiskReply { result, damage }
    }

    /// Puts aside what is damaged and touched by `op`.
    fn notice(&mut self, op: &DiskOp) -> Damage {
        let mut found = Damage::default();
        let touched: Vec<ShareId> = match op {
            DiskOp::Find { si, .. } => self
                .damaged
                .iter()
                .filter(|share| share.si == *si)
                .copied()
                .collect(),
            DiskOp::Read { share, .. } | DiskOp::Verify { share } => self
                .damaged
                .iter()
                .filter(|damaged| *damaged == share)
                .copied()
                .collect(),
            DiskOp::List { bucket, after } => self
                .damaged_headers
                .iter()
                .filter(|share| is_listed(share, *bucket, *after))
                .copied()
                .collect(),
            _ => Vec::new(),
        };
        for share in touched {
            self.damaged.remove(&share);
            self.damaged_headers.remove(&share);
            if let Some(stored) = self.shares.remove(&share) {
                found.shares += 1;
                found.bytes += stored_bytes(&stored);
            }
        }
        found
    }

    fn work(&mut self, op: DiskOp) -> Result<DiskDone, DiskFault> {
        match op {
            DiskOp::Create {
                incoming,
                share,
                coding,
                segment_bytes,
                ..
            } => {
                if let Some(there) = self.exists(share) {
                    return Ok(there);
                }
                let file = Incoming {
                    share,
                    shape: (coding, segment_bytes),
                    blocks: Vec::new(),
                };
                self.incoming.insert(incoming, file);
                Ok(DiskDone::Created)
            }
            DiskOp::Append { incoming, block, .. } => {
                let fits = block.len() as u64 <= self.free_bytes();
                let file = self.incoming.get_mut(&incoming).ok_or(DiskFault::NotFound)?;
                if !fits {
                    return Err(DiskFault::Full);
                }
                file.blocks.push(block);
                Ok(DiskDone::Appended)
            }
            DiskOp::Finish {
                incoming,
                share,
                closing,
            } => self.finish(incoming, share, *closing),
            DiskOp::Discard { incoming, .. } => {
                self.incoming.remove(&incoming);
                Ok(DiskDone::Gone { file_bytes: 0 })
            }
            DiskOp::Put {
                share,
                closing,
                block,
                ..
            } => self.put(share, *closing, block),
            DiskOp::Find { si, inline_bytes_max } => Ok(DiskDone::Found(self.find(si, inline_bytes_max))),
            DiskOp::Read { share, segment, .. } => self.read(share, segment),
            DiskOp::Verify { share } => {
                let stored = self.shares.get(&share).ok_or(DiskFault::NotFound)?;
                Ok(DiskDone::Sound {
                    file_bytes: stored_bytes(stored),
                })
            }
            DiskOp::List { bucket, after } => Ok(DiskDone::Listed(self.list(bucket, after))),
            DiskOp::Remove { share } => {
                let stored = self.shares.remove(&share).ok_or(DiskFault::NotFound)?;
                Ok(DiskDone::Gone {
                    file_bytes: stored_bytes(&stored),
                })
            }
            DiskOp::Trash { .. }
            | DiskOp::Restore { .. }
            | DiskOp::Empty { .. }
            | DiskOp::Renew { .. }
            | DiskOp::Survey { .. } => self.let_go(op),
            DiskOp::Measure => Ok(DiskDone::Measured {
                free_bytes: self.free_bytes(),
            }),
        }
    }

    fn exists(&self, share: ShareId) -> Option<DiskDone> {
        self.shares.get(&share).map(|stored| DiskDone::Exists {
            file: stored.closing.file.clone(),
        })
    }

    fn finish(
        &mut self,
        incoming: IncomingId,
        share: ShareId,
        closing: Closing,
    ) -> Result<DiskDone, DiskFault> {
        let file = self
            .incoming
            .get(&incoming)
            .filter(|file| file.share == share)
            .ok_or(DiskFault::NotFound)?;
        let geometry = closing.file.ueb.geometry();
        if file.shape != (geometry.coding(), geometry.segment_bytes()) {
            return Err(DiskFault::Failed);
        }
        if let Some(there) = self.exists(share) {
            self.incoming.remove(&incoming);
            return Ok(there);
        }
        let file_bytes = ShareLayout::new(*geometry).share_file_bytes();
        if file_bytes.saturating_sub(sum(&file.blocks)) > self.free_bytes() {
            return Err(DiskFault::Full);
        }
        let Some(file) = self.incoming.remove(&incoming) else {
            return Err(DiskFault::NotFound);
        };
        self.shares.insert(
            share,
            StoredShare {
                closing,
                blocks: file.blocks,
            },
        );
        Ok(DiskDone::Stored { file_bytes })
    }

    fn put(&mut self, share: ShareId, closing: Closing, block: Bytes) -> Result<DiskDone, DiskFault> {
        if let Some(there) = self.exists(share) {
            return Ok(there);
        }
        let file_bytes = ShareLayout::new(*closing.file.ueb.geometry()).share_file_bytes();
        if file_bytes > self.free_bytes() {
            return Err(DiskFault::Full);
        }
        self.shares.insert(
            share,
            StoredShare {
                closing,
                blocks: vec![block],
            },
        );
        Ok(DiskDone::Stored { file_bytes })
    }

    fn find(&self, si: StorageIndex, inline_bytes_max: u32) -> Found {
        let mut found = Found::default();
        for (share, stored) in self.shares.iter().filter(|(share, _)| share.si == si) {
            found.shares.push(share.share);
            if found.file.is_some() {
                continue;
            }
            found.file = Some(stored.closing.file.clone());
            let only = stored.blocks.first().filter(|_| stored.blocks.len() == 1);
            found.inlined = only
                .filter(|block| block.len() <= inline_bytes_max as usize)
                .cloned();
        }
        found
    }

    fn list(&self, bucket: Bucket, after: Option<ShareId>) -> Listing {
        let listed = |(share, _): &(&ShareId, &StoredShare)| is_listed(share, bucket, after);
        let holding = |(share, stored): (&ShareId, &StoredShare)| Holding {
            share: *share,
            coding: stored.closing.file.ueb.coding(),
            file_bytes: stored_bytes(stored),
        };
        let over = self
            .trash
            .iter()
            .filter(|((_, mark), _)| mark.cause == TrashCause::Expired);
        let over = over.map(|((share, _), stored)| (share, stored));
        let all: BTreeMap<&ShareId, &StoredShare> = over.chain(&self.shares).collect();
        let shares = all.into_iter().filter(listed).map(holding);
        let holdings: Vec<Holding> = shares.take(LIST_MAX).collect();
        let last = holdings.last().map(|holding| holding.share);
        Listing {
            next: last.filter(|_| holdings.len() == LIST_MAX),
            holdings,
            put_aside: 0,
            unreadable: 0,
        }
    }

    fn read(&self, share: ShareId, segment: SegmentIndex) -> Result<DiskDone, DiskFault> {
        let stored = self.shares.get(&share).ok_or(DiskFault::NotFound)?;
        let segments = stored.blocks.len() as u64;
        let no_such = DiskFault::NoSuchSegment { segments };
        let index = usize::try_from(segment.0).map_err(|_| no_such)?;
        let block = stored.blocks.get(index).ok_or(no_such)?.clone();
        let path = |leaves: &[Hash]| {
            Tree::from_leaves(leaves.to_vec())
                .map(|tree| tree.path(segment.0))
                .unwrap_or_default()
        };
        let leaf = *stored.closing.sealed_leaves.get(index).ok_or(no_such)?;
        let sealed = SealedProof {
            leaf,
            path: path(&stored.closing.sealed_leaves),
        };
        Ok(DiskDone::Read(BlockRead {
            block_path: path(&stored.closing.block_leaves),
            sealed,
            block,
        }))
    }
}

fn is_listed(share: &ShareId, bucket: Bucket, after: Option<ShareId>) -> bool {
    Bucket::of(&share.si) == bucket && after.is_none_or(|after| *share > after)
}

fn sum(blocks: &[Bytes]) -> u64 {
    blocks.iter().map(|block| block.len() as u64).sum()
}

fn stored_bytes(stored: &StoredShare) -> u64 {
    ShareLayout::new(*stored.closing.file.ueb.geometry()).share_file_bytes()
}
