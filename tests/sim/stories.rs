//! Stories with a time in them: what a person waits for while peers freeze, die and come back.

use std::time::Duration;

use truckee_engine::repair::RepairOutcome;
use truckee_tests::sim::model::Outcome;
use truckee_tests::sim::scenario::Scenario;

/// What is to go on "within about two seconds" although peers freeze: the life of a frozen link that is in use (half a
/// second to the ping, two more to the end of patience), and what the mesh does otherwise in that time.
const FROZEN_PEERS_COST_AT_MOST: Duration = Duration::from_millis(3500);
const SEEDS: std::ops::Range<u64> = 0..12;

fn stored(story: &mut Scenario, bytes: usize) -> truckee_tests::sim::model::StoredFile {
    let order = story.upload(bytes, (3, 10, 7));
    story.wait_for(order);
    story.file_of(order)
}

#[test]
fn a_peer_frozen_before_the_upload_delays_it_by_seconds_only() {
    for seed in SEEDS {
        let mut story = Scenario::new(seed, 10);
        let frozen = story.stores()[usize::try_from(seed % 10).unwrap_or(0)];
        story.freeze(&[frozen]);
        let order = story.upload(40_000, (3, 10, 7));
        let (outcome, took) = story.wait_for(order);
        assert!(matches!(outcome, Outcome::Stored(_)), "seed {seed}: {outcome:?}");
        assert!(took < FROZEN_PEERS_COST_AT_MOST, "seed {seed}: {took:?}");
    }
}

#[test]
fn a_peer_frozen_in_the_middle_of_the_upload_delays_it_by_seconds_only() {
    for seed in SEEDS {
        let mut story = Scenario::new(seed, 10);
        let order = story.upload(80_000, (3, 10, 7));
        story.pass(Duration::from_millis(20 + 5 * seed));
        let frozen = story.stores()[usize::try_from(seed % 10).unwrap_or(0)];
        story.freeze(&[frozen]);
        let (outcome, took) = story.wait_for(order);
        assert!(matches!(outcome, Outcome::Stored(_)), "seed {seed}: {outcome:?}");
        assert!(took < FROZEN_PEERS_COST_AT_MOST, "seed {seed}: {took:?}");
    }
}

#[test]
fn seven_of_ten_peers_frozen_in_the_middle_of_a_download_delay_it_by_seconds_only() {
    for seed in SEEDS {
        let mut story = Scenario::new(seed, 10);
        let file = stored(&mut story, 200_000);
        let undisturbed = {
            let order = story.download(file.clone(), Duration::from_millis(5));
            story.wait_for(order).1
        };
        let order = story.download(file, Duration::from_millis(5));
        story.pass(undisturbed / 3);
        let stores = story.stores();
        let first = usize::try_from(seed % 10).unwrap_or(0);
        let frozen: Vec<usize> = (0..7).map(|index| stores[(first + index) % 10]).collect();
        story.freeze(&frozen);
        let (outcome, took) = story.wait_for(order);
        assert_eq!(outcome, Outcome::Read, "seed {seed}");
        assert!(
            took < undisturbed + FROZEN_PEERS_COST_AT_MOST,
            "seed {seed}: {took:?}"
        );
    }
}

#[test]
fn a_file_outlives_the_introducer_and_seven_of_ten_peers() {
    for seed in SEEDS {
        let mut story = Scenario::new(seed, 10);
        let file = stored(&mut story, 30_000);
        let stores = story.stores();
        let first = usize::try_from(seed % 10).unwrap_or(0);
        let mut lost: Vec<usize> = (0..7).map(|index| stores[(first + index) % 10]).collect();
        lost.push(story.introducer());
        story.kill(&lost);
        let order = story.download(file.clone(), Duration::ZERO);
        assert_eq!(story.wait_for(order).0, Outcome::Read, "seed {seed}");

        // The peers come back, the introducer does not.
        lost.pop();
        story.start(&lost);
        story.settle();
        let order = story.upload(30_000, (3, 10, 10));
        assert!(
            matches!(story.wait_for(order).0, Outcome::Stored(_)),
            "seed {seed}"
        );
        story.ends_well();
    }
}

#[test]
fn damaged_shares_are_found_and_others_are_used() {
    for seed in SEEDS {
        let mut story = Scenario::new(seed, 10);
        let file = stored(&mut story, 30_000);
        let stores = story.stores();
        story.rot(&stores[..7]);
        let order = story.download(file, Duration::ZERO);
        assert_eq!(story.wait_for(order).0, Outcome::Read, "seed {seed}");
    }
}

#[test]
fn too_few_peers_and_too_few_shares_are_told_at_once() {
    for seed in SEEDS {
        let mut story = Scenario::new(seed, 10);
        let file = stored(&mut story, 30_000);
        let stores = story.stores();
        story.kill(&stores[..8]);
        let order = story.download(file, Duration::ZERO);
        let (outcome, took) = story.wait_for(order);
        assert!(
            matches!(&outcome, Outcome::Failed(why) if why.contains("3 shares are needed but only 2")),
            "{outcome:?}"
        );
        assert!(took < Duration::from_secs(6), "seed {seed}: {took:?}");
        let order = story.upload(30_000, (3, 10, 7));
        let (outcome, took) = story.wait_for(order);
        assert!(
            matches!(&outcome, Outcome::Failed(why) if why.contains("7 distinct peers")),
            "{outcome:?}"
        );
        assert!(took < Duration::from_secs(6), "seed {seed}: {took:?}");
    }
}

#[test]
fn a_gateway_that_dies_leaves_no_half_shares() {
    for seed in SEEDS {
        let mut story = Scenario::new(seed, 10);
        let _order = story.upload(400_000, (3, 10, 7));
        story.pass(Duration::from_millis(60 + 5 * seed));
        assert!(
            story.shares_in_progress() > 0,
            "seed {seed}: the gateway dies too soon or too late"
        );
        let gateway = story.gateway();
        story.kill(&[gateway]);
        story.pass(Duration::from_secs(1));
        assert_eq!(story.shares_in_progress(), 0, "seed {seed}");
        story.start(&[gateway]);
        story.settle();
        stored(&mut story, 30_000);
        story.ends_well();
    }
}

/// A goodbye to one of two links can arrive before the other link is greeted; then a node dials once more, for nothing.
/// Ends that choose differently lose both links, which is a second dial for every other pair.
#[test]
fn nodes_that_dial_each_other_at_once_keep_one_link() {
    let (mut both, mut again) = (0, 0);
    for seed in SEEDS {
        let mut story = Scenario::new(seed, 10);
        story.pass(Duration::from_secs(60));
        story.settle();
        both += story
            .dials()
            .keys()
            .filter(|(from, to)| story.dials().contains_key(&(*to, *from)))
            .count();
        again += story.dials().values().filter(|times| **times > 1).count();
    }
    assert!(
        both > 200,
        "{both} ends have dialled an end that dialled them: too few to test anything"
    );
    assert!(
        again * 20 < both,
        "{again} ends had to dial a second time, of {both}"
    );
}

#[test]
fn a_client_that_vanishes_leaves_nothing() {
    for seed in SEEDS {
        let mut story = Scenario::new(seed, 10);
        let order = story.upload_that_vanishes(100_000, (3, 10, 7), 5 + seed);
        assert!(
            matches!(story.wait_for(order).0, Outcome::Failed(_)),
            "seed {seed}"
        );
        story.pass(Duration::from_secs(1));
        assert_eq!(
            (story.shares_in_progress(), story.shares_held()),
            (0, 0),
            "seed {seed}"
        );
        story.ends_well();
    }
}

#[test]
fn a_storage_node_heals_a_file_whose_shares_were_lost() {
    for seed in SEEDS {
        let mut story = Scenario::new(seed, 12);
        let small = stored(&mut story, 900);
        let large = stored(&mut story, 60_000);
        let stores = story.stores();
        let first = usize::try_from(seed % 12).unwrap_or(0);
        let lost: Vec<usize> = (0..5).map(|index| stores[(first + index) % 12]).collect();
        // New disks: the nodes come back with nothing.
        story.kill(&lost);
        story.wipe(&lost);
        story.start(&lost);
        story.settle();
        for file in [&small, &large] {
            let missing = 10 - story.sound_shares(file);
            assert!(missing > 0, "seed {seed}: nothing is lost");
            let healer = stores[(first + 5) % 12];
            let order = story.repair(healer, file);
            let (outcome, _) = story.wait_for(order);
            let Outcome::Repaired(report) = outcome else {
                panic!("seed {seed}: {outcome:?}");
            };
            assert_eq!(report.outcome, RepairOutcome::Complete, "seed {seed}");
            assert_eq!(report.rebuilt().count(), missing, "seed {seed}");
            assert_eq!(story.sound_shares(file), 10, "seed {seed}");
        }
        // Without those that had kept theirs: what the new disks were given is enough.
        let others: Vec<usize> = stores
            .iter()
            .filter(|host| !lost.contains(host))
            .copied()
            .collect();
        story.kill(&others);
        let order = story.download(large, Duration::ZERO);
        assert_eq!(story.wait_for(order).0, Outcome::Read, "seed {seed}");
    }
}

#[test]
fn a_healer_that_dies_leaves_no_half_shares_and_another_one_goes_on() {
    for seed in SEEDS {
        let mut story = Scenario::new(seed, 12);
        let file = stored(&mut story, 400_000);
        let stores = story.stores();
        story.wipe(&stores[..4]);
        story.kill(&stores[..4]);
        story.start(&stores[..4]);
        story.settle();
        let [first, second] = [stores[5], stores[8]];
        let _order = story.repair(first, &file);
        let mut waited = Duration::ZERO;
        while story.shares_in_progress() == 0 {
            assert!(waited < Duration::from_secs(1), "seed {seed}: nothing is written");
            waited += Duration::from_millis(2);
            story.pass(Duration::from_millis(2));
        }
        story.pass(Duration::from_millis(2 * seed));
        assert!(
            story.shares_in_progress() > 0,
            "seed {seed}: the healer dies too late"
        );
        story.kill(&[first]);
        story.pass(Duration::from_secs(1));
        assert_eq!(story.shares_in_progress(), 0, "seed {seed}");
        story.start(&[first]);
        story.settle();
        let orders = [story.repair(second, &file), story.repair(stores[9], &file)];
        for order in orders {
            let (outcome, _) = story.wait_for(order);
            assert!(
                matches!(&outcome, Outcome::Repaired(report) if report.outcome != RepairOutcome::Partial),
                "seed {seed}: {outcome:?}"
            );
        }
        assert_eq!(story.sound_shares(&file), 10, "seed {seed}");
        story.ends_well();
    }
}

#[test]
fn damage_that_nobody_asks_about_is_put_aside() {
    for seed in SEEDS {
        let mut story = Scenario::with_scrubbers(seed, 10);
        let file = stored(&mut story, 30_000);
        let stores = story.stores();
        let first = usize::try_from(seed % 10).unwrap_or(0);
        let rotting: Vec<usize> = (0..7).map(|index| stores[(first + index) % 10]).collect();
        story.rot(&rotting);
        assert_eq!(story.rotten(&rotting), 7, "seed {seed}");
        // The rest of a round and a whole one, and one of the nodes is away meanwhile.
        story.kill(&rotting[..1]);
        story.pass(Duration::from_secs(20));
        story.start(&rotting[..1]);
        story.pass(Duration::from_secs(180));
        assert_eq!(story.rotten(&stores), 0, "seed {seed}");
        assert_eq!(story.shares_held(), 3, "seed {seed}: the sound ones stay");
        let order = story.download(file, Duration::ZERO);
        assert_eq!(story.wait_for(order).0, Outcome::Read, "seed {seed}");
        story.ends_well();
    }
}
