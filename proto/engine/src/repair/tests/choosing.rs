//! Which file it is, and what is missing of it.

use truckee_wire::message::FailureCode;

use super::*;

/// Another file under the same name, as a node that lies or a broken uploader may have made it.
fn other_file(len: usize) -> BTreeMap<ShareNumber, Stored> {
    let mut world = World::new(10);
    let config = upload_config(&world, encoding(3, 10, 7));
    let mut bytes = plaintext(len);
    bytes[0] ^= 1;
    let uploaded = run_upload(&mut world, config, &Body::of(bytes));
    assert!(uploaded.result.is_ok());
    world.originals()
}

/// These nodes say that they hold these shares of another file.
fn lie(world: &mut World, others: &BTreeMap<ShareNumber, Stored>, claims: &[(u8, &[u8])]) {
    for (peer, shares) in claims {
        let shares = shares
            .iter()
            .map(|number| (share(*number), others[&share(*number)].clone()));
        world.peer(*peer).shares = shares.collect();
    }
}

#[test]
fn without_a_hash_the_file_that_the_most_nodes_hold_counts() {
    for len in [700, LEN] {
        let (mut world, done, originals) = stored(10, len);
        let others = other_file(len);
        wipe(&mut world, 4..10);
        // Three lie, one of them that it holds everything; four do not.
        lie(
            &mut world,
            &others,
            &[(4, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), (5, &[5]), (6, &[6])],
        );
        let repaired = run_repair(&Healer::of(&world), &mut world);
        let report = repaired.report();
        assert_eq!(
            (report.outcome, report.ueb_hash),
            (RepairOutcome::Complete, done.ueb_hash)
        );
        let conflicts: Vec<_> = report
            .findings
            .conflicts
            .iter()
            .map(|conflict| conflict.peer)
            .collect();
        assert_eq!(conflicts, [node(4), node(5), node(6)]);
        assert_eq!(report.findings.conflicts[0].shares.len(), 10);
        let given_to: Vec<NodeId> = placements(&repaired).iter().map(|(_, peer)| *peer).collect();
        assert!(
            given_to.iter().all(|peer| !conflicts.contains(peer)),
            "{given_to:?}"
        );
        // What the liars hold is theirs; nothing of it came anywhere else.
        for (index, peer) in world.peers.values_mut().enumerate() {
            let lied = (4..7).contains(&index);
            assert!(
                peer.shares
                    .values()
                    .all(|stored| (stored.file.ueb.hash() != done.ueb_hash) == lied)
            );
            if lied {
                peer.shares.clear();
            }
        }
        is_whole(&world, &originals);
    }
}

#[test]
fn a_minority_is_not_built_from_even_if_the_others_lack_shares() {
    let (mut world, _, _) = stored(10, LEN);
    let others = other_file(LEN);
    wipe(&mut world, 2..10);
    // Two hold the true file, which needs three; one lies that it holds all of another.
    lie(&mut world, &others, &[(9, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])]);
    let repaired = run_repair(&Healer::of(&world), &mut world);
    let failed = repaired.failed();
    assert_eq!(failed.error, RepairError::TooFewShares { have: 2, need: 3 });
    assert_eq!(failed.findings.conflicts.len(), 1);
    assert_eq!(repaired.sent, ["find_shares"; 10], "nothing is read or written");
    assert_eq!(world.holders().values().flatten().count(), 2 + 10);
}

#[test]
fn two_files_that_as_many_nodes_hold_are_contested() {
    let (mut world, _, _) = stored(10, LEN);
    let others = other_file(LEN);
    wipe(&mut world, 4..10);
    lie(&mut world, &others, &[(6, &[6]), (7, &[7]), (8, &[8]), (9, &[9])]);
    let repaired = run_repair(&Healer::of(&world), &mut world);
    let failed = repaired.failed();
    assert_eq!(failed.error, RepairError::Contested { files: 2, holders: 4 });
    assert!(failed.to_string().contains("with its cap"), "{failed}");
    assert_eq!(
        failed.findings.conflicts.len(),
        8,
        "whoever holds either is named"
    );
    assert_eq!(repaired.sent, ["find_shares"; 10]);
}

#[test]
fn with_a_hash_only_that_file_counts() {
    for len in [700, LEN] {
        let (mut world, done, originals) = stored(10, len);
        let others = other_file(len);
        wipe(&mut world, 3..10);
        // Liars are more than twice as many as the honest.
        for liar in 3..10 {
            lie(&mut world, &others, &[(liar, &[liar])]);
        }
        let healer = Healer::of(&world).knowing(done.ueb_hash);
        let repaired = run_repair(&healer, &mut world);
        let report = repaired.report();
        assert_eq!(report.ueb_hash, done.ueb_hash);
        assert_eq!(report.findings.conflicts.len(), 7);
        // All that is left to hold a share are those that hold one.
        assert_eq!(report.outcome, RepairOutcome::Complete);
        for liar in 3..10 {
            world.peer(liar).shares.clear();
        }
        is_whole(&world, &originals);

        let mut wrong = done.ueb_hash;
        wrong.0[0] ^= 1;
        let repaired = run_repair(&Healer::of(&world).knowing(wrong), &mut world);
        assert_eq!(repaired.failed().error, RepairError::NoShares { asked: 10 });
        assert_eq!(repaired.failed().findings.conflicts.len(), 3);
    }
}

#[test]
fn a_file_that_nobody_holds_or_that_lacks_shares_is_told_so() {
    let (mut world, done, _) = stored(10, LEN);
    wipe(&mut world, 0..8);
    for healer in [Healer::of(&world), Healer::of(&world).knowing(done.ueb_hash)] {
        let repaired = run_repair(&healer, &mut world);
        let error = repaired.failed().error;
        assert_eq!(error, RepairError::TooFewShares { have: 2, need: 3 });
        assert!(error.to_string().contains("start the storage nodes"), "{error}");
    }
    wipe(&mut world, 8..10);
    let repaired = run_repair(&Healer::of(&world), &mut world);
    assert_eq!(repaired.failed().error, RepairError::NoShares { asked: 10 });
    let mut nobody = World::new(0);
    let repaired = run_repair(&Healer::of(&nobody), &mut nobody);
    assert_eq!(repaired.failed().error, RepairError::NoShares { asked: 0 });
}

#[test]
fn several_copies_of_one_share_are_one_share() {
    let (mut world, _, originals) = stored(10, LEN);
    wipe(&mut world, 2..10);
    for index in 2..10 {
        world
            .peer(index)
            .shares
            .insert(share(0), originals[&share(0)].clone());
    }
    let repaired = run_repair(&Healer::of(&world), &mut world);
    let too_few = RepairError::TooFewShares { have: 2, need: 3 };
    assert_eq!(repaired.failed().error, too_few);
}

#[test]
fn facts_that_do_not_fit_together_are_damage_and_no_claim() {
    // Told before the true ones, and after.
    for liars in [0..2, 8..10] {
        let (mut world, done, _) = stored(10, LEN);
        for liar in liars.clone() {
            world.peer(liar).bad_facts = true;
        }
        for healer in [Healer::of(&world), Healer::of(&world).knowing(done.ueb_hash)] {
            let repaired = run_repair(&healer, &mut world);
            let report = repaired.report();
            // Their shares count as missing, and go to those that hold one each.
            assert_eq!(report.before.len(), 8);
            let damage: Vec<_> = report
                .findings
                .damage
                .iter()
                .map(|damage| (damage.peer, damage.what))
                .collect();
            let expected: Vec<_> = liars
                .clone()
                .map(|liar| (node(liar), Corruption::Facts))
                .collect();
            assert_eq!(damage, expected);
            let to_liars = placements(&repaired)
                .iter()
                .any(|(_, peer)| liars.clone().map(node).any(|liar| liar == *peer));
            assert!(!to_liars, "who is damaged gets nothing");
            for (placed, peer) in placements(&repaired) {
                world.peers.get_mut(&peer).expect("known").shares.remove(&placed);
            }
        }
    }
}

#[test]
fn shares_that_the_file_has_not_are_set_aside() {
    let (mut world, _, originals) = stored(10, LEN);
    let stray = originals[&share(0)].clone();
    world.peer(0).shares.insert(share(200), stray);
    let repaired = run_repair(&Healer::of(&world), &mut world);
    let report = repaired.report();
    assert_eq!(report.outcome, RepairOutcome::Unneeded);
    assert_eq!(report.findings.incompatible, [(node(0), share(200))]);
}

#[test]
fn who_does_not_answer_is_reported_and_gets_nothing() {
    let (mut world, _, originals) = stored(14, LEN);
    let repaired = run_repair_with(
        &Healer::of(&world),
        &mut world,
        &|peer, request| match peer.0[0] {
            1 => Some(Err(CallError::Down {
                retry_in: Duration::from_secs(9),
            })),
            2 => Some(Err(CallError::LinkLost)),
            3 => Some(Ok(Response::BlockWritten)),
            10 => failure(FailureCode::Internal),
            // It never held anything, and says so in another way.
            11 if matches!(request, Request::FindShares(_)) => failure(FailureCode::NotFound),
            _ => None,
        },
    );
    let report = repaired.report();
    let silent: Vec<_> = report
        .findings
        .silent
        .iter()
        .map(|report| (report.peer, report.why.name()))
        .collect();
    let expected = [
        (node(1), "unreachable"),
        (node(2), "link_lost"),
        (node(3), "wrong_answer"),
        (node(10), "faulty"),
    ];
    assert_eq!(silent, expected);
    // What the silent ones hold counts as missing, and goes to those without a share that answered.
    let expected = [(share(1), node(11)), (share(2), node(12)), (share(3), node(13))];
    assert_eq!(placements(&repaired), expected);
    assert_eq!(report.outcome, RepairOutcome::Complete);
    is_whole(&world, &originals);
}

#[test]
fn busy_nodes_are_asked_again_what_they_hold() {
    let (mut world, _, _) = stored(10, LEN);
    world.peer(3).busy = 5;
    let repaired = run_repair(&Healer::of(&world), &mut world);
    assert_eq!(repaired.report().outcome, RepairOutcome::Unneeded);
    world.peer(3).busy = 1000;
    let repaired = run_repair(&Healer::of(&world), &mut world);
    assert_eq!(repaired.report().findings.silent[0].why, PeerWhy::StayedBusy);
    assert_eq!(repaired.report().before.len(), 9);
    assert!(repaired.took < Duration::from_secs(20), "{:?}", repaired.took);
}

#[test]
fn what_nodes_say_they_hold_is_believed_until_it_is_read() {
    for read in [false, true] {
        let (mut world, _, originals) = stored(10, LEN);
        // A node says that it holds a share which it has lost; another one lost its share and says so.
        let lost = if read { 0 } else { 5 };
        let (kept, file) = (share(lost), originals[&share(lost)].file.clone());
        wipe(&mut world, lost..lost + 1);
        wipe(&mut world, 8..9);
        let lie = |peer: NodeId, request: &Request| {
            let found = truckee_wire::message::FoundShares {
                shares: vec![kept],
                file: Some(file.clone()),
                inlined: None,
            };
            let asked = peer == node(lost) && matches!(request, Request::FindShares(_));
            asked.then_some(Ok(Response::FoundShares(found)))
        };
        let repaired = run_repair_with(&Healer::of(&world), &mut world, &lie);
        // Read or not, the other shares are made; but this one counts as there.
        assert_eq!(placements(&repaired), [(share(8), node(8))]);
        assert!(repaired.report().findings.damage.is_empty());
        assert!(!world.holders().contains_key(&kept));
        is_true(&world, &originals);
    }
}
