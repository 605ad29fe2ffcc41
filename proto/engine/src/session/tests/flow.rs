//! Lanes, credit and the bounds of the tables.

use truckee_wire::message::{Hello, Lane, Request, Response};

use super::harness::*;
use crate::session::outbox::{LANE_PATIENCE, Outbox, Outgoing};
use crate::session::{CallError, Config, InboundId, REQUESTS_MAX, RequestId};

fn outbox() -> Outbox {
    let mut outbox = Outbox::new(truckee_wire::convert::ping_frame(1));
    outbox.next_signal(false);
    outbox
}

fn fill(outbox: &mut Outbox, lane: Lane, ids: std::ops::Range<u64>) {
    for id in ids {
        let request = Request::GetStatus;
        let head = truckee_wire::convert::Prepared::request(id, lane, None, &request).expect("valid");
        outbox.push(Outgoing::Request(RequestId(id)), lane, head, Default::default());
    }
}

fn lanes(outbox: &mut Outbox, count: usize) -> Vec<Lane> {
    (0..count)
        .map(|_| outbox.next_part(|_| true).expect("more").lane)
        .collect()
}

#[test]
fn lanes_go_in_strict_order() {
    let mut outbox = outbox();
    fill(&mut outbox, Lane::Bulk, 1..4);
    fill(&mut outbox, Lane::Interactive, 4..7);
    fill(&mut outbox, Lane::Control, 7..10);
    use Lane::{Bulk, Control, Interactive};
    let order = lanes(&mut outbox, 9);
    assert_eq!(order, [[Control; 3], [Interactive; 3], [Bulk; 3]].concat());
}

#[test]
fn no_lane_starves() {
    let mut outbox = outbox();
    fill(&mut outbox, Lane::Control, 1..200);
    fill(&mut outbox, Lane::Interactive, 200..400);
    fill(&mut outbox, Lane::Bulk, 400..600);
    let order = lanes(&mut outbox, 170);
    for lane in [Lane::Interactive, Lane::Bulk] {
        let longest = order
            .split(|l| *l == lane)
            .map(<[Lane]>::len)
            .max()
            .expect("some");
        assert!(
            longest <= LANE_PATIENCE as usize + 1,
            "{} waited for {longest} frames",
            lane.name()
        );
    }
    let control = order.iter().filter(|lane| **lane == Lane::Control).count();
    assert!(control >= 140, "control got {control} of 170 frames");
}

#[test]
fn answers_and_requests_of_a_lane_take_turns_and_answers_never_wait_for_credit() {
    let mut outbox = outbox();
    fill(&mut outbox, Lane::Bulk, 1..4);
    for id in 1..4 {
        let answer = truckee_wire::convert::Prepared::answer(id, Lane::Bulk, &Ok(Response::BlockWritten));
        let what = Outgoing::Answer(crate::session::InboundId(id));
        outbox.push(what, Lane::Bulk, answer.expect("valid"), Default::default());
    }
    let first = outbox.next_part(|_| true).expect("more").what;
    let second = outbox.next_part(|_| true).expect("more").what;
    assert!(
        matches!((first, second), (Outgoing::Answer(_), Outgoing::Request(_))),
        "{first:?} {second:?}"
    );
    for _ in 0..2 {
        let part = outbox.next_part(|_| false).expect("answers go without credit");
        assert!(matches!(part.what, Outgoing::Answer(_)));
    }
    assert!(outbox.next_part(|_| false).is_none());
}

#[test]
fn a_read_overtakes_a_block_that_is_being_sent() {
    let mut pair = Pair::open();
    pair.bandwidth = 10_000_000; // the block takes 800 ms
    pair.window = 1;
    pair.ask(&write_of(block(8 << 20, 1)), Lane::Bulk, ms(10_000));
    pair.run_for(ms(100));
    pair.ask(&read(), Lane::Interactive, ms(10_000));
    pair.run_for(ms(40));
    let requests = pair.b.requests();
    assert_eq!(
        requests.len(),
        1,
        "two parts of 13 ms were ahead, not the whole block"
    );
    assert_eq!(requests[0].1, read());
}

#[test]
fn no_more_payload_is_under_way_than_the_peer_takes() {
    let small = Hello {
        inflight_bytes_max: 100_000,
        ..hello()
    };
    let mut pair = Pair::with_hellos(&hello(), &small);
    pair.run_for(ms(10));
    let ids: Vec<_> = (0..5)
        .map(|i| pair.ask(&write_of(block(40_000, i)), Lane::Bulk, ms(10_000)))
        .collect();
    pair.run_for(ms(100));
    let first = pair.b.requests();
    assert_eq!(first.len(), 2, "80,000 of 100,000 bytes");
    let load = pair.a.session.load();
    assert_eq!(
        (load.inflight_bytes, load.waiting_bytes, load.calls),
        (80_000, 120_000, 5)
    );
    // What has no payload needs no credit, in any lane.
    let status = pair.ask(&Request::GetStatus, Lane::Interactive, ms(1_000));
    pair.run_for(ms(10));
    let (inbound, ..) = pair.b.requests().remove(0);
    pair.respond(inbound, Ok(Response::BlockWritten));
    for (inbound, ..) in first {
        pair.respond(inbound, Ok(Response::BlockWritten));
    }
    pair.run_for(ms(10));
    assert_eq!(pair.b.requests().len(), 2);
    let answered: Vec<_> = pair.a.answers().into_iter().map(|(id, _)| id).collect();
    assert_eq!(answered, [status, ids[0], ids[1]]);
    assert_eq!(pair.b.closed(), None);
}

#[test]
fn a_block_longer_than_the_whole_credit_goes_alone() {
    let small = Hello {
        inflight_bytes_max: 1_000,
        ..hello()
    };
    let mut pair = Pair::with_hellos(&hello(), &small);
    pair.run_for(ms(10));
    pair.ask(&write_of(block(500, 1)), Lane::Bulk, ms(10_000));
    pair.ask(&write_of(block(5_000, 2)), Lane::Bulk, ms(10_000));
    pair.run_for(ms(10));
    let requests = pair.b.requests();
    assert_eq!(requests.len(), 1);
    pair.respond(requests[0].0, Ok(Response::BlockWritten));
    pair.run_for(ms(10));
    assert_eq!(pair.b.requests().len(), 1);
    assert_eq!(pair.b.closed(), None);
}

#[test]
fn ends_that_are_both_out_of_credit_still_answer_each_other() {
    let small = Hello {
        inflight_bytes_max: 1_000,
        ..hello()
    };
    let mut pair = Pair::with_hellos(&small, &small);
    pair.run_for(ms(10));
    for i in 0..3 {
        pair.ask(&write_of(block(1_000, i)), Lane::Bulk, ms(10_000));
        let request = write_of(block(1_000, 10 + i));
        pair.b
            .session
            .request(pair.now, &request, Lane::Bulk, ms(10_000))
            .expect("accepted");
    }
    for _ in 0..4 {
        pair.run_for(ms(10));
        for (id, ..) in pair.b.requests() {
            pair.b
                .session
                .respond(pair.now, id, Ok(Response::BlockWritten))
                .expect("valid");
        }
        for (id, ..) in pair.a.requests() {
            pair.a
                .session
                .respond(pair.now, id, Ok(Response::BlockWritten))
                .expect("valid");
        }
    }
    assert_eq!((pair.a.answers().len(), pair.b.answers().len()), (3, 3));
}

#[test]
fn too_many_or_too_long_requests_are_refused_here() {
    let mut pair = Pair::open();
    for _ in 0..REQUESTS_MAX {
        pair.ask(&Request::GetStatus, Lane::Control, ms(10_000));
    }
    let full = pair
        .a
        .session
        .request(pair.now, &Request::GetStatus, Lane::Control, ms(10_000));
    assert_eq!(full, Err(CallError::Saturated));
    pair.run_for(ms(100));
    assert_eq!(pair.b.requests().len(), REQUESTS_MAX);
    assert_eq!(pair.b.closed(), None, "the bound is the same at both ends");

    let mut pair = Pair::open();
    let length = Config::default().waiting_bytes_max / 4;
    for i in 0..4 {
        pair.ask(&write_of(block(length, i)), Lane::Bulk, ms(10_000));
    }
    let full = pair
        .a
        .session
        .request(pair.now, &write_of(block(1, 1)), Lane::Bulk, ms(10_000));
    assert_eq!(full, Err(CallError::Saturated));
    pair.ask(&Request::GetStatus, Lane::Control, ms(10_000));
}

#[test]
fn parts_fit_the_peers_longest_frame() {
    let least = truckee_wire::frame::FRAME_BYTES_MAX_LEAST as u32;
    let mut pair = Pair::with_hellos(
        &hello(),
        &Hello {
            frame_bytes_max: least,
            ..hello()
        },
    );
    pair.run_for(ms(10));
    pair.ask(&write_of(block(300_000, 1)), Lane::Bulk, ms(1_000));
    while let Some(frame) = pair.a.session.poll_transmit(pair.now) {
        assert!(frame.len() <= least as usize + 4);
    }
}

#[test]
fn blocks_are_not_copied_on_their_way_out() {
    let mut pair = Pair::open();
    let block = block(300_000, 1);
    pair.ask(&write_of(block.clone()), Lane::Bulk, ms(1_000));
    let mut offset = 0;
    while let Some(frame) = pair.a.session.poll_transmit(pair.now) {
        assert_eq!(frame.payload.as_ptr(), block[offset..].as_ptr());
        offset += frame.payload.len();
    }
    assert_eq!(offset, block.len());
}

#[test]
fn lanes_count_what_goes_out_and_what_waits() {
    let mut outbox = outbox();
    fill(&mut outbox, Lane::Control, 0..2);
    fill(&mut outbox, Lane::Bulk, 2..5);
    let loads = |outbox: &Outbox| {
        outbox
            .lane_loads()
            .map(|load| (load.sent_messages, load.waiting_messages))
    };
    assert_eq!(loads(&outbox), [(0, 2), (0, 0), (0, 3)]);
    let head = truckee_wire::convert::Prepared::request(9, Lane::Interactive, None, &Request::GetStatus);
    let payload = bytes::Bytes::from_static(b"12345");
    outbox.push(
        Outgoing::Answer(InboundId(9)),
        Lane::Interactive,
        head.expect("valid"),
        payload,
    );
    lanes(&mut outbox, 5);
    assert_eq!(loads(&outbox), [(2, 0), (1, 0), (2, 1)]);
    assert_eq!(outbox.lane_loads().map(|load| load.sent_payload_bytes), [0, 5, 0]);
    outbox.clear_messages();
    assert_eq!(loads(&outbox), [(2, 0), (1, 0), (2, 0)], "what was sent stays");
}
