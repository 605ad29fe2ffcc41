//! A copy that belongs elsewhere: copied, asked about, proved, dropped.

use super::*;

/// Share 0 is on node 1 and belongs on node 9; shares 1 and 2 are on others.
fn misplaced() -> Holdings {
    holdings((2, 3), &[(node(1), 0), (node(2), 1), (node(3), 2)])
}

fn landed() -> Holdings {
    holdings((2, 3), &[(node(1), 0), (node(9), 0), (node(2), 1), (node(3), 2)])
}

fn found() -> Trimmer {
    let mut trimmer = trimmer(node(1));
    trimmer.handle_found(Mono::ZERO, id(0), Reason::Elsewhere(node(9)));
    assert_eq!(only(&mut trimmer), Some(Effect::Survey(id(0))));
    trimmer
}

#[test]
fn a_copy_goes_when_it_is_proved_to_be_where_it_belongs() {
    let now = Mono::ZERO;
    let mut trimmer = found();
    assert_eq!(trimmer.report().leaving, 1);
    trimmer.handle_holdings(now, id(0), Some(&misplaced()));
    let copy = Effect::Copy {
        share: id(0),
        to: node(9),
    };
    assert_eq!(only(&mut trimmer), Some(copy));
    trimmer.handle_copied(now, id(0), true);
    assert_eq!(only(&mut trimmer), Some(Effect::Survey(id(0))), "seen again");
    trimmer.handle_holdings(now, id(0), Some(&landed()));
    let witness = node(9);
    assert_eq!(
        only(&mut trimmer),
        Some(Effect::Ask {
            share: id(0),
            witness
        })
    );
    trimmer.handle_kept(now, id(0), true);
    assert_eq!(
        only(&mut trimmer),
        Some(Effect::Prove {
            share: id(0),
            witness
        })
    );
    trimmer.handle_proof(now, id(0), true, 10);
    let reason = Reason::Elsewhere(node(9));
    assert_eq!(only(&mut trimmer), Some(Effect::Drop(id(0), reason)));
    trimmer.handle_dropped(now, id(0), true);
    let report = trimmer.report();
    assert_eq!((report.moved, report.dropped, report.leaving), (1, 0, 0));
}

#[test]
fn a_copy_that_did_not_arrive_stays() {
    let now = Mono::ZERO;
    let mut failed = found();
    failed.handle_holdings(now, id(0), Some(&misplaced()));
    only(&mut failed);
    failed.handle_copied(now, id(0), false);
    assert_eq!(failed.report().stays, BTreeMap::from([(Stays::NotCopied, 1)]));
    let mut vanished = found();
    vanished.handle_holdings(now, id(0), Some(&misplaced()));
    only(&mut vanished);
    vanished.handle_copied(now, id(0), true);
    only(&mut vanished);
    vanished.handle_holdings(now, id(0), Some(&misplaced()));
    assert_eq!(only(&mut vanished), None, "it is not copied for ever");
    assert_eq!(vanished.report().stays, BTreeMap::from([(Stays::NotCopied, 1)]));
}

#[test]
fn what_is_there_already_is_not_copied_again() {
    let mut trimmer = found();
    trimmer.handle_holdings(Mono::ZERO, id(0), Some(&landed()));
    assert!(matches!(only(&mut trimmer), Some(Effect::Ask { .. })));
}

#[test]
fn a_share_goes_only_to_a_node_without_any_and_only_of_a_whole_file() {
    let land = |held: &Holdings| landing(&node(1), id(0), node(9), held);
    assert_eq!(land(&misplaced()), Ok(Landing::Open));
    assert_eq!(land(&landed()), Ok(Landing::Landed));
    let other = holdings((2, 3), &[(node(1), 0), (node(9), 1), (node(3), 2)]);
    assert_eq!(land(&other), Err(Stays::NoWitness), "it holds another share");
    let both = holdings((2, 3), &[(node(1), 0), (node(9), 0), (node(9), 1), (node(3), 2)]);
    assert_eq!(land(&both), Err(Stays::NoWitness));
    let short = holdings((2, 3), &[(node(1), 0), (node(2), 1)]);
    assert_eq!(land(&short), Err(Stays::Needed), "a share is missing");
    let crowded = holdings((2, 3), &[(node(1), 0), (node(2), 1), (node(2), 2)]);
    assert_eq!(land(&crowded), Err(Stays::Needed), "two on one node");
    let mut draining = misplaced();
    draining.draining.insert(node(9));
    assert_eq!(land(&draining), Err(Stays::NoWitness), "it is being emptied");
    draining.draining = BTreeSet::from([node(1)]);
    assert_eq!(land(&draining), Err(Stays::Draining));
    let gone = holdings((2, 3), &[(node(2), 1), (node(3), 2)]);
    assert_eq!(land(&gone), Err(Stays::Gone));
}

#[test]
fn nobody_may_count_on_a_copy_that_is_about_to_go_or_right_after_the_start() {
    let mut trimmer = found();
    let now = Mono::ZERO + QUIET;
    assert!(
        !trimmer.keeps(Mono::ZERO + (QUIET - Duration::from_millis(1)), id(0)),
        "too early"
    );
    assert!(trimmer.keeps(now, id(0)), "only looked at");
    trimmer.handle_holdings(now, id(0), Some(&landed()));
    only(&mut trimmer);
    assert!(!trimmer.keeps(now, id(0)), "from the moment it asks");
    assert!(trimmer.keeps(now, id(1)), "another one");
    trimmer.handle_kept(now, id(0), true);
    only(&mut trimmer);
    assert!(!trimmer.keeps(now, id(0)));
    trimmer.handle_proof(now, id(0), true, 0);
    only(&mut trimmer);
    assert!(!trimmer.keeps(now, id(0)));
    trimmer.handle_dropped(now, id(0), false);
    assert!(trimmer.keeps(now, id(0)), "it stays after all");
    trimmer.stop();
    assert!(!trimmer.keeps(now, id(0)));
}
