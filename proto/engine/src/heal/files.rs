//! Files with missing shares, and in which order they are repaired.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::StorageIndex;

use super::{FILES_MAX, RETRY_MAX, RETRY_MIN, Repaired};
use crate::time::Mono;

#[derive(Clone, Copy, Debug)]
struct Short {
    /// Shares beyond k.
    margin: usize,
    /// It has all shares, and some are to be made again elsewhere: it is in no danger.
    leaving: bool,
    at: At,
    /// Repairs in a row that did not make it whole.
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Not before is it repaired.
    Waiting(Mono),
    Ready,
    UnderWay,
}

/// See the module.
#[derive(Debug)]
pub(super) struct ShortFiles {
    settle: Duration,
    files: BTreeMap<StorageIndex, Short>,
    /// Those that have to wait, by when they are ready.
    waiting: BTreeSet<(Mono, StorageIndex)>,
    /// Those that are ready: the fewest shares beyond k first.
    ready: BTreeSet<(usize, StorageIndex)>,
    /// How many that lack shares have so many beyond k.
    margins: BTreeMap<usize, usize>,
    leaving: usize,
    under_way: usize,
}

impl ShortFiles {
    pub(super) fn new(settle: Duration) -> Self {
        Self {
            settle,
            files: BTreeMap::new(),
            waiting: BTreeSet::new(),
            ready: BTreeSet::new(),
            margins: BTreeMap::new(),
            leaving: 0,
            under_way: 0,
        }
    }

    /// Those that lack shares.
    pub(super) fn short_count(&self) -> usize {
        self.files.len() - self.leaving
    }

    /// Those that lack none and are repaired all the same.
    pub(super) fn leaving_count(&self) -> usize {
        self.leaving
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// The fewest shares beyond k that any has which lacks some.
    pub(super) fn margin_least(&self) -> Option<u64> {
        self.margins.first_key_value().map(|(margin, _)| *margin as u64)
    }

    /// The file is short. One that is new has to settle first; when there is no room, it takes that of the least endangered
    /// that is ready, or is not kept.
    pub(super) fn short(&mut self, now: Mono, si: StorageIndex, margin: usize, leaving: bool) {
        if let Some(short) = self.take(&si) {
            let now_known = Short {
                margin,
                leaving,
                ..short
            };
            self.put(si, now_known);
            return;
        }
        if self.files.len() >= FILES_MAX {
            match self.ready.last().copied() {
                Some((least, other)) if least > margin => drop(self.take(&other)),
                _ => return,
            }
        }
        let short = Short {
            margin,
            leaving,
            at: At::Waiting(now + self.settle),
            failures: 0,
        };
        self.put(si, short);
    }

    /// Forgets the files of a bucket that are not in `kept`: they need no repair, or another node looks after them. One
    /// that is under way stays until its end.
    pub(super) fn retain_in(&mut self, bucket: Bucket, kept: impl Fn(&StorageIndex) -> bool) {
        let of_bucket = self.files.range(bucket_range(bucket));
        let gone = of_bucket.filter(|(si, short)| short.at != At::UnderWay && !kept(si));
        let gone: Vec<StorageIndex> = gone.map(|(si, _)| *si).collect();
        for si in gone {
            self.take(&si);
        }
    }

    /// The most endangered file that is ready; it counts as under way.
    pub(super) fn begin_next(&mut self, now: Mono) -> Option<StorageIndex> {
        while let Some((at, si)) = self.waiting.first().copied().filter(|(at, _)| *at <= now) {
            self.waiting.remove(&(at, si));
            if let Some(short) = self.files.get_mut(&si) {
                short.at = At::Ready;
                self.ready.insert((short.margin, si));
            }
        }
        let (_, si) = self.ready.pop_first()?;
        self.files.get_mut(&si)?.at = At::UnderWay;
        self.under_way += 1;
        Some(si)
    }

    /// When the next file is ready; in the past if one is.
    pub(super) fn next_ready(&self) -> Option<Mono> {
        if !self.ready.is_empty() {
            return Some(Mono::ZERO);
        }
        self.waiting.first().map(|(at, _)| *at)
    }

    /// A repair has ended.
    pub(super) fn repaired(&mut self, now: Mono, si: &StorageIndex, result: Repaired) {
        if self.files.get(si).is_none_or(|short| short.at != At::UnderWay) {
            return;
        }
        self.under_way -= 1;
        let Some(short) = self.take(si).filter(|_| result == Repaired::NotWhole) else {
            return;
        };
        let rest = RETRY_MIN
            .saturating_mul(1 << short.failures.min(16))
            .min(RETRY_MAX);
        let again = Short {
            at: At::Waiting(now + rest),
            failures: short.failures + 1,
            ..short
        };
        self.put(*si, again);
    }

    fn take(&mut self, si: &StorageIndex) -> Option<Short> {
        let short = self.files.remove(si)?;
        match short.at {
            At::Waiting(at) => self.waiting.remove(&(at, *si)),
            At::Ready => self.ready.remove(&(short.margin, *si)),
            At::UnderWay => false,
        };
        if short.leaving {
            self.leaving -= 1;
        } else if let Some(count) = self.margins.get_mut(&short.margin) {
            *count -= 1;
            if *count == 0 {
                self.margins.remove(&short.margin);
            }
        }
        Some(short)
    }

    fn put(&mut self, si: StorageIndex, short: Short) {
        match short.at {
            At::Waiting(at) => self.waiting.insert((at, si)),
            At::Ready => self.ready.insert((short.margin, si)),
            At::UnderWay => false,
        };
        if short.leaving {
            self.leaving += 1;
        } else {
            *self.margins.entry(short.margin).or_default() += 1;
        }
        self.files.insert(si, short);
    }
}

/// All storage indexes of a bucket.
fn bucket_range(bucket: Bucket) -> std::ops::RangeInclusive<StorageIndex> {
    let (mut first, mut last) = ([0; 16], [0xff; 16]);
    let prefix = (bucket.index() as u16) << 6;
    first[..2].copy_from_slice(&prefix.to_be_bytes());
    last[..2].copy_from_slice(&(prefix | 0x3f).to_be_bytes());
    StorageIndex(first)..=StorageIndex(last)
}
