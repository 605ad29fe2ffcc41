//! Finished shares: found, read, verified, removed, and put aside when they do not check.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::PoisonError;

use truckee_engine::store::{Damage, DiskDone, DiskFault, Found, ShareId, is_sound_block};
use truckee_grid::ids::{SegmentIndex, ShareNumber, StorageIndex};
use truckee_wire::message::{BlockRead, FileFacts};

use super::opened::Opened;
use super::source::Source;
use super::{FileDisk, Trouble, Turn, paths};

/// Shares of one name that are kept aside; more than one happens only when a share is damaged, repaired and damaged
/// again. Beyond that the newest replaces the last.
const ASIDE_MAX: u32 = 16;

impl FileDisk {
    /// What a finished share says about its file, if it is there and checks. A damaged one is put aside, so that a new
    /// upload can take its place.
    pub(in crate::store) fn existing(
        &self,
        share: ShareId,
        damage: &mut Damage,
    ) -> Result<Option<FileFacts>, Trouble> {
        match self.guarded(share, damage, |opened| Ok(opened.facts().clone())) {
            Ok(facts) => Ok(Some(facts)),
            Err(Trouble::Plain(DiskFault::NotFound) | Trouble::Damaged(_)) => Ok(None),
            Err(Trouble::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Runs `what` on an open share; if that shows damage, puts the share aside.
    pub(in crate::store) fn guarded<T>(
        &self,
        share: ShareId,
        damage: &mut Damage,
        what: impl FnOnce(&Opened) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let opened = self.opened.get(&self.paths, share);
        self.or_aside(share, damage, opened.and_then(|opened| what(&opened)))
    }

    /// If looking at a share has shown damage, puts it aside. What is gone already, or has another file in its place, was
    /// put aside or removed by somebody else: it is not found.
    pub(super) fn or_aside<T>(
        &self,
        share: ShareId,
        damage: &mut Damage,
        looked: Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let wrong = match looked {
            Err(Trouble::Damaged(wrong)) => wrong,
            other => return other,
        };
        let Some(bytes) = self.put_aside(share, &wrong.source)? else {
            return Err(Trouble::Plain(DiskFault::NotFound));
        };
        tracing::error!(share = %share, why = wrong.why, "a damaged share was put aside");
        damage.shares += 1;
        damage.bytes += bytes;
        Err(Trouble::Damaged(wrong))
    }

    /// Moves the share away if its place still holds the file that was looked at; gives its length.
    fn put_aside(&self, share: ShareId, looked_at: &Source) -> Result<Option<u64>, Trouble> {
        let Source::File(file) = looked_at else {
            return Ok(None);
        };
        let _one = self.departures.lock().unwrap_or_else(PoisonError::into_inner);
        self.opened.forget(share);
        let from = self.paths.share(share);
        let (seen, there) = match fs::metadata(&from) {
            Ok(there) => (file.metadata()?, there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if (seen.dev(), seen.ino()) != (there.dev(), there.ino()) {
            return Ok(None);
        }
        self.steps.rename(&from, &self.aside(share))?;
        self.steps.sync_dir(self.paths.quarantine())?;
        self.steps.sync_dir(&self.paths.file(share.si))?;
        Ok(Some(there.len()))
    }

    /// Where a damaged share goes: a name that is free, or the last one.
    pub(in crate::store) fn aside(&self, share: ShareId) -> PathBuf {
        let free = (0..ASIDE_MAX - 1).find(|attempt| !self.paths.aside(share, *attempt).exists());
        self.paths.aside(share, free.unwrap_or(ASIDE_MAX - 1))
    }

    pub(in crate::store) fn find(
        &self,
        si: StorageIndex,
        inline_bytes_max: u32,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        find_among(si, self.numbers(si)?, |id| {
            self.guarded(id, damage, |opened| opened.shown(inline_bytes_max))
        })
    }

    /// The numbers of the shares of a file, ascending.
    pub(in crate::store) fn numbers(&self, si: StorageIndex) -> Result<Vec<ShareNumber>, Trouble> {
        let entries = match fs::read_dir(self.paths.file(si)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            numbers.extend(paths::share_number(&entry?.file_name()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(super) fn read(
        &self,
        share: ShareId,
        segment: SegmentIndex,
        suspect: bool,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        if suspect {
            // A fresh look: what a cached handle once found to be right is part of the question.
            self.opened.forget(share);
        }
        let read = self.guarded(share, damage, |opened| opened.read_for(share, segment, suspect));
        read.map(DiskDone::Read)
    }

    /// A block that nobody has to wait for, of a share that is open.
    pub(in crate::store) fn read_at_once(&self, share: ShareId, segment: SegmentIndex) -> Option<DiskDone> {
        let read = self.opened.hit(share)?.read_at_once(segment)?;
        Some(DiskDone::Read(read))
    }

    pub(super) fn verify(
        &self,
        share: ShareId,
        turn: &dyn Turn,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        // A fresh look: what a cached handle once found to be right is part of the question.
        self.opened.forget(share);
        self.guarded(share, damage, |opened| {
            opened
                .verify(turn)
                .map(|file_bytes| DiskDone::Sound { file_bytes })
        })
    }

    pub(super) fn remove(&self, share: ShareId) -> Result<DiskDone, Trouble> {
        self.opened.forget(share);
        let path = self.paths.share(share);
        let departure = self.departures.lock().unwrap_or_else(PoisonError::into_inner);
        let file_bytes = fs::metadata(&path)?.len();
        self.steps.remove(&path)?;
        drop(departure);
        self.steps.sync_dir(&self.paths.file(share.si))?;
        Ok(DiskDone::Gone { file_bytes })
    }
}

/// What is there of a file, by a look at its shares in turn until one of them says which file it is; for the others their
/// numbers do. Damaged ones, and those that have gone meanwhile, are not there.
pub(in crate::store) fn find_among(
    si: StorageIndex,
    numbers: impl IntoIterator<Item = ShareNumber>,
    mut look: impl FnMut(ShareId) -> Result<(FileFacts, Option<bytes::Bytes>), Trouble>,
) -> Result<DiskDone, Trouble> {
    let mut found = Found::default();
    for share in numbers {
        if found.file.is_some() {
            found.shares.push(share);
            continue;
        }
        match look(ShareId { si, share }) {
            Ok((file, inlined)) => {
                found.shares.push(share);
                found.file = Some(file);
                found.inlined = inlined;
            }
            Err(Trouble::Damaged(_) | Trouble::Plain(DiskFault::NotFound)) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(DiskDone::Found(found))
}

impl Opened {
    /// What is sent to who looks for the file: its facts, and the block if it is the only one and short enough.
    pub(in crate::store) fn shown(
        &self,
        inline_bytes_max: u32,
    ) -> Result<(FileFacts, Option<bytes::Bytes>), Trouble> {
        let inlined = self.only_block(inline_bytes_max)?;
        Ok((self.facts().clone(), inlined))
    }

    /// One block, which is checked first if it is suspect.
    pub(in crate::store) fn read_for(
        &self,
        share: ShareId,
        segment: SegmentIndex,
        suspect: bool,
    ) -> Result<BlockRead, Trouble> {
        let read = self.read(segment)?;
        if suspect && !is_sound_block(share, self.facts(), segment, &read) {
            return Err(self.wrong(&"a block of it is damaged"));
        }
        Ok(read)
    }

    /// The block of a share of one block, if it is short enough to go along with an answer.
    fn only_block(&self, bytes_max: u32) -> Result<Option<bytes::Bytes>, Trouble> {
        let geometry = self.facts().ueb.geometry();
        let fits = geometry.segments() == 1 && geometry.block_bytes(geometry.last()) <= bytes_max as usize;
        if !fits {
            return Ok(None);
        }
        self.block(SegmentIndex(0)).map(Some)
    }
}
