//! One test for each rule of the drive.

use std::time::Duration;

use truckee_grid::caps::{Cap, MutableCap};
use truckee_grid::drive::{RowError, Target};

use super::model::*;
use crate::drive::machine::TRIES_MAX;
use crate::drive::*;
use crate::transfer::model::Dice;

fn why(error: DriveError) -> (usize, EditWhy) {
    match error {
        DriveError::Refused(refused) => (refused.index, refused.why),
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_written_by_one_gateway_is_read_by_another() {
    let mut world = World::new(1, 2, 1);
    let (write, read) = keys(1);
    assert_eq!(world.read(1, &read), Err(DriveError::NotFound));
    world.create(0, &write).unwrap();
    assert_eq!(world.read(1, &read).unwrap().version, 1);
    let inner = Target::Cap(Cap::Dir(MutableCap::of_write_key(write_key(9))));
    let link = Edit::Set {
        name: name("dir"),
        target: inner.clone(),
        metadata: None,
        replace: Replace::Always,
    };
    world.edit(0, &write, vec![set("a", "1"), link]).unwrap();
    let view = world.read(1, &read).unwrap();
    assert!(!view.writable);
    assert_eq!(
        Some(view.children.get(&name("dir")).unwrap().target.clone()),
        inner.to_read()
    );
    let view = world.read(1, &write).unwrap();
    assert!(view.writable && view.version == 2);
    assert_eq!(view.children.get(&name("dir")).unwrap().target, inner);
    assert_eq!(
        world.edit(1, &read, vec![set("b", "1")]),
        Err(DriveError::ReadOnly)
    );
}

#[test]
fn a_read_with_an_up_to_date_copy_is_one_round_trip_without_work() {
    let mut world = World::new(2, 1, 2);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    let edits = (0..50).map(|i| set(&format!("n{i}"), "x")).collect();
    world.edit(0, &write, edits).unwrap();
    world.served.clear();
    world.worked = 0;
    world.notes.clear();
    let first = world.read(0, &write).unwrap();
    let second = world.read(0, &write).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    assert_eq!(
        (world.served.as_slice(), world.worked),
        (["get"; 2].as_slice(), 0)
    );
    assert_eq!(world.notes, [Note::Current, Note::Current]);
}

#[test]
fn reads_that_wait_together_share_a_question_but_not_one_put_before_they_came() {
    let mut world = World::new(3, 2, 1);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    world.read(1, &write).unwrap();
    world.served.clear();
    let first = world.start_read(1, &write);
    // The question is on its way: whoever comes now may not have its answer.
    world.edit(0, &write, vec![set("a", "1")]).unwrap();
    let later: Vec<Ticket> = (0..20).map(|_| world.start_read(1, &write)).collect();
    world.result(first).unwrap();
    for ticket in later {
        let Ok(Outcome::Read(view)) = world.result(ticket) else {
            panic!("a read")
        };
        assert!(names(&view).contains("a"));
    }
    let gets = world.served.iter().filter(|kind| **kind == "get").count();
    // One for the first, one for the first of those who came later, and one for all who came after that was put.
    assert!((2..=3).contains(&gets), "{gets} questions for 21 readers");
}

#[test]
fn edits_that_wait_together_become_one_change_and_a_refused_one_spoils_no_other() {
    let mut world = World::new(4, 1, 1);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    let first = world.start_edits(0, &write, vec![set("first", "1")]);
    let tickets: Vec<Ticket> = (0..100)
        .map(|i| {
            world.start_edits(
                0,
                &write,
                vec![set_as(&format!("n{}", i % 60), "x", Replace::Never)],
            )
        })
        .collect();
    let half = world.start_edits(
        0,
        &write,
        vec![set("half", "1"), Edit::Remove { name: name("none") }],
    );
    world.result(first).unwrap();
    for (i, ticket) in tickets.into_iter().enumerate() {
        let result = world.result(ticket);
        if i < 60 {
            assert!(result.is_ok(), "{i}: {result:?}");
        } else {
            assert_eq!(why(result.unwrap_err()), (0, EditWhy::Exists));
        }
    }
    assert_eq!(why(world.result(half).unwrap_err()), (1, EditWhy::NotFound));
    let view = world.read(0, &write).unwrap();
    assert_eq!(
        (view.version, view.children.len()),
        (3, 61),
        "all or none, in one change"
    );
    assert!(world.notes.contains(&Note::Taken { calls: 60 }));
}

#[test]
fn conflicts_are_evaluated_again_and_nothing_is_lost() {
    let mut world = World::new(5, 8, 1);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    let tickets: Vec<Ticket> = (0..8)
        .flat_map(|gateway| (0..5).map(move |i| (gateway, i)))
        .map(|(gateway, i)| world.start_edits(gateway, &write, vec![set(&format!("{gateway}.{i}"), "x")]))
        .collect();
    for ticket in tickets {
        world.result(ticket).unwrap();
    }
    assert_eq!(world.read(0, &write).unwrap().children.len(), 40);
    assert!(world.notes.contains(&Note::Conflict));
}

#[test]
fn against_a_crowd_it_gives_up_after_so_many_tries() {
    let mut world = World::new(6, 2, 1);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    world.read(1, &write).unwrap();
    // Every change of ours is said to have been late.
    world.lie = Some(Box::new(|_, response| {
        if let truckee_wire::message::Response::ChangeTaken(taken) = response {
            taken.taken = false;
            taken.head.as_mut().unwrap().signature = [0; 64];
        }
    }));
    let result = world.edit(1, &write, vec![set("a", "1")]);
    assert_eq!(result, Err(DriveError::Contended { tries: TRIES_MAX }));
    assert_eq!(
        world.notes.iter().filter(|note| **note == Note::Conflict).count(),
        TRIES_MAX as usize
    );
}

#[test]
fn a_refusal_counts_only_on_top_of_the_newest_version() {
    let mut world = World::new(7, 2, 1);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    world.edit(0, &write, vec![set("a", "1")]).unwrap();
    world.read(1, &write).unwrap();
    world
        .edit(0, &write, vec![Edit::Remove { name: name("a") }])
        .unwrap();
    // The other gateway still has a copy in which the name is taken.
    world
        .edit(1, &write, vec![set_as("a", "2", Replace::Never)])
        .unwrap();
    assert_eq!(texts(&world.read(0, &write).unwrap())["a"], "2");
    let gone = world.edit(0, &write, vec![Edit::Remove { name: name("b") }]);
    assert_eq!(why(gone.unwrap_err()), (0, EditWhy::NotFound));
}

#[test]
fn a_change_through_the_write_cap_makes_no_liar_of_a_vdrive_that_answers_a_reader() {
    let (mut overtaken, mut rolled_back) = (0, 0);
    for seed in 0..200 {
        let mut world = World::new(seed, 2, 1);
        let (write, read) = keys(1);
        world.create(0, &write).unwrap();
        let edit = world.start_edits(0, &write, vec![set("a", "1")]);
        let reads: Vec<Ticket> = (0..20)
            .map(|_| {
                world.run_for(Duration::from_micros(200));
                world.start_read(0, &read)
            })
            .collect();
        world.result(edit).unwrap();
        for ticket in reads {
            match world.result(ticket) {
                Ok(Outcome::Read(view)) => overtaken += u32::from(view.version == 1),
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        rolled_back += world
            .notes
            .iter()
            .filter(|note| **note == Note::RolledBack)
            .count();
    }
    assert!(overtaken > 0, "no answer was ever on its way");
    assert_eq!(rolled_back, 0);
}

#[test]
fn each_edit_and_each_reason_to_refuse_it() {
    let mut world = World::new(8, 1, 1);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    let dir = |at: &str, replace| Edit::Set {
        name: name(at),
        target: Target::Cap(Cap::Dir(MutableCap::of_write_key(write_key(9)))),
        metadata: None,
        replace,
    };
    let mut edit = |edits| world.edit(0, &write, edits);
    let before = edit(vec![set("a", "1"), set("a", "2"), dir("d", Replace::Never)]).unwrap();
    assert_eq!(
        before[1]
            .before
            .as_ref()
            .map(|child| text_of(&child.target))
            .as_deref(),
        Some("1")
    );
    let refusals = [
        (set_as("a", "3", Replace::Never), EditWhy::Exists),
        (set_as("d", "3", Replace::OnlyFiles), EditWhy::ExistsDirectory),
        (set_as("d", "3", Replace::Never), EditWhy::Exists),
        (Edit::Remove { name: name("x") }, EditWhy::NotFound),
        (
            Edit::RemoveIf {
                name: name("a"),
                target: file("1"),
            },
            EditWhy::Changed,
        ),
        (
            Edit::Rename {
                from: name("a"),
                to: name("d"),
                replace: Replace::OnlyFiles,
            },
            EditWhy::ExistsDirectory,
        ),
        (
            Edit::Rename {
                from: name("x"),
                to: name("x"),
                replace: Replace::Always,
            },
            EditWhy::NotFound,
        ),
        (
            Edit::SetContent {
                target: file("1"),
                based_on: None,
            },
            EditWhy::WrongKind,
        ),
        (
            Edit::Set {
                name: name("u"),
                target: Target::Unknown {
                    write: Some(String::from("x")),
                    read: None,
                },
                metadata: None,
                replace: Replace::Always,
            },
            EditWhy::Target(RowError::UnknownNeedsRead),
        ),
        (
            Edit::Set {
                name: name("u"),
                target: file("1"),
                metadata: Some(String::from("[]")),
                replace: Replace::Always,
            },
            EditWhy::Metadata {
                bytes_max: truckee_grid::drive::METADATA_BYTES_MAX,
            },
        ),
    ];
    for (bad, reason) in refusals {
        let result = edit(vec![set("trace", "1"), bad]);
        assert_eq!(why(result.unwrap_err()), (1, reason));
    }
    let rename = |from: &str, to: &str| Edit::Rename {
        from: name(from),
        to: name(to),
        replace: Replace::Always,
    };
    edit(vec![rename("a", "a")]).unwrap();
    edit(vec![rename("a", "b"), set_as("a", "4", Replace::Never)]).unwrap();
    let remove_if = Edit::RemoveIf {
        name: name("b"),
        target: file("2"),
    };
    edit(vec![remove_if]).unwrap();
    let view = world.read(0, &write).unwrap();
    assert_eq!(names_of(&view), ["a", "d"]);
}

fn names_of(view: &DirectoryView) -> Vec<String> {
    view.children
        .keys()
        .map(|name| name.as_str().to_owned())
        .collect()
}

#[test]
fn a_mutable_file_is_swapped_only_for_what_was_read() {
    let mut world = World::new(9, 2, 1);
    let (write, read) = keys(1);
    world.create(0, &write).unwrap();
    let content = |text: &str, based_on: Option<&str>| Edit::SetContent {
        target: file(text),
        based_on: based_on.map(file),
    };
    world.edit(0, &write, vec![content("1", None)]).unwrap();
    world.edit(1, &write, vec![content("2", Some("1"))]).unwrap();
    let late = world.edit(0, &write, vec![content("3", Some("1"))]);
    assert_eq!(why(late.unwrap_err()), (0, EditWhy::Changed));
    let directory = Edit::SetContent {
        target: Target::Cap(Cap::Dir(MutableCap::of_write_key(write_key(9)))),
        based_on: None,
    };
    let directory = world.edit(0, &write, vec![directory]);
    assert_eq!(why(directory.unwrap_err()), (0, EditWhy::WrongKind));
    let child = world.edit(0, &write, vec![set("a", "1")]);
    assert_eq!(why(child.unwrap_err()), (0, EditWhy::WrongKind));
    let view = world.read(1, &read).unwrap();
    assert_eq!(text_of(&view.content.as_ref().unwrap().target), "2");
}

#[test]
fn a_large_directory_comes_in_pages_also_while_it_changes() {
    for seed in 0..20 {
        let mut world = World::new(seed, 2, 1);
        world.page_rows = 7;
        let (write, _) = keys(1);
        world.create(0, &write).unwrap();
        for part in 0..4 {
            let edits = (0..25).map(|i| set(&format!("{part}.{i}"), "x")).collect();
            world.edit(0, &write, edits).unwrap();
        }
        let reading = world.start_read(1, &write);
        let mut dice = Dice(seed);
        for i in 0..6 {
            let gone = Edit::Remove {
                name: name(&format!("{}.{i}", dice.roll(4))),
            };
            world
                .edit(0, &write, vec![gone, set(&format!("new{i}"), "y")])
                .unwrap();
        }
        let Ok(Outcome::Read(view)) = world.result(reading) else {
            panic!("seed {seed}: a read")
        };
        assert!(view.version >= 5, "seed {seed}");
        let last = world.read(1, &write).unwrap();
        assert_eq!((last.version, last.children.len()), (11, 100), "seed {seed}");
        assert!(!world.notes.contains(&Note::Forged), "seed {seed}");
    }
}

#[test]
fn changes_are_bounded_in_bytes_and_the_rest_waits_for_the_next_one() {
    let mut world = World::new(10, 1, 1);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(15 << 10));
    let edits = |from: usize, to: usize| -> Vec<Edit> {
        (from..to)
            .map(|i| Edit::Set {
                name: name(&format!("n{i}")),
                target: file("x"),
                metadata: Some(long.clone()),
                replace: Replace::Always,
            })
            .collect()
    };
    let first = world.start_edits(0, &write, edits(0, 1));
    let tickets: Vec<Ticket> = (0..4)
        .map(|part| world.start_edits(0, &write, edits(part * 100, part * 100 + 100)))
        .collect();
    let too_large = world.start_edits(0, &write, edits(0, 300));
    world.result(first).unwrap();
    for ticket in tickets {
        world.result(ticket).unwrap();
    }
    let bytes_max = CHANGE_BYTES_MAX;
    assert_eq!(world.result(too_large), Err(DriveError::TooLarge { bytes_max }));
    let view = world.read(0, &write).unwrap();
    assert_eq!((view.version, view.children.len()), (4, 400));
}

#[test]
fn changes_are_bounded_in_rows() {
    let mut world = World::new(10, 1, 1);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    let first = world.start_edits(0, &write, vec![set("a", "1")]);
    let thousand = |part: u32| (0..1000).map(|i| set(&format!("{part}.{i}"), "x")).collect();
    let tickets: Vec<Ticket> = (0..3)
        .map(|part| world.start_edits(0, &write, thousand(part)))
        .collect();
    world.result(first).unwrap();
    for ticket in tickets {
        world.result(ticket).unwrap();
    }
    let view = world.read(0, &write).unwrap();
    assert_eq!(
        (view.version, view.children.len()),
        (4, 3001),
        "two calls, then the third"
    );
}

#[test]
fn what_comes_and_goes_within_a_call_leaves_nothing() {
    let mut world = World::new(10, 1, 1);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    let gone = |at: &str| Edit::Remove { name: name(at) };
    world
        .edit(0, &write, vec![set("a", "1"), gone("a"), set("b", "1")])
        .unwrap();
    world.edit(0, &write, vec![set("c", "1"), gone("c")]).unwrap();
    let view = world.read(0, &write).unwrap();
    assert_eq!((view.version, names_of(&view)), (2, vec!["b".to_owned()]));
}

#[test]
fn a_directory_is_made_with_all_of_its_rows_or_not_at_all() {
    let mut world = World::new(10, 1, 1);
    let (write, _) = keys(1);
    let row = |at: &str, target: Target| {
        let metadata = String::from("{}");
        let child = truckee_grid::drive::Child { target, metadata };
        (truckee_grid::drive::RowName::Child(name(at)), child)
    };
    let bad = Target::Unknown {
        write: Some(String::from("x")),
        read: None,
    };
    for (rows, made) in [
        (vec![row("a", file("1")), row("b", bad)], false),
        (vec![row("a", file("1")), row("b", file("2"))], true),
    ] {
        let ticket = world.ticket();
        let now = world.now;
        world.gateways[0].handle_create(now, 1_000, ticket, write.clone(), rows);
        world.carry_out(0);
        assert_eq!(world.result(ticket).is_ok(), made);
        let count = world.read(0, &write).map(|view| view.children.len());
        assert_eq!(count, if made { Ok(2) } else { Err(DriveError::NotFound) });
    }
}

#[test]
fn a_key_that_is_not_fresh_makes_nothing() {
    let mut world = World::new(10, 2, 1);
    let (write, _) = keys(1);
    let reading = world.start_read(0, &write);
    assert_eq!(
        world.create(0, &write),
        Err(DriveError::Internal),
        "somebody asks for it"
    );
    assert_eq!(world.result(reading), Err(DriveError::NotFound));
    world.create(0, &write).unwrap();
    assert_eq!(
        world.create(0, &write),
        Err(DriveError::Internal),
        "it is known here"
    );
    assert_eq!(
        world.create(1, &write),
        Err(DriveError::Contended { tries: 1 }),
        "it is known there"
    );
    assert_eq!(world.read(1, &write).unwrap().version, 1);
}

#[test]
fn another_vdrive_is_asked_after_a_failure_and_after_a_second_of_silence() {
    let mut world = World::new(11, 1, 2);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    world.vdrives[0].down = true;
    let began = world.now;
    world.edit(0, &write, vec![set("a", "1")]).unwrap();
    assert!(world.now.saturating_sub(began) < Duration::from_millis(100));
    world.vdrives[0].down = false;
    world.vdrives[1].silent = true;
    let began = world.now;
    assert_eq!(world.read(0, &write).unwrap().children.len(), 1);
    let took = world.now.saturating_sub(began);
    assert!((900..1500).contains(&took.as_millis()), "{took:?}");
    let began = world.now;
    world.read(0, &write).unwrap();
    assert!(
        world.now.saturating_sub(began) < Duration::from_millis(100),
        "the good one is asked first"
    );
    world.vdrives[0].silent = true;
    let known = 2;
    assert_eq!(world.read(0, &write), Err(DriveError::Unreachable { known }));
    let edit = world.edit(0, &write, vec![set("b", "1")]);
    assert_eq!(edit, Err(DriveError::Unknown), "it was sent");
    world.unfaulted();
    assert_eq!(world.read(0, &write).unwrap().children.len(), 1);
}

#[test]
fn without_a_vdrive_it_says_so_at_once() {
    let mut world = World::new(12, 1, 0);
    let (write, _) = keys(1);
    let began = world.now;
    assert_eq!(world.read(0, &write), Err(DriveError::NoVdrive));
    assert_eq!(world.create(0, &write), Err(DriveError::NoVdrive));
    assert!(world.now.saturating_sub(began) < Duration::from_millis(10));
    assert!(world.gateways[0].is_idle());
}

#[test]
fn a_vdrive_that_starts_again_is_waited_for() {
    let mut world = World::new(13, 1, 1);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    world.vdrives[0].down = true;
    let edit = world.start_edits(0, &write, vec![set("a", "1")]);
    world.run_for(Duration::from_secs(2));
    world.vdrives[0].down = false;
    world.result(edit).unwrap();
}

#[test]
fn what_is_over_a_bound_is_refused_as_busy() {
    let mut world = World::new(15, 0, 1);
    let limits = Limits {
        tickets: 3,
        edits: 10,
        ..Limits::default()
    };
    let gateway = world.add_gateway(1, limits);
    let (write, _) = keys(1);
    world.create(gateway, &write).unwrap();
    let busy = |result| assert!(matches!(result, Err(DriveError::Busy { .. })), "{result:?}");
    let many = (0..11).map(|i| set(&format!("{i}"), "x")).collect();
    busy(world.edit(gateway, &write, many).map(|_| ()));
    let reads: Vec<Ticket> = (0..3).map(|_| world.start_read(gateway, &write)).collect();
    busy(world.read(gateway, &write).map(|_| ()));
    for ticket in reads {
        world.result(ticket).unwrap();
    }
    for i in 0..30 {
        world
            .edit(gateway, &write, vec![set(&format!("{i}"), "x")])
            .unwrap();
    }
    assert!(world.gateways[gateway].is_idle());
}

#[test]
fn copies_are_bounded_and_the_oldest_goes() {
    let mut world = World::new(16, 0, 1);
    let limits = Limits {
        copies_bytes: 30_000,
        ..Limits::default()
    };
    let gateway = world.add_gateway(1, limits);
    for index in 1..=10 {
        let (write, _) = keys(index);
        world.create(gateway, &write).unwrap();
        let edits = (0..10).map(|i| set(&format!("{i}"), "x")).collect();
        world.edit(gateway, &write, edits).unwrap();
        assert!(world.gateways[gateway].copies_bytes() <= 30_000);
        // The first one is used all the time.
        assert_eq!(world.read(gateway, &keys(1).0).unwrap().children.len(), 10);
    }
    assert!(world.notes.contains(&Note::Evicted));
    world.notes.clear();
    world.read(gateway, &keys(1).0).unwrap();
    assert_eq!(world.notes, [Note::Current], "it was kept");
    assert_eq!(world.read(gateway, &keys(2).0).unwrap().children.len(), 10);
    assert!(world.notes.iter().any(|note| matches!(note, Note::Whole { .. })));
}

#[test]
fn a_directory_over_the_bound_is_not_read() {
    let mut world = World::new(17, 1, 1);
    let limits = Limits {
        directory_bytes: 1000,
        ..Limits::default()
    };
    let small = world.add_gateway(1, limits);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    let edits = (0..20).map(|i| set(&format!("{i}"), "x")).collect();
    world.edit(0, &write, edits).unwrap();
    let bytes_max = 1000;
    assert_eq!(
        world.read(small, &write),
        Err(DriveError::DirectoryTooLarge { bytes_max })
    );
}

#[test]
fn cancelled_and_aborted_calls_leave_nothing_behind() {
    let mut world = World::new(18, 1, 1);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    let reading = world.start_read(0, &write);
    let waiting = world.start_edits(0, &write, vec![set("gone", "1")]);
    let now = world.now;
    for ticket in [reading, waiting] {
        world.gateways[0].handle_cancel(now, ticket);
        world.carry_out(0);
    }
    assert!(world.gateways[0].is_idle());
    assert!(world.read(0, &write).unwrap().children.is_empty());
    let reading = world.start_read(0, &write);
    let waiting = world.start_edits(0, &write, vec![set("gone", "1")]);
    world.gateways[0].handle_abort();
    world.carry_out(0);
    for ticket in [reading, waiting] {
        assert_eq!(world.result(ticket), Err(DriveError::Stopping));
    }
    assert!(world.gateways[0].is_idle());
}
