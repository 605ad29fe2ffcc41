//! Who holds which share, and what nodes answer to the questions of healers.

use std::collections::{BTreeMap, BTreeSet};

use truckee_engine::store::ChangeLog;
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{NodeId, ShareNumber, StorageIndex};
use truckee_grid::params::Coding;
use truckee_wire::message::limits::LISTED_MAX;
use truckee_wire::message::{
    AddedListed, Inventory, ListAdded, ListShares, ListedShare, SharePlace, SharesListed,
};

use crate::sim::rng::Rng;

/// The disk of a node.
#[derive(Debug)]
pub struct Disk {
    changes: ChangeLog,
    buckets: Vec<BTreeSet<SharePlace>>,
}

impl Disk {
    fn new(epoch: u64) -> Disk {
        Disk {
            changes: ChangeLog::new(epoch),
            buckets: vec![BTreeSet::new(); Bucket::COUNT],
        }
    }

    fn store(&mut self, place: SharePlace, coding: Coding) -> bool {
        let new = self.buckets[Bucket::of(&place.si).index()].insert(place);
        if new {
            self.changes.share_came(ListedShare { place, coding });
        }
        new
    }

    fn remove(&mut self, place: &SharePlace) {
        let bucket = Bucket::of(&place.si);
        if self.buckets[bucket.index()].remove(place) {
            self.changes.changed(bucket);
        }
    }

    fn shares(&self) -> impl Iterator<Item = &SharePlace> {
        self.buckets.iter().flatten()
    }

    /// The answer to `GetInventory`.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        Inventory {
            epoch: self.changes.epoch(),
            changes: self.changes.counts().to_vec(),
            accepts_shares: true,
            draining: false,
        }
    }

    /// The answer to `ListAdded`.
    #[must_use]
    pub fn added(&self, list: &ListAdded) -> AddedListed {
        self.changes.list_added(list)
    }

    /// The answer to `ListShares`.
    #[must_use]
    pub fn page(&self, list: &ListShares, coding: Coding) -> SharesListed {
        let behind = |place: &&SharePlace| list.after.is_none_or(|after| **place > after);
        let places = self.buckets[list.bucket.index()]
            .iter()
            .filter(behind)
            .take(LISTED_MAX);
        let shares: Vec<ListedShare> = places
            .map(|place| ListedShare {
                place: *place,
                coding,
            })
            .collect();
        let next = (shares.len() == LISTED_MAX).then(|| shares.last().map(|last| last.place));
        SharesListed {
            epoch: self.changes.epoch(),
            changes: self.changes.count(list.bucket),
            shares,
            next: next.flatten(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Grid {
    coding: Coding,
    disks: Vec<Disk>,
    /// All copies on disks, those of nodes that are away included.
    files: BTreeMap<StorageIndex, BTreeSet<(usize, ShareNumber)>>,
    rng: Rng,
    epochs: u64,
}

impl Grid {
    /// Whole files on fresh disks.
    #[must_use]
    pub fn new(seed: u64, nodes: usize, files: usize, coding: Coding) -> Grid {
        let mut grid = Grid {
            coding,
            disks: (0..nodes).map(|node| Disk::new(node as u64 + 1)).collect(),
            files: BTreeMap::new(),
            rng: Rng::new(seed).fork("files"),
            epochs: nodes as u64,
        };
        let all: Vec<usize> = (0..nodes).collect();
        for _ in 0..files {
            grid.upload(&all);
        }
        grid
    }

    /// Stores a new file, whole, on nodes drawn from `up`.
    pub fn upload(&mut self, up: &[usize]) {
        let mut bytes = [0; 16];
        for half in bytes.as_chunks_mut::<8>().0 {
            *half = self.rng.bits().to_be_bytes();
        }
        let si = StorageIndex(bytes);
        let mut nodes = up.to_vec();
        self.rng.shuffle(&mut nodes);
        self.files.insert(si, BTreeSet::new());
        for (share, node) in self.coding.shares().zip(nodes) {
            self.store(node, SharePlace { si, share });
        }
    }

    /// A node takes a share. Says whether it had it not.
    pub fn store(&mut self, node: usize, place: SharePlace) -> bool {
        let Some(copies) = self.files.get_mut(&place.si) else {
            return false;
        };
        copies.insert((node, place.share));
        self.disks[node].store(place, self.coding)
    }

    /// The node starts: what its inventory says counts from here.
    pub fn start(&mut self, node: usize) {
        self.epochs += 1;
        self.disks[node].changes = ChangeLog::new(self.epochs);
    }

    /// A disk is replaced by an empty one. Gives the files that it held shares of.
    pub fn wipe(&mut self, node: usize) -> BTreeSet<StorageIndex> {
        self.epochs += 1;
        let old = std::mem::replace(&mut self.disks[node], Disk::new(self.epochs));
        for place in old.shares() {
            if let Some(copies) = self.files.get_mut(&place.si) {
                copies.remove(&(node, place.share));
            }
        }
        old.shares().map(|place| place.si).collect()
    }

    /// Forgets a file that is lost.
    pub fn forget(&mut self, si: &StorageIndex) {
        for (node, share) in self.files.remove(si).unwrap_or_default() {
            self.disks[node].remove(&SharePlace { si: *si, share });
        }
    }

    /// The disk of a node.
    #[must_use]
    pub fn disk(&self, node: usize) -> &Disk {
        &self.disks[node]
    }

    /// Who holds which share of a file, among nodes for which `counts` holds.
    #[must_use]
    pub fn copies(&self, si: &StorageIndex, counts: impl Fn(usize) -> bool) -> Vec<(usize, ShareNumber)> {
        let copies = self.files.get(si).into_iter().flatten().copied();
        copies.filter(|(node, _)| counts(*node)).collect()
    }

    /// Different shares of a file on all disks.
    #[must_use]
    pub fn distinct(&self, si: &StorageIndex) -> usize {
        let copies = self.files.get(si).into_iter().flatten();
        copies.map(|(_, share)| *share).collect::<BTreeSet<_>>().len()
    }

    /// Copies on all disks.
    #[must_use]
    pub fn copies_in_all(&self) -> usize {
        self.files.values().map(BTreeSet::len).sum()
    }
}

/// The names of nodes: spread, as hashes of keys are.
#[must_use]
pub fn node_ids(seed: u64, nodes: usize) -> Vec<NodeId> {
    let mut rng = Rng::new(seed).fork("ids");
    let mut ids = Vec::new();
    for _ in 0..nodes {
        let mut bytes = [0; 32];
        for part in bytes.as_chunks_mut::<8>().0 {
            *part = rng.bits().to_be_bytes();
        }
        ids.push(NodeId(bytes));
    }
    ids
}
