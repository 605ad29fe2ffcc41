//! Two sessions, two pipes with latency and bandwidth, one virtual clock. As quinn's `Pair`, it steps from one moment
//! at which something happens to the next, so nothing sleeps.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_wire::frame::{FRAME_BYTES_MAX, FrameOut};
use truckee_wire::message::{
    BlockRead, FindShares, Hello, Lane, PROTOCOL_VERSION, ReadBlock, Request, Response, SealedProof,
    SessionId, WriteBlock,
};

use crate::session::{CloseReason, Config, Event, INFLIGHT_BYTES_DEFAULT, InboundId, RequestId, Session};
use crate::time::Mono;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn hello() -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        session: SessionId([1; 16]),
        grant: None,
        announcement_sequence: 0,
        frame_bytes_max: FRAME_BYTES_MAX as u32,
        inflight_bytes_max: INFLIGHT_BYTES_DEFAULT,
    }
}

pub(crate) fn session(hello: &Hello) -> Session {
    Session::new(Config::default(), hello, Mono::ZERO, [7; 32]).expect("a valid hello")
}

pub(crate) fn write_of(block: Bytes) -> Request {
    Request::WriteBlock(WriteBlock {
        si: StorageIndex([1; 16]),
        share: ShareNumber(2),
        upload: UploadId([3; 16]),
        segment: SegmentIndex(4),
        block_leaf: Hash([5; 32]),
        sealed_leaf: Hash([6; 32]),
        block,
    })
}

/// A block whose bytes tell where they belong.
pub(crate) fn block(length: usize, salt: u8) -> Bytes {
    (0..length)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8) ^ salt)
        .collect()
}

pub(crate) fn read() -> Request {
    Request::ReadBlock(ReadBlock {
        si: StorageIndex([1; 16]),
        share: ShareNumber(2),
        segment: SegmentIndex(0),
        suspect: false,
    })
}

pub(crate) fn find(inline_bytes_max: u32) -> Request {
    Request::FindShares(FindShares {
        si: StorageIndex([1; 16]),
        inline_bytes_max,
    })
}

pub(crate) fn block_read(block: Bytes) -> Response {
    let sealed = SealedProof {
        leaf: Hash([1; 32]),
        path: Vec::new(),
    };
    Response::BlockRead(BlockRead {
        block_path: Vec::new(),
        sealed,
        block,
    })
}

/// One end, what it has been told, and its way to the other end.
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) events: Vec<Event>,
    /// On their way from here: when they arrive, and the bytes.
    wire: VecDeque<(Mono, Vec<u8>)>,
    wire_free_at: Mono,
    /// Frames and bytes sent from here.
    pub(crate) frames_out: usize,
    pub(crate) bytes_out: usize,
    /// Neither reads nor writes nor knows the time: a stopped process.
    pub(crate) frozen: bool,
}

pub(crate) struct Pair {
    pub(crate) now: Mono,
    pub(crate) a: End,
    pub(crate) b: End,
    pub(crate) latency: Duration,
    /// Bytes per second of each direction; 0 for no limit.
    pub(crate) bandwidth: u64,
    /// Bytes that may be on their way before a sender has to wait, as a socket's buffer.
    pub(crate) window: usize,
    /// Received pieces are cut to this length.
    pub(crate) piece: usize,
    pub(crate) cut: bool,
}

impl End {
    fn new(hello: &Hello, seed: u8) -> End {
        let session = Session::new(Config::default(), hello, Mono::ZERO, [seed; 32]).expect("a valid hello");
        End {
            session,
            events: Vec::new(),
            wire: VecDeque::new(),
            wire_free_at: Mono::ZERO,
            frames_out: 0,
            bytes_out: 0,
            frozen: false,
        }
    }

    fn on_the_wire(&self) -> usize {
        self.wire.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    fn poll(&mut self, now: Mono, latency: Duration, bandwidth: u64, window: usize) {
        if self.frozen {
            return;
        }
        while self.on_the_wire() < window
            && let Some(FrameOut { head, payload }) = self.session.poll_transmit(now)
        {
            let bytes = [head, payload].concat();
            self.frames_out += 1;
            self.bytes_out += bytes.len();
            let micros = (bytes.len() as u64 * 1_000_000)
                .checked_div(bandwidth)
                .unwrap_or(0);
            self.wire_free_at = self.wire_free_at.max(now) + Duration::from_micros(micros);
            self.wire.push_back((self.wire_free_at + latency, bytes));
        }
        let mut admitted = false;
        while let Some(event) = self.session.poll_event() {
            if matches!(event, Event::HelloReceived(_)) {
                self.session.admit(now);
                admitted = true;
            }
            self.events.push(event);
        }
        if admitted {
            self.poll(now, latency, bandwidth, window);
        }
    }

    /// Takes the answers out.
    pub(crate) fn answers(&mut self) -> Vec<(RequestId, Result<Response, crate::session::CallError>)> {
        let events = std::mem::take(&mut self.events);
        let mut answers = Vec::new();
        for event in events {
            match event {
                Event::Answer { id, result } => answers.push((id, result)),
                other => self.events.push(other),
            }
        }
        answers
    }

    /// Takes the requests out.
    pub(crate) fn requests(&mut self) -> Vec<(InboundId, Request, Mono)> {
        let events = std::mem::take(&mut self.events);
        let mut requests = Vec::new();
        for event in events {
            match event {
                Event::Request {
                    id,
                    request,
                    deadline,
                    ..
                } => requests.push((id, request, deadline)),
                other => self.events.push(other),
            }
        }
        requests
    }

    pub(crate) fn cancelled(&self) -> Vec<InboundId> {
        let cancelled = |event: &Event| match event {
            Event::Cancelled { id } => Some(*id),
            _ => None,
        };
        self.events.iter().filter_map(cancelled).collect()
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.events.iter().find_map(|event| match event {
            Event::Closed(reason) => Some(*reason),
            _ => None,
        })
    }
}

impl Pair {
    pub(crate) fn new() -> Pair {
        Pair::with_hellos(&hello(), &hello())
    }

    pub(crate) fn with_hellos(a: &Hello, b: &Hello) -> Pair {
        Pair {
            now: Mono::ZERO,
            a: End::new(a, 1),
            b: End::new(b, 2),
            latency: ms(1),
            bandwidth: 0,
            window: 256 * 1024,
            piece: usize::MAX,
            cut: false,
        }
    }

    /// A pair whose hellos are through.
    pub(crate) fn open() -> Pair {
        let mut pair = Pair::new();
        pair.run_for(ms(10));
        assert!(pair.a.session.is_open() && pair.b.session.is_open());
        pair
    }

    pub(crate) fn ask(&mut self, request: &Request, lane: Lane, budget: Duration) -> RequestId {
        self.a
            .session
            .request(self.now, request, lane, budget)
            .expect("accepted")
    }

    pub(crate) fn respond(&mut self, id: InboundId, answer: crate::session::Answer) {
        self.b
            .session
            .respond(self.now, id, answer)
            .expect("a valid answer");
    }

    /// Both ends hand over what they have, at this moment.
    pub(crate) fn poll(&mut self) {
        self.a.poll(self.now, self.latency, self.bandwidth, self.window);
        self.b.poll(self.now, self.latency, self.bandwidth, self.window);
    }

    fn deliver(&mut self) {
        let Pair {
            a,
            b,
            now,
            piece,
            cut,
            ..
        } = self;
        carry(a, b, *now, *piece, *cut);
        carry(b, a, *now, *piece, *cut);
    }

    fn next_moment(&self) -> Option<Mono> {
        let arrival = |from: &End, to: &End| from.wire.front().map(|(at, _)| *at).filter(|_| !to.frozen);
        let timer = |end: &End| end.session.next_deadline().filter(|_| !end.frozen);
        let moments = [
            arrival(&self.a, &self.b),
            arrival(&self.b, &self.a),
            timer(&self.a),
            timer(&self.b),
        ];
        moments.into_iter().flatten().min()
    }

    /// Goes from each moment at which something happens to the next, until `duration` has passed.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        let mut steps = 0;
        loop {
            self.poll();
            let Some(next) = self.next_moment().filter(|at| *at <= until) else {
                break;
            };
            self.now = next.max(self.now);
            self.deliver();
            for end in [&mut self.a, &mut self.b] {
                if !end.frozen && end.session.next_deadline().is_some_and(|at| at <= self.now) {
                    end.session.handle_timeout(self.now);
                }
            }
            steps += 1;
            assert!(steps < 2_000_000, "the sessions never come to rest");
        }
        self.now = until;
    }
}

fn carry(from: &mut End, to: &mut End, now: Mono, piece: usize, cut: bool) {
    if to.frozen {
        return;
    }
    while from.wire.front().is_some_and(|(at, _)| *at <= now) {
        let Some((_, bytes)) = from.wire.pop_front() else {
            break;
        };
        if cut {
            continue;
        }
        for piece in bytes.chunks(piece.min(bytes.len())) {
            to.session.handle_bytes(now, piece);
        }
    }
}
