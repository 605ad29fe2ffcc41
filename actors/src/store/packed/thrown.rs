//! The trash, lists and leases of both places together. Owns no state.
//!
//! What moves into the trash or out of it stays in its pack or in its files: a share is never carried from one to the other.

use std::collections::BTreeMap;
use std::io;

use truckee_engine::store::{
    Amount, Damage, DiskDone, DiskFault, EMPTY_MAX, LIST_MAX, ShareId, TrashCause, TrashMark,
};
use truckee_engine::time::Day;
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::StorageIndex;

use super::super::disk::Turn;
use super::super::file_disk::Trouble;
use super::super::file_disk::leases::Others;
use super::super::file_disk::opened::Ends;
use super::super::file_disk::source::Source;
use super::log::Wish;
use super::record::State;
use super::{PackedDisk, read_lock};

impl PackedDisk {
    pub(super) fn let_go(
        &self,
        share: ShareId,
        mark: TrashMark,
        leased_before: Option<Day>,
    ) -> Result<DiskDone, Trouble> {
        let Some(slot) = read_lock(&self.log.index).held(share) else {
            let is_taken = read_lock(&self.log.index).trashed(share, mark).is_some();
            if is_taken && self.files.numbers(share.si)?.contains(&share.share) {
                let written = || Ok(self.files.written(share)?.1);
                return self
                    .files
                    .let_go_as(share, leased_before, written, || Err(taken()));
            }
            return self.files.let_go(share, mark, leased_before);
        };
        let go = || self.throw_away(share, mark);
        self.files
            .let_go_as(share, leased_before, || Ok(slot.written()), go)
    }

    /// Two of one name and mark never replace each other, wherever they lie: the second is refused.
    fn throw_away(&self, share: ShareId, mark: TrashMark) -> Result<DiskDone, Trouble> {
        let _one = self.departure(share);
        let is_taken = read_lock(&self.log.index).trashed(share, mark).is_some();
        if is_taken || self.files.is_thrown_away(share, mark) {
            return Err(taken());
        }
        let (from, to) = (None, State::Trashed(mark));
        let gone = self.wish(Wish::Leave { share, from, to })?;
        let file_bytes = gone.ok_or(Trouble::Plain(DiskFault::NotFound))?;
        Ok(DiskDone::Trashed { file_bytes })
    }

    pub(super) fn restore(&self, share: ShareId, damage: &mut Damage) -> Result<DiskDone, Trouble> {
        let in_files = self.files.thrown_away(Bucket::of(&share.si))?;
        let in_files = in_files.iter().filter(|(there, _)| *there == share);
        let in_files = in_files.map(|(_, mark)| *mark).max();
        let in_packs = read_lock(&self.log.index).thrown_of(share).next_back();
        let in_packs = in_packs.map(|(mark, _)| mark);
        let Some(mark) = in_files.max(in_packs) else {
            return Err(Trouble::Plain(DiskFault::NotFound));
        };
        if let Some(file) = self.existing(share, damage)? {
            return Ok(DiskDone::Exists { file });
        }
        if in_packs != Some(mark) {
            return self.files.restore(share, damage);
        }
        let to = State::Held;
        let back = self.wish(Wish::Take { share, mark, to })?;
        let file_bytes = back.ok_or(Trouble::Plain(DiskFault::NotFound))?;
        Ok(DiskDone::Restored { file_bytes })
    }

    /// Those in packs first, all with one sync.
    pub(super) fn empty(&self, bucket: Bucket, cause: TrashCause, before: Day) -> Result<DiskDone, Trouble> {
        let index = read_lock(&self.log.index);
        let old = index
            .thrown_away(bucket)
            .filter(|(_, mark, _)| mark.cause == cause && mark.day < before);
        let to = State::Gone;
        let wishes = old.map(|(share, mark, _)| Wish::Take { share, mark, to });
        let wishes: Vec<Wish> = wishes.take(EMPTY_MAX as usize).collect();
        drop(index);
        let mut gone = Amount::default();
        if !wishes.is_empty() {
            for file_bytes in self.log.commit(wishes)?.into_iter().flatten() {
                gone.add(Amount::one(file_bytes));
            }
        }
        let left = EMPTY_MAX.saturating_sub(gone.shares);
        gone.add(self.files.empty_some(bucket, cause, before, left)?);
        Ok(DiskDone::Emptied { gone })
    }

    pub(super) fn renew(
        &self,
        bucket: Bucket,
        day: Day,
        sis: &[StorageIndex],
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        let index = read_lock(&self.log.index);
        let held = index.held_behind(bucket, None).map(|(share, _)| share.si);
        let thrown = index.thrown_away(bucket).map(|(share, mark, _)| (share, mark));
        let others = Others {
            held: held.collect(),
            thrown: thrown.collect(),
        };
        drop(index);
        let restore = |share| self.restore(share, damage);
        self.files.renew_with(bucket, day, sis, &others, restore)
    }

    pub(super) fn survey(
        &self,
        bucket: Bucket,
        after: Option<ShareId>,
        turn: &dyn Turn,
    ) -> Result<DiskDone, Trouble> {
        let index = read_lock(&self.log.index);
        let held = index.held_behind(bucket, after).take(LIST_MAX + 1);
        let held = held.map(|(share, slot)| (share, (u64::from(slot.file_bytes), slot.written())));
        let held: BTreeMap<ShareId, (u64, Day)> = held.collect();
        drop(index);
        self.files.survey_with(bucket, after, &held, turn)
    }

    pub(super) fn list(
        &self,
        bucket: Bucket,
        after: Option<ShareId>,
        turn: &dyn Turn,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        let index = read_lock(&self.log.index);
        let held = index.held_behind(bucket, after).map(|(share, _)| share);
        let mut shares: Vec<ShareId> = held.take(LIST_MAX + 1).collect();
        let over = index.thrown_away(bucket).filter(|(share, mark, _)| {
            mark.cause == TrashCause::Expired && after.is_none_or(|after| *share > after)
        });
        shares.extend(over.map(|(share, _, _)| share).take(LIST_MAX + 1));
        drop(index);
        self.files
            .list_with(bucket, after, &shares, turn, damage, |share, damage| {
                self.ends(share, damage)
            })
    }

    /// The least look at a share in its place, or else in the trash.
    fn ends(&self, share: ShareId, damage: &mut Damage) -> Result<Ends, Trouble> {
        if self.is_packed(share) {
            return self.looked_at(share, damage, |source| Ends::of(source, share));
        }
        let (_, bytes) = self.bytes_of(share, |index| {
            let thrown = index.thrown_of(share);
            let mut over = thrown.filter(|(mark, _)| mark.cause == TrashCause::Expired);
            over.next_back().map(|(_, slot)| slot)
        })?;
        Ends::of(Source::Memory(bytes), share)
    }
}

fn taken() -> Trouble {
    io::Error::from(io::ErrorKind::AlreadyExists).into()
}
