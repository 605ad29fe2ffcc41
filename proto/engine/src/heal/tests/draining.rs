//! Nodes that are being emptied: what keepers do about them, and what they find out about themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{NodeId, ShareNumber};
use truckee_grid::params::Coding;
use truckee_wire::message::{Inventory, ListedShare, Request, Response, SharePlace, SharesListed};

use super::grid::*;
use crate::heal::merge::FileSeen;
use crate::heal::verdict::{Verdict, judge};
use crate::heal::{Effect, EvacuationReport, Healer, START_REST};
use crate::time::Mono;

const MINUTE: Duration = Duration::from_secs(60);
const FILES: u64 = 120;

fn three_of_ten() -> Coding {
    Coding::new(3, 10).expect("valid")
}

fn quiet(count: u8) -> Grid {
    let mut grid = Grid::new(count, FILES, three_of_ten());
    grid.pass(2 * MINUTE);
    grid.seen = Seen::default();
    grid
}

fn drain(grid: &mut Grid, number: u8, draining: bool) {
    grid.peers.get_mut(&number).expect("there").draining = draining;
}

fn evacuation(grid: &Grid, number: u8) -> EvacuationReport {
    let report = grid.peers[&number].healer.report();
    report.evacuation.expect("it is being emptied and knows it")
}

/// Files with a share at a node, as far as their shares at the others are concerned: all there, or not.
fn files_of(grid: &Grid, number: u8, without: &[u8]) -> (u64, u64) {
    let without: BTreeSet<NodeId> = without.iter().map(|number| node(*number)).collect();
    let held: BTreeSet<_> = grid.peers[&number].shares.iter().map(|place| place.si).collect();
    let whole = held
        .iter()
        .filter(|si| grid.holders_but(si, &without).len() == grid.coding.n())
        .count() as u64;
    (whole, held.len() as u64 - whole)
}

/// Whether the node says that it may be taken away, by a look that began after `since`.
fn says_safe(grid: &Grid, number: u8, since: Mono) -> bool {
    let report = grid.peers[&number].healer.report();
    report.evacuation.is_some_and(|report| {
        report.waiting_files + report.stuck_files == 0
            && report.checked_from.is_some_and(|from| from >= since)
    })
}

#[test]
fn what_a_draining_node_holds_is_made_again_elsewhere_and_stays() {
    let mut grid = quiet(12);
    let held = grid.peers[&4].shares.clone();
    drain(&mut grid, 4, true);
    grid.pass(Duration::from_secs(20));
    let leaving: u64 = grid
        .peers
        .values()
        .map(|peer| peer.healer.report().leaving_files)
        .sum();
    assert!(leaving > 0, "known, and not settled yet");
    for peer in grid.peers.values() {
        let report = peer.healer.report();
        assert_eq!(
            (report.short_files, report.margin_least),
            (0, None),
            "nothing is in danger"
        );
    }
    grid.pass(20 * MINUTE);
    assert_eq!(
        grid.peers[&4].shares, held,
        "nothing is removed, nothing is added"
    );
    assert_eq!(files_of(&grid, 4, &[4]), (held.len() as u64, 0));
    assert_eq!(grid.seen.repairs.len(), held.len(), "each file once");
    let surplus: u64 = grid
        .peers
        .values()
        .map(|peer| peer.healer.report().surplus_shares)
        .sum();
    assert_eq!(surplus, 0, "a copy on a node that goes is none too many");
    let report = evacuation(&grid, 4);
    assert_eq!(
        (
            report.moved_files,
            report.waiting_files,
            report.stuck_files,
            report.unknown_buckets
        ),
        (held.len() as u64, 0, 0, 0)
    );
    assert!(report.checked_from.is_some());
    assert!(grid.peers[&5].healer.report().evacuation.is_none());

    // Nothing changes any more: nothing is listed any more. It goes, and nobody notices.
    grid.seen = Seen::default();
    grid.pass(10 * MINUTE);
    assert_eq!((grid.seen.lists, grid.seen.repairs.len()), (0, 0));
    grid.kill(4);
    grid.pass(GRACE + 10 * MINUTE);
    assert_eq!(grid.seen.repairs, []);
}

/// A share that comes after a node has told itself what it has, and before all others have told, is not yet accounted for.
#[test]
fn what_is_checked_is_as_old_as_the_question() {
    let mut now = Mono::ZERO;
    let mut healer = Healer::new(config(node(1)), now);
    healer.handle_members(now, &[(candidate(1), true)]);
    now += START_REST;
    healer.handle_timeout(now);
    let asked = now;
    now += Duration::from_secs(7);
    for _ in 0..100_000 {
        if let Some(Effect::Send { token, request, .. }) = healer.poll_effect() {
            let answer = match request {
                Request::GetInventory => Response::Inventory(Inventory {
                    epoch: 1,
                    changes: vec![0; Bucket::COUNT],
                    accepts_shares: false,
                    draining: true,
                }),
                _ => Response::SharesListed(SharesListed {
                    epoch: 1,
                    changes: 0,
                    shares: Vec::new(),
                    next: None,
                }),
            };
            healer.handle_answer(now, token, Ok(answer));
        } else if healer.report().rounds == 0 {
            now = healer.next_deadline().expect("pages are asked for").max(now);
            healer.handle_timeout(now);
        } else {
            break;
        }
    }
    let report = healer.report().evacuation.expect("it is being emptied");
    assert_eq!(report.checked_from, Some(asked));
}

#[test]
fn a_node_that_was_emptied_and_has_gone_stands_in_for_nothing_that_others_lose() {
    let mut grid = quiet(12);
    drain(&mut grid, 4, true);
    grid.pass(20 * MINUTE);
    grid.kill(4);
    grid.pass(2 * MINUTE);
    let lost: Vec<SharePlace> = grid.peers[&7].shares.iter().copied().collect();
    for place in &lost {
        grid.peers.get_mut(&7).expect("there").lose(place);
    }
    assert!(lost.len() > 80);
    grid.pass(8 * MINUTE);
    let whole = |place: &&SharePlace| grid.holders(&place.si).len() == grid.coding.n();
    assert_eq!(
        lost.iter().filter(whole).count(),
        lost.len(),
        "within the grace time"
    );
}

#[test]
fn a_node_that_stays_after_all_is_as_good_as_before() {
    let mut grid = quiet(12);
    drain(&mut grid, 4, true);
    // Between two rounds.
    grid.pass(Duration::from_secs(2));
    drain(&mut grid, 4, false);
    grid.pass(10 * MINUTE);
    assert_eq!(grid.seen.repairs, []);
    let leaving: u64 = grid
        .peers
        .values()
        .map(|peer| peer.healer.report().leaving_files)
        .sum();
    assert_eq!(leaving, 0);
    assert!(grid.peers[&4].healer.report().evacuation.is_none());
    let held = grid.peers[&4].shares.len() as u64;
    drain(&mut grid, 4, true);
    grid.pass(20 * MINUTE);
    assert_eq!(files_of(&grid, 4, &[4]), (held, 0), "it is noticed each time");
    drain(&mut grid, 4, false);
    grid.pass(3 * MINUTE);
    let surplus: u64 = grid
        .peers
        .values()
        .map(|peer| peer.healer.report().surplus_shares)
        .sum();
    assert_eq!(surplus, held, "now its copies are too many");
}

#[test]
fn files_that_lack_shares_go_before_those_that_leave() {
    let mut grid = quiet(12);
    // Nothing is begun before all is known.
    grid.peers.values_mut().for_each(|peer| peer.accepts = false);
    grid.pass(2 * MINUTE);
    drain(&mut grid, 4, true);
    let lost: BTreeSet<_> = (0..20).map(si).collect();
    for file in 0..20 {
        let place = SharePlace {
            si: si(file),
            share: ShareNumber(2),
        };
        for peer in grid.peers.values_mut() {
            peer.lose(&place);
        }
    }
    grid.pass(5 * MINUTE);
    assert_eq!(grid.seen.repairs, []);
    grid.peers.values_mut().for_each(|peer| peer.accepts = true);
    grid.pass(20 * MINUTE);
    assert_eq!(files_of(&grid, 4, &[4]).1, 0);
    for keeper in grid.peers.keys() {
        let own: Vec<bool> = grid
            .seen
            .repairs
            .iter()
            .filter(|(number, ..)| number == keeper)
            .map(|(_, _, si)| lost.contains(si))
            .collect();
        assert!(own.is_sorted_by(|one, next| one >= next), "{keeper}: {own:?}");
    }
}

#[test]
fn two_draining_nodes_do_not_count_for_each_other() {
    let mut grid = quiet(12);
    drain(&mut grid, 4, true);
    drain(&mut grid, 5, true);
    grid.peers.values_mut().for_each(|peer| peer.accepts = false);
    let began = grid.now;
    grid.pass(10 * MINUTE);
    for number in [4, 5] {
        let (whole, not) = files_of(&grid, number, &[4, 5]);
        let report = evacuation(&grid, number);
        assert_eq!((report.moved_files, report.waiting_files), (whole, not));
        assert!(
            not > 0 && !says_safe(&grid, number, began),
            "nobody takes its shares"
        );
        assert_eq!(grid.peers[&number].healer.report().takers, 0);
    }
    grid.peers.values_mut().for_each(|peer| peer.accepts = true);
    grid.pass(20 * MINUTE);
    for number in [4, 5] {
        assert_eq!(files_of(&grid, number, &[4, 5]).1, 0);
        assert!(says_safe(&grid, number, began));
    }
    // One of them stays after all, and takes shares: what it holds counts again.
    drain(&mut grid, 5, false);
    grid.pass(5 * MINUTE);
    assert!(says_safe(&grid, 4, began));
}

#[test]
fn what_cannot_be_made_again_is_told_apart() {
    let mut grid = quiet(12);
    let held = grid.peers[&4].shares.iter().next().copied().expect("some");
    for share in three_of_ten().shares().filter(|share| *share != held.share) {
        let place = SharePlace { si: held.si, share };
        grid.peers.values_mut().for_each(|peer| peer.lose(&place));
    }
    drain(&mut grid, 4, true);
    let began = grid.now;
    grid.pass(20 * MINUTE);
    let report = evacuation(&grid, 4);
    assert_eq!((report.stuck_files, report.waiting_files), (1, 0));
    assert!(!says_safe(&grid, 4, began), "its share may be the last one");
}

#[test]
fn a_node_that_sees_nobody_does_not_think_that_it_may_go() {
    let mut grid = quiet(12);
    drain(&mut grid, 4, true);
    grid.pass(20 * MINUTE);
    assert_eq!(evacuation(&grid, 4).waiting_files, 0);
    for number in (1..=12).filter(|number| *number != 4) {
        grid.kill(number);
    }
    grid.pass(5 * MINUTE);
    let report = evacuation(&grid, 4);
    assert!(
        report.moved_files == 0 && report.waiting_files + report.stuck_files > 0,
        "{report:?}"
    );
}

#[test]
fn a_list_that_fails_leaves_it_open() {
    let mut grid = quiet(12);
    grid.peers.get_mut(&7).expect("there").broken = true;
    drain(&mut grid, 4, true);
    let began = grid.now;
    grid.pass(20 * MINUTE);
    let report = evacuation(&grid, 4);
    assert!(
        report.unknown_buckets > 0 && report.checked_from.is_none(),
        "{report:?}"
    );
    grid.peers.get_mut(&7).expect("there").broken = false;
    grid.pass(20 * MINUTE);
    assert!(says_safe(&grid, 4, began));
}

#[test]
fn somebody_who_waits_gets_a_look_at_once() {
    let mut grid = quiet(12);
    grid.pass(ROUND / 2);
    let (rounds, now) = (grid.peers[&4].healer.report().rounds, grid.now);
    grid.peers.get_mut(&4).expect("there").healer.handle_look(now);
    grid.pass(Duration::from_secs(1));
    assert_eq!(grid.peers[&4].healer.report().rounds, rounds + 1);
}

#[test]
fn the_verdict_on_a_file_that_leaves() {
    let coding = three_of_ten();
    let seen = |holders: &[(u8, u8)]| FileSeen {
        si: si(1),
        holders: holders
            .iter()
            .map(|(number, share)| {
                let place = SharePlace {
                    si: si(1),
                    share: ShareNumber(*share),
                };
                (node(*number), ListedShare { place, coding })
            })
            .collect(),
    };
    let all: Vec<(u8, u8)> = (0..10).map(|share| (share + 1, share)).collect();
    let drains = BTreeSet::from([node(1)]);
    let verdict = |holders: &[(u8, u8)], away| judge(&seen(holders), away, &drains).verdict;
    assert_eq!(
        judge(&seen(&all), 0, &BTreeSet::new()).verdict,
        Verdict::Whole { spare_nodes: 4 }
    );
    assert_eq!(verdict(&all, 0), Verdict::Leaving { margin: 7 });
    assert_eq!(
        verdict(&all, 5),
        Verdict::Leaving { margin: 7 },
        "who is away has others"
    );
    assert_eq!(verdict(&all[..9], 5), Verdict::Short { margin: 6 });
    assert_eq!(verdict(&all[1..], 1), Verdict::Presumed { spare_nodes: 3 });
    let copied: Vec<(u8, u8)> = all.iter().copied().chain([(11, 0)]).collect();
    let judged = judge(&seen(&copied), 0, &drains);
    assert_eq!(
        (judged.verdict, judged.surplus),
        (Verdict::Whole { spare_nodes: 4 }, 0)
    );
    assert_eq!(judge(&seen(&copied), 0, &BTreeSet::new()).surplus, 1);
    assert_eq!(verdict(&all[..2], 9), Verdict::Unreadable);
}

/// Nodes drain, stay, die and come back; whenever one says that it may go, it may, and takes nothing with it.
#[test]
fn who_says_that_it_may_go_may_go() {
    let mut gone = 0;
    for seed in 0..6 {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut grid = Grid::new(15, 40, three_of_ten());
        // Since when each takes no shares any more.
        let mut since = BTreeMap::new();
        grid.pass(2 * MINUTE);
        for _ in 0..40 {
            let number = dice.random_range(1..=15);
            let down = grid
                .peers
                .iter()
                .find(|(_, peer)| !peer.up)
                .map(|(number, _)| *number);
            let draining = grid.peers.values().filter(|peer| peer.draining).count();
            match (dice.random_range(0..4), down) {
                (0, Some(down)) => grid.start(down),
                (1, None) if !grid.peers[&number].draining => grid.kill(number),
                (2, _) if grid.peers[&number].up && draining < 3 => {
                    drain(&mut grid, number, true);
                    since.insert(number, grid.now);
                }
                (3, _) if dice.random() => drain(&mut grid, number, false),
                _ => {}
            }
            grid.pass(Duration::from_secs(dice.random_range(1..600)));
            let leaving: Vec<u8> = grid
                .peers
                .iter()
                .filter(|(_, peer)| peer.up && peer.draining)
                .map(|(number, _)| *number)
                .collect();
            // Of others that are down it may not know yet.
            let all_up = grid.peers.values().all(|peer| peer.up);
            for number in leaving.into_iter().filter(|_| all_up) {
                if says_safe(&grid, number, since[&number]) {
                    gone += 1;
                    let (_, not) = files_of(&grid, number, &[number]);
                    assert_eq!(not, 0, "seed {seed}: node {number} would take shares with it");
                }
            }
        }
    }
    assert!(gone > 10, "{gone}: it happens often enough to mean something");
}
