//! The simulated disk of one node.
//!
//! Owns the finished shares, the shares in progress, the roster file and the place of the scrubber. A finished share and the
//! two files are durable from the moment at which their operation has ended; an operation that a crash interrupts has either happened or not.
//! What is in progress is never durable: after a crash each such file is there whole, cut short, with garbage at its
//! end, or not at all. A disk can be filled by others, fail now and then, be slow, and turn bits of what it keeps.
//!
//! Does not model file names and directories: whether the real disk syncs both is a matter for tests on a real disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;
use truckee_engine::scrub::Cursor;
use truckee_grid::ids::{ShareNumber, StorageIndex};

use super::rng::Rng;
use super::scheduler::Micros;

/// Names a finished share on one disk.
pub type ShareName = (StorageIndex, ShareNumber);

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// No space.
    Full,
    /// The device failed.
    Failed,
    /// No such file, or not that long.
    Absent,
}

/// One node's disk.
#[derive(Debug)]
pub struct Disk {
    shares: BTreeMap<ShareName, Vec<u8>>,
    incoming: BTreeMap<u64, Vec<u8>>,
    roster: Option<Bytes>,
    place: Option<Cursor>,
    rotted: BTreeSet<ShareName>,
    space_bytes: u64,
    used_bytes: u64,
    /// How many of a thousand operations fail.
    pub failures_per_mille: u64,
    /// The longest time that an operation takes.
    pub delay_max: Micros,
    rng: Rng,
}

impl Disk {
    /// An empty disk of `space_bytes`, whose operations take up to `delay_max`.
    pub fn new(space_bytes: u64, delay_max: Micros, rng: Rng) -> Self {
        Self {
            shares: BTreeMap::new(),
            incoming: BTreeMap::new(),
            roster: None,
            place: None,
            rotted: BTreeSet::new(),
            space_bytes,
            used_bytes: 0,
            failures_per_mille: 0,
            delay_max,
            rng,
        }
    }

    /// How long the next operation takes.
    pub fn delay(&mut self) -> Micros {
        1 + self.rng.below(self.delay_max)
    }

    /// Changes the size of the disk; it may become smaller than what is on it.
    pub fn set_space(&mut self, space_bytes: u64) {
        self.space_bytes = space_bytes;
    }

    /// Bytes that can still be written.
    pub fn free_bytes(&self) -> u64 {
        self.space_bytes.saturating_sub(self.used_bytes)
    }

    /// Begins a share.
    pub fn create(&mut self, slot: u64, header: &[u8]) -> Result<(), DiskError> {
        self.may_write(header.len())?;
        self.used_bytes += header.len() as u64;
        let before = self.incoming.insert(slot, header.to_vec());
        assert!(
            before.is_none(),
            "a share in progress is created over another one"
        );
        Ok(())
    }

    /// Adds to a share in progress. When it fails, some of the bytes may have been written.
    pub fn append(&mut self, slot: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let allowed = self.may_write(bytes.len());
        let written = match allowed {
            Ok(()) => bytes.len(),
            Err(_) => self.rng.size(0, bytes.len().min(self.space_left())),
        };
        let file = self.incoming.get_mut(&slot).ok_or(DiskError::Absent)?;
        file.extend_from_slice(&bytes[..written]);
        self.used_bytes += written as u64;
        allowed
    }

    /// Ends a share in progress with its last bytes and makes it durable under its name.
    pub fn finish(&mut self, slot: u64, name: ShareName, trailer: &[u8]) -> Result<(), DiskError> {
        self.append(slot, trailer)?;
        let file = self.incoming.remove(&slot).ok_or(DiskError::Absent)?;
        self.keep(name, file);
        Ok(())
    }

    /// Writes a whole share and makes it durable.
    pub fn put(&mut self, name: ShareName, file: &[u8]) -> Result<(), DiskError> {
        self.may_write(file.len())?;
        self.used_bytes += file.len() as u64;
        self.keep(name, file.to_vec());
        Ok(())
    }

    /// Removes a share in progress.
    pub fn discard(&mut self, slot: u64) {
        if let Some(file) = self.incoming.remove(&slot) {
            self.used_bytes -= file.len() as u64;
        }
    }

    /// Removes a finished share.
    pub fn remove(&mut self, name: ShareName) -> bool {
        let file = self.shares.remove(&name);
        self.used_bytes -= file.as_ref().map_or(0, Vec::len) as u64;
        file.is_some()
    }

    /// Length of a finished share.
    pub fn len(&self, name: ShareName) -> Option<u64> {
        self.shares.get(&name).map(|file| file.len() as u64)
    }

    /// Reads from a finished share.
    pub fn read(&mut self, name: ShareName, range: Range<u64>) -> Result<Bytes, DiskError> {
        self.may_fail()?;
        let file = self.shares.get(&name).ok_or(DiskError::Absent)?;
        let start = usize::try_from(range.start).map_err(|_| DiskError::Absent)?;
        let end = usize::try_from(range.end).map_err(|_| DiskError::Absent)?;
        file.get(start..end)
            .map(Bytes::copy_from_slice)
            .ok_or(DiskError::Absent)
    }

    /// The bytes of a finished share as they are, without failures: for checks.
    pub fn look(&self, name: ShareName) -> Option<&[u8]> {
        self.shares.get(&name).map(Vec::as_slice)
    }

    /// All finished shares with their lengths.
    pub fn shares(&self) -> impl Iterator<Item = (ShareName, u64)> + '_ {
        self.shares.iter().map(|(name, file)| (*name, file.len() as u64))
    }

    /// The names of finished shares, from `first` on, in order.
    pub fn shares_from(&self, first: ShareName) -> impl Iterator<Item = ShareName> + '_ {
        self.shares.range(first..).map(|(name, _)| *name)
    }

    /// How many shares are in progress.
    pub fn in_progress(&self) -> usize {
        self.incoming.len()
    }

    /// Bytes on the disk.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// Replaces the roster file, durably.
    pub fn write_roster(&mut self, bytes: Bytes) -> Result<(), DiskError> {
        self.may_fail()?;
        self.roster = Some(bytes);
        Ok(())
    }

    /// The roster file.
    pub fn roster(&self) -> Option<Bytes> {
        self.roster.clone()
    }

    /// Replaces the scrubber's place, durably.
    pub fn write_place(&mut self, place: Cursor) -> Result<(), DiskError> {
        self.may_fail()?;
        self.place = Some(place);
        Ok(())
    }

    /// The scrubber's place.
    pub fn place(&self) -> Option<Cursor> {
        self.place
    }

    /// The node's memory is lost; so is an uncertain part of what is in progress.
    pub fn crash(&mut self) {
        let slots: Vec<u64> = self.incoming.keys().copied().collect();
        for slot in slots {
            let Some(file) = self.incoming.get_mut(&slot) else {
                continue;
            };
            let before = file.len();
            match self.rng.below(4) {
                0 => file.clear(),
                1 => file.truncate(self.rng.size(0, before)),
                2 => {
                    let from = self.rng.size(0, before);
                    file[from..].fill(0);
                }
                _ => {}
            }
            self.used_bytes -= (before - file.len()) as u64;
        }
    }

    /// What a node does before it starts: nothing in progress survives. Returns how many files it removed.
    pub fn sweep(&mut self) -> usize {
        let found = self.incoming.len();
        let bytes: usize = self.incoming.values().map(Vec::len).sum();
        self.incoming.clear();
        self.used_bytes -= bytes as u64;
        found
    }

    /// Turns a bit of some finished share.
    pub fn rot(&mut self) -> Option<ShareName> {
        let names: Vec<ShareName> = self.shares.keys().copied().collect();
        let name = *self.rng.pick(&names)?;
        self.turn_bit(name);
        Some(name)
    }

    /// Turns a bit of every finished share.
    pub fn rot_all(&mut self) -> Vec<ShareName> {
        let names: Vec<ShareName> = self.shares.keys().copied().collect();
        names.iter().for_each(|name| self.turn_bit(*name));
        names
    }

    /// Has a bit of this share been turned?
    pub fn is_rotted(&self, name: ShareName) -> bool {
        self.rotted.contains(&name)
    }

    /// Finished shares with bits that turned.
    pub fn rotten(&self) -> impl Iterator<Item = ShareName> + '_ {
        let there = |name: &&ShareName| self.shares.contains_key(*name);
        self.rotted.iter().filter(there).copied()
    }

    fn turn_bit(&mut self, name: ShareName) {
        let Some(file) = self.shares.get_mut(&name).filter(|file| !file.is_empty()) else {
            return;
        };
        let at = self.rng.size(0, file.len() - 1);
        file[at] ^= 1 << self.rng.below(8);
        self.rotted.insert(name);
    }

    fn keep(&mut self, name: ShareName, file: Vec<u8>) {
        self.rotted.remove(&name);
        if let Some(before) = self.shares.insert(name, file) {
            self.used_bytes -= before.len() as u64;
        }
    }

    fn space_left(&self) -> usize {
        usize::try_from(self.free_bytes()).unwrap_or(usize::MAX)
    }

    fn may_write(&mut self, bytes: usize) -> Result<(), DiskError> {
        self.may_fail()?;
        if bytes > self.space_left() {
            Err(DiskError::Full)
        } else {
            Ok(())
        }
    }

    fn may_fail(&mut self) -> Result<(), DiskError> {
        if self.rng.chance(self.failures_per_mille) {
            Err(DiskError::Failed)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Disk, DiskError, Rng, ShareName};
    use truckee_grid::ids::{ShareNumber, StorageIndex};

    const NAME: ShareName = (StorageIndex([7; 16]), ShareNumber(3));

    #[test]
    fn only_what_is_finished_survives_a_crash() {
        let mut disk = Disk::new(1000, 10, Rng::new(1));
        disk.create(1, b"head").expect("there is room");
        disk.append(1, b"block").expect("there is room");
        disk.create(2, b"head").expect("there is room");
        disk.finish(1, NAME, b"tail").expect("there is room");
        disk.crash();
        disk.sweep();
        assert_eq!(disk.look(NAME), Some(&b"headblocktail"[..]));
        assert_eq!((disk.in_progress(), disk.used_bytes()), (0, 13));
    }

    #[test]
    fn a_full_disk_takes_nothing_but_still_reads() {
        let mut disk = Disk::new(100, 10, Rng::new(2));
        disk.put(NAME, &[1; 60]).expect("there is room");
        disk.create(1, &[2; 20]).expect("there is room");
        assert_eq!(disk.append(1, &[2; 30]), Err(DiskError::Full));
        assert!(disk.used_bytes() <= 100);
        disk.discard(1);
        assert_eq!((disk.used_bytes(), disk.free_bytes()), (60, 40));
        assert_eq!(disk.read(NAME, 58..60).as_deref(), Ok(&[1, 1][..]));
        assert_eq!(disk.read(NAME, 58..61), Err(DiskError::Absent));
    }

    #[test]
    fn rot_is_remembered_until_the_share_is_written_anew() {
        let mut disk = Disk::new(1000, 10, Rng::new(3));
        disk.put(NAME, &[0; 50]).expect("there is room");
        assert_eq!(disk.rot(), Some(NAME));
        assert!(disk.is_rotted(NAME));
        assert_ne!(disk.look(NAME), Some(&[0; 50][..]));
        disk.put(NAME, &[0; 50]).expect("there is room");
        assert!(!disk.is_rotted(NAME));
    }
}
