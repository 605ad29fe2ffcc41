//! Each rule of parting with a copy, and races of all who hold one.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use truckee_grid::ids::{ShareNumber, StorageIndex};
use truckee_grid::params::Coding;
use truckee_grid::placement;

use super::*;

mod moving;
mod races;

const GRACE: Duration = Duration::from_secs(3600);

fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

fn id(share: u8) -> ShareId {
    ShareId {
        si: StorageIndex([7; 16]),
        share: ShareNumber(share),
    }
}

/// Nodes in the order of their ranks for the file: the last one keeps.
fn ranked(count: u8) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = (1..=count).map(node).collect();
    nodes.sort_by_key(|id| rank(&StorageIndex([7; 16]), id, 1));
    nodes
}

fn holdings(coding: (usize, usize), held: &[(NodeId, u8)]) -> Holdings {
    Holdings {
        coding: Coding::new(coding.0 as u32, coding.1 as u32).expect("valid"),
        held: held
            .iter()
            .map(|(id, share)| (*id, ShareNumber(*share)))
            .collect(),
        draining: BTreeSet::new(),
    }
}

#[test]
fn the_first_of_two_holders_keeps_and_the_other_may_go() {
    let nodes = ranked(4);
    let held = holdings(
        (2, 3),
        &[(nodes[0], 0), (nodes[3], 0), (nodes[1], 1), (nodes[2], 2)],
    );
    assert_eq!(witness(&nodes[0], id(0), &held), Ok(nodes[3]));
    assert_eq!(
        witness(&nodes[3], id(0), &held),
        Err(Stays::NoWitness),
        "never both"
    );
    assert_eq!(
        witness(&nodes[1], id(1), &held),
        Err(Stays::Needed),
        "the only copy"
    );
    assert_eq!(witness(&nodes[1], id(0), &held), Err(Stays::Gone), "not held");
}

#[test]
fn nothing_goes_unless_all_shares_are_on_different_nodes_without_it() {
    let nodes = ranked(5);
    let two = [(nodes[0], 0), (nodes[3], 0), (nodes[1], 1)];
    assert_eq!(
        witness(&nodes[0], id(0), &holdings((2, 3), &two)),
        Err(Stays::Needed),
        "one is missing"
    );
    let crowded = [(nodes[0], 0), (nodes[3], 0), (nodes[1], 1), (nodes[1], 2)];
    assert_eq!(
        witness(&nodes[0], id(0), &holdings((2, 3), &crowded)),
        Err(Stays::Needed),
        "two of them on one node"
    );
    let spread = [
        (nodes[0], 0),
        (nodes[3], 0),
        (nodes[1], 1),
        (nodes[1], 2),
        (nodes[2], 2),
    ];
    assert_eq!(
        witness(&nodes[0], id(0), &holdings((2, 3), &spread)),
        Ok(nodes[3])
    );
}

#[test]
fn a_second_share_goes_before_that_of_a_node_without_another() {
    let nodes = ranked(4);
    let held = [(nodes[3], 0), (nodes[3], 1), (nodes[0], 1), (nodes[1], 2)];
    let held = holdings((2, 3), &held);
    assert_eq!(
        witness(&nodes[3], id(1), &held),
        Ok(nodes[0]),
        "first of the ring"
    );
    assert_eq!(witness(&nodes[0], id(1), &held), Err(Stays::Needed));
}

#[test]
fn a_node_that_holds_two_shares_of_the_file_is_no_witness() {
    let nodes = ranked(5);
    let held = [
        (nodes[0], 0),
        (nodes[4], 0),
        (nodes[4], 1),
        (nodes[1], 1),
        (nodes[2], 2),
    ];
    assert_eq!(
        witness(&nodes[0], id(0), &holdings((2, 3), &held)),
        Err(Stays::NoWitness),
        "it may be counted for the other one"
    );
    let more = [held.as_slice(), &[(nodes[3], 0)]].concat();
    assert_eq!(witness(&nodes[0], id(0), &holdings((2, 3), &more)), Ok(nodes[3]));
}

#[test]
fn nodes_that_are_being_emptied_neither_part_nor_witness() {
    let nodes = ranked(4);
    let mut held = holdings(
        (2, 3),
        &[(nodes[0], 0), (nodes[3], 0), (nodes[1], 1), (nodes[2], 2)],
    );
    held.draining.insert(nodes[3]);
    assert_eq!(witness(&nodes[0], id(0), &held), Err(Stays::Needed));
    held.draining = BTreeSet::from([nodes[0]]);
    assert_eq!(witness(&nodes[0], id(0), &held), Err(Stays::Draining));
    held.draining = BTreeSet::from([nodes[1]]);
    assert_eq!(
        witness(&nodes[0], id(0), &held),
        Err(Stays::Needed),
        "its share goes with it"
    );
}

/// All decide at the same moment, each by what it sees, and all that may go do: nothing is lost, and n nodes are left.
#[test]
fn all_who_may_part_at_the_same_moment_leave_every_share_on_a_node_of_its_own() {
    let (mut parted, mut several) = (0, 0);
    for seed in 0..3_000 {
        let mut dice = StdRng::seed_from_u64(seed);
        let n = dice.random_range(1..6);
        let k = if n == 1 { 1 } else { dice.random_range(1..n) };
        let nodes = ranked(dice.random_range(n as u8..n as u8 + 5));
        let mut held: Vec<(NodeId, u8)> = Vec::new();
        let mut places = nodes.clone();
        places.shuffle(&mut dice);
        held.extend(places.iter().zip(0..n as u8).map(|(id, share)| (*id, share)));
        for _ in 0..dice.random_range(0..8) {
            let more = (
                nodes[dice.random_range(0..nodes.len())],
                dice.random_range(0..n as u8),
            );
            if !held.contains(&more) {
                held.push(more);
            }
        }
        let mut all = holdings((k, n), &held);
        for id in &nodes {
            if dice.random_range(0..12) == 0 {
                all.draining.insert(*id);
            }
        }
        let stays = |held: &[(NodeId, ShareNumber)]| {
            let staying = held.iter().filter(|(id, _)| !all.draining.contains(id));
            placement::happiness(&staying.copied().collect::<Vec<_>>())
        };
        let before = stays(&all.held);
        // A node looks at one copy after the other: of several that it could part with, one goes.
        let mut goes: Vec<(NodeId, ShareNumber)> = Vec::new();
        for (id_of, share) in &all.held {
            let seen = see(&mut dice, &all, id_of, *share);
            let one_already = goes.iter().any(|(other, _)| other == id_of);
            if !one_already && witness(id_of, id(share.0), &seen).is_ok() {
                goes.push((*id_of, *share));
            }
        }
        let left: Vec<_> = all
            .held
            .iter()
            .filter(|held| !goes.contains(held))
            .copied()
            .collect();
        let shares: BTreeSet<_> = left.iter().map(|(_, share)| *share).collect();
        assert_eq!(shares.len(), n, "seed {seed}: a share is lost: {all:?} {goes:?}");
        assert_eq!(stays(&left), before, "seed {seed}: {all:?} {goes:?}");
        parted += goes.len();
        several += usize::from(goes.len() > 1);
    }
    assert!(
        parted > 500 && several > 100,
        "{parted} {several}: it happens often enough"
    );
}

/// What one node sees: some of the others do not answer it.
fn see(dice: &mut StdRng, all: &Holdings, own: &NodeId, share: ShareNumber) -> Holdings {
    let mut seen = all.clone();
    let silent = all.held[dice.random_range(0..all.held.len())].0;
    if dice.random_range(0..3) == 0 && silent != *own {
        seen.held.retain(|(id, _)| *id != silent);
    }
    assert!(seen.held.contains(&(*own, share)));
    seen
}

fn trimmer(own: NodeId) -> Trimmer {
    let config = Config {
        own,
        grace: GRACE,
        bytes_per_second: NonZeroU64::new(1000).expect("not 0"),
    };
    Trimmer::new(config, Mono::ZERO + QUIET)
}

fn only(trimmer: &mut Trimmer) -> Option<Effect> {
    let effect = trimmer.poll_effect();
    assert_eq!(trimmer.poll_effect(), None, "one thing at a time");
    effect
}

fn surplus() -> (Vec<NodeId>, Holdings) {
    let nodes = ranked(4);
    let held = holdings(
        (2, 3),
        &[(nodes[0], 0), (nodes[3], 0), (nodes[1], 1), (nodes[2], 2)],
    );
    (nodes, held)
}

#[test]
fn a_copy_goes_after_two_proofs_a_grace_apart() {
    let (nodes, held) = surplus();
    let mut trimmer = trimmer(nodes[0]);
    let mut now = Mono::from_millis(5);
    trimmer.handle_found(now, id(0), Reason::Surplus);
    trimmer.handle_found(now, id(0), Reason::Surplus);
    for proof in 0..2 {
        assert_eq!(only(&mut trimmer), Some(Effect::Survey(id(0))));
        trimmer.handle_holdings(now, id(0), Some(&held));
        if proof == 1 {
            let ask = Effect::Ask {
                share: id(0),
                witness: nodes[3],
            };
            assert_eq!(only(&mut trimmer), Some(ask), "before the last proof");
            trimmer.handle_kept(now, id(0), true);
        }
        let prove = Effect::Prove {
            share: id(0),
            witness: nodes[3],
        };
        assert_eq!(only(&mut trimmer), Some(prove));
        trimmer.handle_proof(now, id(0), true, 0);
        if proof == 0 {
            assert_eq!(only(&mut trimmer), None);
            assert_eq!((trimmer.report().waiting, trimmer.report().in_grace), (0, 1));
            assert_eq!(trimmer.next_deadline(), Some(now + GRACE));
            trimmer.handle_timeout(now + GRACE / 2);
            assert_eq!(only(&mut trimmer), None);
            now += GRACE;
            trimmer.handle_timeout(now);
        }
    }
    assert_eq!(only(&mut trimmer), Some(Effect::Drop(id(0), Reason::Surplus)));
    assert_eq!(trimmer.next_deadline(), None);
    trimmer.handle_dropped(now, id(0), true);
    let report = trimmer.report();
    assert_eq!((report.dropped, report.waiting, report.in_grace), (1, 0, 0));
    assert!(report.stays.is_empty());
}

#[test]
fn whatever_changes_on_the_way_keeps_the_copy() {
    let (nodes, held) = surplus();
    let needed = holdings((2, 3), &[(nodes[0], 0), (nodes[1], 1), (nodes[2], 2)]);
    let once = |trimmer: &mut Trimmer, now: Mono| {
        trimmer.handle_found(now, id(0), Reason::Surplus);
        // Even no bytes take the pace a moment.
        trimmer.handle_timeout(now + Duration::from_millis(1));
        assert_eq!(only(trimmer), Some(Effect::Survey(id(0))));
    };
    let kept = |trimmer: &mut Trimmer, now: Mono, kept: bool| {
        trimmer.handle_holdings(now, id(0), Some(&held));
        assert!(matches!(only(trimmer), Some(Effect::Ask { .. })));
        trimmer.handle_kept(now, id(0), kept);
    };
    let proven = |trimmer: &mut Trimmer, now: Mono| {
        trimmer.handle_holdings(now, id(0), Some(&held));
        assert!(matches!(only(trimmer), Some(Effect::Prove { .. })));
        trimmer.handle_proof(now, id(0), true, 0);
    };
    let later = Mono::ZERO + GRACE;
    let mut trimmer = trimmer(nodes[0]);
    // The nodes cannot be asked; the witness lies; after the grace the witness is gone; it lies then; the disk fails.
    once(&mut trimmer, Mono::ZERO);
    trimmer.handle_holdings(Mono::ZERO, id(0), None);
    once(&mut trimmer, Mono::ZERO);
    trimmer.handle_holdings(Mono::ZERO, id(0), Some(&held));
    only(&mut trimmer);
    trimmer.handle_proof(Mono::ZERO, id(0), false, 0);
    once(&mut trimmer, Mono::ZERO);
    proven(&mut trimmer, Mono::ZERO);
    once(&mut trimmer, later);
    trimmer.handle_holdings(later, id(0), Some(&needed));
    once(&mut trimmer, later);
    proven(&mut trimmer, later);
    once(&mut trimmer, later + GRACE);
    kept(&mut trimmer, later + GRACE, true);
    only(&mut trimmer);
    trimmer.handle_proof(later + GRACE, id(0), false, 0);
    let third = later + GRACE + GRACE;
    once(&mut trimmer, third);
    proven(&mut trimmer, third);
    once(&mut trimmer, third + GRACE);
    kept(&mut trimmer, third + GRACE, false);
    assert_eq!(only(&mut trimmer), None, "the witness is about to go itself");
    let last = third + GRACE + GRACE;
    once(&mut trimmer, last);
    proven(&mut trimmer, last);
    once(&mut trimmer, last + GRACE);
    kept(&mut trimmer, last + GRACE, true);
    assert!(matches!(only(&mut trimmer), Some(Effect::Prove { .. })));
    trimmer.handle_proof(last + GRACE, id(0), true, 0);
    assert_eq!(only(&mut trimmer), Some(Effect::Drop(id(0), Reason::Surplus)));
    trimmer.handle_dropped(last + GRACE, id(0), false);
    let expected = BTreeMap::from([
        (Stays::Needed, 1),
        (Stays::NotKept, 1),
        (Stays::Unproven, 2),
        (Stays::Failed, 2),
    ]);
    assert_eq!((trimmer.report().stays, trimmer.report().dropped), (expected, 0));
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let (nodes, held) = surplus();
    let mut trimmer = trimmer(nodes[0]);
    let now = Mono::ZERO;
    trimmer.handle_proof(now, id(0), true, 0);
    trimmer.handle_dropped(now, id(0), true);
    trimmer.handle_found(now, id(0), Reason::Surplus);
    trimmer.handle_found(now, id(1), Reason::Surplus);
    assert_eq!(only(&mut trimmer), Some(Effect::Survey(id(0))));
    trimmer.handle_holdings(now, id(1), Some(&held));
    trimmer.handle_proof(now, id(0), true, 0);
    trimmer.handle_dropped(now, id(0), true);
    assert_eq!(only(&mut trimmer), None, "no step is skipped");
    assert_eq!((trimmer.report().waiting, trimmer.report().dropped), (2, 0));
}

#[test]
fn proofs_are_read_at_a_rate_and_nothing_goes_while_it_stops() {
    let (nodes, held) = surplus();
    let mut trimmer = trimmer(nodes[0]);
    trimmer.handle_found(Mono::ZERO, id(0), Reason::Surplus);
    trimmer.handle_found(Mono::ZERO, id(1), Reason::Surplus);
    only(&mut trimmer);
    trimmer.handle_holdings(Mono::ZERO, id(0), Some(&held));
    only(&mut trimmer);
    trimmer.handle_proof(Mono::ZERO, id(0), true, 5_000);
    assert_eq!(only(&mut trimmer), None, "5,000 bytes are five seconds");
    let rested = trimmer.next_deadline().expect("it rests");
    assert!(
        rested >= Mono::from_millis(5_000) && rested < Mono::from_millis(5_001),
        "{rested:?}"
    );
    trimmer.handle_timeout(rested);
    assert_eq!(only(&mut trimmer), Some(Effect::Survey(id(1))));
    trimmer.stop();
    trimmer.handle_holdings(rested, id(1), Some(&held));
    assert_eq!(only(&mut trimmer), None);
    assert_eq!(trimmer.next_deadline(), None);
}

#[test]
fn copies_are_bounded() {
    let mut trimmer = trimmer(node(1));
    for number in 0..=COPIES_MAX as u64 {
        let mut si = [0; 16];
        si[..8].copy_from_slice(&number.to_be_bytes());
        let share = ShareNumber(0);
        let share = ShareId {
            si: StorageIndex(si),
            share,
        };
        trimmer.handle_found(Mono::ZERO, share, Reason::Surplus);
    }
    assert_eq!(trimmer.report().waiting, COPIES_MAX as u64);
}
