//! Goodbye, refusal, versions.

use truckee_wire::message::{GoodbyeReason, Hello, Lane, Request, Response};

use super::harness::*;
use crate::session::{CallError, CloseReason, Event, Session};

#[test]
fn goodbye_lets_both_ends_finish_what_is_under_way() {
    let mut pair = Pair::open();
    let id = pair.ask(&write_of(block(1_000, 1)), Lane::Bulk, ms(10_000));
    let theirs = pair
        .b
        .session
        .request(pair.now, &read(), Lane::Interactive, ms(10_000))
        .expect("accepted");
    pair.run_for(ms(10));
    pair.b.session.goodbye(pair.now, GoodbyeReason::Stopping);
    let crossing = pair.ask(&Request::GetStatus, Lane::Control, ms(10_000));
    pair.run_for(ms(10));
    assert!(
        pair.a
            .events
            .contains(&Event::PeerLeaving(GoodbyeReason::Stopping))
    );
    for end in [&mut pair.a, &mut pair.b] {
        let refused = end
            .session
            .request(pair.now, &Request::GetStatus, Lane::Control, ms(1_000));
        assert_eq!(refused, Err(CallError::Leaving));
        assert_eq!(end.closed(), None);
    }
    for (inbound, request, _) in pair.b.requests() {
        let answer = if request == Request::GetStatus {
            Response::ShareClosed
        } else {
            Response::BlockWritten
        };
        pair.respond(inbound, Ok(answer));
    }
    pair.run_for(ms(10));
    assert_eq!(
        (pair.a.closed(), pair.b.closed()),
        (None, None),
        "the other request is still under way"
    );
    let (inbound, ..) = pair.a.requests().remove(0);
    pair.a
        .session
        .respond(pair.now, inbound, Ok(block_read(block(9, 1))))
        .expect("valid");
    pair.run_for(ms(10));
    assert_eq!(pair.b.answers(), vec![(theirs, Ok(block_read(block(9, 1))))]);
    let answered: Vec<_> = pair.a.answers().into_iter().map(|(id, _)| id).collect();
    assert_eq!(answered, [crossing, id]);
    let drained = Some(CloseReason::Drained(GoodbyeReason::Stopping));
    assert_eq!((pair.a.closed(), pair.b.closed()), (drained, drained));
}

#[test]
fn requests_that_wait_for_credit_go_before_the_goodbye() {
    let mut pair = Pair::with_hellos(
        &hello(),
        &Hello {
            inflight_bytes_max: 1_000,
            ..hello()
        },
    );
    pair.run_for(ms(10));
    for i in 0..2 {
        pair.ask(&write_of(block(1_000, i)), Lane::Bulk, ms(10_000));
    }
    pair.a.session.goodbye(pair.now, GoodbyeReason::Duplicate);
    for _ in 0..2 {
        pair.run_for(ms(10));
        let (inbound, ..) = pair.b.requests().remove(0);
        pair.respond(inbound, Ok(Response::BlockWritten));
    }
    pair.run_for(ms(10));
    assert_eq!(pair.a.answers().len(), 2);
    assert_eq!(
        pair.b.closed(),
        Some(CloseReason::Drained(GoodbyeReason::Duplicate))
    );
}

#[test]
fn an_idle_link_is_closed_at_once_by_a_goodbye() {
    let mut pair = Pair::open();
    pair.a.session.goodbye(pair.now, GoodbyeReason::Idle);
    pair.run_for(ms(10));
    let drained = Some(CloseReason::Drained(GoodbyeReason::Idle));
    assert_eq!((pair.a.closed(), pair.b.closed()), (drained, drained));
}

#[test]
fn a_drain_has_a_bound() {
    let mut pair = Pair::open();
    let id = pair.ask(&read(), Lane::Interactive, ms(500_000));
    pair.run_for(ms(10));
    pair.a.session.goodbye(pair.now, GoodbyeReason::Stopping);
    pair.run_for(ms(29_000));
    assert_eq!(pair.a.closed(), None);
    pair.run_for(ms(2_000));
    assert_eq!(
        pair.a.closed(),
        Some(CloseReason::DrainTimeout(GoodbyeReason::Stopping))
    );
    assert_eq!(pair.a.answers(), vec![(id, Err(CallError::LinkLost))]);
}

/// Takes the frames of one session to another, without time.
fn hand_over(from: &mut Session, to: &mut Session, now: crate::time::Mono) {
    while let Some(frame) = from.poll_transmit(now) {
        to.handle_bytes(now, &frame.head);
        to.handle_bytes(now, &frame.payload);
    }
}

#[test]
fn a_stranger_is_refused_before_any_request_is_read() {
    let now = crate::time::Mono::ZERO;
    let (mut stranger, mut node) = (session(&hello()), session(&hello()));
    hand_over(&mut node, &mut stranger, now);
    stranger.admit(now);
    let id = stranger
        .request(now, &Request::GetStatus, Lane::Control, ms(1_000))
        .expect("accepted");
    hand_over(&mut stranger, &mut node, now);
    node.refuse(now);
    hand_over(&mut node, &mut stranger, now);
    let events: Vec<_> = std::iter::from_fn(|| node.poll_event()).collect();
    assert!(
        matches!(
            events[..],
            [Event::HelloReceived(_), Event::Closed(CloseReason::Refused)]
        ),
        "{events:?}"
    );
    let events: Vec<_> = std::iter::from_fn(|| stranger.poll_event()).collect();
    let lost = Event::Answer {
        id,
        result: Err(CallError::LinkLost),
    };
    assert_eq!(events[1..], [lost, Event::Closed(CloseReason::RefusedByPeer)]);
}

#[test]
fn nothing_is_read_between_hello_and_admission() {
    let now = crate::time::Mono::ZERO;
    let (mut fast, mut slow) = (session(&hello()), session(&hello()));
    hand_over(&mut slow, &mut fast, now);
    fast.admit(now);
    fast.request(now, &Request::GetStatus, Lane::Control, ms(1_000))
        .expect("accepted");
    hand_over(&mut fast, &mut slow, now);
    assert!(matches!(slow.poll_event(), Some(Event::HelloReceived(_))));
    assert_eq!(slow.poll_event(), None);
    slow.admit(now);
    assert!(matches!(slow.poll_event(), Some(Event::Request { .. })));
}

#[test]
fn another_version_ends_the_link() {
    let mut pair = Pair::with_hellos(
        &hello(),
        &Hello {
            version: 2,
            ..hello()
        },
    );
    pair.run_for(ms(10));
    assert_eq!(
        pair.a.closed(),
        Some(CloseReason::VersionMismatch { ours: 1, theirs: 2 })
    );
}
