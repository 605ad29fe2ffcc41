//! What is told of shares that belong elsewhere after nodes came.

use std::collections::BTreeSet;
use std::time::Duration;

use truckee_grid::ids::NodeId;
use truckee_grid::params::Coding;
use truckee_wire::message::SharePlace;

use super::grid::*;
use crate::heal::{Config, Healer};

const MINUTE: Duration = Duration::from_secs(60);
const FILES: u64 = 200;

/// Ten nodes with all files at home, whose healers look for shares that belong elsewhere.
fn settled() -> Grid {
    let mut grid = Grid::new(10, 0, Coding::new(3, 8).expect("valid"));
    for number in 1..=10 {
        watch(&mut grid, number);
    }
    grid.tell_members();
    for file in 0..FILES {
        grid.upload_at_home(file);
    }
    grid.pass(15 * MINUTE);
    grid
}

fn watch(grid: &mut Grid, number: u8) {
    let config = Config {
        placing_every: Some(5 * ROUND),
        ..config(node(number))
    };
    grid.peers.get_mut(&number).expect("there").healer = Healer::new(config, grid.now);
}

fn join(grid: &mut Grid, number: u8) {
    grid.join(number);
    watch(grid, number);
    grid.tell_members();
}

/// Moves what nodes were told of, at once.
fn move_all(grid: &mut Grid) -> usize {
    let told = std::mem::take(&mut grid.seen.misplaced);
    for (number, share, to) in &told {
        let place = SharePlace {
            si: share.si,
            share: share.share,
        };
        let coding = grid.coding;
        grid.peers.get_mut(&to.0[0]).expect("there").store(place, coding);
        grid.peers.get_mut(number).expect("there").lose(&place);
    }
    told.len()
}

fn at_home(grid: &Grid, file: u64) -> bool {
    let home: BTreeSet<NodeId> = grid.home(file).into_iter().collect();
    let holds = |peer: &Peer| peer.shares.iter().any(|place| place.si == si(file));
    let holders = grid.peers.iter().filter(|(_, peer)| holds(peer));
    holders.map(|(number, _)| node(*number)).collect::<BTreeSet<_>>() == home
}

#[test]
fn new_nodes_fill_up_and_then_nothing_is_looked_for_any_more() {
    let mut grid = settled();
    assert!(grid.seen.misplaced.is_empty(), "all are at home");
    join(&mut grid, 11);
    join(&mut grid, 12);
    grid.pass(15 * MINUTE);
    let moved = move_all(&mut grid);
    assert!(
        (0..FILES).all(|file| at_home(&grid, file)),
        "each share was told once, by its holder"
    );
    // Eight of twelve nodes hold a share of a file: of 1,600 shares two twelfths belong to the new ones.
    assert!((200..=340).contains(&moved), "no more than must: {moved}");
    let held = |number: u8| grid.peers[&number].shares.len();
    assert!(held(11) > 90 && held(12) > 90, "{} {}", held(11), held(12));
    grid.pass(15 * MINUTE);
    assert!(grid.seen.misplaced.is_empty());
    let lists = grid.seen.lists;
    grid.pass(60 * MINUTE);
    assert_eq!(grid.seen.lists, lists, "a grid at rest lists nothing");
}

#[test]
fn nothing_is_moved_while_a_node_is_away_that_may_come_back() {
    let mut grid = settled();
    grid.kill(3);
    join(&mut grid, 11);
    grid.pass(10 * MINUTE);
    assert!(grid.seen.misplaced.is_empty());
    grid.start(3);
    watch(&mut grid, 3);
    grid.tell_members();
    grid.pass(15 * MINUTE);
    assert!(!grid.seen.misplaced.is_empty(), "it came back");
}

#[test]
fn shares_spread_no_further_when_a_node_leaves_for_good() {
    let mut grid = settled();
    grid.peers.get_mut(&4).expect("there").draining = true;
    grid.pass(30 * MINUTE);
    assert!(
        grid.seen.misplaced.iter().all(|(number, ..)| *number != 4),
        "a node that is being emptied moves nothing by itself"
    );
}
