//! Buckets: storage indexes sorted into 1024 heaps by their first bits.
//!
//! What a storage node holds is listed, checked and compared one bucket at a time, and on its disk each bucket is a
//! directory. Storage indexes are hashes, so all buckets fill alike; and because the bits are the first ones, bucket after
//! bucket in ascending order is all storage indexes in ascending order.

use std::{fmt, str::FromStr};

use crate::{
    base32::{self, Base32Error},
    ids::StorageIndex,
};

/// Bits of a storage index that say its bucket: two characters of its text.
const BITS: u32 = 10;
/// Characters of the text of a bucket.
const CHARACTERS: usize = 2;
/// Shift from the first 16 bits of a storage index.
const SHIFT: u32 = 16 - BITS;

/// All storage indexes whose texts begin with the same two characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    /// How many there are. A node of four terabytes has some ten thousand shares of a megabyte's file in each.
    pub const COUNT: usize = 1 << BITS;
    /// That of the least storage index.
    pub const FIRST: Self = Self(0);

    /// The bucket of a file.
    #[must_use]
    pub const fn of(si: &StorageIndex) -> Self {
        Self(u16::from_be_bytes([si.0[0], si.0[1]]) >> SHIFT)
    }

    /// The bucket at `index`, counted from 0 in ascending order; `None` from [`Bucket::COUNT`] on.
    #[must_use]
    pub fn from_index(index: usize) -> Option<Self> {
        let index = u16::try_from(index).ok()?;
        (usize::from(index) < Self::COUNT).then_some(Self(index))
    }

    /// Its place in ascending order, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All of them, ascending.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        (0..1_u16 << BITS).map(Self)
    }

    /// The one that is `steps` further on, round and round.
    #[must_use]
    pub const fn further(self, steps: usize) -> Self {
        Self(((self.index() + steps % Self::COUNT) % Self::COUNT) as u16)
    }
}

/// The two characters with which the texts of its storage indexes begin.
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = base32::encode(&(self.0 << SHIFT).to_be_bytes());
        f.write_str(&text[..CHARACTERS])
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({self})")
    }
}

impl FromStr for Bucket {
    type Err = Base32Error;

    fn from_str(text: &str) -> Result<Self, Base32Error> {
        if text.len() != CHARACTERS {
            return Err(Base32Error::Length {
                expected: CHARACTERS,
                found: text.len(),
            });
        }
        // Two further characters without bits make whole bytes of it.
        let bytes: [u8; 2] = base32::decode_array(&format!("{text}aa"))?;
        Ok(Self(u16::from_be_bytes(bytes) >> SHIFT))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_bucket_is_the_first_two_characters() {
        for seed in 0..500 {
            let si = StorageIndex::from_slice(&crate::tests::noise(seed, 16)).expect("16 bytes");
            assert_eq!(Bucket::of(&si).to_string(), si.to_base32()[..2], "{si}");
        }
    }

    #[test]
    fn there_are_1024_with_one_text_each() {
        let texts: BTreeSet<String> = Bucket::all().map(|bucket| bucket.to_string()).collect();
        assert_eq!((Bucket::all().len(), texts.len()), (Bucket::COUNT, 1024));
        for (index, bucket) in Bucket::all().enumerate() {
            assert_eq!(bucket.to_string().parse(), Ok(bucket));
            assert_eq!((bucket.index(), Bucket::from_index(index)), (index, Some(bucket)));
        }
        assert_eq!(Bucket::from_index(1024), None);
        assert_eq!(Bucket::from_index(1 << 16), None);
    }

    #[test]
    fn other_texts_are_none() {
        for text in ["", "a", "aaa", "AA", "a1", "a=", "é"] {
            assert!(text.parse::<Bucket>().is_err(), "{text}");
        }
    }

    #[test]
    fn buckets_in_order_are_storage_indexes_in_order() {
        let mut all: Vec<StorageIndex> = (0..500)
            .map(|seed| StorageIndex::from_slice(&crate::tests::noise(seed, 16)).expect("16 bytes"))
            .collect();
        all.sort_unstable();
        assert!(all.iter().map(Bucket::of).is_sorted());
    }

    #[test]
    fn further_goes_round() {
        let last = Bucket::from_index(1023).expect("the last one");
        let first = Bucket::FIRST;
        assert_eq!(last.further(1), first);
        assert_eq!(last.further(0), last);
        assert_eq!(first.further(1023), last);
        assert_eq!(first.further(2048), first);
        let round: BTreeSet<Bucket> = (0..Bucket::COUNT).map(|step| last.further(step)).collect();
        assert_eq!(round.len(), Bucket::COUNT);
    }
}
