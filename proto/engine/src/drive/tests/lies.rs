//! A vdrive that lies, in each way that sealing and signing can show. Each lie is found, and the same without the lie is
//! not complained about.

use truckee_grid::drive::{Head, SignedHead};
use truckee_grid::ids::Hash;
use truckee_wire::message::{Request, Response, RowsGot};

use super::model::*;
use crate::drive::*;

/// A directory of ten rows that one gateway keeps a copy of and another does not.
fn prepared() -> World {
    let mut world = World::new(1, 2, 1);
    for index in [1, 2] {
        let (write, _) = keys(index);
        world.create(0, &write).unwrap();
        let edits = (0..10)
            .map(|i| set(&format!("{i}"), &format!("{index}{i}")))
            .collect();
        world.edit(0, &write, edits).unwrap();
    }
    world
}

fn lying(lie: impl Fn(&mut RowsGot) + 'static) -> (World, Result<(), DriveError>) {
    let mut world = prepared();
    world.lie = Some(Box::new(move |_, response| {
        if let Response::RowsGot(got) = response {
            lie(got);
        }
    }));
    let result = world.read(1, &keys(1).1).map(|_| ());
    (world, result)
}

#[test]
fn an_honest_one_is_believed() {
    assert_eq!(lying(|_| ()).1, Ok(()));
}

#[test]
fn rows_swapped_dropped_doubled_or_made_up_are_found() {
    let swapped = |got: &mut RowsGot| {
        let (first, second) = (got.rows[0].sealed.clone(), got.rows[1].sealed.clone());
        got.rows[0].sealed = second;
        got.rows[1].sealed = first;
    };
    let dropped = |got: &mut RowsGot| drop(got.rows.pop());
    let none = |got: &mut RowsGot| got.rows.clear();
    let bit = |got: &mut RowsGot| {
        let mut bytes = got.rows[3].sealed.clone().unwrap().to_vec();
        bytes[40] ^= 1;
        got.rows[3].sealed = Some(bytes.into());
    };
    let added = |got: &mut RowsGot| {
        let mut row = got.rows[0].clone();
        row.id.0[31] ^= 1;
        got.rows.push(row);
    };
    for (index, lie) in [swapped, dropped, none, bit, added].into_iter().enumerate() {
        let (world, result) = lying(lie);
        assert_eq!(result, Err(DriveError::Forged), "lie {index}");
        assert_eq!(
            world.notes.iter().filter(|note| **note == Note::Forged).count(),
            2,
            "asked twice"
        );
    }
}

#[test]
fn heads_of_others_and_changed_heads_are_found() {
    fn changed(change: impl Fn(&mut SignedHead) + 'static) -> Result<(), DriveError> {
        lying(move |got| change(got.head.as_mut().unwrap())).1
    }
    let forged = Err(DriveError::Forged);
    assert_eq!(changed(|head| head.head.version += 1), forged);
    assert_eq!(changed(|head| head.head.rows -= 1), forged);
    assert_eq!(changed(|head| head.head.digest = Hash([0; 32])), forged);
    assert_eq!(changed(|head| head.signature[0] ^= 1), forged);
    // A head that is right in all but the key that signed it.
    assert_eq!(
        changed(|head| *head = head.head.sign(&write_key(3).signing_key())),
        forged
    );
    // The other directory's head, and all of the other directory.
    let other = prepared().dbs[0].directories[&keys(2).0.id()].head;
    assert_eq!(changed(move |head| *head = other), forged);
}

#[test]
fn a_head_whose_count_is_wrong_is_found_although_its_owner_signed_it() {
    let write = keys(1).0;
    let result = lying(move |got| {
        let head = got.head.unwrap().head;
        let more = Head {
            rows: head.rows + 1,
            ..head
        };
        got.head = Some(write.sign(more.version, more.rows, more.digest).unwrap());
    });
    assert_eq!(result.1, Err(DriveError::Forged));
}

#[test]
fn rows_sealed_for_another_place_are_found_although_the_digest_counts_them() {
    // Only the owner could sign this; a reader must not be led astray by it all the same.
    let mut world = prepared();
    let write = keys(1).0;
    let dir = world.dbs[0].directories.get_mut(&write.id()).unwrap();
    let ids: Vec<_> = dir.rows.keys().copied().collect();
    let sealed = dir.rows[&ids[0]].0.clone().unwrap();
    let old = dir
        .rows
        .insert(ids[1], (Some(sealed.clone()), 3))
        .unwrap()
        .0
        .unwrap();
    dir.sum.remove(&ids[1], &old);
    dir.sum.add(&ids[1], &sealed);
    dir.head = write.sign_sum(3, dir.head.head.rows, &dir.sum).unwrap();
    assert_eq!(world.read(1, &write), Err(DriveError::Forged));
    assert_eq!(
        world.read(0, &write),
        Err(DriveError::Forged),
        "on top of a copy too"
    );
}

#[test]
fn an_older_version_is_found_by_whoever_saw_a_newer_one() {
    let mut world = prepared();
    let write = keys(1).0;
    let old = world.dbs[0].directories[&write.id()].clone();
    world.edit(0, &write, vec![set("new", "1")]).unwrap();
    world.dbs[0].directories.insert(write.id(), old);
    let rolled_back = Err(DriveError::RolledBack { seen: 3, got: 2 });
    assert_eq!(world.read(0, &write).map(|_| ()), rolled_back);
    let edit = world.edit(0, &write, vec![set("newer", "1")]);
    assert_eq!(edit.map(|_| ()), rolled_back, "no change is built on it");
    // Also by a gateway whose copy is of the other strength, or forgotten.
    assert_eq!(world.read(0, &keys(1).1).map(|_| ()), rolled_back);
    // Limit: a gateway that never saw the newer one believes the older one.
    assert_eq!(world.read(1, &write).unwrap().version, 2);
    world.dbs[0].directories.remove(&write.id());
    let gone = Err(DriveError::RolledBack { seen: 3, got: 0 });
    assert_eq!(world.read(0, &write).map(|_| ()), gone);
    assert!(world.notes.contains(&Note::RolledBack));
}

#[test]
fn another_history_of_the_same_version_is_found() {
    let mut world = prepared();
    let write = keys(1).0;
    let old = world.dbs[0].directories[&write.id()].clone();
    world.edit(0, &write, vec![set("one", "1")]).unwrap();
    world.dbs[0].directories.insert(write.id(), old);
    world.edit(1, &write, vec![set("other", "1")]).unwrap();
    // Both are version 3 and signed; the first gateway holds the first one.
    let view = world.read(0, &write).unwrap();
    assert!(
        names(&view).contains("other"),
        "read anew as a whole, since the news did not add up"
    );
    assert!(world.notes.contains(&Note::Forged));
}

#[test]
fn news_that_are_cut_are_read_again_as_a_whole_and_then_believed() {
    let mut world = prepared();
    let write = keys(1).0;
    world.read(1, &write).unwrap();
    world.edit(0, &write, vec![set("x", "1"), set("y", "1")]).unwrap();
    world.notes.clear();
    world.lie = Some(Box::new(|request, response| {
        if let (Request::GetRows(get), Response::RowsGot(got)) = (request, response)
            && get.since > 0
        {
            got.rows.truncate(1);
        }
    }));
    assert_eq!(world.read(1, &write).unwrap().children.len(), 12);
    assert!(world.notes.contains(&Note::Forged) && world.notes.contains(&Note::Whole { rows: 12 }));
}

#[test]
fn pages_that_never_end_are_not_followed() {
    let (world, result) = lying(|got| {
        got.rows.truncate(2);
        got.next = got.rows.last().map(|row| row.id);
        got.rows[0].id.0[0] = 0;
    });
    assert_eq!(result, Err(DriveError::Forged));
    assert!(world.served.len() < 20 + 8);
}

#[test]
fn two_databases_are_found() {
    let mut world = World::new(3, 1, 2);
    world.dbs.push(db(2));
    world.vdrives[1].db = 1;
    let (write, _) = keys(1);
    world.create(0, &write).unwrap();
    world.vdrives[0].down = true;
    assert_eq!(world.read(0, &write), Err(DriveError::SplitDatabase));
    world.vdrives[0].down = false;
    assert_eq!(
        world.read(0, &write),
        Err(DriveError::SplitDatabase),
        "as long as both are there"
    );
    world.vdrives[1].db = 0;
    assert!(
        world.read(0, &write).is_ok() || world.read(0, &write).is_ok(),
        "mended"
    );
}
