//! How things stand, for metrics and people.

use super::evacuation::EvacuationReport;

/// What was found in one bucket that is not whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) presumed: u64,
    pub(super) unreadable: u64,
    pub(super) contradicted: u64,
    pub(super) surplus: u64,
}

/// How things stand in the buckets that this node keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealReport {
    /// Files that lack shares which can be made again.
    pub short_files: u64,
    /// Files that lack none, some of whose shares are to be made again because their nodes are being emptied.
    pub leaving_files: u64,
    /// Nodes that answered in the last round and take shares.
    pub takers: u64,
    /// While this node is being emptied: how far.
    pub evacuation: Option<EvacuationReport>,
    /// Shares beyond k of the most endangered of them; `None` without any.
    pub margin_least: Option<u64>,
    /// Repairs under way.
    pub repairing: u64,
    /// Files whose missing shares are presumed to be on nodes that are away.
    pub presumed_files: u64,
    /// Files of which too few shares answer.
    pub unreadable_files: u64,
    /// Files of which nodes say different things.
    pub contradicted_files: u64,
    /// Copies of shares beyond one of each.
    pub surplus_shares: u64,
    /// Rounds ended since the start.
    pub rounds: u64,
    /// Buckets that the round under way has still to list.
    pub buckets_to_list: u64,
    /// Buckets listed since the start.
    pub buckets_listed: u64,
    /// Shares in the lists of all nodes, and among what they said came, since the start.
    pub shares_listed: u64,
    /// Buckets given up because a node did not list them.
    pub lists_failed: u64,
    /// Nodes away that may come back.
    pub nodes_in_grace: u64,
}

impl HealReport {
    pub(super) fn add(&mut self, tally: &Tally) {
        self.presumed_files += tally.presumed;
        self.unreadable_files += tally.unreadable;
        self.contradicted_files += tally.contradicted;
        self.surplus_shares += tally.surplus;
    }
}
