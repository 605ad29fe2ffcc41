//! What a keeper asks when something came, and when that is not enough.

use std::time::Duration;

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{NodeId, ShareNumber};
use truckee_grid::params::Coding;
use truckee_wire::message::SharePlace;

use super::grid::*;
use crate::heal::members::LISTED_AGAIN_AFTER;

const MINUTE: Duration = Duration::from_secs(60);
const FILES: u64 = 60;

/// A grid that has found itself whole, with nothing counted yet.
fn quiet(count: u8) -> Grid {
    let mut grid = Grid::new(count, FILES, Coding::new(3, 10).expect("valid"));
    grid.pass(2 * MINUTE);
    assert!(grid.seen.lists > 0, "a start lists all");
    grid.seen = Seen::default();
    grid
}

fn place(file: u64, share: u8) -> SharePlace {
    SharePlace {
        si: si(file),
        share: ShareNumber(share),
    }
}

/// What two rounds cost: questions what came, lists.
fn cost(grid: &mut Grid) -> (usize, usize) {
    grid.seen = Seen::default();
    grid.pass(2 * ROUND);
    (grid.seen.additions, grid.seen.lists)
}

fn short(grid: &Grid) -> u64 {
    let reports = grid.peers.values().map(|peer| peer.healer.report());
    reports.map(|report| report.short_files).sum()
}

#[test]
fn a_new_file_costs_one_question_to_each_holder_however_large_the_grid() {
    for nodes in [10, 20, 40] {
        let mut grid = quiet(nodes);
        let shares = |grid: &Grid| -> u64 {
            let reports = grid.peers.values().map(|peer| peer.healer.report());
            reports.map(|report| report.shares_listed).sum()
        };
        let before = shares(&grid);
        grid.upload(1000);
        assert_eq!(cost(&mut grid), (10, 0), "{nodes} nodes");
        assert_eq!(shares(&grid) - before, 10, "what is compared is counted");
        assert_eq!(cost(&mut grid), (0, 0), "once");
        // Of many files each node asks each other once.
        (1001..1600).for_each(|file| grid.upload(file));
        let (additions, lists) = cost(&mut grid);
        assert!(additions <= usize::from(nodes).pow(2), "{additions}");
        assert_eq!((lists, short(&grid)), (0, 0));
    }
}

#[test]
fn a_file_of_which_too_little_came_is_looked_for_everywhere() {
    let mut grid = quiet(20);
    grid.upload(1000);
    let share = place(1000, 7);
    let holder = grid.peers.values_mut().find(|peer| peer.shares.contains(&share));
    holder.expect("one holds it").lose(&share);
    grid.pass(5 * ROUND);
    assert!(grid.is_whole(1000), "made again");
    assert!(grid.seen.lists >= 20, "{:?}", grid.seen.lists);
    assert_eq!((grid.seen.repairs.len(), short(&grid)), (1, 0));
}

#[test]
fn copies_that_came_are_counted_by_a_list() {
    let mut grid = quiet(20);
    let coding = grid.coding;
    let surplus = |grid: &Grid| -> u64 {
        let reports = grid.peers.values().map(|peer| peer.healer.report());
        reports.map(|report| report.surplus_shares).sum()
    };
    // Of a file that was there.
    let share = place(5, 0);
    let other = grid.peers.values_mut().find(|peer| !peer.shares.contains(&share));
    other.expect("some have nothing").store(share, coding);
    assert_eq!(cost(&mut grid), (1, 20));
    assert_eq!(surplus(&grid), 1);
    // With a new file that is whole.
    grid.upload(1000);
    let share = place(1000, 0);
    let other = grid
        .peers
        .values_mut()
        .find(|peer| peer.shares.iter().all(|held| held.si != share.si));
    other.expect("some have nothing").store(share, coding);
    assert_eq!(cost(&mut grid), (11, 20));
    assert_eq!((surplus(&grid), grid.seen.repairs.len()), (2, 0));
}

#[test]
fn a_share_that_goes_from_a_bucket_into_which_something_came_is_missed() {
    let mut grid = quiet(20);
    let with_it = (1000..).find(|file| Bucket::of(&si(*file)) == Bucket::of(&si(5)));
    let with_it = with_it.expect("there are many files");
    let share = place(5, 3);
    let holder = grid.peers.values_mut().find(|peer| peer.shares.contains(&share));
    holder.expect("one holds it").lose(&share);
    grid.upload(with_it);
    grid.pass(5 * ROUND);
    assert!(grid.is_whole(5) && grid.is_whole(with_it));
    assert_eq!(grid.seen.repairs.len(), 1);
}

#[test]
fn nodes_that_do_not_say_what_came_are_asked_for_lists() {
    for says in [Says::Unsupported, Says::Less, Says::Nothing] {
        let mut grid = quiet(20);
        grid.upload(1000);
        // One of ten is enough.
        let holds = |peer: &&mut Peer| peer.shares.contains(&place(1000, 2));
        grid.peers.values_mut().find(holds).expect("one holds it").says = says;
        let asked = if says == Says::Nothing { 9 } else { 10 };
        assert_eq!(cost(&mut grid), (asked, 20), "{says:?}");
        assert_eq!(cost(&mut grid), (0, 0), "once");
    }
}

#[test]
fn nodes_that_are_busy_are_asked_again_in_the_next_round() {
    let mut grid = quiet(20);
    grid.upload(1000);
    let holds = |peer: &&mut Peer| peer.shares.contains(&place(1000, 2));
    grid.peers.values_mut().find(holds).expect("one holds it").says = Says::Busy;
    assert_eq!(cost(&mut grid), (20, 0), "in each of two rounds");
    grid.peers
        .values_mut()
        .for_each(|peer| peer.says = Says::WhatCame);
    assert_eq!(cost(&mut grid), (10, 0));
    assert_eq!(cost(&mut grid), (0, 0));
}

#[test]
fn a_loss_that_nobody_counted_is_found_when_files_come() {
    let mut grid = quiet(20);
    let share = place(5, 3);
    let holder = grid.peers.values_mut().find(|peer| peer.shares.contains(&share));
    holder.expect("one holds it").shares.remove(&share);
    let same_bucket = |file: &u64| Bucket::of(&si(*file)) == Bucket::of(&si(5));
    let mut files = (1000..).filter(same_bucket);
    let begun = grid.now;
    while !grid.is_whole(5) {
        grid.upload(files.next().expect("there are many"));
        grid.pass(LISTED_AGAIN_AFTER / 10);
        let took = grid.now.saturating_sub(begun);
        assert!(took <= LISTED_AGAIN_AFTER + LISTED_AGAIN_AFTER / 5, "{took:?}");
    }
    assert_eq!(grid.seen.repairs.len(), 1);
    assert!(grid.seen.lists <= 2 * 20, "{}", grid.seen.lists);
}

#[test]
fn while_a_node_is_emptied_new_files_on_others_cost_no_more() {
    let mut grid = quiet(20);
    grid.peers.get_mut(&1).expect("there").draining = true;
    grid.pass(GRACE);
    // Its shares go to the nodes behind the one that the file names.
    let files: Vec<u64> = (1000..1020).collect();
    let elsewhere = files
        .iter()
        .find(|file| !(11..=20).contains(&(*file % 20)) && *file % 20 != 0);
    let file = *elsewhere.expect("half of them");
    grid.upload(file);
    assert!(grid.is_whole(file));
    assert!(grid.peers[&1].shares.iter().all(|share| share.si != si(file)));
    assert_eq!(cost(&mut grid), (10, 0));
    // One of which the leaving node got a share is made again elsewhere.
    let there = *files.iter().find(|file| *file % 20 == 0).expect("one");
    grid.upload(there);
    grid.pass(5 * ROUND);
    let without = [node(1)].into_iter().collect();
    assert_eq!(grid.holders_but(&si(there), &without).len(), 10);
}

#[test]
fn what_one_file_may_lose_counts_for_its_bucket() {
    let mut grid = quiet(20);
    // All shares on as few nodes as an upload may: each that is away takes two.
    let coding = grid.coding;
    for share in 0..10 {
        let number = 1 + share / 2;
        let peer = grid.peers.get_mut(&number).expect("there");
        peer.store(place(1000, share), coding);
    }
    assert_eq!(cost(&mut grid), (5, 0), "whole");
    // Three gone leave four of ten: no time to wait for the grace to be over.
    (1..=3).for_each(|number| grid.kill(number));
    grid.pass(GRACE / 2);
    let made = |id: &NodeId| {
        grid.peers[&id.0[0]]
            .shares
            .iter()
            .any(|share| share.si == si(1000))
    };
    assert!(grid.is_whole(1000));
    assert!((6..=20).any(|number| made(&node(number))));
}
