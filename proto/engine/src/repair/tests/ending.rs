//! Uploaders that lie, work that fails, and repairs that are stopped.

use truckee_grid::caps::ChkVerifier;
use truckee_grid::erasure::Codec;
use truckee_grid::merkle;
use truckee_grid::pipeline::FileTrees;

use super::*;
use crate::transfer::model::engines;

/// A 2-of-5 file whose uploader made some shares of other bytes than the rest in its last segment, share s at node s.
fn crooked(segments: usize, swapped: &[usize]) -> (World, BTreeMap<ShareNumber, Stored>) {
    let coding = encoding(2, 5, 1).coding();
    let block_bytes = 576;
    let made = |seed: u8| {
        let data = [vec![seed; block_bytes], vec![seed ^ 0xff; block_bytes]];
        let data: Vec<&[u8]> = data.iter().map(|block| &block[..]).collect();
        let recovery = Codec::new(coding, engines().erasure)
            .encode(&data)
            .expect("valid");
        let data = data.into_iter().map(bytes::Bytes::copy_from_slice);
        data.chain(recovery).collect::<Vec<_>>()
    };
    let mut trees = FileTrees::new(coding);
    let mut blocks: Vec<Vec<bytes::Bytes>> = vec![Vec::new(); 5];
    let (mut leaves, mut sealed_leaves) = (vec![Vec::new(); 5], Vec::new());
    for segment in 0..segments {
        let mut row = made(segment as u8);
        if segment + 1 == segments {
            let others = made(200);
            for share in swapped {
                row[*share] = others[*share].clone();
            }
        }
        let row_leaves: Vec<Hash> = row.iter().map(|block| merkle::block_leaf(block)).collect();
        let sealed_leaf = merkle::sealed_leaf(&row_leaves[..2]);
        trees.push(&row_leaves, sealed_leaf);
        sealed_leaves.push(sealed_leaf);
        for (share, (block, leaf)) in row.into_iter().zip(row_leaves).enumerate() {
            blocks[share].push(block);
            leaves[share].push(leaf);
        }
    }
    let seal = trees
        .finish(segments as u64 * 1024, 1024)
        .expect("whole segments");
    let file = message::FileFacts {
        ueb: seal.ueb,
        share_roots: seal.share_roots,
    };
    let mut world = World::new(7);
    for (index, (blocks, block_leaves)) in blocks.into_iter().zip(leaves).enumerate() {
        let stored = Stored {
            blocks,
            block_leaves,
            sealed_leaves: sealed_leaves.clone(),
            file: file.clone(),
        };
        world.peer(index as u8).shares.insert(share(index as u8), stored);
    }
    let originals = world.originals();
    (world, originals)
}

#[test]
fn from_shares_that_contradict_each_other_nothing_is_made() {
    for segments in [1, 6] {
        let (mut world, originals) = crooked(segments, &[3]);
        wipe(&mut world, 0..2);
        wipe(&mut world, 4..5);
        // Only shares 2 and 3 are left, and they do not belong together.
        let repaired = run_repair(&Healer::of(&world), &mut world);
        let segment = SegmentIndex(segments as u64 - 1);
        let error = RepairError::Inconsistent { segment };
        assert_eq!(repaired.failed().error, error);
        assert!(error.to_string().contains("upload the file again"));
        assert_eq!((world.holders().len(), world.open_shares()), (2, 0));
        is_true(&world, &originals);
    }
}

#[test]
fn a_share_that_would_not_be_the_one_the_file_speaks_of_is_not_written() {
    for segments in [1, 6] {
        let (mut world, originals) = crooked(segments, &[3]);
        wipe(&mut world, 3..5);
        let repaired = run_repair(&Healer::of(&world), &mut world);
        let report = repaired.report();
        assert_eq!(report.outcome, RepairOutcome::Partial);
        assert_eq!(unplaced(&repaired), [(share(3), UnplacedWhy::Inconsistent)]);
        assert_eq!(placements(&repaired), [(share(4), node(4))]);
        assert!(!world.holders().contains_key(&share(3)));
        assert_eq!(world.open_shares(), 0);
        is_true(&world, &originals);
    }
}

#[test]
fn the_facts_of_a_crooked_file_are_good_all_the_same() {
    let (world, originals) = crooked(6, &[3]);
    let said = &originals[&share(0)].file;
    let file = ChkVerifier {
        si: Healer::of(&world).config.si,
        ueb_hash: said.ueb.hash(),
        coding: said.ueb.coding(),
        size: said.ueb.file_bytes(),
    };
    let roots: Vec<u8> = said.share_roots.iter().flat_map(|root| root.0).collect();
    assert!(FileFacts::verify(&file, &said.ueb.encode(), &roots).is_ok());
}

#[test]
fn work_that_fails_fails_the_repair() {
    for (len, segment) in [(700, 0), (LEN, 17)] {
        let (mut world, _, _) = stored(10, len);
        wipe(&mut world, 0..2);
        let mut healer = Healer::of(&world);
        healer.fails_at = Some(segment);
        let repaired = run_repair(&healer, &mut world);
        let segment = SegmentIndex(segment);
        assert_eq!(repaired.failed().error, RepairError::Fault { segment });
        assert_eq!((world.holders().len(), world.open_shares()), (8, 0));
    }
}

#[test]
fn blocks_that_were_not_wanted_are_a_fault() {
    let (mut world, _, _) = stored(10, 700);
    wipe(&mut world, 0..2);
    let mut machine = Repair::new(Healer::of(&world).config, world.now);
    let mut last = None;
    while let Some(effect) = machine.poll_effect() {
        match effect {
            Effect::Send {
                token, peer, request, ..
            } => {
                let result = world.peers.get_mut(&peer).expect("known").serve(&request);
                machine.handle_answer(world.now, token, result.map_err(CallError::Refused));
            }
            Effect::Rebuild { job, .. } => {
                let nothing = RebuiltSegment {
                    blocks: Vec::new(),
                    sealed_leaf: Hash([0; 32]),
                    bad: Vec::new(),
                };
                // Of a job that was never given: no attention is paid to it.
                machine.handle_rebuilt(world.now, job + 1, None);
                assert!(!machine.has_ended());
                machine.handle_rebuilt(world.now, job, Some(Ok(nothing)));
            }
            other => last = Some(other),
        }
    }
    let Some(Effect::Failed(failed)) = last else {
        panic!("not refused: {last:?}");
    };
    let segment = SegmentIndex(0);
    assert_eq!(failed.error, RepairError::Fault { segment });
}

#[test]
fn a_cancel_takes_back_what_is_open_and_leaves_what_is_durable() {
    for after_ms in [0, 1, 3, 5, 8, 15, 20, 25, 30, 35, 40, 60] {
        let (mut world, _, originals) = stored(12, LEN);
        wipe(&mut world, 0..3);
        let mut healer = Healer::of(&world);
        healer.config.window_bytes = 8 * 1024;
        healer.cancelled_at = Some(world.now + Duration::from_millis(after_ms));
        let repaired = run_repair(&healer, &mut world);
        assert_eq!(world.open_shares(), 0, "after {after_ms} ms");
        is_true(&world, &originals);
        if let Err(failed) = &repaired.result {
            assert_eq!(failed.error, RepairError::Cancelled);
            assert_eq!(repaired.took, Duration::from_millis(after_ms));
            for placed in &failed.findings.placed {
                assert!(world.peers[&placed.peer].shares.contains_key(&placed.share));
            }
        }
    }
}

#[test]
fn a_share_that_is_about_to_be_durable_is_not_taken_back() {
    let (mut world, _, originals) = stored(10, LEN);
    wipe(&mut world, 0..1);
    // The close is on its way for a long time, and the repair is stopped meanwhile.
    let began = world.now;
    let healer = Healer::of(&world);
    let undisturbed = run_repair(&healer, &mut world);
    wipe(&mut world, 0..1);
    world.peer(0).fresh.clear();
    let mut healer = Healer::of(&world);
    let close_sent = undisturbed.took - crate::transfer::model::HOP * 2;
    healer.cancelled_at = Some(world.now + close_sent + Duration::from_micros(500));
    assert!(world.now > began);
    let repaired = run_repair(&healer, &mut world);
    assert_eq!(repaired.failed().error, RepairError::Cancelled);
    assert!(repaired.sent.contains(&"close_share"), "stopped too early");
    assert!(world.peer(0).aborted.is_empty());
    is_whole(&world, &originals);
}
