//! Compaction: what still says something in a pack of which little does is written again at the end of the log, and the pack is
//! removed.
//!
//! A step moves a bounded number of bytes; writes of others wait for one step at most. What is moved is durable in its new
//! place before the old one goes; if the node stops in between, the record in the new place says which one it replaces.
//! A record about a share in another pack is written again, with what is true now, as long as that pack is there: without it
//! a share that has gone would come back at the next start. Bytes of shares are moved as they are: whether they are right is
//! for those who read and check them, and what is damaged is counted there.
//!
//! A pack may have been closed before it was full, by a stop of the node; it counts as one with free room, so that many
//! stops do not leave many packs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;

use super::log::{Log, tells};
use super::record::{Place, Row, State, share_hash};
use super::start::{Found, load};
use super::writer::Record;
use super::{read_lock, write_lock};

/// Share bytes that one step moves: some milliseconds of the slowest disk.
pub(super) const STEP_BYTES: u64 = 1 << 20;
/// Records that one step looks at, if few of them hold a share that is to be moved.
const STEP_RECORDS: usize = 4096;

/// A pack that is being emptied.
#[derive(Debug)]
pub(super) struct Compaction {
    pack: u32,
    /// Those not looked at yet; the next one is last.
    rows: Vec<Row>,
    /// Records of other packs about which one was written by this compaction.
    told: BTreeSet<Place>,
}

impl Log {
    /// Does one step, if there is something to do; gives whether there was.
    pub(super) fn compact(&self, under_way: &mut Option<Compaction>) -> bool {
        let Some(compaction) = under_way.take().or_else(|| self.begin_compaction()) else {
            return false;
        };
        let pack = compaction.pack;
        match self.step(compaction) {
            Ok(left) => *under_way = left,
            Err(error) => {
                // Else it would be tried again and again.
                tracing::error!(pack, %error, "a pack is not compacted before the next start");
                self.leave_alone(pack);
            }
        }
        true
    }

    /// The pack of which least says something, if that is less than half a pack.
    fn begin_compaction(&self) -> Option<Compaction> {
        let half = u64::from(self.pack_bytes / 2);
        let index = read_lock(&self.index);
        let closed = index
            .packs()
            .filter(|(_, pack)| pack.is_closed && !pack.is_unreadable && pack.live_bytes < half);
        let pack = closed.min_by_key(|(_, pack)| pack.live_bytes)?.0;
        drop(index);
        self.begin_with(pack)
    }

    /// Compacts a pack whatever is in it.
    #[cfg(test)]
    pub(super) fn compact_only(&self, pack: u32) {
        let mut under_way = self.begin_with(pack);
        while under_way.is_some() {
            self.compact(&mut under_way);
        }
    }

    fn begin_with(&self, pack: u32) -> Option<Compaction> {
        let rows = match load(&self.files, pack) {
            Ok(Found::Contents(contents)) => contents.rows.into_iter().rev().collect(),
            Ok(Found::Nothing) => Vec::new(),
            Ok(Found::Unreadable(why)) => {
                tracing::error!(pack, why, "a pack is not compacted before the next start");
                self.leave_alone(pack);
                return None;
            }
            Err(error) => {
                tracing::error!(pack, %error, "a pack is not compacted before the next start");
                self.leave_alone(pack);
                return None;
            }
        };
        Some(Compaction {
            pack,
            rows,
            told: BTreeSet::new(),
        })
    }

    fn leave_alone(&self, pack: u32) {
        if let Some(pack) = write_lock(&self.index).pack_mut(pack) {
            pack.is_unreadable = true;
        }
    }

    fn step(&self, mut compaction: Compaction) -> io::Result<Option<Compaction>> {
        let pack = compaction.pack;
        let (mut rows, mut shares, mut bytes) = (Vec::new(), BTreeMap::new(), 0);
        while bytes < STEP_BYTES && rows.len() < STEP_RECORDS {
            let Some(row) = compaction.rows.pop() else {
                break;
            };
            // Read before the writer is held up; what is not there now is not there then.
            let place = Place { pack, at: row.at };
            let found = read_lock(&self.index).at(row.share, place);
            if let Some((slot, _)) = found {
                let mut share_file = self.files.read(slot)?;
                share_file.resize(slot.file_bytes as usize, 0);
                bytes += share_file.len() as u64;
                shares.insert(row.at, Bytes::from(share_file));
            }
            rows.push(row);
        }
        let mut writer = self.writer();
        let records = self.moved(pack, &rows, &shares, &mut compaction.told);
        if !records.is_empty() {
            writer.append(self.tools(), records)?;
        }
        if !compaction.rows.is_empty() {
            return Ok(Some(compaction));
        }
        let path = self.files.pack(pack);
        self.steps.remove(&path)?;
        self.steps.remove(&self.files.index(pack))?;
        self.steps.sync_dir(self.files.dir())?;
        write_lock(&self.index).drop_pack(pack);
        self.files.forget(pack);
        drop(writer);
        Ok(None)
    }

    /// What is to be written in place of some records of a pack.
    fn moved(
        &self,
        pack: u32,
        rows: &[Row],
        shares: &BTreeMap<u32, Bytes>,
        told: &mut BTreeSet<Place>,
    ) -> Vec<Record> {
        let index = read_lock(&self.index);
        let mut records = Vec::new();
        for row in rows {
            let place = Place { pack, at: row.at };
            let found = index.at(row.share, place).zip(shares.get(&row.at));
            if let Some(((_, state), share_file)) = found {
                records.push(Record {
                    row: Row {
                        state,
                        other: Some(place),
                        ..*row
                    },
                    share_file: share_file.clone(),
                    share_hash: share_hash(share_file),
                });
            }
            let still_says = |other: &Place| other.pack != pack && index.has_pack(other.pack);
            if let Some(other) = row.other.filter(still_says)
                && told.insert(other)
            {
                let state = index.at(row.share, other).map(|(_, state)| state);
                records.push(tells(row.share, other, state.unwrap_or(State::Gone)));
            }
        }
        records
    }
}
