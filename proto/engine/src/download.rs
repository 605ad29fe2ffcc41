//! One download as a machine without I/O: finds out who holds shares, reads blocks from the fastest peers, has them
//! verified and decoded, and gives the plaintext out in order.
//!
//! States: *finding* (too few shares are known to begin), *reading* (a window of segments is read ahead) and *ended*
//! (exactly one of [`Effect::Completed`] and [`Effect::Failed`] has been given out, as the last effect).
//!
//! The rules, each with its test:
//! - The first n candidates are asked at once; the others in batches when shares are missing, late, or needed. Of a small file,
//!   whose blocks come with the answers, only k are asked at first: what the others would give is not needed, and asking is all
//!   that it costs to read the file. They are asked as soon as one of the first has nothing, or is late.
//! - Facts about the file count only if their hash is the cap's. A block counts only after it was verified; one that
//!   was not is reported, its share at that peer is never asked again, and another takes its place.
//! - Shares below k are preferred while their peers are about as fast as others: they decode for nothing. Peers are
//!   judged by how long a block takes them, with a bonus for those in use, so that the choice does not flutter.
//! - A block that takes longer than most is asked of another peer too; a peer that is silent for as long loses all its
//!   reads to others; and if that did not help, everybody who is left is asked.
//! - A lost link moves its reads at once. When shares are too few because links were lost, those peers get one more
//!   chance, then the download fails with what each peer said.
//! - At most the window's number of segments is held, whatever the length of the file or the speed of the reader.
//!
//! Not promised: that a peer which says it holds a share is ever asked for it, and any bound on the time that the
//! reader takes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use truckee_grid::caps::ChkVerifier;
use truckee_grid::geometry::Geometry;
use truckee_grid::ids::{NodeId, SegmentIndex, ShareNumber};
use truckee_grid::pipeline::{DecodeError, DecodedSegment, FetchedBlock, FileFacts};
use truckee_wire::message::{self, Lane, Request, Response};

use self::fetch::Fetch;
use self::peer::{Pace, Peer};
use crate::session::CallError;
use crate::time::Mono;
use crate::transfer::{self, Calls, Token};

mod answers;
mod deliver;
mod error;
mod fetch;
mod finding;
mod peer;
mod reading;
#[cfg(test)]
mod tests;
mod timers;

pub use self::error::{DownloadError, TooFewShares};

/// Time for a peer to say which shares it holds.
pub const FIND_BUDGET: Duration = Duration::from_secs(5);

/// Time for a block. A peer that needs longer has long been replaced by a hedge.
pub const READ_BUDGET: Duration = Duration::from_secs(20);

/// How long the shares that decode for nothing are waited for once enough others are known: a few round trips in one
/// town; over longer distances decoding costs less than waiting.
const BEGIN_WAIT: Duration = Duration::from_millis(30);

/// When further candidates of a small file are asked although the first are only late. A frozen peer costs each small file as long,
/// until its link is given up.
const SMALL_FIND_ESCALATION: Duration = BEGIN_WAIT;

/// When candidates beyond the first n are asked although those are only late, and again for each further batch.
const FIND_ESCALATION: Duration = Duration::from_millis(300);

/// Wait before peers that were out of reach get their second chance: a restarted process is back by then, and nobody
/// waits long for the bad news when it is not.
const SECOND_CHANCE_WAIT: Duration = Duration::from_millis(500);

/// How often a peer is asked what it holds before it counts as too busy to say.
const FIND_TRIES_MAX: u32 = 6;

/// How often the same block is asked of the same peer.
const READ_TRIES_MAX: u32 = 6;

/// Shortest and longest rest of a peer that was busy.
const BUSY_REST: Range<Duration> = Duration::from_millis(20)..Duration::from_secs(2);

/// A block of at most this length comes with the answer to the first question: a small file then takes one round trip,
/// and the blocks that were not needed cost less than a second one.
pub const INLINE_BYTES_MAX: u32 = 16 << 10;

/// Bytes of plaintext that one download reads ahead by default: enough for a line of 1 Gbit/s over 60 ms.
pub const WINDOW_BYTES: usize = 8 << 20;

/// Fewest and most segments read ahead.
const WINDOW_SEGMENTS: std::ops::RangeInclusive<usize> = 2..=16;

/// What to download, and from whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name and shape of the file, and the hash that says which file is the right one.
    pub file: ChkVerifier,
    /// Storage nodes that may hold shares, likeliest first (ring order).
    pub candidates: Vec<NodeId>,
    /// Which bytes; end exclusive, cut to the file. `None`: all.
    pub range: Option<Range<u64>>,
}

/// What was wrong with what a peer gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Corruption {
    /// Its facts about the file do not have the hash that the cap says.
    Facts,
    /// A block failed its hashes.
    Block,
    /// It said itself that its share is damaged.
    Admitted,
}

/// What the shell has to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Send a request and report its end by [`Download::handle_answer`].
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
    /// Verify, decode and open a segment with the facts of [`Download::file`], and report by
    /// [`Download::handle_decoded`].
    Decode {
        /// Which one.
        segment: SegmentIndex,
        /// At least k blocks.
        blocks: Vec<FetchedBlock>,
    },
    /// The next bytes of the answer. Report by [`Download::handle_consumed`] when the reader has taken them.
    Deliver {
        /// Which segment they are of.
        segment: SegmentIndex,
        /// The bytes, cut to the range asked for; not empty.
        plaintext: Bytes,
    },
    /// A peer gave something that fails its hashes.
    ReportCorrupt {
        /// Which peer.
        peer: NodeId,
        /// Which share; `None` if all.
        share: Option<ShareNumber>,
        /// In which way.
        what: Corruption,
    },
    /// All bytes have been delivered. Last effect.
    Completed(DownloadDone),
    /// No more bytes come. Last effect.
    Failed(DownloadError),
}

/// What a download came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DownloadDone {
    /// Plaintext bytes delivered.
    pub delivered_bytes: u64,
    /// Bytes of blocks received, used or not.
    pub received_bytes: u64,
    /// Segments delivered.
    pub segments: u64,
    /// Blocks asked of a further peer because the first was slow.
    pub hedges: u64,
    /// Things that failed their hashes.
    pub corrupt: u64,
    /// From the start until enough shares were known.
    pub locate: Duration,
    /// Time in which some segment was waiting for its blocks, all such segments added up.
    pub fetch: Duration,
    /// Time from blocks to plaintext, all segments added up.
    pub decode: Duration,
    /// Time that the reader took for what it got: from delivered to consumed.
    pub deliver: Duration,
    /// From the start until the first bytes were delivered.
    pub first_byte: Duration,
    /// All of it.
    pub total: Duration,
}

/// The machine. Inputs are the `handle_*` methods; after each, take effects by [`Download::poll_effect`] until there
/// are none, and call [`Download::handle_timeout`] when [`Download::next_deadline`] has come.
#[derive(Debug)]
pub struct Download {
    config: Config,
    phase: Phase,
    started: Mono,
    peers: Vec<Peer>,
    /// Candidates below this index have been asked.
    asked: usize,
    finds_out: usize,
    /// Which peers hold which shares, as they say.
    holders: BTreeMap<ShareNumber, BTreeSet<usize>>,
    /// Shares at peers that are not to be asked again.
    banned: BTreeSet<(usize, ShareNumber)>,
    calls: Calls<Purpose>,
    file: Option<Known>,
    fetches: BTreeMap<u64, Fetch>,
    next_fetch: u64,
    next_deliver: u64,
    unconsumed: usize,
    /// When each segment that is not consumed yet was delivered.
    delivered_at: VecDeque<Mono>,
    window_segments: usize,
    pace: Pace,
    begin_at: Option<Mono>,
    find_more_at: Option<Mono>,
    second_chance: SecondChance,
    done: DownloadDone,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Finding,
    Reading,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SecondChance {
    Unused,
    At(Mono),
    Used,
}

/// What is known of the file once a peer has told it.
#[derive(Clone, Debug)]
struct Known {
    facts: Arc<FileFacts>,
    /// The same as peers say it.
    said: message::FileFacts,
    geometry: Geometry,
    /// The segments wanted.
    segments: Range<u64>,
    /// The bytes wanted.
    bytes: Range<u64>,
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Find {
        peer: usize,
    },
    Read {
        peer: usize,
        share: ShareNumber,
        segment: u64,
    },
}

impl Download {
    /// Starts a download. The first effects are there at once.
    pub fn new(config: Config, now: Mono) -> Self {
        let mut download = Self {
            phase: Phase::Finding,
            started: now,
            peers: config.candidates.iter().map(|id| Peer::new(*id)).collect(),
            asked: 0,
            finds_out: 0,
            holders: BTreeMap::new(),
            banned: BTreeSet::new(),
            calls: Calls::new(),
            file: None,
            fetches: BTreeMap::new(),
            next_fetch: 0,
            next_deliver: 0,
            unconsumed: 0,
            delivered_at: VecDeque::new(),
            window_segments: 0,
            pace: Pace::new(),
            begin_at: None,
            find_more_at: None,
            second_chance: SecondChance::Unused,
            done: DownloadDone::default(),
            effects: VecDeque::new(),
            config,
        };
        let wanted = download.wanted_bytes();
        if wanted.start >= download.config.file.size
            && download.config.range.as_ref().is_some_and(|r| !r.is_empty())
        {
            let error = DownloadError::RangeBeyondEnd {
                start: wanted.start,
                size: download.config.file.size,
            };
            download.end(Effect::Failed(error));
        } else if wanted.is_empty() {
            download.end(Effect::Completed(DownloadDone::default()));
        } else {
            download.find_first(now);
        }
        download
    }

    /// The facts about the file, once known. Every [`Effect::Decode`] comes after.
    pub fn file(&self) -> Option<&Arc<FileFacts>> {
        self.file.as_ref().map(|known| &known.facts)
    }

    /// What has been done so far.
    pub fn progress(&self) -> &DownloadDone {
        &self.done
    }

    /// Whether the last effect has been made.
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Segments that may be held at once.
    pub fn window_segments(&self) -> usize {
        self.window_segments
    }

    /// Most segments that reading ahead is good for; `None` while the length of a segment is not known.
    pub fn window_segments_max(&self) -> Option<usize> {
        let segment_bytes = self.file.as_ref()?.geometry.segment_bytes() as usize;
        Some((WINDOW_BYTES / segment_bytes).clamp(*WINDOW_SEGMENTS.start(), *WINDOW_SEGMENTS.end()))
    }

    /// A request has ended. An answer to a token that is unknown or cancelled is ignored.
    pub fn handle_answer(&mut self, now: Mono, token: Token, result: Result<Response, CallError>) {
        if self.has_ended() {
            return;
        }
        let Some(call) = self.calls.close(token) else {
            return;
        };
        self.on_verdict(now, token, call.what, call.sent_at, transfer::judge(result));
        self.go_on(now);
    }

    /// A segment has been decoded, or could not be; `None`: the decoder failed, and the reason is in the log.
    pub fn handle_decoded(
        &mut self,
        now: Mono,
        segment: SegmentIndex,
        decoded: Option<Result<DecodedSegment, DecodeError>>,
    ) {
        if !self.has_ended() {
            self.on_decoded(now, segment.0, decoded);
            self.go_on(now);
        }
    }

    /// The reader has taken one delivered segment.
    pub fn handle_consumed(&mut self, now: Mono) {
        self.unconsumed = self.unconsumed.saturating_sub(1);
        if let Some(at) = self.delivered_at.pop_front() {
            self.done.deliver += now.saturating_sub(at);
        }
        if !self.has_ended() {
            self.go_on(now);
        }
    }

    /// There is memory for this many segments. Nothing is read before this was called once, except what comes with the
    /// answers to the first question.
    pub fn handle_window(&mut self, now: Mono, segments: usize) {
        self.window_segments = segments.clamp(1, *WINDOW_SEGMENTS.end());
        if !self.has_ended() {
            self.go_on(now);
        }
    }

    /// Nobody reads any more.
    pub fn handle_cancel(&mut self) {
        if !self.has_ended() {
            self.fail(DownloadError::Cancelled);
        }
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn wanted_bytes(&self) -> Range<u64> {
        let size = self.config.file.size;
        match &self.config.range {
            None => 0..size,
            Some(range) => range.start..range.end.min(size),
        }
    }

    fn send(&mut self, now: Mono, purpose: Purpose, request: Request) -> Token {
        let (peer, budget) = match purpose {
            Purpose::Find { peer } => (peer, FIND_BUDGET),
            Purpose::Read { peer, .. } => (peer, READ_BUDGET),
        };
        let token = self.calls.open(now, budget, purpose);
        let peer = self.peers[peer].id;
        self.effects.push_back(Effect::Send {
            token,
            peer,
            request,
            lane: Lane::Interactive,
            budget,
        });
        token
    }

    fn cancel(&mut self, token: Token) {
        if self.calls.close(token).is_some() {
            self.effects.push_back(Effect::CancelSend { token });
        }
    }

    fn fail(&mut self, error: DownloadError) {
        for token in self.calls.take_all() {
            self.effects.push_back(Effect::CancelSend { token });
        }
        self.end(Effect::Failed(error));
    }

    fn end(&mut self, verdict: Effect) {
        self.phase = Phase::Ended;
        self.fetches.clear();
        self.effects.push_back(verdict);
    }
}
