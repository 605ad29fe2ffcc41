//! Where blocks come from, how many are held, and how many may be moved.

use truckee_wire::message::{BlockRead, FailureCode, SealedProof};

use super::*;
use crate::transfer::model::ModelPeer;
use crate::upload::KEEP_EVERY;

type Change = fn(&mut ModelPeer);

#[test]
fn a_bad_copy_is_reported_and_another_share_used() {
    let changes: [(Change, Corruption); 5] = [
        (|peer| peer.bad_blocks_from = Some(0), Corruption::Block),
        (|peer| peer.bad_blocks_from = Some(30), Corruption::Block),
        (|peer| peer.bad_path = true, Corruption::Block),
        (|peer| peer.bad_sealed_path = true, Corruption::Block),
        (|peer| peer.admits_damage = true, Corruption::Admitted),
    ];
    for (index, (change, what)) in changes.into_iter().enumerate() {
        let (mut world, _, originals) = stored(10, LEN);
        wipe(&mut world, 5..7);
        change(world.peer(1));
        let repaired = run_repair(&Healer::of(&world), &mut world);
        let report = repaired.report();
        assert_eq!(report.outcome, RepairOutcome::Complete, "change {index}");
        let expected = CorruptShare {
            peer: node(1),
            share: share(1),
            what,
        };
        assert_eq!(report.findings.damage, [expected], "change {index}");
        if what == Corruption::Admitted {
            continue;
        }
        let peer = world.peer(1);
        assert_eq!((peer.told.len(), peer.shares.len()), (1, 0), "it was put aside");
        (peer.bad_blocks_from, peer.bad_path, peer.bad_sealed_path) = (None, false, false);
        // The next repair makes it again.
        let repaired = run_repair(&Healer::of(&world), &mut world);
        assert_eq!(placements(&repaired), [(share(1), node(1))], "change {index}");
        is_whole(&world, &originals);
    }
}

#[test]
fn a_copy_that_is_known_to_be_bad_is_not_there_and_its_node_gets_nothing() {
    for len in [700, LEN] {
        let (mut world, done, originals) = stored(11, len);
        wipe(&mut world, 5..7);
        let peer = world.peer(1);
        (peer.bad_blocks_from, peer.insists) = (Some(0), true);
        let mut healer = Healer::of(&world).knowing(done.ueb_hash);
        healer.config.distrusted = BTreeSet::from([(node(1), share(1))]);
        let repaired = run_repair(&healer, &mut world);
        let report = repaired.report();
        assert_eq!(report.outcome, RepairOutcome::Complete);
        assert!(!report.before.contains_key(&share(1)));
        let placed = placements(&repaired);
        assert!(placed.iter().any(|(made, _)| *made == share(1)), "{placed:?}");
        assert!(placed.iter().all(|(_, peer)| *peer != node(1)), "{placed:?}");
        assert!(world.peer(1).reads.is_empty(), "nothing is read from it");
        is_true(&world, &originals);
    }
}

#[test]
fn a_block_of_the_wrong_length_is_damage() {
    let (mut world, _, originals) = stored(10, LEN);
    wipe(&mut world, 5..7);
    let short = |peer: NodeId, request: &Request| {
        let read = BlockRead {
            block_path: Vec::new(),
            sealed: SealedProof {
                leaf: Hash([0; 32]),
                path: Vec::new(),
            },
            block: bytes::Bytes::from_static(&[1; 3]),
        };
        let lies = peer == node(2) && matches!(request, Request::ReadBlock(_));
        lies.then_some(Ok(Response::BlockRead(read)))
    };
    let repaired = run_repair_with(&Healer::of(&world), &mut world, &short);
    let findings = &repaired.report().findings;
    assert_eq!((findings.damage.len(), findings.damage[0].peer), (1, node(2)));
    assert_eq!(findings.damage[0].what, Corruption::Block);
    is_whole(&world, &originals);
}

#[test]
fn with_too_few_good_shares_nothing_is_built_and_nothing_stays_open() {
    for len in [700, LEN] {
        let (mut world, _, originals) = stored(12, len);
        wipe(&mut world, 0..3);
        for bad in 3..8 {
            let peer = world.peer(bad);
            (peer.bad_blocks_from, peer.insists) = (Some(u64::from(len == LEN) * 20), true);
        }
        let repaired = run_repair(&Healer::of(&world), &mut world);
        let failed = repaired.failed();
        assert_eq!(failed.error, RepairError::TooFewShares { have: 2, need: 3 });
        assert_eq!(failed.findings.damage.len(), 5);
        assert_eq!((world.holders().len(), world.open_shares()), (7, 0));
        is_true(&world, &originals);
    }
}

#[test]
fn shares_that_decode_for_nothing_are_preferred() {
    let (mut world, _, _) = stored(12, LEN);
    wipe(&mut world, 4..6);
    run_repair(&Healer::of(&world), &mut world);
    let read_from: Vec<bool> = world.peers.values().map(|peer| !peer.reads.is_empty()).collect();
    assert_eq!(read_from.iter().filter(|read| **read).count(), 3);
    assert!(
        read_from[..3].iter().all(|read| *read),
        "the first k shares are the data"
    );
}

#[test]
fn a_slow_source_is_left_for_faster_ones() {
    let (mut world, _, originals) = stored(10, LEN);
    wipe(&mut world, 5..7);
    world.peer(0).delay = Duration::from_millis(250);
    let mut healer = Healer::of(&world);
    healer.config.window_bytes = 8 * 1024;
    let repaired = run_repair(&healer, &mut world);
    assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
    assert!(
        world.peer(0).reads.len() < 12,
        "{} blocks of 41",
        world.peer(0).reads.len()
    );
    is_whole(&world, &originals);
}

#[test]
fn a_source_that_says_nothing_is_replaced_when_its_time_is_over() {
    let (mut world, _, originals) = stored(10, LEN);
    wipe(&mut world, 5..7);
    let silent_from = world.now + Duration::from_millis(6);
    world.peer(0).frozen_from = Some(silent_from);
    world.peer(0).undead = true;
    let repaired = run_repair(&Healer::of(&world), &mut world);
    assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
    let bound = READ_BUDGET + Duration::from_secs(4);
    assert!(
        repaired.took > READ_BUDGET && repaired.took < bound,
        "{:?}",
        repaired.took
    );
    assert_eq!(
        trouble(&repaired.report().findings, 0),
        None,
        "once is not enough to be given up"
    );
    is_whole(&world, &originals);
}

#[test]
fn lost_sources_are_replaced_and_get_a_second_chance() {
    // Seven are out of reach for a moment, three of the others are enough; or one comes back in time.
    for (lost, back_after_ms) in [(4, None), (6, Some(300)), (6, None)] {
        let (mut world, _, originals) = stored(12, LEN);
        wipe(&mut world, 0..2);
        let down_from = world.now + Duration::from_millis(12);
        for index in 2..2 + lost {
            world.peer(index).down_from = Some(down_from);
            world.peer(index).up_again_at =
                back_after_ms.map(|after| down_from + Duration::from_millis(after));
        }
        let repaired = run_repair(&Healer::of(&world), &mut world);
        assert!(repaired.took < Duration::from_secs(4), "{:?}", repaired.took);
        if lost == 4 || back_after_ms.is_some() {
            assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
            is_whole(&world, &originals);
        } else {
            let failed = repaired.failed();
            assert_eq!(failed.error, RepairError::TooFewShares { have: 2, need: 3 });
            assert!(failed.to_string().contains("cannot be reached"), "{failed}");
            assert_eq!(world.open_shares(), 0);
        }
    }
}

#[test]
fn busy_sources_rest_and_those_that_stay_busy_are_given_up() {
    let busy_reads = |world: &mut World, busy: std::ops::Range<u8>| {
        let busy = |peer: NodeId, request: &Request| {
            let reads = busy.contains(&peer.0[0]) && matches!(request, Request::ReadBlock(_));
            let failure = truckee_wire::message::Failure::busy(Duration::from_millis(10), "as ordered");
            reads.then_some(Err(CallError::Refused(failure)))
        };
        run_repair_with(&Healer::of(world), world, &busy)
    };
    let (mut world, _, originals) = stored(10, LEN);
    wipe(&mut world, 7..10);
    let repaired = busy_reads(&mut world, 0..4);
    assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
    is_whole(&world, &originals);
    let (mut world, _, _) = stored(10, LEN);
    wipe(&mut world, 7..10);
    let repaired = busy_reads(&mut world, 0..5);
    let failed = repaired.failed();
    assert_eq!(failed.error, RepairError::TooFewShares { have: 2, need: 3 });
    assert!((0..5).all(|peer| trouble(&failed.findings, peer) == Some(PeerWhy::StayedBusy)));
    assert!(repaired.took < Duration::from_secs(30), "{:?}", repaired.took);
}

#[test]
fn a_source_that_has_no_share_or_talks_nonsense_is_left_alone() {
    for nonsense in [false, true] {
        let (mut world, _, originals) = stored(10, LEN);
        wipe(&mut world, 7..10);
        let lie = |peer: NodeId, request: &Request| {
            let lies = peer == node(0) && matches!(request, Request::ReadBlock(_));
            let answer = || {
                if nonsense {
                    Some(Ok(Response::BlockWritten))
                } else {
                    failure(FailureCode::NotFound)
                }
            };
            lies.then(answer).flatten()
        };
        let repaired = run_repair_with(&Healer::of(&world), &mut world, &lie);
        let findings = &repaired.report().findings;
        assert!(findings.damage.is_empty());
        assert_eq!(trouble(findings, 0), nonsense.then_some(PeerWhy::WrongAnswer));
        is_whole(&world, &originals);
    }
}

#[test]
fn what_is_held_is_bounded_by_the_window() {
    let mut most = Vec::new();
    for window_bytes in [0, 4 * 1024, 20 * 1024, WINDOW_BYTES] {
        let (mut world, _, originals) = stored(10, LEN);
        wipe(&mut world, 0..4);
        // One node takes its blocks slowly.
        world.peer(0).delay = Duration::from_millis(40);
        let mut healer = Healer::of(&world);
        healer.config.window_bytes = window_bytes;
        let repaired = run_repair(&healer, &mut world);
        is_whole(&world, &originals);
        most.push(repaired.held_most);
    }
    let segment = 384 * (3 + 4);
    assert_eq!(most[0], segment, "one segment is always allowed");
    assert_eq!(most[1], segment);
    assert!(
        most[2] > 4 * segment && most[2] <= 20 * 1024,
        "the window is used: {} bytes",
        most[2]
    );
    assert!(most[3] <= WINDOW_SEGMENTS_MAX * segment, "{} bytes", most[3]);
}

#[test]
fn with_a_pace_no_more_is_moved_than_was_granted() {
    for grant in [1, 1_000, 100_000] {
        let (mut world, done, originals) = stored(10, 10 * 1024);
        wipe(&mut world, 0..2);
        let mut healer = Healer::of(&world);
        healer.config.paced = true;
        healer.grants = (Duration::from_millis(50), grant);
        let repaired = run_repair(&healer, &mut world);
        assert_eq!(repaired.overdrawn, 0);
        let bytes = 5 * done.ueb.geometry().share_blocks_bytes();
        let least = Duration::from_millis(50) * (bytes / grant) as u32;
        assert!(repaired.took >= least, "{:?} for {bytes} bytes", repaired.took);
        is_whole(&world, &originals);
    }
}

#[test]
fn what_had_to_be_moved_twice_is_made_up_for() {
    let (mut world, done, originals) = stored(10, 60 * 1024);
    wipe(&mut world, 0..2);
    // Every block of two peers is bad from some segment on, and has to be read from others.
    for (bad, from) in [(2, 5), (3, 9)] {
        let peer = world.peer(bad);
        (peer.bad_blocks_from, peer.insists) = (Some(from), true);
    }
    let mut healer = Healer::of(&world);
    healer.config.paced = true;
    healer.config.window_bytes = 8 * 1024;
    healer.grants = (Duration::from_millis(50), 2_000);
    let repaired = run_repair(&healer, &mut world);
    let window = 8 * 1024;
    assert!(repaired.overdrawn <= window, "{} bytes ahead", repaired.overdrawn);
    assert!(repaired.saved >= 0, "{} bytes were not granted", -repaired.saved);
    let report = repaired.report();
    let more = report.findings.read_bytes - 3 * done.ueb.geometry().share_blocks_bytes();
    assert!(more > 0, "some blocks were read twice");
    is_whole(&world, &originals);
}

#[test]
fn open_shares_outlive_a_budget_that_takes_minutes() {
    let (mut world, _, originals) = stored(10, 6 * 1024);
    wipe(&mut world, 0..2);
    let mut healer = Healer::of(&world);
    healer.config.paced = true;
    healer.config.window_bytes = 0;
    healer.grants = (Duration::from_secs(130), 384 * 5);
    let repaired = run_repair(&healer, &mut world);
    assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
    assert!(repaired.took > 4 * KEEP_EVERY);
    is_whole(&world, &originals);
    // A node that dies meanwhile is noticed by then, and replaced.
    let (mut world, _, originals) = stored(12, 6 * 1024);
    wipe(&mut world, 0..2);
    world.peer(0).down_from = Some(world.now + Duration::from_secs(150));
    let repaired = run_repair(&healer, &mut world);
    assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
    is_whole(&world, &originals);
}

#[test]
fn what_had_to_be_written_twice_is_made_up_for_too() {
    let (mut world, _, originals) = stored(10, 60 * 1024);
    wipe(&mut world, 0..2);
    let refused = std::cell::RefCell::new(BTreeSet::new());
    let busy = |peer: NodeId, request: &Request| {
        let Request::WriteBlock(write) = request else {
            return None;
        };
        let first = peer == node(0) && write.segment.0 < 12 && refused.borrow_mut().insert(write.segment);
        let failure = truckee_wire::message::Failure::busy(Duration::from_millis(10), "as ordered");
        first.then_some(Err(CallError::Refused(failure)))
    };
    let mut healer = Healer::of(&world);
    healer.config.paced = true;
    healer.config.window_bytes = 8 * 1024;
    healer.grants = (Duration::from_millis(50), 2_000);
    let repaired = run_repair_with(&healer, &mut world, &busy);
    let writes = repaired
        .sent
        .iter()
        .filter(|kind| **kind == "write_block")
        .count();
    assert!(writes > 2 * 60, "{writes} blocks sent: none twice");
    assert!(repaired.saved >= 0, "{} bytes were not granted", -repaired.saved);
    is_whole(&world, &originals);
}

type News = fn() -> Option<Result<Response, CallError>>;

/// The first answer of a source is bad news, and what else was asked of it is never answered.
#[test]
fn what_was_asked_of_a_source_that_failed_is_not_waited_for() {
    let news: [News; 3] = [
        || failure(FailureCode::Corrupt),
        || Some(Err(CallError::LinkLost)),
        || Some(Ok(Response::BlockWritten)),
    ];
    for (index, news) in news.into_iter().enumerate() {
        let (mut world, _, originals) = stored(10, LEN);
        wipe(&mut world, 5..7);
        world.peer(0).undead = true;
        let lie = |peer: NodeId, request: &Request| match request {
            Request::ReadBlock(read) if peer == node(0) && read.segment.0 == 0 => news(),
            _ => None,
        };
        world.peer(0).frozen_from = Some(world.now + Duration::from_micros(3_500));
        let repaired = run_repair_with(&Healer::of(&world), &mut world, &lie);
        assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
        assert!(
            repaired.took < Duration::from_secs(1),
            "news {index}: {:?}",
            repaired.took
        );
        is_whole(&world, &originals);
    }
}

/// Reads that are on their way when all targets are lost are of no use to the reading after.
#[test]
fn a_reading_that_ends_early_takes_its_reads_back() {
    let (mut world, _, originals) = stored(12, LEN);
    wipe(&mut world, 0..1);
    // Its blocks before are taken, so that those of further segments are asked for.
    let lie = |peer: NodeId, request: &Request| match request {
        Request::WriteBlock(write) if peer == node(0) && write.segment.0 == 8 => {
            Some(Err(CallError::LinkLost))
        }
        _ => None,
    };
    let mut healer = Healer::of(&world);
    healer.config.window_bytes = 8 * 1024;
    let repaired = run_repair_with(&healer, &mut world, &lie);
    assert_eq!(repaired.report().outcome, RepairOutcome::Complete);
    assert!(repaired.rebuilt.len() > 41, "there was a second reading");
    assert!(repaired.reads_cancelled > 0, "the reads of the first went on");
    is_whole(&world, &originals);
}

#[test]
fn a_source_that_was_lost_once_goes_behind_the_others() {
    let (mut world, _, originals) = stored(10, LEN);
    wipe(&mut world, 5..7);
    let down_from = world.now + Duration::from_millis(500);
    world.peer(0).down_from = Some(down_from);
    world.peer(0).up_again_at = Some(down_from + Duration::from_millis(300));
    let mut healer = Healer::of(&world);
    healer.config.paced = true;
    healer.grants = (Duration::from_millis(100), 384 * 5);
    let repaired = run_repair(&healer, &mut world);
    assert!(repaired.took > Duration::from_secs(3), "it goes on long after");
    let read = world.peer(0).reads.len();
    assert!((3..8).contains(&read), "{read} blocks");
    is_whole(&world, &originals);
}

/// Nobody else has the shares, so the same peers are asked again and again.
#[test]
fn a_source_that_answers_in_between_is_not_given_up() {
    for lost in [false, true] {
        let (mut world, _, originals) = stored(10, LEN);
        wipe(&mut world, 3..10);
        let met = std::cell::RefCell::new(BTreeSet::new());
        let lie = |peer: NodeId, request: &Request| {
            let Request::ReadBlock(read) = request else {
                return None;
            };
            let every = if lost { 15 } else { 2 };
            let first =
                peer == node(0) && read.segment.0 % every == 1 && met.borrow_mut().insert(read.segment);
            let failure = truckee_wire::message::Failure::busy(Duration::from_millis(10), "as ordered");
            let error = if lost {
                CallError::LinkLost
            } else {
                CallError::Refused(failure)
            };
            first.then_some(Err(error))
        };
        let mut healer = Healer::of(&world);
        healer.config.window_bytes = 0;
        let repaired = run_repair_with(&healer, &mut world, &lie);
        assert_eq!(repaired.report().outcome, RepairOutcome::Complete, "lost: {lost}");
        assert!(met.borrow().len() >= if lost { 3 } else { 20 });
        is_whole(&world, &originals);
    }
}

#[test]
fn peers_that_hold_the_same_shares_have_equal_work() {
    let (mut world, _, originals) = stored(10, LEN);
    wipe(&mut world, 3..10);
    for index in 0..3 {
        world
            .peer(index + 3)
            .shares
            .insert(share(index), originals[&share(index)].clone());
    }
    run_repair(&Healer::of(&world), &mut world);
    for index in 0..6 {
        let read = world.peer(index).reads.len();
        assert!((15..=26).contains(&read), "{read} of 41 blocks of peer {index}");
    }
    is_whole(&world, &originals);
}

#[test]
fn of_a_rebuilt_segment_only_what_was_made_is_held() {
    let (mut world, _, _) = stored(10, LEN);
    wipe(&mut world, 0..2);
    let mut config = Healer::of(&world).config;
    config.window_bytes = 10 * 1024;
    let mut machine = Repair::new(config, world.now);
    let mut rebuilder = None;
    // Blocks that are written are never taken.
    while let Some(effect) = machine.poll_effect() {
        match effect {
            Effect::Send {
                token, peer, request, ..
            } if !matches!(request, Request::WriteBlock(_)) => {
                let result = world.peers.get_mut(&peer).expect("known").serve(&request);
                machine.handle_answer(world.now, token, result.map_err(CallError::Refused));
            }
            Effect::Rebuild {
                job,
                segment,
                blocks,
                wanted,
            } => {
                let facts = machine.file().expect("known").clone();
                let tool = rebuilder.get_or_insert_with(|| {
                    let engines = crate::transfer::model::engines();
                    truckee_grid::pipeline::SegmentRebuilder::new(facts.ueb().coding(), engines)
                });
                let rebuilt = truckee_grid::pipeline::rebuild_segment(tool, &facts, segment, blocks, &wanted);
                machine.handle_rebuilt(world.now, job, Some(rebuilt));
            }
            _ => {}
        }
    }
    assert_eq!(machine.window_segments(), 10 * 1024 / (5 * 384));
    assert_eq!(machine.held_bytes().0, machine.window_segments() * 2 * 384);
}
