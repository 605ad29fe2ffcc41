//! What must be true of the mesh, kept beside it: which shares the stores have promised to hold, which files clients were
//! told are stored, and what became of each thing that a client asked for.
//!
//! The model never asks a machine what it believes. It compares what was promised with the bytes on the simulated disks.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use truckee_engine::repair::RepairReport;
use truckee_engine::store::DiskOp;
use truckee_grid::caps::ChkCap;
use truckee_grid::ids::{Hash, ShareNumber, StorageIndex};

use super::disk::{Disk, ShareName};
use super::node::Write;
use super::shares;

/// A file that a client was told is stored.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Its capability.
    pub cap: ChkCap,
    /// What it holds.
    pub plaintext: Bytes,
    /// Distinct peers that must hold a share of it.
    pub happy: usize,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

/// How often things ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Counts one more `what`.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// How often `what` has happened.
    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Tally) {
        for (what, count) in &other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (what, count) in &self.counts {
            writeln!(out, "{count:>8} {what}")?;
        }
        Ok(())
    }
}

/// Names something that a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderId(pub u64);

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet; it was given to this host.
    Running(usize),
    /// The file is stored.
    Stored(ChkCap),
    /// All bytes were read, and were right; or a directory was.
    Read,
    /// The directory is changed.
    Changed,
    /// The file is repaired as far as it could be.
    Repaired(Box<RepairReport>),
    /// The client was told why not.
    Failed(String),
    /// The gateway crashed.
    Lost,
}

/// What was promised.
#[derive(Debug, Default)]
pub struct Model {
    promised: BTreeMap<(usize, ShareName), Hash>,
    spoilt: BTreeSet<(usize, ShareName)>,
    taken_back: BTreeSet<(usize, ShareName)>,
    counted: BTreeSet<(usize, ShareName)>,
    files: Vec<StoredFile>,
    orders: BTreeMap<OrderId, Outcome>,
    /// How things ended.
    pub tally: Tally,
}

impl Model {
    /// The store on `host` has said that it holds a share durably, of the file that `ueb_hash` names.
    pub fn share_promised(&mut self, host: usize, name: ShareName, ueb_hash: Hash) {
        self.promised.insert((host, name), ueb_hash);
    }

    /// A share can no longer be expected on `host`: its bits have turned.
    pub fn share_spoilt(&mut self, host: usize, name: ShareName) {
        self.promised.remove(&(host, name));
        self.spoilt.insert((host, name));
    }

    /// The store on `host` removes a share that its uploader took back.
    pub fn share_taken_back(&mut self, host: usize, name: ShareName) {
        self.promised.remove(&(host, name));
        self.taken_back.insert((host, name));
    }

    /// A crash has met a write that was under way: a share that was about to be removed may be there or not.
    pub fn write_uncertain(&mut self, host: usize, write: &Write) {
        if let Write::Share(DiskOp::Remove { share }) = write {
            self.share_taken_back(host, (share.si, share.share));
        }
    }

    /// A client was told that its file is stored, and this share was counted.
    pub fn share_counted(&mut self, host: usize, name: ShareName) {
        self.counted.insert((host, name));
    }

    /// The store on `host` has put a damaged share aside: what is stored in its place from now on is another one, and
    /// nobody counts on that yet.
    pub fn share_put_aside(&mut self, host: usize, name: ShareName) {
        self.counted.remove(&(host, name));
    }

    /// Does a stored file count on this share?
    pub fn is_counted(&self, host: usize, name: ShareName) -> bool {
        self.counted.contains(&(host, name))
    }

    /// Have the bits of this share on `host` ever turned?
    pub fn was_spoilt(&self, host: usize, name: ShareName) -> bool {
        self.spoilt.contains(&(host, name))
    }

    /// Has an uploader ever taken this share on `host` back?
    pub fn was_taken_back(&self, host: usize, name: ShareName) -> bool {
        self.taken_back.contains(&(host, name))
    }

    /// Have the bits of any share of this file on `host` ever turned?
    pub fn any_spoilt(&self, host: usize, si: StorageIndex) -> bool {
        self.spoilt
            .iter()
            .any(|(at, (spoilt, _))| *at == host && *spoilt == si)
    }

    /// A client asks a gateway for something.
    pub fn new_order(&mut self, host: usize) -> OrderId {
        let id = OrderId(self.orders.len() as u64);
        self.orders.insert(id, Outcome::Running(host));
        id
    }

    /// An order has ended.
    pub fn order_ended(&mut self, id: OrderId, outcome: Outcome) {
        self.orders.insert(id, outcome);
    }

    /// The orders of a gateway that crashed are lost.
    pub fn orders_lost(&mut self, host: usize) {
        for outcome in self
            .orders
            .values_mut()
            .filter(|outcome| **outcome == Outcome::Running(host))
        {
            *outcome = Outcome::Lost;
            self.tally.count("order lost in a crash");
        }
    }

    /// What became of an order.
    pub fn outcome(&self, id: OrderId) -> Option<&Outcome> {
        self.orders.get(&id)
    }

    /// The orders that have not ended, with the hosts that have them.
    pub fn running(&self) -> impl Iterator<Item = (OrderId, usize)> + '_ {
        self.orders.iter().filter_map(|(id, outcome)| match outcome {
            Outcome::Running(host) => Some((*id, *host)),
            _ => None,
        })
    }

    /// Of which file does `host` promise to hold this share?
    pub fn promised_hash(&self, host: usize, name: ShareName) -> Option<Hash> {
        self.promised.get(&(host, name)).copied()
    }

    /// Has `host` promised to hold this share?
    pub fn is_promised(&self, host: usize, name: ShareName) -> bool {
        self.promised.contains_key(&(host, name))
    }

    /// A client was told that its file is stored.
    pub fn file_stored(&mut self, file: StoredFile) {
        self.files.push(file);
    }

    /// The files that clients were told are stored.
    pub fn files(&self) -> &[StoredFile] {
        &self.files
    }

    /// Are all promised shares on the disk of `host`, sound to the last bit?
    ///
    /// # Errors
    /// Says which is not.
    pub fn check_disk(&self, host: usize, disk: &Disk) -> Result<(), Violation> {
        let first = (host, (StorageIndex([0; 16]), ShareNumber(0)));
        for ((_, name), ueb_hash) in self
            .promised
            .range(first..)
            .take_while(|((at, _), _)| *at == host)
        {
            self.check_share(host, *name, *ueb_hash, disk)?;
        }
        Ok(())
    }

    /// Is this share on the disk of `host`, sound to the last bit?
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check_share(
        &self,
        host: usize,
        name: ShareName,
        hash: Hash,
        disk: &Disk,
    ) -> Result<(), Violation> {
        let wrong = |what: &str| {
            Err(Violation(format!(
                "node {host} promised share {} of {} but {what}",
                name.1, name.0
            )))
        };
        let Some(file) = disk.look(name) else {
            return wrong("does not hold it");
        };
        match shares::sound(file) {
            None => wrong("what it holds is not sound"),
            Some(found) if found != hash => wrong("holds a share of something else"),
            Some(_) => Ok(()),
        }
    }

    /// How many different shares of a file are sound, on any of `disks`?
    pub fn sound_shares<'a>(cap: &ChkCap, disks: impl Iterator<Item = &'a Disk>) -> usize {
        let mut found = BTreeSet::new();
        let si = cap.storage_index();
        for disk in disks {
            for ((_, number), _) in disk.shares().filter(|((held, _), _)| *held == si) {
                let sound = disk.look((si, number)).and_then(shares::sound);
                if sound == Some(cap.ueb_hash) {
                    found.insert(number);
                }
            }
        }
        found.len()
    }
}
