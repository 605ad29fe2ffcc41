//! Who holds which shares, as the nodes themselves say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use truckee_grid::pipeline::{FactsError, FileFacts};
use truckee_wire::message::{FindShares, FoundShares, Request, Response};

use super::{
    Check, CheckError, Copy, CopyState, Corruption, FINDS_MAX, LOST_TRIES_MAX, Purpose, REST, TRIES_MAX, rest,
};
use crate::time::Mono;
use crate::transfer::{PeerWhy, Verdict};

impl Check {
    /// Asks the nodes that are to be asked, as many as may be at a time.
    pub(super) fn ask_more(&mut self, now: Mono) {
        for index in 0..self.peers.len() {
            let due = self.peers[index].ask_again_at.is_some_and(|at| at <= now);
            if due {
                self.peers[index].ask_again_at = None;
                self.ask(now, index);
            }
        }
        while self.unasked < self.peers.len() && self.finds_out < FINDS_MAX {
            self.ask(now, self.unasked);
            self.unasked += 1;
        }
    }

    fn ask(&mut self, now: Mono, peer: usize) {
        let request = FindShares {
            si: self.config.file.si,
            inline_bytes_max: 0,
        };
        self.finds_out += 1;
        self.peers[peer].tries += 1;
        self.send(now, Purpose::Find { peer }, peer, Request::FindShares(request));
    }

    pub(super) fn on_find_verdict(&mut self, now: Mono, peer: usize, verdict: Verdict) {
        match verdict {
            Verdict::Done(Response::FoundShares(found)) => self.on_found(peer, found),
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
    }

    fn ask_again(&mut self, now: Mono, peer: usize, wait: Duration) {
        let tries = self.peers[peer].tries;
        self.peers[peer].ask_again_at = Some(now + rest(wait, tries));
    }

    fn settle(&mut self, peer: usize, why: Option<PeerWhy>) {
        let peer = &mut self.peers[peer];
        peer.settled = true;
        peer.responded = why.is_none();
        peer.why = why;
        self.progress.asked += 1;
    }

    fn on_found(&mut self, peer: usize, found: FoundShares) {
        self.settle(peer, None);
        let Some(said) = found.file.filter(|_| !found.shares.is_empty()) else {
            return;
        };
        let share_roots: Vec<u8> = said.share_roots.iter().flat_map(|root| root.0).collect();
        let state = match FileFacts::verify(&self.config.file, &said.ueb.encode(), &share_roots) {
            Ok(facts) => {
                self.facts.get_or_insert_with(|| Arc::new(facts));
                CopyState::Good
            }
            Err(FactsError::Cap) => return self.fail(CheckError::CapContradicts),
            Err(_) => CopyState::Corrupt(Corruption::Facts),
        };
        for share in found.shares {
            if !self.config.file.coding.has(share) {
                self.incompatible.push((self.peers[peer].id, share));
                continue;
            }
            self.copies.push(Copy {
                peer,
                share,
                state,
                next: 0,
                good: 0,
                out: BTreeMap::new(),
                again: BTreeMap::new(),
            });
        }
    }
}
