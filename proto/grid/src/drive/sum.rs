//! The sum of the rows of a directory: an incremental hash of a set, so that one row can be added to ten thousand, or
//! taken away, without reading the others.
//!
//! The construction is LtHash with 1024 lanes of 16 bits (Bellare and Micciancio 1997; parameters of Lewi, Kim,
//! Maykov and Weis, "Securing Update Propagation with Homomorphic Hashing", 2019, who give it 200 bits of security):
//! a row is hashed to 2048 bytes, and lanes are added modulo 2^16. Not promised: that the same row twice is told from a
//! sum that wrapped around; whoever keeps rows keeps one for each id.

use sha3::Digest;

use super::row::RowId;
use crate::{
    hashing::{domain, tagged_hasher, turboshake128_into},
    ids::Hash,
};

/// Length of a sum in its stored form, bytes.
pub const ROW_SUM_BYTES: usize = 2 * LANES;
const LANES: usize = 1024;
const TAG_DIGEST: &str = "truckee/1 directory digest";

/// The sum of a set of sealed rows. See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct RowSum(Box<[u16; LANES]>);

impl RowSum {
    /// The sum of no rows.
    #[must_use]
    pub fn empty() -> Self {
        Self(Box::new([0; LANES]))
    }

    /// Counts a row in.
    pub fn add(&mut self, id: &RowId, sealed: &[u8]) {
        self.combine(id, sealed, u16::wrapping_add);
    }

    /// Counts a row out that was counted in.
    pub fn remove(&mut self, id: &RowId, sealed: &[u8]) {
        self.combine(id, sealed, u16::wrapping_sub);
    }

    /// What stands in the head of a directory.
    #[must_use]
    pub fn digest(&self) -> Hash {
        let mut hasher = tagged_hasher(TAG_DIGEST);
        Digest::update(&mut hasher, self.to_bytes());
        Hash(hasher.finalize().into())
    }

    /// The stored form: the lanes in order, each big endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|lane| lane.to_be_bytes()).collect()
    }

    /// Reads the stored form; `None` if it has another length than [`ROW_SUM_BYTES`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (lanes, rest) = bytes.as_chunks::<2>();
        if lanes.len() != LANES || !rest.is_empty() {
            return None;
        }
        let mut sum = Self::empty();
        for (lane, bytes) in sum.0.iter_mut().zip(lanes) {
            *lane = u16::from_be_bytes(*bytes);
        }
        Some(sum)
    }

    fn combine(&mut self, id: &RowId, sealed: &[u8], with: fn(u16, u16) -> u16) {
        let mut element = [0; ROW_SUM_BYTES];
        turboshake128_into::<{ domain::ROW }>(&[&id.0, sealed], &mut element);
        for (lane, bytes) in self.0.iter_mut().zip(element.as_chunks::<2>().0) {
            *lane = with(*lane, u16::from_be_bytes(*bytes));
        }
    }
}

impl std::fmt::Debug for RowSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RowSum({})", self.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> RowId {
        RowId([byte; 32])
    }

    #[test]
    fn order_does_not_matter_and_what_is_taken_away_is_gone() {
        let rows: Vec<(RowId, Vec<u8>)> = (0..50)
            .map(|i| (id(i), vec![i ^ 3; 64 + usize::from(i)]))
            .collect();
        let mut forwards = RowSum::empty();
        let mut backwards = RowSum::empty();
        rows.iter().for_each(|(id, bytes)| forwards.add(id, bytes));
        rows.iter().rev().for_each(|(id, bytes)| backwards.add(id, bytes));
        assert_eq!(forwards.digest(), backwards.digest());
        forwards.add(&id(99), b"more");
        assert_ne!(forwards.digest(), backwards.digest());
        forwards.remove(&id(99), b"more");
        assert_eq!(forwards, backwards);
        rows.iter().for_each(|(id, bytes)| forwards.remove(id, bytes));
        assert_eq!(forwards, RowSum::empty());
    }

    #[test]
    fn rows_and_ids_are_told_apart() {
        let digest = |rows: &[(RowId, &[u8])]| {
            let mut sum = RowSum::empty();
            rows.iter().for_each(|(id, bytes)| sum.add(id, bytes));
            sum.digest()
        };
        let one = digest(&[(id(1), b"a"), (id(2), b"b")]);
        assert_ne!(one, digest(&[(id(1), b"b"), (id(2), b"a")]), "swapped");
        assert_ne!(one, digest(&[(id(1), b"a")]), "cut");
        assert_ne!(
            one,
            digest(&[(id(1), b"a"), (id(2), b"b"), (id(2), b"b")]),
            "doubled"
        );
    }

    #[test]
    fn the_stored_form_comes_back_and_no_other_length_does() {
        let mut sum = RowSum::empty();
        sum.add(&id(7), b"row");
        let bytes = sum.to_bytes();
        assert_eq!(bytes.len(), ROW_SUM_BYTES);
        assert_eq!(RowSum::from_bytes(&bytes), Some(sum));
        assert_eq!(RowSum::from_bytes(&bytes[1..]), None);
        assert_eq!(RowSum::from_bytes(&bytes[2..]), None);
        assert_eq!(RowSum::from_bytes(&[&bytes[..], &[0; 2]].concat()), None);
        assert_eq!(RowSum::from_bytes(&[bytes, vec![0]].concat()), None);
    }
}
