//! A vdrive that gives out what its owner did sign and seal, but not for this version: old rows, old heads, news for
//! whoever asked for everything, and listings that never end.

use bytes::Bytes;
use truckee_grid::drive::{ROWS_MAX, RowId, SignedHead};
use truckee_wire::message::{Request, Response, RowChange, RowsGot};

use super::model::*;
use crate::drive::*;

/// A directory of ten rows in version 2, whose row `0` is another one in version 3; and what the row was. The second
/// gateway has seen version 2.
fn prepared() -> (World, RowChange, SignedHead) {
    let mut world = World::new(1, 2, 1);
    let write = keys(1).0;
    world.create(0, &write).unwrap();
    let edits = (0..10).map(|i| set(&format!("{i}"), "old")).collect();
    world.edit(0, &write, edits).unwrap();
    world.read(1, &write).unwrap();
    let before = world.dbs[0].directories[&write.id()].clone();
    world.edit(0, &write, vec![set("0", "new")]).unwrap();
    let after = &world.dbs[0].directories[&write.id()];
    let changed = after.rows.iter().find(|(_, (_, version))| *version == 3);
    let id = *changed.expect("one row is changed").0;
    let sealed = before.rows[&id].0.clone();
    (world, RowChange { id, sealed }, before.head)
}

fn lie_about_rows(world: &mut World, mut lie: impl FnMut(u64, &mut RowsGot) + 'static) {
    world.lie = Some(Box::new(move |request, response| {
        if let (Request::GetRows(get), Response::RowsGot(got)) = (request, response) {
            lie(get.since, got);
        }
    }));
}

#[test]
fn an_old_row_in_the_place_of_a_new_one_is_found() {
    // The second gateway is told what changed, the first reads with another cap, and so everything.
    for (gateway, keys) in [(1, keys(1).0), (0, keys(1).1)] {
        let (mut world, old, _) = prepared();
        assert!(world.read(gateway, &keys).is_ok(), "without the lie");
        let (mut world, again, _) = (prepared().0, old.clone(), ());
        lie_about_rows(&mut world, move |_, got| {
            for row in got.rows.iter_mut().filter(|row| row.id == again.id) {
                row.sealed.clone_from(&again.sealed);
            }
        });
        assert_eq!(world.read(gateway, &keys), Err(DriveError::Forged));
    }
}

#[test]
fn news_under_a_head_that_nobody_signed_are_found() {
    let (mut world, old, _) = prepared();
    let write = keys(1).0;
    // The vdrive can compute the digest of any choice of rows; what it cannot do is sign it.
    let mut sum = world.dbs[0].directories[&write.id()].sum.clone();
    let new = world.dbs[0].directories[&write.id()].rows[&old.id].0.clone();
    sum.remove(&old.id, &new.expect("it is there"));
    lie_about_rows(&mut world, move |since, got| {
        if since == 0 {
            return;
        }
        let head = &mut got.head.as_mut().expect("it is there").head;
        (head.rows, head.digest) = (9, sum.digest());
        got.rows = vec![RowChange {
            id: old.id,
            sealed: None,
        }];
    });
    world.notes.clear();
    assert_eq!(world.read(1, &write).unwrap().children.len(), 10);
    assert!(world.notes.contains(&Note::Forged), "and then read as a whole");
}

#[test]
fn the_same_rows_under_another_signature_are_another_history() {
    let (mut world, ..) = prepared();
    let write = keys(1).0;
    let gone = || vec![Edit::Remove { name: name("1") }];
    world.read(1, &write).unwrap();
    let old = world.dbs[0].directories[&write.id()].clone();
    world.edit(0, &write, gone()).unwrap();
    world.dbs[0].directories.insert(write.id(), old);
    world.edit(1, &write, gone()).unwrap();
    world.notes.clear();
    assert_eq!(world.read(0, &write).unwrap().children.len(), 9);
    assert!(
        world.notes.contains(&Note::Forged),
        "its own change was taken back"
    );
}

#[test]
fn news_are_no_answer_to_a_question_for_everything() {
    let (mut world, ..) = prepared();
    let write = keys(1).0;
    let changes = {
        let rows = &world.dbs[0].directories[&write.id()].rows;
        let changed = rows.iter().filter(|(_, (_, version))| *version == 3);
        changed
            .map(|(id, (sealed, _))| RowChange {
                id: *id,
                sealed: sealed.clone(),
            })
            .collect::<Vec<_>>()
    };
    // First nothing that adds up, and then, to somebody who wants all of it, the right changes.
    lie_about_rows(&mut world, move |since, got| {
        (got.whole, got.next) = (false, None);
        got.rows = if since == 0 { changes.clone() } else { Vec::new() };
    });
    assert_eq!(world.read(1, &write), Err(DriveError::Forged));
}

#[test]
fn a_listing_does_not_go_back_to_an_older_version() {
    let (mut world, _, old) = prepared();
    world.page_rows = 4;
    let fresh = world.add_gateway(9, Limits::default());
    world.lie = Some(Box::new(move |request, response| {
        if let (Request::GetRows(get), Response::RowsGot(got)) = (request, response)
            && get.after.is_some()
        {
            got.head = Some(old);
        }
    }));
    assert_eq!(world.read(fresh, &keys(1).1), Err(DriveError::Forged));
}

#[test]
fn more_rows_than_a_directory_has_are_not_gathered() {
    let (mut world, ..) = prepared();
    lie_about_rows(&mut world, move |_, got| {
        let row = |index: u32| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&index.to_be_bytes());
            RowChange {
                id: RowId(id),
                sealed: Some(Bytes::from_static(b"x")),
            }
        };
        got.rows = (0..=2 * ROWS_MAX as u32).map(row).collect();
    });
    world.notes.clear();
    assert_eq!(world.read(0, &keys(1).1), Err(DriveError::Forged));
    let opened = world.notes.iter().any(|note| matches!(note, Note::Whole { .. }));
    assert!(!opened, "they are not even looked at");
}

#[test]
fn a_change_that_another_database_answers_is_unknown_and_said_to_be_split() {
    let mut world = World::new(3, 1, 2);
    world.dbs.push(db(2));
    world.vdrives[1].db = 1;
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    world.vdrives[0].down = true;
    let result = world.edit(0, &write, vec![set("a", "1")]);
    assert_eq!(result, Err(DriveError::Unknown));
    assert!(world.notes.contains(&Note::SplitDatabase));
}

#[test]
fn a_listing_that_is_begun_again_and_again_is_given_up() {
    let (mut world, _, old) = prepared();
    world.page_rows = 4;
    let read = keys(1).1;
    // Each listing ends in a later version than it began, and what changed is said to be forgotten.
    world.lie = Some(Box::new(move |request, response| {
        if let (Request::GetRows(get), Response::RowsGot(got)) = (request, response) {
            if get.since > 0 {
                (got.whole, got.next) = (true, got.rows.last().map(|row| row.id));
            }
            if get.after.is_none() {
                got.head = Some(old);
            }
        }
    }));
    assert!(
        matches!(world.read(0, &read), Err(DriveError::RolledBack { .. })),
        "who has seen more"
    );
    let fresh = world.add_gateway(9, Limits::default());
    assert!(matches!(
        world.read(fresh, &read),
        Err(DriveError::Contended { .. })
    ));
}
