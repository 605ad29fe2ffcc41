//! The messages of a peer's actor.

use actix::prelude::*;
use truckee_engine::session::InboundId;

use crate::call::{Call, Reply};
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
