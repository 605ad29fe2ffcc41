//! How long shares are kept: the leases of the files of one bucket.
//!
//! A lease is the day on which somebody last said that a file is to be kept; there is one for each file, not for each share,
//! and nobody owns it. A file that is not in the table counts from the day on which its share was written, and none counts
//! from before the *floor* of the table. So a table that is lost or too long is replaced by an empty one with the floor of
//! that day: every doubt makes leases younger, never older.
//!
//! The table is one file of 20 bytes for each renewed file, sorted, with a checksum: for a million files on a node 1,024
//! tables of some 20 KB. Owns the format; the disk reads and replaces it whole.

use std::collections::BTreeMap;

use truckee_grid::bucket::Bucket;
use truckee_grid::hash_of_leases;
use truckee_grid::ids::StorageIndex;

use crate::time::Day;

/// Most files in one table: 5 MB, for a node of a quarter of a billion files. What is longer is replaced by its floor.
pub const TABLE_MAX: usize = 1 << 18;
/// Longest encoding, in bytes.
pub const TABLE_BYTES_MAX: u64 = (HEAD_BYTES + ROW_BYTES * TABLE_MAX + HASH_BYTES) as u64;

const MAGIC: [u8; 8] = *b"TRKLEAS\x01";
const HEAD_BYTES: usize = 20;
const ROW_BYTES: usize = 20;
const HASH_BYTES: usize = 32;

/// The bytes are not the table of this bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not the table of leases of this bucket, or damaged")]
pub struct TableError;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseTable {
    floor: Day,
    days: BTreeMap<StorageIndex, Day>,
}

impl LeaseTable {
    /// Nothing was renewed, and nothing counts from before `floor`.
    pub fn new(floor: Day) -> LeaseTable {
        LeaseTable {
            floor,
            days: BTreeMap::new(),
        }
    }

    /// How many files it names.
    pub fn len(&self) -> usize {
        self.days.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// The lease of a file of which a share was written on `written`.
    pub fn lease(&self, si: &StorageIndex, written: Day) -> Day {
        let renewed = self.days.get(si).copied().unwrap_or(Day::FIRST);
        renewed.max(written).max(self.floor)
    }

    /// Renews a file; false if nothing changed. A lease never becomes older.
    pub fn renew(&mut self, si: StorageIndex, day: Day) -> bool {
        if self.floor >= day || self.days.get(&si).is_some_and(|renewed| *renewed >= day) {
            return false;
        }
        if self.days.len() >= TABLE_MAX && !self.days.contains_key(&si) {
            *self = LeaseTable::new(day);
            return true;
        }
        self.days.insert(si, day);
        true
    }

    /// Forgets files of which nothing is held any more.
    pub fn retain(&mut self, is_held: impl Fn(&StorageIndex) -> bool) {
        self.days.retain(|si, _| is_held(si));
    }

    /// Magic (8), bucket (2), zero (2), floor (4), files (4); for each file, ascending, storage index (16) and day (4); the
    /// hash of all that (32). Numbers are big endian.
    pub fn encode(&self, bucket: Bucket) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + ROW_BYTES * self.days.len() + HASH_BYTES);
        bytes.extend(MAGIC);
        // Below 1024 and at most `TABLE_MAX`.
        bytes.extend((bucket.index() as u16).to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.floor.number().to_be_bytes());
        bytes.extend((self.days.len() as u32).to_be_bytes());
        for (si, day) in &self.days {
            bytes.extend(si.0);
            bytes.extend(day.number().to_be_bytes());
        }
        bytes.extend(hash_of_leases(&bytes));
        bytes
    }

    /// Reads what [`LeaseTable::encode`] gives.
    ///
    /// # Errors
    /// [`TableError`] for anything else.
    pub fn decode(bucket: Bucket, bytes: &[u8]) -> Result<LeaseTable, TableError> {
        let (content, hash) = bytes.split_last_chunk::<HASH_BYTES>().ok_or(TableError)?;
        let (head, rows) = content.split_first_chunk::<HEAD_BYTES>().ok_or(TableError)?;
        let (rows, rest) = rows.as_chunks::<ROW_BYTES>();
        if hash_of_leases(content) != *hash || !rest.is_empty() || rows.len() > TABLE_MAX {
            return Err(TableError);
        }
        let mut table = LeaseTable::new(Day::from_number(number(&head[12..])));
        for row in rows {
            let si = row.first_chunk().copied().map(StorageIndex).ok_or(TableError)?;
            table.days.insert(si, Day::from_number(number(&row[16..])));
        }
        // One encoding for each table: order, magic, bucket and count are checked with it.
        if table.encode(bucket) != bytes || table.days.keys().any(|si| Bucket::of(si) != bucket) {
            return Err(TableError);
        }
        Ok(table)
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().copied().map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn si(last: u8) -> StorageIndex {
        let mut bytes = [0; 16];
        bytes[15] = last;
        StorageIndex(bytes)
    }

    fn day(number: u32) -> Day {
        Day::from_number(number)
    }

    #[test]
    fn a_lease_is_the_youngest_of_what_is_known() {
        let mut table = LeaseTable::new(day(5));
        assert_eq!(
            table.lease(&si(1), day(3)),
            day(5),
            "nothing is older than the floor"
        );
        assert_eq!(table.lease(&si(1), day(9)), day(9), "the day of writing");
        assert!(table.renew(si(1), day(20)));
        assert_eq!(table.lease(&si(1), day(9)), day(20));
        assert!(!table.renew(si(1), day(19)), "a renewal never makes it older");
        assert_eq!(table.lease(&si(1), day(30)), day(30), "a share written since");
        assert_eq!(table.lease(&si(2), day(9)), day(9), "another file");
    }

    #[test]
    fn a_table_that_is_too_long_counts_all_as_renewed() {
        let mut table = LeaseTable::new(Day::FIRST);
        for number in 0..TABLE_MAX as u128 {
            table.renew(StorageIndex(number.to_be_bytes()), day(7));
        }
        assert_eq!(table.len(), TABLE_MAX);
        assert!(table.renew(StorageIndex([0xff; 16]), day(9)));
        assert!(table.is_empty());
        assert_eq!(table.lease(&si(1), day(1)), day(9));
        let mut full = LeaseTable::new(Day::FIRST);
        full.renew(si(1), day(7));
        full.retain(|held| *held != si(1));
        assert!(full.is_empty());
    }

    #[test]
    fn the_bytes_come_back_and_every_change_of_them_is_noticed() {
        let mut table = LeaseTable::new(day(5));
        table.renew(si(9), day(20_000));
        table.renew(si(2), day(20_001));
        let bytes = table.encode(Bucket::FIRST);
        assert_eq!(bytes.len(), 20 + 2 * 20 + 32);
        assert_eq!(LeaseTable::decode(Bucket::FIRST, &bytes), Ok(table));
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert_eq!(
                LeaseTable::decode(Bucket::FIRST, &wrong),
                Err(TableError),
                "byte {at}"
            );
            assert!(
                LeaseTable::decode(Bucket::FIRST, &bytes[..at]).is_err(),
                "cut to {at}"
            );
        }
        let other = Bucket::FIRST.further(1);
        assert_eq!(LeaseTable::decode(other, &bytes), Err(TableError));
    }
}
