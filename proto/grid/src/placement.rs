//! Which peer gets which share, and whether that is good enough.
//!
//! Peers stand in an order that depends on the file (a permuted ring), so that load spreads and every node finds the same
//! likely holders without asking. Zones are spread over first: neighbours in the order come from different zones. An
//! upload is a success when *happy* distinct peers hold a share each that no other of them is counted for: the size of a
//! maximum matching of peers and shares, the measure that Tahoe-LAFS calls servers of happiness.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    hashing::tagged,
    ids::{NodeId, ShareNumber, StorageIndex},
    params::Coding,
};

const TAG_RING: &str = "truckee/1 ring";

/// A peer that may hold shares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Who.
    pub id: NodeId,
    /// What it shares its fate with: a rack, a house, a provider. Peers without one share the empty zone.
    pub zone: String,
}

/// Where on the ring of a file a peer stands.
#[must_use]
pub fn ring_position(si: &StorageIndex, id: &NodeId) -> [u8; 32] {
    tagged(TAG_RING, &[&si.0, &id.0])
}

/// The peers in the order in which they should get shares of this file and be asked for them: by ring position, but taking
/// turns between zones, where the zone of the first peer comes first. A peer given twice counts once.
#[must_use]
pub fn ring_order(si: &StorageIndex, candidates: &[Candidate]) -> Vec<NodeId> {
    let ring: BTreeMap<([u8; 32], NodeId), &str> = candidates
        .iter()
        .map(|candidate| {
            (
                (ring_position(si, &candidate.id), candidate.id),
                candidate.zone.as_str(),
            )
        })
        .collect();
    let mut zones: Vec<(&str, VecDeque<NodeId>)> = Vec::new();
    let mut zone_index: BTreeMap<&str, usize> = BTreeMap::new();
    for ((_, id), zone) in ring {
        let index = *zone_index.entry(zone).or_insert_with(|| {
            zones.push((zone, VecDeque::new()));
            zones.len() - 1
        });
        zones[index].1.push_back(id);
    }
    let mut order = Vec::with_capacity(candidates.len());
    while zones.iter().any(|(_, peers)| !peers.is_empty()) {
        order.extend(zones.iter_mut().filter_map(|(_, peers)| peers.pop_front()));
    }
    order
}

/// One peer for each share such that as many peers as possible are used, each for one share only.
#[must_use]
pub fn matching(held: &[(NodeId, ShareNumber)]) -> BTreeMap<NodeId, ShareNumber> {
    let mut holders: BTreeMap<ShareNumber, BTreeSet<NodeId>> = BTreeMap::new();
    for (peer, share) in held {
        holders.entry(*share).or_default().insert(*peer);
    }
    let mut matched = BTreeMap::new();
    for share in holders.keys() {
        augment(&holders, *share, &mut matched, &mut BTreeSet::new());
    }
    matched
}

/// Distinct peers that hold a share which no other of them is counted for. Compared with `happy`.
#[must_use]
pub fn happiness(held: &[(NodeId, ShareNumber)]) -> usize {
    matching(held).len()
}

/// Gives `share` a peer, moving the shares of others along if need be. The depth is bounded by the number of shares.
fn augment(
    holders: &BTreeMap<ShareNumber, BTreeSet<NodeId>>,
    share: ShareNumber,
    matched: &mut BTreeMap<NodeId, ShareNumber>,
    visited: &mut BTreeSet<NodeId>,
) -> bool {
    for &peer in holders.get(&share).into_iter().flatten() {
        if !visited.insert(peer) {
            continue;
        }
        let occupant = matched.get(&peer).copied();
        if occupant.is_none_or(|occupant| augment(holders, occupant, matched, visited)) {
            matched.insert(peer, share);
            return true;
        }
    }
    false
}

/// What must be sent so that all n shares exist, on as many different peers as there are. `ring` are the peers that take
/// shares, in order; `existing` is what is held already, by them or by others. Shares that exist nowhere go to the least
/// loaded peers, earlier ones first; shares that exist only where another one is counted get a second copy while there
/// are peers without any. Empty if there is no peer.
#[must_use]
pub fn assign(
    ring: &[NodeId],
    coding: Coding,
    existing: &[(NodeId, ShareNumber)],
) -> Vec<(ShareNumber, NodeId)> {
    let mut load: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut held = existing.to_vec();
    for (peer, _) in existing {
        *load.entry(*peer).or_default() += 1;
    }
    let mut sent = Vec::new();
    let there: BTreeSet<ShareNumber> = existing.iter().map(|(_, share)| *share).collect();
    for share in coding.shares().filter(|share| !there.contains(share)) {
        let Some(peer) = replacement(ring, &load, &BTreeSet::new()) else {
            return sent;
        };
        *load.entry(peer).or_default() += 1;
        held.push((peer, share));
        sent.push((share, peer));
    }
    let counted: BTreeSet<ShareNumber> = matching(&held).into_values().collect();
    let unused = ring
        .iter()
        .filter(|peer| !load.contains_key(peer))
        .copied()
        .collect::<Vec<_>>();
    let uncounted = coding.shares().filter(|share| !counted.contains(share));
    sent.extend(uncounted.zip(unused));
    sent
}

/// The next peer for a share that needs one: the least loaded that is not excluded, the earlier in the ring if several are.
#[must_use]
pub fn replacement(
    ring: &[NodeId],
    load: &BTreeMap<NodeId, usize>,
    excluded: &BTreeSet<NodeId>,
) -> Option<NodeId> {
    let open = ring.iter().filter(|peer| !excluded.contains(peer));
    open.min_by_key(|peer| load.get(peer).copied().unwrap_or(0))
        .copied()
}

#[cfg(test)]
mod tests;
