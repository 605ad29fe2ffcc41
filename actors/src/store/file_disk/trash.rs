//! The trash: `trash/aa/<storage index>.<share number>.<day>.<cause>`, a file for each share that has left its place.
//!
//! A share moves by renames alone, so at every moment it lies in one place, whole. Where it goes is made durable before
//! where it came from: loss of power in between may leave it in its old place, never in none. Moving it changes neither its
//! bytes nor its modification time.

use std::fs;
use std::io;
use std::sync::PoisonError;

use truckee_engine::store::{Amount, Damage, DiskDone, DiskFault, EMPTY_MAX, ShareId, TrashCause, TrashMark};
use truckee_engine::time::Day;
use truckee_grid::bucket::Bucket;

use super::{FileDisk, Trouble, paths};

impl FileDisk {
    /// Moves a share out of its place. Two of one name and mark never replace each other: the second is refused.
    pub(super) fn throw_away(&self, share: ShareId, mark: TrashMark) -> Result<DiskDone, Trouble> {
        self.opened.forget(share);
        let (from, to) = (self.paths.share(share), self.paths.trashed(share, mark));
        let trash = self.paths.trash_of(Bucket::of(&share.si));
        let departure = self.departures.lock().unwrap_or_else(PoisonError::into_inner);
        let file_bytes = fs::metadata(&from)?.len();
        if to.exists() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
        }
        self.steps.make_dir(&trash)?;
        self.steps.sync_dir(self.paths.trash())?;
        self.steps.rename(&from, &to)?;
        drop(departure);
        self.steps.sync_dir(&trash)?;
        let file = self.paths.file(share.si);
        self.steps.sync_dir(&file)?;
        // Nobody writes a share of this file meanwhile: its operations that write come one after the other.
        self.steps.remove_empty_dir(&file)?;
        Ok(DiskDone::Trashed { file_bytes })
    }

    /// Moves a share back, the one that was thrown away last; what has come in its place stays.
    pub(in crate::store) fn restore(&self, share: ShareId, damage: &mut Damage) -> Result<DiskDone, Trouble> {
        let bucket = Bucket::of(&share.si);
        let thrown = self.thrown_away(bucket)?;
        let marks = thrown.iter().filter(|(there, _)| *there == share);
        let Some(mark) = marks.map(|(_, mark)| *mark).max() else {
            return Err(Trouble::Plain(DiskFault::NotFound));
        };
        if let Some(file) = self.existing(share, damage)? {
            return Ok(DiskDone::Exists { file });
        }
        let from = self.paths.trashed(share, mark);
        let file_bytes = fs::metadata(&from)?.len();
        self.publish(&from, share)?;
        self.holds_one_of(file_bytes);
        self.steps.sync_dir(&self.paths.trash_of(bucket))?;
        Ok(DiskDone::Restored { file_bytes })
    }

    /// Deletes for good what was thrown away for a cause before a day, as much as one operation may.
    pub(super) fn empty(&self, bucket: Bucket, cause: TrashCause, before: Day) -> Result<DiskDone, Trouble> {
        let gone = self.empty_some(bucket, cause, before, EMPTY_MAX)?;
        Ok(DiskDone::Emptied { gone })
    }

    /// The same for at most so many.
    pub(in crate::store) fn empty_some(
        &self,
        bucket: Bucket,
        cause: TrashCause,
        before: Day,
        shares_max: u64,
    ) -> Result<Amount, Trouble> {
        let mut gone = Amount::default();
        for (share, mark) in self.thrown_away(bucket)? {
            if mark.cause != cause || mark.day >= before {
                continue;
            }
            if gone.shares == shares_max {
                break;
            }
            let path = self.paths.trashed(share, mark);
            let file_bytes = fs::metadata(&path)?.len();
            self.steps.remove(&path)?;
            gone.add(Amount::one(file_bytes));
        }
        if gone.shares > 0 {
            self.steps.sync_dir(&self.paths.trash_of(bucket))?;
        }
        Ok(gone)
    }

    /// Whether one of that name and mark lies there.
    pub(in crate::store) fn is_thrown_away(&self, share: ShareId, mark: TrashMark) -> bool {
        self.paths.trashed(share, mark).exists()
    }

    /// What a bucket has in the trash. What has another name than a share there is none.
    pub(in crate::store) fn thrown_away(&self, bucket: Bucket) -> Result<Vec<(ShareId, TrashMark)>, Trouble> {
        let entries = match fs::read_dir(self.paths.trash_of(bucket)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for entry in entries {
            found.extend(paths::trashed_share(&entry?.file_name()));
        }
        Ok(found)
    }
}
