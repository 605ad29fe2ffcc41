//! Requests and answers: whole, in parts, refused, expired, cancelled.

use truckee_wire::message::{Failure, FailureCode, Lane, Request, Response};

use super::harness::*;
use crate::session::{CallError, Event};

#[test]
fn a_block_of_any_length_arrives_whole_in_any_cut() {
    for length in [1, 128 * 1024, 128 * 1024 + 1, 350_016, 5 << 20] {
        for piece in [usize::MAX, 1000] {
            let mut pair = Pair::open();
            pair.piece = piece;
            let sent = write_of(block(length, 9));
            let id = pair.ask(&sent, Lane::Bulk, ms(10_000));
            pair.run_for(ms(100));
            let requests = pair.b.requests();
            assert_eq!(requests.len(), 1);
            let (inbound, got, _) = &requests[0];
            assert!(
                *got == sent,
                "{length} bytes in pieces of {piece} came out different"
            );
            pair.respond(*inbound, Ok(Response::BlockWritten));
            pair.run_for(ms(10));
            assert_eq!(pair.a.answers(), vec![(id, Ok(Response::BlockWritten))]);
            assert_eq!((pair.a.session.load(), pair.b.session.load()), Default::default());
        }
    }
}

#[test]
fn a_block_is_not_copied_once_it_is_decoded_and_comes_whole_if_its_parts_lie_apart() {
    use bytes::BytesMut;
    use truckee_wire::frame::{Decoder, Frame};
    let mut pair = Pair::open();
    let sent = write_of(block(350_016, 7));
    for scattered in [false, true] {
        pair.ask(&sent, Lane::Bulk, ms(10_000));
        let mut decoder = Decoder::new();
        while let Some(frame) = pair.a.session.poll_transmit(pair.now) {
            decoder.push(&frame.head);
            decoder.push(&frame.payload);
        }
        let frames: Vec<Frame> = std::iter::from_fn(|| decoder.next_frame().expect("valid")).collect();
        let start = frames.iter().find(|frame| !frame.payload.is_empty());
        let start = start.map(|frame| frame.payload.as_ptr()).expect("a payload");
        for mut frame in frames {
            if scattered {
                frame.payload = BytesMut::from(&frame.payload[..]);
            }
            pair.b.session.handle_frame(pair.now, frame);
        }
        let mut requests = Vec::new();
        while let Some(event) = pair.b.session.poll_event() {
            if let Event::Request { request, .. } = event {
                requests.push(request);
            }
        }
        assert!(requests == vec![sent.clone()]);
        assert_eq!(requests[0].payload().as_ptr() == start, !scattered);
    }
}

#[test]
fn an_answer_with_a_block_arrives_whole() {
    let mut pair = Pair::open();
    let id = pair.ask(&read(), Lane::Interactive, ms(10_000));
    pair.run_for(ms(10));
    let (inbound, ..) = pair.b.requests().remove(0);
    let answer = block_read(block(1_000_000, 3));
    pair.respond(inbound, Ok(answer.clone()));
    pair.run_for(ms(10));
    assert!(pair.a.answers() == vec![(id, Ok(answer))]);
}

#[test]
fn requests_made_before_the_hello_wait_for_it() {
    let mut pair = Pair::new();
    let id = pair.ask(&Request::GetStatus, Lane::Control, ms(1_000));
    assert_eq!(pair.a.session.load().calls, 1);
    pair.run_for(ms(10));
    let (inbound, request, _) = pair.b.requests().remove(0);
    assert_eq!(request, Request::GetStatus);
    let busy = Failure::busy(ms(50), "later");
    pair.respond(inbound, Err(busy.clone()));
    pair.run_for(ms(10));
    assert_eq!(pair.a.answers(), vec![(id, Err(CallError::Refused(busy)))]);
}

#[test]
fn the_deadline_at_the_receiver_is_the_budget_left_when_sent() {
    let mut pair = Pair::open();
    let start = pair.now;
    pair.ask(&Request::GetStatus, Lane::Control, ms(700));
    pair.run_for(ms(10));
    let (.., deadline) = pair.b.requests().remove(0);
    assert_eq!(deadline, start + pair.latency + ms(700));
}

#[test]
fn work_whose_time_is_over_on_arrival_is_dropped_and_answered_so() {
    use truckee_wire::convert::{Prepared, hello_frame};
    use truckee_wire::frame::Decoder;
    let mut receiver = session(&hello());
    let mut decoder = Decoder::new();
    let ask = Prepared::request(1, Lane::Bulk, None, &Request::GetStatus).expect("valid");
    let frames = [
        hello_frame(&hello()).expect("valid"),
        ask.into_frame(Some(ms(100)), Default::default()),
    ];
    for frame in frames {
        decoder.push(&frame.head);
    }
    let start = crate::time::Mono::ZERO;
    receiver.handle_frame(start, decoder.next_frame().expect("valid").expect("whole"));
    receiver.admit(start);
    // The frame waited 100 ms between socket and session.
    let late = start + ms(100);
    receiver.handle_frame_received_at(late, start, decoder.next_frame().expect("valid").expect("whole"));
    let events: Vec<_> = std::iter::from_fn(|| receiver.poll_event()).collect();
    assert!(
        matches!(events[..], [Event::HelloReceived(_)]),
        "no request is delivered: {events:?}"
    );
    let sent: Vec<_> = std::iter::from_fn(|| receiver.poll_transmit(late)).collect();
    let mut decoder = Decoder::new();
    decoder.push(&sent[1].head);
    let answer = decoder.next_frame().expect("valid").expect("whole");
    let head = truckee_wire::convert::decode_head(answer.head).expect("valid");
    let truckee_wire::convert::Head::Answer {
        id: 1,
        answer: Ok(Err(failure)),
        ..
    } = head
    else {
        panic!("{head:?}")
    };
    assert_eq!(failure.code, FailureCode::Expired);
}

#[test]
fn a_call_expires_once_here_and_is_cancelled_there() {
    let mut pair = Pair::open();
    let id = pair.ask(&write_of(block(1000, 1)), Lane::Bulk, ms(200));
    pair.run_for(ms(100));
    let (inbound, ..) = pair.b.requests().remove(0);
    pair.run_for(ms(150));
    assert_eq!(pair.a.answers(), vec![(id, Err(CallError::Expired))]);
    assert_eq!(pair.b.cancelled(), vec![inbound]);
    // The peer still has the bytes, so the credit is not free before it answers.
    assert_eq!(
        (
            pair.a.session.load().inflight_bytes,
            pair.a.session.load().abandoned
        ),
        (1000, 1)
    );
    pair.respond(inbound, Ok(Response::BlockWritten));
    pair.run_for(ms(10));
    assert_eq!(pair.a.answers(), vec![]);
    assert_eq!((pair.a.session.load(), pair.b.session.load()), Default::default());
    assert_eq!(pair.a.closed(), None);
}

#[test]
fn an_arriving_request_whose_time_is_over_gives_its_buffer_back() {
    let mut pair = Pair::open();
    pair.ask(&write_of(block(4 << 20, 1)), Lane::Bulk, ms(300));
    pair.bandwidth = 1_000_000;
    pair.run_for(ms(200));
    assert_eq!(pair.b.session.load().serving, 1);
    // The sender stops, so that neither parts nor a cancel come any more.
    pair.a.frozen = true;
    pair.run_for(ms(500));
    assert!(!pair.b.session.assemblies.any());
    assert_eq!(pair.b.requests(), vec![]);
    assert_eq!(pair.b.closed(), None);
    pair.a.frozen = false;
    pair.run_for(ms(3_000));
    assert_eq!(
        (pair.a.closed(), pair.b.closed()),
        (None, None),
        "late parts are no offence"
    );
    assert_eq!((pair.a.session.load(), pair.b.session.load()), Default::default());
}

#[test]
fn a_request_cancelled_before_it_was_sent_is_never_sent() {
    let mut pair = Pair::open();
    let frames = pair.a.frames_out;
    let id = pair.ask(&write_of(block(1000, 1)), Lane::Bulk, ms(1_000));
    pair.a.session.cancel(pair.now, id);
    pair.run_for(ms(100));
    assert_eq!(pair.a.frames_out, frames);
    assert_eq!((pair.a.answers(), pair.b.requests()), (vec![], vec![]));
    assert_eq!(pair.a.session.load(), Default::default());
}

#[test]
fn a_request_cancelled_while_it_is_sent_stops_and_the_link_goes_on() {
    let mut pair = Pair::open();
    pair.bandwidth = 10_000_000;
    let id = pair.ask(&write_of(block(8 << 20, 1)), Lane::Bulk, ms(10_000));
    pair.run_for(ms(100));
    let next = pair.ask(&write_of(block(300_000, 2)), Lane::Bulk, ms(10_000));
    pair.a.session.cancel(pair.now, id);
    pair.run_for(ms(200));
    assert!(pair.a.bytes_out < 2 << 20, "{} bytes were sent", pair.a.bytes_out);
    let requests = pair.b.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].1 == write_of(block(300_000, 2)));
    pair.respond(requests[0].0, Ok(Response::BlockWritten));
    pair.run_for(ms(100));
    assert_eq!(pair.a.answers(), vec![(next, Ok(Response::BlockWritten))]);
    assert_eq!((pair.a.session.load(), pair.b.session.load()), Default::default());
}

#[test]
fn an_answer_cancelled_while_it_is_sent_stops_and_the_link_goes_on() {
    let mut pair = Pair::open();
    pair.bandwidth = 10_000_000;
    let id = pair.ask(&read(), Lane::Interactive, ms(10_000));
    let next = pair.ask(&read(), Lane::Interactive, ms(10_000));
    pair.run_for(ms(10));
    let requests = pair.b.requests();
    pair.respond(requests[0].0, Ok(block_read(block(8 << 20, 1))));
    pair.respond(requests[1].0, Ok(block_read(block(300_000, 2))));
    pair.run_for(ms(100));
    pair.a.session.cancel(pair.now, id);
    pair.run_for(ms(200));
    assert!(pair.b.bytes_out < 2 << 20, "{} bytes were sent", pair.b.bytes_out);
    assert!(pair.a.answers() == vec![(next, Ok(block_read(block(300_000, 2))))]);
    assert_eq!((pair.a.session.load(), pair.b.session.load()), Default::default());
}

#[test]
fn a_cancelled_request_is_told_its_server_and_its_answer_is_not_sent_in_full() {
    let mut pair = Pair::open();
    let id = pair.ask(&read(), Lane::Interactive, ms(10_000));
    pair.run_for(ms(10));
    let (inbound, ..) = pair.b.requests().remove(0);
    pair.a.session.cancel(pair.now, id);
    pair.run_for(ms(10));
    assert_eq!(pair.b.cancelled(), vec![inbound]);
    let before = pair.b.bytes_out;
    pair.respond(inbound, Ok(block_read(block(1 << 20, 1))));
    pair.run_for(ms(10));
    assert!(pair.b.bytes_out - before < 200);
    assert_eq!(pair.a.answers(), vec![]);
    assert_eq!((pair.a.session.load(), pair.b.session.load()), Default::default());
}

#[test]
fn an_answer_of_another_kind_is_an_error_of_the_call_alone() {
    let mut pair = Pair::open();
    let id = pair.ask(&Request::GetStatus, Lane::Control, ms(1_000));
    pair.run_for(ms(10));
    let (inbound, ..) = pair.b.requests().remove(0);
    pair.respond(inbound, Ok(Response::BlockWritten));
    pair.run_for(ms(10));
    let answers = pair.a.answers();
    assert!(
        matches!(answers[..], [(got, Err(CallError::BadAnswer(_)))] if got == id),
        "{answers:?}"
    );
    assert!(pair.a.session.is_open());
}

#[test]
fn what_breaks_a_bound_is_not_sent() {
    let mut pair = Pair::open();
    let empty = pair
        .a
        .session
        .request(pair.now, &write_of(Default::default()), Lane::Bulk, ms(1_000));
    assert!(matches!(empty, Err(CallError::Unsendable(_))), "{empty:?}");
    pair.ask(&read(), Lane::Interactive, ms(1_000));
    pair.run_for(ms(10));
    let (inbound, ..) = pair.b.requests().remove(0);
    pair.b
        .session
        .respond(pair.now, inbound, Ok(block_read(Default::default())))
        .expect_err("an empty block");
    pair.run_for(ms(10));
    let answers = pair.a.answers();
    let [(_, Err(CallError::Refused(failure)))] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(failure.code, FailureCode::Internal);
}

#[test]
fn a_lost_connection_fails_everything_once_and_nothing_happens_afterwards() {
    let mut pair = Pair::open();
    let ids = [
        pair.ask(&write_of(block(1 << 20, 1)), Lane::Bulk, ms(9_000)),
        pair.ask(&read(), Lane::Interactive, ms(9_000)),
    ];
    let cancelled = pair.ask(&Request::GetStatus, Lane::Control, ms(9_000));
    pair.run_for(ms(10));
    let inbound: Vec<_> = pair.b.requests().into_iter().map(|(id, ..)| id).collect();
    pair.a.session.cancel(pair.now, cancelled);
    pair.a.session.handle_link_lost(pair.now);
    pair.b.session.handle_link_lost(pair.now);
    pair.run_for(ms(60_000));
    let lost: Vec<_> = ids.iter().map(|id| (*id, Err(CallError::LinkLost))).collect();
    assert_eq!(pair.a.answers(), lost);
    let mut told = pair.b.cancelled();
    told.sort();
    let mut served = inbound.clone();
    served.sort();
    assert_eq!(told, served);
    assert!(matches!(pair.a.events.last(), Some(Event::Closed(_))));
    assert_eq!(pair.a.session.next_deadline(), None);
    let refused = pair.a.session.request(pair.now, &read(), Lane::Bulk, ms(1));
    assert_eq!(refused, Err(CallError::LinkLost));
    pair.b
        .session
        .respond(pair.now, inbound[0], Ok(Response::BlockWritten))
        .expect("dropped");
    pair.a.session.handle_link_lost(pair.now);
    pair.a.session.handle_bytes(pair.now, b"late bytes");
    pair.a.session.handle_timeout(pair.now);
    assert_eq!(
        (
            pair.a.session.poll_event(),
            pair.a.session.poll_transmit(pair.now)
        ),
        (None, None)
    );
}
