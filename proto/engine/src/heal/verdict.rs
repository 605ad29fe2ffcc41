//! What the holders of a file's shares mean for the file.

use std::collections::{BTreeMap, BTreeSet};

use truckee_grid::ids::NodeId;
use truckee_grid::params::Coding;
use truckee_wire::message::ListedShare;

use super::merge::FileSeen;

/// How a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All shares are there.
    Whole {
        /// So many nodes may be away before it is in danger.
        spare_nodes: usize,
    },
    /// Shares are missing that nodes which are away are presumed to hold.
    Presumed {
        /// So many more may be away before it is in danger.
        spare_nodes: usize,
    },
    /// Shares are missing and can be made again.
    Short {
        /// Shares beyond k.
        margin: usize,
    },
    /// All shares are there, some on nodes that are being emptied alone: these are to be made again elsewhere.
    Leaving {
        /// Shares beyond k.
        margin: usize,
    },
    /// Too few shares are left to make any: only nodes that come back can help.
    Unreadable,
}

/// A file and its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// Nodes say different things of its coding: some lie, or two files have one name.
    pub(super) contradicted: bool,
    /// Copies of shares beyond one of each.
    pub(super) surplus: usize,
}

/// Whether so few shares are left that waiting for nodes to come back is worse than making shares too many: less than half of
/// those that may be lost are left, rounded down.
#[must_use]
pub(super) fn is_urgent(coding: Coding, distinct: usize) -> bool {
    distinct.saturating_sub(coding.k()) < coding.recovery() / 2
}

/// Judges a file while `away` nodes are presumed to hold a share each, and what `draining` nodes hold is to be made again.
pub(super) fn judge(file: &FileSeen, away: usize, draining: &BTreeSet<NodeId>) -> Judged {
    let mut claims: BTreeMap<(usize, usize), (Coding, BTreeSet<NodeId>)> = BTreeMap::new();
    for (node, share) in &file.holders {
        let key = (share.coding.k(), share.coding.n());
        claims
            .entry(key)
            .or_insert_with(|| (share.coding, BTreeSet::new()))
            .1
            .insert(*node);
    }
    let contradicted = claims.len() > 1;
    // The repair finds out which one is right; here the one that most nodes claim decides whether there is one.
    let most = claims.into_values().max_by_key(|(_, nodes)| nodes.len());
    let Some((coding, _)) = most else {
        return Judged {
            verdict: Verdict::Unreadable,
            contradicted,
            surplus: 0,
        };
    };
    let of_file = || file.holders.iter().filter(|(_, share)| share.coding == coding);
    let staying = || of_file().filter(|(node, _)| !draining.contains(node));
    let distinct = numbers(of_file());
    let stays = numbers(staying());
    let mut load: BTreeMap<NodeId, usize> = BTreeMap::new();
    for (node, _) in of_file() {
        *load.entry(*node).or_default() += 1;
    }
    let load_max = load.into_values().max().unwrap_or(1);
    Judged {
        verdict: verdict(coding, (distinct, stays), away, load_max),
        contradicted,
        // A copy on a node that is being emptied is about to go, and was meant to be made.
        surplus: staying().count() - stays,
    }
}

/// How many different shares there are.
fn numbers<'a>(holders: impl Iterator<Item = &'a (NodeId, ListedShare)>) -> usize {
    holders
        .map(|(_, share)| share.place.share)
        .collect::<BTreeSet<_>>()
        .len()
}

/// `distinct` different shares can be read, `stays` of them on nodes that stay.
fn verdict(coding: Coding, (distinct, stays): (usize, usize), away: usize, load_max: usize) -> Verdict {
    let missing = coding.n() - distinct;
    let Some(margin) = distinct.checked_sub(coding.k()) else {
        return Verdict::Unreadable;
    };
    let spare_nodes = margin.saturating_sub(coding.recovery() / 2) / load_max;
    if stays == coding.n() {
        Verdict::Whole { spare_nodes }
    } else if missing == 0 {
        Verdict::Leaving { margin }
    } else if stays < distinct {
        // What leaves is nowhere else: a node that is away is no reason to wait with that.
        Verdict::Short { margin }
    } else if missing <= away && !is_urgent(coding, distinct) {
        Verdict::Presumed { spare_nodes }
    } else {
        Verdict::Short { margin }
    }
}
