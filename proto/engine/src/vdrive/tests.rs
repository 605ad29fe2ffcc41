//! The rules, by the model: what is taken, what is refused, and that every way of reading gives the same rows.

use proptest::prelude::*;
use truckee_grid::caps::MutableCap;
use truckee_grid::drive::{DirectoryKeys, SEALED_ROW_BYTES_MAX};
use truckee_grid::ids::Hash;
use truckee_grid::keys::WriteKey;
use truckee_wire::message::limits::{ROWS_PAGE_BYTES_MAX, ROWS_PAGE_BYTES_MIN};
use truckee_wire::message::{ChangeTaken, GetRows, Request, Response, RowsGot};

use super::model::ModelVdrive;
use super::*;

const DATABASE: [u8; 16] = [9; 16];

/// An honest owner of one directory, who knows its rows.
#[derive(Clone)]
struct Owner {
    keys: DirectoryKeys,
    version: u64,
    rows: BTreeMap<RowId, Bytes>,
}

impl Owner {
    fn new(seed: u8) -> Owner {
        let cap = MutableCap::of_write_key(WriteKey::from_bytes([seed; 16]));
        Owner {
            keys: DirectoryKeys::of(&cap).expect("writes"),
            version: 0,
            rows: BTreeMap::new(),
        }
    }

    /// Makes a change and counts on its being taken.
    fn change(&mut self, changes: &[(u8, Option<&[u8]>)]) -> CommitChange {
        let changes = changes.iter().map(|(id, sealed)| RowChange {
            id: RowId([*id; 32]),
            sealed: sealed.map(Bytes::copy_from_slice),
        });
        self.change_rows(changes.collect())
    }

    fn change_rows(&mut self, changes: Vec<RowChange>) -> CommitChange {
        for change in &changes {
            match &change.sealed {
                Some(sealed) => self.rows.insert(change.id, sealed.clone()),
                None => self.rows.remove(&change.id),
            };
        }
        self.version += 1;
        let mut sum = RowSum::empty();
        self.rows.iter().for_each(|(id, sealed)| sum.add(id, sealed));
        let head = self.keys.sign_sum(self.version, self.rows.len() as u32, &sum);
        CommitChange {
            head: head.expect("writes"),
            changes,
        }
    }
}

fn commit(server: &mut ModelVdrive, change: &CommitChange) -> Result<ChangeTaken, Failure> {
    match server.serve(&Request::CommitChange(change.clone()))? {
        Response::ChangeTaken(taken) => Ok(*taken),
        other => panic!("{other:?}"),
    }
}

fn taken(server: &mut ModelVdrive, change: &CommitChange) -> bool {
    commit(server, change).expect("not refused").taken
}

fn get(
    server: &mut ModelVdrive,
    owner: &Owner,
    since: u64,
    after: Option<RowId>,
    bytes_max: usize,
) -> RowsGot {
    let get = GetRows {
        directory: owner.keys.id(),
        since,
        after,
        bytes_max: bytes_max as u32,
    };
    match server.serve(&Request::GetRows(get)) {
        Ok(Response::RowsGot(got)) => {
            let bytes = got
                .rows
                .iter()
                .map(|row| 36 + row.sealed.as_ref().map_or(0, Bytes::len));
            assert!(bytes.sum::<usize>() <= bytes_max, "more than was asked for");
            *got
        }
        other => panic!("{other:?}"),
    }
}

fn listing(server: &mut ModelVdrive, owner: &Owner, bytes_max: usize) -> BTreeMap<RowId, Bytes> {
    let (mut rows, mut after) = (BTreeMap::new(), None);
    loop {
        let got = get(server, owner, 0, after, bytes_max);
        assert!(got.whole);
        rows.extend(
            got.rows
                .into_iter()
                .map(|row| (row.id, row.sealed.expect("there"))),
        );
        after = got.next;
        if after.is_none() {
            return rows;
        }
    }
}

#[test]
fn a_directory_begins_with_its_first_version() {
    let (mut server, mut owner) = (ModelVdrive::new(DATABASE), Owner::new(1));
    assert_eq!(get(&mut server, &owner, 0, None, ROWS_PAGE_BYTES_MAX).head, None);
    let first = owner.change(&[]);
    let second = owner.change(&[(1, Some(b"a"))]);
    let early = commit(&mut server, &second).expect("not refused");
    assert_eq!((early.taken, early.head), (false, None), "nothing to build on");
    assert!(taken(&mut server, &first) && taken(&mut server, &second));
    let got = get(&mut server, &owner, 0, None, ROWS_PAGE_BYTES_MAX);
    assert_eq!((got.head, got.database), (Some(second.head), DATABASE));
    assert_eq!(listing(&mut server, &owner, ROWS_PAGE_BYTES_MAX), owner.rows);
}

#[test]
fn a_change_builds_on_the_newest_version_and_no_other() {
    let (mut server, mut owner) = (ModelVdrive::new(DATABASE), Owner::new(1));
    assert!(taken(&mut server, &owner.change(&[(1, Some(b"a"))])));
    assert!(taken(&mut server, &owner.change(&[(2, Some(b"b"))])));
    for version in [0, 1, 3, u64::from(u32::MAX)] {
        let mut other = owner.clone();
        other.version = version;
        assert!(
            !taken(&mut server, &other.change(&[(3, Some(b"c"))])),
            "on top of {version}"
        );
    }
    assert!(taken(&mut server, &owner.change(&[(3, Some(b"c"))])));
}

#[test]
fn of_two_writers_one_wins_and_the_other_learns_it() {
    let (mut server, mut owner) = (ModelVdrive::new(DATABASE), Owner::new(1));
    let first = owner.change(&[]);
    assert!(taken(&mut server, &first));
    let mut other = owner.clone();
    let ours = owner.change(&[(1, Some(b"ours"))]);
    let theirs = other.change(&[(1, Some(b"theirs"))]);
    assert!(taken(&mut server, &ours));
    let lost = commit(&mut server, &theirs).expect("not refused");
    assert_eq!((lost.taken, lost.head), (false, Some(ours.head)));
    assert_eq!(listing(&mut server, &owner, ROWS_PAGE_BYTES_MAX), owner.rows);
}

#[test]
fn a_repeated_change_counts_once_even_behind_others() {
    let (mut server, mut owner) = (ModelVdrive::new(DATABASE), Owner::new(1));
    let changes: Vec<CommitChange> = (0..=REMEMBERED_CHANGES as u8)
        .map(|i| owner.change(&[(i, Some(b"row"))]))
        .collect();
    assert!(changes.iter().all(|change| taken(&mut server, change)));
    let newest = changes.last().expect("some").head;
    for change in &changes[1..] {
        let again = commit(&mut server, change).expect("not refused");
        assert_eq!((again.taken, again.head), (true, Some(newest)));
    }
    assert!(!taken(&mut server, &changes[0]), "too far back to be known");
    assert_eq!(listing(&mut server, &owner, ROWS_PAGE_BYTES_MAX), owner.rows);
}

#[test]
fn what_the_owner_did_not_sign_is_refused() {
    let (mut server, mut owner) = (ModelVdrive::new(DATABASE), Owner::new(1));
    assert!(taken(&mut server, &owner.change(&[(1, Some(b"a"))])));
    let good = owner.clone().change(&[(2, Some(b"b"))]);
    let mut refused = |spoil: &dyn Fn(&mut CommitChange)| {
        let mut change = good.clone();
        spoil(&mut change);
        let failure = commit(&mut server, &change).expect_err("refused");
        assert_eq!(failure.code, FailureCode::BadRequest);
        failure.text
    };
    refused(&|change| change.head.signature[0] ^= 1);
    refused(&|change| change.head.head.version += 1);
    refused(&|change| change.head.head.digest = Hash([0; 32]));
    refused(&|change| change.head.public_key = Owner::new(2).change(&[]).head.public_key);
    let digest = ChangeRefused::Digest.to_string();
    assert_eq!(
        refused(&|change| change.changes[0].sealed = Some(Bytes::from_static(b"c"))),
        digest
    );
    assert_eq!(refused(&|change| change.changes[0].id = RowId([3; 32])), digest);
    let count = |rows| ChangeRefused::Count { rows, said: 2 }.to_string();
    assert_eq!(refused(&|change| change.changes[0].id = RowId([1; 32])), count(1));
    assert_eq!(refused(&|change| change.changes.clear()), count(1));
    assert_eq!(
        refused(&|change| change.changes[0].sealed = None),
        ChangeRefused::NoSuchRow.to_string()
    );
    assert!(taken(&mut server, &good), "and none of it left a trace");
}

#[test]
fn a_directory_is_bounded_in_bytes() {
    let (mut server, mut owner) = (ModelVdrive::new(DATABASE), Owner::new(1));
    let row = Bytes::from(vec![1; SEALED_ROW_BYTES_MAX]);
    let rows = DIRECTORY_BYTES_MAX / SEALED_ROW_BYTES_MAX as u64;
    let changes = (0..rows).map(|i| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&i.to_be_bytes());
        RowChange {
            id: RowId(id),
            sealed: Some(row.clone()),
        }
    });
    let full = owner.change_rows(changes.collect());
    assert!(taken(&mut server, &full));
    let failure = commit(&mut server, &owner.change(&[(0xff, Some(b"x"))])).expect_err("too long");
    assert_eq!(failure.code, FailureCode::Full);
}

#[test]
fn news_come_as_changes_and_deletions_are_remembered() {
    let (mut server, mut owner) = (ModelVdrive::new(DATABASE), Owner::new(1));
    assert!(taken(
        &mut server,
        &owner.change(&[(1, Some(b"a")), (2, Some(b"b"))])
    ));
    assert!(taken(&mut server, &owner.change(&[(1, None), (3, Some(b"c"))])));
    let got = get(&mut server, &owner, 1, None, ROWS_PAGE_BYTES_MAX);
    let rows: Vec<_> = got
        .rows
        .iter()
        .map(|row| (row.id.0[0], row.sealed.is_some()))
        .collect();
    assert_eq!((got.whole, rows), (false, vec![(1, false), (3, true)]));
    let got = get(&mut server, &owner, 2, None, ROWS_PAGE_BYTES_MAX);
    assert_eq!((got.whole, got.rows.len()), (false, 0), "nothing new");
    let got = get(&mut server, &owner, 7, None, ROWS_PAGE_BYTES_MAX);
    assert_eq!(
        (got.whole, got.rows.len()),
        (true, 2),
        "the asker has seen what is not there"
    );
    assert!(taken(&mut server, &owner.change(&[(1, Some(b"back"))])));
    assert_eq!(listing(&mut server, &owner, ROWS_PAGE_BYTES_MAX), owner.rows);
}

fn many(range: std::ops::Range<u32>, sealed: Option<&'static [u8]>) -> Vec<RowChange> {
    let row = |i: u32| {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&i.to_be_bytes());
        RowChange {
            id: RowId(id),
            sealed: sealed.map(Bytes::from_static),
        }
    };
    range.map(row).collect()
}

#[test]
fn old_deletions_are_forgotten_and_readers_of_before_read_anew() {
    let (mut server, mut owner) = (ModelVdrive::new(DATABASE), Owner::new(1));
    let half = TOMBSTONES_MAX / 2;
    assert!(taken(
        &mut server,
        &owner.change_rows(many(0..4 * TOMBSTONES_MAX, Some(b"row")))
    ));
    assert!(taken(&mut server, &owner.change_rows(many(0..half, None))));
    assert!(taken(&mut server, &owner.change_rows(many(half..2 * half, None))));
    assert!(!get(&mut server, &owner, 1, None, ROWS_PAGE_BYTES_MAX).whole);
    assert!(taken(
        &mut server,
        &owner.change_rows(many(2 * half..2 * half + 1, None))
    ));
    assert!(
        get(&mut server, &owner, 2, None, ROWS_PAGE_BYTES_MAX).whole,
        "forgotten"
    );
    let got = get(&mut server, &owner, 3, None, ROWS_PAGE_BYTES_MAX);
    assert_eq!((got.whole, got.rows.len()), (false, 1));
    let id = owner.keys.id();
    let kept = |server: &mut ModelVdrive| {
        let directory = server.directory_mut(&id).expect("there");
        let rows = directory
            .rows
            .values()
            .filter(|(_, sealed)| sealed.is_none())
            .count();
        (rows, directory.stored.tombstones as usize)
    };
    assert_eq!(kept(&mut server), (1, 1));
    let more = 2 * half + 1..4 * TOMBSTONES_MAX;
    assert!(taken(&mut server, &owner.change_rows(many(more, None))));
    assert_eq!(kept(&mut server), (0, 0), "more at once than are ever remembered");
    assert!(get(&mut server, &owner, 4, None, ROWS_PAGE_BYTES_MAX).whole);
    assert_eq!(listing(&mut server, &owner, ROWS_PAGE_BYTES_MAX), owner.rows);
}

proptest! {
    #[test]
    fn every_way_of_reading_gives_the_rows_of_the_owner(
        steps in prop::collection::vec(prop::collection::btree_map(0..12u8, prop::option::of((any::<u8>(), 1..20_000usize)), 0..5), 1..20),
        seen in any::<prop::sample::Index>(),
    ) {
        let (mut server, mut owner) = (ModelVdrive::new(DATABASE), Owner::new(1));
        let seen = seen.index(steps.len());
        let mut copy = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            let rows = step.iter().filter(|(id, row)| row.is_some() || owner.rows.contains_key(&RowId([**id; 32])));
            let changes = rows.map(|(id, row)| RowChange {
                id: RowId([*id; 32]),
                sealed: row.map(|(byte, bytes)| vec![byte; bytes].into()),
            });
            let change = owner.clone().change_rows(changes.collect());
            owner.change_rows(change.changes.clone());
            prop_assert!(taken(&mut server, &change));
            prop_assert!(taken(&mut server, &change), "again");
            if index == seen {
                copy = owner.rows.clone();
            }
        }
        prop_assert_eq!(&listing(&mut server, &owner, ROWS_PAGE_BYTES_MIN), &owner.rows);
        let got = get(&mut server, &owner, seen as u64 + 1, None, ROWS_PAGE_BYTES_MAX);
        prop_assert!(!got.whole);
        for row in got.rows {
            match row.sealed {
                Some(sealed) => copy.insert(row.id, sealed),
                None => copy.remove(&row.id),
            };
        }
        prop_assert_eq!(&copy, &owner.rows);
        let directory = server.directory_mut(&owner.keys.id()).expect("there");
        let deleted = directory.rows.values().filter(|(_, sealed)| sealed.is_none());
        prop_assert_eq!(directory.stored.tombstones as usize, deleted.count());
        let stored = &directory.stored;
        prop_assert_eq!(stored.bytes, owner.rows.values().map(|row| row.len() as u64).sum::<u64>());
    }
}
