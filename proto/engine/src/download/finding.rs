//! Who holds which shares, and what file it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use truckee_grid::ids::{SegmentIndex, ShareNumber};
use truckee_grid::pipeline::{FactsError, FetchedBlock, FileFacts};
use truckee_wire::message::{self, FindShares, FoundShares, Request};

use super::fetch::Fetch;
use super::peer::Reach;

use super::{
    BEGIN_WAIT, BUSY_REST, Corruption, Download, DownloadError, Effect, FIND_ESCALATION, FIND_TRIES_MAX,
    INLINE_BYTES_MAX, Known, Phase, Purpose, SMALL_FIND_ESCALATION,
};
use crate::time::Mono;
use crate::transfer::PeerWhy;

impl Download {
    /// Asks those that would have got the shares.
    pub(super) fn find_first(&mut self, now: Mono) {
        let coding = self.config.file.coding;
        let (count, escalation) = if self.could_be_short() {
            (coding.k(), SMALL_FIND_ESCALATION)
        } else {
            (coding.n(), FIND_ESCALATION)
        };
        self.find_more(now, count);
        self.find_more_at = self.find_more_at.map(|_| now + escalation);
        self.go_on(now);
    }

    /// Asks the next `count` candidates. False if there are none left.
    pub(super) fn find_more(&mut self, now: Mono, count: usize) -> bool {
        let batch = self.asked..self.peers.len().min(self.asked + count);
        self.asked = batch.end;
        self.find_more_at = (self.asked < self.peers.len()).then_some(now + FIND_ESCALATION);
        let any = !batch.is_empty();
        for peer in batch {
            self.send_find(now, peer);
        }
        any
    }

    /// Whether blocks may come with the answers. A block is never longer than the file by more than a seal and its padding,
    /// whatever the segments.
    fn could_be_short(&self) -> bool {
        let file = &self.config.file;
        file.size <= u64::from(INLINE_BYTES_MAX) * file.coding.k() as u64
    }

    pub(super) fn send_find(&mut self, now: Mono, peer: usize) {
        let inline_bytes_max = if self.could_be_short() {
            INLINE_BYTES_MAX
        } else {
            0
        };
        let request = FindShares {
            si: self.config.file.si,
            inline_bytes_max,
        };
        self.send(now, Purpose::Find { peer }, Request::FindShares(request));
        self.finds_out += 1;
        self.peers[peer].find_tries += 1;
    }

    /// A peer was too busy to say what it holds.
    pub(super) fn find_again(&mut self, now: Mono, peer: usize, wait: Duration) {
        if self.peers[peer].find_tries < FIND_TRIES_MAX {
            self.peers[peer].find_again_at = Some(now + wait.clamp(BUSY_REST.start, BUSY_REST.end));
        } else {
            self.lose_peer(peer, PeerWhy::StayedBusy);
        }
    }

    /// Whether some peer is still to say what it holds.
    pub(super) fn is_finding(&self) -> bool {
        self.finds_out > 0 || self.peers.iter().any(|peer| peer.find_again_at.is_some())
    }

    /// A peer said what it holds.
    pub(super) fn on_found(&mut self, now: Mono, peer: usize, found: FoundShares) {
        self.peers[peer].spoke(now);
        let Some(said) = found.file.filter(|_| !found.shares.is_empty()) else {
            return self.exclude(peer, PeerWhy::NoShare);
        };
        match self.check_facts(said) {
            Ok(()) => {}
            Err(FactsError::Cap) => return self.fail(DownloadError::CapContradicts),
            Err(_) => {
                self.exclude(peer, PeerWhy::Corrupt);
                return self.report_corrupt(peer, None, Corruption::Facts);
            }
        }
        let coding = self.config.file.coding;
        for share in found.shares.iter().filter(|share| coding.has(**share)) {
            self.holders.entry(*share).or_default().insert(peer);
        }
        if let (Some(block), Some(share)) = (found.inlined, found.shares.first()) {
            self.keep_inlined(now, peer, *share, block);
        }
    }

    /// Compares what a peer says of the file with what is known of it, or learns it.
    fn check_facts(&mut self, said: message::FileFacts) -> Result<(), FactsError> {
        if let Some(known) = &self.file {
            let same = known.said == said;
            return if same { Ok(()) } else { Err(FactsError::UebHash) };
        }
        let share_roots: Vec<u8> = said.share_roots.iter().flat_map(|root| root.0).collect();
        let facts = FileFacts::verify(&self.config.file, &said.ueb.encode(), &share_roots)?;
        let geometry = *facts.ueb().geometry();
        let bytes = self.wanted_bytes();
        let segments = geometry.segments_of(&bytes);
        self.next_fetch = segments.start;
        self.next_deliver = segments.start;
        self.file = Some(Known {
            facts: Arc::new(facts),
            said,
            geometry,
            segments,
            bytes,
        });
        Ok(())
    }

    /// A block came with the answer. Of a file of one segment, its proof is the facts alone.
    fn keep_inlined(&mut self, now: Mono, peer: usize, share: ShareNumber, block: Bytes) {
        let Some(known) = &self.file else { return };
        let only = SegmentIndex(0);
        let fits = known.geometry.segments() == 1 && block.len() == known.geometry.block_bytes(only);
        if !fits || self.next_deliver > 0 || self.banned.contains(&(peer, share)) {
            return;
        }
        self.done.received_bytes += block.len() as u64;
        let sealed_path = Bytes::copy_from_slice(&known.facts.ueb().sealed_root().0);
        self.next_fetch = 1;
        let fetch = self.fetches.entry(0).or_insert_with(|| Fetch::begun(now));
        if fetch.is_fetching() {
            let fetched = FetchedBlock {
                share,
                block,
                block_path: Bytes::new(),
                sealed_path,
            };
            fetch.got.entry(share).or_insert((peer, fetched));
        }
    }

    /// Whether reading is to begin: the shares that decode for nothing are known, or nobody is left to name them, or
    /// they have been waited for.
    pub(super) fn begin_reading(&mut self, now: Mono) {
        let k = self.config.file.coding.k();
        if self.phase != Phase::Finding {
            return;
        }
        if self.shares_in_reach() < k {
            self.begin_at = None;
            return;
        }
        self.begin_at.get_or_insert(now + BEGIN_WAIT);
        let systematic = (0..k)
            .filter_map(ShareNumber::from_index)
            .all(|share| self.holders.contains_key(&share));
        let inlined = self.fetches.get(&0).is_some_and(|fetch| fetch.got.len() >= k);
        let waited = self.begin_at.is_some_and(|at| at <= now);
        if systematic || inlined || waited || !self.is_finding() {
            self.phase = Phase::Reading;
            self.begin_at = None;
            self.done.locate = now.saturating_sub(self.started);
        }
    }

    /// Distinct shares that some peer in reach holds, or of which a block is here.
    pub(super) fn shares_in_reach(&self) -> usize {
        let readable = |(share, peers): &(&ShareNumber, &BTreeSet<usize>)| {
            peers.iter().any(|peer| {
                self.peers[*peer].reach == Reach::Open && !self.banned.contains(&(*peer, **share))
            })
        };
        self.holders.iter().filter(readable).count()
    }

    pub(super) fn report_corrupt(&mut self, peer: usize, share: Option<ShareNumber>, what: Corruption) {
        self.done.corrupt += 1;
        self.effects.push_back(Effect::ReportCorrupt {
            peer: self.peers[peer].id,
            share,
            what,
        });
    }
}
