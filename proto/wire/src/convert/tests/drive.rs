//! Directories: rows in payloads, and the bounds of their messages.

use schema::request::Body as Ask;
use schema::response::Body as Say;
use truckee_grid::drive::{
    DirectoryId, Head as DirectoryHead, ROWS_MAX, RowId, SEALED_ROW_BYTES_MAX, SignedHead,
};

use super::*;
use crate::message::limits::{CHANGE_BYTES_MAX, ROWS_PAGE_BYTES_MAX, ROWS_PAGE_BYTES_MIN};

fn directory() -> impl Strategy<Value = DirectoryId> {
    (si(), hash()).prop_map(|(si, fingerprint)| DirectoryId { si, fingerprint })
}

fn head() -> impl Strategy<Value = SignedHead> {
    (
        directory(),
        1..=i64::MAX as u64,
        0..=ROWS_MAX as u32,
        hash(),
        any::<[u8; 32]>(),
    )
        .prop_map(|(directory, version, rows, digest, public_key)| SignedHead {
            head: DirectoryHead {
                directory,
                version,
                rows,
                digest,
            },
            public_key,
            signature: [6; 64],
        })
}

fn rows(deletes: bool) -> impl Strategy<Value = Vec<RowChange>> {
    let sealed = (block(), any::<bool>()).prop_map(move |(row, kept)| (kept || !deletes).then_some(row));
    prop::collection::btree_map(any::<[u8; 32]>(), sealed, 0..6).prop_map(|rows| {
        rows.into_iter()
            .map(|(id, sealed)| RowChange {
                id: RowId(id),
                sealed,
            })
            .collect()
    })
}

pub(super) fn get() -> impl Strategy<Value = GetRows> {
    let pages = ROWS_PAGE_BYTES_MIN as u32..=ROWS_PAGE_BYTES_MAX as u32;
    let place = prop_oneof![
        any::<u64>().prop_map(|since| (since, None)),
        any::<[u8; 32]>().prop_map(|id| (0, Some(RowId(id)))),
    ];
    (directory(), place, pages).prop_map(|(directory, (since, after), bytes_max)| GetRows {
        directory,
        since,
        after,
        bytes_max,
    })
}

pub(super) fn commit() -> impl Strategy<Value = CommitChange> {
    (head(), rows(true)).prop_map(|(head, changes)| CommitChange { head, changes })
}

pub(super) fn got() -> impl Strategy<Value = RowsGot> {
    let database = any::<[u8; 16]>;
    prop_oneof![
        database().prop_map(|database| RowsGot {
            database,
            head: None,
            whole: true,
            rows: Vec::new(),
            next: None
        }),
        (database(), head(), rows(true)).prop_map(|(database, head, rows)| RowsGot {
            database,
            head: Some(head),
            whole: false,
            rows,
            next: None
        }),
        (database(), head(), rows(false), any::<bool>()).prop_map(|(database, head, rows, more)| RowsGot {
            database,
            head: Some(head),
            whole: true,
            next: rows.last().filter(|_| more).map(|row| row.id),
            rows,
        }),
    ]
}

pub(super) fn taken() -> impl Strategy<Value = ChangeTaken> {
    (any::<[u8; 16]>(), any::<bool>(), prop::option::of(head())).prop_map(|(database, taken, head)| {
        ChangeTaken {
            database,
            taken,
            head,
        }
    })
}

fn row(bytes: usize) -> Bytes {
    vec![5; bytes].into()
}

fn wire_head() -> schema::DirectoryHead {
    schema::DirectoryHead {
        si: row(16),
        fingerprint: row(32),
        version: 1,
        rows: 0,
        digest: row(32),
        public_key: row(32),
        signature: row(64),
    }
}

fn wire_get() -> schema::GetRows {
    schema::GetRows {
        si: row(16),
        fingerprint: row(32),
        since: 0,
        after: Bytes::new(),
        bytes_max: ROWS_PAGE_BYTES_MAX as u32,
    }
}

fn ask(body: Ask, payload_bytes: usize) -> Result<Request, ConvertError> {
    request::request_from_wire(schema::Request { body: Some(body) }, payload_bytes)
}

fn say(body: Say, payload_bytes: usize) -> Result<Result<Response, Failure>, ConvertError> {
    response::answer_from_wire(schema::Response { body: Some(body) }, payload_bytes)
}

/// What spoils a good message, and the field that the refusal names.
type Case<M> = (fn(&mut M), &'static str);

#[test]
fn questions_about_rows_are_bounded() {
    let cases: [Case<schema::GetRows>; 8] = [
        (|get| get.si = row(15), "si"),
        (|get| get.fingerprint = row(33), "fingerprint"),
        (|get| get.after = row(31), "after"),
        (|get| (get.after, get.since) = (row(32), 1), "after"),
        (|get| get.bytes_max = ROWS_PAGE_BYTES_MAX as u32 + 1, "bytes_max"),
        (|get| get.bytes_max = ROWS_PAGE_BYTES_MIN as u32 - 1, "bytes_max"),
        (|get| get.bytes_max = 0, "bytes_max"),
        (|get| get.bytes_max = u32::MAX, "bytes_max"),
    ];
    for (spoil, field) in cases {
        let mut get = wire_get();
        assert!(ask(Ask::GetRows(get.clone()), 0).is_ok());
        spoil(&mut get);
        let error = ask(Ask::GetRows(get), 0).expect_err(field);
        assert!(error.to_string().contains(field), "{error} names {field}");
    }
    assert!(ask(Ask::GetRows(wire_get()), 1).is_err(), "no payload here");
}

#[test]
fn heads_are_bounded() {
    let cases: [Case<schema::DirectoryHead>; 9] = [
        (|head| head.si = row(17), "si"),
        (|head| head.fingerprint = row(0), "fingerprint"),
        (|head| head.version = 0, "version"),
        (|head| head.version = 1 << 63, "version"),
        (|head| head.rows = ROWS_MAX as u32 + 1, "rows"),
        (|head| head.digest = row(31), "digest"),
        (|head| head.public_key = row(31), "public_key"),
        (|head| head.signature = row(63), "signature"),
        (|head| head.signature = row(65), "signature"),
    ];
    for (spoil, field) in cases {
        let mut head = wire_head();
        let commit = |head| Ask::CommitChange(schema::CommitChange { head: Some(head) });
        assert!(ask(commit(head.clone()), 0).is_ok());
        spoil(&mut head);
        let error = ask(commit(head.clone()), 0).expect_err(field);
        assert!(error.to_string().contains(field), "{error} names {field}");
        let taken = schema::ChangeTaken {
            database: row(16),
            taken: false,
            head: Some(head),
        };
        assert_eq!(say(Say::ChangeTaken(taken), 0), Err(error));
    }
    let none = Ask::CommitChange(schema::CommitChange { head: None });
    assert_eq!(ask(none, 0), Err(ConvertError::Missing { field: "head" }));
}

#[test]
fn payloads_are_bounded() {
    let commit = || {
        Ask::CommitChange(schema::CommitChange {
            head: Some(wire_head()),
        })
    };
    assert!(ask(commit(), CHANGE_BYTES_MAX).is_ok());
    assert!(ask(commit(), CHANGE_BYTES_MAX + 1).is_err());
    let got = || {
        Say::RowsGot(schema::RowsGot {
            database: row(16),
            head: Some(wire_head()),
            whole: false,
            next: Bytes::new(),
        })
    };
    assert!(say(got(), ROWS_PAGE_BYTES_MAX).is_ok());
    assert!(say(got(), ROWS_PAGE_BYTES_MAX + 1).is_err());
    let taken = schema::ChangeTaken {
        database: row(15),
        ..Default::default()
    };
    assert!(say(Say::ChangeTaken(taken), 0).is_err());
}

/// Rows as they would travel: first byte of the id, length said, bytes there.
fn payload(rows: &[(u8, u32, usize)]) -> Bytes {
    let mut out = Vec::new();
    for (id, length, bytes) in rows {
        out.extend_from_slice(&[*id; 32]);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&row(*bytes));
    }
    out.into()
}

#[test]
fn rows_are_bounded() {
    let take = |rows: &[(u8, u32, usize)]| super::super::drive::rows_from_payload(&payload(rows), true);
    assert_eq!(take(&[(1, 3, 3), (2, 0, 0)]).map(|rows| rows.len()), Ok(2));
    assert_eq!(
        take(&[(2, 3, 3), (1, 0, 0)]),
        Err(ConvertError::Order { field: "rows" })
    );
    assert_eq!(
        take(&[(2, 3, 3), (2, 0, 0)]),
        Err(ConvertError::Order { field: "rows" })
    );
    let malformed = Err(ConvertError::Malformed { what: "rows" });
    assert_eq!(take(&[(1, 4, 3)]), malformed);
    assert_eq!(take(&[(1, 3, 4)]), malformed);
    let longest = SEALED_ROW_BYTES_MAX;
    assert!(take(&[(1, longest as u32, longest)]).is_ok());
    let longer = take(&[(1, longest as u32 + 1, longest + 1)]);
    assert!(matches!(longer, Err(ConvertError::TooLong { field: "row", .. })));
    let deleted = super::super::drive::rows_from_payload(&payload(&[(1, 0, 0)]), false);
    assert_eq!(deleted, Err(ConvertError::Missing { field: "row" }));
}

#[test]
fn rows_that_nobody_would_take_are_not_sent() {
    let commit = |bytes: usize| {
        let mut commit = CommitChange {
            head: good_head(),
            changes: Vec::new(),
        };
        commit.changes.push(RowChange {
            id: RowId([1; 32]),
            sealed: Some(row(bytes)),
        });
        super::super::drive::commit_to_wire(&commit).map(|_| ())
    };
    assert_eq!(commit(SEALED_ROW_BYTES_MAX), Ok(()));
    let longer = commit(SEALED_ROW_BYTES_MAX + 1);
    assert!(matches!(longer, Err(ConvertError::TooLong { field: "row", .. })));
    assert_eq!(commit(0), Err(ConvertError::Missing { field: "row" }));
}

fn good_head() -> SignedHead {
    let directory = DirectoryId {
        si: StorageIndex([0; 16]),
        fingerprint: Hash([0; 32]),
    };
    SignedHead {
        head: DirectoryHead {
            directory,
            version: 1,
            rows: 1,
            digest: Hash([0; 32]),
        },
        public_key: [0; 32],
        signature: [0; 64],
    }
}

#[test]
fn parts_of_a_page_go_together() {
    let page = |head: bool, whole: bool, next: Option<u8>, rows: &[(u8, u32, usize)]| {
        let mut got = Response::RowsGot(Box::new(RowsGot {
            database: [0; 16],
            head: head.then_some(good_head()),
            whole,
            rows: Vec::new(),
            next: next.map(|id| RowId([id; 32])),
        }));
        got.attach_payload(payload(rows))
    };
    assert_eq!(page(true, true, Some(2), &[(1, 1, 1), (2, 1, 1)]), Ok(()));
    assert_eq!(page(true, false, None, &[(1, 0, 0)]), Ok(()));
    let next = Err(ConvertError::Unexpected { field: "next" });
    assert_eq!(page(true, true, Some(1), &[(1, 1, 1), (2, 1, 1)]), next);
    assert_eq!(page(true, true, Some(1), &[]), next);
    assert_eq!(page(true, false, Some(1), &[(1, 1, 1)]), next);
    let no_head = Err(ConvertError::Missing { field: "head" });
    assert_eq!(page(false, true, None, &[(1, 1, 1)]), no_head);
    assert_eq!(
        page(true, true, None, &[(1, 0, 0)]),
        Err(ConvertError::Missing { field: "row" })
    );
}

proptest! {
    #[test]
    fn no_payload_of_rows_panics(garbage in prop::collection::vec(any::<u8>(), 0..300)) {
        let payload = Bytes::from(garbage);
        if let Ok(rows) = super::super::drive::rows_from_payload(&payload, true) {
            prop_assert_eq!(super::super::drive::rows_to_payload(&rows), payload);
        }
    }

    #[test]
    fn rows_come_back_and_damaged_ones_do_only_as_they_are(
        rows in rows(true),
        at in any::<prop::sample::Index>(),
        flip in 0u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let payload = super::super::drive::rows_to_payload(&rows);
        prop_assert_eq!(super::super::drive::rows_from_payload(&payload, true), Ok(rows));
        let mut damaged = payload.to_vec();
        if !damaged.is_empty() {
            let at = at.index(damaged.len());
            damaged[at] ^= flip;
        }
        let cut = cut.index(damaged.len() + 1);
        for damaged in [Bytes::copy_from_slice(&damaged[..cut]), Bytes::from(damaged)] {
            if let Ok(rows) = super::super::drive::rows_from_payload(&damaged, true) {
                prop_assert_eq!(super::super::drive::rows_to_payload(&rows), damaged);
            }
        }
    }
}
