//! Two sessions. The data is a list of operations of three bytes (what, who, how much) over a connection that delivers
//! late, in pieces, and on request damaged. Whatever happens, each request ends at most once, nothing comes after the
//! end, and the bounds hold. Without damage, neither end accuses the other.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use truckee_engine::session::{CloseReason, Config, Event, InboundId, RequestId, Session};
use truckee_engine::time::Mono;
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_wire::frame::FRAME_BYTES_MAX;
use truckee_wire::message::{
    BlockRead, Failure, FailureCode, FindShares, FoundShares, GoodbyeReason, Hello, Lane, PROTOCOL_VERSION,
    ReadBlock, Request, RequestKind, Response, SealedProof, SessionId, WriteBlock,
};

/// Payload that each end takes: small, so that a few requests reach the bound.
const CREDIT: u32 = 40_000;
/// A list of more operations says nothing new.
const OPERATIONS_MAX: usize = 400;

struct End {
    session: Session,
    /// On their way to this end.
    incoming: VecDeque<u8>,
    open: BTreeSet<RequestId>,
    ended: BTreeSet<RequestId>,
    serving: Vec<(InboundId, RequestKind)>,
    closed: Option<CloseReason>,
}

impl End {
    fn new() -> End {
        let hello = Hello {
            version: PROTOCOL_VERSION,
            session: SessionId([0; 16]),
            grant: None,
            announcement_sequence: 0,
            frame_bytes_max: FRAME_BYTES_MAX as u32,
            inflight_bytes_max: CREDIT,
        };
        End {
            session: Session::new(Config::default(), &hello, Mono::ZERO, [0; 32]).expect("a valid hello"),
            incoming: VecDeque::new(),
            open: BTreeSet::new(),
            ended: BTreeSet::new(),
            serving: Vec::new(),
            closed: None,
        }
    }

    /// Takes all events; admits the peer.
    fn look(&mut self, now: Mono) {
        while let Some(event) = self.session.poll_event() {
            assert!(self.closed.is_none(), "{event:?} after the end");
            match event {
                Event::HelloReceived(_) => self.session.admit(now),
                Event::Request { id, request, .. } => self.serving.push((id, request.kind())),
                Event::Answer { id, .. } => {
                    assert!(
                        self.open.remove(&id),
                        "{id:?} ended twice, or was cancelled, or never asked"
                    );
                    assert!(self.ended.insert(id));
                }
                Event::Closed(reason) => self.closed = Some(reason),
                Event::Cancelled { .. } | Event::PeerLeaving(_) => {}
            }
        }
        assert!(
            self.closed.is_none() || self.open.is_empty(),
            "{:?} never ended",
            self.open
        );
        let load = self.session.load();
        assert!(load.serving_bytes <= CREDIT.max(60_000) as usize, "{load:?}");
    }

    fn ask(&mut self, now: Mono, amount: u8) {
        let lane = Lane::ALL[usize::from(amount % 3)];
        let budget = Duration::from_millis(u64::from(amount) * 20);
        let si = StorageIndex([1; 16]);
        let request = match amount % 4 {
            0 => Request::GetStatus,
            1 => Request::ReadBlock(ReadBlock {
                si,
                share: ShareNumber(0),
                segment: SegmentIndex(0),
                suspect: false,
            }),
            2 => Request::FindShares(FindShares {
                si,
                inline_bytes_max: 100,
            }),
            _ => Request::WriteBlock(WriteBlock {
                si,
                share: ShareNumber(amount),
                upload: UploadId([2; 16]),
                segment: SegmentIndex(u64::from(amount)),
                block_leaf: Hash([3; 32]),
                sealed_leaf: Hash([4; 32]),
                block: Bytes::from(vec![amount; usize::from(amount) * 230 + 1]),
            }),
        };
        if let Ok(id) = self.session.request(now, &request, lane, budget) {
            assert!(
                self.open.insert(id) && !self.ended.contains(&id),
                "{id:?} was given twice"
            );
        }
    }

    fn respond(&mut self, now: Mono, amount: u8) {
        if self.serving.is_empty() {
            return;
        }
        let (id, kind) = self.serving.remove(usize::from(amount) % self.serving.len());
        let answer = match kind {
            _ if amount.is_multiple_of(5) => Err(Failure::new(FailureCode::Busy, "busy")),
            RequestKind::ReadBlock => Ok(Response::BlockRead(BlockRead {
                block_path: Vec::new(),
                sealed: SealedProof {
                    leaf: Hash([1; 32]),
                    path: Vec::new(),
                },
                block: Bytes::from(vec![amount; usize::from(amount) * 1_200 + 1]),
            })),
            RequestKind::FindShares => Ok(Response::FoundShares(FoundShares {
                shares: Vec::new(),
                file: None,
                inlined: None,
            })),
            _ => Ok(Response::BlockWritten),
        };
        self.session.respond(now, id, answer).expect("a valid answer");
    }

    fn cancel(&mut self, now: Mono, amount: u8) {
        let Some(id) = self
            .open
            .iter()
            .nth(usize::from(amount) % self.open.len().max(1))
            .copied()
        else {
            return;
        };
        self.open.remove(&id);
        self.session.cancel(now, id);
    }

    /// Moves up to `pieces` KiB of what is on its way into the session.
    fn receive(&mut self, now: Mono, pieces: u8) {
        for _ in 0..pieces {
            let piece: Vec<u8> = self.incoming.drain(..self.incoming.len().min(1024)).collect();
            self.session.handle_bytes(now, &piece);
            self.look(now);
        }
    }
}

/// Moves up to `frames` frames onto the wire.
fn send(from: &mut End, to: &mut End, now: Mono, frames: u8) {
    for _ in 0..frames {
        let Some(frame) = from.session.poll_transmit(now) else {
            break;
        };
        assert!(frame.len() <= 4 + FRAME_BYTES_MAX);
        to.incoming.extend(frame.head.iter().chain(&frame.payload));
    }
    from.look(now);
}

/// The target.
pub fn run(data: &[u8]) {
    let mut now = Mono::ZERO;
    let (mut a, mut b) = (End::new(), End::new());
    let mut damaged = false;
    for operation in data.as_chunks::<3>().0.iter().take(OPERATIONS_MAX) {
        let [what, who, amount] = *operation;
        let (here, there) = if who % 2 == 0 {
            (&mut a, &mut b)
        } else {
            (&mut b, &mut a)
        };
        match what % 12 {
            0 | 1 => here.ask(now, amount),
            2 | 3 => here.respond(now, amount),
            4 => here.cancel(now, amount),
            5 | 6 => send(here, there, now, amount),
            7 | 8 => here.receive(now, amount),
            9 => {
                now += Duration::from_millis(u64::from(amount));
                for end in [here, there] {
                    end.session.handle_timeout(now);
                    let next = end.session.next_deadline();
                    assert!(next.is_none_or(|at| at > now), "a timer that is due stays due");
                    end.look(now);
                }
                continue;
            }
            10 if amount > 250 => here.session.goodbye(now, GoodbyeReason::Stopping),
            10 if amount > 245 => here.session.handle_link_lost(now),
            _ => {
                if let Some(byte) = here
                    .incoming
                    .get_mut(usize::from(amount) * 3)
                    .filter(|_| who > 250)
                {
                    *byte ^= amount | 1;
                    damaged = true;
                }
            }
        }
        here.look(now);
    }
    for end in [&a, &b] {
        let accused = matches!(end.closed, Some(CloseReason::ProtocolViolation(_)));
        assert!(damaged || !accused, "{:?} between two honest ends", end.closed);
    }
}
