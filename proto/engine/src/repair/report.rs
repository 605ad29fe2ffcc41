//! What a repair found and did. Owns the figures that people and programs read.

use std::collections::BTreeMap;
use std::time::Duration;

use truckee_grid::ids::{Hash, NodeId, ShareNumber, StorageIndex};
use truckee_grid::params::Coding;

use super::goals::Place;
use super::{CorruptShare, Known, Repair};
use crate::time::Mono;
use crate::transfer::PeerReport;

/// What a repair came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairOutcome {
    /// Everything was where it should be.
    Unneeded,
    /// Everything is where it should be now.
    Complete,
    /// Something could not be placed.
    Partial,
}

impl RepairOutcome {
    /// A short name from a closed set, for metrics and programs.
    pub fn name(self) -> &'static str {
        match self {
            RepairOutcome::Unneeded => "unneeded",
            RepairOutcome::Complete => "complete",
            RepairOutcome::Partial => "partial",
        }
    }
}

/// A share that is now where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which.
    pub share: ShareNumber,
    /// Where.
    pub peer: NodeId,
    /// It was there when it was to be written: somebody else was faster.
    pub existed: bool,
    /// It is a second copy of a share whose holder has others too.
    pub copy: bool,
}

/// Why a share is not placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnplacedWhy {
    /// No node that answered takes shares of this file.
    #[error("no storage node takes it")]
    NoTaker,
    /// The last node that was tried failed.
    #[error("{0}")]
    Failed(PeerReport),
    /// What the uploader stored under its number does not belong to the rest of the file.
    #[error("its uploader stored it wrongly")]
    Inconsistent,
}

/// A share that should be somewhere and is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// Which.
    pub share: ShareNumber,
    /// Why.
    pub why: UnplacedWhy,
    /// It would have been a second copy.
    pub copy: bool,
}

/// A node that says that it holds shares of another file under the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Which node.
    pub peer: NodeId,
    /// What names the file that it holds.
    pub ueb_hash: Hash,
    /// The shares.
    pub shares: Vec<ShareNumber>,
}

/// Where the time of a repair went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairTimings {
    /// Until every node had said what it holds.
    pub asking: Duration,
    /// In which nodes were asked to take shares, before each reading.
    pub opening: Duration,
    /// In which some segment was waiting for its blocks, all such segments added up.
    pub fetching: Duration,
    /// From blocks to other blocks, all segments added up.
    pub rebuilding: Duration,
    /// From the first block sent to the last one taken.
    pub writing: Duration,
    /// All of it.
    pub total: Duration,
}

/// What a repair finds out and does, whatever it comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Shares that were placed; they stay, even if the repair fails later.
    pub placed: Vec<Placed>,
    /// Copies that are not what was stored, as far as they were read.
    pub damage: Vec<CorruptShare>,
    /// Shares of other files under the same name.
    pub conflicts: Vec<Conflict>,
    /// Shares of numbers that their file has not.
    pub incompatible: Vec<(NodeId, ShareNumber)>,
    /// Nodes that did not say what they hold, and why.
    pub silent: Vec<PeerReport>,
    /// Nodes that did, and then failed.
    pub troubles: Vec<PeerReport>,
    /// Bytes of blocks received.
    pub read_bytes: u64,
    /// Bytes of blocks that nodes have taken.
    pub written_bytes: u64,
    /// Where the time went.
    pub timings: RepairTimings,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairReport {
    /// The name of the file.
    pub si: StorageIndex,
    /// Which file it is.
    pub ueb_hash: Hash,
    /// Its code: k are needed, n expected.
    pub coding: Coding,
    /// What it came to.
    pub outcome: RepairOutcome,
    /// Who held each share before, as nodes said.
    pub before: BTreeMap<ShareNumber, Vec<NodeId>>,
    /// What could not be placed.
    pub unplaced: Vec<Unplaced>,
    /// Everything else.
    pub findings: Findings,
}

impl RepairReport {
    /// Shares that were made again, without second copies of those that existed.
    pub fn rebuilt(&self) -> impl Iterator<Item = ShareNumber> + '_ {
        let made = self.findings.placed.iter().filter(|placed| !placed.copy);
        made.map(|placed| placed.share)
    }
}

impl Repair {
    pub(super) fn report(&mut self, now: Mono, known: &Known) -> RepairReport {
        let mut before: BTreeMap<ShareNumber, Vec<NodeId>> = BTreeMap::new();
        for (peer, share) in &self.before {
            before.entry(*share).or_default().push(*peer);
        }
        let unplaced: Vec<Unplaced> = self
            .goals
            .iter()
            .filter_map(|goal| match goal.place {
                Place::Lost(why) => Some(Unplaced {
                    share: goal.number,
                    why,
                    copy: goal.copy,
                }),
                _ => None,
            })
            .collect();
        let outcome = match (self.goals.is_empty(), unplaced.is_empty()) {
            (true, _) => RepairOutcome::Unneeded,
            (false, true) => RepairOutcome::Complete,
            (false, false) => RepairOutcome::Partial,
        };
        RepairReport {
            si: self.config.si,
            ueb_hash: known.facts.verifier().ueb_hash,
            coding: known.shape.coding,
            outcome,
            before,
            unplaced,
            findings: self.take_findings(now),
        }
    }

    pub(super) fn take_findings(&mut self, now: Mono) -> Findings {
        let placed = self.goals.iter().filter_map(|goal| match goal.place {
            Place::Durable { peer, existed } => Some(Placed {
                share: goal.number,
                peer: self.survey.peers()[peer].id,
                existed,
                copy: goal.copy,
            }),
            _ => None,
        });
        let troubles = self.troubles.iter().map(|(peer, why)| PeerReport {
            peer: self.survey.peers()[*peer].id,
            why: *why,
        });
        let (placed, troubles) = (placed.collect(), troubles.collect());
        let marks = &self.marks;
        let writing = marks.first_sent.zip(marks.last_taken);
        let timings = RepairTimings {
            asking: marks.asked.unwrap_or(now).saturating_sub(marks.started),
            opening: marks.opening,
            fetching: marks.fetching,
            rebuilding: marks.rebuilding,
            writing: writing.map_or(Duration::ZERO, |(from, to)| to.saturating_sub(from)),
            total: now.saturating_sub(marks.started),
        };
        Findings {
            placed,
            troubles,
            silent: self.survey.silent(),
            timings,
            ..self.findings.clone()
        }
    }
}
