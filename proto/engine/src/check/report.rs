//! What a check found. Owns the figures that people and programs read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truckee_grid::ids::{NodeId, ShareNumber, StorageIndex};
use truckee_grid::params::Coding;
use truckee_grid::placement;

use super::{Check, CopyState, Corruption};
use crate::transfer::PeerReport;

/// A share at a peer that is not what was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptShare {
    /// Where.
    pub peer: NodeId,
    /// Which.
    pub share: ShareNumber,
    /// In which way.
    pub what: Corruption,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The file.
    pub si: StorageIndex,
    /// Its code: k are needed, n expected.
    pub coding: Coding,
    /// Whether every block was read and hashed.
    pub verified: bool,
    /// Who holds a good copy of each share.
    pub sharemap: BTreeMap<ShareNumber, Vec<NodeId>>,
    /// Copies that are not what was stored.
    pub corrupt: Vec<CorruptShare>,
    /// Shares of numbers that the file has not.
    pub incompatible: Vec<(NodeId, ShareNumber)>,
    /// Peers that answered all that they were asked.
    pub responding: Vec<NodeId>,
    /// Peers that did not, and why.
    pub silent: Vec<PeerReport>,
    /// Distinct peers counted for a good share each.
    pub happiness: usize,
    /// Blocks that were hashed.
    pub blocks: u64,
    /// Bytes of blocks received.
    pub received_bytes: u64,
    /// Time until every peer had said what it holds.
    pub locate: Duration,
    /// All of it.
    pub total: Duration,
}

impl CheckReport {
    /// Distinct good shares.
    pub fn good(&self) -> usize {
        self.sharemap.len()
    }

    /// Distinct peers with good shares.
    pub fn good_hosts(&self) -> usize {
        self.sharemap.values().flatten().collect::<BTreeSet<_>>().len()
    }

    /// All n shares are there and good.
    pub fn is_healthy(&self) -> bool {
        self.good() == self.coding.n()
    }

    /// The file can be read.
    pub fn is_recoverable(&self) -> bool {
        self.good() >= self.coding.k()
    }
}

impl Check {
    pub(super) fn report(&self, total: Duration) -> CheckReport {
        let mut sharemap: BTreeMap<ShareNumber, Vec<NodeId>> = BTreeMap::new();
        let mut corrupt = Vec::new();
        for copy in &self.copies {
            let peer = self.survey.peers()[copy.peer].id;
            match copy.state {
                CopyState::Good => sharemap.entry(copy.share).or_default().push(peer),
                CopyState::Corrupt(what) => corrupt.push(CorruptShare {
                    peer,
                    share: copy.share,
                    what,
                }),
                CopyState::Lost => {}
            }
        }
        for peers in sharemap.values_mut() {
            peers.sort_unstable();
        }
        corrupt.sort_unstable_by_key(|corrupt| (corrupt.share, corrupt.peer));
        let held = sharemap
            .iter()
            .flat_map(|(share, peers)| peers.iter().map(|peer| (*peer, *share)))
            .collect::<Vec<_>>();
        let responding = self.survey.peers().iter().filter(|peer| peer.responded);
        CheckReport {
            si: self.config.file.si,
            coding: self.config.file.coding,
            verified: self.config.verify,
            happiness: placement::happiness(&held),
            sharemap,
            corrupt,
            incompatible: self.incompatible.clone(),
            responding: responding.map(|peer| peer.id).collect(),
            silent: self.survey.silent(),
            blocks: self.progress.blocks,
            received_bytes: self.progress.received_bytes,
            locate: self.located,
            total,
        }
    }
}
