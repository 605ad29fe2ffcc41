use super::*;
use proptest::prelude::*;

fn peer(number: u8) -> NodeId {
    NodeId([number; 32])
}

fn candidate(number: u8, zone: &str) -> Candidate {
    Candidate {
        id: peer(number),
        zone: zone.to_owned(),
    }
}

fn share(number: u8) -> ShareNumber {
    ShareNumber(number)
}

/// The size of a maximum matching, by trying everything.
fn happiness_by_trial(held: &[(NodeId, ShareNumber)]) -> usize {
    let Some(((peer, share), rest)) = held.split_first() else {
        return 0;
    };
    let compatible: Vec<_> = rest
        .iter()
        .copied()
        .filter(|(p, s)| p != peer && s != share)
        .collect();
    happiness_by_trial(rest).max(1 + happiness_by_trial(&compatible))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn happiness_is_a_maximum_matching(held in prop::collection::vec((0u8..5, 0u8..5), 0..10)) {
        let held: Vec<_> = held.into_iter().map(|(p, s)| (peer(p), share(s))).collect();
        let matched = matching(&held);
        let shares: BTreeSet<ShareNumber> = matched.values().copied().collect();
        prop_assert_eq!(shares.len(), matched.len());
        prop_assert!(matched.iter().all(|(p, s)| held.contains(&(*p, *s))));
        prop_assert_eq!(happiness(&held), happiness_by_trial(&held));
    }

    #[test]
    fn an_assignment_is_complete_and_as_happy_as_can_be(
        peers in 0u8..16, n in 2u32..14, held in prop::collection::vec((0u8..20, 0u8..14), 0..8),
    ) {
        let coding = Coding::new(1, n).expect("valid");
        let ring: Vec<NodeId> = (0..peers).map(peer).collect();
        let existing: Vec<_> = held.into_iter()
            .filter(|(_, s)| u32::from(*s) < n).map(|(p, s)| (peer(p), share(s))).collect();
        let sent = assign(&ring, coding, &existing);
        prop_assert!(sent.iter().all(|(_, p)| ring.contains(p)));
        let mut all = existing.clone();
        all.extend(sent.iter().map(|(s, p)| (*p, *s)));
        let distinct: BTreeSet<_> = all.iter().copied().collect();
        let before: BTreeSet<_> = existing.iter().copied().collect();
        prop_assert_eq!(distinct.len(), before.len() + sent.len(), "something is sent twice");
        if !ring.is_empty() {
            let there: BTreeSet<ShareNumber> = all.iter().map(|(_, s)| *s).collect();
            prop_assert_eq!(there.len(), n as usize);
            let holders: BTreeSet<NodeId> = ring.iter().copied().chain(existing.iter().map(|(p, _)| *p)).collect();
            if existing.is_empty() {
                prop_assert_eq!(happiness(&all), holders.len().min(n as usize));
                let most = ring.iter().map(|p| all.iter().filter(|(q, _)| p == q).count()).max();
                prop_assert_eq!(most, Some((n as usize).div_ceil(ring.len())));
            }
        }
    }

    #[test]
    fn the_ring_takes_turns_between_zones(zones in prop::collection::vec(0u8..4, 1..20), si in any::<[u8; 16]>()) {
        let candidates: Vec<Candidate> =
            zones.iter().enumerate().map(|(i, zone)| candidate(i as u8, &zone.to_string())).collect();
        let zone_of = |id: &NodeId| zones[usize::from(id.0[0])];
        let order = ring_order(&StorageIndex(si), &candidates);
        prop_assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), candidates.len());
        let different: BTreeSet<u8> = zones.iter().copied().collect();
        let first: BTreeSet<u8> = order[..different.len()].iter().map(zone_of).collect();
        prop_assert_eq!(first, different, "every zone before any twice");
        let mut reversed = candidates.clone();
        reversed.reverse();
        reversed.extend(candidates);
        prop_assert_eq!(ring_order(&StorageIndex(si), &reversed), order, "the order of the input counts");
    }
}

#[test]
fn without_zones_the_ring_is_sorted_by_position() {
    let si = StorageIndex([3; 16]);
    let candidates: Vec<Candidate> = (0..30).map(|number| candidate(number, "")).collect();
    let order = ring_order(&si, &candidates);
    assert!(order.is_sorted_by_key(|id| ring_position(&si, id)));
    assert_ne!(order, ring_order(&StorageIndex([4; 16]), &candidates));
}

#[test]
fn crowded_shares_get_a_second_copy() {
    let coding = Coding::new(1, 3).expect("valid");
    let existing = [(peer(0), share(0)), (peer(0), share(1)), (peer(0), share(2))];
    let ring: Vec<NodeId> = (0..3).map(peer).collect();
    let sent = assign(&ring, coding, &existing);
    let mut all = existing.to_vec();
    all.extend(sent.iter().map(|(s, p)| (*p, *s)));
    assert_eq!(sent.len(), 2);
    assert_eq!(happiness(&all), 3);
}

#[test]
fn a_replacement_is_the_least_loaded_that_is_allowed() {
    let ring: Vec<NodeId> = (0..3).map(peer).collect();
    let load = BTreeMap::from([(peer(0), 2), (peer(1), 1), (peer(2), 1)]);
    assert_eq!(replacement(&ring, &load, &BTreeSet::new()), Some(peer(1)));
    assert_eq!(
        replacement(&ring, &load, &BTreeSet::from([peer(1)])),
        Some(peer(2))
    );
    assert_eq!(replacement(&ring, &load, &ring.iter().copied().collect()), None);
}

/// Peers 0 to 99 are in the first zone, 100 to 199 in the second, and the others in the third.
fn zone_of(id: NodeId) -> usize {
    usize::from(id.0[0]) / 100
}

fn in_zones(peers: impl IntoIterator<Item = u8>) -> Vec<Candidate> {
    let zones = ["attic", "cellar", "garage"];
    peers
        .into_iter()
        .map(|number| candidate(number, zones[zone_of(peer(number))]))
        .collect()
}

/// How many different shares are left without each of three zones; the fewest.
fn left_without_a_zone(held: &[(NodeId, ShareNumber)]) -> usize {
    let without = |zone: usize| {
        let left = held.iter().filter(move |(id, _)| zone_of(*id) != zone);
        left.map(|(_, share)| *share).collect::<BTreeSet<_>>().len()
    };
    (0..3).map(without).min().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_whole_zone_of_three_may_burn(sizes in [4u8..50, 4u8..50, 4u8..50], si in any::<[u8; 16]>()) {
        let peers = (0..3u8).flat_map(|zone| (0..sizes[usize::from(zone)]).map(move |index| 100 * zone + index));
        let ring = ring_order(&StorageIndex(si), &in_zones(peers));
        let coding = Coding::new(3, 10).expect("valid");
        let held: Vec<_> = assign(&ring, coding, &[]).into_iter().map(|(share, id)| (id, share)).collect();
        prop_assert!(left_without_a_zone(&held) >= 6, "3 or 4 shares in each zone");
    }

    /// Nodes die one after the other, and what they held is made again elsewhere; so are whole zones, which come back empty.
    #[test]
    fn it_may_still_after_years_of_repairs(
        losses in prop::collection::vec((0usize..60, any::<bool>()), 1..120), si in any::<[u8; 16]>(),
    ) {
        let (si, coding) = (StorageIndex(si), Coding::new(3, 10).expect("valid"));
        let all: Vec<u8> = (0..3u8).flat_map(|zone| (0..20).map(move |index| 100 * zone + index)).collect();
        let mut held: Vec<(NodeId, ShareNumber)> = Vec::new();
        let repair = |held: &mut Vec<(NodeId, ShareNumber)>, ring: &[NodeId]| {
            let made = assign(ring, coding, held);
            held.extend(made.into_iter().map(|(share, id)| (id, share)));
        };
        repair(&mut held, &ring_order(&si, &in_zones(all.iter().copied())));
        for (index, whole_zone) in losses {
            // Now and then a zone, else one of the nodes that hold something.
            let hurt = held[index % held.len()].0;
            let is_gone = |id: NodeId| if whole_zone && index < 6 { zone_of(id) == zone_of(hurt) } else { id == hurt };
            held.retain(|(id, _)| !is_gone(*id));
            let left: BTreeSet<ShareNumber> = held.iter().map(|(_, share)| *share).collect();
            prop_assert!(left.len() >= 3, "it could not be repaired");
            let rest = all.iter().copied().filter(|number| !is_gone(peer(*number)));
            repair(&mut held, &ring_order(&si, &in_zones(rest)));
            prop_assert!(left_without_a_zone(&held) >= 3, "{held:?}");
        }
    }
}
