//! What the end of each request means.

use truckee_wire::message::{FoundShares, Response};

use super::share::{Loss, Place};
use super::{Purpose, Upload};
use crate::time::Mono;
use crate::transfer::supply::Ask;
use crate::transfer::writer::Step;
use crate::transfer::{PeerWhy, Verdict};

impl Upload {
    pub(super) fn on_verdict(&mut self, now: Mono, purpose: Purpose, verdict: Verdict) {
        match purpose {
            Purpose::Find { peer } => return self.on_found(now, peer, verdict),
            Purpose::Share { share, ask } => self.on_share_verdict(now, share, ask, verdict),
        }
        self.after_answer(now);
    }

    /// Draws the consequences of any change to the shares.
    pub(super) fn after_answer(&mut self, now: Mono) {
        if self.check_reachable() {
            self.mark_chosen(now);
            self.release();
            self.settle(now);
        }
    }

    fn on_found(&mut self, now: Mono, peer: usize, verdict: Verdict) {
        self.finds_out -= 1;
        match verdict {
            Verdict::Done(Response::FoundShares(FoundShares { shares, file, .. })) => {
                if let Some(file) = file {
                    self.peers[peer].found = Some((shares, Box::new(file)));
                }
            }
            Verdict::Done(_) => self.blame(peer, PeerWhy::WrongAnswer),
            // Too busy to say what it holds is not too busy to take a share.
            Verdict::Again(_) => {}
            Verdict::Failed(why) | Verdict::Gone(why) => self.blame(peer, why),
        }
        if self.check_reachable() {
            self.begin_writing(now);
        }
    }

    fn on_share_verdict(&mut self, now: Mono, share: usize, ask: Ask, verdict: Verdict) {
        let Some(writer) = self.shares[share].writer() else {
            return;
        };
        let peer = writer.peer;
        match writer.on_verdict(now, ask, verdict) {
            Step::GoOn => {}
            Step::Took => self.marks.last_acked = Some(now),
            Step::Durable => {
                self.marks.last_acked.get_or_insert(now);
                self.shares[share].place = Place::Durable { peer, existed: false };
            }
            Step::Had(found) => return self.on_checked(now, share, found),
            Step::Lost(why) => return self.lose(now, share, why),
            Step::Gone(why) => return self.lose_peer(now, peer, why),
        }
        self.advance(now, share);
    }

    /// A peer that had the share before it was sent says of which file it is.
    fn on_checked(&mut self, now: Mono, share: usize, found: FoundShares) {
        let number = self.shares[share].number;
        let Some(peer) = self.shares[share].live_peer() else {
            return;
        };
        let file = found
            .file
            .filter(|file| found.shares.contains(&number) && self.could_be_ours(file));
        let Some(file) = file else {
            return self.lose(now, share, PeerWhy::Foreign);
        };
        self.peers[peer].found = Some((found.shares, Box::new(file)));
        self.shares[share].place = Place::Held { peer };
        if self.file.is_some() {
            self.confirm_held(now);
        }
    }

    fn lose(&mut self, now: Mono, share: usize, why: PeerWhy) {
        self.lose_share(
            now,
            share,
            Loss {
                why,
                peer_listens: true,
            },
        );
    }
}
