//! The highest version that was seen of each directory, so that a rollback is noticed also after its copy is forgotten.
//!
//! Bounded: the directory that was not seen for the longest is forgotten first. Not promised: that a rollback is
//! noticed which a gateway sees after it was started anew, or after that many other directories.

use std::collections::BTreeMap;

use truckee_grid::drive::DirectoryId;

#[derive(Debug)]
pub(super) struct Versions {
    seen: BTreeMap<DirectoryId, (u64, u64)>,
    by_age: BTreeMap<u64, DirectoryId>,
    clock: u64,
    max: usize,
}

impl Versions {
    pub(super) fn new(max: usize) -> Self {
        Self {
            seen: BTreeMap::new(),
            by_age: BTreeMap::new(),
            clock: 0,
            max: max.max(1),
        }
    }

    /// The highest version seen; 0: none.
    pub(super) fn of(&self, id: &DirectoryId) -> u64 {
        self.seen.get(id).map_or(0, |(version, _)| *version)
    }

    /// A version whose signature is good.
    pub(super) fn note(&mut self, id: DirectoryId, version: u64) {
        self.clock += 1;
        let before = self.seen.get(&id).copied();
        if let Some((_, age)) = before {
            self.by_age.remove(&age);
        }
        let highest = before.map_or(version, |(seen, _)| seen.max(version));
        self.seen.insert(id, (highest, self.clock));
        self.by_age.insert(self.clock, id);
        while self.seen.len() > self.max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use truckee_grid::ids::{Hash, StorageIndex};

    use super::*;

    #[test]
    fn the_highest_stays_and_the_oldest_goes() {
        let id = |index: u8| DirectoryId {
            si: StorageIndex([index; 16]),
            fingerprint: Hash([0; 32]),
        };
        let mut versions = Versions::new(2);
        versions.note(id(1), 5);
        versions.note(id(2), 7);
        versions.note(id(1), 3);
        assert_eq!(versions.of(&id(1)), 5);
        versions.note(id(3), 1);
        assert_eq!([1, 2, 3].map(|index| versions.of(&id(index))), [5, 0, 1]);
        assert_eq!(versions.by_age.len(), 2);
    }
}
