//! Reading the blocks of the segments in the window, having them rebuilt, and what came of both.

use truckee_grid::ids::{SegmentIndex, ShareNumber};
use truckee_grid::pipeline::{DecodeError, RebuiltSegment};
use truckee_wire::message::{BlockRead, ReadBlock, Request, Response};

use super::goals::Goal;
use super::sources::{Copy, Fate};
use super::window::Stage;
use super::{CorruptShare, Corruption, Effect, Phase, Purpose, READ_BUDGET, Repair, RepairError};
use crate::time::Mono;
use crate::transfer::{self, PeerWhy, Token, Verdict};

impl Repair {
    /// All peers that take shares have said so.
    pub(super) fn begin_reading(&mut self, now: Mono) {
        self.phase = Phase::Rebuilding;
        if let Some(since) = self.marks.reading_since.take() {
            self.marks.opening += now.saturating_sub(since);
        }
    }

    /// Reads, and has rebuilt, whatever can be now.
    pub(super) fn read_on(&mut self, now: Mono) {
        self.release();
        self.open_segments(now);
        for segment in self.window.held() {
            self.fill(now, segment);
        }
    }

    pub(super) fn block_bytes(&self, segment: u64) -> usize {
        let known = self.known.as_ref();
        known.map_or(0, |known| known.geometry.block_bytes(SegmentIndex(segment)))
    }

    fn k(&self) -> usize {
        self.known.as_ref().map_or(0, |known| known.shape.coding.k())
    }

    /// Takes segments into the window as far as it and the budget allow.
    fn open_segments(&mut self, now: Mono) {
        let writing = self.goals.iter().filter_map(Goal::writing).count();
        while let Some(next) = self.window.next() {
            let bytes = (self.block_bytes(next) * (self.k() + writing)) as u64;
            if !self.pace.begin(bytes) {
                if let Some(bytes) = self.pace.ask(bytes) {
                    self.effects.push_back(Effect::NeedBudget { bytes });
                }
                return;
            }
            self.window.open(now);
        }
    }

    /// Has a segment rebuilt if its blocks are here, and asks for what is missing if not.
    fn fill(&mut self, now: Mono, segment: u64) {
        let k = self.k();
        let Some(slot) = self
            .window
            .slot(segment)
            .filter(|_| self.phase == Phase::Rebuilding)
        else {
            return;
        };
        if !matches!(slot.stage, Stage::Fetching) {
            return;
        }
        if slot.got.len() >= k {
            return self.rebuild(now, segment);
        }
        let reading: Vec<ShareNumber> = slot
            .reads
            .values()
            .map(|copy| self.sources.copy(*copy).share)
            .collect();
        let missing = k.saturating_sub(slot.got.len() + reading.len());
        let has = |share| slot.got.contains_key(&share) || reading.contains(&share);
        let have = self.sources.in_reach(slot.got.keys().chain(&reading).copied());
        if have < k {
            return self.fail(now, RepairError::TooFewShares { have, need: k });
        }
        let best = self.sources.best(missing, k, has);
        for copy in best {
            self.read(now, segment, copy);
        }
    }

    fn read(&mut self, now: Mono, segment: u64, copy: usize) {
        let Copy { peer, share, .. } = self.sources.copy(copy);
        let request = ReadBlock {
            si: self.config.si,
            share,
            segment: SegmentIndex(segment),
            suspect: false,
        };
        self.sources.asked(copy);
        self.pace.moved(self.block_bytes(segment) as u64);
        let purpose = Purpose::Read { copy, segment };
        let token = self.send(now, peer, purpose, Request::ReadBlock(request));
        if let Some(slot) = self.window.slot(segment) {
            slot.reads.insert(token, copy);
        }
    }

    fn rebuild(&mut self, now: Mono, segment: u64) {
        let writing = self.goals.iter().filter(|goal| goal.writing().is_some());
        let wanted: Vec<ShareNumber> = writing.map(|goal| goal.number).collect();
        let job = self.next_job;
        let Some(slot) = self.window.slot(segment) else {
            return;
        };
        self.next_job += 1;
        self.marks.fetching += now.saturating_sub(std::mem::replace(&mut slot.since, now));
        slot.stage = Stage::Rebuilding {
            job,
            wanted: wanted.clone(),
        };
        self.effects.push_back(Effect::Rebuild {
            job,
            segment: SegmentIndex(segment),
            blocks: slot.got.values().map(|(_, block)| block.clone()).collect(),
            wanted,
        });
    }

    pub(super) fn on_read_verdict(
        &mut self,
        now: Mono,
        (token, sent_at): (Token, Mono),
        (copy, segment): (usize, u64),
        verdict: Verdict,
    ) {
        if let Some(slot) = self.window.slot(segment) {
            slot.reads.remove(&token);
        }
        self.sources.ended(copy);
        let peer = self.sources.copy(copy).peer;
        let (fate, why) = match verdict {
            Verdict::Done(Response::BlockRead(read)) => {
                self.sources.answered(now, copy, sent_at);
                return self.on_block(copy, segment, read);
            }
            Verdict::Done(_) => (Fate::Gone, PeerWhy::WrongAnswer),
            Verdict::Again(wait) => {
                let fate = self.sources.was_busy(now, copy, sent_at, wait);
                (fate, PeerWhy::StayedBusy)
            }
            Verdict::Failed(PeerWhy::Corrupt) => {
                self.spoil(copy, Some(Corruption::Admitted));
                return;
            }
            Verdict::Failed(PeerWhy::TimedOut) => {
                let why = PeerWhy::TimedOut;
                (self.sources.missed(now, copy, sent_at, why), why)
            }
            Verdict::Failed(_) => {
                self.spoil(copy, None);
                return;
            }
            Verdict::Gone(why) => {
                // What else was asked of it does not come either.
                self.drop_reads_of(peer);
                (self.sources.missed(now, copy, sent_at, why), why)
            }
        };
        if fate == Fate::Gone {
            self.sources.give_up(peer);
            self.troubles.entry(peer).or_insert(why);
            self.drop_reads_of(peer);
        }
    }

    fn on_block(&mut self, copy: usize, segment: u64, read: BlockRead) {
        let bytes = read.block.len();
        self.findings.read_bytes += bytes as u64;
        if bytes != self.block_bytes(segment) {
            return self.spoil_block(copy, segment);
        }
        let block = transfer::fetched(self.sources.copy(copy).share, read);
        if let Some(slot) = self.window.slot(segment) {
            slot.got.insert(block.share, (copy, block));
        }
    }

    /// A block is not what was stored. Its node is told once, looks itself and puts the share aside, and the next repair
    /// makes it again.
    fn spoil_block(&mut self, copy: usize, segment: u64) {
        if !self.spoil(copy, Some(Corruption::Block)) {
            return;
        }
        let Copy { peer, share, .. } = self.sources.copy(copy);
        self.effects.push_back(Effect::Notify {
            peer: self.survey.peers()[peer].id,
            request: Request::ReadBlock(ReadBlock {
                si: self.config.si,
                share,
                segment: SegmentIndex(segment),
                suspect: true,
            }),
            budget: READ_BUDGET,
        });
    }

    /// A copy is of no use, or worse. True if it was of use until now.
    fn spoil(&mut self, copy: usize, what: Option<Corruption>) -> bool {
        let Copy { peer, share, .. } = self.sources.copy(copy);
        let first = self.sources.spoil(copy);
        if let Some(what) = what.filter(|_| first) {
            let peer = self.survey.peers()[peer].id;
            self.findings.damage.push(CorruptShare { peer, share, what });
        }
        self.drop_reads(|from| (from.peer, from.share) == (peer, share));
        first
    }

    fn drop_reads_of(&mut self, peer: usize) {
        self.drop_reads(|from| from.peer == peer);
    }

    /// Does not wait for the blocks of some copies any more.
    pub(super) fn drop_reads(&mut self, which: impl Fn(Copy) -> bool) {
        let mut dropped = Vec::new();
        for slot in self.window.slots() {
            slot.reads.retain(|token, copy| {
                let drop = which(self.sources.copy(*copy));
                if drop {
                    dropped.push((*token, *copy));
                }
                !drop
            });
        }
        for (token, copy) in dropped {
            self.sources.ended(copy);
            self.cancel(token);
        }
    }

    pub(super) fn on_rebuilt(
        &mut self,
        now: Mono,
        job: u64,
        rebuilt: Option<Result<RebuiltSegment, DecodeError>>,
    ) {
        let Some(segment) = self.window.segment_of(job) else {
            return;
        };
        let index = SegmentIndex(segment);
        let bad = match rebuilt {
            Some(Ok(rebuilt)) if self.window.is_as_wanted(segment, &rebuilt) => {
                let bad = self.window.take_bad(segment, &rebuilt.bad);
                self.marks.rebuilding += self.window.rebuilt(now, segment, rebuilt);
                bad
            }
            Some(Err(DecodeError::TooFew { bad, .. })) if !bad.is_empty() => {
                self.marks.rebuilding += self.window.fetch_again(now, segment);
                self.window.take_bad(segment, &bad)
            }
            Some(Err(DecodeError::Inconsistent { .. })) => {
                return self.fail(now, RepairError::Inconsistent { segment: index });
            }
            _ => return self.fail(now, RepairError::Fault { segment: index }),
        };
        for copy in bad {
            self.spoil_block(copy, segment);
        }
        self.advance_all(now);
    }
}
