//! What the end of each request, and of each decoding, means.

use truckee_grid::ids::{SegmentIndex, ShareNumber};
use truckee_grid::pipeline::{BadBlock, DecodeError, DecodedSegment};
use truckee_wire::message::{BlockRead, Response};

use super::fetch::Stage;
use super::peer::Reach;
use super::{BUSY_REST, Corruption, Download, DownloadError, Purpose};
use crate::time::Mono;
use crate::transfer::{self, PeerWhy, Token, Verdict};

impl Download {
    pub(super) fn on_verdict(
        &mut self,
        now: Mono,
        token: Token,
        purpose: Purpose,
        sent_at: Mono,
        verdict: Verdict,
    ) {
        match purpose {
            Purpose::Find { peer } => {
                self.finds_out -= 1;
                self.on_find_verdict(now, peer, verdict);
            }
            Purpose::Read { peer, share, segment } => {
                if let Some(fetch) = self.fetches.get_mut(&segment) {
                    fetch.take_read(token);
                }
                self.on_read_verdict(now, (peer, share, segment), sent_at, verdict);
            }
        }
    }

    fn on_find_verdict(&mut self, now: Mono, peer: usize, verdict: Verdict) {
        match verdict {
            Verdict::Done(Response::FoundShares(found)) => self.on_found(now, peer, found),
            Verdict::Done(_) => self.exclude(peer, PeerWhy::WrongAnswer),
            Verdict::Again(wait) => self.find_again(now, peer, wait),
            Verdict::Failed(PeerWhy::TimedOut) => self.lose_peer(peer, PeerWhy::TimedOut),
            Verdict::Failed(why) => self.exclude(peer, why),
            Verdict::Gone(why) => self.lose_peer(peer, why),
        }
    }

    fn on_read_verdict(
        &mut self,
        now: Mono,
        (peer, share, segment): (usize, ShareNumber, u64),
        sent_at: Mono,
        verdict: Verdict,
    ) {
        match verdict {
            Verdict::Done(Response::BlockRead(read)) => {
                self.peers[peer].answered(now, sent_at);
                self.pace.took(now.saturating_sub(sent_at));
                self.on_block(peer, share, segment, read);
            }
            Verdict::Done(_) => self.exclude(peer, PeerWhy::WrongAnswer),
            Verdict::Again(wait) => {
                self.peers[peer].spoke(now);
                self.peers[peer].why = Some(PeerWhy::StayedBusy);
                self.peers[peer].rest_until = Some(now + wait.clamp(BUSY_REST.start, BUSY_REST.end));
            }
            Verdict::Failed(PeerWhy::TimedOut) => {
                self.peers[peer].why = Some(PeerWhy::TimedOut);
                self.peers[peer].suspect = true;
            }
            Verdict::Failed(why) => {
                self.peers[peer].spoke(now);
                self.peers[peer].why = Some(why);
                let first = self.banned.insert((peer, share));
                self.drop_reads(|read_peer, read_share| read_peer == peer && read_share == share);
                if first && why == PeerWhy::Corrupt {
                    self.report_corrupt(peer, Some(share), Corruption::Admitted);
                }
            }
            Verdict::Gone(why) => self.lose_peer(peer, why),
        }
    }

    fn on_block(&mut self, peer: usize, share: ShareNumber, segment: u64, read: BlockRead) {
        self.done.received_bytes += read.block.len() as u64;
        let Some(known) = &self.file else { return };
        if read.block.len() != known.geometry.block_bytes(SegmentIndex(segment)) {
            return self.ban_corrupt(peer, share);
        }
        if self.banned.contains(&(peer, share)) {
            return;
        }
        let Some(fetch) = self.fetches.get_mut(&segment).filter(|fetch| fetch.is_fetching()) else {
            return;
        };
        let block = transfer::fetched(share, read);
        fetch.got.entry(share).or_insert((peer, block));
    }

    pub(super) fn on_decoded(
        &mut self,
        now: Mono,
        segment: u64,
        decoded: Option<Result<DecodedSegment, DecodeError>>,
    ) {
        let index = SegmentIndex(segment);
        let Some(fetch) = self
            .fetches
            .get_mut(&segment)
            .filter(|fetch| matches!(fetch.stage, Stage::Decoding))
        else {
            return;
        };
        self.done.decode += now.saturating_sub(std::mem::replace(&mut fetch.since, now));
        let (stage, bad) = match decoded {
            Some(Ok(DecodedSegment { plaintext, bad })) => (Stage::Ready(plaintext), bad),
            Some(Err(DecodeError::TooFew { bad, .. })) if !bad.is_empty() => (Stage::Fetching, bad),
            Some(Err(DecodeError::Inconsistent { .. } | DecodeError::Seal(_))) => {
                return self.fail(DownloadError::Inconsistent { segment: index });
            }
            _ => return self.fail(DownloadError::Fault { segment: index }),
        };
        let culprits = |BadBlock { share, .. }: BadBlock| Some((fetch.got.remove(&share)?.0, share));
        let culprits: Vec<(usize, ShareNumber)> = bad.into_iter().filter_map(culprits).collect();
        if matches!(stage, Stage::Ready(_)) {
            fetch.got.clear();
        }
        fetch.stage = stage;
        for (peer, share) in culprits {
            self.ban_corrupt(peer, share);
        }
        self.deliver(now);
    }

    /// A share at a peer gave a bad block: it is not asked again, nor waited for.
    fn ban_corrupt(&mut self, peer: usize, share: ShareNumber) {
        self.peers[peer].why = Some(PeerWhy::Corrupt);
        if self.banned.insert((peer, share)) {
            self.report_corrupt(peer, Some(share), Corruption::Block);
        }
        self.drop_reads(|read_peer, read_share| read_peer == peer && read_share == share);
    }

    /// A peer is out of reach: none of its reads is waited for.
    pub(super) fn lose_peer(&mut self, peer: usize, why: PeerWhy) {
        self.peers[peer].why = Some(why);
        self.peers[peer].reach = Reach::Lost;
        self.drop_reads(|read_peer, _| read_peer == peer);
    }

    /// A peer is of no use.
    pub(super) fn exclude(&mut self, peer: usize, why: PeerWhy) {
        self.peers[peer].why = Some(why);
        self.peers[peer].reach = Reach::Useless;
        self.drop_reads(|read_peer, _| read_peer == peer);
    }

    fn drop_reads(&mut self, which: impl Fn(usize, ShareNumber) -> bool) {
        let mut dropped = Vec::new();
        for fetch in self.fetches.values_mut() {
            fetch.reads.retain(|read| {
                let drop = which(read.peer, read.share);
                if drop {
                    dropped.push(read.token);
                }
                !drop
            });
        }
        for token in dropped {
            self.cancel(token);
        }
    }
}
