//! What waits to be sent, and what goes next.
//!
//! *Signals* (hello, cancels, pong, ping, goodbye) go before everything; there is a bounded number of them. Then the
//! lanes, in strict order, part by part, with one exception against starvation: a lane that had something to send and
//! was passed over [`LANE_PATIENCE`] times goes next. So a heartbeat waits for one part at most, a control message for
//! two, and bulk gets a seventeenth of the frames of a link however busy.
//!
//! Within a lane a message is sent to its end before the next begins, and answers take turns with requests. A request
//! that lacks credit holds up the requests behind it, never the answers: two ends that are both out of credit still
//! answer each other.

use std::collections::VecDeque;

use bytes::Bytes;
use truckee_wire::convert::{self, Prepared};
use truckee_wire::frame::{FrameOut, PART_BYTES_MAX};
use truckee_wire::message::{Goodbye, GoodbyeReason, Lane};

use super::{InboundId, LaneLoad, RequestId};

/// How often a lane with something to send is passed over before it goes: 16 parts of 128 KiB are 20 ms at a gigabit,
/// which bulk hardly feels, and one part in 17 hardly slows a read.
pub(super) const LANE_PATIENCE: u32 = 16;

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    Request(RequestId),
    Answer(InboundId),
}

#[derive(Debug)]
struct Message {
    what: Outgoing,
    /// Taken by the first frame.
    head: Option<Prepared>,
    /// What is left of it.
    payload: Bytes,
}

#[derive(Debug, Default)]
struct LaneQueue {
    current: Option<Message>,
    requests: VecDeque<Message>,
    answers: VecDeque<Message>,
    /// Whose turn it is when both wait.
    request_is_next: bool,
    passed_over: u32,
    sent_messages: u64,
    sent_payload_bytes: u64,
}

/// A part of a message that goes out now.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) what: Outgoing,
    pub(super) lane: Lane,
    /// Present in the first.
    pub(super) head: Option<Prepared>,
    pub(super) bytes: Bytes,
    pub(super) last: bool,
}

/// What a signal was, for those who keep time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Ping,
    Goodbye,
    Other,
}

/// All that waits.
#[derive(Debug)]
pub(super) struct Outbox {
    hello: Option<FrameOut>,
    cancels: VecDeque<RequestId>,
    pong: Option<u64>,
    ping: Option<u64>,
    goodbye: Option<GoodbyeReason>,
    lanes: [LaneQueue; 3],
    part_bytes_max: usize,
}

impl Outbox {
    /// Begins with a hello.
    pub(super) fn new(hello: FrameOut) -> Outbox {
        Outbox {
            hello: Some(hello),
            cancels: VecDeque::new(),
            pong: None,
            ping: None,
            goodbye: None,
            lanes: Default::default(),
            part_bytes_max: PART_BYTES_MAX,
        }
    }

    /// The longest part that the peer takes.
    pub(super) fn limit_parts(&mut self, bytes_max: usize) {
        self.part_bytes_max = bytes_max.min(PART_BYTES_MAX);
    }

    pub(super) fn cancel(&mut self, id: RequestId) {
        self.cancels.push_back(id);
    }

    /// Queues a pong; one that still waits is replaced, so that a flood of pings leaves one.
    pub(super) fn pong(&mut self, id: u64) {
        self.pong = Some(id);
    }

    pub(super) fn ping(&mut self, id: u64) {
        self.ping = Some(id);
    }

    /// Queues the goodbye; it goes when no request waits to begin.
    pub(super) fn goodbye(&mut self, reason: GoodbyeReason) {
        self.goodbye = Some(reason);
    }

    /// Queues a message.
    pub(super) fn push(&mut self, what: Outgoing, lane: Lane, head: Prepared, payload: Bytes) {
        let queue = &mut self.lanes[lane.index()];
        let message = Message {
            what,
            head: Some(head),
            payload,
        };
        match what {
            Outgoing::Request(_) => queue.requests.push_back(message),
            Outgoing::Answer(_) => queue.answers.push_back(message),
        }
    }

    /// Takes a message out, or stops it midway. Says whether it was there.
    pub(super) fn remove(&mut self, what: Outgoing) -> bool {
        let mut found = false;
        for queue in &mut self.lanes {
            found |= queue.current.take_if(|message| message.what == what).is_some();
            let waiting = match what {
                Outgoing::Request(_) => &mut queue.requests,
                Outgoing::Answer(_) => &mut queue.answers,
            };
            let before = waiting.len();
            waiting.retain(|message| message.what != what);
            found |= waiting.len() < before;
        }
        found
    }

    /// Whether the message waits and nothing of it is out.
    pub(super) fn is_waiting(&self, what: Outgoing) -> bool {
        self.lanes.iter().any(|queue| {
            let waiting = match what {
                Outgoing::Request(_) => &queue.requests,
                Outgoing::Answer(_) => &queue.answers,
            };
            waiting.iter().any(|message| message.what == what)
        })
    }

    /// The next signal. While `only_hello`, nothing but the hello and the goodbye goes out.
    pub(super) fn next_signal(&mut self, only_hello: bool) -> Option<(Signal, FrameOut)> {
        if let Some(hello) = self.hello.take() {
            return Some((Signal::Other, hello));
        }
        if !only_hello {
            if let Some(id) = self.cancels.pop_front() {
                return Some((Signal::Other, convert::cancel_frame(id.0)));
            }
            if let Some(id) = self.pong.take() {
                return Some((Signal::Other, convert::pong_frame(id)));
            }
            if let Some(id) = self.ping.take() {
                return Some((Signal::Ping, convert::ping_frame(id)));
            }
        }
        if self.requests_wait() {
            return None;
        }
        let reason = self.goodbye.take()?;
        Some((Signal::Goodbye, convert::goodbye_frame(Goodbye { reason })))
    }

    /// The next part of a message. `fits` says whether a request has credit.
    pub(super) fn next_part(&mut self, fits: impl Fn(RequestId) -> bool) -> Option<Part> {
        let ready = Lane::ALL.map(|lane| self.lanes[lane.index()].next_is(&fits).is_some());
        let first = Lane::ALL.into_iter().find(|lane| ready[lane.index()])?;
        let starved = Lane::ALL
            .into_iter()
            .rfind(|lane| ready[lane.index()] && self.lanes[lane.index()].passed_over >= LANE_PATIENCE);
        let chosen = starved.unwrap_or(first);
        for lane in Lane::ALL {
            let queue = &mut self.lanes[lane.index()];
            let waits = ready[lane.index()] && lane != chosen;
            queue.passed_over = if waits { queue.passed_over + 1 } else { 0 };
        }
        self.lanes[chosen.index()].take_part(chosen, self.part_bytes_max, &fits)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        let idle = |queue: &LaneQueue| {
            queue.current.is_none() && queue.requests.is_empty() && queue.answers.is_empty()
        };
        let no_signal = self.hello.is_none()
            && self.cancels.is_empty()
            && self.pong.is_none()
            && self.ping.is_none()
            && self.goodbye.is_none();
        no_signal && self.lanes.iter().all(idle)
    }

    fn requests_wait(&self) -> bool {
        self.lanes.iter().any(|queue| !queue.requests.is_empty())
    }

    /// What each lane has carried and has to carry, in the order of [`Lane::ALL`].
    pub(super) fn lane_loads(&self) -> [LaneLoad; 3] {
        Lane::ALL.map(|lane| self.lanes[lane.index()].load())
    }

    /// Forgets all messages; a hello or goodbye still goes.
    pub(super) fn clear_messages(&mut self) {
        for queue in &mut self.lanes {
            *queue = LaneQueue {
                sent_messages: queue.sent_messages,
                sent_payload_bytes: queue.sent_payload_bytes,
                ..LaneQueue::default()
            };
        }
        self.cancels.clear();
        (self.pong, self.ping) = (None, None);
    }
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Current,
    Request,
    Answer,
}

impl LaneQueue {
    fn load(&self) -> LaneLoad {
        LaneLoad {
            sent_messages: self.sent_messages,
            sent_payload_bytes: self.sent_payload_bytes,
            waiting_messages: self.requests.len() + self.answers.len() + usize::from(self.current.is_some()),
        }
    }

    fn next_is(&self, fits: impl Fn(RequestId) -> bool) -> Option<Next> {
        if self.current.is_some() {
            return Some(Next::Current);
        }
        let request = self.requests.front().filter(|message| match message.what {
            Outgoing::Request(id) => fits(id),
            Outgoing::Answer(_) => true,
        });
        match (request, self.answers.front()) {
            (None, None) => None,
            (Some(_), None) => Some(Next::Request),
            (None, Some(_)) => Some(Next::Answer),
            (Some(_), Some(_)) => Some(if self.request_is_next {
                Next::Request
            } else {
                Next::Answer
            }),
        }
    }

    fn take_part(&mut self, lane: Lane, bytes_max: usize, fits: impl Fn(RequestId) -> bool) -> Option<Part> {
        let mut message = match self.next_is(fits)? {
            Next::Current => self.current.take()?,
            Next::Request => {
                self.request_is_next = false;
                self.requests.pop_front()?
            }
            Next::Answer => {
                self.request_is_next = true;
                self.answers.pop_front()?
            }
        };
        let bytes = message.payload.split_to(message.payload.len().min(bytes_max));
        let part = Part {
            what: message.what,
            lane,
            head: message.head.take(),
            bytes,
            last: message.payload.is_empty(),
        };
        self.sent_payload_bytes += part.bytes.len() as u64;
        if part.last {
            self.sent_messages += 1;
        } else {
            self.current = Some(message);
        }
        Some(part)
    }
}
