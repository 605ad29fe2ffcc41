//! Each rule by itself.

use super::*;

const FAST: u64 = 1 << 40;

#[test]
fn a_round_goes_through_all_buckets_from_the_drawn_one_on() {
    let mut world = World::new(config(FAST, DAY));
    for bucket in [0, 5, 1023] {
        for file in 0..10 {
            world.store(share_id(bucket, file, 1), 1000);
        }
    }
    world.run_rounds(1);
    let buckets: Vec<usize> = world.lists.iter().map(|(_, bucket)| bucket.index()).collect();
    let mut expected: Vec<usize> = (0..1024).map(|at| (at + 5) % 1024).collect();
    // Ten shares are three pages of four, and a page of four is not known to be the last one.
    for bucket in [0, 5, 1023] {
        let at = expected.iter().position(|there| *there == bucket).unwrap();
        expected.splice(at..at, [bucket; 2]);
    }
    assert_eq!(buckets, expected);
    assert_eq!(world.counts().len(), 30);
    assert!(world.counts().values().all(|count| *count == 1));
    let report = world.rounds[0];
    assert_eq!((report.shares, report.bytes), (30, 30_000));
    assert_eq!((report.corrupt, report.unreadable), (0, 0));
    let told = world.scrub.report();
    assert_eq!((told.rounds, told.sound, told.buckets_done), (1, 30, 0));
    assert_eq!(told.last_ended, Some(report.ended));
}

#[test]
fn nothing_is_read_right_after_a_start() {
    let mut world = World::new(config(FAST, DAY));
    assert_eq!(world.scrub.next_deadline(), Some(world.now + START_REST));
    world.scrub.handle_timeout(world.now, world.unix);
    world.drain();
    assert!(world.asked.is_none());
    world.run(START_REST);
    assert_eq!(world.lists.len(), 1);
}

#[test]
fn a_nearly_empty_node_takes_its_time() {
    let mut world = World::new(config(FAST, DAY * 30));
    world.store(share_id(600, 1, 1), 1000);
    world.run(DAY * 29);
    assert_eq!(world.rounds.len(), 0);
    assert!(
        (980..1000).contains(&world.lists.len()),
        "{} buckets in 29 days",
        world.lists.len()
    );
    world.run(DAY * 61);
    assert_eq!(world.checks.len(), 3, "once a month");
    let times: Vec<Duration> = world
        .checks
        .windows(2)
        .map(|pair| pair[1].0.saturating_sub(pair[0].0))
        .collect();
    assert!(times.iter().all(|time| *time >= DAY * 30), "{times:?}");
    let slack = Duration::from_secs(60);
    assert!(times.iter().all(|time| *time < DAY * 30 + slack), "{times:?}");
}

#[test]
fn no_round_is_shorter_than_the_least() {
    let mut world = World::new(config(FAST, Duration::ZERO));
    world.store(share_id(600, 1, 1), 1000);
    world.run(Duration::from_secs(101));
    assert!((8..=10).contains(&world.rounds.len()), "{:?}", world.rounds.len());
    assert!(world.lists.len() <= 10 * 1024 + 120, "{}", world.lists.len());
}

#[test]
fn a_long_share_is_paid_off_afterwards() {
    let mut world = World::new(config(1000, DAY));
    let large = 100_000 - SHARE_COST_BYTES;
    for (file, bytes) in [(1, large), (2, 10), (3, 10)] {
        world.store(share_id(5, file, 1), bytes);
    }
    world.run(START_REST);
    assert_eq!(world.checks.len(), 1);
    world.run(Duration::from_millis(99_000));
    assert_eq!(world.checks.len(), 1, "100 seconds for 100,000 bytes");
    world.run(Duration::from_millis(1001));
    assert_eq!(world.checks.len(), 2);
}

#[test]
fn small_shares_cost_more_than_their_bytes() {
    let mut world = World::new(config(SHARE_COST_BYTES * 10, DAY));
    for file in 0..1000 {
        world.store(share_id(5, file, 1), 0);
    }
    world.run(START_REST);
    world.run(Duration::from_secs(10));
    assert!((99..=101).contains(&world.checks.len()), "{}", world.checks.len());
}

#[test]
fn a_busy_store_is_left_alone_for_a_while() {
    let mut world = World::new(config(FAST, DAY));
    world.store(share_id(5, 1, 1), 1000);
    world.busy = 2;
    world.run(START_REST + BUSY_REST * 2);
    let lists: Vec<Mono> = world.lists.iter().map(|(at, _)| *at).collect();
    assert_eq!(lists.len(), 3);
    assert_eq!(lists[1], lists[0] + BUSY_REST);
    assert_eq!(lists[2], lists[1] + BUSY_REST);
    assert_eq!(world.checks.len(), 1, "then it goes on");

    let mut world = World::new(config(1000, DAY));
    for file in 1..3 {
        world.store(share_id(5, file, 1), 1000);
    }
    world.run(START_REST);
    let paid = world.scrub.next_deadline().unwrap();
    world.busy = 5;
    world.run(paid.saturating_sub(world.now) + BUSY_REST * 5);
    let files: Vec<ShareId> = world.checks.iter().map(|(_, share, _)| *share).collect();
    assert_eq!(files, [share_id(5, 1, 1), share_id(5, 2, 1)], "none is left out");
    assert_eq!(
        world.checks[1].0,
        paid + BUSY_REST * 5,
        "a refusal costs no budget"
    );
}

#[test]
fn a_share_that_has_gone_is_no_error() {
    let mut world = World::new(config(1000, DAY));
    for file in 1..4 {
        world.store(share_id(5, file, 1), 1000);
    }
    world.run(START_REST);
    world.shares.remove(&share_id(5, 2, 1));
    world.run_rounds(1);
    assert_eq!(world.checks[1].1, share_id(5, 2, 1));
    assert_eq!(
        world.checks[2].0, world.checks[1].0,
        "nothing was read, nothing is paid"
    );
    let report = world.rounds[0];
    assert_eq!((report.shares, report.corrupt, report.unreadable), (2, 0, 0));
}

#[test]
fn damage_is_reported_once() {
    let mut world = World::new(config(FAST, Duration::ZERO));
    for file in 0..9 {
        world.store(share_id(70, file, 1), 1000);
    }
    let rotten = share_id(70, 3, 1);
    world.shares.insert(rotten, (1000, Is::Rotten));
    world.run_rounds(3);
    let corrupt: Vec<u64> = world.rounds.iter().map(|round| round.corrupt).collect();
    assert_eq!(corrupt, [1, 0, 0]);
    assert_eq!(world.rounds[0].shares, 8);
    assert_eq!(world.put_aside, [rotten]);
    assert_eq!(world.counts()[&rotten], 1);
    let told = world.scrub.report();
    assert_eq!((told.corrupt, told.sound, told.unreadable), (1, 24, 0));
}

#[test]
fn what_a_list_puts_aside_is_counted() {
    let mut world = World::new(config(FAST, DAY));
    world.run(START_REST);
    // The list of the first bucket is answered with another result than an empty page.
    let mut scrub = Scrub::new(world.config, None, 5, world.now, world.unix);
    world.pass(START_REST);
    scrub.handle_timeout(world.now, world.unix);
    let listing = Listing {
        put_aside: 2,
        unreadable: 1,
        ..Listing::default()
    };
    scrub.handle_listed(world.now, world.unix, Ok(listing));
    assert_eq!((scrub.report().corrupt, scrub.report().unreadable), (2, 1));
}

#[test]
fn what_the_disk_cannot_read_is_passed_over_with_growing_rests() {
    let mut world = World::new(config(FAST, DAY));
    for file in 0..12 {
        world.shares.insert(share_id(5, file, 1), (1000, Is::Unreadable));
    }
    world.store(share_id(5, 12, 1), 1000);
    for file in 13..15 {
        world.shares.insert(share_id(5, file, 1), (1000, Is::Unreadable));
    }
    world.run_rounds(1);
    let rests: Vec<u64> = world
        .checks
        .windows(2)
        .map(|pair| pair[1].0.saturating_sub(pair[0].0).as_secs())
        .collect();
    // A list that works, behind every fourth share, does not count as a sign of health: what follows does.
    assert_eq!(rests, [1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0, 1]);
    let report = world.rounds[0];
    assert_eq!((report.shares, report.unreadable), (1, 14));
}

#[test]
fn a_dead_disk_is_asked_once_a_minute() {
    let mut world = World::new(config(FAST, DAY));
    world.page = 100;
    for file in 0..12 {
        world.shares.insert(share_id(5, file, 1), (1000, Is::Unreadable));
    }
    world.run_rounds(1);
    let rests: Vec<u64> = world
        .checks
        .windows(2)
        .map(|pair| pair[1].0.saturating_sub(pair[0].0).as_secs())
        .collect();
    assert_eq!(rests, [1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64]);
}

#[test]
fn a_bucket_that_cannot_be_listed_is_tried_again_and_then_passed_over() {
    let mut world = World::new(config(FAST, DAY));
    for bucket in [5, 6] {
        world.store(share_id(bucket, 1, 1), 1000);
    }
    world.list_failures = LIST_TRIES - 1;
    world.run_rounds(1);
    assert_eq!((world.rounds[0].shares, world.rounds[0].unreadable), (2, 0));
    world.list_failures = LIST_TRIES;
    world.run_rounds(2);
    assert_eq!((world.rounds[1].shares, world.rounds[1].unreadable), (1, 1));
    assert_eq!(world.checks.last().unwrap().1, share_id(6, 1, 1));
    // The one behind it has all of its tries, too.
    world.list_failures = 2 * LIST_TRIES - 1;
    world.run_rounds(3);
    assert_eq!((world.rounds[2].shares, world.rounds[2].unreadable), (1, 1));
    world.run_rounds(4);
    assert_eq!((world.rounds[3].shares, world.rounds[3].unreadable), (2, 0));
}

#[test]
fn a_stopped_scrubber_does_nothing_any_more() {
    let mut world = World::new(config(FAST, DAY));
    for file in 0..3 {
        world.store(share_id(5, file, 1), 1000);
    }
    while world.checks.len() < 2 {
        world.step(Mono::from_micros(u64::MAX));
    }
    assert_eq!(world.saves.len(), 1, "the first share, at once");
    world.scrub.stop();
    world.drain();
    assert_eq!(world.saves.len(), 1, "nothing has moved since");
    world.answer();
    assert_eq!(world.scrub.next_deadline(), None);
    world.scrub.handle_timeout(world.now + DAY, world.unix);
    world.drain();
    assert_eq!((world.checks.len(), world.asked.is_none()), (2, true));

    let mut world = World::new(config(FAST, DAY));
    world.store(share_id(5, 1, 1), 1000);
    world.step(Mono::from_micros(u64::MAX));
    assert_eq!(world.lists.len(), 1);
    world.scrub.stop();
    world.answer();
    assert_eq!(world.scrub.next_deadline(), None);
    assert!(world.checks.is_empty());
}

#[test]
fn a_stop_saves_the_place() {
    let mut world = World::new(config(FAST, DAY));
    for file in 0..3 {
        world.store(share_id(5, file, 1), 1000);
    }
    while world.checks.len() < 3 {
        world.step(Mono::from_micros(u64::MAX));
    }
    world.scrub.stop();
    world.drain();
    assert_eq!(world.saves.len(), 2);
    assert_eq!(world.saved.unwrap().after, Some(share_id(5, 1, 1)));
    // Twice is once.
    world.scrub.stop();
    world.drain();
    assert_eq!(world.saves.len(), 2);
}

#[test]
fn the_place_is_saved_once_a_minute_at_most_and_not_late() {
    let mut world = World::new(config(SHARE_COST_BYTES, DAY));
    for file in 0..600 {
        world.store(share_id(5, file, 1), 0);
    }
    world.run(START_REST + Duration::from_secs(500));
    assert!(world.checks.len() > 400, "one a second");
    for pair in world.saves.windows(2) {
        let between = pair[1].saturating_sub(pair[0]);
        assert!(between >= SAVE_EVERY, "{between:?}");
        assert!(between < SAVE_EVERY + Duration::from_secs(3), "{between:?}");
    }
    assert!(world.saves.len() >= 8);
    // What moved within the minute is saved at its end, though nothing else happens.
    let mut world = World::new(config(FAST, DAY * 100));
    for file in 0..2 {
        world.store(share_id(5, file, 1), 0);
    }
    world.run(START_REST + SAVE_EVERY);
    assert_eq!(world.saves.len(), 2);
    assert_eq!(world.saved.unwrap().done, 1);
}

#[test]
fn a_restart_goes_on_within_a_bucket() {
    for in_order in [true, false] {
        let mut world = World::new(config(SHARE_COST_BYTES, DAY));
        for file in 0..300 {
            world.store(share_id(5, file, 1), 0);
        }
        world.run(START_REST + Duration::from_secs(100));
        let before = world.checks.len();
        world.restart(in_order);
        world.run_rounds(1);
        let twice = world.counts().values().filter(|count| **count > 1).count();
        let lost = if in_order { 1 } else { 61 };
        assert!(before > 90 && twice <= lost, "{twice} of {before} again");
        assert_eq!(world.counts().len(), 300, "none is left out");
        assert!(world.rounds[0].shares >= 300);
    }
}

#[test]
fn the_time_of_the_round_goes_on_over_restarts() {
    let mut world = World::new(config(FAST, DAY * 30));
    world.store(share_id(4, 1, 1), 0);
    for _ in 0..29 {
        world.run(DAY);
        world.restart(true);
    }
    assert_eq!(world.rounds.len(), 0);
    world.run(DAY + Duration::from_secs(60));
    assert_eq!(world.rounds.len(), 1, "the last bucket of the round");
    let told = world.scrub.report();
    assert_eq!(told.last_ended, Some(world.rounds[0].ended));
    world.run(SAVE_EVERY);
    world.restart(false);
    assert_eq!(world.scrub.report().last_ended, told.last_ended, "kept");
    // Away for three months: what was missed is made up for, but no round is left out.
    world.pass(DAY * 90);
    world.restart(true);
    world.run(DAY);
    assert_eq!(world.rounds.len(), 2);
    assert_eq!(world.checks.len(), 2);
}

#[test]
fn a_calendar_that_was_set_back_does_not_stop_it() {
    let started = UnixSeconds::from_secs(BEGIN + 40 * 365 * 86_400);
    let cursor = Cursor::begin(Bucket::FIRST, started);
    let now = Mono::ZERO;
    let scrub = Scrub::new(
        config(FAST, DAY),
        Some(cursor),
        0,
        now,
        UnixSeconds::from_secs(BEGIN),
    );
    let mut world = World::new(config(FAST, DAY));
    world.scrub = scrub;
    world.now = now;
    world.run(DAY + START_REST);
    assert_eq!(world.lists.len(), 1, "begun after one round's time");
}

#[test]
fn how_long_a_round_takes() {
    let mebibyte = 1 << 20;
    let month = config(mebibyte, DAY * 30);
    let scrub = |config| Scrub::new(config, None, 0, Mono::ZERO, UnixSeconds::from_secs(BEGIN));
    assert_eq!(scrub(month).planned(0, 0), DAY * 30);
    // Four terabytes of shares of a megabyte's file, at a mebibyte a second: a month and a half.
    let planned = scrub(month).planned(12_000_000, 4_000_000_000_000);
    assert!(DAY * 44 < planned && planned < DAY * 47, "{planned:?}");
    assert!(
        scrub(month).planned(u64::MAX, u64::MAX) > planned,
        "no number is too large"
    );
}

#[test]
fn texts_that_are_no_place_in_a_round() {
    let cursor = Cursor {
        after: Some(share_id(7, 9, 3)),
        done: 2,
        last_ended: Some(UnixSeconds::from_secs(9)),
        shares: u64::MAX,
        bytes: u64::MAX,
        ..Cursor::begin(Bucket::FIRST.further(5), UnixSeconds::from_secs(BEGIN))
    };
    let good = cursor.to_text();
    assert_eq!(Cursor::from_text(&good), Ok(cursor));
    assert!(good.len() < 1024, "{good}");
    for text in ["", "x", "[]", "7", "{", "null", "\u{0}"] {
        assert_eq!(Cursor::from_text(text), Err(CursorError::Malformed), "{text:?}");
    }
    for (from, to, field) in [
        ("\"version\": 1", "\"version\": 2", "version"),
        (
            "\"first_bucket\": \"af\"",
            "\"first_bucket\": \"a\"",
            "first_bucket",
        ),
        ("\"buckets_done\": 2", "\"buckets_done\": 1024", "buckets_done"),
        ("\"buckets_done\": 2", "\"buckets_done\": -1", "buckets_done"),
        ("\"buckets_done\": 2", "\"buckets_done\": 3", "after"),
        ("\"share\": 3", "\"share\": 256", "after"),
        ("\"corrupt\": 0", "\"corrupt\": \"0\"", "corrupt"),
        ("\"unreadable\": 0", "\"other\": 0", "unreadable"),
        (
            "\"last_ended_unix_seconds\": 9",
            "\"last_ended_unix_seconds\": 1.5",
            "last_ended_unix_seconds",
        ),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from} stands in {good}");
        assert_eq!(Cursor::from_text(&text), Err(CursorError::Field(field)), "{to}");
    }
    // Counts that are at their end do not break anything.
    let mut world = World::new(config(FAST, DAY));
    world.saved = Some(cursor);
    world.store(share_id(7, 10, 1), 1000);
    world.restart(false);
    world.run_rounds(1);
    assert_eq!(
        (world.rounds[0].shares, world.rounds[0].bytes),
        (u64::MAX, u64::MAX)
    );
}
