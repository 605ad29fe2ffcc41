//! Who holds which shares, as the nodes themselves say.

use std::collections::BTreeMap;
use std::sync::Arc;

use truckee_grid::pipeline::{FactsError, FileFacts};
use truckee_wire::message::{FindShares, FoundShares, Request};

use super::{Check, CheckError, Copy, CopyState, Corruption, Purpose};
use crate::time::Mono;
use crate::transfer::Verdict;

impl Check {
    /// Asks the nodes that are to be asked, as many as may be at a time.
    pub(super) fn ask_more(&mut self, now: Mono) {
        while let Some(peer) = self.survey.next_due(now) {
            let request = FindShares {
                si: self.config.file.si,
                inline_bytes_max: 0,
            };
            self.send(now, Purpose::Find { peer }, peer, Request::FindShares(request));
        }
    }

    pub(super) fn on_find_verdict(&mut self, now: Mono, peer: usize, verdict: Verdict) {
        let found = self.survey.on_verdict(now, peer, verdict);
        self.progress.asked = self.survey.settled();
        if let Some(found) = found {
            self.on_found(peer, found);
        }
    }

    fn on_found(&mut self, peer: usize, found: FoundShares) {
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
                self.incompatible.push((self.survey.peers()[peer].id, share));
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
