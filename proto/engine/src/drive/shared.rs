//! An ordered map whose copies share what they have in common: cloning ten thousand entries and adding one costs a few
//! microseconds and some ten kilobytes.
//!
//! Entries lie sorted in chunks of at most [`CHUNK_MAX`]; a clone shares the chunks, and a change copies the one that it
//! falls into. Not promised: speed for millions of entries, whose list of chunks itself becomes long.

use std::fmt;
use std::sync::Arc;

/// Most entries of a chunk. A directory of 10,000 then has some 150 chunks: copying the list and one chunk cost about
/// the same.
const CHUNK_MAX: usize = 128;

/// Entries of a chunk of a map that is built at once: leaves room to grow without a split.
const CHUNK_BUILT: usize = 96;

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedMap<K, V> {
    /// None is empty; keys ascend over all of them.
    chunks: Vec<Arc<Vec<(K, V)>>>,
    len: usize,
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// Without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            len: 0,
        }
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        let chunk = &self.chunks[self.chunk_of(key)?];
        let at = chunk.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        Some(&chunk[at].1)
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + '_ {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.iter())
            .map(|(key, value)| (key, value))
    }

    /// All keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + '_ {
        self.iter().map(|(key, _)| key)
    }

    /// All values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + '_ {
        self.iter().map(|(_, value)| value)
    }

    /// Gives the key a value; gives back the old one.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(index) = self.chunk_of(&key) else {
            self.len += 1;
            match self.chunks.first_mut() {
                Some(first) => Arc::make_mut(first).insert(0, (key, value)),
                None => self.chunks.push(Arc::new(vec![(key, value)])),
            }
            self.split(0);
            return None;
        };
        let chunk = Arc::make_mut(&mut self.chunks[index]);
        match chunk.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(at) => Some(std::mem::replace(&mut chunk[at].1, value)),
            Err(at) => {
                chunk.insert(at, (key, value));
                self.len += 1;
                self.split(index);
                None
            }
        }
    }

    /// Takes a key out; gives back its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let index = self.chunk_of(key)?;
        let at = self.chunks[index]
            .binary_search_by(|(other, _)| other.cmp(key))
            .ok()?;
        let chunk = Arc::make_mut(&mut self.chunks[index]);
        let (_, value) = chunk.remove(at);
        if chunk.is_empty() {
            self.chunks.remove(index);
        }
        self.len -= 1;
        Some(value)
    }

    /// The chunk that holds the key if one does; `None` if the key is before all.
    fn chunk_of(&self, key: &K) -> Option<usize> {
        self.chunks
            .partition_point(|chunk| chunk[0].0 <= *key)
            .checked_sub(1)
    }

    fn split(&mut self, index: usize) {
        if self.chunks[index].len() > CHUNK_MAX {
            let upper = Arc::make_mut(&mut self.chunks[index]).split_off(CHUNK_MAX / 2);
            self.chunks.insert(index + 1, Arc::new(upper));
        }
    }
}

impl<K: Ord + Clone, V: Clone> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    /// Of several values of one key the last one stays.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let sorted: std::collections::BTreeMap<K, V> = entries.into_iter().collect();
        let len = sorted.len();
        let mut sorted = sorted.into_iter().peekable();
        let mut chunks = Vec::with_capacity(len.div_ceil(CHUNK_BUILT));
        while sorted.peek().is_some() {
            chunks.push(Arc::new(sorted.by_ref().take(CHUNK_BUILT).collect()));
        }
        Self { chunks, len }
    }
}

impl<'a, K: Ord + Clone, V: Clone> IntoIterator for &'a SharedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Box<dyn DoubleEndedIterator<Item = (&'a K, &'a V)> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

/// Says how many there are, not what: names are secrets.
impl<K, V> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedMap({} entries)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::transfer::model::Dice;

    #[test]
    fn does_what_an_ordinary_map_does_and_leaves_its_copies_alone() {
        for seed in 0..20 {
            let mut dice = Dice(seed);
            let mut plain: BTreeMap<u64, u64> = (0..dice.roll(600)).map(|key| (key * 3, key)).collect();
            let mut shared: SharedMap<u64, u64> = plain.clone().into_iter().collect();
            let (before, before_plain) = (shared.clone(), plain.clone());
            for step in 0..2000 {
                let key = dice.roll(2000);
                if dice.roll(3) == 0 {
                    assert_eq!(shared.remove(&key), plain.remove(&key), "seed {seed}");
                } else {
                    assert_eq!(shared.insert(key, step), plain.insert(key, step), "seed {seed}");
                }
                assert_eq!(shared.get(&key), plain.get(&key), "seed {seed}");
            }
            assert!(shared.iter().eq(plain.iter()), "seed {seed}");
            assert_eq!(shared.len(), plain.len(), "seed {seed}");
            assert!(
                shared
                    .chunks
                    .iter()
                    .all(|chunk| (1..=CHUNK_MAX).contains(&chunk.len()))
            );
            assert!(
                before.iter().eq(before_plain.iter()),
                "seed {seed}: a copy changed"
            );
            for key in plain.keys() {
                shared.remove(key);
            }
            assert!(shared.is_empty() && shared.chunks.is_empty());
        }
    }
}
