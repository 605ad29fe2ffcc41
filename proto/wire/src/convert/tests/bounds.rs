//! Each bound of each message: a value just outside is refused, and the error names the field.

use schema::request::Body as Ask;
use schema::response::Body as Say;

use super::*;
use crate::message::limits::{PATH_HASHES_MAX, SIGNED_BODY_BYTES_MAX};

fn row(bytes: usize) -> Bytes {
    vec![5; bytes].into()
}

fn ask(body: Ask, payload_bytes: usize) -> Result<Request, ConvertError> {
    request::request_from_wire(schema::Request { body: Some(body) }, payload_bytes)
}

fn say(body: Say, payload_bytes: usize) -> Result<Result<Response, Failure>, ConvertError> {
    response::answer_from_wire(schema::Response { body: Some(body) }, payload_bytes)
}

fn find() -> schema::FindShares {
    schema::FindShares {
        si: row(16),
        inline_bytes_max: 0,
    }
}

fn open() -> schema::OpenShare {
    schema::OpenShare {
        si: row(16),
        share: 9,
        upload: row(16),
        k: 3,
        n: 10,
        segment_bytes: 1 << 20,
        reserve_bytes: 0,
    }
}

fn write() -> schema::WriteBlock {
    schema::WriteBlock {
        si: row(16),
        share: 255,
        upload: row(16),
        segment: (1 << 20) - 1,
        block_leaf: row(32),
        sealed_leaf: row(32),
    }
}

fn close() -> schema::CloseShare {
    let coding = Coding::new(3, 10).expect("valid");
    let geometry = Geometry::new(1000, 1 << 20, coding).expect("in bounds");
    let ueb = Ueb::new(geometry, Hash([1; 32]), Hash([2; 32]));
    schema::CloseShare {
        si: row(16),
        share: 0,
        upload: row(16),
        ueb: ueb.encode().into(),
        share_roots: row(320),
    }
}

fn found() -> schema::FoundShares {
    let close = close();
    schema::FoundShares {
        shares: vec![0, 3, 9],
        ueb: close.ueb,
        share_roots: close.share_roots,
        inlined: false,
    }
}

fn block_read() -> schema::BlockRead {
    schema::BlockRead {
        block_path: row(32 * PATH_HASHES_MAX),
        sealed_path: row(32 * (PATH_HASHES_MAX + 1)),
    }
}

fn length(field: &'static str, got: usize, expected: usize) -> ConvertError {
    ConvertError::Length { field, got, expected }
}

fn too_long(field: &'static str, got: usize, max: usize) -> ConvertError {
    ConvertError::TooLong { field, got, max }
}

fn out_of_range(field: &'static str, got: u64, min: u64, max: u64) -> ConvertError {
    ConvertError::OutOfRange { field, got, min, max }
}

#[test]
fn the_examples_are_valid() {
    ask(Ask::FindShares(find()), 0).expect("valid");
    ask(Ask::OpenShare(open()), 0).expect("valid");
    ask(Ask::WriteBlock(write()), 1).expect("valid");
    ask(Ask::CloseShare(close()), 0).expect("valid");
    say(Say::FoundShares(found()), 0)
        .expect("valid")
        .expect("no failure");
    say(Say::BlockRead(block_read()), 1)
        .expect("valid")
        .expect("no failure");
}

#[test]
fn lengths_of_ids_and_hashes() {
    let si = schema::FindShares {
        si: row(15),
        ..find()
    };
    assert_eq!(ask(Ask::FindShares(si), 0), Err(length("si", 15, 16)));
    let upload = schema::OpenShare {
        upload: row(17),
        ..open()
    };
    assert_eq!(ask(Ask::OpenShare(upload), 0), Err(length("upload", 17, 16)));
    let leaf = schema::WriteBlock {
        block_leaf: row(31),
        ..write()
    };
    assert_eq!(ask(Ask::WriteBlock(leaf), 1), Err(length("block_leaf", 31, 32)));
    let leaf = schema::WriteBlock {
        sealed_leaf: Bytes::new(),
        ..write()
    };
    assert_eq!(ask(Ask::WriteBlock(leaf), 1), Err(length("sealed_leaf", 0, 32)));
    let roots = schema::CloseShare {
        share_roots: row(321),
        ..close()
    };
    assert_eq!(
        ask(Ask::CloseShare(roots), 0),
        Err(length("share_roots", 321, 320))
    );
    let roots = schema::CloseShare {
        share_roots: row(288),
        ..close()
    };
    assert_eq!(
        ask(Ask::CloseShare(roots), 0),
        Err(length("share_roots", 288, 320))
    );
}

#[test]
fn numbers() {
    let inline = schema::FindShares {
        inline_bytes_max: PAYLOAD_BYTES_MAX as u32 + 1,
        ..find()
    };
    let max = PAYLOAD_BYTES_MAX as u64;
    assert_eq!(
        ask(Ask::FindShares(inline), 0),
        Err(out_of_range("inline_bytes_max", max + 1, 0, max))
    );
    let share = schema::WriteBlock {
        share: 256,
        ..write()
    };
    assert_eq!(
        ask(Ask::WriteBlock(share), 1),
        Err(out_of_range("share", 256, 0, 255))
    );
    let share = schema::OpenShare { share: 10, ..open() };
    assert_eq!(
        ask(Ask::OpenShare(share), 0),
        Err(out_of_range("share", 10, 0, 9))
    );
    let segment = schema::WriteBlock {
        segment: 1 << 20,
        ..write()
    };
    assert_eq!(
        ask(Ask::WriteBlock(segment), 1),
        Err(out_of_range("segment", 1 << 20, 0, (1 << 20) - 1))
    );
    let reserve = schema::OpenShare {
        reserve_bytes: (1 << 45) + 1,
        ..open()
    };
    assert_eq!(
        ask(Ask::OpenShare(reserve), 0),
        Err(out_of_range("reserve_bytes", (1 << 45) + 1, 0, 1 << 45))
    );
    for (k, n) in [(0, 10), (10, 10), (3, 257), (11, 10), (0, 0)] {
        let coding = ask(Ask::OpenShare(schema::OpenShare { k, n, ..open() }), 0);
        assert!(
            matches!(coding, Err(ConvertError::Params(_))),
            "{k} of {n}: {coding:?}"
        );
    }
    for segment_bytes in [0, 1 << 9, (1 << 20) + 1, 1 << 25] {
        let size = ask(
            Ask::OpenShare(schema::OpenShare {
                segment_bytes,
                ..open()
            }),
            0,
        );
        assert!(
            matches!(size, Err(ConvertError::Params(_))),
            "{segment_bytes}: {size:?}"
        );
    }
}

#[test]
fn payloads() {
    let missing = ConvertError::Missing { field: "payload" };
    let unexpected = ConvertError::Unexpected { field: "payload" };
    assert_eq!(ask(Ask::WriteBlock(write()), 0), Err(missing));
    let longest = PAYLOAD_BYTES_MAX;
    assert_eq!(
        ask(Ask::WriteBlock(write()), longest + 1),
        Err(too_long("payload", longest + 1, longest))
    );
    assert_eq!(ask(Ask::FindShares(find()), 1), Err(unexpected));
    assert_eq!(say(Say::BlockRead(block_read()), 0), Err(missing));
    assert_eq!(
        say(Say::BlockWritten(schema::BlockWritten {}), 1),
        Err(unexpected)
    );
    assert_eq!(say(Say::FoundShares(found()), 1), Err(unexpected));
    let inlined = schema::FoundShares {
        inlined: true,
        ..found()
    };
    assert_eq!(say(Say::FoundShares(inlined), 0), Err(missing));
}

#[test]
fn the_extension_block_must_be_canonical() {
    for ueb in [row(10), Bytes::new(), row(97)] {
        let refused = ask(
            Ask::CloseShare(schema::CloseShare {
                ueb: ueb.clone(),
                ..close()
            }),
            0,
        );
        assert!(
            matches!(refused, Err(ConvertError::Ueb(_) | ConvertError::TooLong { .. })),
            "{refused:?}"
        );
    }
    let mut padded = close().ueb.to_vec();
    padded.extend_from_slice(&[0x40, 0x00]); // field 8, which does not exist
    let refused = ask(
        Ask::CloseShare(schema::CloseShare {
            ueb: padded.into(),
            ..close()
        }),
        0,
    );
    assert!(matches!(refused, Err(ConvertError::Ueb(_))), "{refused:?}");
}

#[test]
fn found_shares_agree_with_themselves() {
    let order = ConvertError::Order { field: "shares" };
    for shares in [vec![3, 0], vec![3, 3]] {
        assert_eq!(
            say(Say::FoundShares(schema::FoundShares { shares, ..found() }), 0),
            Err(order)
        );
    }
    let beyond = schema::FoundShares {
        shares: vec![10],
        ..found()
    };
    assert_eq!(
        say(Say::FoundShares(beyond), 0),
        Err(out_of_range("shares", 10, 0, 9))
    );
    let many = schema::FoundShares {
        shares: vec![0; 257],
        ..found()
    };
    assert_eq!(say(Say::FoundShares(many), 0), Err(too_long("shares", 257, 256)));
    let none = schema::FoundShares {
        shares: Vec::new(),
        ..found()
    };
    assert_eq!(
        say(Say::FoundShares(none), 0),
        Err(ConvertError::Unexpected { field: "ueb" })
    );
    let bare = schema::FoundShares {
        ueb: Bytes::new(),
        share_roots: Bytes::new(),
        ..found()
    };
    assert_eq!(
        say(Say::FoundShares(bare), 0),
        Err(ConvertError::Missing { field: "ueb" })
    );
}

#[test]
fn proofs() {
    let path = schema::BlockRead {
        block_path: row(32 * 21),
        ..block_read()
    };
    assert_eq!(say(Say::BlockRead(path), 1), Err(too_long("block_path", 21, 20)));
    let path = schema::BlockRead {
        block_path: row(33),
        ..block_read()
    };
    assert_eq!(say(Say::BlockRead(path), 1), Err(length("block_path", 33, 32)));
    let leafless = schema::BlockRead {
        sealed_path: Bytes::new(),
        ..block_read()
    };
    assert_eq!(
        say(Say::BlockRead(leafless), 1),
        Err(ConvertError::Missing { field: "sealed_path" })
    );
}

#[test]
fn what_is_unknown_is_named_so() {
    let empty = request::request_from_wire(schema::Request { body: None }, 0);
    assert_eq!(empty, Err(ConvertError::UnknownMessage));
    assert_eq!(
        response::answer_from_wire(schema::Response { body: None }, 0),
        Err(ConvertError::UnknownMessage)
    );
    // A code of a later version is still a failure.
    let failure = schema::Failure {
        code: 99,
        message: "later".into(),
        retry_after_ms: 0,
    };
    let failed = say(Say::Failure(failure), 0).expect("valid");
    assert_eq!(failed.expect_err("a failure").code, FailureCode::Internal);
    // A role of a later version is skipped.
    let body = schema::GrantBody {
        node: row(32),
        roles: vec![77, 2, 0],
        issued_unix_s: 1,
        expires_unix_s: 2,
    };
    let grant = GrantBody::decode(&body.encode_to_vec()).expect("valid");
    assert_eq!(grant.roles.iter().collect::<Vec<_>>(), vec![Role::Storage]);
}

#[test]
fn texts_are_bounded_and_stay_on_their_line() {
    let text = |message: String| {
        say(
            Say::Failure(schema::Failure {
                code: 2,
                message,
                retry_after_ms: 0,
            }),
            0,
        )
    };
    assert_eq!(text("x".repeat(301)), Err(too_long("failure.message", 301, 300)));
    assert_eq!(
        text("a\nb".into()),
        Err(ConvertError::ControlCharacters {
            field: "failure.message"
        })
    );
    let body = AnnouncementBody {
        sequence: 1,
        nickname: "n".repeat(64),
        addresses: vec!["a".repeat(255); 8],
        roles: Roles::NONE,
        zone: "z".repeat(64),
        software: "s".repeat(64),
    };
    body.encode().expect("in bounds");
    let nickname = AnnouncementBody {
        nickname: "n".repeat(65),
        ..body.clone()
    };
    assert_eq!(nickname.encode(), Err(too_long("nickname", 65, 64)));
    let addresses = AnnouncementBody {
        addresses: vec![String::new(); 9],
        ..body.clone()
    };
    assert_eq!(addresses.encode(), Err(too_long("addresses", 9, 8)));
    let address = AnnouncementBody {
        addresses: vec!["a".repeat(256)],
        ..body.clone()
    };
    assert_eq!(address.encode(), Err(too_long("address", 256, 255)));
    let zone = AnnouncementBody {
        zone: "a\u{1b}[2J".into(),
        ..body
    };
    assert_eq!(
        zone.encode(),
        Err(ConvertError::ControlCharacters { field: "zone" })
    );
    let cut = Failure::new(
        FailureCode::Internal,
        format!("{}\n{}", "x".repeat(10), "ä".repeat(200)),
    );
    assert_eq!(cut.text.len(), 299, "cut at the edge of a character");
    Prepared::answer(1, Lane::Control, &Err(cut)).expect("what new makes can be sent");
}

#[test]
fn members() {
    let grant = schema::Grant {
        body: row(SIGNED_BODY_BYTES_MAX + 1),
        introducer: row(32),
        signature: row(64),
    };
    let joined = |grant| say(Say::Joined(schema::Joined { grant }), 0);
    assert_eq!(joined(None), Err(ConvertError::Missing { field: "grant" }));
    assert_eq!(joined(Some(grant.clone())), Err(too_long("grant.body", 513, 512)));
    let short = schema::Grant {
        body: row(1),
        signature: row(63),
        ..grant
    };
    assert_eq!(joined(Some(short)), Err(length("grant.signature", 63, 64)));
    let join = |secret, announcement| ask(Ask::Join(schema::Join { secret, announcement }), 0);
    assert_eq!(join(row(65), None), Err(too_long("secret", 65, 64)));
    assert_eq!(
        join(row(16), None),
        Err(ConvertError::Missing {
            field: "announcement"
        })
    );
    let item = |byte| schema::RosterItem {
        node_id: vec![byte; 32].into(),
        ..Default::default()
    };
    let sync = |items| {
        ask(
            Ask::SyncRoster(schema::SyncRoster {
                items,
                ..Default::default()
            }),
            0,
        )
    };
    assert_eq!(
        sync(vec![item(2), item(1)]),
        Err(ConvertError::Order { field: "items" })
    );
    assert_eq!(sync(vec![item(1); 1025]), Err(too_long("items", 1025, 1024)));
    let tombstones = vec![schema::Tombstone::default(); 257];
    let push = schema::PushRoster {
        announcements: Vec::new(),
        tombstones,
    };
    assert_eq!(
        ask(Ask::PushRoster(push), 0),
        Err(too_long("tombstones", 257, 256))
    );
    let later = schema::RosterFile {
        version: 2,
        ..Default::default()
    };
    assert_eq!(
        RosterFile::decode(&later.encode_to_vec()),
        Err(out_of_range("roster.version", 2, 1, 1))
    );
    assert_eq!(
        RosterFile::decode(b"\xff"),
        Err(ConvertError::Malformed {
            what: "the roster file"
        })
    );
}

#[test]
fn heads_that_make_no_sense() {
    let head = |envelope: schema::Envelope| decode_head(envelope.encode_to_vec().into());
    let base = schema::Envelope {
        id: 1,
        kind: schema::Kind::Request.into(),
        lane: schema::Lane::Bulk.into(),
        ..Default::default()
    };
    assert_eq!(
        decode_head(Bytes::from_static(b"\x08")),
        Err(HeadError::Malformed)
    );
    assert_eq!(
        head(schema::Envelope {
            kind: 0,
            ..base.clone()
        }),
        Err(HeadError::UnknownKind { got: 0 })
    );
    assert_eq!(
        head(schema::Envelope {
            kind: 50,
            ..base.clone()
        }),
        Err(HeadError::UnknownKind { got: 50 })
    );
    assert_eq!(
        head(schema::Envelope {
            lane: 0,
            ..base.clone()
        }),
        Err(HeadError::UnknownLane { got: 0 })
    );
    assert_eq!(
        head(schema::Envelope {
            id: 0,
            ..base.clone()
        }),
        Err(HeadError::NoId)
    );
    let (got, max) = (PAYLOAD_BYTES_MAX as u32 + 1, PAYLOAD_BYTES_MAX);
    let long = schema::Envelope {
        payload_bytes: got,
        ..base.clone()
    };
    assert_eq!(head(long), Err(HeadError::PayloadTooLong { got, max }));
    let hello = schema::Envelope {
        kind: schema::Kind::Hello.into(),
        ..base.clone()
    };
    assert_eq!(head(hello), Err(HeadError::Body { kind: 1 }));
    // An unknown request is no fault of the link.
    assert!(matches!(
        head(base),
        Ok(Head::Request {
            request: Err(ConvertError::UnknownMessage),
            ..
        })
    ));
}

#[test]
fn hellos() {
    let hello = schema::Hello {
        version: 1,
        session: row(16),
        grant: None,
        announcement_sequence: 0,
        frame_bytes_max: 128 * 1024,
        inflight_bytes_max: 1,
    };
    link::hello_from_wire(hello.clone()).expect("valid");
    let small = schema::Hello {
        frame_bytes_max: 128 * 1024 - 1,
        ..hello.clone()
    };
    assert!(matches!(
        link::hello_from_wire(small),
        Err(ConvertError::OutOfRange { .. })
    ));
    let none = schema::Hello {
        inflight_bytes_max: 0,
        ..hello.clone()
    };
    assert!(matches!(
        link::hello_from_wire(none),
        Err(ConvertError::OutOfRange { .. })
    ));
    let session = schema::Hello {
        session: row(8),
        ..hello
    };
    assert_eq!(
        link::hello_from_wire(session),
        Err(length("hello.session", 8, 16))
    );
}
