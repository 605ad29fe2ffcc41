//! Random stores, restarts, refusals and faults, drawn by proptest, which prints what it shrank to.

use proptest::prelude::*;

use super::*;

fn shares() -> impl Strategy<Value = Vec<(usize, u32, u64)>> {
    // Few buckets, so that some have several pages.
    let bucket = prop_oneof![0..6usize, 1020..1024usize, 0..1024usize];
    prop::collection::vec((bucket, 0..40u32, 0..3_000_000u64), 0..60)
}

fn filled(rate: u64, round_min: Duration, shares: &[(usize, u32, u64)]) -> World {
    let mut world = World::new(config(rate, round_min));
    for (bucket, file, bytes) in shares {
        world.store(share_id(*bucket, *file, (file % 3) as u8), *bytes);
    }
    world
}

/// The most that may have been begun in any time is what the rate allows in it, and one share.
fn assert_rate_kept(world: &World, rate: u64) {
    for (first, (from, ..)) in world.checks.iter().enumerate() {
        let mut bytes = 0;
        for (at, _, length) in &world.checks[first..] {
            let time = at.saturating_sub(*from).as_secs_f64();
            assert!(
                bytes as f64 <= rate as f64 * time,
                "{bytes} bytes in {time} s and a further share, at {rate} bytes a second"
            );
            bytes += length;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_share_of_a_stable_store_is_checked_once_a_round(shares in shares(), rate in 1_000..10_000_000u64) {
        let mut world = filled(rate, Duration::ZERO, &shares);
        for round in 1..=3 {
            world.run_rounds(round);
            prop_assert_eq!(world.counts().len(), world.shares.len());
            prop_assert!(world.counts().values().all(|count| *count == round));
            prop_assert_eq!(world.rounds[round - 1].shares, world.shares.len() as u64);
        }
        assert_rate_kept(&world, rate);
    }

    #[test]
    fn the_rate_is_never_exceeded(
        shares in shares(),
        rate in 1_000..1_000_000u64,
        busy in prop::collection::vec((0..500usize, 1..4u32), 0..8),
        rotten in prop::collection::btree_set(0..60usize, 0..6),
        round_min_s in 0..5_000u64,
    ) {
        let mut world = filled(rate, Duration::from_secs(round_min_s), &shares);
        let all: Vec<ShareId> = world.shares.keys().copied().collect();
        for share in rotten.iter().filter_map(|at| all.get(*at)) {
            world.shares.get_mut(share).expect("stored").1 = if share.si.0[11] % 2 == 0 { Is::Rotten } else { Is::Unreadable };
        }
        let mut steps = 0;
        while world.rounds.len() < 2 {
            world.busy += busy.iter().filter(|(at, _)| *at == steps).map(|(_, times)| *times).sum::<u32>();
            prop_assert!(world.step(Mono::from_micros(u64::MAX)));
            steps += 1;
        }
        assert_rate_kept(&world, rate);
        let corrupt: u64 = world.rounds.iter().map(|round| round.corrupt).sum();
        prop_assert_eq!(corrupt, world.put_aside.len() as u64, "each once");
        let least = Duration::from_secs(round_min_s).max(ROUND_LEAST);
        let lasted = world.rounds[1].ended.saturating_sub(world.rounds[0].started);
        prop_assert!(lasted + Duration::from_secs(2) >= least, "{:?}", lasted);
    }

    #[test]
    fn restarts_leave_nothing_out_and_repeat_little(
        shares in shares(),
        restarts in prop::collection::vec((1..400u64, any::<bool>()), 0..12),
    ) {
        // A share a second: between two saves there are sixty.
        let mut world = filled(SHARE_COST_BYTES, Duration::ZERO, &shares);
        let all: BTreeSet<ShareId> = world.shares.keys().copied().collect();
        for share in all.iter() {
            world.shares.insert(*share, (0, Is::Sound));
        }
        let (mut again, before) = (0, world.rounds.len());
        for (after_s, in_order) in restarts {
            world.run(Duration::from_secs(after_s));
            // In order: the share under way. Else: what was checked since the last save.
            let since = world.saves.last().map_or(Mono::ZERO, |at| *at);
            let unsaved = world.checks.iter().filter(|(at, ..)| *at >= since).count();
            again += if in_order { usize::from(world.asked.is_some()) } else { unsaved };
            world.restart(in_order);
        }
        world.run_rounds(before + world.rounds.len() + 1);
        let rounds = world.rounds.len();
        for share in &all {
            let count = world.counts().get(share).copied().unwrap_or(0);
            prop_assert!(count >= rounds, "{} checks of {} in {} rounds", count, share, rounds);
        }
        prop_assert!(
            world.checks.len() <= rounds * all.len() + again,
            "{} checks of {} shares in {} rounds, {} repeated",
            world.checks.len(), all.len(), rounds, again
        );
    }

    #[test]
    fn no_text_breaks_it(text in ".{0,200}", at in 0..400usize, byte in any::<u8>()) {
        prop_assert!(Cursor::from_text(&text).is_err() || text.contains("version"));
        let cursor = Cursor {
            after: Some(share_id(1, 2, 3)),
            ..Cursor::begin(Bucket::FIRST.further(1), UnixSeconds::from_secs(BEGIN))
        };
        let mut bytes = cursor.to_text().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        // Whatever is read, it is a place: it can be gone on from.
        if let Ok(cursor) = Cursor::from_text(&String::from_utf8_lossy(&bytes)) {
            let mut world = World::new(config(1 << 40, Duration::ZERO));
            world.saved = Some(cursor);
            world.restart(false);
            world.run(START_REST + ROUND_LEAST * 2);
        }
    }
}
