//! Whether a node that is being emptied may be taken away: what it holds, and whether all of that is elsewhere.
//!
//! It finds out itself, and believes no other node's sum: of each bucket of which it holds something it lists what all nodes
//! hold. A file has *moved* when all its n shares are on other nodes that answer and are not being emptied themselves. Buckets
//! of which nothing changed anywhere since are not listed again, unless something in them had not moved.
//!
//! Not promised: that other nodes have what they list (their scrubbers find that out), and anything of nodes that do not
//! answer: what they hold counts for nothing here.

use std::collections::{BTreeMap, BTreeSet};

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::NodeId;

use super::members::{Mark, Members};
use super::merge::FileSeen;
use crate::time::Mono;

/// How far a node is emptied, as of its last look at each bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvacuationReport {
    /// When the look began that was the last to see every bucket; `None`: none has yet.
    pub checked_from: Option<Mono>,
    /// Files with a share here, all of whose shares are elsewhere too.
    pub moved_files: u64,
    /// Files with a share here that are not, and can be made again.
    pub waiting_files: u64,
    /// Files with a share here of which too few shares answer to make any again.
    pub stuck_files: u64,
    /// Buckets that have not been looked at, or could not be.
    pub unknown_buckets: u64,
}

/// What was found in a bucket.
#[derive(Debug)]
pub(super) struct Watched {
    /// Of all nodes that were asked.
    pub(super) marks: Vec<Mark>,
    pub(super) tally: EvacuationTally,
}

/// How the files of one bucket stand of which this node holds a share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EvacuationTally {
    pub(super) moved: u64,
    pub(super) waiting: u64,
    pub(super) stuck: u64,
}

impl EvacuationTally {
    pub(super) fn holds_any(&self) -> bool {
        self.moved + self.waiting + self.stuck > 0
    }

    fn has_moved(&self) -> bool {
        self.waiting + self.stuck == 0
    }

    /// Counts a file, if this node holds a share of it.
    pub(super) fn count(&mut self, file: &FileSeen, own: NodeId, draining: &BTreeSet<NodeId>) {
        let of_own = file.holders.iter().find(|(node, _)| *node == own);
        let Some((_, held)) = of_own else { return };
        let coding = held.coding;
        let same_file = || file.holders.iter().filter(|(_, share)| share.coding == coding);
        let elsewhere = same_file().filter(|(node, _)| *node != own && !draining.contains(node));
        let elsewhere: BTreeSet<_> = elsewhere.map(|(_, share)| share.place.share).collect();
        let anywhere: BTreeSet<_> = same_file().map(|(_, share)| share.place.share).collect();
        if elsewhere.len() == coding.n() {
            self.moved += 1;
        } else if anywhere.len() < coding.k() {
            self.stuck += 1;
        } else {
            self.waiting += 1;
        }
    }
}

/// What is to be asked about a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Whether there is anything here at all.
    Own,
    /// What all hold of it.
    All,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Evacuation {
    buckets: BTreeMap<Bucket, Watched>,
    /// Who was being emptied when they were looked at.
    draining: BTreeSet<NodeId>,
    round_began: Option<Mono>,
    checked_from: Option<Mono>,
}

impl Evacuation {
    /// A round begins. What was seen while other nodes were being emptied is worth nothing.
    pub(super) fn begin_round(&mut self, now: Mono, draining: &BTreeSet<NodeId>) {
        self.round_began = Some(now);
        if self.draining != *draining {
            self.draining.clone_from(draining);
            self.buckets.clear();
        }
    }

    /// What is to be asked about a bucket in this round, if anything.
    pub(super) fn look(&self, bucket: Bucket, members: &Members) -> Option<Look> {
        match self.buckets.get(&bucket) {
            None => Some(Look::Own),
            Some(watched) if !members.unchanged(bucket, &watched.marks) => {
                Some(if watched.tally.holds_any() {
                    Look::All
                } else {
                    Look::Own
                })
            }
            Some(watched) if !watched.tally.has_moved() => Some(Look::All),
            Some(_) => None,
        }
    }

    pub(super) fn saw(&mut self, bucket: Bucket, watched: Watched) {
        self.buckets.insert(bucket, watched);
    }

    /// A bucket could not be listed.
    pub(super) fn forget(&mut self, bucket: Bucket) {
        self.buckets.remove(&bucket);
    }

    /// A round has ended: whether all was seen in it, or is known to be as it was seen.
    pub(super) fn end_round(&mut self) {
        if self.buckets.len() == Bucket::COUNT {
            self.checked_from = self.round_began.or(self.checked_from);
        }
    }

    pub(super) fn report(&self) -> EvacuationReport {
        let mut report = EvacuationReport {
            checked_from: self.checked_from.filter(|_| self.buckets.len() == Bucket::COUNT),
            unknown_buckets: (Bucket::COUNT - self.buckets.len()) as u64,
            ..EvacuationReport::default()
        };
        for watched in self.buckets.values() {
            report.moved_files += watched.tally.moved;
            report.waiting_files += watched.tally.waiting;
            report.stuck_files += watched.tally.stuck;
        }
        report
    }
}
