//! Which peer gets which share: at the start, and when a peer has failed.

use std::collections::BTreeMap;

use truckee_grid::ids::{NodeId, ShareNumber};
use truckee_grid::placement;
use truckee_wire::message::{FileFacts, FindShares, Request};

use super::share::{Loss, Place};
use super::{Effect, NotHappy, OPEN_BUDGET, Phase, Purpose, Upload, UploadError};
use crate::time::Mono;
use crate::transfer::writer::{Stage, Writer};
use crate::transfer::{PeerReport, PeerWhy};

impl Upload {
    /// Asks the likely peers which shares they hold: those that would get one, and as many after them, where shares
    /// lie that were placed when other peers were there.
    pub(super) fn find_existing(&mut self, now: Mono) {
        if !self.config.find_existing {
            return;
        }
        let asked = self.peers.len().min(2 * self.shares.len());
        for peer in 0..asked {
            let request = FindShares {
                si: self.config.si,
                inline_bytes_max: 0,
            };
            self.send(now, peer, Purpose::Find { peer }, Request::FindShares(request));
        }
        self.finds_out = asked;
    }

    /// Places all shares once the first segment is here and nobody is asked any more.
    pub(super) fn begin_writing(&mut self, now: Mono) {
        let Some(only_segment) = self.window.first_is_only() else {
            return;
        };
        if self.phase != Phase::Choosing || self.finds_out > 0 {
            return;
        }
        self.phase = Phase::Writing;
        let stage = if only_segment {
            Stage::Putting
        } else {
            Stage::Opening
        };
        let second_choice = self.keep_existing();
        for share in 0..self.shares.len() {
            let unplaced = matches!(self.shares[share].place, Place::Nowhere);
            if unplaced && !second_choice.contains_key(&share) {
                self.place(now, share, stage);
            }
        }
        for (share, holder) in second_choice {
            self.place(now, share, stage);
            let crowded = |place: &Place, others: &[super::Share]| match place {
                Place::Writing(writer) => {
                    others
                        .iter()
                        .filter(|other| other.live_peer() == Some(writer.peer))
                        .count()
                        > 1
                }
                _ => true,
            };
            if crowded(&self.shares[share].place, &self.shares) {
                self.shares[share].place = Place::Held { peer: holder };
            }
        }
        if !self.check_reachable() {
            return;
        }
        if self.file.is_some() {
            self.confirm_held(now);
        }
        self.advance_all(now);
        // If all shares were there and the file is sealed already, no answer will come to look again.
        self.after_answer(now);
    }

    /// Keeps the shares that peers say they hold, one for each peer. Gives those that exist only at peers which are
    /// counted for another share, with one of their holders: better sent to a peer that has none, if there is one.
    fn keep_existing(&mut self) -> BTreeMap<usize, usize> {
        for peer in 0..self.peers.len() {
            let fits = self.peers[peer]
                .found
                .as_ref()
                .is_none_or(|(_, file)| self.could_be_ours(file));
            if !fits {
                self.blame(peer, PeerWhy::Foreign);
            }
        }
        let mut held = Vec::new();
        let mut second_choice = BTreeMap::new();
        for (index, peer) in self
            .peers
            .iter()
            .enumerate()
            .filter(|(_, peer)| peer.why.is_none())
        {
            for share in peer.found.iter().flat_map(|(shares, _)| shares) {
                if share.index() < self.shares.len() {
                    held.push((peer.id, *share));
                    second_choice.entry(share.index()).or_insert(index);
                }
            }
        }
        let counted = placement::matching(&held);
        for (index, peer) in self.peers.iter().enumerate() {
            if let Some(share) = counted.get(&peer.id) {
                self.shares[share.index()].place = Place::Held { peer: index };
                second_choice.remove(&share.index());
            }
        }
        second_choice
    }

    /// Whether facts claimed by a peer agree with all that is known of this file so far.
    pub(super) fn could_be_ours(&self, file: &FileFacts) -> bool {
        if let Some(own) = &self.file {
            return file == own;
        }
        let encoding = &self.config.encoding;
        file.ueb.coding() == encoding.coding()
            && file.ueb.segment_bytes() == encoding.segment_bytes()
            && self
                .config
                .size_hint
                .is_none_or(|size| size == file.ueb.file_bytes())
    }

    /// Finds a peer for a share: the best of those that have the fewest. False if there is none.
    fn place(&mut self, now: Mono, share: usize, stage: Stage) -> bool {
        let mut load = vec![0usize; self.peers.len()];
        for peer in self.shares.iter().filter_map(|share| share.live_peer()) {
            load[peer] += 1;
        }
        let tried = &self.shares[share].tried;
        let usable = |peer: &usize| self.peers[*peer].why.is_none() && !tried.contains(peer);
        let best = (0..self.peers.len())
            .filter(usable)
            .min_by_key(|peer| (load[*peer], *peer));
        self.shares[share].place = match best {
            Some(peer) => Place::Writing(Writer::new(now, peer, stage)),
            None => Place::Lost,
        };
        best.is_some()
    }

    /// Takes a share from its peer, and moves it to another if all its blocks are still here.
    pub(super) fn lose_share(&mut self, now: Mono, share: usize, loss: Loss) {
        let Some(peer) = self.shares[share].live_peer() else {
            return;
        };
        self.blame(peer, loss.why);
        self.drop_writer(share, loss.peer_listens);
        self.shares[share].tried.insert(peer);
        self.shares[share].place = Place::Lost;
        let stage = match self.window.first_is_only() {
            Some(true) => Stage::Putting,
            _ => Stage::Opening,
        };
        if self.window.holds_first() && self.place(now, share, stage) {
            self.advance(now, share);
        }
    }

    /// Takes all unfinished shares from a peer that is out of reach. What is durable there is counted on.
    pub(super) fn lose_peer(&mut self, now: Mono, peer: usize, why: PeerWhy) {
        self.blame(peer, why);
        for share in 0..self.shares.len() {
            if self.shares[share]
                .writing()
                .is_some_and(|writer| writer.peer == peer)
            {
                self.lose_share(
                    now,
                    share,
                    Loss {
                        why,
                        peer_listens: false,
                    },
                );
            }
        }
    }

    /// Ends what a share has out. Tells its peer to forget the share if there may be something to forget.
    pub(super) fn drop_writer(&mut self, share: usize, peer_listens: bool) {
        let Some(writer) = self.shares[share].writer() else {
            return;
        };
        let (tokens, peer, opened) = (writer.tokens(), writer.peer, writer.opened);
        for token in tokens {
            if self.calls.close(token).is_some() {
                self.effects.push_back(Effect::CancelSend { token });
            }
        }
        if opened && peer_listens {
            self.notify_abort(share, peer);
        }
    }

    /// Tells a peer to forget a share of this upload, open or finished.
    pub(super) fn notify_abort(&mut self, share: usize, peer: usize) {
        self.effects.push_back(Effect::Notify {
            peer: self.peers[peer].id,
            request: self.name_of(share).abort(),
            budget: OPEN_BUDGET,
        });
    }

    /// Notes the first thing that went wrong with a peer.
    pub(super) fn blame(&mut self, peer: usize, why: PeerWhy) {
        self.peers[peer].why.get_or_insert(why);
    }

    /// All peers that something went wrong with.
    pub(super) fn troubles(&self) -> Vec<PeerReport> {
        let report = |peer: &super::Peer| {
            Some(PeerReport {
                peer: peer.id,
                why: peer.why?,
            })
        };
        self.peers.iter().filter_map(report).collect()
    }

    /// Servers of happiness of the shares that `peer_of` gives a peer for.
    pub(super) fn happiness(&self, peer_of: impl Fn(&super::Share) -> Option<usize>) -> usize {
        let pair = |share: &super::Share| Some((self.peers[peer_of(share)?].id, share.number));
        let pairs: Vec<(NodeId, ShareNumber)> = self.shares.iter().filter_map(pair).collect();
        placement::happiness(&pairs)
    }

    /// Fails the upload if too few distinct peers can still get a share. True if it goes on.
    pub(super) fn check_reachable(&mut self) -> bool {
        let encoding = self.config.encoding;
        let (reachable, shares) = match self.phase {
            Phase::Ended => return false,
            Phase::Choosing => {
                let usable = self.peers.iter().filter(|peer| peer.why.is_none()).count();
                let shares = if usable == 0 { 0 } else { self.shares.len() };
                (usable.min(self.shares.len()), shares)
            }
            Phase::Writing => {
                let live = self
                    .shares
                    .iter()
                    .filter(|share| share.live_peer().is_some())
                    .count();
                (self.happiness(super::Share::live_peer), live)
            }
        };
        if reachable >= encoding.happy() && shares >= encoding.coding().k() {
            return true;
        }
        let not_happy = NotHappy {
            happy: encoding.happy(),
            reachable,
            candidates: self.peers.len(),
            peers: self.troubles(),
        };
        self.fail(UploadError::NotHappy(Box::new(not_happy)));
        false
    }
}
