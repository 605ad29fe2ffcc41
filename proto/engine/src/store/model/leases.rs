//! Leases and the trash of the disk in memory.

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::StorageIndex;

use super::super::types::{DiskDone, DiskFault, DiskOp, EMPTY_MAX, LIST_MAX, ShareId};
use super::super::{Amount, Leased, Survey, TrashCause, TrashMark};
use super::{ModelDisk, StoredShare, is_listed, stored_bytes};
use crate::time::Day;

impl ModelDisk {
    pub(super) fn let_go(&mut self, op: DiskOp) -> Result<DiskDone, DiskFault> {
        match op {
            DiskOp::Trash {
                share,
                mark,
                leased_before,
            } => self.throw_away(share, mark, leased_before),
            DiskOp::Restore { share } => self.restore(share),
            DiskOp::Empty {
                bucket,
                cause,
                before,
            } => Ok(self.empty(bucket, cause, before)),
            DiskOp::Renew { day, sis, .. } => Ok(self.renew(day, &sis)),
            DiskOp::Survey { bucket, after } => Ok(DiskDone::Surveyed(self.survey(bucket, after))),
            _ => Err(DiskFault::Failed),
        }
    }

    fn throw_away(
        &mut self,
        share: ShareId,
        mark: TrashMark,
        leased_before: Option<Day>,
    ) -> Result<DiskDone, DiskFault> {
        let lease = self
            .shares
            .get(&share)
            .map(|stored| self.lease(&share.si, stored));
        if lease
            .zip(leased_before)
            .is_some_and(|(lease, before)| lease >= before)
        {
            return Ok(DiskDone::Kept);
        }
        if self.trash.contains_key(&(share, mark)) {
            return Err(DiskFault::Failed);
        }
        let stored = self.shares.remove(&share).ok_or(DiskFault::NotFound)?;
        let file_bytes = stored_bytes(&stored);
        self.trash.insert((share, mark), stored);
        Ok(DiskDone::Trashed { file_bytes })
    }

    fn restore(&mut self, share: ShareId) -> Result<DiskDone, DiskFault> {
        let last = self.trash.keys().filter(|(there, _)| *there == share).max();
        let last = *last.ok_or(DiskFault::NotFound)?;
        if let Some(there) = self.exists(share) {
            return Ok(there);
        }
        let stored = self.trash.remove(&last).ok_or(DiskFault::NotFound)?;
        let file_bytes = stored_bytes(&stored);
        self.shares.insert(share, stored);
        Ok(DiskDone::Restored { file_bytes })
    }

    fn empty(&mut self, bucket: Bucket, cause: TrashCause, before: Day) -> DiskDone {
        let old = |(share, mark): &&(ShareId, TrashMark)| {
            Bucket::of(&share.si) == bucket && mark.cause == cause && mark.day < before
        };
        let all: Vec<(ShareId, TrashMark)> = self.trash.keys().filter(old).copied().collect();
        let mut gone = Amount::default();
        for key in all.iter().take(EMPTY_MAX as usize) {
            if let Some(stored) = self.trash.remove(key) {
                gone.add(Amount::one(stored_bytes(&stored)));
            }
        }
        DiskDone::Emptied { gone }
    }

    fn lease(&self, si: &StorageIndex, stored: &StoredShare) -> Day {
        let renewed = self.leases.get(si).copied().unwrap_or(Day::FIRST);
        renewed.max(Day::of(stored.closing.lease.granted))
    }

    fn renew(&mut self, day: Day, sis: &[StorageIndex]) -> DiskDone {
        let (mut held, mut restored) = (Vec::new(), Amount::default());
        for si in sis {
            let thrown = self.trash.keys().filter(|(share, _)| share.si == *si);
            let thrown: Vec<(ShareId, TrashMark)> = thrown.copied().collect();
            held.push(!thrown.is_empty() || self.shares.keys().any(|share| share.si == *si));
            let lease = self.leases.entry(*si).or_default();
            *lease = day.max(*lease);
            for (share, mark) in thrown.into_iter().rev() {
                if mark.cause == TrashCause::Expired
                    && let Ok(DiskDone::Restored { file_bytes }) = self.restore(share)
                {
                    restored.add(Amount::one(file_bytes));
                }
            }
        }
        DiskDone::Renewed { held, restored }
    }

    fn survey(&self, bucket: Bucket, after: Option<ShareId>) -> Survey {
        let of_page = self
            .shares
            .iter()
            .filter(|(share, _)| is_listed(share, bucket, after));
        let leased = |(share, stored): (&ShareId, &StoredShare)| Leased {
            share: *share,
            file_bytes: stored_bytes(stored),
            lease: self.lease(&share.si, stored),
        };
        let leased: Vec<Leased> = of_page.map(leased).take(LIST_MAX).collect();
        let last = leased.last().map(|leased| leased.share);
        Survey {
            next: last.filter(|_| leased.len() == LIST_MAX),
            leased,
            unreadable: 0,
        }
    }
}
