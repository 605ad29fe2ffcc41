//! One repair of a file as a machine without I/O and without the file's key: finds out which shares are missing, makes
//! them again from k others, and writes them to nodes that have none.
//!
//! States: *asking* (some node is still to say what it holds), *opening* (nodes that are to get shares are asked to take
//! them, before anything is read), *rebuilding* (segments are read, rebuilt and written, a window of them at a time) and
//! *ended* (exactly one of [`Effect::Completed`] and [`Effect::Failed`] has been given out, as the last effect).
//!
//! The rules, each with its test:
//! - Nodes say which file they hold shares of. With a hash that somebody with a cap has given only that file counts.
//!   Without one it is the file that the most nodes hold shares of, if they have k different ones; if two files have as
//!   many nodes, or the one with the most lacks shares, nothing is built: a node that lies alone must not have what it
//!   made up spread by others. Other files are reported as conflicts, and their holders get no shares.
//! - Missing is what nobody who answered and stays holds: a share on a node that is being emptied is read, made again
//!   elsewhere, and left where it is. [`placement::assign`] says where it goes: to takers without a share first,
//!   in their order, and only when all have one to the least loaded. It also gives shares that exist only beside others
//!   on one node a second copy on takers that have none. So a repair spreads what was crowded, and a file whose shares all
//!   exist may still be repaired when nodes were added. Who did not answer gets nothing.
//! - A node that fails, is full or refuses is replaced once: at once while the first segment is still held, else by
//!   another reading after this one. A share that cannot be placed is reported. A node that has the share already is done.
//! - Nothing is written that was not checked to be what the uploader made. An uploader whose shares contradict each other
//!   is found: nothing is built from such a segment, and no share that is not the one that the file speaks of.
//! - A bad block is reported, its copy never asked again but for its node to look at it and put the share aside, and
//!   another one used. Copies that are known to be bad before are not there. A busy node rests, one that is late or out
//!   of reach goes behind the others, and is given up at the second time in a row. With fewer than k shares left the
//!   repair fails.
//! - At most the window's number of segments is held. With a pace, a segment is begun only when the bytes of its blocks,
//!   read and written, have been granted; what had to be moved twice is made up for by the next.
//! - Two repairs at once do no harm: who is told that the share is there asks of which file, and is done. At the end what
//!   is open is aborted; what is durable, or about to be, stays, as it is good.
//!
//! Not promised: that what nodes say they hold is there (only what is read is found out), that shares found damaged on the
//! way are replaced in this run, any bound on how long a budget may take, and that a file is the right one when no hash is
//! given and liars are as many as the honest nodes that hold it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use truckee_grid::geometry::Geometry;
use truckee_grid::ids::{Hash, NodeId, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_grid::pipeline::{DecodeError, FetchedBlock, FileFacts, RebuiltSegment};
use truckee_wire::message::{self, Lane, Request, Response};

use self::goals::Goal;
use self::judging::Claim;
use self::pace::Pace;
use self::sources::Sources;
use self::window::Window;
use crate::session::CallError;
use crate::time::Mono;
use crate::transfer::supply::{Ask, Shape};
use crate::transfer::survey::Survey;
use crate::transfer::{self, Call, Calls, PeerWhy, Token, Verdict};

mod error;
mod goals;
mod judging;
mod pace;
mod reading;
mod report;
mod sources;
#[cfg(test)]
mod tests;
mod timers;
mod window;
mod writing;

pub use self::error::{RepairError, RepairFailed};
pub use self::report::{
    Conflict, Findings, Placed, RepairOutcome, RepairReport, RepairTimings, Unplaced, UnplacedWhy,
};
pub use crate::check::CorruptShare;
pub use crate::download::Corruption;

#[cfg(doc)]
use truckee_grid::placement;

/// Time for a peer to say which shares it holds: twice that of others who ask, as a repair's questions wait behind blocks.
pub const FIND_BUDGET: Duration = Duration::from_secs(10);

/// Time for a block: as long as a link may be silent and then some. Nobody waits for a repair, so only a source that is
/// of no use is replaced.
pub const READ_BUDGET: Duration = Duration::from_secs(20);

/// Bytes of blocks that one repair holds by default: four segments of 1 MiB coded 3-of-10 of which three shares are
/// missing, so that one is read, one rebuilt and one written.
pub const WINDOW_BYTES: usize = 8 << 20;

/// Most segments in the window; more small ones gain nothing. One is always allowed.
const WINDOW_SEGMENTS_MAX: usize = 16;

/// Nodes that are tried for one share: the first and the one that replaces it. Further ones are for the next repair, which
/// asks anew who is there.
const TARGETS_MAX: usize = 2;

/// What to repair, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the file on storage nodes.
    pub si: StorageIndex,
    /// What the cap says of the UEB, if somebody who has it asks; `None`: the nodes decide by majority.
    pub ueb_hash: Option<Hash>,
    /// All live storage nodes in the order of the file's ring, zones spread.
    pub candidates: Vec<NodeId>,
    /// Those of them that take new shares: neither full nor about to leave.
    pub takers: BTreeSet<NodeId>,
    /// Those of them that are being emptied: what they hold is read, and counts as missing.
    pub draining: BTreeSet<NodeId>,
    /// Copies that somebody has read and found damaged: they are not there, whatever their nodes say, and these get nothing.
    pub distrusted: BTreeSet<(NodeId, ShareNumber)>,
    /// Name of this attempt; random.
    pub upload: UploadId,
    /// Bytes of blocks that may be held.
    pub window_bytes: usize,
    /// Whether bytes are moved only as far as [`Repair::handle_budget`] has granted.
    pub paced: bool,
}

/// What the shell has to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Send a request and report its end by [`Repair::handle_answer`].
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
    /// Rebuild a segment with the facts of [`Repair::file`] and report by [`Repair::handle_rebuilt`].
    Rebuild {
        /// Names the work.
        job: u64,
        /// Which segment.
        segment: SegmentIndex,
        /// Blocks of k shares.
        blocks: Vec<FetchedBlock>,
        /// The shares whose blocks are to be made.
        wanted: Vec<ShareNumber>,
    },
    /// So many bytes are to be moved next, and have not been granted yet; report by [`Repair::handle_budget`]. Comes once,
    /// and again for what is missing after a grant that was not enough.
    NeedBudget {
        /// Bytes.
        bytes: u64,
    },
    /// What could be repaired is. Last effect.
    Completed(Box<RepairReport>),
    /// Nothing could be repaired, or no more. Last effect.
    Failed(Box<RepairFailed>),
}

/// How far a repair is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairProgress {
    /// Nodes that have said what they hold, or will not.
    pub asked: usize,
    /// Nodes in all.
    pub nodes: usize,
    /// Segments rebuilt in the reading under way.
    pub segments_done: u64,
    /// Segments of the file; 0 while it is not known.
    pub segments: u64,
    /// Bytes of blocks received.
    pub read_bytes: u64,
    /// Bytes of blocks that nodes have taken.
    pub written_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Asking,
    Opening,
    Rebuilding,
    Ended,
}

/// What a request was for. Peers are indexes into the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Find { peer: usize },
    Read { copy: usize, segment: u64 },
    Share { goal: usize, ask: Ask },
}

/// The file, once it has been decided which one.
#[derive(Clone, Debug)]
struct Known {
    facts: Arc<FileFacts>,
    /// The same as peers say it.
    said: message::FileFacts,
    geometry: Geometry,
    shape: Shape,
}

/// Moments that the timings are made of.
#[derive(Debug)]
struct Marks {
    started: Mono,
    asked: Option<Mono>,
    reading_since: Option<Mono>,
    opening: Duration,
    fetching: Duration,
    rebuilding: Duration,
    first_sent: Option<Mono>,
    last_taken: Option<Mono>,
}

/// The machine. Inputs are the `handle_*` methods; after each, take effects by [`Repair::poll_effect`] until there are
/// none, and call [`Repair::handle_timeout`] when [`Repair::next_deadline`] has come.
#[derive(Debug)]
pub struct Repair {
    config: Config,
    phase: Phase,
    survey: Survey,
    /// While asking: of which files nodes say that they hold shares.
    claims: BTreeMap<Hash, Claim>,
    known: Option<Known>,
    /// Which shares of the file are held where, as nodes say.
    before: Vec<(NodeId, ShareNumber)>,
    sources: Sources,
    /// Who may get shares, in order.
    ring: Vec<NodeId>,
    goals: Vec<Goal>,
    /// The first thing that went wrong with a peer after it had answered. It gets no further share.
    troubles: BTreeMap<usize, PeerWhy>,
    window: Window,
    pace: Pace,
    calls: Calls<Purpose>,
    next_job: u64,
    marks: Marks,
    findings: Findings,
    effects: VecDeque<Effect>,
}

impl Repair {
    /// Starts a repair. The first effects are there at once.
    pub fn new(config: Config, now: Mono) -> Self {
        let mut seen = BTreeSet::new();
        let distinct = config.candidates.iter().copied();
        let distinct: Vec<NodeId> = distinct.filter(|id| seen.insert(*id)).collect();
        let mut repair = Self {
            phase: Phase::Asking,
            survey: Survey::new(distinct.iter().copied()),
            claims: BTreeMap::new(),
            known: None,
            before: Vec::new(),
            sources: Sources::new(distinct.len()),
            ring: Vec::new(),
            goals: Vec::new(),
            troubles: BTreeMap::new(),
            window: Window::default(),
            pace: Pace::new(config.paced),
            calls: Calls::new(),
            next_job: 0,
            marks: Marks::start(now),
            findings: Findings::default(),
            effects: VecDeque::new(),
            config,
        };
        repair.go_on(now);
        repair
    }

    /// The facts about the file, once it has been decided which one. Every [`Effect::Rebuild`] comes after.
    pub fn file(&self) -> Option<&Arc<FileFacts>> {
        self.known.as_ref().map(|known| &known.facts)
    }

    /// How far it is.
    pub fn progress(&self) -> RepairProgress {
        RepairProgress {
            asked: self.survey.settled(),
            nodes: self.survey.peers().len(),
            segments_done: self.window.rebuilt_end(),
            segments: self.known.as_ref().map_or(0, |known| known.geometry.segments()),
            read_bytes: self.findings.read_bytes,
            written_bytes: self.findings.written_bytes,
        }
    }

    /// Segments that may be held at once.
    pub fn window_segments(&self) -> usize {
        self.window.capacity()
    }

    /// Bytes of blocks held or about to be, and the most that may be.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> (usize, usize) {
        let Some(known) = &self.known else { return (0, 0) };
        let block_bytes = known.geometry.full_block_bytes();
        let one = block_bytes * (known.shape.coding.k() + self.goals.len());
        (
            self.window.held_bytes(block_bytes),
            self.config.window_bytes.max(one),
        )
    }

    /// Whether the last effect has been made.
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// A request has ended. An answer to a token that is unknown or cancelled is ignored.
    pub fn handle_answer(&mut self, now: Mono, token: Token, result: Result<Response, CallError>) {
        if self.has_ended() {
            return;
        }
        let Some(call) = self.calls.close(token) else {
            return;
        };
        self.on_verdict(now, token, call, transfer::judge(result));
        self.go_on(now);
    }

    /// A segment has been rebuilt, or could not be; `None`: the work itself failed, and the reason is in the log.
    pub fn handle_rebuilt(
        &mut self,
        now: Mono,
        job: u64,
        rebuilt: Option<Result<RebuiltSegment, DecodeError>>,
    ) {
        if !self.has_ended() {
            self.on_rebuilt(now, job, rebuilt);
            self.go_on(now);
        }
    }

    /// So many more bytes may be moved.
    pub fn handle_budget(&mut self, now: Mono, bytes: u64) {
        if !self.has_ended() {
            self.pace.grant(bytes);
            self.go_on(now);
        }
    }

    /// Nobody wants the repair any more.
    pub fn handle_cancel(&mut self, now: Mono) {
        if !self.has_ended() {
            self.fail(now, RepairError::Cancelled);
        }
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Does everything that the state now calls for; after each input.
    fn go_on(&mut self, now: Mono) {
        if self.phase == Phase::Asking {
            self.ask_more(now);
            if !self.survey.is_over() {
                return;
            }
            self.decide(now);
        }
        let is_writing = |goal: &Goal| goal.writing().is_some();
        while !self.has_ended() && !self.goals.iter().any(is_writing) {
            self.end_reading(now);
        }
        if self.phase == Phase::Opening && !self.is_opening() {
            self.begin_reading(now);
        }
        if self.phase == Phase::Rebuilding {
            self.read_on(now);
        }
    }

    fn on_verdict(&mut self, now: Mono, token: Token, call: Call<Purpose>, verdict: Verdict) {
        match call.what {
            Purpose::Find { peer } => self.on_find_verdict(now, peer, verdict),
            Purpose::Read { copy, segment } => {
                self.on_read_verdict(now, (token, call.sent_at), (copy, segment), verdict);
            }
            Purpose::Share { goal, ask } => self.on_share_verdict(now, goal, ask, verdict),
        }
    }

    fn send(&mut self, now: Mono, peer: usize, purpose: Purpose, request: Request) -> Token {
        let budget = match purpose {
            Purpose::Find { .. } => FIND_BUDGET,
            Purpose::Read { .. } => READ_BUDGET,
            Purpose::Share { ask, .. } => ask.budget(FIND_BUDGET),
        };
        let token = self.calls.open(now, budget, purpose);
        self.effects.push_back(Effect::Send {
            token,
            peer: self.survey.peers()[peer].id,
            request,
            // Healing is in nobody's way.
            lane: Lane::Bulk,
            budget,
        });
        token
    }

    fn cancel(&mut self, token: Token) {
        if self.calls.close(token).is_some() {
            self.effects.push_back(Effect::CancelSend { token });
        }
    }

    fn complete(&mut self, now: Mono, known: &Known) {
        let report = self.report(now, known);
        self.end(Effect::Completed(Box::new(report)));
    }

    fn fail(&mut self, now: Mono, error: RepairError) {
        for goal in 0..self.goals.len() {
            self.drop_writer(goal, true);
        }
        let findings = self.take_findings(now);
        self.end(Effect::Failed(Box::new(RepairFailed { error, findings })));
    }

    fn end(&mut self, verdict: Effect) {
        for token in self.calls.take_all() {
            self.effects.push_back(Effect::CancelSend { token });
        }
        self.phase = Phase::Ended;
        self.window = Window::default();
        self.claims.clear();
        self.effects.push_back(verdict);
    }
}

impl Marks {
    fn start(now: Mono) -> Self {
        Self {
            started: now,
            asked: None,
            reading_since: None,
            opening: Duration::ZERO,
            fetching: Duration::ZERO,
            rebuilding: Duration::ZERO,
            first_sent: None,
            last_taken: None,
        }
    }
}
