//! One share of an upload: where it is, and how far its writing has come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truckee_grid::ids::ShareNumber;

use super::{BUSY_WAIT_MAX, BUSY_WAIT_MIN, KEEP_EVERY};
use crate::time::Mono;
use crate::transfer::{PeerWhy, Token};

/// A share and the peers that have failed it.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) number: ShareNumber,
    pub(super) place: Place,
    /// Peers that have lost it; it does not go there again.
    pub(super) tried: BTreeSet<usize>,
}

/// Where a share is. Peers are indexes into the candidates.
#[derive(Debug)]
pub(super) enum Place {
    /// Not placed yet.
    Nowhere,
    /// The peer said that it holds the share; whether of this very file is known when the file is sealed.
    Held { peer: usize },
    /// On its way.
    Writing(Writer),
    /// The peer said that it is durable.
    Durable { peer: usize, existed: bool },
    /// Given up.
    Lost,
}

impl Share {
    pub(super) fn new(number: ShareNumber) -> Self {
        Self {
            number,
            place: Place::Nowhere,
            tried: BTreeSet::new(),
        }
    }

    /// The peer that has it or is going to have it.
    pub(super) fn live_peer(&self) -> Option<usize> {
        match &self.place {
            Place::Held { peer } | Place::Durable { peer, .. } => Some(*peer),
            Place::Writing(writer) => Some(writer.peer),
            Place::Nowhere | Place::Lost => None,
        }
    }

    pub(super) fn durable_peer(&self) -> Option<usize> {
        match self.place {
            Place::Durable { peer, .. } => Some(peer),
            _ => None,
        }
    }

    pub(super) fn writer(&mut self) -> Option<&mut Writer> {
        match &mut self.place {
            Place::Writing(writer) => Some(writer),
            _ => None,
        }
    }

    pub(super) fn writing(&self) -> Option<&Writer> {
        match &self.place {
            Place::Writing(writer) => Some(writer),
            _ => None,
        }
    }
}

/// What a share that is on its way does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
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

/// The writing of a share to one peer.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) peer: usize,
    pub(super) since: Mono,
    pub(super) stage: Stage,
    /// Whether the peer may have an open share to abort.
    pub(super) opened: bool,
    /// Next segment whose block is to be sent.
    pub(super) next: u64,
    /// The peer has the blocks of all segments below this.
    pub(super) done: u64,
    /// Blocks beyond `done` that it has too.
    ahead: BTreeSet<u64>,
    /// Blocks on their way.
    pub(super) blocks_out: BTreeMap<u64, Token>,
    /// The one request out in any stage but `Open`.
    pub(super) request_out: Option<Token>,
    /// The request out that only says that the upload lives.
    pub(super) keep_out: Option<Token>,
    /// When anything was sent to the peer last.
    pub(super) last_sent: Mono,
    /// Nothing is sent before this moment: the peer was busy.
    pub(super) retry_at: Option<Mono>,
    /// Busy answers since the last success.
    tries: u32,
    /// A block was refused as busy: those sent after it come back refused as out of order, and when none is on its way
    /// any more all that are missing go out again.
    rewinding: bool,
}

impl Writer {
    pub(super) fn new(now: Mono, peer: usize, stage: Stage) -> Self {
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
    pub(super) fn tokens(&self) -> Vec<Token> {
        self.blocks_out
            .values()
            .copied()
            .chain(self.request_out)
            .chain(self.keep_out)
            .collect()
    }

    pub(super) fn is_rewinding(&self) -> bool {
        self.rewinding
    }

    /// When the peer is to be told that the upload lives; `None` while it is being talked to anyway.
    pub(super) fn keep_at(&self) -> Option<Mono> {
        let idle = self.stage == Stage::Open && self.blocks_out.is_empty() && self.keep_out.is_none();
        (idle && self.retry_at.is_none()).then(|| self.last_sent + KEEP_EVERY)
    }

    /// The segment whose block is to be sent now, if those below `end` can be.
    pub(super) fn next_block(&mut self, end: u64) -> Option<u64> {
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
    pub(super) fn acknowledged(&mut self, segment: u64) {
        self.blocks_out.remove(&segment);
        self.tries = 0;
        self.ahead.insert(segment);
        while self.ahead.remove(&self.done) {
            self.done += 1;
        }
    }

    /// The block of this segment was refused, and has to go out again with those after it.
    pub(super) fn refused(&mut self, segment: u64) {
        self.blocks_out.remove(&segment);
        self.rewinding = true;
    }

    /// A request other than a block has ended well.
    pub(super) fn answered(&mut self, stage: Stage) {
        self.request_out = None;
        self.tries = 0;
        self.stage = stage;
    }

    /// The peer was busy: waits, and says how often in a row it has.
    pub(super) fn wait(&mut self, now: Mono, asked: Duration) -> u32 {
        let doubled = BUSY_WAIT_MIN.saturating_mul(1 << self.tries.min(10));
        self.tries += 1;
        self.retry_at = Some(now + doubled.max(asked).min(BUSY_WAIT_MAX));
        self.tries
    }
}

/// Why a share leaves its peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) why: PeerWhy,
    /// Whether the peer can still be told to forget the share.
    pub(super) peer_listens: bool,
}
