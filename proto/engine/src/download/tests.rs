//! Each rule of the download machine, in a made-up mesh.

use std::time::Duration;

use truckee_grid::ids::ShareNumber;
use truckee_grid::params::Coding;

use super::*;
use crate::transfer::PeerWhy;
use crate::transfer::model::{
    Body, ModelPeer, Reader, World, encoding, node, plaintext, run_download, run_upload, upload_config,
};
use crate::upload::UploadDone;

/// Sixty segments of 1 KiB and a bit: too long for blocks to come with the first answers.
const LEN: usize = 60 * 1024 + 100;

/// A world of `count` peers in which the first ten hold one share each of a file of `len` bytes, coded 3-of-10.
fn stored(count: u8, len: usize) -> (World, UploadDone) {
    let mut world = World::new(count);
    let config = upload_config(&world, encoding(3, 10, 7));
    let uploaded = run_upload(&mut world, config, &Body::of(plaintext(len)));
    let done = uploaded.result.expect("the upload completes");
    for peer in world.peers.values_mut() {
        peer.served.clear();
    }
    (world, done)
}

fn each_peer(world: &mut World, change: impl Fn(u8, &mut ModelPeer)) {
    for index in 0..world.peers.len() as u8 {
        change(index, world.peer(index));
    }
}

fn too_few(result: &Result<Vec<u8>, DownloadError>) -> TooFewShares {
    match result {
        Err(DownloadError::TooFewShares(too_few)) => *too_few.clone(),
        other => panic!("expected too few shares, got {other:?}"),
    }
}

#[test]
fn a_healthy_grid_is_read_from_the_shares_that_decode_for_nothing() {
    let (mut world, done) = stored(12, LEN);
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert!(
        downloaded.result == Ok(plaintext(LEN)),
        "{:?}",
        downloaded.result.err()
    );
    each_peer(&mut world, |index, peer| {
        assert_eq!(peer.reads.is_empty(), index >= 3, "peer {index}");
    });
    assert_eq!(
        (
            downloaded.done.hedges,
            downloaded.done.corrupt,
            downloaded.done.segments
        ),
        (0, 0, 61)
    );
    assert_eq!(downloaded.sent, 10 + 3 * 61);
    assert_eq!(downloaded.done.delivered_bytes, LEN as u64);
}

#[test]
fn a_small_file_takes_one_round_trip() {
    for len in [56, 700, 1024] {
        let (mut world, done) = stored(10, len);
        let downloaded = run_download(&mut world, &Reader::of(&done));
        assert_eq!(downloaded.result.as_deref(), Ok(&plaintext(len)[..]));
        each_peer(&mut world, |index, peer| {
            let asked: &[&str] = if index < 3 { &["find_shares"] } else { &[] };
            assert_eq!(peer.served, asked, "peer {index}");
        });
        assert!(
            downloaded.took < Duration::from_millis(8),
            "took {:?}",
            downloaded.took
        );
    }
}

#[test]
fn when_those_asked_for_a_small_file_are_frozen_others_are_asked_soon() {
    for frozen in [1, 2, 7] {
        let (mut world, done) = stored(10, 700);
        each_peer(&mut world, |index, peer| {
            peer.frozen_from = (index < frozen).then_some(Mono::ZERO);
        });
        let downloaded = run_download(&mut world, &Reader::of(&done));
        assert_eq!(downloaded.result.as_deref(), Ok(&plaintext(700)[..]));
        let at_most = Duration::from_millis(50);
        assert!(downloaded.took < at_most, "{frozen}: took {:?}", downloaded.took);
    }
}

#[test]
fn a_small_file_whose_shares_are_elsewhere_takes_a_second_round_trip() {
    let (mut world, done) = stored(10, 700);
    for index in 0..7 {
        world.peer(index).shares.clear();
    }
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert_eq!(downloaded.result.as_deref(), Ok(&plaintext(700)[..]));
    assert!(
        downloaded.took < Duration::from_millis(16),
        "took {:?}",
        downloaded.took
    );
}

#[test]
fn every_range_gives_exactly_its_bytes() {
    let len = 3 * 1024 + 1;
    let (mut world, done) = stored(10, len);
    let whole = plaintext(len);
    let edges = [0, 1, 1023, 1024, 1025, 2047, 2048, 3071, 3072, 3073];
    for start in edges {
        for end in edges {
            let downloaded = run_download(&mut world, &Reader::of(&done).range(start..end));
            let expected = match (start >= end, start >= len as u64) {
                (true, _) => Ok(&[][..]),
                (false, true) => unreachable!("no edge is beyond the end"),
                (false, false) => Ok(&whole[start as usize..(end as usize).min(len)]),
            };
            assert_eq!(
                downloaded.result.as_deref(),
                expected.as_deref().map_err(|_: &DownloadError| panic!())
            );
        }
    }
}

#[test]
fn a_range_reads_only_its_segments_and_one_beyond_the_end_is_refused() {
    let (mut world, done) = stored(10, LEN);
    let downloaded = run_download(&mut world, &Reader::of(&done).range(5_000..6_000));
    assert_eq!(downloaded.result.as_deref(), Ok(&plaintext(LEN)[5_000..6_000]));
    assert_eq!(downloaded.done.segments, 2);
    let size = LEN as u64;
    for range in [size..size + 1, u64::MAX - 1..u64::MAX] {
        let start = range.start;
        let downloaded = run_download(&mut world, &Reader::of(&done).range(range));
        assert_eq!(
            downloaded.result,
            Err(DownloadError::RangeBeyondEnd { start, size })
        );
        assert_eq!(downloaded.sent, 0);
    }
    let downloaded = run_download(&mut world, &Reader::of(&done).range(size - 1..u64::MAX));
    assert_eq!(downloaded.result.as_deref(), Ok(&plaintext(LEN)[LEN - 1..]));
    let downloaded = run_download(&mut world, &Reader::of(&done).range(7..7));
    assert_eq!((downloaded.result, downloaded.sent), (Ok(Vec::new()), 0));
}

#[test]
fn any_three_of_ten_are_enough_and_two_are_not() {
    for lost in 0..8u8 {
        let (mut world, done) = stored(10, LEN);
        each_peer(&mut world, |index, peer| {
            if (lost..lost + 7).contains(&index) || index + 10 < lost + 7 {
                peer.shares.clear();
            }
        });
        let downloaded = run_download(&mut world, &Reader::of(&done));
        assert!(downloaded.result == Ok(plaintext(LEN)), "without 7 from {lost}");
    }
    let (mut world, done) = stored(10, LEN);
    each_peer(&mut world, |index, peer| {
        if index < 8 {
            peer.shares.clear();
        }
    });
    let downloaded = run_download(&mut world, &Reader::of(&done));
    let too_few = too_few(&downloaded.result);
    assert_eq!(
        (too_few.have, too_few.need, too_few.asked, too_few.peers.len()),
        (2, 3, 10, 8)
    );
    assert!(too_few.to_string().contains("has no share"), "{too_few}");
    assert!(
        downloaded.took < Duration::from_secs(1),
        "bad news comes soon, not after {:?}",
        downloaded.took
    );
}

#[test]
fn a_grid_that_holds_nothing_or_nobody_says_so() {
    let (mut world, done) = stored(10, LEN);
    each_peer(&mut world, |_, peer| peer.shares.clear());
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert!(too_few(&downloaded.result).to_string().contains("another grid"));
    let mut empty = World::new(0);
    let downloaded = run_download(&mut empty, &Reader::of(&done));
    assert_eq!(too_few(&downloaded.result).asked, 0);
}

#[test]
fn shares_far_down_the_ring_are_found() {
    let (mut world, done) = stored(60, LEN);
    for index in 0..10 {
        let shares = std::mem::take(&mut world.peer(index).shares);
        world.peer(59 - index).shares = shares;
    }
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert!(
        downloaded.result == Ok(plaintext(LEN)),
        "{:?}",
        downloaded.result.err()
    );
}

#[test]
fn seven_peers_frozen_from_the_start_cost_less_than_two_seconds() {
    let (mut world, done) = stored(10, LEN);
    each_peer(&mut world, |index, peer| {
        peer.frozen_from = (index < 7).then_some(Mono::ZERO);
    });
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert!(
        downloaded.result == Ok(plaintext(LEN)),
        "{:?}",
        downloaded.result.err()
    );
    assert!(
        downloaded.took < Duration::from_secs(1),
        "took {:?}",
        downloaded.took
    );
}

#[test]
fn seven_peers_that_freeze_midway_cost_about_two_seconds_at_most() {
    for undead in [false, true] {
        for first in 0..4 {
            let (mut world, done) = stored(10, LEN);
            let frozen_from = world.now + Duration::from_millis(25);
            each_peer(&mut world, |index, peer| {
                peer.frozen_from = (first..first + 7).contains(&index).then_some(frozen_from);
                peer.undead = undead;
            });
            let downloaded = run_download(&mut world, &Reader::of(&done));
            assert!(
                downloaded.result == Ok(plaintext(LEN)),
                "{:?}",
                downloaded.result.err()
            );
            assert!(
                downloaded.took < Duration::from_millis(2_000),
                "took {:?}",
                downloaded.took
            );
            assert!(first > 2 || downloaded.done.hedges > 0);
        }
    }
}

#[test]
fn peers_that_die_midway_are_replaced_at_once() {
    let (mut world, done) = stored(10, LEN);
    each_peer(&mut world, |index, peer| {
        peer.dies_after = (index < 7).then_some(4 + u32::from(index));
    });
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert!(
        downloaded.result == Ok(plaintext(LEN)),
        "{:?}",
        downloaded.result.err()
    );
    assert!(
        downloaded.took < Duration::from_millis(500),
        "took {:?}",
        downloaded.took
    );
}

#[test]
fn an_eighth_death_is_too_many_and_the_end_comes_soon() {
    let (mut world, done) = stored(10, LEN);
    let down_from = world.now + Duration::from_millis(25);
    each_peer(&mut world, |index, peer| {
        peer.down_from = (index < 8).then_some(down_from);
    });
    let downloaded = run_download(&mut world, &Reader::of(&done));
    let too_few = too_few(&downloaded.result);
    assert_eq!((too_few.have, too_few.need), (2, 3));
    assert!(matches!(too_few.peers[0].why, PeerWhy::Unreachable { .. }));
    assert!(
        downloaded.took < Duration::from_secs(1),
        "took {:?}",
        downloaded.took
    );
}

#[test]
fn peers_that_come_back_in_time_get_a_second_chance() {
    let (mut world, done) = stored(10, LEN);
    let down_from = world.now + Duration::from_millis(25);
    each_peer(&mut world, |index, peer| {
        peer.down_from = (index < 9).then_some(down_from);
        peer.up_again_at = Some(down_from + Duration::from_millis(300));
    });
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert!(
        downloaded.result == Ok(plaintext(LEN)),
        "{:?}",
        downloaded.result.err()
    );
}

#[test]
fn a_bad_block_is_reported_and_another_share_used() {
    for (change, name) in [
        (
            (|peer| peer.bad_blocks_from = Some(7)) as fn(&mut ModelPeer),
            "block",
        ),
        (|peer| peer.bad_path = true, "path"),
        (|peer| peer.bad_sealed_path = true, "sealed path"),
    ] {
        let (mut world, done) = stored(10, LEN);
        change(world.peer(1));
        let downloaded = run_download(&mut world, &Reader::of(&done));
        assert!(downloaded.result == Ok(plaintext(LEN)), "bad {name}");
        assert_eq!(
            downloaded.corrupt,
            [(node(1), Some(ShareNumber(1)), Corruption::Block)],
            "bad {name}"
        );
        assert_eq!(downloaded.done.corrupt, 1);
    }
}

#[test]
fn a_bad_block_that_came_with_the_first_answer_is_found_too() {
    let (mut world, done) = stored(10, 700);
    for index in 0..7 {
        world.peer(index).bad_blocks_from = Some(0);
    }
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert_eq!(downloaded.result.as_deref(), Ok(&plaintext(700)[..]));
    assert_eq!(downloaded.corrupt.len(), 7);
}

#[test]
fn with_eight_bad_shares_nothing_bad_is_served() {
    for len in [700, LEN] {
        let (mut world, done) = stored(10, len);
        each_peer(&mut world, |index, peer| {
            peer.bad_blocks_from = (index < 8).then_some(0);
        });
        let downloaded = run_download(&mut world, &Reader::of(&done));
        let too_few = too_few(&downloaded.result);
        assert_eq!(too_few.have, 2);
        assert_eq!(
            too_few
                .peers
                .iter()
                .filter(|report| report.why == PeerWhy::Corrupt)
                .count(),
            8
        );
        assert_eq!(downloaded.done.delivered_bytes, 0);
    }
}

#[test]
fn facts_that_do_not_have_the_caps_hash_are_not_believed() {
    // Told first, and told when the true ones are known.
    for bad in [0..7, 3..10] {
        let (mut world, done) = stored(10, LEN);
        each_peer(&mut world, |index, peer| peer.bad_facts = bad.contains(&index));
        let downloaded = run_download(&mut world, &Reader::of(&done));
        assert!(
            downloaded.result == Ok(plaintext(LEN)),
            "{:?}",
            downloaded.result.err()
        );
        assert_eq!(downloaded.corrupt.len(), 7, "{bad:?}");
        assert!(
            downloaded
                .corrupt
                .iter()
                .all(|(_, share, what)| share.is_none() && *what == Corruption::Facts)
        );
    }
    let (mut world, done) = stored(10, LEN);
    let mut reader = Reader::of(&done);
    reader.file.ueb_hash.0[0] ^= 1;
    let downloaded = run_download(&mut world, &reader);
    assert_eq!(
        (too_few(&downloaded.result).have, downloaded.corrupt.len()),
        (0, 10)
    );
}

#[test]
fn a_cap_with_other_numbers_than_its_file_is_refused() {
    let (mut world, done) = stored(10, LEN);
    let mut longer = Reader::of(&done);
    longer.file.size += 1;
    let mut wider = Reader::of(&done);
    wider.file.coding = Coding::new(2, 10).expect("valid");
    for reader in [longer, wider] {
        assert_eq!(
            run_download(&mut world, &reader).result,
            Err(DownloadError::CapContradicts)
        );
    }
}

#[test]
fn a_wrong_key_opens_nothing() {
    let (mut world, done) = stored(10, LEN);
    let mut reader = Reader::of(&done);
    reader.key = truckee_grid::keys::ReadKey::from_bytes([8; 16]);
    let downloaded = run_download(&mut world, &reader);
    assert_eq!(
        downloaded.result,
        Err(DownloadError::Inconsistent {
            segment: SegmentIndex(0)
        })
    );
    assert!(downloaded.corrupt.is_empty(), "the peers are not to blame");
}

#[test]
fn a_peer_that_admits_damage_or_talks_nonsense_is_left_alone() {
    let (mut world, done) = stored(10, LEN);
    world.peer(0).admits_damage = true;
    world.peer(1).talks_nonsense = true;
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert!(
        downloaded.result == Ok(plaintext(LEN)),
        "{:?}",
        downloaded.result.err()
    );
    assert_eq!(
        downloaded.corrupt,
        [(node(0), Some(ShareNumber(0)), Corruption::Admitted)]
    );
    assert_eq!(world.peer(1).served.len(), 1);
}

#[test]
fn a_slow_peer_is_hedged_and_then_avoided() {
    let (mut world, done) = stored(10, LEN);
    world.peer(0).delay = Duration::from_millis(250);
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert!(
        downloaded.result == Ok(plaintext(LEN)),
        "{:?}",
        downloaded.result.err()
    );
    assert!(
        world.peer(0).reads.len() < 20,
        "still asked for {} of 41 blocks",
        world.peer(0).reads.len()
    );
    assert!(
        downloaded.took < Duration::from_millis(1_500),
        "took {:?}",
        downloaded.took
    );
}

#[test]
fn busy_peers_rest_and_others_are_asked() {
    let (mut world, done) = stored(10, LEN);
    each_peer(&mut world, |_, peer| peer.busy = 4);
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert!(
        downloaded.result == Ok(plaintext(LEN)),
        "{:?}",
        downloaded.result.err()
    );
    each_peer(&mut world, |_, peer| peer.busy = u32::MAX);
    let downloaded = run_download(&mut world, &Reader::of(&done));
    assert!(
        too_few(&downloaded.result)
            .peers
            .iter()
            .all(|report| report.why == PeerWhy::StayedBusy)
    );
    // Busy only once reading has begun, and for ever: the tries run out.
    let (mut world, done) = stored(10, LEN);
    each_peer(&mut world, |index, peer| peer.talks_nonsense = index > 2);
    let mut machine = Download::new(
        Config {
            file: Reader::of(&done).file,
            candidates: world.ids(),
            range: None,
        },
        world.now,
    );
    machine.handle_window(world.now, 2);
    let mut now = world.now;
    for _ in 0..10_000 {
        while let Some(effect) = machine.poll_effect() {
            if let Effect::Send {
                token, peer, request, ..
            } = effect
            {
                let result = match &request {
                    Request::FindShares(_) => world.peers.get_mut(&peer).expect("known").serve(&request),
                    _ => Err(message::Failure::busy(Duration::from_millis(1), "as ordered")),
                };
                machine.handle_answer(now, token, result.map_err(CallError::Refused));
            }
        }
        let Some(at) = machine.next_deadline() else { break };
        now = at;
        machine.handle_timeout(now);
    }
    assert!(machine.has_ended());
}

#[test]
fn a_slow_reader_bounds_what_is_read_ahead() {
    let (mut world, done) = stored(10, LEN);
    let reader = Reader {
        pause: Duration::from_millis(500),
        window: 3,
        ..Reader::of(&done)
    };
    let downloaded = run_download(&mut world, &reader);
    assert!(
        downloaded.result == Ok(plaintext(LEN)),
        "{:?}",
        downloaded.result.err()
    );
    assert!(
        downloaded.ahead_most <= 3,
        "{} segments ahead",
        downloaded.ahead_most
    );
}

#[test]
fn nothing_is_read_before_there_is_memory() {
    let (mut world, done) = stored(10, LEN);
    let config = Config {
        file: Reader::of(&done).file,
        candidates: world.ids(),
        range: None,
    };
    let mut machine = Download::new(config, world.now);
    let mut reads = 0;
    let mut now = world.now;
    for _ in 0..20 {
        while let Some(effect) = machine.poll_effect() {
            if let Effect::Send {
                token, peer, request, ..
            } = effect
            {
                reads += u32::from(matches!(request, Request::ReadBlock(_)));
                let result = world.peers.get_mut(&peer).expect("known").serve(&request);
                machine.handle_answer(now, token, result.map_err(CallError::Refused));
            }
        }
        now += Duration::from_millis(100);
        machine.handle_timeout(now);
    }
    assert_eq!(
        (reads, machine.file().is_some(), machine.has_ended()),
        (0, true, false)
    );
    assert_eq!(machine.window_segments_max(), Some(16));
    machine.handle_window(now, 1);
    assert!(machine.poll_effect().is_some());
}

#[test]
fn a_cancel_takes_everything_back() {
    let (mut world, done) = stored(10, LEN);
    let cancelled_at = Some(world.now + Duration::from_millis(20));
    let reader = Reader {
        cancelled_at,
        ..Reader::of(&done)
    };
    let downloaded = run_download(&mut world, &reader);
    assert_eq!(downloaded.result, Err(DownloadError::Cancelled));
    assert!(downloaded.took < Duration::from_millis(25));
}

#[test]
fn a_decoder_that_fails_fails_the_download() {
    let (mut world, done) = stored(10, 700);
    let config = Config {
        file: Reader::of(&done).file,
        candidates: world.ids(),
        range: None,
    };
    let mut machine = Download::new(config, world.now);
    let mut last = None;
    while let Some(effect) = machine.poll_effect() {
        match effect {
            Effect::Send {
                token, peer, request, ..
            } => {
                let result = world.peers.get_mut(&peer).expect("known").serve(&request);
                machine.handle_answer(world.now, token, result.map_err(CallError::Refused));
            }
            Effect::Decode { segment, .. } => machine.handle_decoded(world.now, segment, None),
            other => last = Some(other),
        }
    }
    assert!(
        matches!(last, Some(Effect::Failed(DownloadError::Fault { .. }))),
        "{last:?}"
    );
}

#[test]
fn the_stages_of_a_download_are_timed() {
    let (mut world, done) = stored(10, LEN);
    let mut reader = Reader::of(&done);
    reader.pause = Duration::from_millis(20);
    let timed = run_download(&mut world, &reader).done;
    assert!(timed.locate > Duration::ZERO && timed.fetch > Duration::ZERO);
    assert_eq!(
        timed.decode,
        crate::transfer::model::HOP * 61,
        "each segment is decoded for one hop"
    );
    assert!(
        timed.deliver >= reader.pause * 40,
        "the reader took {:?}",
        timed.deliver
    );
    assert!(
        timed.fetch < timed.deliver,
        "waiting for blocks is not waiting for the reader"
    );
}
