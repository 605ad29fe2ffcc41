//! The end of an upload: the file is sealed, shares become durable, and one verdict is given.

use truckee_grid::ids::SegmentIndex;
use truckee_wire::message::FileFacts;

use super::share::{Loss, Place};
use super::{Effect, GRACE, GRACE_MOVED, Grace, Phase, Upload, UploadDone, UploadError};
use crate::time::Mono;
use crate::transfer::PeerWhy;
use crate::transfer::writer::{Stage, Writer};

impl Upload {
    /// All segments are encoded: what the shares say of the file is now known.
    pub(super) fn seal(&mut self, now: Mono) {
        let Ok(seal) = self.window.seal(self.config.encoding.segment_bytes()) else {
            let segment = SegmentIndex(self.window.next_index().saturating_sub(1));
            return self.fail(UploadError::Encode { segment });
        };
        self.file = Some(FileFacts {
            ueb: seal.ueb,
            share_roots: seal.share_roots,
        });
        self.marks.sealed = Some(now);
        if self.phase == Phase::Writing {
            self.confirm_held(now);
            self.after_answer(now);
        }
    }

    /// Shares that peers hold count if they are of this very file, and are lost if not.
    pub(super) fn confirm_held(&mut self, now: Mono) {
        for share in 0..self.shares.len() {
            let Place::Held { peer } = self.shares[share].place else {
                continue;
            };
            let same = self.peers[peer].found.as_ref().map(|(_, file)| file.as_ref()) == self.file.as_ref();
            if same {
                self.shares[share].place = Place::Durable { peer, existed: true };
            } else {
                self.lose_share(
                    now,
                    share,
                    Loss {
                        why: PeerWhy::Foreign,
                        peer_listens: true,
                    },
                );
            }
        }
    }

    /// Completes the upload if nothing more is to be awaited, and sets the last deadline if enough is durable.
    pub(super) fn settle(&mut self, now: Mono) {
        if self.phase != Phase::Writing || !self.is_durable() {
            return;
        }
        let awaited = self
            .shares
            .iter()
            .any(|share| matches!(share.place, Place::Writing(_) | Place::Held { .. }));
        if awaited {
            self.grace.get_or_insert(Grace {
                until: now + GRACE,
                moved: false,
            });
        } else {
            self.complete(now);
        }
    }

    fn is_durable(&self) -> bool {
        let encoding = &self.config.encoding;
        let durable = self
            .shares
            .iter()
            .filter(|share| share.durable_peer().is_some())
            .count();
        self.file.is_some()
            && durable >= encoding.coding().k()
            && self.happiness(super::Share::durable_peer) >= encoding.happy()
    }

    /// The grace is over: shares that are late move to other peers if they still can, and are given up if not. Those
    /// that have been moved, now or shortly before, get a little more.
    pub(super) fn end_grace(&mut self, now: Mono, grace: Grace) {
        if grace.moved {
            return self.complete(now);
        }
        self.grace = Some(Grace {
            until: now + GRACE_MOVED,
            moved: true,
        });
        for share in 0..self.shares.len() {
            let late = |writer: &Writer| writer.since + GRACE_MOVED <= now;
            if self.shares[share].writing().is_some_and(late) {
                self.lose_share(
                    now,
                    share,
                    Loss {
                        why: PeerWhy::TooSlow,
                        peer_listens: true,
                    },
                );
            }
        }
        self.after_answer(now);
    }

    /// Gives out the good verdict. Shares that are still on their way are given up.
    pub(super) fn complete(&mut self, now: Mono) {
        let Some(FileFacts { ueb, .. }) = self.file.clone() else {
            return;
        };
        for share in 0..self.shares.len() {
            if let Some(peer) = self.shares[share].writing().map(|writer| writer.peer) {
                self.blame(peer, PeerWhy::TooSlow);
                self.drop_writer(share, true);
                self.shares[share].place = Place::Lost;
            }
        }
        let placed = |share: &super::Share| Some((share.number, self.peers[share.durable_peer()?].id));
        let placements: Vec<_> = self.shares.iter().filter_map(placed).collect();
        let existed = |share: &&super::Share| matches!(share.place, Place::Durable { existed: true, .. });
        let happiness = self.happiness(super::Share::durable_peer);
        let n = self.shares.len();
        let done = UploadDone {
            ueb_hash: ueb.hash(),
            ueb,
            existing: self.shares.iter().filter(existed).count(),
            happiness,
            troubles: self.troubles(),
            needs_repair: placements.len() < n || happiness < n.min(self.peers.len()),
            placements,
            timings: self.marks.timings(now),
        };
        self.end(Effect::Completed(Box::new(done)));
    }

    /// Gives out the bad verdict, after everything unfinished has been told to go away.
    pub(super) fn fail(&mut self, error: UploadError) {
        for share in 0..self.shares.len() {
            self.take_back(share);
        }
        for token in self.calls.take_all() {
            self.effects.push_back(Effect::CancelSend { token });
        }
        self.end(Effect::Failed(error));
    }

    /// Undoes what this upload has done about a share, as far as its peer can still be told.
    fn take_back(&mut self, share: usize) {
        let put = self.shares[share]
            .writing()
            .filter(|writer| writer.stage == Stage::Putting);
        let may_be_there = put.is_some_and(|writer| writer.request_out.is_some())
            || matches!(self.shares[share].place, Place::Durable { existed: false, .. });
        self.drop_writer(share, true);
        if may_be_there && let Some(peer) = self.shares[share].live_peer() {
            self.notify_abort(share, peer);
        }
    }

    fn end(&mut self, verdict: Effect) {
        self.phase = Phase::Ended;
        self.grace = None;
        self.effects.push_back(verdict);
    }
}
