//! Good inputs about directories: messages, and what they are made of.

use std::collections::BTreeMap;

use bytes::Bytes;
use truckee_grid::drive::{Child, ChildName, RowId, Target, listing};
use truckee_wire::message::limits::ROWS_PAGE_BYTES_MAX;
use truckee_wire::message::{ChangeTaken, CommitChange, GetRows, Request, Response, RowChange, RowsGot};

use crate::fuzzing::drive::{
    HEAD, LISTING, NAME, PAYLOAD, PLAIN_ROW, PLAIN_WRITE_CAP, SEALED_ROW, good_head, good_row,
};
use crate::seeds::Input;

const KEY: &str = "aaaqeayeaudaocajbifqydiob4";
const HASH: &str = "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq";

/// A row that is there, and one that is gone.
fn rows() -> Vec<RowChange> {
    let row = good_row();
    let gone = RowChange {
        id: RowId([0xff; 32]),
        sealed: None,
    };
    vec![
        RowChange {
            id: row.id,
            sealed: Some(row.bytes),
        },
        gone,
    ]
}

pub(crate) fn requests() -> Vec<Request> {
    let get = GetRows {
        directory: good_head().head.directory,
        since: 0,
        after: Some(RowId([9; 32])),
        bytes_max: ROWS_PAGE_BYTES_MAX as u32,
    };
    let news = GetRows {
        since: 7,
        after: None,
        ..get
    };
    let change = CommitChange {
        head: good_head(),
        changes: Vec::new(),
    };
    vec![
        Request::GetRows(get),
        Request::GetRows(news),
        Request::CommitChange(change),
    ]
}

pub(crate) fn answers() -> Vec<Response> {
    let got = |head, whole| RowsGot {
        database: [1; 16],
        head,
        whole,
        rows: Vec::new(),
        next: None,
    };
    let taken = ChangeTaken {
        database: [1; 16],
        taken: true,
        head: Some(good_head()),
    };
    vec![
        Response::RowsGot(Box::new(got(None, true))),
        Response::RowsGot(Box::new(got(Some(good_head()), false))),
        Response::ChangeTaken(Box::new(taken)),
    ]
}

fn children() -> Vec<u8> {
    let child = |cap: &str| Child {
        target: Target::Cap(truckee_grid::caps::Cap::parse(cap).expect("a cap")),
        metadata: "{}".to_owned(),
    };
    let later = Child {
        target: Target::Unknown {
            write: None,
            read: Some("imm.URI:LATER:x".to_owned()),
        },
        metadata: String::new(),
    };
    let name = |text| ChildName::new(text).expect("a name");
    let children = BTreeMap::from([
        (name("a"), child("URI:LIT:nbswy3dp")),
        (name("b"), child(&format!("URI:DIR2-CHK:{KEY}:{HASH}:1:1:55"))),
        (name("e\u{301}"), later),
    ]);
    listing::encode(&children).expect("nothing in it changes")
}

/// The plain form of a row, with its padding.
fn plain(kind: u8, fields: [&str; 4]) -> Vec<u8> {
    let mut plain = vec![kind];
    for field in fields {
        plain.extend_from_slice(&(field.len() as u16).to_be_bytes());
        plain.extend_from_slice(field.as_bytes());
    }
    while (plain.len() + 40) % 64 > 0 {
        plain.push(0);
    }
    plain
}

/// For the target `drive`.
pub(crate) fn all() -> Vec<Input> {
    let write = truckee_grid::caps::Cap::parse(&format!("URI:DIR2:{KEY}:{HASH}")).expect("a cap");
    let read = write.to_read().expect("it reads").to_uri();
    let payload = Request::CommitChange(CommitChange {
        head: good_head(),
        changes: rows(),
    })
    .payload();
    let good = good_row().bytes;
    let mut changed = good.to_vec();
    changed[50] ^= 4;
    let inputs: [(&str, u8, Bytes); 14] = [
        ("listing", LISTING, children().into()),
        ("no-children", LISTING, b"trkdir\0\x01\0\0\0\0"[..].into()),
        ("row", SEALED_ROW, good),
        ("changed-row", SEALED_ROW, changed.into()),
        (
            "plain",
            PLAIN_ROW,
            plain(1, ["file", "URI:LIT:", "", "{}"]).into(),
        ),
        (
            "content",
            PLAIN_ROW,
            plain(0, ["", "URI:LIT:nbswy3dp", "", "{}"]).into(),
        ),
        (
            "later",
            PLAIN_ROW,
            plain(1, ["x", "ro.URI:LATER:r", "", ""]).into(),
        ),
        (
            "both-strengths",
            PLAIN_WRITE_CAP,
            plain(1, ["d", &read, &write.to_uri(), "{}"]).into(),
        ),
        (
            "later-writes",
            PLAIN_WRITE_CAP,
            plain(1, ["x", "ro.x", "URI:LATER:w", ""]).into(),
        ),
        ("head", HEAD, Bytes::new()),
        ("changed-head", HEAD, b"\x05\x01\xb0\x01\xb0\x03"[..].into()),
        ("rows", PAYLOAD, payload),
        ("name", NAME, "e\u{301}te\u{301}.txt"[..].into()),
        ("dots", NAME, ".."[..].into()),
    ];
    let input = |(name, mode, rest): (&str, u8, Bytes)| -> Input {
        ("drive", name.to_owned(), [&[mode], &rest[..]].concat())
    };
    inputs.into_iter().map(input).collect()
}
