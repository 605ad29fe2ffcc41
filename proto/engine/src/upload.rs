//! One upload as a machine without I/O: takes plaintext segments, has them encoded, places the shares on peers and says
//! when enough of them are durable.
//!
//! States: *choosing* (the first segment is awaited; a convergent upload asks who holds shares already), *writing* (each
//! share goes its own way: open, blocks in order, close; or one message for a file of one segment) and *ended* (exactly
//! one of [`Effect::Completed`] and [`Effect::Failed`] has been given out, as the last effect).
//!
//! The rules, each with its test:
//! - Shares go to the candidates in their order, each to a peer of its own while there are enough; a peer gets a second
//!   share only when all have one. Too few for `happy`: failure before anything is sent.
//! - A share whose peer fails moves to another peer as long as the first segment is still held, and is lost after.
//!   The upload goes on while `happy` distinct peers can still be reached, and fails at once when not.
//! - A peer that lets a message lie for [`PATIENCE`] while enough others have answered all of theirs loses its shares.
//! - Busy answers are tried again, [`BUSY_TRIES_MAX`] times in a row at most.
//! - [`Effect::Completed`] comes only when `happy` distinct peers said that their share is durable, and k shares are;
//!   the others get [`GRACE`] from then on, and if they can still move to other peers, [`GRACE_MOVED`] there.
//! - At most the window's number of segments is held, whatever the length of the file.
//! - While the body gives nothing, peers with open shares are told every [`KEEP_EVERY`] that the upload lives.
//! - After a failure or cancel every share that this upload has begun or finished is taken back. What cannot be told so
//!   (a peer out of reach, a message that overtakes another) stays and does no harm: nobody has a cap that names it, so
//!   it is dead weight until its lease ends, and of a convergent upload it is a good share of that very file.
//!
//! Not promised: that a share counted as lost is really gone (its peer may have made it durable and died before it said
//! so), and any bound on how long the body may take: that is the business of whoever reads the body.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use truckee_grid::geometry::Geometry;
use truckee_grid::ids::{Hash, NodeId, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_grid::params::{Encoding, SEGMENTS_MAX};
use truckee_grid::pipeline::EncodedSegment;
use truckee_grid::share::ShareLayout;
use truckee_grid::ueb::Ueb;
use truckee_wire::message::{FileFacts, Lane, Request, Response};

use self::share::Share;
use self::window::Window;
use crate::session::CallError;
use crate::time::Mono;
use crate::transfer::supply::{Ask, Shape};
use crate::transfer::{self, Calls, PeerReport, PeerWhy, Token};

mod answers;
mod closing;
mod error;
mod placing;
mod share;
#[cfg(test)]
mod tests;
mod timers;
mod window;
mod writing;

pub use self::error::{BodyFault, NotHappy, UploadError};
pub use crate::transfer::supply::{CLOSE_BUDGET, OPEN_BUDGET, WRITE_BUDGET};
pub use crate::transfer::writer::{BUSY_TRIES_MAX, KEEP_EVERY};

/// A peer that lets a message lie for this long while enough others have answered theirs loses its shares: four times
/// the time after which a frozen peer's link is given up, so that only a peer that is alive and slow gets here.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// How often the patience rule is looked at again while it cannot be applied.
const PATIENCE_CHECK: Duration = Duration::from_millis(500);

/// Time for the remaining shares once enough are durable: one life of a frozen link.
pub const GRACE: Duration = Duration::from_secs(2);

/// Time for shares that were moved at the end of the grace: a few round trips to peers that are known to answer.
pub const GRACE_MOVED: Duration = Duration::from_millis(500);

/// Time for a peer to say which shares it holds. Also bounds how long a convergent upload waits to begin.
pub const FIND_BUDGET: Duration = Duration::from_secs(2);

/// Bytes of blocks that one upload holds by default: three segments of 1 MiB coded 3-of-10, so that one is read while
/// one is encoded and one is on its way.
pub const WINDOW_BYTES: usize = 16 << 20;

/// Fewest and most segments in the window: two keep encoding and sending apart; more than 16 small ones gain nothing.
const WINDOW_SEGMENTS: std::ops::RangeInclusive<usize> = 2..=16;

/// What to upload, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the file on storage nodes.
    pub si: StorageIndex,
    /// Name of this attempt; random.
    pub upload: UploadId,
    /// Code, happiness and segment size.
    pub encoding: Encoding,
    /// Storage nodes that may be used, best first (ring order, zones spread).
    pub candidates: Vec<NodeId>,
    /// Whether shares of this file may exist already (convergent keys).
    pub find_existing: bool,
    /// Plaintext bytes of the file, if known; lets storage nodes reserve room.
    pub size_hint: Option<u64>,
    /// Bytes of blocks that may be held.
    pub window_bytes: usize,
}

impl Config {
    fn shape(&self) -> Shape {
        let (coding, segment_bytes) = (self.encoding.coding(), self.encoding.segment_bytes());
        let geometry = self
            .size_hint
            .map(|size| Geometry::new(size, segment_bytes, coding));
        let known = geometry.and_then(Result::ok);
        Shape {
            coding,
            segment_bytes,
            reserve_bytes: known.map_or(0, |geometry| ShareLayout::new(geometry).share_file_bytes()),
        }
    }
}

/// What the shell has to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Ask the body for one more segment and report it by [`Upload::handle_segment`].
    PullSegment,
    /// Encode a segment and report it by [`Upload::handle_encoded`].
    Encode {
        /// Which one.
        segment: SegmentIndex,
        /// What the body gave.
        plaintext: BytesMut,
        /// Whether it is the last.
        last: bool,
    },
    /// Send a request and report its end by [`Upload::handle_answer`].
    Send {
        /// Names the request.
        token: Token,
        /// To whom.
        peer: NodeId,
        /// What.
        request: Request,
        /// How urgent.
        lane: Lane,
        /// Time for it.
        budget: Duration,
    },
    /// Nobody waits for this request any more; a late answer is ignored.
    CancelSend {
        /// Names the request.
        token: Token,
    },
    /// Send a request whose end does not matter.
    Notify {
        /// To whom.
        peer: NodeId,
        /// What.
        request: Request,
        /// Time for it.
        budget: Duration,
    },
    /// The blocks of this segment are no longer held.
    Release {
        /// Which one.
        segment: SegmentIndex,
    },
    /// The file is stored. Last effect.
    Completed(Box<UploadDone>),
    /// The file is not stored. Last effect.
    Failed(UploadError),
}

/// A stored file.
#[derive(Clone, Debug)]
pub struct UploadDone {
    /// Parameters and roots of the file.
    pub ueb: Ueb,
    /// What the cap says of the UEB.
    pub ueb_hash: Hash,
    /// Who holds which share, by share number.
    pub placements: Vec<(ShareNumber, NodeId)>,
    /// How many of them were there before.
    pub existing: usize,
    /// Servers of happiness of `placements`.
    pub happiness: usize,
    /// What went wrong with each peer that something went wrong with.
    pub troubles: Vec<PeerReport>,
    /// Whether fewer shares or distinct peers hold the file than could.
    pub needs_repair: bool,
    /// Where the time went.
    pub timings: UploadTimings,
}

/// Where the time of an upload went. The stages overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadTimings {
    /// From the start until every share had a peer.
    pub choose: Duration,
    /// Sum over all segments, from plaintext to blocks.
    pub encode: Duration,
    /// From the first block sent to the last one acknowledged.
    pub push: Duration,
    /// From the end of the last segment's encoding to completion.
    pub close: Duration,
    /// All of it.
    pub total: Duration,
}

/// The machine. Inputs are the `handle_*` methods; after each, take effects by [`Upload::poll_effect`] until there are
/// none, and call [`Upload::handle_timeout`] when [`Upload::next_deadline`] has come.
#[derive(Debug)]
pub struct Upload {
    config: Config,
    phase: Phase,
    shape: Shape,
    peers: Vec<Peer>,
    shares: Vec<Share>,
    calls: Calls<Purpose>,
    window: Window,
    file: Option<FileFacts>,
    finds_out: usize,
    grace: Option<Grace>,
    patience_checked_at: Mono,
    marks: Marks,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Choosing,
    Writing,
    Ended,
}

/// What remains once enough shares are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Grace {
    until: Mono,
    /// Shares that were late have been moved to other peers; there is no third time.
    moved: bool,
}

/// A candidate.
#[derive(Debug)]
struct Peer {
    id: NodeId,
    /// The first thing that went wrong with it. Set: no further share is placed here.
    why: Option<PeerWhy>,
    /// Shares that it says it holds, and of which file.
    found: Option<(Vec<ShareNumber>, Box<FileFacts>)>,
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Find { peer: usize },
    Share { share: usize, ask: Ask },
}

/// Moments that the timings are made of.
#[derive(Debug)]
struct Marks {
    started: Mono,
    chosen: Option<Mono>,
    first_sent: Option<Mono>,
    last_acked: Option<Mono>,
    sealed: Option<Mono>,
    encode: Duration,
}

impl Upload {
    /// Starts an upload. The first effects are there at once.
    pub fn new(config: Config, now: Mono) -> Self {
        let coding = config.encoding.coding();
        let peers = config
            .candidates
            .iter()
            .map(|id| Peer {
                id: *id,
                why: None,
                found: None,
            })
            .collect();
        let segment_cost = (config.encoding.segment_bytes() as usize).saturating_mul(coding.n()) / coding.k();
        let window_segments = (config.window_bytes / segment_cost.max(1))
            .clamp(*WINDOW_SEGMENTS.start(), *WINDOW_SEGMENTS.end());
        let mut upload = Self {
            phase: Phase::Choosing,
            shape: config.shape(),
            peers,
            shares: coding.shares().map(Share::new).collect(),
            calls: Calls::new(),
            window: Window::new(coding, window_segments),
            file: None,
            finds_out: 0,
            grace: None,
            patience_checked_at: now,
            marks: Marks::start(now),
            effects: VecDeque::new(),
            config,
        };
        if upload.check_reachable() {
            upload.find_existing(now);
            upload.pull();
        }
        upload
    }

    /// Segments that may be held at once.
    pub fn window_segments(&self) -> usize {
        self.window.capacity()
    }

    /// Plaintext bytes taken in so far.
    pub fn taken_bytes(&self) -> u64 {
        self.window.file_bytes()
    }

    /// Whether the last effect has been made.
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// The body gave a segment. `plaintext` has spare capacity for sealing in place.
    pub fn handle_segment(&mut self, now: Mono, plaintext: BytesMut, last: bool) {
        if self.has_ended() || !self.window.is_pulling() {
            return;
        }
        if let Err(error) = self.check_segment(&plaintext, last) {
            return self.fail(error);
        }
        let segment = self.window.take_in(now, plaintext.len(), last);
        self.effects.push_back(Effect::Encode {
            segment,
            plaintext,
            last,
        });
        self.pull();
        self.begin_writing(now);
    }

    /// The body will give no more although its last segment has not come.
    pub fn handle_body_failed(&mut self, fault: BodyFault) {
        if !self.has_ended() {
            self.fail(UploadError::Body(fault));
        }
    }

    /// A segment has been encoded; `None`: it could not be, and the reason is in the log.
    pub fn handle_encoded(&mut self, now: Mono, segment: SegmentIndex, coded: Option<EncodedSegment>) {
        if self.has_ended() {
            return;
        }
        let n = self.config.encoding.coding().n();
        let good = coded.filter(|coded| coded.blocks.len() == n && coded.block_leaves.len() == n);
        let Some(coded) = good else {
            return self.fail(UploadError::Encode { segment });
        };
        let Some(took) = self.window.encoded(now, segment, coded) else {
            return;
        };
        self.marks.encode += took;
        if self.window.all_encoded() {
            self.seal(now);
        }
        self.advance_all(now);
    }

    /// A request has ended. An answer to a token that is unknown or cancelled is ignored.
    pub fn handle_answer(&mut self, now: Mono, token: Token, result: Result<Response, CallError>) {
        if self.has_ended() {
            return;
        }
        let Some(call) = self.calls.close(token) else {
            return;
        };
        self.on_verdict(now, call.what, transfer::judge(result));
    }

    /// Whoever wanted the file stored has gone.
    pub fn handle_cancel(&mut self) {
        if !self.has_ended() {
            self.fail(UploadError::Cancelled);
        }
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn check_segment(&self, plaintext: &[u8], last: bool) -> Result<(), UploadError> {
        let segment = self.window.next_index();
        let full = self.config.encoding.segment_bytes() as usize;
        let got = plaintext.len();
        if got == 0 && segment == 0 && last {
            return Err(UploadError::Empty);
        }
        if got > full || got == 0 || (got < full && !last) {
            return Err(UploadError::SegmentSize {
                segment: SegmentIndex(segment),
                got,
                expected: full,
            });
        }
        if segment + 1 > SEGMENTS_MAX || (segment + 1 == SEGMENTS_MAX && !last) {
            return Err(UploadError::TooLong {
                segment_bytes: self.config.encoding.segment_bytes(),
            });
        }
        Ok(())
    }

    fn pull(&mut self) {
        if self.window.start_pull() {
            self.effects.push_back(Effect::PullSegment);
        }
    }

    fn send(&mut self, now: Mono, peer: usize, purpose: Purpose, request: Request) -> Token {
        let (lane, budget) = match purpose {
            Purpose::Find { .. } => (Lane::Interactive, FIND_BUDGET),
            Purpose::Share { ask, .. } => {
                let heavy = matches!(ask, Ask::Write(_) | Ask::Put);
                let lane = if heavy { Lane::Bulk } else { Lane::Interactive };
                (lane, ask.budget(FIND_BUDGET))
            }
        };
        let token = self.calls.open(now, budget, purpose);
        let peer = self.peers[peer].id;
        self.effects.push_back(Effect::Send {
            token,
            peer,
            request,
            lane,
            budget,
        });
        token
    }
}

impl Marks {
    fn start(now: Mono) -> Self {
        Self {
            started: now,
            chosen: None,
            first_sent: None,
            last_acked: None,
            sealed: None,
            encode: Duration::ZERO,
        }
    }

    fn timings(&self, now: Mono) -> UploadTimings {
        let between = |from: Option<Mono>, to: Option<Mono>| match (from, to) {
            (Some(from), Some(to)) => to.saturating_sub(from),
            _ => Duration::ZERO,
        };
        UploadTimings {
            choose: between(Some(self.started), self.chosen),
            encode: self.encode,
            push: between(self.first_sent, self.last_acked),
            close: between(self.sealed, Some(now)),
            total: now.saturating_sub(self.started),
        }
    }
}
