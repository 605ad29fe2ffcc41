//! Shares in packs: put, found, read, verified, removed, and put aside when they do not check.

use std::collections::BTreeSet;
use std::io;

use bytes::Bytes;
use truckee_engine::store::{Closing, Damage, DiskDone, DiskFault, DiskOp, DiskReply, ShareId};
use truckee_grid::ids::{SegmentIndex, ShareNumber, StorageIndex};
use truckee_grid::share::{ShareHeader, ShareLayout};
use truckee_wire::message::FileFacts;

use super::super::disk::{AtOnce, Turn};
use super::super::file_disk::finished::find_among;
use super::super::file_disk::incoming::trailer;
use super::super::file_disk::opened::Opened;
use super::super::file_disk::source::Source;
use super::super::file_disk::{Trouble, reply_of};
use super::index::Slot;
use super::log::Wish;
use super::record::{Place, SHARE_BYTES_MAX, State, share_hash};
use super::{PackedDisk, read_lock};

/// Looks for a share that compaction moves meanwhile: each time to another pack, of which one takes long to fill.
const LOOKS_MAX: usize = 4;

/// What has become of a share that is to be put, before anything is written.
enum Putting {
    Wished(Box<Wish>),
    Done(DiskDone),
}

impl PackedDisk {
    pub(super) fn is_packed(&self, share: ShareId) -> bool {
        read_lock(&self.log.index).held(share).is_some()
    }

    /// What a share in a pack says about its file, if it is there and checks. A damaged one is put aside.
    pub(super) fn packed(&self, share: ShareId, damage: &mut Damage) -> Result<Option<FileFacts>, Trouble> {
        match self.guarded(share, damage, |opened| Ok(opened.facts().clone())) {
            Ok(facts) => Ok(Some(facts)),
            Err(Trouble::Plain(DiskFault::NotFound) | Trouble::Damaged(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// The same wherever the share lies.
    pub(super) fn existing(&self, share: ShareId, damage: &mut Damage) -> Result<Option<FileFacts>, Trouble> {
        match self.packed(share, damage)? {
            Some(file) => Ok(Some(file)),
            None => self.files.existing(share, damage),
        }
    }

    /// Runs `what` on a share in a pack; if that shows damage, puts the share aside.
    fn guarded<T>(
        &self,
        share: ShareId,
        damage: &mut Damage,
        what: impl FnOnce(&Opened) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        self.looked_at(share, damage, |source| what(&Opened::of(source, share)?))
    }

    /// The same before anything of the share was checked.
    pub(super) fn looked_at<T>(
        &self,
        share: ShareId,
        damage: &mut Damage,
        what: impl FnOnce(Source) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let (slot, bytes) = self.bytes_of(share, |log_index| log_index.held(share))?;
        let looked = what(Source::Memory(bytes.clone()));
        let Err(Trouble::Damaged(wrong)) = looked else {
            return looked;
        };
        if !self.put_aside(share, slot.place, &bytes)? {
            return Err(Trouble::Plain(DiskFault::NotFound));
        }
        tracing::error!(share = %share, why = wrong.why, "a damaged share was put aside");
        damage.shares += 1;
        damage.bytes += u64::from(slot.file_bytes);
        Err(Trouble::Damaged(wrong))
    }

    /// Where a share lies, and its bytes.
    pub(super) fn bytes_of(
        &self,
        share: ShareId,
        slot: impl Fn(&super::index::Index) -> Option<Slot>,
    ) -> Result<(Slot, Bytes), Trouble> {
        let mut last = io::Error::other("compaction moves a share faster than it can be read");
        for _ in 0..LOOKS_MAX {
            let found = slot(&read_lock(&self.log.index));
            let found = found.ok_or(Trouble::Plain(DiskFault::NotFound))?;
            match self.log.files.read(found) {
                Ok(bytes) => return Ok((found, Bytes::from(bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Either the share has moved, or somebody has removed the pack.
                    last = io::Error::other(format!("the pack of share {share} is not there"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.into())
    }

    /// Copies a damaged share away and takes it from its place, if it is there still; gives whether it was.
    fn put_aside(&self, share: ShareId, place: Place, bytes: &[u8]) -> Result<bool, Trouble> {
        let _one = self.departure(share);
        let is_there = read_lock(&self.log.index)
            .held(share)
            .is_some_and(|slot| slot.place == place);
        if !is_there {
            return Ok(false);
        }
        let (path, steps) = (self.files.aside(share), &self.log.steps);
        steps.remove(&path)?;
        let mut file = steps.create(&path)?;
        steps.write(&mut file, &path, bytes)?;
        steps.sync(&file, &path)?;
        steps.sync_dir(self.files.quarantine())?;
        let (from, to) = (Some(place), State::Gone);
        let outcome = self.wish(Wish::Leave { share, from, to })?;
        if outcome.is_none() {
            // Compaction has moved it; it is put aside when it is next looked at.
            steps.remove(&path)?;
        }
        Ok(outcome.is_some())
    }

    /// Length of the share file that the wish was about, if it was there.
    pub(super) fn wish(&self, wish: Wish) -> Result<Option<u64>, Trouble> {
        let outcomes = self.log.commit(vec![wish])?;
        Ok(outcomes.first().copied().flatten())
    }

    pub(super) fn put(&self, op: DiskOp, turn: &dyn Turn, damage: &mut Damage) -> Result<DiskDone, Trouble> {
        match self.prepare(op, turn, damage)? {
            Putting::Done(done) => Ok(done),
            Putting::Wished(wish) => stored(self.wish(*wish)?),
        }
    }

    /// Several at once, of which those that go to packs are synced together.
    pub(super) fn put_all(&self, ops: Vec<DiskOp>) -> Vec<DiskReply> {
        let (mut replies, mut wishes, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        for op in ops {
            if !op.si().is_none_or(|si| names.insert(si)) {
                // One of its file is under way, perhaps the same: that one first.
                self.come_true(&mut wishes, &mut replies);
                names.clear();
                names.extend(op.si());
            }
            let mut wished = None;
            let reply = reply_of(op.name(), op.si(), |damage| {
                match self.prepare(op, &AtOnce, damage)? {
                    Putting::Done(done) => Ok(done),
                    Putting::Wished(wish) => {
                        wished = Some(*wish);
                        // Replaced by what comes of it.
                        Ok(DiskDone::Appended)
                    }
                }
            });
            wishes.extend(wished.map(|wish| (replies.len(), wish)));
            replies.push(reply);
        }
        self.come_true(&mut wishes, &mut replies);
        replies
    }

    /// Has the wishes come true and puts what comes of each into the reply of that index.
    fn come_true(&self, wishes: &mut Vec<(usize, Wish)>, replies: &mut [DiskReply]) {
        if wishes.is_empty() {
            return;
        }
        let (at, wishes): (Vec<usize>, Vec<Wish>) = wishes.drain(..).unzip();
        let outcomes = self.log.commit(wishes);
        if let Err(error) = &outcomes {
            super::super::file_disk::refused("put", None, error);
        }
        for (index, at) in at.into_iter().enumerate() {
            let result = match &outcomes {
                Ok(outcomes) => stored(outcomes.get(index).copied().flatten()),
                Err(error) => Err(io::Error::from(error.kind()).into()),
            };
            replies[at].result = result.map_err(|trouble| super::super::file_disk::classify(&trouble));
        }
    }

    pub(super) fn is_for_packs(&self, layout: &ShareLayout) -> bool {
        self.fills_packs && layout.share_file_bytes() <= SHARE_BYTES_MAX
    }

    fn prepare(&self, op: DiskOp, turn: &dyn Turn, damage: &mut Damage) -> Result<Putting, Trouble> {
        let DiskOp::Put {
            share,
            closing,
            block,
            ..
        } = &op
        else {
            return Err(Trouble::Plain(DiskFault::Failed));
        };
        let layout = ShareLayout::new(*closing.file.ueb.geometry());
        if let Some(file) = self.packed(*share, damage)? {
            return Ok(Putting::Done(DiskDone::Exists { file }));
        }
        if !self.is_for_packs(&layout) {
            return self.files.work(op, turn, damage).map(Putting::Done);
        }
        if let Some(file) = self.files.existing(*share, damage)? {
            return Ok(Putting::Done(DiskDone::Exists { file }));
        }
        let share_file = share_file(*share, &layout, closing, block)?;
        Ok(Putting::Wished(Box::new(Wish::Put {
            share: *share,
            written: closing.lease.granted,
            share_hash: share_hash(&share_file),
            share_file,
        })))
    }

    pub(super) fn find(
        &self,
        si: StorageIndex,
        inline_bytes_max: u32,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        let in_packs = read_lock(&self.log.index).numbers(si);
        if in_packs.is_empty() {
            return self.files.find(si, inline_bytes_max, damage);
        }
        let mut numbers: BTreeSet<ShareNumber> = in_packs.into_iter().collect();
        numbers.extend(self.files.numbers(si)?);
        find_among(si, numbers, |id| {
            let look = |opened: &Opened| opened.shown(inline_bytes_max);
            match self.is_packed(id) {
                true => self.guarded(id, damage, look),
                false => self.files.guarded(id, damage, look),
            }
        })
    }

    pub(super) fn read(
        &self,
        share: ShareId,
        segment: SegmentIndex,
        suspect: bool,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        let read = self.guarded(share, damage, |opened| opened.read_for(share, segment, suspect));
        read.map(DiskDone::Read)
    }

    /// Waits for its turn once: the share is one read.
    pub(super) fn verify(
        &self,
        share: ShareId,
        turn: &dyn Turn,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        turn.wait()?;
        let slot = read_lock(&self.log.index).held(share);
        if let Some(slot) = slot {
            // One that was moved meanwhile was written a moment ago.
            self.log
                .files
                .forget_pages(slot)
                .or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                })?;
        }
        self.guarded(share, damage, |opened| {
            let file_bytes = opened.verify(&AtOnce)?;
            Ok(DiskDone::Sound { file_bytes })
        })
    }

    pub(super) fn remove(&self, share: ShareId) -> Result<DiskDone, Trouble> {
        let _one = self.departure(share);
        let (from, to) = (None, State::Gone);
        let gone = self.wish(Wish::Leave { share, from, to })?;
        let file_bytes = gone.ok_or(Trouble::Plain(DiskFault::NotFound))?;
        Ok(DiskDone::Gone { file_bytes })
    }
}

fn stored(outcome: Option<u64>) -> Result<DiskDone, Trouble> {
    let file_bytes = outcome.ok_or(Trouble::Plain(DiskFault::Failed))?;
    Ok(DiskDone::Stored { file_bytes })
}

/// The share file of a share of one block.
fn share_file(
    share: ShareId,
    layout: &ShareLayout,
    closing: &Closing,
    block: &Bytes,
) -> Result<Bytes, Trouble> {
    let shape = layout.geometry();
    let header = ShareHeader {
        si: share.si,
        share: share.share,
        coding: shape.coding(),
        segment_bytes: shape.segment_bytes(),
    };
    let mut bytes = Vec::with_capacity(layout.share_file_bytes() as usize);
    bytes.extend(header.encode());
    bytes.extend(block);
    bytes.extend(trailer(&header, closing)?);
    if bytes.len() as u64 != layout.share_file_bytes() {
        tracing::error!(%share, "the block of a share that was let through has not the length that its file says");
        return Err(Trouble::Plain(DiskFault::Failed));
    }
    Ok(Bytes::from(bytes))
}
