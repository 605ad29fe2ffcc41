//! What uploads, downloads, checks and repairs have in common: how they name the requests that they have out, what a
//! peer's refusal means for them, how they report peers to people; and, in modules of their own, asking who holds what and
//! writing a share.
//!
//! Owns no state machine. Not promised: that two transfers draw different tokens; a token is only known to its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use truckee_grid::ids::{Hash, NodeId, ShareNumber};
use truckee_grid::pipeline::FetchedBlock;
use truckee_wire::message::{BlockRead, FailureCode, Response};

use crate::session::CallError;
use crate::time::Mono;

pub(crate) mod supply;
pub(crate) mod survey;
pub(crate) mod writer;

#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
pub(crate) mod tests;

/// How long after the end of its budget a request is given up even if nobody reported it expired: the session reports
/// it at the end of the budget, so this only ends a transfer whose carrier broke its promise.
const OVERDUE_SLACK: Duration = Duration::from_secs(2);

/// Wait before a request is tried again that this node's own link had no room for: about the time that a few blocks
/// need to leave.
const SATURATED_RETRY: Duration = Duration::from_millis(20);

/// Names one request that a transfer has out; never used twice by the same transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Why a peer was of no use to a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerWhy {
    /// No link, and none can be made now.
    #[error("cannot be reached, next try in {} ms", retry_in.as_millis())]
    Unreachable {
        /// Time until the next dial.
        retry_in: Duration,
    },
    /// The link died while a request was under way.
    #[error("the link was lost")]
    LinkLost,
    /// No answer within the request's time.
    #[error("did not answer in time")]
    TimedOut,
    /// It held up the others for too long.
    #[error("was too slow")]
    TooSlow,
    /// It answered busy to every try.
    #[error("stayed busy")]
    StayedBusy,
    /// It has no space for new shares.
    #[error("has no space")]
    Full,
    /// It stops, or is going to.
    #[error("is stopping")]
    Leaving,
    /// It does not take this kind of request from this node.
    #[error("refused this node's role")]
    RefusedRole,
    /// Its disk or code failed.
    #[error("failed internally, see its log")]
    Faulty,
    /// It refused the request as such.
    #[error("refused the request with code {code:?}")]
    Refused {
        /// What it said.
        code: FailureCode,
    },
    /// Its answer does not fit the request.
    #[error("gave an answer that does not fit the request")]
    WrongAnswer,
    /// It holds shares under this name that do not belong to this file.
    #[error("holds shares of another file under this name")]
    Foreign,
    /// It holds no share, or no longer.
    #[error("has no share")]
    NoShare,
    /// Its share failed its hashes.
    #[error("has a damaged share")]
    Corrupt,
    /// The request breaks a bound of the wire; a fault of this program.
    #[error("could not be sent a request that breaks a bound")]
    Unsendable,
}

impl PeerWhy {
    /// A short name from a closed set, for metrics and programs.
    pub fn name(self) -> &'static str {
        match self {
            PeerWhy::Unreachable { .. } => "unreachable",
            PeerWhy::LinkLost => "link_lost",
            PeerWhy::TimedOut => "timed_out",
            PeerWhy::TooSlow => "too_slow",
            PeerWhy::StayedBusy => "busy",
            PeerWhy::Full => "full",
            PeerWhy::Leaving => "leaving",
            PeerWhy::RefusedRole => "refused_role",
            PeerWhy::Faulty => "faulty",
            PeerWhy::Refused { .. } => "refused",
            PeerWhy::WrongAnswer => "wrong_answer",
            PeerWhy::Foreign => "foreign",
            PeerWhy::NoShare => "no_share",
            PeerWhy::Corrupt => "corrupt",
            PeerWhy::Unsendable => "unsendable",
        }
    }
}

/// What one peer did to a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerReport {
    /// The peer.
    pub peer: NodeId,
    /// What went wrong with it.
    pub why: PeerWhy,
}

impl fmt::Display for PeerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.peer, self.why)
    }
}

/// Writes reports as the second half of a sentence.
pub(crate) fn write_reports(f: &mut fmt::Formatter<'_>, reports: &[PeerReport]) -> fmt::Result {
    for (index, report) in reports.iter().enumerate() {
        write!(f, "{} {report}", if index == 0 { ":" } else { ";" })?;
    }
    Ok(())
}

/// What the end of a request means for a transfer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The peer did it.
    Done(Response),
    /// The same request may work later.
    Again(Duration),
    /// The request failed; others to the same peer may work.
    Failed(PeerWhy),
    /// The peer itself is out of reach.
    Gone(PeerWhy),
}

/// Judges the end of a request.
pub(crate) fn judge(result: Result<Response, CallError>) -> Verdict {
    let failure = match result {
        Ok(response) => return Verdict::Done(response),
        Err(CallError::Refused(failure)) => failure,
        Err(CallError::Expired) => return Verdict::Failed(PeerWhy::TimedOut),
        Err(CallError::LinkLost) => return Verdict::Gone(PeerWhy::LinkLost),
        Err(CallError::Down { retry_in }) => return Verdict::Gone(PeerWhy::Unreachable { retry_in }),
        Err(CallError::Leaving) => return Verdict::Gone(PeerWhy::Leaving),
        Err(CallError::Saturated) => return Verdict::Again(SATURATED_RETRY),
        Err(CallError::BadAnswer(_)) => return Verdict::Failed(PeerWhy::WrongAnswer),
        Err(CallError::Unsendable(_)) => return Verdict::Failed(PeerWhy::Unsendable),
    };
    Verdict::Failed(match failure.code {
        FailureCode::Busy => return Verdict::Again(failure.retry_after),
        FailureCode::Full => PeerWhy::Full,
        FailureCode::NotFound => PeerWhy::NoShare,
        FailureCode::Corrupt => PeerWhy::Corrupt,
        FailureCode::RefusedRole => PeerWhy::RefusedRole,
        FailureCode::Expired => PeerWhy::TimedOut,
        FailureCode::Internal => PeerWhy::Faulty,
        code => PeerWhy::Refused { code },
    })
}

/// A block that came, with its proofs, as it is to be verified.
pub(crate) fn fetched(share: ShareNumber, read: BlockRead) -> FetchedBlock {
    let joined = |path: &[Hash]| path.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>();
    let sealed_path = [&read.sealed.leaf.0[..], &joined(&read.sealed.path)].concat();
    FetchedBlock {
        share,
        block: read.block,
        block_path: joined(&read.block_path).into(),
        sealed_path: sealed_path.into(),
    }
}

/// The requests that a transfer has out, each with what it was for.
#[derive(Debug)]
pub(crate) struct Calls<T> {
    next: u64,
    open: BTreeMap<Token, Call<T>>,
    overdue: BTreeSet<(Mono, Token)>,
}

/// One request that is out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<T> {
    /// What it was for.
    pub(crate) what: T,
    /// When it was sent.
    pub(crate) sent_at: Mono,
    overdue_at: Mono,
}

impl<T: Copy> Calls<T> {
    pub(crate) fn new() -> Self {
        Self {
            next: 1,
            open: BTreeMap::new(),
            overdue: BTreeSet::new(),
        }
    }

    /// Notes a request that goes out now with this much time.
    pub(crate) fn open(&mut self, now: Mono, budget: Duration, what: T) -> Token {
        let token = Token(self.next);
        self.next += 1;
        let overdue_at = now + budget + OVERDUE_SLACK;
        self.open.insert(
            token,
            Call {
                what,
                sent_at: now,
                overdue_at,
            },
        );
        self.overdue.insert((overdue_at, token));
        token
    }

    /// Ends a request; `None` if it has ended before.
    pub(crate) fn close(&mut self, token: Token) -> Option<Call<T>> {
        let call = self.open.remove(&token)?;
        self.overdue.remove(&(call.overdue_at, token));
        Some(call)
    }

    /// All requests that are out, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Token, &Call<T>)> {
        self.open.iter().map(|(token, call)| (*token, call))
    }

    /// When the first of them must be given up.
    pub(crate) fn next_overdue(&self) -> Option<Mono> {
        self.overdue.first().map(|(at, _)| *at)
    }

    /// One that must be given up by now.
    pub(crate) fn take_overdue(&mut self, now: Mono) -> Option<Token> {
        self.overdue
            .first()
            .filter(|(at, _)| *at <= now)
            .map(|(_, token)| *token)
    }

    /// Ends all of them.
    pub(crate) fn take_all(&mut self) -> Vec<Token> {
        self.overdue.clear();
        std::mem::take(&mut self.open).into_keys().collect()
    }
}

/// The earlier of two moments that may never come.
pub(crate) fn earlier(a: Option<Mono>, b: Option<Mono>) -> Option<Mono> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
