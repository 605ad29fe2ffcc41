//! The writing of one share to one peer, as uploads and repairs do it: what is sent next, and what each answer means.
//!
//! States: see [`Stage`]. Blocks go out in order, all that are there at once; a busy peer is left alone for a while, and
//! then gets again what it has not taken. Owns what the peer has acknowledged; who decides what becomes of a share that
//! its peer has failed, and sends the requests, is the transfer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truckee_wire::message::{FailureCode, FoundShares, Request, Response};

use super::supply::{Ask, Supply};
use super::{PeerWhy, Token, Verdict};
use crate::time::Mono;

/// Busy answers in a row before a peer loses its share; with the waits between them some ten seconds.
pub const BUSY_TRIES_MAX: u32 = 10;

/// Shortest and longest wait after a busy answer. The wait doubles from the shortest, or is what the peer asked for if
/// that is longer.
const BUSY_WAIT_MIN: Duration = Duration::from_millis(50);
const BUSY_WAIT_MAX: Duration = Duration::from_secs(2);

/// An open share of which nothing was heard for so long is kept alive by asking its peer to open it again: a third of the
/// time after which storage nodes give up an open share, so that one loss does no harm.
pub const KEEP_EVERY: Duration = Duration::from_secs(20);

/// What the end of a request means for the share.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing but that what can be sent now is to be sent.
    GoOn,
    /// The peer has taken a block; what can be sent now is to be sent.
    Took,
    /// The peer has it durably.
    Durable,
    /// The peer had it before, and says of which file.
    Had(FoundShares),
    /// The peer has failed the share.
    Lost(PeerWhy),
    /// The peer is out of reach, for all of its shares.
    Gone(PeerWhy),
}

/// What a share that is on its way does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Asks its peer to open it.
    Opening,
    /// Sends blocks.
    Open,
    /// All blocks are there; asks its peer to close it.
    Closing,
    /// The only segment goes out in one message.
    Putting,
    /// The peer holds this share already; asks of which file.
    Checking,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) peer: usize,
    pub(crate) since: Mono,
    pub(crate) stage: Stage,
    /// Whether the peer may have an open share to abort.
    pub(crate) opened: bool,
    /// Next segment whose block is to be sent.
    pub(crate) next: u64,
    /// The peer has the blocks of all segments below this.
    pub(crate) done: u64,
    /// Blocks beyond `done` that it has too.
    ahead: BTreeSet<u64>,
    /// Blocks on their way.
    pub(crate) blocks_out: BTreeMap<u64, Token>,
    /// The one request out in any stage but `Open`.
    pub(crate) request_out: Option<Token>,
    /// The request out that only says that the writer lives.
    keep_out: Option<Token>,
    /// When anything was sent to the peer last.
    last_sent: Mono,
    /// Nothing is sent before this moment: the peer was busy.
    pub(crate) retry_at: Option<Mono>,
    /// Busy answers since the last success.
    tries: u32,
    /// A block was refused as busy: those sent after it come back refused as out of order, and when none is on its way
    /// any more all that are missing go out again.
    rewinding: bool,
}

impl Writer {
    pub(crate) fn new(now: Mono, peer: usize, stage: Stage) -> Self {
        Self {
            peer,
            since: now,
            stage,
            opened: false,
            next: 0,
            done: 0,
            ahead: BTreeSet::new(),
            blocks_out: BTreeMap::new(),
            request_out: None,
            keep_out: None,
            last_sent: now,
            retry_at: None,
            tries: 0,
            rewinding: false,
        }
    }

    /// All requests that are out.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        self.blocks_out
            .values()
            .copied()
            .chain(self.request_out)
            .chain(self.keep_out)
            .collect()
    }

    /// When the peer is to be told that the writer lives; `None` while it is being talked to anyway.
    pub(crate) fn keep_at(&self) -> Option<Mono> {
        let idle = self.stage == Stage::Open && self.blocks_out.is_empty() && self.keep_out.is_none();
        (idle && self.retry_at.is_none()).then(|| self.last_sent + KEEP_EVERY)
    }

    /// What can be sent now. To be called again, after [`Writer::sent`], until it gives nothing.
    pub(crate) fn next_request(&mut self, supply: &Supply<'_>) -> Option<(Ask, Request)> {
        if self.retry_at.is_some() || self.request_out.is_some() {
            return None;
        }
        let ask = match self.stage {
            Stage::Opening => Ask::Open,
            Stage::Open => match self.next_block(supply.end) {
                Some(segment) => Ask::Write(segment),
                None if supply.file.is_some() && self.done == supply.end => {
                    self.stage = Stage::Closing;
                    Ask::Close
                }
                None => return None,
            },
            Stage::Closing => Ask::Close,
            Stage::Putting => Ask::Put,
            Stage::Checking => Ask::Check,
        };
        Some((ask, supply.request(ask)?))
    }

    /// A request has gone out.
    pub(crate) fn sent(&mut self, now: Mono, ask: Ask, token: Token) {
        self.last_sent = now;
        match ask {
            Ask::Write(segment) => {
                self.blocks_out.insert(segment, token);
                self.next = segment + 1;
            }
            Ask::Keep => self.keep_out = Some(token),
            Ask::Open | Ask::Close | Ask::Put | Ask::Check => {
                self.request_out = Some(token);
                self.opened |= ask == Ask::Open;
            }
        }
    }

    /// A request has ended.
    pub(crate) fn on_verdict(&mut self, now: Mono, ask: Ask, verdict: Verdict) -> Step {
        match ask {
            Ask::Write(segment) => self.on_block(now, segment, &verdict),
            Ask::Keep => self.on_kept(&verdict),
            Ask::Open | Ask::Close | Ask::Put | Ask::Check => self.on_request(now, ask, verdict),
        }
    }

    fn on_block(&mut self, now: Mono, segment: u64, verdict: &Verdict) -> Step {
        match *verdict {
            Verdict::Done(Response::BlockWritten) => {
                self.acknowledged(segment);
                return Step::Took;
            }
            Verdict::Done(_) => return Step::Lost(PeerWhy::WrongAnswer),
            Verdict::Again(wait) => {
                // All blocks of a window may come back busy: that is one refusal, not many.
                let first = !self.rewinding;
                self.refused(segment);
                if first && self.wait(now, wait) > BUSY_TRIES_MAX {
                    return Step::Lost(PeerWhy::StayedBusy);
                }
            }
            Verdict::Failed(PeerWhy::Refused {
                code: FailureCode::BadRequest,
            }) if self.rewinding => self.refused(segment),
            Verdict::Failed(why) => return Step::Lost(why),
            Verdict::Gone(why) => return Step::Gone(why),
        }
        Step::GoOn
    }

    /// Whatever a peer answers that can be reached: the next block shows whether the share is still open.
    fn on_kept(&mut self, verdict: &Verdict) -> Step {
        self.keep_out = None;
        match verdict {
            Verdict::Gone(why) => Step::Gone(*why),
            _ => Step::GoOn,
        }
    }

    fn on_request(&mut self, now: Mono, ask: Ask, verdict: Verdict) -> Step {
        let response = match verdict {
            Verdict::Done(response) => response,
            Verdict::Again(wait) => {
                self.request_out = None;
                // A busy peer has opened nothing.
                self.opened &= ask != Ask::Open;
                let tries = self.wait(now, wait);
                return if tries > BUSY_TRIES_MAX {
                    Step::Lost(PeerWhy::StayedBusy)
                } else {
                    Step::GoOn
                };
            }
            Verdict::Failed(why) => return Step::Lost(why),
            Verdict::Gone(why) => return Step::Gone(why),
        };
        match (ask, response) {
            (Ask::Open, Response::ShareOpened { already_there: false }) => self.answered(Stage::Open),
            (Ask::Open, Response::ShareOpened { already_there: true }) => {
                self.opened = false;
                self.answered(Stage::Checking);
            }
            (Ask::Put, Response::SharePut { already_there: true }) => self.answered(Stage::Checking),
            (Ask::Put, Response::SharePut { already_there: false }) | (Ask::Close, Response::ShareClosed) => {
                return Step::Durable;
            }
            (Ask::Check, Response::FoundShares(found)) => return Step::Had(found),
            _ => return Step::Lost(PeerWhy::WrongAnswer),
        }
        Step::GoOn
    }

    /// The segment whose block is to be sent now, if those below `end` can be.
    fn next_block(&mut self, end: u64) -> Option<u64> {
        if self.rewinding {
            if !self.blocks_out.is_empty() {
                return None;
            }
            self.rewinding = false;
            self.next = self.done;
        }
        while self.ahead.contains(&self.next) {
            self.next += 1;
        }
        (self.next < end).then_some(self.next)
    }

    /// The peer has this block.
    fn acknowledged(&mut self, segment: u64) {
        self.blocks_out.remove(&segment);
        self.tries = 0;
        self.ahead.insert(segment);
        while self.ahead.remove(&self.done) {
            self.done += 1;
        }
    }

    /// The block of this segment was refused, and has to go out again with those after it.
    fn refused(&mut self, segment: u64) {
        self.blocks_out.remove(&segment);
        self.rewinding = true;
    }

    /// A request other than a block has ended well.
    fn answered(&mut self, stage: Stage) {
        self.request_out = None;
        self.tries = 0;
        self.stage = stage;
    }

    /// The peer was busy: waits, and says how often in a row it has.
    fn wait(&mut self, now: Mono, asked: Duration) -> u32 {
        let doubled = BUSY_WAIT_MIN.saturating_mul(1 << self.tries.min(10));
        self.tries += 1;
        self.retry_at = Some(now + doubled.max(asked).min(BUSY_WAIT_MAX));
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The peer refuses the third block while later ones are on their way; all come again, in order.
    #[test]
    fn a_busy_answer_in_the_middle_of_a_window_loses_no_block() {
        let mut writer = Writer::new(Mono::ZERO, 0, Stage::Open);
        for segment in 0..5 {
            assert_eq!(writer.next_block(5), Some(segment));
            writer.sent(Mono::ZERO, Ask::Write(segment), Token(segment));
        }
        writer.acknowledged(1);
        writer.acknowledged(0);
        writer.refused(2);
        writer.refused(3);
        assert_eq!(writer.next_block(5), None, "one is still on its way");
        writer.refused(4);
        assert_eq!(writer.next_block(5), Some(2));
        writer.next = 3;
        assert_eq!(writer.next_block(5), Some(3));
    }
}
