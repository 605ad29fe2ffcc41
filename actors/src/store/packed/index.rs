//! What lies where in the packs: the state to which their records lead, in memory.
//!
//! It changes by [`Index::apply`] alone, with the records in the order in which they lie in the packs, when they are durable:
//! by the log while the node runs, and in the same way at start. So what is served is what a start would find.
//!
//! A share costs 17 bytes of key and 16 of value; with what a B-tree leaves free, about 50 bytes in all.

use std::collections::BTreeMap;

use truckee_engine::store::{Amount, ShareId, TrashCause, TrashMark};
use truckee_engine::time::Day;
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{ShareNumber, StorageIndex};

use super::record::{HEAD_BYTES, Place, Row, State, record_bytes};

/// A share in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) place: Place,
    pub(super) file_bytes: u32,
    /// Number of the day.
    written: u32,
}

/// What is known of a pack.
#[derive(Debug, Default)]
pub(super) struct Pack {
    /// Bytes of records that still say something.
    pub(super) live_bytes: u64,
    /// Of these, bytes of records about shares in other packs, by pack: they say nothing when that one is gone.
    about: BTreeMap<u32, u64>,
    /// Whether nothing more is written to it.
    pub(super) is_closed: bool,
    /// It could not be read: it is left alone until the next start.
    pub(super) is_unreadable: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    held: BTreeMap<ShareId, Slot>,
    trash: BTreeMap<(ShareId, TrashMark), Slot>,
    /// While the records of a start are followed: shares in whose places later ones have come before it was said where they
    /// went. That happens because compaction writes again, and so later, what a pack says of shares in others.
    covered: BTreeMap<(ShareId, Place), Slot>,
    packs: BTreeMap<u32, Pack>,
    used: Amount,
    thrown: Amount,
}

impl Slot {
    pub(super) fn written(&self) -> Day {
        Day::from_number(self.written)
    }

    fn amount(&self) -> Amount {
        Amount::one(u64::from(self.file_bytes))
    }
}

impl Index {
    /// Must be said of all packs that are there before records that are about one of them are applied.
    pub(super) fn add_pack(&mut self, number: u32) {
        self.packs.entry(number).or_default();
    }

    pub(super) fn pack_mut(&mut self, number: u32) -> Option<&mut Pack> {
        self.packs.get_mut(&number)
    }

    pub(super) fn packs(&self) -> impl Iterator<Item = (u32, &Pack)> {
        self.packs.iter().map(|(number, pack)| (*number, pack))
    }

    pub(super) fn has_pack(&self, number: u32) -> bool {
        self.packs.contains_key(&number)
    }

    /// A pack is gone, and with it the sense of records about shares in it.
    pub(super) fn drop_pack(&mut self, number: u32) {
        self.packs.remove(&number);
        for pack in self.packs.values_mut() {
            let said = pack.about.remove(&number).unwrap_or(0);
            pack.live_bytes = pack.live_bytes.saturating_sub(said);
        }
    }

    /// A record that lies in `pack` is durable.
    pub(super) fn apply(&mut self, pack: u32, row: &Row) {
        if let Some(other) = row.other {
            self.count_about(pack, other.pack);
        }
        let moved = row.other.and_then(|other| self.take(row.share, other));
        if !row.holds_share() {
            if let Some(slot) = moved {
                self.put(row.share, row.state, slot);
            }
            return;
        }
        moved.into_iter().for_each(|slot| self.release(slot));
        let place = Place { pack, at: row.at };
        let slot = Slot {
            place,
            file_bytes: row.file_bytes,
            written: Day::of(row.written).number(),
        };
        if let Some(pack) = self.packs.get_mut(&pack) {
            pack.live_bytes += u64::from(row.record_bytes());
        }
        self.put(row.share, row.state, slot);
    }

    /// A record about a share in the same pack goes with it, and one about a pack that is gone says nothing.
    fn count_about(&mut self, pack: u32, other: u32) {
        if pack == other || !self.has_pack(other) {
            return;
        }
        if let Some(pack) = self.packs.get_mut(&pack) {
            *pack.about.entry(other).or_default() += HEAD_BYTES as u64;
            pack.live_bytes += HEAD_BYTES as u64;
        }
    }

    /// Takes out what is recorded at `place`.
    fn take(&mut self, share: ShareId, place: Place) -> Option<Slot> {
        let Some((slot, state)) = self.at(share, place) else {
            return self.covered.remove(&(share, place));
        };
        match state {
            State::Trashed(mark) => {
                self.thrown = self.thrown.without(slot.amount());
                self.trash.remove(&(share, mark))
            }
            State::Held | State::Gone => {
                self.used = self.used.without(slot.amount());
                self.held.remove(&share)
            }
        }
    }

    fn put(&mut self, share: ShareId, state: State, slot: Slot) {
        let before = match state {
            State::Gone => return self.release(slot),
            State::Held => {
                self.used.add(slot.amount());
                let before = self.held.insert(share, slot);
                before.inspect(|before| self.used = self.used.without(before.amount()))
            }
            State::Trashed(mark) => {
                self.thrown.add(slot.amount());
                let before = self.trash.insert((share, mark), slot);
                before.inspect(|before| self.thrown = self.thrown.without(before.amount()))
            }
        };
        if let Some(before) = before {
            self.covered.insert((share, before.place), before);
        }
    }

    /// All records are applied. Of what is covered still, records were lost that said where it went.
    pub(super) fn end_of_records(&mut self) {
        for ((share, _), slot) in std::mem::take(&mut self.covered) {
            tracing::warn!(%share, "of two records of one share the later one counts");
            self.release(slot);
        }
    }

    /// The bytes of a record that held a share are free for compaction.
    fn release(&mut self, slot: Slot) {
        if let Some(pack) = self.packs.get_mut(&slot.place.pack) {
            let freed = u64::from(record_bytes(slot.file_bytes));
            pack.live_bytes = pack.live_bytes.saturating_sub(freed);
        }
    }

    /// The share that is recorded at `place`, if that still says where it is.
    pub(super) fn at(&self, share: ShareId, place: Place) -> Option<(Slot, State)> {
        let held = self.held.get(&share).map(|slot| (*slot, State::Held));
        let thrown = self.thrown_of(share);
        let thrown = thrown.map(|(mark, slot)| (slot, State::Trashed(mark)));
        held.into_iter()
            .chain(thrown)
            .find(|(slot, _)| slot.place == place)
    }

    pub(super) fn held(&self, share: ShareId) -> Option<Slot> {
        self.held.get(&share).copied()
    }

    /// All shares in their places.
    pub(super) fn all_held(&self) -> impl Iterator<Item = (ShareId, Slot)> {
        self.held.iter().map(|(share, slot)| (*share, *slot))
    }

    /// What there is of a file, ascending.
    pub(super) fn numbers(&self, si: StorageIndex) -> Vec<ShareNumber> {
        let (first, last) = shares_of(si);
        let shares = self.held.range(first..=last);
        shares.map(|(share, _)| share.share).collect()
    }

    /// What there is of a bucket behind a share.
    pub(super) fn held_behind(
        &self,
        bucket: Bucket,
        after: Option<ShareId>,
    ) -> impl Iterator<Item = (ShareId, Slot)> {
        let from = after.map_or_else(|| first_of(bucket), |after| after.max(first_of(bucket)));
        let of_bucket = self
            .held
            .range(from..)
            .take_while(move |(share, _)| Bucket::of(&share.si) == bucket);
        of_bucket
            .filter(move |(share, _)| after.is_none_or(|after| **share > after))
            .map(|(share, slot)| (*share, *slot))
    }

    pub(super) fn trashed(&self, share: ShareId, mark: TrashMark) -> Option<Slot> {
        self.trash.get(&(share, mark)).copied()
    }

    /// What a file's share has in the trash, the last one last.
    pub(super) fn thrown_of(&self, share: ShareId) -> impl DoubleEndedIterator<Item = (TrashMark, Slot)> {
        let (first, last) = (
            TrashMark {
                day: Day::from_number(0),
                cause: FIRST_CAUSE,
            },
            TrashMark {
                day: Day::from_number(u32::MAX),
                cause: LAST_CAUSE,
            },
        );
        let thrown = self.trash.range((share, first)..=(share, last));
        thrown.map(|((_, mark), slot)| (*mark, *slot))
    }

    /// What a bucket has in the trash.
    pub(super) fn thrown_away(&self, bucket: Bucket) -> impl Iterator<Item = (ShareId, TrashMark, Slot)> {
        let first = TrashMark {
            day: Day::from_number(0),
            cause: FIRST_CAUSE,
        };
        let of_bucket = self
            .trash
            .range((first_of(bucket), first)..)
            .take_while(move |((share, _), _)| Bucket::of(&share.si) == bucket);
        of_bucket.map(|((share, mark), slot)| (*share, *mark, *slot))
    }

    /// Shares in their places, and in the trash.
    pub(super) fn amounts(&self) -> (Amount, Amount) {
        (self.used, self.thrown)
    }
}

const FIRST_CAUSE: TrashCause = TrashCause::Expired;
const LAST_CAUSE: TrashCause = TrashCause::Surplus;

fn shares_of(si: StorageIndex) -> (ShareId, ShareId) {
    let share = |number| ShareId {
        si,
        share: ShareNumber(number),
    };
    (share(0), share(u8::MAX))
}

fn first_of(bucket: Bucket) -> ShareId {
    // A bucket is the first bits of a storage index.
    let mut si = StorageIndex([0; 16]);
    let first = (bucket.index() << (16 - Bucket::COUNT.ilog2())) as u16;
    si.0[..2].copy_from_slice(&first.to_be_bytes());
    shares_of(si).0
}
