//! One link between two nodes, without its socket: requests and answers of both ends over one byte stream.
//!
//! ```text
//!              hello received           admit                goodbye, all done
//! AwaitHello ----------------> Judging -------> Open ---------------------------> Closed
//!                                 | refuse                                          ^
//!                                 +---------> Refusing -----------------------------+
//! ```
//!
//! A violation, silence, a lost connection or a late hello leads from every state to `Closed`. It is left to nobody.
//!
//! Owns: the tables of requests under way in both directions, with deadlines and payload credit; three lanes; payloads
//! that come in parts; pings and the estimate of the round trip; goodbye. Everything is bounded: requests by
//! [`REQUESTS_MAX`], payload by the credit that each end announces, buffers by one unfinished message per lane.
//!
//! How to drive it: after each input (`handle_*`) and each command write what [`Session::poll_transmit`] gives while
//! the socket takes it, then take events with [`Session::poll_event`] until there is none, and set one timer to
//! [`Session::next_deadline`]. After [`Event::Closed`] write what was polled, then close the socket.
//!
//! Promised: each request gets exactly one answer, error or (after a cancel) nothing, whatever the peer does; no bytes
//! from the peer make it panic or hold more than the bounds. Not promised: that a request that ended in
//! [`CallError::LinkLost`] or [`CallError::Expired`] was not carried out. Nothing is ever sent twice: only the caller
//! knows whether it may be asked again.

use std::collections::VecDeque;
use std::time::Duration;

use truckee_wire::convert::{self, ConvertError};
use truckee_wire::frame::{Decoder, Frame, HEAD_BYTES_MAX};
use truckee_wire::message::{GoodbyeReason, Hello, PROTOCOL_VERSION};

pub use self::call::{CallError, InboundId, RequestId};
pub use self::close::{CloseReason, Violation, keeps_newer_link};
pub use self::config::{Answer, Config, Event, INFLIGHT_BYTES_DEFAULT, LaneLoad, Load, REQUESTS_MAX};

use self::assembly::Assemblies;
use self::calls::Calls;
use self::liveness::Liveness;
use self::outbox::Outbox;
use self::serving::Serving;
use crate::time::Mono;

mod assembly;
mod call;
mod calls;
mod close;
mod config;
mod inbound;
mod liveness;
mod outbound;
mod outbox;
mod serving;
mod timers;

/// Most frames kept that came between the hello and its admission: what a reader had already read.
const HELD_FRAMES_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    AwaitHello,
    Judging,
    Open,
    Refusing,
    Closed,
}

/// The goodbyes of both ends.
#[derive(Clone, Copy, Debug, Default)]
struct Farewell {
    ours: Option<GoodbyeReason>,
    theirs: Option<GoodbyeReason>,
    drain_until: Option<Mono>,
}

/// One end of a link.
#[derive(Debug)]
pub struct Session {
    config: Config,
    phase: Phase,
    decoder: Decoder,
    /// Came after the hello and wait for the admission.
    held: VecDeque<(Mono, Frame)>,
    /// Until when the hello must be here and admitted.
    hello_until: Mono,
    /// Since when the frame that is coming in has been.
    frame_since: Option<Mono>,
    /// Payload bytes of unanswered requests that the peer takes.
    credit: usize,
    calls: Calls,
    serving: Serving,
    assemblies: Assemblies,
    outbox: Outbox,
    liveness: Liveness,
    farewell: Farewell,
    events: VecDeque<Event>,
    /// When something was last under way.
    last_used: Mono,
}

impl Session {
    /// The end of a link that was just connected (and whose peer's identity was checked). `seed` spreads the pings.
    ///
    /// # Errors
    /// The hello breaks a bound; it says what this end is, so that is a mistake of this end.
    pub fn new(config: Config, hello: &Hello, now: Mono, seed: [u8; 32]) -> Result<Session, ConvertError> {
        let liveness = Liveness::new(now, seed, &config);
        Ok(Session {
            phase: Phase::AwaitHello,
            decoder: Decoder::new(),
            held: VecDeque::new(),
            hello_until: now + config.hello_within,
            frame_since: None,
            credit: 0,
            calls: Calls::default(),
            serving: Serving::new(hello.inflight_bytes_max as usize),
            assemblies: Assemblies::default(),
            outbox: Outbox::new(convert::hello_frame(hello)?),
            liveness,
            farewell: Farewell::default(),
            events: VecDeque::new(),
            last_used: now,
            config,
        })
    }

    /// The next thing to know. `Closed` is the last.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The peer may ask and be asked: to be called after [`Event::HelloReceived`], once its grant was checked.
    pub fn admit(&mut self, now: Mono) {
        if self.phase != Phase::Judging {
            return;
        }
        self.phase = Phase::Open;
        while let Some((received, frame)) = self.held.pop_front() {
            self.handle_frame_received_at(now, received, frame);
        }
        self.read_frames(now);
        self.finish_if_drained();
    }

    /// The peer is not welcome: says so, and closes without having read a request.
    pub fn refuse(&mut self, _now: Mono) {
        if self.phase != Phase::Judging {
            return;
        }
        self.phase = Phase::Refusing;
        self.held.clear();
        self.fail_all();
        self.outbox.clear_messages();
        self.farewell.ours = Some(GoodbyeReason::Refused);
        self.outbox.goodbye(GoodbyeReason::Refused);
    }

    /// Sends no new requests from now on; the link closes when all under way, of both ends, has ended, or after
    /// [`Config::drain_within`].
    pub fn goodbye(&mut self, now: Mono, reason: GoodbyeReason) {
        if self.phase == Phase::Closed || self.farewell.ours.is_some() {
            return;
        }
        self.farewell.ours = Some(reason);
        self.farewell
            .drain_until
            .get_or_insert(now + self.config.drain_within);
        self.outbox.goodbye(reason);
    }

    /// The connection ended under the session, or must be ended at once.
    pub fn handle_link_lost(&mut self, _now: Mono) {
        let drained = self.farewell.theirs.filter(|_| self.calls.wanted() == 0);
        self.close(drained.map_or(CloseReason::LinkLost, CloseReason::Drained));
    }

    /// Whether the link is over.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether requests can be sent: the peer was admitted, and neither end has said goodbye.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open && self.farewell.ours.is_none() && self.farewell.theirs.is_none()
    }

    /// When something was last heard.
    pub fn last_heard(&self) -> Mono {
        self.liveness.last_heard()
    }

    /// The smoothed time of a round trip; `None` before the first.
    pub fn round_trip(&self) -> Option<Duration> {
        self.liveness.round_trip()
    }

    /// How long nothing has been under way in either direction; zero if something is.
    pub fn unused_for(&self, now: Mono) -> Duration {
        let used = self.calls.wanted() > 0 || self.serving.len() > 0;
        if used {
            Duration::ZERO
        } else {
            now.saturating_sub(self.last_used)
        }
    }

    /// What each lane has carried and has to carry, in the order of [`truckee_wire::message::Lane::ALL`].
    pub fn lane_loads(&self) -> [LaneLoad; 3] {
        self.outbox.lane_loads()
    }

    /// What is under way.
    pub fn load(&self) -> Load {
        Load {
            calls: self.calls.wanted(),
            abandoned: self.calls.abandoned(),
            waiting_bytes: self.calls.waiting_bytes(),
            inflight_bytes: self.calls.inflight_bytes(),
            serving: self.serving.len(),
            serving_bytes: self.serving.bytes(),
        }
    }

    /// Takes over what the peer's hello says; closes if the versions differ.
    fn meet(&mut self, hello: Hello) {
        if hello.version != PROTOCOL_VERSION {
            let (ours, theirs) = (PROTOCOL_VERSION, hello.version);
            return self.close(CloseReason::VersionMismatch { ours, theirs });
        }
        self.credit = hello.inflight_bytes_max as usize;
        // A frame holds at least the longest head and as much payload: the bound of the hello sees to that.
        self.outbox
            .limit_parts(hello.frame_bytes_max as usize - HEAD_BYTES_MAX - 4);
        self.phase = Phase::Judging;
        self.events.push_back(Event::HelloReceived(hello));
    }

    /// Ends the link if both ends have said goodbye and nothing is under way.
    fn finish_if_drained(&mut self) {
        let Some(theirs) = self.farewell.theirs else {
            return;
        };
        // A goodbye that is not out yet is in the outbox.
        let idle = self.calls.wanted() == 0 && self.serving.len() == 0 && self.outbox.is_empty();
        if self.phase == Phase::Open && idle {
            // Whoever said it first had the reason.
            let reason = if theirs == GoodbyeReason::Other {
                self.farewell.ours
            } else {
                Some(theirs)
            };
            self.close(CloseReason::Drained(reason.unwrap_or(theirs)));
        }
    }

    fn violated(&mut self, violation: Violation) {
        self.close(CloseReason::ProtocolViolation(violation));
    }

    /// Ends the link: everything under way fails once, then nothing more happens.
    fn close(&mut self, reason: CloseReason) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.fail_all();
        self.held.clear();
        self.decoder = Decoder::new();
        self.outbox.clear_messages();
        self.events.push_back(Event::Closed(reason));
    }

    fn fail_all(&mut self) {
        self.assemblies.clear();
        for id in self.calls.take_all() {
            self.events.push_back(Event::Answer {
                id,
                result: Err(CallError::LinkLost),
            });
        }
        for id in self.serving.take_all() {
            self.events.push_back(Event::Cancelled { id });
        }
    }
}

#[cfg(test)]
mod tests;
