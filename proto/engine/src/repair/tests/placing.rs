//! Where shares go, and what happens when a node that is to get one fails.

use truckee_wire::message::FailureCode;

use super::*;
use crate::transfer::model::repairing::run_repairs;

fn failed(peer: u8, why: PeerWhy) -> UnplacedWhy {
    UnplacedWhy::Failed(crate::transfer::PeerReport {
        peer: node(peer),
        why,
    })
}

#[test]
fn nobody_gets_a_second_share_while_somebody_who_takes_has_none() {
    let (mut world, _, originals) = stored(14, LEN);
    wipe(&mut world, 0..3);
    // Of those without a share one is full, one stays away from new shares.
    let mut healer = Healer::of(&world);
    healer.config.takers.remove(&node(0));
    healer.config.takers.remove(&node(11));
    let repaired = run_repair(&healer, &mut world);
    let expected = [(share(0), node(1)), (share(1), node(2)), (share(2), node(10))];
    assert_eq!(placements(&repaired), expected);
    is_whole(&world, &originals);
}

#[test]
fn when_all_takers_have_one_the_least_loaded_get_a_second() {
    for len in [700, LEN] {
        let (mut world, _, originals) = stored(10, len);
        let mut healer = Healer::of(&world);
        // Six nodes are gone for good.
        for gone in 4..10 {
            world.peers.remove(&node(gone));
            healer.config.takers.remove(&node(gone));
        }
        healer.config.candidates = world.ids();
        let repaired = run_repair(&healer, &mut world);
        assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
        let held: Vec<usize> = world.peers.values().map(|peer| peer.shares.len()).collect();
        assert_eq!(held, [3, 3, 2, 2]);
        is_whole(&world, &originals);
        // And another repair has nothing to do.
        let again = run_repair(&healer, &mut world);
        assert_eq!(again.report().outcome, RepairOutcome::Unneeded);
    }
}

#[test]
fn crowded_shares_get_a_second_copy_on_nodes_that_have_none() {
    for len in [700, LEN] {
        let (mut world, _, originals) = stored(12, len);
        let moved = std::mem::take(&mut world.peer(1).shares);
        world.peer(0).shares.extend(moved);
        let repaired = run_repair(&Healer::of(&world), &mut world);
        let report = repaired.report();
        assert_eq!(report.outcome, RepairOutcome::Complete);
        let placed = &report.findings.placed[..];
        assert!(
            placed.len() == 1 && placed[0].copy && placed[0].peer == node(1),
            "{placed:?}"
        );
        assert_eq!(report.rebuilt().count(), 0, "nothing was missing");
        is_whole(&world, &originals);
    }
}

#[test]
fn what_is_on_a_node_that_drains_is_read_and_made_again_elsewhere() {
    for len in [700, LEN] {
        let (mut world, _, originals) = stored(12, len);
        // All but three shares are lost, and of these two are on nodes that drain: they are needed to make any.
        wipe(&mut world, 3..10);
        let mut healer = Healer::of(&world);
        healer.config.draining = BTreeSet::from([node(0), node(1)]);
        // Not even when somebody takes them for takers.
        let repaired = run_repair(&healer, &mut world);
        let report = repaired.report();
        assert_eq!(report.outcome, RepairOutcome::Complete);
        assert_eq!(report.findings.placed.len(), 9, "all but the one that stays");
        let on_draining = |placed: &&Placed| healer.config.draining.contains(&placed.peer);
        assert_eq!(report.findings.placed.iter().find(on_draining), None);
        assert!(
            world.peer(0).shares.len() == 1 && world.peer(1).shares.len() == 1,
            "nothing is removed"
        );
        world.peers.remove(&node(0));
        world.peers.remove(&node(1));
        is_whole(&world, &originals);
    }
}

#[test]
fn a_share_that_is_elsewhere_too_is_not_made_again_because_its_node_drains() {
    let (mut world, _, originals) = stored(12, LEN);
    let copy = world.peer(3).shares.clone();
    world.peer(11).shares.extend(copy);
    let mut healer = Healer::of(&world);
    healer.config.draining = BTreeSet::from([node(3)]);
    let repaired = run_repair(&healer, &mut world);
    assert_eq!(repaired.report().outcome, RepairOutcome::Unneeded);
    is_whole(&world, &originals);
}

#[test]
fn without_takers_nothing_is_read_and_every_missing_share_is_named() {
    let (mut world, _, _) = stored(10, LEN);
    wipe(&mut world, 0..2);
    let mut healer = Healer::of(&world);
    healer.config.takers.clear();
    let repaired = run_repair(&healer, &mut world);
    assert_eq!(repaired.report().outcome, RepairOutcome::Partial);
    let expected = [(share(0), UnplacedWhy::NoTaker), (share(1), UnplacedWhy::NoTaker)];
    assert_eq!(unplaced(&repaired), expected);
    assert_eq!(repaired.sent, ["find_shares"; 10]);
}

#[test]
fn a_node_that_is_full_or_refuses_is_replaced_before_anything_is_read() {
    for len in [700, LEN] {
        let (mut world, _, originals) = stored(13, len);
        wipe(&mut world, 0..3);
        world.peer(0).full = true;
        let lie = |peer: NodeId, request: &Request| {
            let writes = matches!(request, Request::OpenShare(_) | Request::PutShare(_));
            let refuses = peer == node(1) && writes;
            refuses.then(|| failure(FailureCode::RefusedRole)).flatten()
        };
        let repaired = run_repair_with(&Healer::of(&world), &mut world, &lie);
        let findings = &repaired.report().findings;
        assert_eq!(trouble(findings, 0), Some(PeerWhy::Full));
        assert_eq!(trouble(findings, 1), Some(PeerWhy::RefusedRole));
        assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
        let mut placed = placements(&repaired);
        placed.sort_unstable();
        let mut peers: Vec<NodeId> = placed.iter().map(|(_, peer)| *peer).collect();
        peers.sort_unstable();
        assert_eq!(peers, [node(2), node(10), node(11)], "the next in the ring");
        is_whole(&world, &originals);
        let segments = len.div_ceil(1024);
        assert_eq!(repaired.rebuilt.len(), segments, "there is one reading");
        if len == LEN {
            let opens = repaired.sent.iter().rposition(|kind| *kind == "open_share");
            let reads = repaired.sent.iter().position(|kind| *kind == "read_block");
            assert!(opens < reads, "who is full is found out before anything is read");
        }
    }
}

#[test]
fn a_share_is_moved_once_and_then_named() {
    for len in [700, LEN] {
        let (mut world, _, originals) = stored(14, len);
        wipe(&mut world, 0..1);
        for full in [0, 10, 11, 12] {
            world.peer(full).full = true;
        }
        let repaired = run_repair(&Healer::of(&world), &mut world);
        assert_eq!(repaired.report().outcome, RepairOutcome::Partial);
        assert_eq!(unplaced(&repaired), [(share(0), failed(10, PeerWhy::Full))]);
        let tried: usize = world
            .peers
            .values()
            .flat_map(|peer| &peer.served)
            .filter(|kind| ["open_share", "put_share"].contains(kind))
            .count();
        assert_eq!(tried, TARGETS_MAX);
        is_true(&world, &originals);
        assert_eq!(world.open_shares(), 0);
    }
}

#[test]
fn a_share_whose_only_taker_fails_is_named_with_the_reason() {
    let (mut world, _, _) = stored(10, LEN);
    wipe(&mut world, 0..1);
    world.peer(0).full = true;
    let mut healer = Healer::of(&world);
    healer.config.takers = BTreeSet::from([node(0)]);
    let repaired = run_repair(&healer, &mut world);
    assert_eq!(unplaced(&repaired), [(share(0), failed(0, PeerWhy::Full))]);
}

#[test]
fn a_second_copy_goes_nowhere_rather_than_beside_another_share() {
    let (mut world, _, _) = stored(10, LEN);
    let moved = std::mem::take(&mut world.peer(1).shares);
    world.peer(0).shares.extend(moved);
    world.peer(1).full = true;
    let repaired = run_repair(&Healer::of(&world), &mut world);
    let report = repaired.report();
    assert_eq!(report.outcome, RepairOutcome::Partial);
    assert!(report.unplaced.len() == 1 && report.unplaced[0].copy);
    assert_eq!(
        world.peers.values().map(|peer| peer.shares.len()).sum::<usize>(),
        10
    );
}

#[test]
fn a_node_that_dies_midway_is_replaced_by_a_second_reading() {
    let (mut world, _, originals) = stored(12, LEN);
    wipe(&mut world, 0..2);
    // It has taken about half of its blocks by then.
    world.peer(0).dies_after = Some(24);
    let mut healer = Healer::of(&world);
    healer.config.window_bytes = 16 * 1024;
    let repaired = run_repair(&healer, &mut world);
    let report = repaired.report();
    assert_eq!(report.outcome, RepairOutcome::Complete);
    let name = |why: PeerWhy| why.name();
    assert_eq!(trouble(&report.findings, 0).map(name), Some("unreachable"));
    let mut placed = placements(&repaired);
    placed.sort_unstable();
    assert_eq!(placed, [(share(0), node(10)), (share(1), node(1))]);
    // The second reading makes only what is still missing.
    assert_eq!(repaired.rebuilt.len(), 2 * 41);
    assert!(
        repaired.rebuilt[..20]
            .iter()
            .all(|(_, wanted)| *wanted == [share(0), share(1)])
    );
    assert!(
        repaired.rebuilt[41..]
            .iter()
            .all(|(_, wanted)| *wanted == [share(0)])
    );
    is_whole(&world, &originals);
}

#[test]
fn a_replacement_that_dies_too_ends_it_with_what_could_be_done() {
    let (mut world, _, originals) = stored(13, LEN);
    wipe(&mut world, 0..2);
    world.peer(0).dies_after = Some(24);
    world.peer(10).dies_after = Some(30);
    let mut healer = Healer::of(&world);
    healer.config.window_bytes = 16 * 1024;
    let repaired = run_repair(&healer, &mut world);
    assert_eq!(repaired.report().outcome, RepairOutcome::Partial);
    assert_eq!(placements(&repaired), [(share(1), node(1))]);
    let [(lost, UnplacedWhy::Failed(last))] = unplaced(&repaired)[..] else {
        panic!("{:?}", unplaced(&repaired));
    };
    assert_eq!(
        (lost, last.peer, last.why.name()),
        (share(0), node(10), "unreachable")
    );
    is_true(&world, &originals);
}

#[test]
fn a_node_that_freezes_costs_its_links_life() {
    for len in [700, LEN] {
        let (mut world, _, originals) = stored(12, len);
        wipe(&mut world, 0..2);
        world.peer(0).frozen_from = Some(world.now + Duration::from_millis(3));
        let repaired = run_repair(&Healer::of(&world), &mut world);
        assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
        assert_eq!(trouble(&repaired.report().findings, 0), Some(PeerWhy::LinkLost));
        assert!(
            repaired.took < Duration::from_millis(2_500),
            "{:?}",
            repaired.took
        );
        is_whole(&world, &originals);
    }
}

#[test]
fn a_busy_node_gets_its_share_later_and_one_that_stays_busy_does_not() {
    for len in [700, LEN] {
        let (mut world, _, originals) = stored(12, len);
        wipe(&mut world, 0..2);
        world.peer(0).busy = 4;
        let repaired = run_repair(&Healer::of(&world), &mut world);
        assert_eq!(placements(&repaired), [(share(0), node(0)), (share(1), node(1))]);
        is_whole(&world, &originals);
        let (mut world, _, originals) = stored(12, len);
        wipe(&mut world, 0..2);
        let stays_busy = |peer: NodeId, request: &Request| {
            let busy = peer == node(0) && !matches!(request, Request::FindShares(_));
            let failure = truckee_wire::message::Failure::busy(Duration::from_millis(10), "as ordered");
            busy.then_some(Err(CallError::Refused(failure)))
        };
        let repaired = run_repair_with(&Healer::of(&world), &mut world, &stays_busy);
        assert_eq!(trouble(&repaired.report().findings, 0), Some(PeerWhy::StayedBusy));
        assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
        is_whole(&world, &originals);
    }
}

#[test]
fn a_share_that_is_there_by_now_is_done_if_it_is_of_this_file() {
    for len in [700, LEN] {
        for foreign in [false, true] {
            let (mut world, done, originals) = stored(12, len);
            let kept = std::mem::take(&mut world.peer(0).shares);
            // The node is asked what it holds, and gets the share from somebody else right after.
            let mut there = kept.into_values().next().expect("one");
            if foreign {
                there.file.share_roots[9].0[0] ^= 1;
            }
            let lies = |peer: NodeId, request: &Request| {
                let empty = truckee_wire::message::FoundShares {
                    shares: Vec::new(),
                    file: None,
                    inlined: None,
                };
                let first = peer == node(0) && matches!(request, Request::FindShares(_));
                let first = first && !ASKED.with(|asked| asked.replace(true));
                first.then_some(Ok(Response::FoundShares(empty)))
            };
            ASKED.with(|asked| asked.set(false));
            world.peer(0).shares.insert(share(0), there);
            let repaired = run_repair_with(&Healer::of(&world).knowing(done.ueb_hash), &mut world, &lies);
            let placed = &repaired.report().findings.placed;
            assert_eq!(placed.len(), 1);
            if foreign {
                let why = if len == LEN {
                    PeerWhy::Foreign
                } else {
                    // Who is given a whole share sees at once that it is another file's.
                    PeerWhy::Refused {
                        code: FailureCode::BadRequest,
                    }
                };
                assert_eq!(trouble(&repaired.report().findings, 0), Some(why));
                assert_eq!((placed[0].peer, placed[0].existed), (node(10), false));
                world.peer(0).shares.clear();
            } else {
                assert_eq!((placed[0].peer, placed[0].existed), (node(0), true));
                assert_eq!(repaired.report().findings.written_bytes, 0);
            }
            is_whole(&world, &originals);
        }
    }
}

thread_local! {
    static ASKED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[test]
fn repairs_at_the_same_time_do_no_harm() {
    for len in [700, LEN] {
        for later_ms in [0, 1, 3, 10, 30] {
            let (mut world, _, originals) = stored(12, len);
            wipe(&mut world, 0..3);
            let first = Healer::of(&world);
            let mut second = Healer::of(&world);
            second.config.upload = UploadId([5; 16]);
            second.begins_after = Duration::from_millis(later_ms);
            let both = run_repairs(&[first, second], &mut world, &|_, _| None);
            for repaired in &both {
                assert_ne!(repaired.report().outcome, RepairOutcome::Partial);
                assert!(repaired.report().findings.troubles.is_empty());
            }
            is_whole(&world, &originals);
            assert_eq!(world.open_shares(), 0);
        }
    }
}
