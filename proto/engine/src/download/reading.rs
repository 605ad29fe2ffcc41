//! Which block is asked of whom.

use truckee_grid::ids::{SegmentIndex, ShareNumber};
use truckee_wire::message::{ReadBlock, Request};

use super::fetch::{Fetch, Read, Stage};
use super::peer::{self, Reach};
use super::{
    Download, DownloadError, Effect, Phase, Purpose, READ_TRIES_MAX, SECOND_CHANCE_WAIT, SecondChance,
    TooFewShares,
};
use crate::time::Mono;
use crate::transfer::PeerReport;

impl Download {
    /// Does everything that the state now calls for; after each input.
    pub(super) fn go_on(&mut self, now: Mono) {
        if self.has_ended() {
            return;
        }
        self.begin_reading(now);
        if self.phase == Phase::Reading {
            self.deliver(now);
            self.open_fetches(now);
            let waiting: Vec<u64> = self.fetches.keys().copied().collect();
            for segment in waiting {
                self.fill(now, segment);
            }
        }
        self.escape(now);
    }

    /// Opens segments as far as the window allows.
    fn open_fetches(&mut self, now: Mono) {
        let Some(known) = &self.file else { return };
        let ahead = self.window_segments.saturating_sub(self.unconsumed) as u64;
        let end = known.segments.end.min(self.next_deliver + ahead);
        while self.next_fetch < end {
            self.fetches.insert(self.next_fetch, Fetch::begun(now));
            self.next_fetch += 1;
        }
    }

    /// Has a segment decoded if its blocks are here, and asks for what is missing if not.
    fn fill(&mut self, now: Mono, segment: u64) {
        let k = self.config.file.coding.k();
        let Some(fetch) = self.fetches.get(&segment).filter(|fetch| fetch.is_fetching()) else {
            return;
        };
        if fetch.got.len() >= k {
            return self.decode(now, segment);
        }
        let wanted = if fetch.escalated {
            usize::MAX
        } else {
            fetch.missing(k)
        };
        if wanted == 0 {
            return;
        }
        let hedging = fetch.hedged_at.is_some();
        let mut options = self.options(now, segment, fetch);
        options.sort_unstable();
        let mut taken = std::collections::BTreeSet::new();
        for (_, share, peer) in options {
            if taken.len() == wanted {
                break;
            }
            if taken.insert(share) {
                self.read(now, segment, peer, share);
                self.done.hedges += u64::from(hedging);
            }
        }
    }

    /// Whom the missing blocks of a segment can be asked of, with what it costs.
    fn options(&self, now: Mono, segment: u64, fetch: &Fetch) -> Vec<((bool, u128), ShareNumber, usize)> {
        let k = self.config.file.coding.k();
        let usual = peer::usual_service(&self.peers, now);
        let mut options = Vec::new();
        for (share, holders) in &self.holders {
            if fetch.counts_on(*share) {
                continue;
            }
            for index in holders {
                let peer = &self.peers[*index];
                let tries = fetch.tries.get(&(*index, *share)).copied().unwrap_or(0);
                let askable = peer.reach == Reach::Open
                    && !peer.is_resting(now)
                    && tries < READ_TRIES_MAX
                    && !self.banned.contains(&(*index, *share))
                    && !fetch.is_reading(*index, *share);
                if askable {
                    let cost = peer.cost(now, usual, share.index() < k, segment);
                    options.push(((peer.suspect, cost), *share, *index));
                }
            }
        }
        options
    }

    fn read(&mut self, now: Mono, segment: u64, peer: usize, share: ShareNumber) {
        let request = ReadBlock {
            si: self.config.file.si,
            share,
            segment: SegmentIndex(segment),
            suspect: false,
        };
        let token = self.send(
            now,
            Purpose::Read { peer, share, segment },
            Request::ReadBlock(request),
        );
        self.peers[peer].chosen_for = Some(segment);
        let Some(fetch) = self.fetches.get_mut(&segment) else {
            return;
        };
        *fetch.tries.entry((peer, share)).or_default() += 1;
        fetch.reads.push(Read {
            token,
            peer,
            share,
            sent_at: now,
            late: false,
        });
    }

    fn decode(&mut self, now: Mono, segment: u64) {
        let Some(fetch) = self.fetches.get_mut(&segment) else {
            return;
        };
        fetch.stage = Stage::Decoding;
        self.done.fetch += now.saturating_sub(std::mem::replace(&mut fetch.since, now));
        let blocks = fetch.got.values().map(|(_, block)| block.clone()).collect();
        for read in std::mem::take(&mut fetch.reads) {
            // It has taken at least this long.
            if read.late {
                self.peers[read.peer].measure(now, now.saturating_sub(read.sent_at));
            }
            self.cancel(read.token);
        }
        self.effects.push_back(Effect::Decode {
            segment: SegmentIndex(segment),
            blocks,
        });
    }

    /// If the download cannot go on by itself: asks more candidates, gives lost peers a second chance, or gives up.
    fn escape(&mut self, now: Mono) {
        if self.has_ended() {
            return;
        }
        let n = self.config.file.coding.n();
        let starving = match self.phase {
            Phase::Finding => !self.is_finding() && self.begin_at.is_none(),
            _ => self.is_starving(),
        };
        if !starving || self.find_more(now, 2 * n) || self.is_finding() {
            return;
        }
        let stuck = match self.phase {
            Phase::Finding => true,
            _ => self.fetches.values().any(|fetch| self.is_stuck(fetch)),
        };
        if !stuck {
            return;
        }
        match self.second_chance {
            SecondChance::At(_) => {}
            SecondChance::Unused if self.peers.iter().any(|peer| peer.reach == Reach::Lost) => {
                self.second_chance = SecondChance::At(now + SECOND_CHANCE_WAIT);
            }
            _ => self.give_up(),
        }
    }

    /// Whether a segment lacks blocks which nobody has been asked for.
    fn is_starving(&self) -> bool {
        let k = self.config.file.coding.k();
        let starving = |fetch: &Fetch| fetch.is_fetching() && (fetch.missing(k) > 0 || fetch.escalated);
        self.fetches.values().any(starving)
    }

    /// Whether nothing that is out or resting can bring the missing blocks.
    fn is_stuck(&self, fetch: &Fetch) -> bool {
        let k = self.config.file.coding.k();
        if !fetch.is_fetching() {
            return false;
        }
        let can_come = |share: &ShareNumber| {
            fetch.got.contains_key(share)
                || fetch.reads.iter().any(|read| read.share == *share)
                || self.holders[share].iter().any(|peer| {
                    let tries = fetch.tries.get(&(*peer, *share)).copied().unwrap_or(0);
                    self.peers[*peer].reach == Reach::Open
                        && tries < READ_TRIES_MAX
                        && !self.banned.contains(&(*peer, *share))
                })
        };
        self.holders.keys().filter(|share| can_come(share)).count() < k
    }

    fn give_up(&mut self) {
        let report = |peer: &peer::Peer| {
            Some(PeerReport {
                peer: peer.id,
                why: peer.why?,
            })
        };
        let too_few = TooFewShares {
            have: self.shares_in_reach(),
            need: self.config.file.coding.k(),
            asked: self.asked,
            peers: self.peers.iter().filter_map(report).collect(),
        };
        self.fail(DownloadError::TooFewShares(Box::new(too_few)));
    }
}
