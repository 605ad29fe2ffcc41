//! A node's directory seen from outside, also while the node runs: what a collector would do with it, and what lies where in
//! the packs. Changes nothing.

use std::path::{Path, PathBuf};

use truckee_engine::store::{Amount, DiskDone, DiskOp, ShareId, Survey};
use truckee_engine::time::Day;
use truckee_grid::bucket::Bucket;

use super::disk::Disk;
use super::file_disk::DiskError;
use super::packed::PackedDisk;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// All shares in their places.
    pub held: Amount,
    /// Those whose leases are from before the day.
    pub over: Amount,
    /// The oldest lease of all.
    pub oldest: Option<Day>,
    /// The youngest lease of all.
    pub youngest: Option<Day>,
    /// What waits in the trash.
    pub trash: Amount,
    /// Buckets and shares that could not be looked at.
    pub unreadable: u64,
}

/// A share in a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedShare {
    /// Which.
    pub share: ShareId,
    /// The pack.
    pub path: PathBuf,
    /// Where in it the share file begins.
    pub at: u64,
    /// Length of the share file.
    pub bytes: u64,
}

/// The shares that lie in the packs of the node in `dir`, ascending. Those in files of their own are in `shares/` under their names.
/// Reads 48 bytes for each share, and of the pack that a node writes to the contents too.
///
/// # Errors
/// [`DiskError`] names a directory that cannot be read.
pub fn packed_shares(dir: &Path) -> Result<Vec<PackedShare>, DiskError> {
    Ok(PackedDisk::only_to_look(dir)?.packed_shares())
}

/// Looks through the leases of the node in `dir`; those from before `before` count as over. Reads names and times of all
/// shares and no contents: some microseconds each. Of the pack that a node writes to it reads the contents too.
///
/// # Errors
/// [`DiskError`] names a directory that cannot be read.
pub fn look(dir: &Path, before: Day) -> Result<Outlook, DiskError> {
    let disk = PackedDisk::only_to_look(dir)?;
    let mut outlook = Outlook {
        trash: disk.trash_amount(),
        ..Outlook::default()
    };
    for bucket in Bucket::all() {
        let mut after: Option<ShareId> = None;
        loop {
            let reply = disk.carry_out(DiskOp::Survey { bucket, after });
            let Ok(DiskDone::Surveyed(survey)) = reply.result else {
                outlook.unreadable += 1;
                break;
            };
            outlook.add(&survey, before);
            after = survey.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(outlook)
}

impl Outlook {
    fn add(&mut self, survey: &Survey, before: Day) {
        self.unreadable += survey.unreadable;
        for leased in &survey.leased {
            let one = Amount::one(leased.file_bytes);
            self.held.add(one);
            if leased.lease < before {
                self.over.add(one);
            }
            let (oldest, youngest) = (self.oldest, self.youngest);
            self.oldest = Some(oldest.map_or(leased.lease, |day| day.min(leased.lease)));
            self.youngest = Some(youngest.map_or(leased.lease, |day| day.max(leased.lease)));
        }
    }
}
