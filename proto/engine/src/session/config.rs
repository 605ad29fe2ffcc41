//! The numbers of a session, each with its reason, and the events it tells its owner.

use std::time::Duration;

use truckee_wire::message::{Failure, GoodbyeReason, Hello, Lane, Request, Response, TraceContext};

use super::{CallError, CloseReason, InboundId, RequestId};
use crate::time::Mono;

/// Most unanswered requests of one end. Part of the protocol: an end that has more unanswered breaks it. A thousand
/// small requests of an open link cost some 300 KiB; no machine here has more than a few dozen out to one peer.
pub const REQUESTS_MAX: usize = 1024;

/// What an end takes of unanswered requests' payloads unless configured otherwise, in bytes: 24 blocks of a 3-of-n file
/// with segments of 1 MiB, enough for four uploads at once with 1 ms of round trip at a gigabit.
pub const INFLIGHT_BYTES_DEFAULT: u32 = 8 * 1024 * 1024;

/// The numbers of a session.
#[derive(Clone, Debug)]
pub struct Config {
    /// Most payload bytes of requests that wait for the peer's credit. Four times the usual credit: what waits longer
    /// is better sent to another peer.
    pub waiting_bytes_max: usize,
    /// For a request that comes without a time budget.
    pub budget_default: Duration,
    /// Longest time budget, asked or answered. No request here takes minutes; it bounds how long a forgotten one is
    /// kept.
    pub budget_max: Duration,
    /// From the start of the link to the peer's hello and its admission. TLS is up by then, so this is one round trip
    /// and a decision; generous for an overloaded machine.
    pub hello_within: Duration,
    /// From the goodbye to the end of what is under way. As long as an upload's last close may take on a slow disk.
    pub drain_within: Duration,
    /// From the first byte of a frame to its last: 256 KiB at 140 kbit/s. A peer that trickles is cut off.
    pub frame_within: Duration,
    /// An idle link sends a ping after so much silence, give or take a tenth: six frames of some twenty bytes a minute, both ways. As each
    /// node has a link to each other, the pings of a grid grow with the square of its nodes.
    pub idle_ping_after: Duration,
    /// An idle link is dead after so much silence: three times the ping's. Nobody waits for anything; who does finds it dead
    /// sooner, see below.
    pub idle_dead_after: Duration,
    /// A link with own requests under way sends a ping after so much silence. Somebody waits: well under a second.
    pub busy_ping_after: Duration,
    /// It is dead after so much more silence. People notice 2 s; a machine that stalls for longer under load loses
    /// requests that can be asked elsewhere.
    pub busy_dead_after: Duration,
    /// While a message comes in that takes long, a sign of life is sent if nothing else was for so long. Under
    /// `busy_ping_after`, so that the sender on a slow line need not even ask.
    pub life_sign_every: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            waiting_bytes_max: 4 * INFLIGHT_BYTES_DEFAULT as usize,
            budget_default: Duration::from_secs(60),
            budget_max: Duration::from_secs(600),
            hello_within: Duration::from_secs(5),
            drain_within: Duration::from_secs(30),
            frame_within: Duration::from_secs(15),
            idle_ping_after: Duration::from_secs(20),
            idle_dead_after: Duration::from_secs(60),
            busy_ping_after: Duration::from_millis(500),
            busy_dead_after: Duration::from_secs(2),
            life_sign_every: Duration::from_millis(400),
        }
    }
}

/// What a session tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer's first message. Nothing further is read until [`super::Session::admit`] or
    /// [`super::Session::refuse`] is called.
    HelloReceived(Hello),
    /// The peer asks for something. Answer exactly once with [`super::Session::respond`], even if it is cancelled:
    /// the answer frees the peer's credit.
    Request {
        /// For the answer.
        id: InboundId,
        /// What is asked, with its payload.
        request: Request,
        /// Of the request; the answer goes the same way.
        lane: Lane,
        /// Where it belongs.
        trace: Option<TraceContext>,
        /// From when on nobody waits for the answer.
        deadline: Mono,
    },
    /// The peer no longer wants an answer (or the link has ended): stop the work if that is cheap.
    Cancelled {
        /// Of the request.
        id: InboundId,
    },
    /// How a request of this end went. Comes exactly once for each that was neither refused at once nor cancelled.
    Answer {
        /// Of the request.
        id: RequestId,
        /// The answer with its payload, or why there is none.
        result: Result<Response, CallError>,
    },
    /// The peer sends no new requests and takes none but those under way.
    PeerLeaving(GoodbyeReason),
    /// The link is over. Always the last event. What was polled for sending should still be written before the socket
    /// is closed.
    Closed(CloseReason),
}

/// What is under way on a link, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Load {
    /// Own requests that somebody waits for.
    pub calls: usize,
    /// Own requests given up that the peer has not answered yet.
    pub abandoned: usize,
    /// Payload bytes of own requests that wait for credit.
    pub waiting_bytes: usize,
    /// Payload bytes of own requests begun and not answered.
    pub inflight_bytes: usize,
    /// Requests of the peer not answered yet.
    pub serving: usize,
    /// Payload bytes of those.
    pub serving_bytes: usize,
}

/// What a lane of a link has carried and has to carry, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LaneLoad {
    /// Messages of this end that went out to their last part.
    pub sent_messages: u64,
    /// Payload bytes of this end that went out.
    pub sent_payload_bytes: u64,
    /// Messages of this end of which something has to go out yet.
    pub waiting_messages: usize,
}

/// An answer as it is given to [`super::Session::respond`].
pub type Answer = Result<Response, Failure>;
