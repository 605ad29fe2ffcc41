//! Pings, silence, the estimate of the round trip, and what an idle link costs.

use truckee_wire::message::{Lane, Request, Response};

use super::harness::*;
use crate::session::{CallError, CloseReason, Event};

#[test]
fn an_idle_link_stays_up_and_costs_a_few_small_frames_a_minute() {
    let mut pair = Pair::open();
    let before = (
        pair.a.frames_out + pair.b.frames_out,
        pair.a.bytes_out + pair.b.bytes_out,
    );
    pair.run_for(ms(600_000));
    let frames = pair.a.frames_out + pair.b.frames_out - before.0;
    let bytes = pair.a.bytes_out + pair.b.bytes_out - before.1;
    assert_eq!((pair.a.closed(), pair.b.closed()), (None, None));
    assert!((50..=75).contains(&frames), "{frames} frames in ten minutes");
    assert!(bytes < 1_250, "{bytes} bytes in ten minutes");
}

#[test]
fn a_peer_that_freezes_is_noticed_fast_when_somebody_waits() {
    let mut pair = Pair::open();
    pair.run_for(ms(5_000));
    pair.b.frozen = true;
    let start = pair.now;
    let id = pair.ask(&read(), Lane::Interactive, ms(60_000));
    pair.run_for(ms(2_400));
    assert_eq!(pair.a.closed(), None);
    pair.run_for(ms(200));
    assert!(
        matches!(pair.a.closed(), Some(CloseReason::Silent { .. })),
        "{:?}",
        pair.a.closed()
    );
    assert_eq!(pair.a.answers(), vec![(id, Err(CallError::LinkLost))]);
    assert!(pair.now.saturating_sub(start) <= ms(2_600));
}

#[test]
fn a_frozen_peer_is_noticed_even_if_the_ping_cannot_be_written() {
    let mut pair = Pair::open();
    pair.b.frozen = true;
    pair.window = 1;
    pair.ask(&write_of(block(1 << 20, 1)), Lane::Bulk, ms(60_000));
    pair.run_for(ms(2_600));
    assert!(matches!(pair.a.closed(), Some(CloseReason::Silent { .. })));
}

#[test]
fn an_idle_link_to_a_frozen_peer_dies_after_long_silence() {
    let mut pair = Pair::open();
    pair.b.frozen = true;
    pair.run_for(ms(59_000));
    assert_eq!(pair.a.closed(), None);
    pair.run_for(ms(2_000));
    assert!(matches!(pair.a.closed(), Some(CloseReason::Silent { .. })));
}

#[test]
fn a_peer_that_thinks_long_but_answers_pings_is_not_dead() {
    let mut pair = Pair::open();
    let id = pair.ask(&read(), Lane::Interactive, ms(60_000));
    pair.run_for(ms(20_000));
    assert_eq!(pair.a.closed(), None);
    let (inbound, ..) = pair.b.requests().remove(0);
    pair.respond(inbound, Ok(block_read(block(10, 1))));
    pair.run_for(ms(10));
    assert_eq!(pair.a.answers().first().map(|(id, _)| *id), Some(id));
}

#[test]
fn a_slow_line_under_a_long_message_is_not_dead() {
    let mut pair = Pair::open();
    pair.bandwidth = 20_000; // a part takes 6.5 s
    pair.window = 1;
    pair.piece = 1_000;
    pair.ask(&write_of(block(200_000, 1)), Lane::Bulk, ms(60_000));
    // The harness delivers a frame at its end; trickle its bytes as a real line does.
    pair.poll();
    let mut told = 0;
    for step in 0..20 {
        pair.now += ms(500);
        pair.b.session.handle_progress(pair.now);
        pair.b.session.handle_timeout(pair.now);
        told += usize::from(pair.b.session.poll_transmit(pair.now).is_some());
        assert!(!pair.b.session.is_closed(), "step {step}");
    }
    assert!(told >= 9, "{told} signs of life in 10 s");
}

#[test]
fn signs_of_life_stop_with_the_message() {
    let mut pair = Pair::open();
    let before = pair.b.frames_out;
    pair.ask(&write_of(block(1 << 20, 1)), Lane::Bulk, ms(3_000));
    pair.run_for(ms(100));
    let (inbound, ..) = pair.b.requests().remove(0);
    pair.respond(inbound, Ok(Response::BlockWritten));
    pair.run_for(ms(8_000));
    assert_eq!(pair.b.frames_out - before, 1, "the answer alone");
}

#[test]
fn the_round_trip_is_estimated_from_pings_and_fast_answers() {
    let mut pair = Pair::open();
    pair.latency = ms(20);
    assert_eq!(pair.a.session.round_trip(), None);
    pair.ask(&Request::GetStatus, Lane::Control, ms(5_000));
    pair.run_for(ms(1_000));
    let ping = pair.a.session.round_trip().expect("a ping went after 500 ms");
    assert_eq!(ping, ms(40));
    let (inbound, ..) = pair.b.requests().remove(0);
    pair.respond(inbound, Ok(Response::BlockWritten));
    pair.run_for(ms(100));
    assert_eq!(
        pair.a.session.round_trip(),
        Some(ms(40)),
        "a slow answer says nothing"
    );
    pair.latency = ms(2);
    pair.ask(&Request::GetStatus, Lane::Control, ms(5_000));
    pair.run_for(ms(2));
    let (inbound, ..) = pair.b.requests().remove(0);
    pair.respond(inbound, Ok(Response::BlockWritten));
    pair.run_for(ms(2));
    assert_eq!(pair.a.session.round_trip(), Some((ms(40) * 7 + ms(4)) / 8));
}

#[test]
fn a_hello_that_does_not_come_ends_the_link() {
    let mut pair = Pair::new();
    pair.b.frozen = true;
    let id = pair.ask(&Request::GetStatus, Lane::Control, ms(60_000));
    pair.run_for(ms(4_900));
    assert_eq!(pair.a.closed(), None);
    pair.run_for(ms(200));
    assert_eq!(pair.a.closed(), Some(CloseReason::HelloTimeout));
    assert_eq!(pair.a.answers(), vec![(id, Err(CallError::LinkLost))]);
}

#[test]
fn a_frame_that_trickles_ends_the_link() {
    let mut pair = Pair::open();
    let frame = truckee_wire::convert::ping_frame(77);
    for (i, byte) in frame.head.iter().cycle().take(40).enumerate() {
        if pair.b.session.is_closed() {
            break;
        }
        // One byte a second, never a whole frame: the length says 200,000.
        let bytes = if i == 0 {
            200_000u32.to_be_bytes().to_vec()
        } else {
            vec![*byte; 1]
        };
        pair.b
            .session
            .handle_bytes(pair.now, if i == 1 { &[0, 0, 1, 0] } else { &bytes });
        pair.now += ms(1_000);
        pair.b.session.handle_timeout(pair.now);
    }
    let events: Vec<_> = std::iter::from_fn(|| pair.b.session.poll_event()).collect();
    let slow = |event: &Event| matches!(event, Event::Closed(CloseReason::SlowFrame { .. }));
    assert!(events.iter().any(slow), "{events:?}");
    assert!(pair.now <= crate::time::Mono::from_millis(17_000));
}
