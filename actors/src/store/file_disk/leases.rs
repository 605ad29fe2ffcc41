//! Leases: `leases/aa`, one table for the files of a bucket, replaced whole.
//!
//! A table is written beside the old one, made durable, and takes its name; then the directory is made durable. A table that
//! is missing has nothing renewed. One that is damaged is replaced at the next renewal by one that counts everything in its
//! bucket as renewed on that day; until then nothing of the bucket is collected and its leases are not told.
//!
//! Reading, deciding and moving into or out of the trash is one step under one lock, so a share is never collected by a lease
//! that is being renewed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::sync::PoisonError;
use std::time::{SystemTime, UNIX_EPOCH};

use truckee_engine::lease::{LeaseTable, TABLE_BYTES_MAX};
use truckee_engine::store::{
    Amount, Damage, DiskDone, DiskFault, Leased, ShareId, Survey, TrashCause, TrashMark,
};
use truckee_engine::time::{Day, UnixSeconds};
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::StorageIndex;

use super::{FileDisk, Trouble, Turn};

/// Shares of a bucket that have no files of their own.
#[derive(Debug, Default)]
pub(in crate::store) struct Others {
    /// Files of which shares are in their places.
    pub(in crate::store) held: BTreeSet<StorageIndex>,
    /// Shares in the trash.
    pub(in crate::store) thrown: Vec<(ShareId, TrashMark)>,
}

impl FileDisk {
    pub(super) fn renew(
        &self,
        bucket: Bucket,
        day: Day,
        sis: &[StorageIndex],
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        let restore = |share| self.restore(share, damage);
        self.renew_with(bucket, day, sis, &Others::default(), restore)
    }

    /// The same with other shares that have no files of their own.
    pub(in crate::store) fn renew_with(
        &self,
        bucket: Bucket,
        day: Day,
        sis: &[StorageIndex],
        others: &Others,
        mut restore: impl FnMut(ShareId) -> Result<DiskDone, Trouble>,
    ) -> Result<DiskDone, Trouble> {
        let _one = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let mut thrown = self.thrown_away(bucket)?;
        thrown.extend(&others.thrown);
        let mut there = self.names(bucket)?;
        there.extend(thrown.iter().map(|(share, _)| share.si));
        there.extend(&others.held);
        let (mut table, mut changed) = match self.table(bucket)? {
            Some(table) => (table, false),
            None => (LeaseTable::new(day), true),
        };
        let mut held = Vec::with_capacity(sis.len());
        for si in sis {
            let is_thrown = thrown.iter().any(|(share, _)| share.si == *si);
            let is_other = others.held.contains(si);
            let is_held = is_thrown || is_other || (there.contains(si) && !self.numbers(*si)?.is_empty());
            held.push(is_held);
            changed |= is_held && table.renew(*si, day);
        }
        if changed {
            table.retain(|si| there.contains(si));
            self.replace_table(bucket, &table)?;
        }
        let back = thrown.iter().filter(|(share, mark)| {
            mark.cause == TrashCause::Expired && sis.binary_search(&share.si).is_ok()
        });
        let back: BTreeSet<ShareId> = back.map(|(share, _)| *share).collect();
        let mut restored = Amount::default();
        for share in back {
            if let DiskDone::Restored { file_bytes } = restore(share)? {
                restored.add(Amount::one(file_bytes));
            }
        }
        Ok(DiskDone::Renewed { held, restored })
    }

    /// Moves a share out of its place, if its lease lets it go.
    pub(in crate::store) fn let_go(
        &self,
        share: ShareId,
        mark: TrashMark,
        leased_before: Option<Day>,
    ) -> Result<DiskDone, Trouble> {
        let written = || Ok(self.written(share)?.1);
        self.let_go_as(share, leased_before, written, || self.throw_away(share, mark))
    }

    /// The same for a share of which others know when it was written and how it goes.
    pub(in crate::store) fn let_go_as(
        &self,
        share: ShareId,
        leased_before: Option<Day>,
        written: impl FnOnce() -> Result<Day, Trouble>,
        go: impl FnOnce() -> Result<DiskDone, Trouble>,
    ) -> Result<DiskDone, Trouble> {
        let Some(before) = leased_before else {
            return go();
        };
        let _one = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(table) = self.table(Bucket::of(&share.si))? else {
            return Err(Trouble::Plain(DiskFault::Failed));
        };
        if table.lease(&share.si, written()?) >= before {
            return Ok(DiskDone::Kept);
        }
        go()
    }

    pub(super) fn survey(
        &self,
        bucket: Bucket,
        after: Option<ShareId>,
        turn: &dyn Turn,
    ) -> Result<DiskDone, Trouble> {
        self.survey_with(bucket, after, &BTreeMap::new(), turn)
    }

    /// The same with other shares that have no files of their own, as [`FileDisk::list_with`]: the length of each and when it
    /// was written.
    pub(in crate::store) fn survey_with(
        &self,
        bucket: Bucket,
        after: Option<ShareId>,
        others: &BTreeMap<ShareId, (u64, Day)>,
        turn: &dyn Turn,
    ) -> Result<DiskDone, Trouble> {
        let Some(table) = self.table(bucket)? else {
            return Err(Trouble::Plain(DiskFault::Failed));
        };
        let mut survey = Survey::default();
        let mut leased = Vec::new();
        survey.next = self.page(
            bucket,
            after,
            others,
            turn,
            &mut survey.unreadable,
            |share, other| {
                let (file_bytes, written) = match other.map_or_else(|| self.written(share), Ok) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    other => other?,
                };
                leased.push(Leased {
                    share,
                    file_bytes,
                    lease: table.lease(&share.si, written),
                });
                Ok(())
            },
        )?;
        survey.leased = leased;
        Ok(DiskDone::Surveyed(survey))
    }

    /// Length of a share and the day on which it was written.
    pub(in crate::store) fn written(&self, share: ShareId) -> io::Result<(u64, Day)> {
        let found = fs::metadata(self.paths.share(share))?;
        Ok((found.len(), day_of(found.modified()?)))
    }

    /// The table of a bucket; `None` if it is damaged.
    fn table(&self, bucket: Bucket) -> Result<Option<LeaseTable>, Trouble> {
        let file = match fs::File::open(self.paths.lease_table(bucket)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(LeaseTable::new(Day::FIRST)));
            }
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(TABLE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        let table = LeaseTable::decode(bucket, &bytes);
        if let Err(error) = &table {
            tracing::error!(
                %bucket, %error,
                "a table of leases is damaged; nothing of its bucket is collected before the next renewal there"
            );
        }
        Ok(table.ok())
    }

    fn replace_table(&self, bucket: Bucket, table: &LeaseTable) -> Result<(), Trouble> {
        let (path, unfinished) = (self.paths.lease_table(bucket), self.paths.new_lease_table(bucket));
        self.steps.remove(&unfinished)?;
        let mut file = self.steps.create(&unfinished)?;
        self.steps.write(&mut file, &unfinished, &table.encode(bucket))?;
        self.steps.sync(&file, &unfinished)?;
        self.steps.rename(&unfinished, &path)?;
        Ok(self.steps.sync_dir(self.paths.leases())?)
    }

    /// The files of a bucket that have a directory.
    fn names(&self, bucket: Bucket) -> Result<BTreeSet<StorageIndex>, Trouble> {
        let entries = match fs::read_dir(self.paths.bucket(bucket)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(error.into()),
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let name = entry?.file_name();
            names.extend(name.to_str().and_then(|name| name.parse::<StorageIndex>().ok()));
        }
        Ok(names)
    }
}

/// The day of a time of the file system; one before 1970 is the first day of it.
fn day_of(time: SystemTime) -> Day {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Day::of(UnixSeconds::from_secs(seconds))
}
