//! What the end of each request means.

use truckee_wire::message::{FailureCode, FoundShares, Response};

use super::share::{Loss, Place, Stage};
use super::{BUSY_TRIES_MAX, Purpose, Upload};
use crate::time::Mono;
use crate::transfer::{PeerWhy, Verdict};

impl Upload {
    pub(super) fn on_verdict(&mut self, now: Mono, purpose: Purpose, verdict: Verdict) {
        match purpose {
            Purpose::Find { peer } => return self.on_found(now, peer, verdict),
            Purpose::Write { share, segment } => self.on_block(now, share, segment, &verdict),
            Purpose::Keep { share } => self.on_kept(now, share, &verdict),
            Purpose::Open { share }
            | Purpose::Check { share }
            | Purpose::Close { share }
            | Purpose::Put { share } => self.on_request(now, share, purpose, verdict),
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

    fn on_block(&mut self, now: Mono, share: usize, segment: u64, verdict: &Verdict) {
        let Some(writer) = self.shares[share].writer() else {
            return;
        };
        let peer = writer.peer;
        match *verdict {
            Verdict::Done(Response::BlockWritten) => {
                writer.acknowledged(segment);
                self.marks.last_acked = Some(now);
            }
            Verdict::Done(_) => return self.lose(now, share, PeerWhy::WrongAnswer),
            Verdict::Again(wait) => {
                // All blocks of a window may come back busy: that is one refusal, not many.
                let first = !writer.is_rewinding();
                writer.refused(segment);
                if first && writer.wait(now, wait) > BUSY_TRIES_MAX {
                    return self.lose(now, share, PeerWhy::StayedBusy);
                }
            }
            Verdict::Failed(PeerWhy::Refused {
                code: FailureCode::BadRequest,
            }) if writer.is_rewinding() => {
                writer.refused(segment);
            }
            Verdict::Failed(why) => return self.lose(now, share, why),
            Verdict::Gone(why) => return self.lose_peer(now, peer, why),
        }
        self.advance(now, share);
    }

    /// Whatever a peer answers that can be reached: the next block shows whether the share is still open.
    fn on_kept(&mut self, now: Mono, share: usize, verdict: &Verdict) {
        let Some(writer) = self.shares[share].writer() else {
            return;
        };
        writer.keep_out = None;
        let peer = writer.peer;
        if let Verdict::Gone(why) = verdict {
            self.lose_peer(now, peer, *why);
        }
    }

    fn on_request(&mut self, now: Mono, share: usize, purpose: Purpose, verdict: Verdict) {
        let Some(writer) = self.shares[share].writer() else {
            return;
        };
        let peer = writer.peer;
        let response = match verdict {
            Verdict::Done(response) => response,
            Verdict::Again(wait) => {
                writer.request_out = None;
                // A busy peer has opened nothing.
                writer.opened &= !matches!(purpose, Purpose::Open { .. });
                if writer.wait(now, wait) > BUSY_TRIES_MAX {
                    self.lose(now, share, PeerWhy::StayedBusy);
                }
                return;
            }
            Verdict::Failed(why) => return self.lose(now, share, why),
            Verdict::Gone(why) => return self.lose_peer(now, peer, why),
        };
        match (purpose, response) {
            (Purpose::Open { .. }, Response::ShareOpened { already_there: false }) => {
                writer.answered(Stage::Open);
            }
            (Purpose::Open { .. }, Response::ShareOpened { already_there: true }) => {
                writer.opened = false;
                writer.answered(Stage::Checking);
            }
            (Purpose::Put { .. }, Response::SharePut { already_there: true }) => {
                writer.answered(Stage::Checking);
            }
            (Purpose::Put { .. }, Response::SharePut { already_there: false })
            | (Purpose::Close { .. }, Response::ShareClosed) => {
                self.marks.last_acked.get_or_insert(now);
                self.shares[share].place = Place::Durable { peer, existed: false };
            }
            (Purpose::Check { .. }, Response::FoundShares(found)) => {
                return self.on_checked(now, share, found);
            }
            _ => return self.lose(now, share, PeerWhy::WrongAnswer),
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
