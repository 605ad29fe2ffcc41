//! The links of a simulated node: a session per connection, and what a node knows per peer.
//!
//! Does what the mesh and peer actors do: dials every member it knows and has no link to, keeps one of two links, hands
//! requests to sessions, and gives each call exactly one end. Connections of one run of a peer's process are one link to
//! the rest of the node. What is not decided here is given out as [`LinkEvent`]s in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use truckee_engine::session::{Config, Event, InboundId, RequestId, Session, keeps_newer_link};
use truckee_engine::time::Mono;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Failure, GoodbyeReason, Hello, Response, SessionId};

use super::peer::{Call, Peer};
use super::socket::{LinkEvent, Socket, translate};
use super::{CallResult, Caller};
use crate::sim::network::{ConnId, Side};
use crate::sim::rng::Rng;
use crate::sim::world::Ctx;

/// All connections of a node.
#[derive(Debug)]
pub(super) struct Links {
    me: NodeId,
    sockets: BTreeMap<ConnId, Socket>,
    peers: BTreeMap<NodeId, Peer>,
    callers: BTreeMap<Caller, (ConnId, RequestId)>,
    events: VecDeque<LinkEvent>,
    next_link: u64,
    rng: Rng,
}

impl Links {
    pub(super) fn new(me: NodeId, rng: Rng) -> Self {
        Self {
            me,
            sockets: BTreeMap::new(),
            peers: BTreeMap::new(),
            callers: BTreeMap::new(),
            events: VecDeque::new(),
            next_link: super::OWN_LINK,
            rng,
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// The members to have links to, and where they are. Links to others stay until they end by themselves.
    pub(super) fn set_members(&mut self, now: Mono, members: BTreeMap<NodeId, String>) {
        for (id, peer) in &mut self.peers {
            if !members.contains_key(id) {
                peer.address = None;
            }
        }
        for (id, address) in members {
            if id == self.me {
                continue;
            }
            let first_dial = now + Duration::from_micros(self.rng.below(50_000));
            self.peer(id, first_dial).address = Some(address);
        }
    }

    /// Is there a link that takes calls to this peer?
    pub(super) fn is_up(&self, peer: &NodeId) -> bool {
        self.best_line(*peer).is_some()
    }

    /// How many connections there are to one peer.
    pub(super) fn connections_to(&self, peer: &NodeId) -> usize {
        self.sockets
            .values()
            .filter(|socket| socket.peer == *peer)
            .count()
    }

    /// Calls under way and requests being served.
    pub(super) fn pending(&self) -> (usize, usize) {
        (
            self.callers.len(),
            self.sockets.values().map(|socket| socket.serving.len()).sum(),
        )
    }

    pub(super) fn opened(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        peer: NodeId,
        side: Side,
        hello: &Hello,
    ) {
        let session = Session::new(Config::default(), hello, ctx.now, self.rng.array())
            .expect("the hello of a simulated node keeps its bounds");
        let (calls, serving) = (BTreeMap::new(), BTreeSet::new());
        self.sockets.insert(
            conn,
            Socket {
                peer,
                side,
                session,
                greeted: None,
                leaving: false,
                calls,
                serving,
            },
        );
        self.pump(ctx, conn);
    }

    /// Which peer did we mean to dial with this?
    pub(super) fn dialled_peer(&self, conn: ConnId) -> Option<NodeId> {
        self.peers
            .iter()
            .find(|(_, peer)| peer.is_dialling(conn))
            .map(|(id, _)| *id)
    }

    /// A dial came to nothing.
    pub(super) fn dial_failed(&mut self, now: Mono, id: NodeId) {
        let linked = self.is_up(&id);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.end_attempt();
        if !linked {
            let ends = peer.failed(now);
            self.end_calls(ends);
        }
    }

    pub(super) fn bytes(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, bytes: &[u8]) {
        let Some(socket) = self.sockets.get_mut(&conn) else {
            return;
        };
        // A stream has no frame borders: it is cut anywhere.
        let cut = if self.rng.chance(300) {
            self.rng.size(0, bytes.len())
        } else {
            0
        };
        let (first, rest) = bytes.split_at(cut);
        for part in [first, rest].into_iter().filter(|part| !part.is_empty()) {
            socket.session.handle_bytes(ctx.now, part);
        }
        self.pump(ctx, conn);
    }

    pub(super) fn broken(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.session.handle_link_lost(ctx.now);
            self.pump(ctx, conn);
        } else if let Some(peer) = self.dialled_peer(conn) {
            self.dial_failed(ctx.now, peer);
        }
    }

    /// The peer may come in; settles which of several connections stays.
    pub(super) fn admit(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, process: SessionId) {
        let Some(socket) = self.sockets.get_mut(&conn) else {
            return;
        };
        socket.session.admit(ctx.now);
        let (id, by_us) = (socket.peer, socket.side == Side::Dialler);
        let same_run =
            |socket: &&Socket| socket.peer == id && socket.greeted.is_some_and(|(run, _)| run == process);
        let link = self
            .sockets
            .values()
            .find(same_run)
            .and_then(|socket| socket.greeted)
            .map(|(_, link)| link);
        let link = link.unwrap_or_else(|| {
            self.next_link += 1;
            self.events.push_back(LinkEvent::Up { peer: id });
            self.next_link
        });
        let rival = |(other, socket): &(&ConnId, &Socket)| {
            **other != conn && socket.peer == id && socket.takes_calls()
        };
        let rivals: Vec<ConnId> = self
            .sockets
            .iter()
            .filter(rival)
            .map(|(other, _)| *other)
            .collect();
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.greeted = Some((process, link));
        }
        for rival in rivals {
            let Some(old) = self.sockets.get(&rival) else {
                continue;
            };
            // The peer has been started anew: it knows nothing of the old link.
            let fresh_run = old.greeted.is_some_and(|(run, _)| run != process);
            let keeps_new = fresh_run || keeps_newer_link(&self.me, &id, old.side == Side::Dialler, by_us);
            self.goodbye(
                ctx,
                if keeps_new { rival } else { conn },
                GoodbyeReason::Duplicate,
            );
        }
        let waited = self.peer(id, ctx.now).linked(ctx.now, conn);
        self.pump(ctx, conn);
        for call in waited {
            self.call(ctx, id, call);
        }
    }

    pub(super) fn refuse(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.leaving = true;
            socket.session.refuse(ctx.now);
            self.pump(ctx, conn);
        }
    }

    /// Sends a request. Its one end is a [`LinkEvent::Answer`], unless it is cancelled first.
    pub(super) fn call(&mut self, ctx: &mut Ctx<'_>, id: NodeId, call: Call) {
        let caller = call.caller;
        let Some(conn) = self.best_line(id) else {
            let waits = self.peer(id, ctx.now).wait(ctx.now, call);
            let ends = waits.err().map(|(caller, error)| (caller, Err(error)));
            return self.end_calls(ends);
        };
        let Some(socket) = self.sockets.get_mut(&conn) else {
            return;
        };
        match socket
            .session
            .request(ctx.now, &call.request, call.lane, call.budget)
        {
            Ok(request) => {
                socket.calls.insert(request, caller);
                if self.callers.insert(caller, (conn, request)).is_some() {
                    ctx.violation(format!("{caller:?} calls twice"));
                }
            }
            Err(error) => self.end_calls([(caller, Err(error))]),
        }
        self.pump(ctx, conn);
    }

    pub(super) fn cancel(&mut self, ctx: &mut Ctx<'_>, caller: Caller) {
        if self.peers.values_mut().any(|peer| peer.take_back(caller)) {
            return;
        }
        let Some((conn, id)) = self.callers.remove(&caller) else {
            return;
        };
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.calls.remove(&id);
            socket.session.cancel(ctx.now, id);
            self.pump(ctx, conn);
        }
    }

    pub(super) fn respond(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        id: InboundId,
        result: Result<Response, Failure>,
    ) {
        // The connection may be gone: then nobody waits.
        let Some(socket) = self.sockets.get_mut(&conn) else {
            return;
        };
        if !socket.serving.remove(&id) {
            ctx.violation(format!("answers request {id:?} of {conn:?} twice"));
        }
        if let Err(error) = socket.session.respond(ctx.now, id, result) {
            ctx.violation(format!("an answer breaks a bound of the wire: {error}"));
        }
        self.pump(ctx, conn);
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let sessions = self
            .sockets
            .values()
            .filter_map(|socket| socket.session.next_deadline());
        sessions
            .chain(self.peers.values().filter_map(Peer::next_deadline))
            .min()
    }

    pub(super) fn wake(&mut self, ctx: &mut Ctx<'_>) {
        let due = |socket: &Socket| {
            socket
                .session
                .next_deadline()
                .is_some_and(|deadline| deadline <= ctx.now)
        };
        let conns: Vec<ConnId> = self
            .sockets
            .iter()
            .filter(|(_, socket)| due(socket))
            .map(|(id, _)| *id)
            .collect();
        for conn in conns {
            if let Some(socket) = self.sockets.get_mut(&conn) {
                socket.session.handle_timeout(ctx.now);
            }
            self.pump(ctx, conn);
        }
        let now = ctx.now;
        let mut ends = Vec::new();
        for peer in self.peers.values_mut() {
            ends.extend(peer.expire(now));
            if let Some(address) = peer.dial_now(now) {
                match ctx.book.host_at(address) {
                    Some(host) => {
                        let conn = ctx.network.dial(ctx.at(), ctx.host, host);
                        ctx.line("dials", [host as u64, conn.0]);
                        peer.dials(conn);
                    }
                    None => ends.extend(peer.failed(now)),
                }
            }
        }
        self.end_calls(ends);
    }

    /// Takes what a session gives out: frames as long as the connection takes them, and events.
    pub(super) fn pump(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(&conn) else {
            return;
        };
        let side = socket.side;
        socket.transmit(ctx, conn);
        let mut closed = false;
        while let Some(event) = socket.session.poll_event() {
            if closed {
                ctx.violation(format!("a session says something after it closed: {event:?}"));
            }
            closed |= matches!(event, Event::Closed(_));
            if matches!(event, Event::Answer { result: Ok(_), .. })
                && let Some(peer) = self.peers.get_mut(&socket.peer)
            {
                peer.proved();
            }
            let told = translate(ctx, &mut self.callers, socket, conn, event);
            self.events.extend(told);
        }
        if closed {
            self.closed(ctx, conn, side);
        } else {
            socket.check(ctx);
        }
    }

    fn closed(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, side: Side) {
        let Some(socket) = self.sockets.remove(&conn) else {
            return;
        };
        if !socket.calls.is_empty() {
            ctx.violation(format!(
                "{} calls got no end when their link closed",
                socket.calls.len()
            ));
        }
        ctx.network.close(ctx.at(), conn, side);
        let id = socket.peer;
        if let Some((_, link)) = socket.greeted
            && !self
                .sockets
                .values()
                .any(|other| other.greeted.is_some_and(|(_, of)| of == link))
        {
            self.events.push_back(LinkEvent::Down { peer: id, link });
        }
        let was_attempt = self.peers.get(&id).is_some_and(|peer| peer.is_dialling(conn));
        let other_attempt = self.peers.get(&id).is_some_and(Peer::has_attempt) && !was_attempt;
        let lost_last = socket.greeted.is_some() && !self.is_up(&id) && !other_attempt;
        if was_attempt || lost_last {
            self.dial_failed(ctx.now, id);
        }
    }

    fn goodbye(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, reason: GoodbyeReason) {
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.leaving = true;
            socket.session.goodbye(ctx.now, reason);
            self.pump(ctx, conn);
        }
    }

    /// The newest connection to a peer that takes calls.
    fn best_line(&self, id: NodeId) -> Option<ConnId> {
        let usable = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.peer == id && socket.takes_calls());
        usable.map(|(conn, _)| *conn).next_back()
    }

    fn end_calls(&mut self, ends: impl IntoIterator<Item = (Caller, CallResult)>) {
        let told = ends.into_iter().map(|(caller, result)| LinkEvent::Answer {
            caller,
            result: Box::new(result),
        });
        self.events.extend(told);
    }

    fn peer(&mut self, id: NodeId, first_dial: Mono) -> &mut Peer {
        let seed = self.rng.array();
        self.peers
            .entry(id)
            .or_insert_with(|| Peer::new(seed, first_dial))
    }
}
