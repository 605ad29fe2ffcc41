//! What the simulated network promises.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{ConnId, MILLIS, NetEvent, Network, SECONDS, Side, Taken, Tampering, WINDOW_BYTES, Way};
use crate::sim::rng::Rng;
use crate::sim::scheduler::{Micros, Scheduler};

const WAY: Way = Way {
    delay: 5 * MILLIS,
    jitter: 20 * MILLIS,
    bandwidth: 10_000_000,
    loss_per_mille: 100,
    cut: false,
};

/// A network whose events are carried out: every host listens, and keeps what arrives.
struct Run {
    network: Network,
    scheduler: Scheduler<NetEvent>,
    arrived: BTreeMap<(ConnId, Side), Vec<u8>>,
    told: Vec<NetEvent>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let rng = Rng::new(seed);
        Self {
            network: Network::new(3, WAY, rng.fork("network")),
            scheduler: Scheduler::new(rng.fork("ties")),
            arrived: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    fn connected(seed: u64) -> (Self, ConnId) {
        let mut run = Self::new(seed);
        let conn = run.network.dial(0, 0, 1);
        run.until(SECONDS);
        assert!(run.told.contains(&NetEvent::Established(conn)));
        (run, conn)
    }

    fn now(&self) -> Micros {
        self.scheduler.now()
    }

    fn send(&mut self, conn: ConnId, side: Side, bytes: &[u8]) {
        self.network
            .send(self.scheduler.now(), conn, side, Bytes::copy_from_slice(bytes));
    }

    fn until(&mut self, horizon: Micros) {
        loop {
            for (due, event) in self.network.events() {
                self.scheduler.at(due, event);
            }
            let Some(event) = self.scheduler.next(horizon) else {
                return;
            };
            self.told.push(event);
            match event {
                NetEvent::Knock(conn) => {
                    self.network.answer(self.scheduler.now(), conn, true);
                }
                NetEvent::Arrival(conn, side) => {
                    if let Taken::Chunk(bytes) = self.network.take(self.scheduler.now(), conn, side) {
                        self.arrived
                            .entry((conn, side))
                            .or_default()
                            .extend_from_slice(&bytes);
                    }
                }
                _ => {}
            }
        }
    }

    fn arrived(&self, conn: ConnId, side: Side) -> &[u8] {
        self.arrived.get(&(conn, side)).map_or(&[], Vec::as_slice)
    }
}

#[test]
fn a_direction_keeps_the_order_and_loses_nothing() {
    let (mut run, conn) = Run::connected(1);
    for number in 0..200_u8 {
        run.send(conn, Side::Dialler, &[number]);
        run.send(conn, Side::Acceptor, &[255 - number]);
    }
    run.until(20 * SECONDS);
    assert_eq!(run.arrived(conn, Side::Acceptor), (0..200).collect::<Vec<u8>>());
    assert_eq!(
        run.arrived(conn, Side::Dialler),
        (0..200).map(|number| 255 - number).collect::<Vec<u8>>()
    );
}

#[test]
fn connections_overtake_each_other() {
    let overtaken = |seed: u64| {
        let (mut run, first) = Run::connected(seed);
        let second = run.network.dial(run.now(), 0, 1);
        run.until(2 * SECONDS);
        run.told.clear();
        run.send(first, Side::Dialler, b"sent first");
        run.send(second, Side::Dialler, b"sent second");
        run.until(9 * SECONDS);
        run.told.first() == Some(&NetEvent::Arrival(second, Side::Acceptor))
    };
    assert!((0..20).any(overtaken) && !(0..20).all(overtaken));
}

#[test]
fn a_cut_way_holds_the_bytes_of_one_direction() {
    let (mut run, conn) = Run::connected(2);
    run.network.set_cut(run.now(), 0, 1, true);
    run.send(conn, Side::Dialler, b"held");
    run.send(conn, Side::Acceptor, b"passes");
    run.until(10 * SECONDS);
    assert_eq!(
        (
            run.arrived(conn, Side::Acceptor),
            run.arrived(conn, Side::Dialler)
        ),
        (&b""[..], &b"passes"[..])
    );
    run.network.set_cut(run.now(), 0, 1, false);
    run.until(11 * SECONDS);
    assert_eq!(run.arrived(conn, Side::Acceptor), b"held");
}

#[test]
fn nobody_answers_behind_a_cut_way() {
    let mut run = Run::new(3);
    run.network.set_cut(0, 1, 0, true);
    let conn = run.network.dial(0, 0, 1);
    run.until(SECONDS);
    assert!(!run.told.contains(&NetEvent::DialFailed(conn)));
    run.until(10 * SECONDS);
    assert!(run.told.contains(&NetEvent::DialFailed(conn)));
}

#[test]
fn a_host_that_does_not_read_stops_the_sender() {
    let (mut run, conn) = Run::connected(4);
    run.network.set_asleep(run.now(), 1, true);
    let mut sent = 0;
    while run.network.has_room(conn, Side::Dialler) {
        run.send(conn, Side::Dialler, &[0; 10_000]);
        sent += 10_000;
    }
    assert!((WINDOW_BYTES..WINDOW_BYTES + 10_000).contains(&sent));
    run.until(30 * SECONDS);
    assert!(run.arrived(conn, Side::Acceptor).is_empty());
    run.network.set_asleep(run.now(), 1, false);
    run.until(60 * SECONDS);
    assert_eq!(run.arrived(conn, Side::Acceptor).len(), sent);
    assert!(run.told.contains(&NetEvent::Writable(conn, Side::Dialler)));
}

#[test]
fn an_orderly_end_comes_after_the_last_byte() {
    let (mut run, conn) = Run::connected(5);
    run.send(conn, Side::Dialler, b"last words");
    run.network.close(run.now(), conn, Side::Dialler);
    run.until(10 * SECONDS);
    assert_eq!(run.arrived(conn, Side::Acceptor), b"last words");
    assert_eq!(
        run.network.connections(),
        0,
        "the other end was told and closed too"
    );
}

#[test]
fn a_host_whose_power_failed_says_so_only_when_it_is_back() {
    let (mut run, conn) = Run::connected(6);
    run.network.host_stops(run.now(), 1, true);
    run.send(conn, Side::Dialler, b"into the void");
    run.until(60 * SECONDS);
    assert!(run.network.is_open(conn, Side::Dialler));
    assert!(!run.told.contains(&NetEvent::Broken(conn, Side::Dialler)));
    run.network.host_starts(run.now(), 1);
    run.until(61 * SECONDS);
    assert!(run.told.contains(&NetEvent::Broken(conn, Side::Dialler)));
}

#[test]
fn a_killed_host_is_missed_at_once() {
    let (mut run, conn) = Run::connected(7);
    run.network.host_stops(run.now(), 1, false);
    run.until(2 * SECONDS);
    assert!(run.told.contains(&NetEvent::Broken(conn, Side::Dialler)));
}

#[test]
fn mistreated_pairs_are_remembered() {
    let (mut run, conn) = Run::connected(8);
    run.network.set_tampering(Tampering {
        drop: 3000,
        double: 3000,
        damage: 3000,
    });
    for _ in 0..50 {
        run.send(conn, Side::Dialler, b"frame");
    }
    run.until(60 * SECONDS);
    assert_ne!(run.arrived(conn, Side::Acceptor), b"frame".repeat(50));
    assert!(run.network.is_tainted(1, 0) && !run.network.is_tainted(1, 2));
}
