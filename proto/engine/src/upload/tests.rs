//! Each rule of the upload machine, in a made-up mesh.

use std::collections::BTreeSet;
use std::time::Duration;

use truckee_grid::ids::ShareNumber;

use super::*;
use crate::transfer::model::{
    Body, ModelPeer, Reader, Uploaded, World, encoding, node, plaintext, run_download, run_upload,
    upload_config,
};

/// Five segments and a bit of 1 KiB.
const LEN: usize = 5 * 1024 + 100;

fn upload(world: &mut World, len: usize) -> Uploaded {
    let config = upload_config(world, encoding(3, 10, 7));
    run_upload(world, config, &Body::of(plaintext(len)))
}

fn not_happy(uploaded: &Uploaded) -> NotHappy {
    match &uploaded.result {
        Err(UploadError::NotHappy(not_happy)) => *not_happy.clone(),
        other => panic!("expected too few peers, got {other:?}"),
    }
}

fn why(uploaded: &Uploaded, peer: u8) -> Option<PeerWhy> {
    let troubles = match &uploaded.result {
        Ok(done) => &done.troubles,
        Err(UploadError::NotHappy(not_happy)) => &not_happy.peers,
        Err(other) => panic!("no report in {other:?}"),
    };
    troubles
        .iter()
        .find(|report| report.peer == node(peer))
        .map(|report| report.why)
}

/// What was stored comes back.
fn comes_back(world: &mut World, uploaded: &Uploaded, len: usize) {
    let downloaded = run_download(world, &Reader::of(uploaded.done()));
    assert_eq!(downloaded.result.as_deref(), Ok(&plaintext(len)[..]));
}

fn each_peer(world: &mut World, change: impl Fn(u8, &mut ModelPeer)) {
    for index in 0..world.peers.len() as u8 {
        change(index, world.peer(index));
    }
}

#[test]
fn each_share_goes_to_a_peer_of_its_own_in_the_order_of_the_candidates() {
    let mut world = World::new(12);
    let uploaded = upload(&mut world, LEN);
    let expected: Vec<_> = (0..10).map(|index| (ShareNumber(index), node(index))).collect();
    let done = uploaded.done();
    assert_eq!(done.placements, expected);
    assert_eq!((done.happiness, done.existing, done.needs_repair), (10, 0, false));
    assert_eq!((done.ueb.file_bytes(), done.ueb.segments()), (LEN as u64, 6));
    assert!(done.timings.total >= done.timings.push && done.timings.push > Duration::ZERO);
    comes_back(&mut world, &uploaded, LEN);
}

#[test]
fn lengths_around_segment_boundaries_survive() {
    for len in [1, 55, 56, 1023, 1024, 1025, 2047, 2048, 2049, 10 * 1024] {
        let mut world = World::new(10);
        let uploaded = upload(&mut world, len);
        assert_eq!(uploaded.done().ueb.file_bytes(), len as u64);
        comes_back(&mut world, &uploaded, len);
    }
}

#[test]
fn a_file_of_one_segment_takes_one_message_for_each_share() {
    let mut world = World::new(10);
    let uploaded = upload(&mut world, 700);
    assert_eq!(uploaded.done().placements.len(), 10);
    each_peer(&mut world, |_, peer| assert_eq!(peer.served, ["put_share"]));
    assert!(
        uploaded.took < Duration::from_millis(10),
        "took {:?}",
        uploaded.took
    );
}

#[test]
fn an_empty_file_is_refused() {
    let mut world = World::new(10);
    assert_eq!(
        upload(&mut world, 0).result.expect_err("empty"),
        UploadError::Empty
    );
}

#[test]
fn a_body_cut_wrongly_is_refused() {
    let world = World::new(10);
    for (first, last) in [(1000, false), (1025, true), (0, false)] {
        let mut machine = Upload::new(upload_config(&world, encoding(3, 10, 7)), world.now);
        machine.handle_segment(world.now, BytesMut::zeroed(first), last);
        let failed = std::iter::from_fn(|| machine.poll_effect())
            .any(|effect| matches!(effect, Effect::Failed(UploadError::SegmentSize { .. })));
        assert!(failed, "{first} bytes, last: {last}");
    }
}

#[test]
fn too_few_peers_fail_before_anything_is_sent() {
    let mut world = World::new(6);
    let uploaded = upload(&mut world, LEN);
    let few = not_happy(&uploaded);
    assert_eq!((few.happy, few.reachable, few.candidates), (7, 6, 6));
    each_peer(&mut world, |_, peer| assert!(peer.served.is_empty()));
    let mut nobody = World::new(0);
    assert_eq!(not_happy(&upload(&mut nobody, LEN)).candidates, 0);
}

#[test]
fn fewer_peers_than_shares_get_several_each() {
    for len in [700, LEN] {
        let mut world = World::new(7);
        let uploaded = upload(&mut world, len);
        let done = uploaded.done();
        assert_eq!(
            (done.placements.len(), done.happiness, done.needs_repair),
            (10, 7, false)
        );
        each_peer(&mut world, |_, peer| {
            assert!((1..=2).contains(&peer.shares.len()));
        });
        comes_back(&mut world, &uploaded, len);
    }
}

#[test]
fn a_full_peer_is_passed_over() {
    for len in [700, LEN] {
        let mut world = World::new(12);
        world.peer(2).full = true;
        let uploaded = upload(&mut world, len);
        assert_eq!(why(&uploaded, 2), Some(PeerWhy::Full));
        let done = uploaded.done();
        assert_eq!((done.placements.len(), done.happiness), (10, 10));
        assert_eq!(done.placements[2], (ShareNumber(2), node(10)));
    }
}

#[test]
fn too_many_full_peers_fail_with_the_reason_of_each_and_leave_nothing_open() {
    let mut world = World::new(10);
    each_peer(&mut world, |index, peer| peer.full = index < 4);
    let uploaded = upload(&mut world, LEN);
    let not_happy = not_happy(&uploaded);
    assert_eq!((not_happy.happy, not_happy.reachable), (7, 6));
    assert_eq!(not_happy.peers.len(), 4);
    assert!(not_happy.to_string().contains("has no space"), "{not_happy}");
    assert!(world.stored().is_empty());
    for index in 4..10 {
        assert!(!world.peer(index).aborted.is_empty(), "peer {index} was not told");
    }
}

#[test]
fn a_peer_frozen_from_the_start_costs_its_links_life_and_its_share_moves() {
    for len in [700, LEN] {
        let mut world = World::new(11);
        world.peer(3).frozen_from = Some(Mono::ZERO);
        let uploaded = upload(&mut world, len);
        assert_eq!(why(&uploaded, 3), Some(PeerWhy::LinkLost));
        assert_eq!(uploaded.done().happiness, 10);
        assert!(
            uploaded.took < Duration::from_millis(2_300),
            "took {:?}",
            uploaded.took
        );
        comes_back(&mut world, &uploaded, len);
    }
}

#[test]
fn a_peer_that_freezes_midway_costs_its_links_life_and_its_share() {
    let mut world = World::new(10);
    // Long enough that the first segment has been let go of.
    let frozen_from = world.now + Duration::from_millis(40);
    world.peer(3).frozen_from = Some(frozen_from);
    let config = upload_config(&world, encoding(3, 10, 7));
    let config = Config {
        window_bytes: 4 * 1024,
        ..config
    };
    let uploaded = run_upload(&mut world, config, &Body::of(plaintext(60 * 1024)));
    let done = uploaded.done();
    assert_eq!(why(&uploaded, 3), Some(PeerWhy::LinkLost));
    assert_eq!(
        (done.placements.len(), done.happiness, done.needs_repair),
        (9, 9, true)
    );
    assert!(
        uploaded.took < Duration::from_millis(2_600),
        "took {:?}",
        uploaded.took
    );
    comes_back(&mut world, &uploaded, 60 * 1024);
}

#[test]
fn four_peers_that_die_midway_are_too_many() {
    let mut world = World::new(10);
    let down_from = world.now + Duration::from_millis(30);
    each_peer(&mut world, |index, peer| {
        peer.down_from = (index < 4).then_some(down_from);
    });
    let config = Config {
        window_bytes: 4 * 1024,
        ..upload_config(&world, encoding(3, 10, 7))
    };
    let uploaded = run_upload(&mut world, config, &Body::of(plaintext(60 * 1024)));
    assert_eq!(not_happy(&uploaded).reachable, 6);
    assert!(world.stored().is_empty());
    for index in 4..10 {
        assert!(!world.peer(index).aborted.is_empty(), "peer {index} was not told");
    }
}

#[test]
fn a_peer_that_is_alive_and_too_slow_loses_its_share_to_patience() {
    let mut world = World::new(10);
    world.peer(5).undead = true;
    world.peer(5).frozen_from = Some(world.now + Duration::from_millis(40));
    let config = Config {
        window_bytes: 4 * 1024,
        ..upload_config(&world, encoding(3, 10, 7))
    };
    let uploaded = run_upload(&mut world, config, &Body::of(plaintext(60 * 1024)));
    assert_eq!(why(&uploaded, 5), Some(PeerWhy::TooSlow));
    assert_eq!(uploaded.done().placements.len(), 9);
    let bound = PATIENCE + Duration::from_secs(1);
    assert!(
        uploaded.took > PATIENCE && uploaded.took < bound,
        "took {:?}",
        uploaded.took
    );
}

#[test]
fn when_too_many_are_slow_nobody_is_dropped_before_the_budget_ends() {
    let mut world = World::new(10);
    let frozen_from = world.now + Duration::from_millis(40);
    each_peer(&mut world, |index, peer| {
        peer.undead = index < 5;
        peer.frozen_from = (index < 5).then_some(frozen_from);
    });
    let config = Config {
        window_bytes: 4 * 1024,
        ..upload_config(&world, encoding(3, 10, 7))
    };
    let uploaded = run_upload(&mut world, config, &Body::of(plaintext(60 * 1024)));
    assert_eq!(why(&uploaded, 0), Some(PeerWhy::TimedOut));
    assert_eq!(not_happy(&uploaded).reachable, 6, "it ends with the fourth loss");
    assert!(uploaded.took >= WRITE_BUDGET);
}

#[test]
fn stragglers_get_a_grace_and_are_then_left_behind() {
    for len in [700, LEN] {
        let mut world = World::new(10);
        world.peer(9).delay = Duration::from_millis(1_500);
        let uploaded = upload(&mut world, 700);
        assert_eq!(uploaded.done().placements.len(), 10, "1.5 s is within the grace");
        let mut world = World::new(10);
        world.peer(9).undead = true;
        world.peer(9).frozen_from = Some(Mono::ZERO);
        let config = Config {
            candidates: world.ids(),
            ..upload_config(&world, encoding(3, 10, 7))
        };
        let uploaded = run_upload(&mut world, config, &Body::of(plaintext(len)));
        let done = uploaded.done();
        if len == 700 {
            assert_eq!(
                (done.placements.len(), done.happiness, done.needs_repair),
                (10, 9, true)
            );
            assert_eq!(why(&uploaded, 9), Some(PeerWhy::TooSlow));
            assert!(uploaded.took >= GRACE && uploaded.took < GRACE + Duration::from_millis(100));
        }
        comes_back(&mut world, &uploaded, len);
    }
}

#[test]
fn busy_peers_are_asked_again_and_lose_their_share_when_they_stay_busy() {
    for len in [700, LEN] {
        let mut world = World::new(10);
        world.peer(4).busy = 3;
        let uploaded = upload(&mut world, len);
        assert_eq!(uploaded.done().placements.len(), 10);
        assert_eq!(why(&uploaded, 4), None);
        let mut world = World::new(11);
        world.peer(4).busy = 1_000;
        let config = upload_config(&world, encoding(3, 10, 10));
        let uploaded = run_upload(&mut world, config, &Body::of(plaintext(len)));
        assert_eq!(why(&uploaded, 4), Some(PeerWhy::StayedBusy));
        assert_eq!(uploaded.done().happiness, 10);
        assert_eq!(world.peer(4).served.len(), 1 + BUSY_TRIES_MAX as usize);
    }
}

#[test]
fn a_busy_answer_in_the_middle_of_a_window_loses_no_block() {
    let mut world = World::new(10);
    // Every write of one peer meets one busy answer.
    each_peer(&mut world, |index, peer| peer.busy = u32::from(index % 3));
    let uploaded = upload(&mut world, 20 * 1024);
    assert_eq!(uploaded.done().placements.len(), 10);
    comes_back(&mut world, &uploaded, 20 * 1024);
}

#[test]
fn a_link_lost_during_close_does_not_count_as_durable() {
    let mut world = World::new(10);
    each_peer(&mut world, |index, peer| peer.dies_at_close = index < 3);
    let uploaded = upload(&mut world, 60 * 1024);
    assert_eq!(uploaded.done().placements.len(), 7);
    let mut world = World::new(10);
    each_peer(&mut world, |index, peer| peer.dies_at_close = index < 4);
    let config = Config {
        window_bytes: 4 * 1024,
        ..upload_config(&world, encoding(3, 10, 7))
    };
    let uploaded = run_upload(&mut world, config, &Body::of(plaintext(60 * 1024)));
    assert_eq!(not_happy(&uploaded).reachable, 6);
    assert!(world.stored().is_empty(), "what was closed before is taken back");
}

#[test]
fn an_answer_that_does_not_fit_loses_the_share() {
    for len in [700, LEN] {
        let mut world = World::new(11);
        world.peer(1).talks_nonsense = true;
        let uploaded = upload(&mut world, len);
        assert_eq!(why(&uploaded, 1), Some(PeerWhy::WrongAnswer));
        assert_eq!(uploaded.done().happiness, 10);
    }
}

#[test]
fn a_body_that_fails_fails_the_upload_and_aborts_its_shares() {
    let faults = [
        BodyFault::Vanished,
        BodyFault::TooShort {
            expected: 9000,
            got: 3072,
        },
    ];
    for fault in faults {
        let mut world = World::new(10);
        let body = Body {
            fails_at: Some((3, fault)),
            pause: Duration::from_millis(20),
            ..Body::of(plaintext(LEN))
        };
        let config = upload_config(&world, encoding(3, 10, 7));
        let uploaded = run_upload(&mut world, config, &body);
        assert_eq!(uploaded.result.expect_err("no body"), UploadError::Body(fault));
        each_peer(&mut world, |index, peer| {
            assert_eq!(peer.aborted.len(), 1, "peer {index}");
        });
        assert!(world.stored().is_empty());
    }
}

#[test]
fn a_body_that_pauses_for_minutes_keeps_its_shares_open() {
    let mut world = World::new(10);
    let body = Body {
        pause: Duration::from_secs(200),
        ..Body::of(plaintext(LEN))
    };
    let config = upload_config(&world, encoding(3, 10, 10));
    let uploaded = run_upload(&mut world, config, &body);
    assert_eq!(uploaded.done().placements.len(), 10);
    // A peer that dies in a pause is noticed in the pause.
    let mut world = World::new(10);
    world.peer(2).down_from = Some(world.now + Duration::from_secs(250));
    let config = upload_config(&world, encoding(3, 10, 10));
    let uploaded = run_upload(&mut world, config, &body);
    assert_eq!(not_happy(&uploaded).reachable, 9);
    assert!(uploaded.took < Duration::from_secs(250) + KEEP_EVERY);
}

#[test]
fn a_failed_upload_takes_back_what_it_had_finished() {
    for (len, happy) in [(700, 10), (60 * 1024, 10)] {
        let mut world = World::new(10);
        world.peer(9).delay = Duration::from_millis(100);
        world.peer(9).dies_after = Some(if len == 700 { 1 } else { 62 });
        world.peer(9).dies_at_close = len != 700;
        let config = Config {
            window_bytes: 4 * 1024,
            ..upload_config(&world, encoding(3, 10, happy))
        };
        let uploaded = run_upload(&mut world, config, &Body::of(plaintext(len)));
        assert_eq!(not_happy(&uploaded).reachable, 9);
        for index in 0..9 {
            assert!(
                world.peer(index).served.contains(&"abort_share"),
                "peer {index} was not told"
            );
        }
        assert!(world.stored().is_empty(), "{len}: {:?}", world.stored());
    }
}

#[test]
fn a_cancel_aborts_what_is_open() {
    let mut world = World::new(10);
    let cancelled_at = Some(world.now + Duration::from_millis(50));
    let body = Body {
        cancelled_at,
        pause: Duration::from_millis(20),
        ..Body::of(plaintext(LEN))
    };
    let config = upload_config(&world, encoding(3, 10, 7));
    let uploaded = run_upload(&mut world, config, &body);
    assert_eq!(uploaded.result.expect_err("cancelled"), UploadError::Cancelled);
    each_peer(&mut world, |index, peer| {
        assert_eq!(peer.aborted.len(), 1, "peer {index}");
    });
}

#[test]
fn a_segment_that_cannot_be_encoded_fails_the_upload() {
    let world = World::new(10);
    let mut machine = Upload::new(upload_config(&world, encoding(3, 10, 7)), world.now);
    machine.handle_segment(world.now, BytesMut::zeroed(1024), false);
    machine.handle_encoded(world.now, SegmentIndex(0), None);
    let last = std::iter::from_fn(|| machine.poll_effect()).last();
    assert!(
        matches!(
            last,
            Some(Effect::Failed(UploadError::Encode {
                segment: SegmentIndex(0)
            }))
        ),
        "{last:?}"
    );
    assert_eq!(machine.next_deadline(), None);
}

#[test]
fn what_is_held_does_not_grow_with_the_file_nor_with_slow_peers() {
    let mut world = World::new(10);
    world.peer(0).delay = Duration::from_millis(30);
    let config = Config {
        window_bytes: 13 * 1024,
        ..upload_config(&world, encoding(3, 10, 7))
    };
    let uploaded = run_upload(&mut world, config, &Body::of(plaintext(200 * 1024)));
    assert_eq!(uploaded.done().placements.len(), 10);
    assert_eq!(uploaded.held_most, 3);
}

#[test]
fn a_convergent_upload_counts_what_exists_and_sends_only_the_rest() {
    for len in [700, LEN] {
        let mut world = World::new(12);
        let first = upload(&mut world, len);
        assert_eq!(first.done().placements.len(), 10);
        for index in [0, 4, 9] {
            world.peer(index).shares.clear();
        }
        each_peer(&mut world, |_, peer| peer.served.clear());
        let config = Config {
            find_existing: true,
            ..upload_config(&world, encoding(3, 10, 7))
        };
        let again = run_upload(&mut world, config, &Body::of(plaintext(len)));
        let done = again.done();
        assert_eq!(
            (done.existing, done.placements.len(), done.happiness),
            (7, 10, 10)
        );
        assert_eq!(done.ueb_hash, first.done().ueb_hash);
        assert_eq!(world.peer(1).served, ["find_shares"]);
    }
}

#[test]
fn an_upload_whose_shares_all_exist_ends_whenever_the_last_peer_says_so() {
    for delay in [0, 1, 2, 3, 5, 10, 50] {
        for len in [700, LEN] {
            let mut world = World::new(10);
            let first = upload(&mut world, len);
            world.peer(6).delay = Duration::from_millis(delay);
            let config = Config {
                find_existing: true,
                ..upload_config(&world, encoding(3, 10, 7))
            };
            let again = run_upload(&mut world, config, &Body::of(plaintext(len)));
            assert_eq!(
                (again.done().existing, again.done().ueb_hash),
                (10, first.done().ueb_hash)
            );
            assert!(again.took < Duration::from_millis(100));
        }
    }
}

#[test]
fn existing_shares_in_a_heap_are_spread_until_happy() {
    let mut world = World::new(10);
    let first = upload(&mut world, LEN);
    let all: Vec<_> = (0..10)
        .filter_map(|index| world.peer(index).shares.pop_first())
        .collect();
    world.peer(0).shares.extend(all);
    let config = Config {
        find_existing: true,
        ..upload_config(&world, encoding(3, 10, 7))
    };
    let again = run_upload(&mut world, config, &Body::of(plaintext(LEN)));
    assert_eq!((again.done().happiness, again.done().existing), (10, 1));
    assert_eq!(again.done().ueb_hash, first.done().ueb_hash);
}

#[test]
fn shares_of_another_file_under_the_same_name_do_not_count() {
    for len in [700, LEN] {
        let mut other = World::new(12);
        upload(&mut other, len - 1);
        for find_existing in [true, false] {
            let mut world = World::new(12);
            let foreign = other.peer(2).shares.clone();
            world.peer(2).shares = foreign;
            let config = Config {
                find_existing,
                ..upload_config(&world, encoding(3, 10, 7))
            };
            let uploaded = run_upload(&mut world, config, &Body::of(plaintext(len)));
            // A whole share in one message is refused by a store that has one of another file.
            let expected = if len == 700 && !find_existing {
                PeerWhy::Refused {
                    code: truckee_wire::message::FailureCode::BadRequest,
                }
            } else {
                PeerWhy::Foreign
            };
            let found = why(&uploaded, 2);
            assert_eq!(found, Some(expected), "{len} bytes, find {find_existing}");
            let holders: BTreeSet<_> = uploaded.done().placements.iter().map(|(_, peer)| *peer).collect();
            assert!(!holders.contains(&node(2)) && holders.len() == 10);
        }
    }
}

#[test]
fn a_frozen_peer_delays_the_search_for_existing_shares_by_its_budget_only() {
    let mut world = World::new(11);
    world.peer(0).frozen_from = Some(Mono::ZERO);
    let config = Config {
        find_existing: true,
        ..upload_config(&world, encoding(3, 10, 7))
    };
    let uploaded = run_upload(&mut world, config, &Body::of(plaintext(LEN)));
    assert_eq!(uploaded.done().happiness, 10);
    assert!(
        uploaded.took < Duration::from_millis(2_300),
        "took {:?}",
        uploaded.took
    );
}
