//! The simulated network: byte streams between nodes, as TCP under TLS gives them.
//!
//! Owns the condition of the way from each node to each other one ([`Way`]: delay, jitter, bandwidth, spikes, cuts) and
//! the connections ([`stream`](super::stream)). Within one direction of a connection bytes keep their order and none is
//! missing; between connections and directions everything may overtake everything. A lost packet is a delay, a cut way
//! holds the bytes until it is joined again or the connection is given up, and each direction holds at most
//! [`WINDOW_BYTES`], so that a peer that does not read stops the sender. An end whose host has vanished without a word
//! swallows what is sent to it until the host is back to say that it knows nothing.
//!
//! Under [`Tampering`] whole frames are dropped, doubled or damaged, which no network does to TLS; it shows what a
//! session makes of nonsense. Pairs that it has happened to are remembered, since nothing said over such a connection can
//! be relied on.
//!
//! Does not promise to model congestion or the sharing of bandwidth between connections.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::rng::Rng;
use super::scheduler::{MILLIS, Micros, SECONDS};
use super::stream::{Stream, Taken};
pub use super::way::{ConnId, NetEvent, Side, Tampering, Way};

/// What a direction of a connection holds between two hosts: the usual size of the two socket buffers together.
pub const WINDOW_BYTES: usize = 256 * 1024;
/// How long somebody waits for a connection that nobody answers: the mesh's own patience with a dial.
pub const DIAL_TIMEOUT: Micros = 5 * SECONDS;
/// The least time that TCP waits before it sends a lost packet again (RFC 6298 says a second, Linux 200 ms).
const RESEND_AFTER: Micros = 200 * MILLIS;

struct Conn {
    hosts: [usize; 2],
    open: [bool; 2],
    answered: bool,
    streams: [Stream; 2],
}

/// All connections and ways.
pub struct Network {
    hosts: usize,
    ways: Vec<Way>,
    conns: BTreeMap<ConnId, Conn>,
    next: u64,
    dials: BTreeMap<(usize, usize), u64>,
    rng: Rng,
    tampering: Tampering,
    tainted: BTreeSet<(usize, usize)>,
    asleep: BTreeSet<usize>,
    events: Vec<(Micros, NetEvent)>,
}

impl Network {
    /// A network of `hosts` hosts, all ways like `way`.
    pub fn new(hosts: usize, way: Way, rng: Rng) -> Self {
        Self {
            hosts,
            ways: vec![way; hosts * hosts],
            conns: BTreeMap::new(),
            next: 0,
            dials: BTreeMap::new(),
            rng,
            tampering: Tampering::default(),
            tainted: BTreeSet::new(),
            asleep: BTreeSet::new(),
            events: Vec::new(),
        }
    }

    /// The way between two hosts, to change it.
    pub fn way_mut(&mut self, from: usize, to: usize) -> &mut Way {
        &mut self.ways[from * self.hosts + to]
    }

    /// The way between two hosts.
    pub fn way(&self, from: usize, to: usize) -> Way {
        self.ways[from * self.hosts + to]
    }

    /// From now on frames are mistreated so often.
    pub fn set_tampering(&mut self, tampering: Tampering) {
        self.tampering = tampering;
    }

    /// Has a frame between the two hosts, in either direction, been mistreated?
    pub fn is_tainted(&self, one: usize, other: usize) -> bool {
        self.tainted.contains(&pair(one, other))
    }

    /// Has any frame to or from this host been mistreated?
    pub fn any_taint(&self, host: usize) -> bool {
        self.tainted
            .iter()
            .any(|(one, other)| *one == host || *other == host)
    }

    /// What is to happen and when, since the last call.
    pub fn events(&mut self) -> impl Iterator<Item = (Micros, NetEvent)> + '_ {
        self.events.drain(..)
    }

    /// The two hosts of a connection: dialler, acceptor.
    pub fn hosts_of(&self, conn: ConnId) -> Option<[usize; 2]> {
        self.conns.get(&conn).map(|found| found.hosts)
    }

    /// Is this end in use?
    pub fn is_open(&self, conn: ConnId, side: Side) -> bool {
        self.conns
            .get(&conn)
            .is_some_and(|found| found.open[side.index()])
    }

    /// How often each host has dialled each other one.
    pub fn dials(&self) -> &BTreeMap<(usize, usize), u64> {
        &self.dials
    }

    /// How many connections are not forgotten.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// `from` dials `to`.
    pub fn dial(&mut self, now: Micros, from: usize, to: usize) -> ConnId {
        self.next += 1;
        *self.dials.entry((from, to)).or_default() += 1;
        let id = ConnId(self.next);
        let streams = [Stream::default(), Stream::default()];
        self.conns.insert(
            id,
            Conn {
                hosts: [from, to],
                open: [true, false],
                answered: false,
                streams,
            },
        );
        let due = now + self.flight(from, to);
        self.events.push((due, NetEvent::Knock(id)));
        id
    }

    /// What the dialled host says to a knock: `listens`, or its port is closed. A host that is asleep still connects,
    /// its kernel does it; one behind a cut way does not answer at all.
    pub fn answer(&mut self, now: Micros, id: ConnId, listens: bool) -> bool {
        let Some([from, to]) = self.hosts_of(id).filter(|_| self.is_open(id, Side::Dialler)) else {
            return false;
        };
        if self.way(from, to).cut || self.way(to, from).cut {
            self.events.push((now + DIAL_TIMEOUT, NetEvent::DialFailed(id)));
            return false;
        }
        let due = now + self.flight(to, from);
        let told = if listens {
            NetEvent::Established(id)
        } else {
            NetEvent::DialFailed(id)
        };
        self.events.push((due, told));
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.open[Side::Acceptor.index()] = listens;
            conn.answered = listens;
            // The dialler hears of the connection before it hears anything over it.
            conn.streams[Side::Acceptor.index()].not_before(due);
        }
        listens
    }

    /// The dialler has learnt that its dial failed, or wants it no more.
    pub fn forget_dial(&mut self, id: ConnId) {
        self.shut(id, Side::Dialler);
    }

    /// May this end send?
    pub fn has_room(&mut self, id: ConnId, side: Side) -> bool {
        self.conns
            .get_mut(&id)
            .filter(|conn| conn.open[side.index()])
            .is_some_and(|conn| conn.streams[side.index()].has_room(WINDOW_BYTES))
    }

    /// Sends a frame from this end.
    pub fn send(&mut self, now: Micros, id: ConnId, side: Side, frame: Bytes) {
        let Some([dialler, acceptor]) = self.hosts_of(id).filter(|_| self.is_open(id, side)) else {
            return;
        };
        let (from, to) = if side == Side::Dialler {
            (dialler, acceptor)
        } else {
            (acceptor, dialler)
        };
        let copies = self.mistreat(from, to, frame);
        for chunk in copies {
            let mut delay = self.flight(from, to);
            if self.rng.chance(self.way(from, to).loss_per_mille) {
                delay += RESEND_AFTER + self.rng.below(RESEND_AFTER);
            }
            let bandwidth = self.way(from, to).bandwidth;
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.streams[side.index()].push(now, chunk, bandwidth, delay);
            }
        }
        self.arm(now, id, side);
    }

    /// What has arrived for this end.
    pub fn take(&mut self, now: Micros, id: ConnId, side: Side) -> Taken {
        let Some([dialler, acceptor]) = self.hosts_of(id) else {
            return Taken::Nothing;
        };
        let (from, to) = if side == Side::Dialler {
            (acceptor, dialler)
        } else {
            (dialler, acceptor)
        };
        let held = self.way(from, to).cut || self.asleep.contains(&to);
        let back = now + self.flight(to, from);
        let Some(conn) = self.conns.get_mut(&id) else {
            return Taken::Nothing;
        };
        let stream = &mut conn.streams[side.across().index()];
        stream.disarm();
        if held || !conn.open[side.index()] {
            return Taken::Nothing;
        }
        let taken = stream.pop(now);
        if stream.wakes_sender(WINDOW_BYTES) {
            self.events.push((back, NetEvent::Writable(id, side.across())));
        }
        self.arm(now, id, side.across());
        if matches!(taken, Taken::End) {
            self.shut(id, side);
        }
        taken
    }

    /// This end closes in order: what it sent before still arrives.
    pub fn close(&mut self, now: Micros, id: ConnId, side: Side) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.streams[side.index()].end();
        }
        self.arm(now, id, side);
        self.shut(id, side);
    }

    /// Both ends learn that the connection is broken; what is under way is lost.
    pub fn break_connection(&mut self, now: Micros, id: ConnId) {
        for side in [Side::Dialler, Side::Acceptor] {
            if self.is_open(id, side) {
                self.events.push((now, NetEvent::Broken(id, side)));
            }
        }
    }

    /// This end is gone, and the other end is told unless it cannot be.
    pub fn abandon(&mut self, now: Micros, id: ConnId, side: Side) {
        let Some(hosts) = self.hosts_of(id) else { return };
        let (from, to) = (hosts[side.index()], hosts[side.across().index()]);
        if !self.way(from, to).cut {
            let due = now + self.flight(from, to);
            self.events.push((due, NetEvent::Broken(id, side.across())));
        }
        self.shut(id, side);
    }

    /// `host` stops: its ends are gone. If it goes `silently` (its power fails) the others are not told.
    pub fn host_stops(&mut self, now: Micros, host: usize, silently: bool) {
        for (id, side) in self.ends_of(host) {
            if silently {
                self.shut(id, side);
            } else {
                self.abandon(now, id, side);
            }
        }
        self.asleep.remove(&host);
    }

    /// `host` runs again and tells those who still hold a connection to it that it knows nothing of it.
    pub fn host_starts(&mut self, now: Micros, host: usize) {
        let halves: Vec<(ConnId, Side)> = self.half_open(host);
        for (id, side) in halves {
            let [dialler, acceptor] = self.hosts_of(id).unwrap_or([host, host]);
            let other = if side == Side::Dialler { dialler } else { acceptor };
            if !self.way(host, other).cut && !self.way(other, host).cut {
                let due = now + self.flight(host, other);
                self.events.push((due, NetEvent::Broken(id, side)));
            }
        }
    }

    /// `host` does not read any more (frozen), or does again.
    pub fn set_asleep(&mut self, now: Micros, host: usize, asleep: bool) {
        if asleep {
            self.asleep.insert(host);
        } else if self.asleep.remove(&host) {
            self.resume(now);
        }
    }

    /// Cuts or joins the way from one host to another.
    pub fn set_cut(&mut self, now: Micros, from: usize, to: usize, cut: bool) {
        self.way_mut(from, to).cut = cut;
        if !cut {
            self.resume(now);
        }
    }

    /// Joins all ways, ends all mistreatment, and tells the holders of half a connection.
    pub fn heal(&mut self, now: Micros, way: Way) {
        self.ways.fill(way);
        self.tampering = Tampering::default();
        self.resume(now);
        for host in 0..self.hosts {
            self.host_starts(now, host);
        }
    }

    /// The open ends at `host`.
    pub fn ends_of(&self, host: usize) -> Vec<(ConnId, Side)> {
        let sides = [Side::Dialler, Side::Acceptor];
        let ends = self
            .conns
            .iter()
            .flat_map(|(id, conn)| sides.map(|side| (*id, side, conn)));
        ends.filter(|(_, side, conn)| conn.hosts[side.index()] == host && conn.open[side.index()])
            .map(|(id, side, _)| (id, side))
            .collect()
    }

    /// One of the connections that stand at both ends.
    pub fn any_connection(&mut self) -> Option<ConnId> {
        let standing: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.open == [true, true])
            .map(|(id, _)| *id)
            .collect();
        self.rng.pick(&standing).copied()
    }

    fn half_open(&self, host: usize) -> Vec<(ConnId, Side)> {
        let mut found = Vec::new();
        for (id, conn) in &self.conns {
            for side in [Side::Dialler, Side::Acceptor] {
                let here = conn.hosts[side.across().index()] == host && !conn.open[side.across().index()];
                if here && conn.open[side.index()] && conn.answered {
                    found.push((*id, side));
                }
            }
        }
        found
    }

    fn shut(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.open[side.index()] = false;
        conn.streams[side.across().index()].clear();
        if conn.open == [false, false] {
            self.conns.remove(&id);
        }
    }

    fn resume(&mut self, now: Micros) {
        let ids: Vec<ConnId> = self.conns.keys().copied().collect();
        for id in ids {
            self.arm(now, id, Side::Dialler);
            self.arm(now, id, Side::Acceptor);
        }
    }

    /// Makes sure that there is an arrival to come for what `side` has sent.
    fn arm(&mut self, now: Micros, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let [dialler, acceptor] = conn.hosts;
        let (from, to) = if side == Side::Dialler {
            (dialler, acceptor)
        } else {
            (acceptor, dialler)
        };
        if self.asleep.contains(&to) || self.ways[from * self.hosts + to].cut {
            return;
        }
        if let Some(due) = conn.streams[side.index()].arm() {
            self.events
                .push((due.max(now + 1), NetEvent::Arrival(id, side.across())));
        }
    }

    fn flight(&mut self, from: usize, to: usize) -> Micros {
        let way = self.way(from, to);
        way.delay + self.rng.below(way.jitter + 1)
    }

    fn mistreat(&mut self, from: usize, to: usize, frame: Bytes) -> Vec<Bytes> {
        let Tampering { drop, double, damage } = self.tampering;
        if drop + double + damage == 0 || frame.is_empty() {
            return vec![frame];
        }
        let roll = self.rng.below(10_000);
        if roll >= drop + double + damage {
            return vec![frame];
        }
        self.tainted.insert(pair(from, to));
        if roll < drop {
            return Vec::new();
        }
        if roll < drop + double {
            return vec![frame.clone(), frame];
        }
        let mut bytes = frame.to_vec();
        let at = self.rng.size(0, bytes.len() - 1);
        bytes[at] ^= 1 << self.rng.below(8);
        vec![Bytes::from(bytes)]
    }
}

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
