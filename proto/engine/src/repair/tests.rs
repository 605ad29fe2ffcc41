//! Each rule of the repair machine, in a made-up mesh.

mod choosing;
mod ending;
mod placing;
mod random;
mod reading;

use std::collections::BTreeMap;

use truckee_grid::ids::{NodeId, ShareNumber};

use super::*;
use crate::transfer::model::repairing::{Healer, Repaired, run_repair, run_repair_with};
use crate::transfer::model::{Body, Stored, World, encoding, node, plaintext, run_upload, upload_config};
use crate::upload::UploadDone;

/// Forty segments and a bit of 1 KiB.
const LEN: usize = 40 * 1024 + 100;

fn share(number: u8) -> ShareNumber {
    ShareNumber(number)
}

/// A mesh of `count` nodes of which the first ten hold a share each of a 3-of-10 file, and the shares as they were made.
fn stored(count: u8, len: usize) -> (World, UploadDone, BTreeMap<ShareNumber, Stored>) {
    let mut world = World::new(count);
    let config = upload_config(&world, encoding(3, 10, 7));
    let uploaded = run_upload(&mut world, config, &Body::of(plaintext(len)));
    let done = uploaded.result.expect("the upload completes");
    let originals = world.originals();
    for peer in world.peers.values_mut() {
        peer.served.clear();
        peer.fresh.clear();
    }
    (world, done, originals)
}

/// The nodes lose their shares.
fn wipe(world: &mut World, nodes: std::ops::Range<u8>) {
    for index in nodes {
        world.peer(index).shares.clear();
    }
}

/// Every share is there, and each copy of it is what the uploader made, to the last bit.
fn is_whole(world: &World, originals: &BTreeMap<ShareNumber, Stored>) {
    assert_eq!(
        world.originals().len(),
        originals.len(),
        "some shares are nowhere"
    );
    is_true(world, originals);
}

/// No copy of a share is anything else than what the uploader made.
fn is_true(world: &World, originals: &BTreeMap<ShareNumber, Stored>) {
    for (id, peer) in &world.peers {
        for (share, stored) in &peer.shares {
            assert!(stored == &originals[share], "share {share} at {id} is another");
        }
    }
}

fn placements(repaired: &Repaired) -> Vec<(ShareNumber, NodeId)> {
    let placed = repaired.report().findings.placed.iter();
    placed.map(|placed| (placed.share, placed.peer)).collect()
}

fn unplaced(repaired: &Repaired) -> Vec<(ShareNumber, UnplacedWhy)> {
    let unplaced = repaired.report().unplaced.iter();
    unplaced.map(|unplaced| (unplaced.share, unplaced.why)).collect()
}

fn trouble(findings: &Findings, peer: u8) -> Option<PeerWhy> {
    let troubles = findings.troubles.iter();
    let mut found = troubles.filter(|report| report.peer == node(peer));
    found.next().map(|report| report.why)
}

fn failure(code: truckee_wire::message::FailureCode) -> Option<Result<Response, CallError>> {
    let failure = truckee_wire::message::Failure::new(code, "as ordered by the test");
    Some(Err(CallError::Refused(failure)))
}

#[test]
fn a_whole_file_is_left_alone() {
    for len in [700, LEN] {
        let (mut world, done, originals) = stored(10, len);
        let repaired = run_repair(&Healer::of(&world), &mut world);
        let report = repaired.report();
        assert_eq!(report.outcome, RepairOutcome::Unneeded);
        assert_eq!(
            (report.ueb_hash, report.coding, report.before.len()),
            (done.ueb_hash, done.ueb.coding(), 10)
        );
        assert_eq!(repaired.sent, ["find_shares"; 10], "nothing is read");
        assert_eq!(
            (report.findings.read_bytes, report.findings.written_bytes),
            (0, 0)
        );
        is_whole(&world, &originals);
    }
}

#[test]
fn lost_shares_are_made_again_to_the_last_bit() {
    for len in [1, 700, 1024, 1025, 2048, LEN] {
        for lost in [0..3, 4..8, 3..10, 0..7, 9..10] {
            let (mut world, done, originals) = stored(10, len);
            wipe(&mut world, lost.clone());
            let repaired = run_repair(&Healer::of(&world), &mut world);
            let report = repaired.report();
            assert_eq!(
                report.outcome,
                RepairOutcome::Complete,
                "{len} bytes, lost {lost:?}"
            );
            let expected: Vec<_> = lost.clone().map(|index| (share(index), node(index))).collect();
            assert_eq!(
                placements(&repaired),
                expected,
                "to those that have none, in their order"
            );
            assert!(report.rebuilt().eq(lost.clone().map(share)));
            assert_eq!(report.before.len(), 10 - lost.len());
            let segments = done.ueb.segments();
            let block_bytes = done.ueb.geometry().share_blocks_bytes();
            assert_eq!(
                report.findings.read_bytes,
                3 * block_bytes,
                "k blocks of each segment"
            );
            assert_eq!(report.findings.written_bytes, lost.len() as u64 * block_bytes);
            assert_eq!(
                repaired.rebuilt.len() as u64,
                segments,
                "each segment is rebuilt once"
            );
            is_whole(&world, &originals);
        }
    }
}

#[test]
fn a_file_of_one_segment_takes_one_message_for_each_share() {
    let (mut world, _, originals) = stored(10, 700);
    wipe(&mut world, 0..2);
    let repaired = run_repair(&Healer::of(&world), &mut world);
    let mut kinds = repaired.sent.clone();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["find_shares", "put_share", "read_block"]);
    assert_eq!(repaired.sent.len(), 10 + 3 + 2);
    is_whole(&world, &originals);
}

#[test]
fn a_file_of_one_share_for_all_is_repaired_too() {
    // 1-of-3 and 2-of-5, and shapes whose k is no power of two.
    for (k, n) in [(1, 3), (2, 5), (5, 9), (7, 8)] {
        let mut world = World::new(n as u8);
        let config = upload_config(&world, encoding(k, n, 1));
        let uploaded = run_upload(&mut world, config, &Body::of(plaintext(5000)));
        assert!(uploaded.result.is_ok());
        let originals = world.originals();
        wipe(&mut world, 0..(n - k) as u8);
        let repaired = run_repair(&Healer::of(&world), &mut world);
        assert_eq!(repaired.report().outcome, RepairOutcome::Complete, "{k}-of-{n}");
        is_whole(&world, &originals);
    }
}

#[test]
fn the_stages_are_timed_and_the_progress_is_told() {
    let (mut world, _, _) = stored(10, LEN);
    wipe(&mut world, 0..3);
    world.peer(0).delay = Duration::from_millis(30);
    let repaired = run_repair(&Healer::of(&world), &mut world);
    let timings = repaired.report().findings.timings;
    assert!(timings.asking >= Duration::from_millis(30) && timings.opening >= Duration::from_millis(30));
    assert_eq!(timings.rebuilding, crate::transfer::model::HOP * 41);
    assert!(timings.fetching > Duration::ZERO && timings.writing > Duration::ZERO);
    assert_eq!(timings.total, repaired.took);

    let (mut world, _, _) = stored(10, LEN);
    let mut machine = Repair::new(Healer::of(&world).config, world.now);
    assert_eq!((machine.progress().asked, machine.progress().nodes), (0, 10));
    while let Some(effect) = machine.poll_effect() {
        if let Effect::Send {
            token, peer, request, ..
        } = effect
        {
            let result = world.peers.get_mut(&peer).expect("known").serve(&request);
            machine.handle_answer(world.now, token, result.map_err(CallError::Refused));
        }
    }
    let progress = machine.progress();
    assert_eq!((progress.asked, progress.segments), (10, 41));
}

#[test]
fn many_nodes_are_asked_a_bounded_number_at_a_time() {
    let (world, _, _) = stored(200, 100);
    let mut machine = Repair::new(Healer::of(&world).config, world.now);
    let sent = std::iter::from_fn(|| machine.poll_effect()).count();
    assert_eq!(sent, crate::transfer::survey::FINDS_MAX);
}

#[test]
fn a_node_that_is_named_twice_is_asked_once() {
    let (mut world, _, _) = stored(10, 700);
    let mut healer = Healer::of(&world);
    healer.config.candidates.extend(world.ids());
    let repaired = run_repair(&healer, &mut world);
    assert_eq!(repaired.sent.len(), 10);
    assert_eq!(repaired.report().outcome, RepairOutcome::Unneeded);
}
