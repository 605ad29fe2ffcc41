//! One connection of a simulated node: its session, the calls over it, and the requests that it brought.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use truckee_engine::session::{
    CloseReason, Config, Event, INFLIGHT_BYTES_DEFAULT, InboundId, REQUESTS_MAX, RequestId, Session,
};
use truckee_engine::time::Mono;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Hello, Request, SessionId};

use super::{CallResult, Caller};
use crate::sim::network::{ConnId, Side};
use crate::sim::world::Ctx;

/// What the rest of the node has to know or decide.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// A peer has introduced itself: [`Links::admit`] or [`Links::refuse`] it.
    Hello {
        conn: ConnId,
        peer: NodeId,
        hello: Box<Hello>,
    },
    /// A peer asks for something: [`Links::respond`] exactly once.
    Request {
        conn: ConnId,
        id: InboundId,
        peer: NodeId,
        link: u64,
        request: Box<Request>,
        deadline: Mono,
    },
    /// The peer does not want the answer any more, which is to be given all the same.
    Cancelled { conn: ConnId, id: InboundId },
    /// A call has ended.
    Answer { caller: Caller, result: Box<CallResult> },
    /// There is a link to a run of the peer's process.
    Up { peer: NodeId },
    /// The last connection of a link is gone.
    Down { peer: NodeId, link: u64 },
}

/// A session and its connection.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) peer: NodeId,
    pub(super) side: Side,
    pub(super) session: Session,
    /// The run of the peer's process and the link that it is, once admitted.
    pub(super) greeted: Option<(SessionId, u64)>,
    pub(super) leaving: bool,
    pub(super) calls: BTreeMap<RequestId, Caller>,
    pub(super) serving: BTreeSet<InboundId>,
}

impl Socket {
    /// May new requests be sent over it?
    pub(super) fn takes_calls(&self) -> bool {
        self.greeted.is_some() && !self.leaving
    }

    /// Hands frames to the connection as long as it takes them.
    pub(super) fn transmit(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        while ctx.network.has_room(conn, self.side) {
            let Some(frame) = self.session.poll_transmit(ctx.now) else {
                break;
            };
            let mut bytes = BytesMut::with_capacity(frame.len());
            bytes.extend_from_slice(&frame.head);
            bytes.extend_from_slice(&frame.payload);
            ctx.network.send(ctx.at(), conn, self.side, bytes.freeze());
        }
    }

    /// Nothing is over its bound.
    pub(super) fn check(&self, ctx: &mut Ctx<'_>) {
        let load = self.session.load();
        let credit = INFLIGHT_BYTES_DEFAULT as usize;
        let waiting_max = Config::default().waiting_bytes_max;
        let over = load.calls + load.abandoned > REQUESTS_MAX
            || load.serving > REQUESTS_MAX
            || load.waiting_bytes > waiting_max
            || load.inflight_bytes > credit
            || load.serving_bytes > credit;
        if over || load.calls != self.calls.len() || load.serving < self.serving.len() {
            let (calls, serving) = (self.calls.len(), self.serving.len());
            ctx.violation(format!(
                "a session is over its bounds, or forgets: {load:?}, {calls} calls, {serving} served"
            ));
        }
    }
}

/// What an event of a session is to the node.
pub(super) fn translate(
    ctx: &mut Ctx<'_>,
    callers: &mut BTreeMap<Caller, (ConnId, RequestId)>,
    socket: &mut Socket,
    conn: ConnId,
    event: Event,
) -> Option<LinkEvent> {
    let peer = socket.peer;
    match event {
        Event::HelloReceived(hello) => Some(LinkEvent::Hello {
            conn,
            peer,
            hello: Box::new(hello),
        }),
        Event::Request {
            id,
            request,
            deadline,
            ..
        } => {
            if !socket.serving.insert(id) {
                ctx.violation(format!("a session gives out request {id:?} twice"));
            }
            let Some((_, link)) = socket.greeted else {
                ctx.violation("a session gives out a request before its peer was admitted");
                return None;
            };
            Some(LinkEvent::Request {
                conn,
                id,
                peer,
                link,
                request: Box::new(request),
                deadline,
            })
        }
        Event::Cancelled { id } => Some(LinkEvent::Cancelled { conn, id }),
        Event::Answer { id, result } => {
            let Some(caller) = socket.calls.remove(&id) else {
                ctx.violation(format!(
                    "a session answers {id:?}, which nobody asked or which has ended"
                ));
                return None;
            };
            callers.remove(&caller);
            Some(LinkEvent::Answer {
                caller,
                result: Box::new(result),
            })
        }
        Event::PeerLeaving(_) => {
            socket.leaving = true;
            None
        }
        Event::Closed(reason) => {
            closed(ctx, peer, conn, &reason);
            None
        }
    }
}

/// A session ended: between peers that keep to the protocol never for a breach of it.
fn closed(ctx: &mut Ctx<'_>, peer: NodeId, conn: ConnId, reason: &CloseReason) {
    let host = ctx.book.host_of(&peer);
    let tampered = host.is_some_and(|host| ctx.network.is_tainted(ctx.host, host));
    if matches!(reason, CloseReason::ProtocolViolation(_)) && !tampered {
        ctx.violation(format!(
            "{peer} is said to break the protocol, and nobody twisted its words: {reason}"
        ));
    }
    ctx.trace.note(
        Some(ctx.host),
        "link closes",
        format_args!("{conn:?}: {reason:?}"),
    );
}
