//! Copies on this node that would be better placed on another one, since nodes came.
//!
//! The *home* of a file are the first n nodes of its ring ([`placement::ring_order`]): where an upload of today puts it, where
//! readers look first, and what spreads files over nodes, and shares over zones, evenly. A share of a whole file that lies outside
//! is to go to a node of the home that holds nothing of the file. Every holder finds the same pairs by itself: the holders outside
//! and the free nodes of the home, both in ring order.
//!
//! Not moved: anything while a node is away that may come back, shares of files that are not whole or lie twice (the repair and the
//! trimmer are for these), and anything to a node that is full; a full node keeps its place in the home, so that shares do not
//! wander off when it is full and back when it is not.

use std::collections::BTreeSet;

use truckee_grid::ids::{NodeId, ShareNumber};
use truckee_grid::placement::{self, Candidate};

use super::merge::FileSeen;
use crate::store::ShareId;

/// Where files belong now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// All storage nodes that answer and stay.
    pub(super) members: Vec<Candidate>,
    /// Those of them that take new shares.
    pub(super) takers: BTreeSet<NodeId>,
}

/// The share of a file on `own` that is to go elsewhere, and where to.
pub(super) fn misplaced(file: &FileSeen, own: NodeId, places: &Places) -> Option<(ShareId, NodeId)> {
    let share_of = |id: &NodeId| -> Option<ShareNumber> {
        let held = file.holders.iter().find(|(node, _)| node == id);
        held.map(|(_, share)| share.place.share)
    };
    // A keeper sees all files of its buckets, and to put the ring in order takes a hash for each node.
    let share = share_of(&own)?;
    let coding = file.holders.first().map(|(_, share)| share.coding)?;
    let one_each = file.holders.len() == coding.n()
        && file.holders.iter().all(|(_, share)| share.coding == coding)
        && distinct(file.holders.iter().map(|(_, share)| share.place.share)) == coding.n()
        && distinct(file.holders.iter().map(|(node, _)| *node)) == coding.n();
    if !one_each || places.members.len() <= coding.n() {
        return None;
    }
    let ring = placement::ring_order(&file.si, &places.members);
    let (home, outside) = ring.split_at(coding.n());
    let leaving = outside.iter().filter(|id| share_of(id).is_some());
    let free = home
        .iter()
        .filter(|id| share_of(id).is_none() && places.takers.contains(id));
    let (_, to) = leaving.zip(free).find(|(id, _)| **id == own)?;
    Some((ShareId { si: file.si, share }, *to))
}

fn distinct<T: Ord>(all: impl Iterator<Item = T>) -> usize {
    all.collect::<BTreeSet<T>>().len()
}

#[cfg(test)]
mod tests {
    use truckee_grid::ids::StorageIndex;
    use truckee_grid::params::Coding;
    use truckee_wire::message::{ListedShare, SharePlace};

    use super::*;

    const SI: StorageIndex = StorageIndex([9; 16]);

    fn places(count: u8) -> Places {
        let member = |number| Candidate {
            id: NodeId([number; 32]),
            zone: String::new(),
        };
        let members: Vec<Candidate> = (1..=count).map(member).collect();
        let takers = members.iter().map(|member| member.id).collect();
        Places { members, takers }
    }

    /// Share 0 on the first of these, and so on.
    fn seen(holders: &[NodeId]) -> FileSeen {
        let coding = Coding::new(2, 4).expect("valid");
        let listed = |(id, share): (&NodeId, u8)| {
            let place = SharePlace {
                si: SI,
                share: ShareNumber(share),
            };
            (*id, ListedShare { place, coding })
        };
        let mut holders: Vec<_> = holders.iter().zip(0..4).map(listed).collect();
        holders.sort_by_key(|(id, _)| *id);
        FileSeen { si: SI, holders }
    }

    fn to(share: u8, id: NodeId) -> Option<(ShareId, NodeId)> {
        let share = ShareNumber(share);
        Some((ShareId { si: SI, share }, id))
    }

    #[test]
    fn what_lies_outside_the_home_goes_to_its_free_nodes_each_to_another() {
        let places = places(7);
        let ring = placement::ring_order(&SI, &places.members);
        let file = seen(&[ring[5], ring[1], ring[6], ring[2]]);
        assert_eq!(misplaced(&file, ring[5], &places), to(0, ring[0]));
        assert_eq!(misplaced(&file, ring[6], &places), to(2, ring[3]));
        for home in [1, 2] {
            assert_eq!(misplaced(&file, ring[home], &places), None);
        }
        assert_eq!(misplaced(&file, ring[0], &places), None, "it holds nothing");
    }

    #[test]
    fn nothing_goes_to_a_full_node_and_none_goes_from_one() {
        let mut places = places(6);
        let ring = placement::ring_order(&SI, &places.members);
        let file = seen(&[ring[5], ring[1], ring[4], ring[2]]);
        places.takers.remove(&ring[0]);
        assert_eq!(misplaced(&file, ring[4], &places), to(2, ring[3]));
        assert_eq!(misplaced(&file, ring[5], &places), None, "no room for it");
        places.takers.remove(&ring[1]);
        assert_eq!(misplaced(&file, ring[1], &places), None, "at home, though full");
    }

    #[test]
    fn only_files_with_each_share_once_on_a_node_of_its_own_are_moved() {
        let places = places(7);
        let ring = placement::ring_order(&SI, &places.members);
        let own = ring[6];
        let whole = [ring[0], ring[1], ring[2], own];
        assert_eq!(misplaced(&seen(&whole), own, &places), to(3, ring[3]));
        assert_eq!(
            misplaced(&seen(&[own, ring[1], ring[2]]), own, &places),
            None,
            "short"
        );
        let mut twice = seen(&whole);
        let again = (ring[3], twice.holders[0].1);
        twice.holders.push(again);
        assert_eq!(misplaced(&twice, own, &places), None, "there twice");
        let crowded = seen(&[own, ring[1], ring[2], own]);
        assert_eq!(misplaced(&crowded, own, &places), None, "two on one node");
        let few = super::tests::places(4);
        assert_eq!(misplaced(&seen(&whole), own, &few), None, "no node to spare");
    }
}
