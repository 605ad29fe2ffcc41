//! One check of a file as a machine without I/O: asks every storage node what it holds of the file, and, to verify,
//! reads every block of every share and has it hashed.
//!
//! States: *asking* (some node is still to say what it holds), *verifying* (blocks are read and hashed) and *ended*
//! (exactly one of [`Effect::Completed`] and [`Effect::Failed`] has been given out, as the last effect).
//!
//! The rules, each with its test:
//! - Every candidate is asked, a bounded number at a time; one that does not answer is reported as such, and its shares
//!   count as missing: whoever asks for the health of a file wants to know what could be read now.
//! - What a node says of the file counts only if its hash is the cap's; otherwise each share that it names is corrupt.
//! - Verifying reads all blocks of all copies of all shares, a bounded number of bytes at a time. The first bad block
//!   makes the share at that peer corrupt, and no more of it is read but this block once more as a suspect one: so the
//!   peer looks itself, and puts the share aside before the check has ended. What it says to that changes no verdict.
//! - A busy peer is asked again after a rest, a bounded number of times; a lost link gets one more chance.
//!
//! Not promised: that the shares decode to what the key means (that takes the key; a download finds out), and that the
//! map is of one moment.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use truckee_grid::caps::ChkVerifier;
use truckee_grid::ids::{NodeId, SegmentIndex, ShareNumber};
use truckee_grid::pipeline::{BadBlockReason, FetchedBlock, FileFacts};
use truckee_wire::message::{Lane, Request, Response};

use crate::session::CallError;
use crate::time::Mono;
use crate::transfer::survey::Survey;
use crate::transfer::{self, Calls, PeerWhy, Token, Verdict, earlier};

mod asking;
mod report;
#[cfg(test)]
mod tests;
mod verifying;

pub use self::report::{CheckReport, CorruptShare};
pub use crate::download::Corruption;

/// Time for a peer to say which shares it holds.
pub const FIND_BUDGET: Duration = Duration::from_secs(5);

/// Time for a block: as long as a link may be silent and then some, as nobody else can give this block.
pub const READ_BUDGET: Duration = Duration::from_secs(20);

/// Bytes of blocks that may be asked for and not hashed yet: a dozen blocks of a 1 MiB segment coded 3-of-10, which
/// keeps ten disks and two cores busy. One block is always allowed.
pub const WINDOW_BYTES: usize = 4 << 20;

/// Blocks of one share that are asked for at the same time: one travels while the next is read.
const READS_PER_SHARE: u64 = 2;

/// Blocks that are hashed in one go: as many as the fastest hash takes side by side.
const BATCH_BLOCKS: usize = 8;

/// What to check, and where to look.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name and shape of the file, and the hash that says which file is the right one.
    pub file: ChkVerifier,
    /// All storage nodes.
    pub candidates: Vec<NodeId>,
    /// Whether to read and hash every block.
    pub verify: bool,
}

/// Why there is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The cap names a file by its hash and says something else of it than the file itself.
    #[error(
        "the cap says another size or coding than the file that it names: it was changed or copied wrongly"
    )]
    CapContradicts,
    /// Blocks could not be hashed; a fault of this program.
    #[error("blocks of segment {segment} could not be hashed, see the log")]
    Fault {
        /// Which one.
        segment: SegmentIndex,
    },
    /// Nobody waits for the report any more.
    #[error("the check was cancelled")]
    Cancelled,
}

/// Blocks to be hashed together.
#[derive(Debug)]
pub struct Batch {
    /// Names the batch.
    pub id: u64,
    /// The blocks.
    pub blocks: Vec<(SegmentIndex, FetchedBlock)>,
}

/// What the shell has to do, in this order.
// An effect is made, carried out and gone: it is never kept in numbers.
#[expect(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Effect {
    /// Send a request and report its end by [`Check::handle_answer`].
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
    /// Hash these blocks against the facts of [`Check::file`] and report by [`Check::handle_verified`].
    Verify(Batch),
    /// All that could be found out. Last effect.
    Completed(Box<CheckReport>),
    /// There is no report. Last effect.
    Failed(CheckError),
}

/// How far a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckProgress {
    /// Nodes that have answered, or will not.
    pub asked: usize,
    /// Nodes in all.
    pub nodes: usize,
    /// Blocks that were hashed.
    pub blocks: u64,
    /// Blocks known so far that are to be hashed.
    pub blocks_wanted: u64,
    /// Bytes of blocks received.
    pub received_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Asking,
    Verifying,
    Ended,
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Find {
        peer: usize,
    },
    Read {
        copy: usize,
        segment: u64,
    },
    /// The peer is told that the block is damaged.
    Tell {
        segment: u64,
    },
}

/// One share at one peer.
#[derive(Debug)]
struct Copy {
    peer: usize,
    share: ShareNumber,
    state: CopyState,
    /// Verifying: the first segment that was not asked for yet.
    next: u64,
    /// Segments whose blocks were found good.
    good: u64,
    /// Segments asked for whose blocks are not hashed yet, each with how often it was asked for.
    out: BTreeMap<u64, u32>,
    /// Segments to be asked for again, and when; `None`: as soon as the window has room.
    again: BTreeMap<u64, Option<Mono>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CopyState {
    /// As far as is known.
    Good,
    Corrupt(Corruption),
    /// The peer said that it holds it and then could not give it.
    Lost,
}

/// The machine. Inputs are the `handle_*` methods; after each, take effects by [`Check::poll_effect`] until there are
/// none, and call [`Check::handle_timeout`] when [`Check::next_deadline`] has come.
#[derive(Debug)]
pub struct Check {
    config: Config,
    phase: Phase,
    started: Mono,
    located: Duration,
    survey: Survey,
    copies: Vec<Copy>,
    incompatible: Vec<(NodeId, ShareNumber)>,
    facts: Option<Arc<FileFacts>>,
    calls: Calls<Purpose>,
    /// Bytes asked for and not hashed yet.
    window_used: usize,
    /// Peers that look at what they were told is damaged.
    telling: usize,
    /// The copy that is asked first for its next block.
    turn: usize,
    waiting: Vec<(usize, SegmentIndex, FetchedBlock)>,
    batches: BTreeMap<u64, Vec<(usize, SegmentIndex, usize)>>,
    next_batch: u64,
    progress: CheckProgress,
    effects: VecDeque<Effect>,
}

impl Check {
    /// Starts a check. The first effects are there at once.
    pub fn new(config: Config, now: Mono) -> Self {
        let distinct: BTreeSet<NodeId> = config.candidates.iter().copied().collect();
        let mut check = Self {
            phase: Phase::Asking,
            started: now,
            located: Duration::ZERO,
            copies: Vec::new(),
            incompatible: Vec::new(),
            facts: None,
            calls: Calls::new(),
            window_used: 0,
            telling: 0,
            turn: 0,
            waiting: Vec::new(),
            batches: BTreeMap::new(),
            next_batch: 0,
            progress: CheckProgress {
                nodes: distinct.len(),
                ..CheckProgress::default()
            },
            effects: VecDeque::new(),
            survey: Survey::new(distinct),
            config,
        };
        check.go_on(now);
        check
    }

    /// The facts about the file, once known. Every [`Effect::Verify`] comes after.
    pub fn file(&self) -> Option<&Arc<FileFacts>> {
        self.facts.as_ref()
    }

    /// How far it is.
    pub fn progress(&self) -> CheckProgress {
        self.progress
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
        self.on_verdict(now, call.what, transfer::judge(result));
        self.go_on(now);
    }

    /// The blocks of a batch were hashed, one verdict for each; `None`: they could not be, and the reason is in the log.
    pub fn handle_verified(
        &mut self,
        now: Mono,
        batch: u64,
        verdicts: Option<Vec<Result<(), BadBlockReason>>>,
    ) {
        if !self.has_ended() {
            self.on_verified(now, batch, verdicts);
            self.go_on(now);
        }
    }

    /// Nobody waits any more.
    pub fn handle_cancel(&mut self) {
        if !self.has_ended() {
            self.fail(CheckError::Cancelled);
        }
    }

    /// When [`Check::handle_timeout`] is to be called; `None`: not before another input.
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.has_ended() {
            return None;
        }
        let finds = self.survey.next_at();
        let reads = self.copies.iter().flat_map(|copy| copy.again.values());
        earlier(
            self.calls.next_overdue(),
            earlier(finds, reads.flatten().min().copied()),
        )
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono) {
        while !self.has_ended()
            && let Some(token) = self.calls.take_overdue(now)
            && let Some(call) = self.calls.close(token)
        {
            self.effects.push_back(Effect::CancelSend { token });
            self.on_verdict(now, call.what, Verdict::Failed(PeerWhy::TimedOut));
        }
        for at in self.copies.iter_mut().flat_map(|copy| copy.again.values_mut()) {
            *at = at.filter(|at| *at > now);
        }
        if !self.has_ended() {
            self.go_on(now);
        }
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn on_verdict(&mut self, now: Mono, purpose: Purpose, verdict: Verdict) {
        match purpose {
            Purpose::Find { peer } => self.on_find_verdict(now, peer, verdict),
            Purpose::Read { copy, segment } => self.on_read_verdict(now, copy, segment, verdict),
            Purpose::Tell { segment } => {
                self.telling -= 1;
                self.window_used -= self.block_bytes(segment);
            }
        }
    }

    /// Asks whatever can be asked now, and ends when nothing is left.
    fn go_on(&mut self, now: Mono) {
        if self.phase == Phase::Asking {
            self.ask_more(now);
            if self.survey.is_over() {
                self.located = now.saturating_sub(self.started);
                self.begin_verifying();
            }
        }
        if self.phase == Phase::Verifying {
            self.read_more(now);
            self.hash_waiting();
            if self.telling == 0 && self.copies.iter().all(|copy| self.is_through(copy)) {
                let report = self.report(now.saturating_sub(self.started));
                self.end(Effect::Completed(Box::new(report)));
            }
        }
    }

    fn send(&mut self, now: Mono, purpose: Purpose, peer: usize, request: Request) {
        let (lane, budget) = match purpose {
            Purpose::Find { .. } => (Lane::Interactive, FIND_BUDGET),
            Purpose::Read { .. } | Purpose::Tell { .. } => (Lane::Bulk, READ_BUDGET),
        };
        let token = self.calls.open(now, budget, purpose);
        self.effects.push_back(Effect::Send {
            token,
            peer: self.survey.peers()[peer].id,
            request,
            lane,
            budget,
        });
    }

    fn fail(&mut self, error: CheckError) {
        self.end(Effect::Failed(error));
    }

    fn end(&mut self, verdict: Effect) {
        for token in self.calls.take_all() {
            self.effects.push_back(Effect::CancelSend { token });
        }
        self.phase = Phase::Ended;
        self.waiting.clear();
        self.effects.push_back(verdict);
    }
}
