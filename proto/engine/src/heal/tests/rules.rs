//! Each rule of the healer.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{ShareNumber, StorageIndex};
use truckee_grid::params::Coding;
use truckee_wire::message::SharePlace;

use super::grid::*;
use crate::heal::verdict::is_urgent;
use crate::heal::{Config, Healer, RETRY_MIN, rank};
use crate::store::ShareId;

const MINUTE: Duration = Duration::from_secs(60);

fn three_of_ten() -> Coding {
    Coding::new(3, 10).expect("valid")
}

/// A grid that has found itself whole.
fn quiet(count: u8, files: u64) -> Grid {
    let mut grid = Grid::new(count, files, three_of_ten());
    grid.pass(2 * MINUTE);
    grid
}

fn whole(grid: &Grid, files: u64) -> u64 {
    (0..files).filter(|file| grid.is_whole(*file)).count() as u64
}

#[test]
fn each_bucket_has_one_keeper_and_moves_only_when_that_goes() {
    let keeper = |nodes: &[u8], bucket: Bucket| {
        let first = nodes.iter().map(|number| rank(bucket, &node(*number))).min();
        first.expect("there are nodes").1
    };
    let all: Vec<u8> = (1..=10).collect();
    let mut counts = [0; 11];
    for bucket in Bucket::all() {
        let kept_by = keeper(&all, bucket);
        counts[usize::from(kept_by.0[0])] += 1;
        let without_one = keeper(&all[1..], bucket);
        assert!(kept_by == without_one || kept_by == node(1));
    }
    assert!(
        counts[1..].iter().all(|count| (60..150).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_round_in_which_nothing_changed_is_one_request_to_each_node() {
    let mut grid = quiet(10, 200);
    grid.seen = Seen::default();
    grid.pass(10 * ROUND);
    assert_eq!((grid.seen.inventories, grid.seen.lists), (10 * 10 * 10, 0));
    assert_eq!(grid.seen.repairs, []);
    // A new file costs one question to each holder, once.
    grid.upload(1000);
    grid.pass(3 * ROUND);
    assert_eq!((grid.seen.additions, grid.seen.lists), (10, 0));
    for peer in grid.peers.values() {
        let report = peer.healer.report();
        assert_eq!(
            (report.short_files, report.presumed_files, report.surplus_shares),
            (0, 0, 0)
        );
    }
}

#[test]
fn what_a_wiped_node_held_is_made_again_each_file_once() {
    let mut grid = quiet(12, 300);
    grid.kill(3);
    grid.peers.get_mut(&3).expect("there").shares.clear();
    let short = 300 - whole(&grid, 300);
    assert!(short > 100);
    grid.start(3);
    grid.pass(20 * MINUTE);
    assert_eq!(whole(&grid, 300), 300);
    assert_eq!(grid.seen.repairs.len() as u64, short);
    let keepers: BTreeSet<u8> = grid.seen.repairs.iter().map(|(keeper, ..)| *keeper).collect();
    assert!(keepers.len() > 6, "the work is shared: {keepers:?}");
}

#[test]
fn a_node_that_is_away_for_less_than_its_grace_costs_nothing() {
    let mut grid = quiet(12, 200);
    grid.seen = Seen::default();
    grid.kill(5);
    grid.pass(GRACE - 2 * MINUTE);
    assert_eq!(grid.seen.repairs, []);
    // Only what it kept has to be looked through by those who keep that now: a twelfth, at eleven nodes.
    assert!(grid.seen.lists < 11 * 1024 / 8, "{}", grid.seen.lists);
    grid.start(5);
    grid.pass(30 * MINUTE);
    assert_eq!(grid.seen.repairs, []);
    assert_eq!(whole(&grid, 200), 200);
}

#[test]
fn what_a_node_held_that_stays_away_is_made_again_after_its_grace() {
    let mut grid = quiet(12, 200);
    let died = grid.now;
    grid.kill(5);
    let short = 200 - whole(&grid, 200);
    grid.pass(GRACE + 20 * MINUTE);
    assert_eq!(whole(&grid, 200), 200);
    assert_eq!(grid.seen.repairs.len() as u64, short);
    let first = grid
        .seen
        .repairs
        .iter()
        .map(|(_, at, _)| *at)
        .min()
        .expect("some");
    let waited = first.saturating_sub(died);
    assert!(waited >= GRACE && waited < GRACE + 2 * MINUTE, "{waited:?}");
    // It comes back with all that it held: counted as surplus, and nobody minds.
    grid.start(5);
    grid.pass(10 * MINUTE);
    let surplus: u64 = grid
        .peers
        .values()
        .map(|peer| peer.healer.report().surplus_shares)
        .sum();
    assert_eq!(surplus, short);
    assert_eq!(grid.seen.repairs.len() as u64, short);
}

#[test]
fn copies_that_are_too_many_are_told_to_the_one_that_holds_them_and_would_go() {
    let mut grid = quiet(12, 200);
    grid.kill(5);
    grid.pass(GRACE + 20 * MINUTE);
    let copies: BTreeSet<ShareId> = grid.peers[&5]
        .shares
        .iter()
        .map(|place| ShareId {
            si: place.si,
            share: place.share,
        })
        .collect();
    grid.start(5);
    assert!(grid.seen.surplus.is_empty(), "this is turned off");
    for (number, peer) in &mut grid.peers {
        let config = Config {
            surplus_every: Some(10 * ROUND),
            ..config(node(*number))
        };
        peer.healer = Healer::new(config, grid.now);
    }
    grid.tell_members();
    grid.pass(15 * MINUTE);
    let told: BTreeSet<ShareId> = grid.seen.surplus.iter().map(|(_, share)| *share).collect();
    assert_eq!(told, copies, "each, and nothing else");
    assert_eq!(
        grid.seen.surplus.len(),
        copies.len(),
        "one of the two holders of each"
    );
    for (number, share) in &grid.seen.surplus {
        let place = SharePlace {
            si: share.si,
            share: share.share,
        };
        let holders = grid.peers.iter().filter(|(_, peer)| peer.shares.contains(&place));
        let keeps = holders
            .map(|(number, peer)| rank_of(&share.si, *number, peer))
            .max();
        assert!(
            Some(rank_of(&share.si, *number, &grid.peers[number])) < keeps,
            "never the first of them"
        );
    }
    assert!(grid.seen.surplus.iter().any(|(number, _)| *number == 5));
    assert!(grid.seen.surplus.iter().any(|(number, _)| *number != 5));
}

fn rank_of(si: &StorageIndex, number: u8, peer: &Peer) -> impl Ord + use<> {
    let shares = peer.shares.iter().filter(|place| place.si == *si).count();
    crate::trim::rank(si, &node(number), shares)
}

#[test]
fn files_in_danger_do_not_wait_for_the_grace() {
    let mut grid = quiet(14, 200);
    for number in 1..=5 {
        grid.kill(number);
    }
    let urgent: BTreeSet<_> = (0..200)
        .filter(|file| is_urgent(three_of_ten(), grid.holders(&si(*file)).len()))
        .map(si)
        .collect();
    assert!(!urgent.is_empty() && urgent.len() < 200);
    grid.pass(GRACE / 2);
    let repaired: BTreeSet<_> = grid.seen.repairs.iter().map(|(_, _, si)| *si).collect();
    assert_eq!(repaired, urgent);
    assert!(!is_urgent(three_of_ten(), 6) && is_urgent(three_of_ten(), 5));
    let two_of_three = Coding::new(2, 3).expect("valid");
    assert!(
        !is_urgent(two_of_three, 2),
        "with one share to lose, waiting is all the grace there is"
    );
}

#[test]
fn a_file_has_to_be_short_for_a_while() {
    let mut grid = quiet(10, 50);
    let lost = SharePlace {
        si: si(7),
        share: ShareNumber(4),
    };
    let lost_at = grid.now;
    grid.peers.values_mut().for_each(|peer| peer.lose(&lost));
    grid.pass(5 * MINUTE);
    assert_eq!(grid.seen.repairs.len(), 1);
    let waited = grid.seen.repairs[0].1.saturating_sub(lost_at);
    assert!(
        waited >= SETTLE && waited <= SETTLE + ROUND + MINUTE,
        "{waited:?}"
    );
    // A share that comes by itself within that time spares the repair.
    let late = SharePlace {
        si: si(8),
        share: ShareNumber(1),
    };
    let holder = grid
        .peers
        .iter()
        .find(|(_, peer)| peer.shares.contains(&late))
        .map(|(number, _)| *number);
    let holder = holder.expect("somebody");
    grid.peers.get_mut(&holder).expect("there").lose(&late);
    let keeper = |grid: &Grid| {
        grid.peers
            .values()
            .map(|peer| peer.healer.report().short_files)
            .sum::<u64>()
    };
    while keeper(&grid) == 0 {
        grid.pass(Duration::from_secs(1));
    }
    let coding = grid.coding;
    grid.peers.get_mut(&holder).expect("there").store(late, coding);
    grid.tell_members();
    grid.pass(10 * MINUTE);
    let of_late = grid
        .seen
        .repairs
        .iter()
        .filter(|(_, _, si)| *si == late.si)
        .count();
    assert!(of_late <= 1, "at most one that finds nothing to do");
    assert_eq!(keeper(&grid), 0);
}

#[test]
fn the_most_endangered_files_go_first() {
    let mut grid = quiet(10, 60);
    // Of all files some shares are lost, of each another number.
    for file in 0..60 {
        for share in 0..(1 + file as u8 % 6) {
            let place = SharePlace {
                si: si(file),
                share: ShareNumber(share),
            };
            grid.peers.values_mut().for_each(|peer| peer.lose(&place));
        }
    }
    grid.pass(20 * MINUTE);
    assert_eq!(whole(&grid, 60), 60);
    for keeper in grid.peers.keys() {
        let own = grid.seen.repairs.iter().filter(|(number, ..)| number == keeper);
        let lost: Vec<usize> = own
            .map(|(_, _, si_of)| (0..60).find(|file| si(*file) == *si_of).expect("known") as usize % 6)
            .collect();
        // All were found in one round and settled at about the same time; two run at once.
        let later = &lost[lost.len().min(2)..];
        assert!(later.is_sorted_by(|one, next| one >= next), "{keeper}: {lost:?}");
    }
}

#[test]
fn a_repair_that_fails_is_tried_again_less_and_less_often() {
    let mut grid = quiet(10, 20);
    grid.repairs_fail = true;
    let lost = SharePlace {
        si: si(3),
        share: ShareNumber(0),
    };
    grid.peers.values_mut().for_each(|peer| peer.lose(&lost));
    grid.pass(60 * MINUTE);
    let times: Vec<_> = grid.seen.repairs.iter().map(|(_, at, _)| *at).collect();
    let rests: Vec<Duration> = times
        .windows(2)
        .map(|pair| pair[1].saturating_sub(pair[0]))
        .collect();
    assert!((5..9).contains(&times.len()), "{rests:?}");
    assert!(rests[0] >= RETRY_MIN && rests.is_sorted(), "{rests:?}");
    grid.repairs_fail = false;
    grid.pass(3 * 60 * MINUTE);
    assert!(grid.is_whole(3));
}

#[test]
fn without_the_list_of_one_node_nothing_is_concluded() {
    let mut grid = Grid::new(10, 100, three_of_ten());
    grid.peers.get_mut(&4).expect("there").broken = true;
    grid.pass(30 * MINUTE);
    assert_eq!(grid.seen.repairs, [], "what it does not list may be there");
    let failed: u64 = grid
        .peers
        .values()
        .map(|peer| peer.healer.report().lists_failed)
        .sum();
    assert!(failed > 0);
    grid.peers.get_mut(&4).expect("there").broken = false;
    grid.pass(5 * MINUTE);
    grid.seen = Seen::default();
    grid.pass(5 * ROUND);
    assert_eq!(grid.seen.lists, 0, "all is known now");
}

#[test]
fn without_anybody_who_takes_shares_nothing_is_begun() {
    let mut grid = quiet(10, 30);
    grid.peers.values_mut().for_each(|peer| peer.accepts = false);
    grid.pass(2 * ROUND);
    let lost = SharePlace {
        si: si(3),
        share: ShareNumber(0),
    };
    grid.peers.values_mut().for_each(|peer| peer.lose(&lost));
    grid.pass(10 * MINUTE);
    assert_eq!(grid.seen.repairs, []);
    let short: u64 = grid
        .peers
        .values()
        .map(|peer| peer.healer.report().short_files)
        .sum();
    assert_eq!(short, 1, "it is known all the same");
    grid.peers.get_mut(&2).expect("there").accepts = true;
    grid.pass(5 * MINUTE);
    assert!(grid.is_whole(3));
}

#[test]
fn files_that_cannot_be_read_are_told_and_left_alone() {
    let mut grid = quiet(10, 30);
    for share in 0..8 {
        let place = SharePlace {
            si: si(3),
            share: ShareNumber(share),
        };
        grid.peers.values_mut().for_each(|peer| peer.lose(&place));
    }
    grid.pass(10 * MINUTE);
    assert_eq!(grid.seen.repairs, []);
    let unreadable: u64 = grid
        .peers
        .values()
        .map(|peer| peer.healer.report().unreadable_files)
        .sum();
    assert_eq!(unreadable, 1);
}

#[test]
fn a_healer_that_stops_begins_nothing() {
    let mut grid = quiet(10, 50);
    grid.kill(3);
    grid.peers.get_mut(&3).expect("there").shares.clear();
    grid.start(3);
    grid.peers.values_mut().for_each(|peer| peer.healer.stop());
    grid.seen = Seen::default();
    grid.pass(30 * MINUTE);
    assert_eq!(
        (grid.seen.inventories, grid.seen.lists, grid.seen.repairs.len()),
        (0, 0, 0)
    );
}

/// Nodes die, come back, lose their disks; in the end all that could be saved is whole.
#[test]
fn whatever_happens_files_with_enough_shares_become_whole() {
    for seed in 0..4 {
        let mut dice = StdRng::seed_from_u64(seed);
        let files = 80;
        let mut grid = Grid::new(14, files, three_of_ten());
        grid.pass(Duration::from_secs(dice.random_range(0..200)));
        for _ in 0..25 {
            let number = dice.random_range(1..=14);
            let down: Vec<u8> = grid
                .peers
                .iter()
                .filter(|(_, peer)| !peer.up)
                .map(|(number, _)| *number)
                .collect();
            if !down.is_empty() && (down.len() > 2 || dice.random()) {
                grid.start(down[0]);
            } else if grid.peers[&number].up {
                grid.kill(number);
                if dice.random_range(0..4) == 0 {
                    grid.peers.get_mut(&number).expect("there").shares.clear();
                }
            }
            grid.pass(Duration::from_secs(dice.random_range(1..1200)));
        }
        let down: Vec<u8> = grid
            .peers
            .iter()
            .filter(|(_, peer)| !peer.up)
            .map(|(number, _)| *number)
            .collect();
        down.into_iter().for_each(|number| grid.start(number));
        let saved: Vec<u64> = (0..files)
            .filter(|file| grid.holders(&si(*file)).len() >= 3)
            .collect();
        grid.pass(3 * 60 * MINUTE);
        let short: Vec<&u64> = saved.iter().filter(|file| !grid.is_whole(**file)).collect();
        assert!(short.is_empty(), "seed {seed}: {short:?}");
        assert!(
            saved.len() as u64 > files / 2,
            "seed {seed}: too much was lost to mean anything"
        );
    }
}
