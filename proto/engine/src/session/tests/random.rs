//! Random schedules of requests, answers, cancels, freezes and lost connections, from seeds, against a model: every
//! request ends exactly once, nothing comes that was not asked, and at the end nothing is left.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use truckee_wire::message::{Failure, FailureCode, GoodbyeReason, Hello, Lane, Request, Response};

use super::harness::*;
use crate::session::{CallError, Event, InboundId, RequestId};

/// What one end asked and has not heard of, and what it was asked and has not answered.
#[derive(Default)]
struct Model {
    open: BTreeMap<RequestId, Request>,
    cancelled: BTreeSet<RequestId>,
    serving: BTreeMap<InboundId, Request>,
    told_cancelled: BTreeSet<InboundId>,
    ended: usize,
    closed: bool,
}

impl Model {
    fn take(&mut self, seed: u64, events: Vec<Event>) {
        for event in events {
            assert!(!self.closed, "seed {seed}: {event:?} after the end");
            match event {
                Event::Answer { id, result } => {
                    assert!(
                        !self.cancelled.contains(&id),
                        "seed {seed}: an answer to a cancelled request"
                    );
                    let request = self.open.remove(&id);
                    let request = request.unwrap_or_else(|| panic!("seed {seed}: {id:?} ended twice"));
                    check(seed, &request, &result);
                    self.ended += 1;
                }
                Event::Request { id, request, .. } => {
                    let length = request.payload_bytes();
                    if length > 0 {
                        assert!(
                            request.payload() == block(length, length as u8),
                            "seed {seed}: damaged block"
                        );
                    }
                    assert!(
                        self.serving.insert(id, request).is_none(),
                        "seed {seed}: {id:?} twice"
                    );
                }
                Event::Cancelled { id } => {
                    assert!(
                        self.serving.contains_key(&id),
                        "seed {seed}: {id:?} is not being served"
                    );
                    assert!(
                        self.told_cancelled.insert(id),
                        "seed {seed}: {id:?} cancelled twice"
                    );
                }
                Event::Closed(_) => self.closed = true,
                Event::HelloReceived(_) | Event::PeerLeaving(_) => {}
            }
        }
    }
}

fn check(seed: u64, request: &Request, result: &Result<Response, CallError>) {
    match result {
        Ok(response) => {
            assert!(
                response.answers(request.kind()),
                "seed {seed}: {response:?} to {:?}",
                request.kind()
            );
            let length = response.payload_bytes();
            assert!(
                response.payload() == block(length, length as u8),
                "seed {seed}: damaged block"
            );
        }
        Err(CallError::Refused(failure)) => assert_ne!(failure.code, FailureCode::BadRequest, "seed {seed}"),
        Err(CallError::Expired | CallError::LinkLost) => {}
        Err(other) => panic!("seed {seed}: {other}"),
    }
}

fn random_request(rng: &mut StdRng) -> Request {
    match rng.random_range(0..4) {
        0 => Request::GetStatus,
        1 => read(),
        _ => {
            let length = 1 << rng.random_range(0..20);
            let length = rng.random_range(1..=length);
            write_of(block(length, length as u8))
        }
    }
}

fn random_answer(rng: &mut StdRng, request: &Request) -> Result<Response, Failure> {
    if rng.random_bool(0.2) {
        return Err(Failure::busy(ms(10), "busy"));
    }
    match request {
        Request::ReadBlock(_) => {
            let length = rng.random_range(1..=600_000);
            Ok(block_read(block(length, length as u8)))
        }
        Request::WriteBlock(_) => Ok(Response::BlockWritten),
        _ => Ok(Response::NodeStatus(truckee_wire::message::NodeStatus {
            share_count: 1,
            used_bytes: 2,
            available_bytes: 3,
            accepts_shares: true,
            uptime: ms(5_000),
            software: "test".into(),
        })),
    }
}

fn act(seed: u64, rng: &mut StdRng, now: crate::time::Mono, end: &mut End, model: &mut Model) {
    match rng.random_range(0..10) {
        0..4 => {
            let request = random_request(rng);
            let lane = Lane::ALL[rng.random_range(0..3)];
            let budget = ms(rng.random_range(1..20_000));
            match end.session.request(now, &request, lane, budget) {
                Ok(id) => assert!(
                    model.open.insert(id, request).is_none(),
                    "seed {seed}: {id:?} given twice"
                ),
                Err(CallError::LinkLost | CallError::Leaving | CallError::Saturated) => {}
                Err(other) => panic!("seed {seed}: {other}"),
            }
        }
        4..8 => {
            let Some((id, request)) = model.serving.pop_first() else {
                return;
            };
            model.told_cancelled.remove(&id);
            let answer = random_answer(rng, &request);
            end.session.respond(now, id, answer).expect("a valid answer");
        }
        8 => {
            let Some(id) = model.open.keys().next_back().copied() else {
                return;
            };
            end.session.cancel(now, id);
            // Its answer may have been told already, but not taken by the model: then the cancel came too late.
            let told = end
                .events
                .iter()
                .any(|e| matches!(e, Event::Answer { id: got, .. } if *got == id));
            if !told {
                model.open.remove(&id);
                model.cancelled.insert(id);
            }
        }
        _ => {}
    }
}

/// How many requests ended.
fn run(seed: u64) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    let credit = *[2_000, 300_000, 8 << 20]
        .get(rng.random_range(0..3))
        .expect("in range");
    let small = Hello {
        inflight_bytes_max: credit,
        ..hello()
    };
    let mut pair = Pair::with_hellos(&hello(), &small);
    pair.latency = ms(rng.random_range(0..30));
    pair.bandwidth = *[0, 2_000_000, 50_000_000]
        .get(rng.random_range(0..3))
        .expect("in range");
    pair.window = rng.random_range(1..400_000);
    pair.piece = rng.random_range(1_000..300_000);
    let mut models = [Model::default(), Model::default()];
    let goodbye = rng.random_bool(0.3).then(|| rng.random_range(10..60));
    let loss = rng.random_bool(0.3).then(|| rng.random_range(10..60));
    for step in 0..60 {
        for _ in 0..rng.random_range(1..4) {
            let which = rng.random_range(0..2usize);
            let end = if which == 0 { &mut pair.a } else { &mut pair.b };
            act(seed, &mut rng, pair.now, end, &mut models[which]);
        }
        if goodbye == Some(step) {
            pair.b.session.goodbye(pair.now, GoodbyeReason::Stopping);
        }
        if loss == Some(step) {
            pair.cut = true;
            pair.a.session.handle_link_lost(pair.now);
            pair.b.session.handle_link_lost(pair.now);
        }
        pair.run_for(ms(rng.random_range(0..200)));
        for (end, model) in [&mut pair.a, &mut pair.b].into_iter().zip(&mut models) {
            model.take(seed, std::mem::take(&mut end.events));
            let load = end.session.load();
            assert!(
                load.inflight_bytes <= (8 << 20) && load.serving_bytes <= (8 << 20),
                "seed {seed}: {load:?}"
            );
        }
    }
    finish(seed, &mut rng, &mut pair, &mut models);
    models[0].ended + models[1].ended
}

/// Everybody answers everything: within the longest budget all requests have ended.
fn finish(seed: u64, rng: &mut StdRng, pair: &mut Pair, models: &mut [Model; 2]) {
    for _ in 0..60 {
        for (end, model) in [&mut pair.a, &mut pair.b].into_iter().zip(&mut *models) {
            while let Some((id, request)) = model.serving.pop_first() {
                model.told_cancelled.remove(&id);
                let answer = random_answer(rng, &request);
                end.session.respond(pair.now, id, answer).expect("a valid answer");
            }
        }
        pair.run_for(ms(500));
        for (end, model) in [&mut pair.a, &mut pair.b].into_iter().zip(&mut *models) {
            model.take(seed, std::mem::take(&mut end.events));
        }
    }
    let injured = pair.cut || models[0].closed || models[1].closed;
    for (end, model) in [&pair.a, &pair.b].into_iter().zip(&*models) {
        assert!(
            model.open.is_empty(),
            "seed {seed}: {:?} never ended",
            model.open.keys()
        );
        assert_eq!(
            end.session.load(),
            Default::default(),
            "seed {seed}: something is left"
        );
        assert!(
            end.session.outbox.is_empty() || injured,
            "seed {seed}: something waits to be sent"
        );
    }
}

#[test]
fn every_request_ends_once_whatever_happens() {
    let ended: usize = (0..150).map(run).sum();
    assert!(ended > 3_000, "only {ended} requests in all runs");
}
