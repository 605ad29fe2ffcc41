//! What lies in a bucket, page by page. Owns no state and takes no lock that a writer holds: a share that comes or goes
//! meanwhile is in the list or not.
//!
//! What cannot be read does not hide the rest: it is counted, and the list goes on.
//!
//! Bounded: a page looks at [`LIST_MAX`] shares at most and remembers as many names, however many a directory holds; each
//! page reads the names of the bucket's directory once, which is what a bucket of very many files pays for that.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use truckee_engine::store::{Damage, DiskDone, DiskFault, Holding, LIST_MAX, Listing, ShareId};
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{ShareNumber, StorageIndex};

use super::opened::Ends;
use super::{FileDisk, Trouble, Turn, refused};

/// The first files of a bucket from some point on.
struct Files {
    /// At most [`LIST_MAX`].
    files: BTreeSet<StorageIndex>,
    /// Whether there are more behind them.
    more: bool,
}

impl FileDisk {
    pub(super) fn list(
        &self,
        bucket: Bucket,
        after: Option<ShareId>,
        turn: &dyn Turn,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        turn.wait()?;
        let Files { files, more } = self.files(bucket, after.map(|share| share.si))?;
        let (before, mut listing, mut looked) = (damage.shares, Listing::default(), 0);
        let last = files.last().copied();
        for si in files {
            for share in self.numbers_or_none(si, &mut listing)? {
                let share = ShareId { si, share };
                if after.is_some_and(|after| share <= after) {
                    continue;
                }
                turn.wait()?;
                looked += 1;
                self.look(share, &mut listing, damage)?;
                if looked == LIST_MAX {
                    listing.next = Some(share);
                    listing.put_aside = damage.shares - before;
                    return Ok(DiskDone::Listed(listing));
                }
            }
        }
        // Directories without shares fill a page as well: it goes on behind the last one.
        listing.next = last.filter(|_| more).map(behind);
        listing.put_aside = damage.shares - before;
        Ok(DiskDone::Listed(listing))
    }

    /// The first files of a bucket, from `from` on. What has another name than a file of this bucket is none.
    fn files(&self, bucket: Bucket, from: Option<StorageIndex>) -> Result<Files, Trouble> {
        let mut found = Files {
            files: BTreeSet::new(),
            more: false,
        };
        let entries = match fs::read_dir(self.paths.bucket(bucket)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let name = entry?.file_name();
            let si = name.to_str().and_then(|name| name.parse().ok());
            let wanted = |si: &StorageIndex| Bucket::of(si) == bucket && from.is_none_or(|from| *si >= from);
            let Some(si) = si.filter(wanted) else { continue };
            found.files.insert(si);
            if found.files.len() > LIST_MAX {
                found.files.pop_last();
                found.more = true;
            }
        }
        Ok(found)
    }

    /// Adds a share to the list, unless it has gone, or has just been put aside.
    fn look(&self, share: ShareId, listing: &mut Listing, damage: &mut Damage) -> Result<(), Trouble> {
        let ends = Ends::open(&self.paths, share);
        match self.or_aside(share, damage, ends) {
            Ok(ends) => listing.holdings.push(Holding {
                share,
                coding: ends.footer.header.coding,
                file_bytes: ends.file_bytes,
            }),
            Err(Trouble::Damaged(_) | Trouble::Plain(DiskFault::NotFound)) => {}
            Err(trouble) => unreadable(share.si, listing, trouble)?,
        }
        Ok(())
    }

    fn numbers_or_none(&self, si: StorageIndex, listing: &mut Listing) -> Result<Vec<ShareNumber>, Trouble> {
        self.numbers(si)
            .or_else(|trouble| unreadable(si, listing, trouble).map(|()| Vec::new()))
    }
}

/// Counts what the system refused to read; anything else ends the list.
fn unreadable(si: StorageIndex, listing: &mut Listing, trouble: Trouble) -> Result<(), Trouble> {
    let Trouble::Io(error) = trouble else {
        return Err(trouble);
    };
    refused("list", Some(si), &error);
    listing.unreadable += 1;
    Ok(())
}

/// Before every share of the next file.
fn behind(si: StorageIndex) -> ShareId {
    let share = ShareNumber(u8::MAX);
    ShareId { si, share }
}
