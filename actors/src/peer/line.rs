//! One socket of a peer with its session: calls under way, requests being served, and frames on their way out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use metrics::{Gauge, gauge};
use truckee_engine::session::{Event, InboundId, RequestId, Session};
use truckee_engine::time::Mono;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{GoodbyeReason, RequestKind, SessionId};

use super::lanes::LaneMeter;
use crate::call::{self, CallResult, Reply};
use crate::figures::RequestFigures;
use crate::gate::CountPermit;
use crate::inbound::{self, CancelFlag, LinkEvent, LinkId, LinkListener, Served};
use crate::link::{BatchBytes, LineId, LinkEnd, LinkPort};
use crate::metrics as names;

/// Tells all who asked for it that a link is up, and when the last socket that belongs to it is gone, that it is down.
/// Two sockets of one run of the peer's process that overlap are one link to everybody else.
pub(super) struct Presence {
    pub(super) link: LinkId,
    pub(super) session: SessionId,
    peer: NodeId,
    listeners: Vec<std::sync::Arc<dyn LinkListener>>,
}

impl Presence {
    pub(super) fn new(
        peer: NodeId,
        link: LinkId,
        session: SessionId,
        listeners: &[std::sync::Arc<dyn LinkListener>],
    ) -> Rc<Self> {
        let presence = Self {
            link,
            session,
            peer,
            listeners: listeners.to_vec(),
        };
        presence.tell(true);
        Rc::new(presence)
    }

    fn tell(&self, up: bool) {
        for listener in &self.listeners {
            listener.link_event(LinkEvent {
                peer: self.peer,
                link: self.link,
                up,
            });
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.tell(false);
    }
}

/// Counts one thing in a gauge for as long as it exists, a panic included.
struct Counted(Gauge);

impl Counted {
    fn new(name: &'static str) -> Self {
        let gauge = gauge!(name);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A call that the peer has to answer.
pub(super) struct Pending {
    pub(super) number: u64,
    kind: RequestKind,
    began: Mono,
    reply: Reply,
    _counted: Counted,
}

impl Pending {
    pub(super) fn new(number: u64, kind: RequestKind, began: Mono, reply: Reply) -> Self {
        Self {
            number,
            kind,
            began,
            reply,
            _counted: Counted::new(names::LINK_PENDING_CALLS),
        }
    }

    pub(super) fn finish(self, now: Mono, result: CallResult, figures: &mut RequestFigures) {
        let Self {
            kind, began, reply, ..
        } = self;
        figures.ended(kind, call::outcome(&result), Some(now.saturating_sub(began)));
        reply.answer(result);
    }
}

/// A request of the peer that this node works on.
struct Serving {
    kind: RequestKind,
    cancelled: CancelFlag,
    _counted: Counted,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Answered, or nobody is left to be answered: either way the work is no longer wanted.
        self.cancelled.set();
    }
}

/// One socket.
pub(super) struct Line {
    pub(super) id: LineId,
    pub(super) session: Session,
    pub(super) dialled_by_us: bool,
    pub(super) remote: SocketAddr,
    /// From the hello on, if it was accepted.
    pub(super) presence: Option<Rc<Presence>>,
    /// Until the hello is judged, and until a joining node has joined.
    pub(super) permit: Option<CountPermit>,
    /// Until when the peer has to be a member, if it is not one yet.
    pub(super) probation: Option<Mono>,
    /// Takes no new calls.
    leaving: bool,
    /// Why the socket ended, if it did before the session.
    pub(super) end: Option<LinkEnd>,
    /// How long the next batch should be.
    pub(super) batch_bytes: BatchBytes,
    port: LinkPort,
    calls: BTreeMap<RequestId, Pending>,
    serving: BTreeMap<InboundId, Serving>,
    lanes: LaneMeter,
    served: RequestFigures,
}

impl Line {
    pub(super) fn new(
        id: LineId,
        session: Session,
        port: LinkPort,
        (dialled_by_us, remote): (bool, SocketAddr),
        permit: Option<CountPermit>,
    ) -> Self {
        Self {
            id,
            session,
            dialled_by_us,
            remote,
            presence: None,
            permit,
            probation: None,
            leaving: false,
            end: None,
            batch_bytes: BatchBytes::default(),
            port,
            calls: BTreeMap::new(),
            serving: BTreeMap::new(),
            lanes: LaneMeter::default(),
            served: RequestFigures::new(names::LINK_SERVED, None),
        }
    }

    /// Whether the peer's hello was accepted.
    pub(super) fn is_greeted(&self) -> bool {
        self.presence.is_some()
    }

    /// The peer is a member for good.
    pub(super) fn end_probation(&mut self) {
        self.probation = None;
        self.permit = None;
    }

    pub(super) fn takes_calls(&self) -> bool {
        self.is_greeted() && !self.leaving
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.session
            .next_deadline()
            .into_iter()
            .chain(self.probation)
            .min()
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.session.round_trip()
    }

    pub(super) fn handle_timeout(&mut self, now: Mono) {
        self.session.handle_timeout(now);
    }

    pub(super) fn handle_end(&mut self, now: Mono, cause: LinkEnd) {
        self.end.get_or_insert(cause);
        self.session.handle_link_lost(now);
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    /// No new requests; the session closes when those under way have ended.
    pub(super) fn goodbye(&mut self, now: Mono, reason: GoodbyeReason) {
        self.leaving = true;
        self.session.goodbye(now, reason);
    }

    /// The peer takes no new requests.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
    }

    pub(super) fn add_call(&mut self, id: RequestId, pending: Pending) {
        self.calls.insert(id, pending);
    }

    pub(super) fn take_call(&mut self, id: RequestId) -> Option<Pending> {
        self.calls.remove(&id)
    }

    /// All calls that are left, when the session is closed.
    pub(super) fn take_calls(&mut self) -> BTreeMap<RequestId, Pending> {
        std::mem::take(&mut self.calls)
    }

    pub(super) fn serving_count(&self) -> usize {
        self.serving.len()
    }

    /// Notes that the request is being worked on; gives the flag that tells when it is taken back.
    pub(super) fn serve(&mut self, id: InboundId, kind: RequestKind) -> CancelFlag {
        let cancelled = CancelFlag::default();
        self.serving.insert(
            id,
            Serving {
                kind,
                cancelled: cancelled.clone(),
                _counted: Counted::new(names::LINK_SERVING),
            },
        );
        cancelled
    }

    pub(super) fn cancel_serving(&self, id: InboundId) {
        if let Some(serving) = self.serving.get(&id) {
            serving.cancelled.set();
        }
    }

    /// Answers a request that is being worked on.
    pub(super) fn respond(&mut self, now: Mono, id: InboundId, served: Served) {
        let Some(serving) = self.serving.remove(&id) else {
            return;
        };
        self.refuse_or_answer(now, id, serving.kind, served);
    }

    /// Answers a request that nobody works on.
    pub(super) fn refuse_or_answer(&mut self, now: Mono, id: InboundId, kind: RequestKind, served: Served) {
        self.served.ended(kind, inbound::outcome(&served), None);
        if let Err(error) = self.session.respond(now, id, served) {
            tracing::error!(request = kind.name(), %error, "an answer of this node breaks a bound");
        }
    }

    /// Gives the writer what the session wants to send, as long as it has room. May lead to further events.
    pub(super) fn pump(&mut self, now: Mono) {
        self.write(now);
        self.lanes.tell(self.session.lane_loads());
    }

    fn write(&mut self, now: Mono) {
        while self.port.has_room() {
            let mut batch = Vec::new();
            let mut bytes = 0;
            while bytes < self.batch_bytes.get() {
                let Some(frame) = self.session.poll_transmit(now) else {
                    break;
                };
                bytes += frame.len();
                batch.push(frame);
            }
            if batch.is_empty() {
                return;
            }
            self.port.write(batch);
        }
    }

    /// The session is closed: has the writer send what it was given, and ends the socket.
    pub(super) fn close(self) {
        self.port.finish();
    }
}
