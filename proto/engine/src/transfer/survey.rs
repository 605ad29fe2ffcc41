//! Who holds which shares of a file, as the nodes themselves say: every node is asked, a bounded number at a time. Owns
//! whom it has asked how often, and whether the node's answer, or the lack of one, is final; what an answer means, and the
//! sending, is for whoever wants to know.
//!
//! A busy node is asked again after a rest, a bounded number of times; a lost link gets one more chance.

use std::ops::Range;
use std::time::Duration;

use truckee_grid::ids::NodeId;
use truckee_wire::message::{FoundShares, Response};

use super::{PeerReport, PeerWhy, Verdict};
use crate::time::Mono;

/// Nodes that are asked at the same time: more than most meshes have, few enough for the queues of one link to each.
pub(crate) const FINDS_MAX: usize = 64;

/// How often the same question is asked of the same busy peer. Rests double, so that this is ten seconds at most.
pub(crate) const TRIES_MAX: u32 = 10;

/// How often it is asked when the link was lost under way.
pub(crate) const LOST_TRIES_MAX: u32 = 2;

/// Shortest and longest rest before the same question is asked again.
pub(crate) const REST: Range<Duration> = Duration::from_millis(20)..Duration::from_secs(2);

/// How long to rest after a try that met a busy peer, or a full link: what was asked for, doubled with each try.
pub(crate) fn rest(wait: Duration, tries: u32) -> Duration {
    let doubled = wait.max(REST.start) * 2_u32.saturating_pow(tries.saturating_sub(1).min(10));
    doubled.min(REST.end)
}

/// One node.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: NodeId,
    tries: u32,
    losses: u32,
    ask_again_at: Option<Mono>,
    /// Whether its answer, or the lack of one, is final.
    settled: bool,
    /// Why it cannot be asked.
    why: Option<PeerWhy>,
    pub(crate) responded: bool,
}

impl Asked {
    fn new(id: NodeId) -> Self {
        Self {
            id,
            tries: 0,
            losses: 0,
            ask_again_at: None,
            settled: false,
            why: None,
            responded: false,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Survey {
    peers: Vec<Asked>,
    unasked: usize,
    out: usize,
    settled: usize,
}

impl Survey {
    /// Nobody is asked yet.
    pub(crate) fn new(peers: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            peers: peers.into_iter().map(Asked::new).collect(),
            unasked: 0,
            out: 0,
            settled: 0,
        }
    }

    pub(crate) fn peers(&self) -> &[Asked] {
        &self.peers
    }

    /// The next node to be asked now, which then counts as asked.
    pub(crate) fn next_due(&mut self, now: Mono) -> Option<usize> {
        let again = |peer: &Asked| peer.ask_again_at.is_some_and(|at| at <= now);
        let due = match self.peers.iter().position(again) {
            Some(peer) => peer,
            None if self.unasked < self.peers.len() && self.out < FINDS_MAX => {
                self.unasked += 1;
                self.unasked - 1
            }
            None => return None,
        };
        self.out += 1;
        self.peers[due].ask_again_at = None;
        self.peers[due].tries += 1;
        Some(due)
    }

    /// The end of a question. Gives what the node says that it holds.
    pub(crate) fn on_verdict(&mut self, now: Mono, peer: usize, verdict: Verdict) -> Option<FoundShares> {
        self.out -= 1;
        match verdict {
            Verdict::Done(Response::FoundShares(found)) => {
                self.settle(peer, None);
                return Some(found);
            }
            Verdict::Done(_) => self.settle(peer, Some(PeerWhy::WrongAnswer)),
            Verdict::Again(wait) if self.peers[peer].tries < TRIES_MAX => self.ask_again(now, peer, wait),
            Verdict::Again(_) => self.settle(peer, Some(PeerWhy::StayedBusy)),
            // It was not there and answers that it is not: there is no share here, and it did answer.
            Verdict::Failed(PeerWhy::NoShare) => self.settle(peer, None),
            Verdict::Failed(why) => self.settle(peer, Some(why)),
            Verdict::Gone(PeerWhy::LinkLost) if self.peers[peer].losses + 1 < LOST_TRIES_MAX => {
                self.peers[peer].losses += 1;
                self.ask_again(now, peer, REST.start);
            }
            Verdict::Gone(why) => self.settle(peer, Some(why)),
        }
        None
    }

    fn ask_again(&mut self, now: Mono, peer: usize, wait: Duration) {
        let tries = self.peers[peer].tries;
        self.peers[peer].ask_again_at = Some(now + rest(wait, tries));
    }

    fn settle(&mut self, peer: usize, why: Option<PeerWhy>) {
        self.settled += 1;
        let peer = &mut self.peers[peer];
        peer.settled = true;
        peer.responded = why.is_none();
        peer.why = why;
    }

    /// A node did answer, and then did not give what it said that it has: it counts as one that does not answer.
    pub(crate) fn take_back(&mut self, peer: usize, why: PeerWhy) {
        self.peers[peer].responded = false;
        self.peers[peer].why = Some(why);
    }

    /// Nodes that have answered, or will not.
    pub(crate) fn settled(&self) -> usize {
        self.settled
    }

    /// Whether there is nobody left to wait for.
    pub(crate) fn is_over(&self) -> bool {
        self.settled == self.peers.len()
    }

    /// When a node is to be asked again.
    pub(crate) fn next_at(&self) -> Option<Mono> {
        self.peers.iter().filter_map(|peer| peer.ask_again_at).min()
    }

    /// Reports of those that did not answer.
    pub(crate) fn silent(&self) -> Vec<PeerReport> {
        let silent = self.peers.iter().filter(|peer| !peer.responded);
        silent
            .map(|peer| PeerReport {
                peer: peer.id,
                why: peer.why.unwrap_or(PeerWhy::TimedOut),
            })
            .collect()
    }
}
