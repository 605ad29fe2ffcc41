//! The messages of a peer's actor, and the one timer that it keeps.

use actix::SpawnHandle;
use actix::prelude::*;
use truckee_engine::session::InboundId;
use truckee_engine::time::Mono;

use crate::call::{Call, Reply};
use crate::clock::ClockHandle;
use crate::gate::CountPermit;
use crate::inbound::Served;
use crate::link::LineId;
use crate::net::Socket;

/// A call on its way out.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct PeerCall {
    /// Names it within this process.
    pub(crate) number: u64,
    pub(crate) call: Call,
    pub(crate) reply: Reply,
}

/// The caller no longer wants an answer.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct CancelCall {
    pub(crate) number: u64,
}

/// The peer has dialled this node. The permit bounds sockets whose hello is still out.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Attach {
    pub(crate) socket: Box<Socket>,
    pub(crate) permit: CountPermit,
}

/// The directory has changed: the peer may be gone from it, or a link to it wanted now.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Recheck;

/// What came of dialling; the error is a word of a closed set.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Dialled(pub(super) Result<Box<Socket>, &'static str>);

/// What this node answers to a request of the peer.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Answered {
    pub(super) line: LineId,
    pub(super) id: InboundId,
    pub(super) served: Served,
}

/// The actor's timer has run out.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// One timer for all deadlines of an actor. It is moved only to an earlier time: deadlines mostly move away, and an
/// early ring costs less than a timer per message.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<(Mono, SpawnHandle)>);

impl Alarm {
    /// Rings at `next` or before.
    pub(crate) fn set<A>(&mut self, next: Option<Mono>, clock: &ClockHandle, context: &mut Context<A>)
    where
        A: Actor<Context = Context<A>> + Handler<Wake>,
    {
        let Some(next) = next else { return };
        if let Some((at, handle)) = self.0 {
            if at <= next {
                return;
            }
            context.cancel_future(handle);
        }
        let handle = context.notify_later(Wake, next.saturating_sub(clock.now()));
        self.0 = Some((next, handle));
    }

    /// It rang: sets nothing by itself.
    pub(crate) fn rang(&mut self) {
        self.0 = None;
    }
}
