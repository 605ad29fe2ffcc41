//! Peers that break the protocol, by accident or not.

use bytes::Bytes;
use proptest::prelude::*;
use truckee_wire::convert::{self, Head, Prepared, decode_head};
use truckee_wire::frame::{Decoder, FrameError, FrameOut};
use truckee_wire::message::{Failure, FailureCode, Goodbye, GoodbyeReason, Lane, Request, Response};

use super::harness::*;
use crate::session::{CallError, CloseReason, Event, REQUESTS_MAX, Session, Violation};
use crate::time::Mono;

const NOW: Mono = Mono::ZERO;

/// A session whose peer is this test.
fn open() -> Session {
    let mut session = session(&hello());
    feed(&mut session, &convert::hello_frame(&hello()).expect("valid"));
    session.admit(NOW);
    drain(&mut session);
    session
}

fn feed(session: &mut Session, frame: &FrameOut) {
    session.handle_bytes(NOW, &frame.head);
    session.handle_bytes(NOW, &frame.payload);
}

fn drain(session: &mut Session) -> (Vec<Head>, Vec<Event>) {
    let mut decoder = Decoder::new();
    while let Some(frame) = session.poll_transmit(NOW) {
        decoder.push(&frame.head);
        decoder.push(&frame.payload);
    }
    let mut heads = Vec::new();
    while let Some(frame) = decoder.next_frame().expect("valid") {
        heads.push(decode_head(frame.head).expect("valid"));
    }
    (heads, std::iter::from_fn(|| session.poll_event()).collect())
}

fn asking(id: u64, lane: Lane, request: &Request, part: Bytes) -> FrameOut {
    Prepared::request(id, lane, None, request)
        .expect("valid")
        .into_frame(Some(ms(5_000)), part)
}

fn answering(id: u64, answer: &Result<Response, Failure>, part: Bytes) -> FrameOut {
    Prepared::answer(id, Lane::Interactive, answer)
        .expect("valid")
        .into_frame(None, part)
}

fn violation(session: &mut Session) -> Violation {
    match drain(session).1.pop() {
        Some(Event::Closed(CloseReason::ProtocolViolation(violation))) => violation,
        other => panic!("expected a violation, got {other:?}"),
    }
}

#[test]
fn four_gibibytes_and_garbage() {
    let mut session = open();
    session.handle_bytes(NOW, &[0xff; 4]);
    let violation = violation(&mut session);
    assert!(
        matches!(
            violation,
            Violation::Frame(FrameError::TooLong { got: u32::MAX, .. })
        ),
        "{violation:?}"
    );

    let mut session = self::session(&hello());
    session.handle_bytes(NOW, b"GET / HTTP/1.1\r\n\r\n");
    assert!(matches!(self::violation(&mut session), Violation::Frame(_)));

    let mut session = open();
    session.handle_bytes(NOW, &[0, 0, 0, 7, 0, 0, 0, 3, 0xff, 0xff, 0xff]);
    assert!(matches!(self::violation(&mut session), Violation::Head(_)));
}

#[test]
fn hello_comes_first_and_once() {
    let mut fresh = session(&hello());
    feed(&mut fresh, &convert::ping_frame(1));
    assert_eq!(violation(&mut fresh), Violation::HelloExpected);
    let mut session = open();
    feed(&mut session, &convert::hello_frame(&hello()).expect("valid"));
    assert_eq!(violation(&mut session), Violation::HelloRepeated);
}

#[test]
fn too_much_before_the_admission() {
    let mut session = session(&hello());
    feed(&mut session, &convert::hello_frame(&hello()).expect("valid"));
    let mut frame = vec![0; 64 * 1024];
    frame[..8].copy_from_slice(&[0, 0, 0xff, 0xfc, 0, 0, 0, 1]);
    for _ in 0..9 {
        session.handle_bytes(NOW, &frame);
    }
    assert_eq!(violation(&mut session), Violation::Unadmitted);
}

#[test]
fn garbage_before_the_admission_is_not_kept_and_found_after_it() {
    let mut session = session(&hello());
    feed(&mut session, &convert::hello_frame(&hello()).expect("valid"));
    for _ in 0..9 {
        session.handle_bytes(NOW, &[0; 64 * 1024]);
    }
    assert_eq!(session.decoder.buffered_bytes(), 0);
    session.admit(NOW);
    let violation = violation(&mut session);
    assert!(
        matches!(violation, Violation::Frame(FrameError::TooShort { got: 0 })),
        "{violation:?}"
    );
}

#[test]
fn a_request_of_an_unknown_kind_is_answered_unsupported() {
    let mut session = open();
    // An envelope of kind REQUEST, id 9, bulk lane, without a body that this version knows, with field 500.
    let mut head = vec![0x08, 9, 0x10, 2, 0x18, 3];
    head.extend_from_slice(&[0xa2, 0x1f, 0x01, 0x77]);
    let mut frame = ((4 + head.len()) as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&(head.len() as u32).to_be_bytes());
    frame.extend_from_slice(&head);
    session.handle_bytes(NOW, &frame);
    let (heads, events) = drain(&mut session);
    assert_eq!(events, vec![]);
    let [
        Head::Answer {
            id: 9,
            answer: Ok(Err(failure)),
            ..
        },
    ] = &heads[..]
    else {
        panic!("{heads:?}")
    };
    assert_eq!(failure.code, FailureCode::Unsupported);
    assert!(session.is_open());
}

#[test]
fn a_request_that_breaks_a_bound_is_answered_bad_request_and_its_parts_are_dropped() {
    let mut session = open();
    // A block that announces 300,000 bytes for a message that takes none.
    let mut request = asking(1, Lane::Bulk, &Request::GetStatus, Bytes::from(vec![0; 1000]));
    let mut head = request.head[8..].to_vec();
    head.extend_from_slice(&[0x30, 0xe0, 0xa7, 0x12]); // field 6, payload_bytes = 300,000
    let mut framed = ((4 + head.len() + 1000) as u32).to_be_bytes().to_vec();
    framed.extend_from_slice(&(head.len() as u32).to_be_bytes());
    framed.extend_from_slice(&head);
    request.head = framed.into();
    feed(&mut session, &request);
    feed(
        &mut session,
        &convert::more_frame(1, Lane::Bulk, false, Bytes::from(vec![0; 1000])),
    );
    let (heads, events) = drain(&mut session);
    assert_eq!(events, vec![]);
    let [
        Head::Answer {
            id: 1,
            answer: Ok(Err(failure)),
            ..
        },
    ] = &heads[..]
    else {
        panic!("{heads:?}")
    };
    assert_eq!(failure.code, FailureCode::BadRequest);
    assert_eq!(session.load(), Default::default());
}

#[test]
fn more_payload_than_announced_credit() {
    let mut session = open();
    for id in 1..=4 {
        feed(
            &mut session,
            &asking(id, Lane::Bulk, &write_of(block(2 << 20, 1)), Bytes::new()),
        );
        for part in block(2 << 20, 1).chunks(128 * 1024) {
            feed(
                &mut session,
                &convert::more_frame(id, Lane::Bulk, false, Bytes::copy_from_slice(part)),
            );
        }
    }
    let (_, events) = drain(&mut session);
    assert_eq!(events.len(), 4, "8 MiB are allowed");
    feed(
        &mut session,
        &asking(5, Lane::Bulk, &write_of(block(1, 1)), block(1, 1)),
    );
    let expected = Violation::CreditExceeded {
        bytes: (8 << 20) + 1,
        max: 8 << 20,
    };
    assert_eq!(violation(&mut session), expected);
}

#[test]
fn too_many_requests_and_unread_answers() {
    let mut session = open();
    for id in 1..=REQUESTS_MAX as u64 {
        feed(
            &mut session,
            &asking(id, Lane::Control, &Request::GetStatus, Bytes::new()),
        );
    }
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    assert_eq!(events.len(), REQUESTS_MAX);
    // Answers that the peer does not read still count.
    for event in events {
        if let Event::Request { id, .. } = event {
            session
                .respond(NOW, id, Err(Failure::new(FailureCode::Full, "full")))
                .expect("valid");
        }
    }
    feed(
        &mut session,
        &asking(5000, Lane::Control, &Request::GetStatus, Bytes::new()),
    );
    assert_eq!(
        violation(&mut session),
        Violation::TooManyRequests { max: REQUESTS_MAX }
    );
}

#[test]
fn a_flood_of_pings_leaves_one_pong() {
    let mut session = open();
    for id in 1..=10_000 {
        feed(&mut session, &convert::ping_frame(id));
    }
    assert_eq!(drain(&mut session).0, vec![Head::Pong { id: 10_000 }]);
}

#[test]
fn numbers_that_mean_nothing() {
    let mut session = open();
    feed(
        &mut session,
        &answering(1, &Ok(Response::BlockWritten), Bytes::new()),
    );
    assert_eq!(violation(&mut session), Violation::NoSuchRequest { id: 1 });
    let mut session = open();
    feed(&mut session, &convert::cancel_frame(4));
    assert_eq!(violation(&mut session), Violation::NoSuchRequest { id: 4 });
    for of_answer in [false, true] {
        let mut session = open();
        feed(
            &mut session,
            &convert::more_frame(4, Lane::Bulk, of_answer, Bytes::from_static(b"x")),
        );
        assert_eq!(violation(&mut session), Violation::NoSuchRequest { id: 4 });
    }
    let mut session = open();
    feed(&mut session, &asking(3, Lane::Bulk, &read(), Bytes::new()));
    feed(&mut session, &asking(3, Lane::Bulk, &read(), Bytes::new()));
    assert_eq!(violation(&mut session), Violation::DuplicateRequest { id: 3 });
    // An answer to a request that was never sent, and a second answer.
    let mut session = open();
    let id = session
        .request(NOW, &Request::GetStatus, Lane::Bulk, ms(1_000))
        .expect("accepted");
    feed(
        &mut session,
        &answering(id.0, &Ok(Response::BlockWritten), Bytes::new()),
    );
    assert_eq!(violation(&mut session), Violation::NoSuchRequest { id: 1 });
}

#[test]
fn parts_that_do_not_add_up() {
    let first = |session: &mut Session| {
        feed(
            session,
            &asking(1, Lane::Bulk, &write_of(block(100, 1)), block(60, 1)),
        );
    };
    let part = |bytes| convert::more_frame(1, Lane::Bulk, false, block(bytes, 1));
    let mut session = open();
    first(&mut session);
    feed(&mut session, &part(41));
    assert_eq!(
        violation(&mut session),
        Violation::PartLength {
            id: 1,
            part: 41,
            expected: 40
        }
    );
    let mut session = open();
    first(&mut session);
    feed(&mut session, &part(0));
    assert_eq!(
        violation(&mut session),
        Violation::PartLength {
            id: 1,
            part: 0,
            expected: 40
        }
    );
    let mut session = open();
    feed(
        &mut session,
        &asking(1, Lane::Bulk, &write_of(block(100, 1)), block(101, 1)),
    );
    assert_eq!(
        violation(&mut session),
        Violation::PartLength {
            id: 1,
            part: 101,
            expected: 100
        }
    );
    let mut session = open();
    first(&mut session);
    feed(&mut session, &asking(2, Lane::Bulk, &read(), Bytes::new()));
    assert_eq!(
        violation(&mut session),
        Violation::Interleaved { lane: Lane::Bulk }
    );
    // Another lane may go between.
    let mut session = open();
    first(&mut session);
    feed(&mut session, &asking(2, Lane::Interactive, &read(), Bytes::new()));
    feed(&mut session, &part(40));
    assert_eq!(drain(&mut session).1.len(), 2);
}

#[test]
fn an_answer_with_more_than_was_asked_for() {
    let mut session = open();
    let id = session
        .request(NOW, &find(1_000), Lane::Interactive, ms(1_000))
        .expect("accepted");
    drain(&mut session);
    feed(
        &mut session,
        &answering(id.0, &Ok(block_read(block(1_001, 1))), Bytes::new()),
    );
    assert_eq!(
        violation(&mut session),
        Violation::PayloadNotAsked {
            id: 1,
            bytes: 1_001,
            max: 1_000
        }
    );
}

#[test]
fn an_early_refusal_stops_the_rest_of_a_request() {
    let mut session = open();
    let id = session
        .request(NOW, &write_of(block(1 << 20, 1)), Lane::Bulk, ms(1_000))
        .expect("accepted");
    session.poll_transmit(NOW).expect("the first part");
    let full = Failure::new(FailureCode::Full, "full");
    feed(&mut session, &answering(id.0, &Err(full.clone()), Bytes::new()));
    let (heads, events) = drain(&mut session);
    assert_eq!(heads, vec![]);
    assert_eq!(
        events,
        vec![Event::Answer {
            id,
            result: Err(CallError::Refused(full))
        }]
    );
    assert_eq!(session.load(), Default::default());
}

#[test]
fn no_buffer_is_taken_for_a_request_whose_time_is_over() {
    let mut session = open();
    let frame = asking(1, Lane::Bulk, &write_of(block(1 << 20, 1)), Bytes::new());
    let mut decoder = Decoder::new();
    decoder.push(&frame.head);
    let frame = decoder.next_frame().expect("valid").expect("whole");
    session.handle_frame_received_at(NOW + ms(6_000), NOW, frame);
    assert!(!session.assemblies.any());
}

#[test]
fn credit_is_free_when_the_first_frame_of_the_answer_goes_out() {
    let mut session = open();
    feed(
        &mut session,
        &asking(1, Lane::Bulk, &write_of(block(1_000, 1)), block(1_000, 1)),
    );
    let Some(Event::Request { id, .. }) = session.poll_event() else {
        panic!("no request")
    };
    session
        .respond(NOW, id, Ok(block_read(block(1 << 20, 1))))
        .expect("valid");
    assert_eq!(session.load().serving_bytes, 1_000);
    session.poll_transmit(NOW).expect("the first part");
    assert_eq!((session.load().serving_bytes, session.load().serving), (0, 1));
}

#[test]
fn after_the_goodbye() {
    let stopping = convert::goodbye_frame(Goodbye {
        reason: GoodbyeReason::Stopping,
    });
    let mut session = open();
    session
        .request(NOW, &read(), Lane::Bulk, ms(1_000))
        .expect("accepted");
    feed(&mut session, &stopping);
    feed(&mut session, &asking(1, Lane::Bulk, &read(), Bytes::new()));
    assert_eq!(violation(&mut session), Violation::RequestAfterGoodbye { id: 1 });
    let mut session = open();
    session
        .request(NOW, &read(), Lane::Bulk, ms(1_000))
        .expect("accepted");
    feed(&mut session, &stopping);
    feed(&mut session, &stopping);
    assert_eq!(violation(&mut session), Violation::GoodbyeRepeated);
}

proptest! {
    #[test]
    fn garbage_after_the_hello_never_panics(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 1..10)) {
        let mut session = open();
        for piece in &pieces {
            session.handle_bytes(NOW, piece);
        }
        drain(&mut session);
    }
}
