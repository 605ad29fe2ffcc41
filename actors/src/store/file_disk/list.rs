//! What lies in a bucket, page by page, and what is still told of though its lease was over and it lies in the trash. Owns no state and takes no lock that a writer holds: a share that comes or goes
//! meanwhile is in the list or not.
//!
//! What cannot be read does not hide the rest: it is counted, and the list goes on.
//!
//! Bounded: a page looks at [`LIST_MAX`] shares at most and remembers as many names, however many a directory holds; each
//! page reads the names of the bucket's directory once, which is what a bucket of very many files pays for that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use truckee_engine::store::{
    Damage, DiskDone, DiskFault, Holding, LIST_MAX, Listing, ShareId, TrashCause, TrashMark,
};
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

/// Where a share is that has no file in its place.
#[derive(Clone, Copy)]
enum Elsewhere {
    Trash(TrashMark),
    NoFile,
}

impl FileDisk {
    pub(super) fn list(
        &self,
        bucket: Bucket,
        after: Option<ShareId>,
        turn: &dyn Turn,
        damage: &mut Damage,
    ) -> Result<DiskDone, Trouble> {
        let no_others = |_, _: &mut Damage| Err(Trouble::Plain(DiskFault::NotFound));
        self.list_with(bucket, after, &[], turn, damage, no_others)
    }

    /// The same with other shares among them that have no files of their own: the first of the bucket behind `after`, at least
    /// [`LIST_MAX`] and one if there are so many. `ends` looks at one of them.
    pub(in crate::store) fn list_with(
        &self,
        bucket: Bucket,
        after: Option<ShareId>,
        others: &[ShareId],
        turn: &dyn Turn,
        damage: &mut Damage,
        ends: impl Fn(ShareId, &mut Damage) -> Result<Ends, Trouble>,
    ) -> Result<DiskDone, Trouble> {
        let over = self.thrown_away(bucket)?;
        let over = over
            .into_iter()
            .filter(|(_, mark)| mark.cause == TrashCause::Expired);
        let over = over.map(|(share, mark)| (share, Elsewhere::Trash(mark)));
        let mut elsewhere: BTreeMap<ShareId, Elsewhere> = over.collect();
        elsewhere.extend(others.iter().map(|share| (*share, Elsewhere::NoFile)));
        let (before, mut listing) = (damage.shares, Listing::default());
        let (mut unreadable, holdings) = (0, &mut listing.holdings);
        listing.next = self.page(bucket, after, &elsewhere, turn, &mut unreadable, |share, lies| {
            let found = match lies {
                None => self.or_aside(share, damage, Ends::open(&self.paths, share)),
                Some(Elsewhere::Trash(mark)) => Ends::open_at(&self.paths.trashed(share, mark), share),
                Some(Elsewhere::NoFile) => ends(share, damage),
            };
            look(share, found, holdings)
        })?;
        listing.unreadable = unreadable;
        listing.put_aside = damage.shares - before;
        Ok(DiskDone::Listed(listing))
    }

    /// Calls `look` with the shares of a page in order, and with what is said of those that have no file in their place; gives
    /// where the next page begins. What the system refuses to look at is counted.
    pub(super) fn page<E: Copy>(
        &self,
        bucket: Bucket,
        after: Option<ShareId>,
        elsewhere: &BTreeMap<ShareId, E>,
        turn: &dyn Turn,
        unreadable: &mut u64,
        mut look: impl FnMut(ShareId, Option<E>) -> Result<(), Trouble>,
    ) -> Result<Option<ShareId>, Trouble> {
        turn.wait()?;
        let Files { files, more } = self.files(bucket, after.map(|share| share.si), elsewhere)?;
        let (mut looked, last) = (0, files.last().copied());
        for si in files {
            let numbers = self.numbers(si);
            let numbers =
                numbers.or_else(|trouble| count_refused(si, unreadable, trouble).map(|()| Vec::new()))?;
            let first = ShareId {
                si,
                share: ShareNumber(0),
            };
            let of_file = elsewhere
                .range(first..=behind(si))
                .map(|(share, said)| (*share, Some(*said)));
            let mut shares: BTreeMap<ShareId, Option<E>> = of_file.collect();
            shares.extend(numbers.into_iter().map(|share| (ShareId { si, share }, None)));
            for (share, said) in shares {
                if after.is_some_and(|after| share <= after) {
                    continue;
                }
                turn.wait()?;
                looked += 1;
                look(share, said).or_else(|trouble| count_refused(si, unreadable, trouble))?;
                if looked == LIST_MAX {
                    return Ok(Some(share));
                }
            }
        }
        // Directories without shares fill a page as well: it goes on behind the last one.
        Ok(last.filter(|_| more).map(behind))
    }

    /// The first files of a bucket, from `from` on. What has another name than a file of this bucket is none.
    fn files<E>(
        &self,
        bucket: Bucket,
        from: Option<StorageIndex>,
        elsewhere: &BTreeMap<ShareId, E>,
    ) -> Result<Files, Trouble> {
        let mut found = Files {
            files: BTreeSet::new(),
            more: false,
        };
        let mut add = |si: StorageIndex| {
            if Bucket::of(&si) == bucket && from.is_none_or(|from| si >= from) {
                found.files.insert(si);
            }
            if found.files.len() > LIST_MAX {
                found.files.pop_last();
                found.more = true;
            }
        };
        elsewhere.keys().for_each(|share| add(share.si));
        let entries = match fs::read_dir(self.paths.bucket(bucket)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let name = entry?.file_name();
            let si = name.to_str().and_then(|name| name.parse().ok());
            si.into_iter().for_each(&mut add);
        }
        Ok(found)
    }
}

/// Adds a share to the list, unless it has gone, or has just been put aside.
fn look(share: ShareId, found: Result<Ends, Trouble>, holdings: &mut Vec<Holding>) -> Result<(), Trouble> {
    match found {
        Ok(ends) => holdings.push(Holding {
            share,
            coding: ends.footer.header.coding,
            file_bytes: ends.file_bytes,
        }),
        Err(Trouble::Damaged(_) | Trouble::Plain(DiskFault::NotFound)) => {}
        Err(trouble) => return Err(trouble),
    }
    Ok(())
}

/// Counts what the system refused to read; anything else ends the list.
fn count_refused(si: StorageIndex, unreadable: &mut u64, trouble: Trouble) -> Result<(), Trouble> {
    let Trouble::Io(error) = trouble else {
        return Err(trouble);
    };
    refused("list", Some(si), &error);
    *unreadable += 1;
    Ok(())
}

/// Before every share of the next file.
fn behind(si: StorageIndex) -> ShareId {
    let share = ShareNumber(u8::MAX);
    ShareId { si, share }
}
