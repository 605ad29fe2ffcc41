//! Each rule of the check machine, in a made-up mesh without latency; time passes only where the machine waits.

use bytes::Bytes;
use truckee_grid::params::Coding;
use truckee_grid::pipeline::check_blocks;

use super::*;
use crate::transfer::model::{Body, World, encoding, node, plaintext, run_upload, upload_config};
use crate::transfer::survey::FINDS_MAX;
use crate::upload::UploadDone;

const LEN: usize = 20 * 1024 + 100;

fn stored(count: u8, len: usize) -> (World, ChkVerifier) {
    let mut world = World::new(count);
    let config = upload_config(&world, encoding(3, 10, 7));
    let uploaded = run_upload(&mut world, config, &Body::of(plaintext(len)));
    let done: UploadDone = uploaded.result.expect("the upload completes");
    let file = ChkVerifier {
        si: truckee_grid::ids::StorageIndex([3; 16]),
        ueb_hash: done.ueb_hash,
        coding: done.ueb.coding(),
        size: done.ueb.file_bytes(),
    };
    (world, file)
}

/// What a made-up peer answers instead of the truth.
type Lie = Box<dyn Fn(u8, &Request) -> Option<Result<Response, CallError>>>;

struct Run {
    result: Result<CheckReport, CheckError>,
    most_out: usize,
    sent: usize,
    took: Duration,
}

impl Run {
    fn report(self) -> CheckReport {
        self.result.expect("a report")
    }
}

fn run(world: &mut World, file: ChkVerifier, verify: bool) -> Run {
    let truth: Lie = Box::new(|_, _| None);
    run_with(world, file, verify, &truth)
}

fn run_with(world: &mut World, file: ChkVerifier, verify: bool, lie: &Lie) -> Run {
    let config = Config {
        file,
        candidates: world.ids(),
        verify,
    };
    let began = world.now;
    let mut machine = Check::new(config, world.now);
    let (mut queue, mut most_out, mut sent) = (VecDeque::new(), 0, 0);
    for _ in 0..100_000 {
        while let Some(effect) = machine.poll_effect() {
            if let Effect::Send { .. } = effect {
                sent += 1;
            }
            queue.push_back(effect);
        }
        most_out = most_out.max(machine.window_used);
        match queue.pop_front() {
            Some(Effect::Send {
                token, peer, request, ..
            }) => {
                let truth = world.peers.get_mut(&peer).expect("known");
                let result = lie(peer.0[0], &request)
                    .unwrap_or_else(|| truth.serve(&request).map_err(CallError::Refused));
                machine.handle_answer(world.now, token, result);
            }
            Some(Effect::CancelSend { .. }) => {}
            Some(Effect::Verify(batch)) => {
                let facts = machine.file().expect("facts come before blocks").clone();
                let verdicts = check_blocks(&facts, &batch.blocks);
                machine.handle_verified(world.now, batch.id, Some(verdicts));
            }
            Some(Effect::Completed(report)) => {
                assert!(
                    queue.is_empty() && machine.poll_effect().is_none(),
                    "an effect after the last"
                );
                return Run {
                    result: Ok(*report),
                    most_out,
                    sent,
                    took: world.now.saturating_sub(began),
                };
            }
            Some(Effect::Failed(error)) => {
                assert!(machine.poll_effect().is_none(), "an effect after the last");
                return Run {
                    result: Err(error),
                    most_out,
                    sent,
                    took: world.now.saturating_sub(began),
                };
            }
            None => {
                world.now = machine.next_deadline().expect("something is waited for");
                machine.handle_timeout(world.now);
            }
        }
    }
    panic!("the check does not end");
}

#[test]
fn a_healthy_file_is_said_to_be_so() {
    for len in [100, 1024, LEN] {
        for verify in [false, true] {
            let (mut world, file) = stored(12, len);
            let report = run(&mut world, file, verify).report();
            assert!(report.is_healthy() && report.is_recoverable());
            assert_eq!(
                (report.good(), report.good_hosts(), report.happiness),
                (10, 10, 10)
            );
            assert_eq!((report.responding.len(), report.silent.len()), (12, 0));
            let blocks = if verify { 10 * len.div_ceil(1024) as u64 } else { 0 };
            assert_eq!(report.blocks, blocks, "each block of each share is hashed");
        }
    }
}

#[test]
fn a_file_that_nobody_holds_is_not_recoverable() {
    let (mut world, file) = stored(10, LEN);
    world.peers.values_mut().for_each(|peer| peer.shares.clear());
    let report = run(&mut world, file, true).report();
    assert_eq!(
        (report.good(), report.is_recoverable(), report.responding.len()),
        (0, false, 10)
    );
    let mut empty = World::new(0);
    let report = run(&mut empty, file, true).report();
    assert_eq!(
        (report.good(), report.responding.len(), report.happiness),
        (0, 0, 0)
    );
}

#[test]
fn missing_shares_are_counted_and_shares_on_one_peer_are_not_happy() {
    let (mut world, file) = stored(10, LEN);
    let moved = std::mem::take(&mut world.peer(1).shares);
    world.peer(0).shares.extend(moved);
    world.peer(2).shares.clear();
    let report = run(&mut world, file, false).report();
    assert_eq!((report.good(), report.good_hosts(), report.happiness), (9, 8, 8));
    assert!(!report.is_healthy() && report.is_recoverable());
}

#[test]
fn facts_of_another_hash_make_every_share_of_the_peer_corrupt() {
    let (mut world, file) = stored(10, LEN);
    world.peer(4).bad_facts = true;
    for verify in [false, true] {
        let report = run(&mut world, file, verify).report();
        assert_eq!(report.good(), 9);
        let [corrupt] = report.corrupt[..] else {
            panic!("{:?}", report.corrupt)
        };
        assert_eq!((corrupt.peer, corrupt.what), (node(4), Corruption::Facts));
    }
}

#[test]
fn only_verifying_finds_a_bad_block_path_or_proof() {
    for spoil in 0..4 {
        let (mut world, file) = stored(10, LEN);
        let peer = world.peer(6);
        match spoil {
            0 => peer.bad_blocks_from = Some(20),
            1 => peer.bad_path = true,
            2 => peer.bad_sealed_path = true,
            _ => peer.admits_damage = true,
        }
        let report = run(&mut world, file, false).report();
        assert!(report.is_healthy(), "without reading nothing is seen");
        let report = run(&mut world, file, true).report();
        assert_eq!(
            (report.good(), report.responding.len()),
            (9, 10),
            "spoiled in way {spoil}"
        );
        let what = if spoil == 3 {
            Corruption::Admitted
        } else {
            Corruption::Block
        };
        let [corrupt] = report.corrupt[..] else {
            panic!("{:?}", report.corrupt)
        };
        assert_eq!((corrupt.peer, corrupt.what), (node(6), what));
    }
}

#[test]
fn a_peer_is_told_of_a_bad_block_before_the_check_has_ended() {
    for insists in [false, true] {
        let (mut world, file) = stored(10, LEN);
        let peer = world.peer(6);
        (peer.bad_blocks_from, peer.insists) = (Some(3), insists);
        let share = *peer.shares.keys().next().expect("it holds one");
        let report = run(&mut world, file, true).report();
        let peer = world.peer(6);
        assert_eq!(peer.told, [(share, 3)], "once, and of this block");
        assert_eq!(
            peer.shares.is_empty(),
            !insists,
            "it has looked itself when the check ends"
        );
        assert_eq!(
            (report.good(), report.corrupt.len()),
            (9, 1),
            "what it says changes nothing"
        );
        assert!((0..10).all(|other| other == 6 || world.peer(other).told.is_empty()));
    }
    // One that says nothing to it delays the check by its time, and no more.
    let (mut world, file) = stored(10, LEN);
    world.peer(6).bad_blocks_from = Some(0);
    let lie: Lie = Box::new(|_, request| {
        let told = matches!(request, Request::ReadBlock(read) if read.suspect);
        told.then_some(Err(CallError::LinkLost))
    });
    let report = run_with(&mut world, file, true, &lie).report();
    assert_eq!((report.good(), report.responding.len()), (9, 10));
}

#[test]
fn of_a_corrupt_share_no_more_is_read() {
    let (mut world, file) = stored(10, 200 * 1024);
    world.peer(6).bad_blocks_from = Some(0);
    run(&mut world, file, true).report();
    assert!(
        world.peer(6).reads.len() < 30,
        "{} blocks read",
        world.peer(6).reads.len()
    );
    assert_eq!(world.peer(5).reads.len(), 200);
}

#[test]
fn a_peer_that_does_not_answer_is_named_with_the_reason() {
    let (mut world, file) = stored(10, LEN);
    let lie: Lie = Box::new(|peer, request| match (peer, request) {
        (1, _) => Some(Err(CallError::Down {
            retry_in: Duration::from_secs(9),
        })),
        (2, _) => Some(Err(CallError::LinkLost)),
        (3, _) => Some(Ok(Response::BlockWritten)),
        (4, Request::ReadBlock(read)) if read.segment.0 == 3 => Some(Err(CallError::Expired)),
        _ => None,
    });
    let report = run_with(&mut world, file, true, &lie).report();
    assert_eq!(report.good(), 6);
    let silent: Vec<_> = report
        .silent
        .iter()
        .map(|report| (report.peer, report.why.name()))
        .collect();
    let expected = [
        (node(1), "unreachable"),
        (node(2), "link_lost"),
        (node(3), "wrong_answer"),
        (node(4), "timed_out"),
    ];
    assert_eq!(silent, expected);
    assert_eq!(report.responding.len(), 6);
    assert!(report.corrupt.is_empty(), "silence is not corruption");
}

#[test]
fn busy_peers_are_asked_again_and_those_that_stay_busy_are_given_up() {
    let (mut world, file) = stored(10, LEN);
    world.peer(3).busy = 5;
    let report = run(&mut world, file, true).report();
    assert!(report.is_healthy());
    world.peer(3).busy = u32::MAX;
    let run = run(&mut world, file, true);
    assert!(run.took < Duration::from_secs(20), "{:?}", run.took);
    let report = run.report();
    assert_eq!((report.good(), report.silent[0].why), (9, PeerWhy::StayedBusy));
}

#[test]
fn a_share_that_goes_away_meanwhile_is_missing_and_its_peer_did_answer() {
    let (mut world, file) = stored(10, LEN);
    let lie: Lie = Box::new(|peer, request| {
        let gone = truckee_wire::message::Failure::new(truckee_wire::message::FailureCode::NotFound, "gone");
        let read = matches!(request, Request::ReadBlock(read) if read.segment.0 >= 5);
        (peer == 8 && read).then_some(Err(CallError::Refused(gone)))
    });
    let report = run_with(&mut world, file, true, &lie).report();
    assert_eq!(
        (report.good(), report.responding.len(), report.corrupt.len()),
        (9, 10, 0)
    );
}

#[test]
fn an_edited_cap_is_refused() {
    let (mut world, mut file) = stored(10, LEN);
    file.coding = Coding::new(2, 10).expect("a code");
    let run = run(&mut world, file, true);
    assert_eq!(run.result, Err(CheckError::CapContradicts));
}

#[test]
fn shares_that_the_file_has_not_are_set_aside() {
    let (mut world, file) = stored(10, LEN);
    let stray = world.peer(0).shares.values().next().expect("one").clone();
    world.peer(0).shares.insert(ShareNumber(200), stray);
    let report = run(&mut world, file, true).report();
    assert!(report.is_healthy());
    assert_eq!(report.incompatible, [(node(0), ShareNumber(200))]);
}

#[test]
fn bytes_in_flight_are_bounded() {
    let mut world = World::new(10);
    let big = truckee_grid::params::Encoding::new(Coding::new(3, 10).expect("a code"), 7, 4 << 20);
    let config = upload_config(&world, big.expect("valid"));
    let uploaded = run_upload(&mut world, config, &Body::of(vec![7; 9 << 20]));
    let done = uploaded.result.expect("the upload completes");
    let file = ChkVerifier {
        si: truckee_grid::ids::StorageIndex([3; 16]),
        ueb_hash: done.ueb_hash,
        coding: done.ueb.coding(),
        size: done.ueb.file_bytes(),
    };
    let run = run(&mut world, file, true);
    assert!(run.most_out <= WINDOW_BYTES, "{} bytes", run.most_out);
    assert!(
        run.most_out > WINDOW_BYTES / 2,
        "the window is used: {} bytes",
        run.most_out
    );
    assert_eq!(run.sent, 10 + 30);
    assert!(run.report().is_healthy());
}

#[test]
fn many_nodes_are_asked_a_bounded_number_at_a_time() {
    let (world, file) = stored(200, 100);
    let config = Config {
        file,
        candidates: world.ids(),
        verify: false,
    };
    let mut machine = Check::new(config, world.now);
    let sent = std::iter::from_fn(|| machine.poll_effect()).count();
    assert_eq!(sent, FINDS_MAX);
    assert_eq!(machine.progress().nodes, 200);
}

#[test]
fn a_cancelled_check_takes_its_requests_back() {
    let (world, file) = stored(10, LEN);
    let config = Config {
        file,
        candidates: world.ids(),
        verify: true,
    };
    let mut machine = Check::new(config, world.now);
    machine.handle_cancel();
    let effects: Vec<Effect> = std::iter::from_fn(|| machine.poll_effect()).collect();
    let cancelled = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::CancelSend { .. }));
    assert_eq!(cancelled.count(), 10);
    assert!(matches!(
        effects.last(),
        Some(Effect::Failed(CheckError::Cancelled))
    ));
    assert_eq!(machine.next_deadline(), None);
}

#[test]
fn a_broken_hasher_is_a_fault_and_not_corruption() {
    let (mut world, file) = stored(10, LEN);
    let config = Config {
        file,
        candidates: world.ids(),
        verify: true,
    };
    let mut machine = Check::new(config, world.now);
    let mut last = None;
    while let Some(effect) = machine.poll_effect() {
        match effect {
            Effect::Send {
                token, peer, request, ..
            } => {
                let result = world.peers.get_mut(&peer).expect("known").serve(&request);
                machine.handle_answer(world.now, token, result.map_err(CallError::Refused));
            }
            Effect::Verify(batch) => machine.handle_verified(world.now, batch.id, None),
            other => last = Some(other),
        }
    }
    assert!(
        matches!(last, Some(Effect::Failed(CheckError::Fault { .. }))),
        "{last:?}"
    );
}

#[test]
fn a_block_of_the_wrong_length_is_corrupt() {
    let (mut world, file) = stored(10, LEN);
    let lie: Lie = Box::new(|peer, request| {
        let Request::ReadBlock(_) = request else {
            return None;
        };
        let read = truckee_wire::message::BlockRead {
            block_path: Vec::new(),
            sealed: truckee_wire::message::SealedProof {
                leaf: truckee_grid::ids::Hash([0; 32]),
                path: Vec::new(),
            },
            block: Bytes::from_static(&[1; 3]),
        };
        (peer == 2).then_some(Ok(Response::BlockRead(read)))
    });
    let report = run_with(&mut world, file, true, &lie).report();
    assert_eq!((report.good(), report.corrupt[0].peer), (9, node(2)));
}
