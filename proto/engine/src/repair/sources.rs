//! The copies of shares that blocks are read from, and which of them are the best.
//!
//! A peer that answers is as good as another one of about its speed; one that did not answer the last time goes behind all
//! that did. Among equals the shares that decode for nothing come first, then the peers with the least to do.

use std::collections::BTreeSet;
use std::time::Duration;

use truckee_grid::ids::ShareNumber;

use crate::time::Mono;
use crate::transfer::PeerWhy;
use crate::transfer::survey::{TRIES_MAX, rest};

/// How often in a row a peer may be late or out of reach before it is given up.
const MISSES_MAX: u32 = 2;

/// A peer whose link was lost is left alone for so long: its process may be back by then.
const MISS_REST: Duration = Duration::from_secs(1);

/// Differences of speed below this are noise; above, each doubling counts.
const SERVICE_UNIT: Duration = Duration::from_millis(8);

/// See the module.
#[derive(Debug)]
pub(super) struct Sources {
    readers: Vec<Reader>,
    copies: Vec<Copy>,
}

/// A peer as one that is read from.
#[derive(Clone, Debug, Default)]
struct Reader {
    /// Smoothed time that a block takes it.
    service: Option<Duration>,
    /// Blocks asked of it that have not come.
    out: usize,
    /// Times in a row that it was late or out of reach.
    misses: u32,
    /// Times in a row that it was busy.
    busy: u32,
    /// When the last of these was counted: what was asked before does not count again.
    counted_at: Option<Mono>,
    rest_until: Option<Mono>,
    gone: bool,
}

/// A share at a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copy {
    pub(super) peer: usize,
    pub(super) share: ShareNumber,
    /// Whether it may be asked for blocks.
    usable: bool,
}

/// What became of a peer that did not give a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is asked again, later or after others.
    Spared,
    /// It is given up.
    Gone,
}

impl Sources {
    pub(super) fn new(peers: usize) -> Self {
        Self {
            readers: vec![Reader::default(); peers],
            copies: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, peer: usize, share: ShareNumber) {
        self.copies.push(Copy {
            peer,
            share,
            usable: true,
        });
    }

    pub(super) fn copy(&self, copy: usize) -> Copy {
        self.copies[copy]
    }

    /// Up to `count` copies of different shares to be asked now, the best first; none of a share for which `has` holds.
    pub(super) fn best(&self, count: usize, k: usize, has: impl Fn(ShareNumber) -> bool) -> Vec<usize> {
        let mut options: Vec<_> = (0..self.copies.len())
            .filter(|copy| self.is_open(*copy) && !has(self.copies[*copy].share))
            .filter(|copy| self.readers[self.copies[*copy].peer].rest_until.is_none())
            .map(|copy| (self.cost(copy, k), copy))
            .collect();
        options.sort_unstable();
        let mut taken = BTreeSet::new();
        let different = |(_, copy): &(_, usize)| taken.insert(self.copies[*copy].share);
        let best = options.into_iter().filter(different).take(count);
        best.map(|(_, copy)| copy).collect()
    }

    fn cost(&self, copy: usize, k: usize) -> (u32, u32, bool, usize) {
        let Copy { peer, share, .. } = self.copies[copy];
        let reader = &self.readers[peer];
        let units = reader.service.unwrap_or_default().as_micros() / SERVICE_UNIT.as_micros();
        let speed = (units + 1).ilog2();
        (reader.misses, speed, share.index() >= k, reader.out)
    }

    fn is_open(&self, copy: usize) -> bool {
        let copy = &self.copies[copy];
        copy.usable && !self.readers[copy.peer].gone
    }

    /// Different shares that can still be read somewhere, those included for which `has` holds.
    pub(super) fn in_reach(&self, has: impl Iterator<Item = ShareNumber>) -> usize {
        let open = (0..self.copies.len()).filter(|copy| self.is_open(*copy));
        let shares: BTreeSet<ShareNumber> = open.map(|copy| self.copies[copy].share).chain(has).collect();
        shares.len()
    }

    pub(super) fn asked(&mut self, copy: usize) {
        let peer = self.copies[copy].peer;
        self.readers[peer].out += 1;
    }

    /// A read has ended, however.
    pub(super) fn ended(&mut self, copy: usize) {
        let peer = self.copies[copy].peer;
        self.readers[peer].out = self.readers[peer].out.saturating_sub(1);
    }

    /// A block came.
    pub(super) fn answered(&mut self, now: Mono, copy: usize, sent_at: Mono) {
        let reader = &mut self.readers[self.copies[copy].peer];
        reader.measure(now.saturating_sub(sent_at));
        reader.misses = 0;
        reader.busy = 0;
    }

    /// The peer of a copy was busy.
    pub(super) fn was_busy(&mut self, now: Mono, copy: usize, sent_at: Mono, wait: Duration) -> Fate {
        let reader = &mut self.readers[self.copies[copy].peer];
        if reader.counts(now, sent_at) {
            reader.busy += 1;
            reader.rest_until = Some(now + rest(wait, reader.busy));
        }
        reader.judge(reader.busy >= TRIES_MAX)
    }

    /// The peer of a copy did not answer in time, or cannot be reached.
    pub(super) fn missed(&mut self, now: Mono, copy: usize, sent_at: Mono, why: PeerWhy) -> Fate {
        let reader = &mut self.readers[self.copies[copy].peer];
        if reader.counts(now, sent_at) {
            reader.misses += 1;
            if why == PeerWhy::TimedOut {
                reader.measure(now.saturating_sub(sent_at));
            } else {
                reader.rest_until = Some(now + MISS_REST);
            }
        }
        reader.judge(reader.misses >= MISSES_MAX)
    }

    /// Nothing more is asked of a peer.
    pub(super) fn give_up(&mut self, peer: usize) {
        self.readers[peer].gone = true;
    }

    /// Nothing more is asked of a copy. True if it was of use until now.
    pub(super) fn spoil(&mut self, copy: usize) -> bool {
        std::mem::replace(&mut self.copies[copy].usable, false)
    }

    /// When the rest of a peer is over.
    pub(super) fn next_at(&self) -> Option<Mono> {
        self.readers.iter().filter_map(|reader| reader.rest_until).min()
    }

    pub(super) fn wake(&mut self, now: Mono) {
        for reader in &mut self.readers {
            reader.rest_until = reader.rest_until.filter(|until| *until > now);
        }
    }
}

impl Reader {
    /// Whether something that went wrong counts: not twice for what was asked together.
    fn counts(&mut self, now: Mono, sent_at: Mono) -> bool {
        let counts = self.counted_at.is_none_or(|counted| sent_at >= counted);
        if counts {
            self.counted_at = Some(now);
        }
        counts
    }

    /// Smooths a new measurement into the old: a quarter new.
    fn measure(&mut self, took: Duration) {
        self.service = Some(self.service.map_or(took, |old| (old * 3 + took) / 4));
    }

    fn judge(&mut self, over: bool) -> Fate {
        self.gone |= over;
        if self.gone { Fate::Gone } else { Fate::Spared }
    }
}
