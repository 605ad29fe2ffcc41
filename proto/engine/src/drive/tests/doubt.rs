//! Changes whose answer was lost: whether they count is found out where that can be, and said to be unknown where not.

use std::time::Duration;

use truckee_wire::message::Response;

use super::model::*;
use crate::drive::*;

/// Somebody links `a` as `mine` in version 2, and the link dies on the way there or, `carried_out`, on the way back.
/// Before that is found out, another gateway makes these changes. Gives what the first one hears.
fn interrupted(world: &mut World, carried_out: bool, others: &[Edit]) -> Result<Outcome, DriveError> {
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    world.read(1, &write).unwrap();
    world.served.clear();
    world.vdrives[0].down = !carried_out;
    let edit = world.start_edits(1, &write, vec![set("a", "mine")]);
    if carried_out {
        while !world.served.contains(&"commit") {
            assert!(world.step());
        }
        world.lose_answers();
    } else {
        // Some tries find no link, and one finds a link that dies.
        world.run_for(Duration::from_secs(2));
    }
    world.vdrives[0].down = false;
    // The first gateway rests after each failure, and asks again only then.
    for other in others {
        let edit = world.start_edits(0, &write, vec![other.clone()]);
        world.result(edit).unwrap();
    }
    world.result(edit)
}

#[test]
fn a_change_whose_answer_was_lost_is_found_out() {
    for (seed, others) in [vec![set("b", "theirs")], vec![set("a", "theirs")], vec![]]
        .into_iter()
        .enumerate()
    {
        let mut world = World::new(seed as u64, 2, 1);
        let result = interrupted(&mut world, true, &others);
        assert!(result.is_ok(), "{seed}: {result:?}");
        let view = world.read(1, &keys(1).0).unwrap();
        assert_eq!(texts(&view)["a"], if seed == 1 { "theirs" } else { "mine" });
        assert_eq!(view.version, 2 + others.len() as u64, "{seed}: once");
    }
}

#[test]
fn a_change_that_never_arrived_is_made_anew_whatever_others_did_meanwhile() {
    for count in [1, 2, 5] {
        let mut world = World::new(count, 2, 1);
        let others: Vec<Edit> = (0..count).map(|i| set("b", &format!("{i}"))).collect();
        let result = interrupted(&mut world, false, &others);
        assert!(result.is_ok(), "{count}: {result:?}");
        let view = world.read(1, &keys(1).0).unwrap();
        assert_eq!(texts(&view)["a"], "mine");
        assert_eq!(view.version, 2 + count, "{count}: once");
    }
}

#[test]
fn a_change_that_is_out_of_the_vdrives_memory_is_read_from_the_rows_or_unknown() {
    for overwritten in [false, true] {
        let mut world = World::new(14, 2, 1);
        // All of it happens in the fifth of a second before the question is put again.
        let at = if overwritten { "a" } else { "b" };
        let others: Vec<Edit> = (0..70).map(|i| set(at, &format!("{i}"))).collect();
        let result = interrupted(&mut world, true, &others);
        if overwritten {
            assert_eq!(result, Err(DriveError::Unknown));
        } else {
            assert!(result.is_ok(), "{result:?}");
        }
        assert_eq!(world.read(1, &keys(1).0).unwrap().version, 72, "once");
    }
}

#[test]
fn a_change_in_doubt_is_unknown_when_the_vdrive_shows_an_older_version_then() {
    for (taken_back, gone) in [(0, false), (1, false), (1, true)] {
        let mut world = World::new(14, 2, 1);
        let (write, _) = keys(1);
        world.create(0, &write).unwrap();
        world.edit(1, &write, vec![set("b", "1")]).unwrap();
        let old = world.dbs[0].directories[&write.id()].clone();
        world.edit(1, &write, vec![set("b", "2")]).unwrap();
        let new = world.dbs[0].directories[&write.id()].clone();
        world.vdrives[0].down = true;
        let edit = world.start_edits(1, &write, vec![set("a", "mine")]);
        world.run_for(Duration::from_secs(2));
        world.vdrives[0].down = false;
        // It was sent on top of version 3. Now a vdrive says that it is not taken, and shows version 3 itself, or 2.
        let shown = if taken_back == 0 { new } else { old };
        world.lie = Some(Box::new(move |_, response| match response {
            Response::ChangeTaken(taken) => {
                taken.taken = false;
                taken.head = (!gone).then_some(shown.head);
            }
            Response::RowsGot(got) => {
                got.head = Some(shown.head);
                (got.whole, got.rows) = (false, Vec::new());
            }
            _ => {}
        }));
        let result = world.result(edit);
        assert_eq!(
            result,
            Err(DriveError::Unknown),
            "{taken_back} {gone}: it may still arrive"
        );
    }
}

/// A directory of one child, with one version that `gateway` 0 has seen.
fn begun(vdrives: usize) -> (World, Vec<Vec<Edit>>) {
    let mut world = World::new(5, 1, vdrives);
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    world.edit(0, &write, vec![set("a", "1"), set("b", "1")]).unwrap();
    let edits = vec![
        vec![set_as("c", "1", Replace::Never)],
        // A change without any row of its own by which it could be known.
        vec![Edit::Remove { name: name("a") }],
    ];
    (world, edits)
}

/// Turns the answer to a change into that it was not taken.
fn deny(world: &mut World, mut head: impl FnMut(&mut truckee_grid::drive::SignedHead) + 'static) {
    world.lie = Some(Box::new(move |_, response| {
        if let Response::ChangeTaken(taken) = response {
            taken.taken = false;
            taken.head.iter_mut().for_each(&mut head);
        }
    }));
}

#[test]
fn a_change_whose_own_head_is_shown_counts_whatever_is_said_of_it() {
    for index in 0..2 {
        let (mut world, edits) = begun(1);
        deny(&mut world, |_| ());
        world.edit(0, &keys(1).0, edits[index].clone()).unwrap();
        assert_eq!(world.read(0, &keys(1).0).unwrap().version, 3, "once");
    }
}

#[test]
fn a_change_that_is_out_at_another_vdrive_is_in_doubt_and_found_in_the_rows() {
    for index in 0..2 {
        let (mut world, edits) = begun(2);
        world.vdrives[0].silent = true;
        deny(&mut world, |head| head.signature = [0; 64]);
        world.edit(0, &keys(1).0, edits[index].clone()).unwrap();
        world.unfaulted();
        assert_eq!(world.read(0, &keys(1).0).unwrap().version, 3, "once");
    }
}

#[test]
fn a_change_in_doubt_is_not_settled_by_a_head_that_nobody_signed() {
    for index in 0..2 {
        let (mut world, edits) = begun(1);
        let write = keys(1).0;
        world.served.clear();
        let edit = world.start_edits(0, &write, edits[index].clone());
        while !world.served.contains(&"commit") {
            assert!(world.step());
        }
        world.lose_answers();
        deny(&mut world, |head| head.signature = [0; 64]);
        assert!(world.result(edit).is_ok(), "its row or its head stands there");
        assert_eq!(world.read(0, &write).unwrap().version, 3, "once");
    }
}

#[test]
fn a_denial_below_what_was_seen_is_a_rollback() {
    let (mut world, edits) = begun(1);
    let write = keys(1).0;
    let old = world.dbs[0].directories[&write.id()].heads[0];
    deny(&mut world, move |head| *head = old);
    let result = world.edit(0, &write, edits[0].clone());
    assert_eq!(result, Err(DriveError::RolledBack { seen: 2, got: 1 }));
}

#[test]
fn a_change_whose_node_stops_is_unknown_once_it_is_sent() {
    let (mut world, edits) = begun(1);
    world.served.clear();
    let edit = world.start_edits(0, &keys(1).0, edits[0].clone());
    while !world.served.contains(&"commit") {
        assert!(world.step());
    }
    world.gateways[0].handle_abort();
    world.carry_out(0);
    assert_eq!(world.result(edit), Err(DriveError::Unknown));
}
