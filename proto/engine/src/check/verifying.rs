//! Reading every block of every share, and what came of it.

use truckee_grid::ids::SegmentIndex;
use truckee_grid::pipeline::BadBlockReason;
use truckee_wire::message::{BlockRead, ReadBlock, Request, Response};

use super::{
    BATCH_BLOCKS, Batch, Check, CheckError, Copy, CopyState, Corruption, Effect, Phase, Purpose,
    READS_PER_SHARE, WINDOW_BYTES,
};
use crate::time::Mono;
use crate::transfer::survey::{LOST_TRIES_MAX, REST, TRIES_MAX, rest};
use crate::transfer::{self, PeerWhy, Verdict};

impl Check {
    pub(super) fn begin_verifying(&mut self) {
        self.phase = Phase::Verifying;
        let good = self.copies.iter().filter(|copy| copy.state == CopyState::Good);
        self.progress.blocks_wanted = good.count() as u64 * self.segments();
    }

    /// Blocks of each share that are to be read.
    fn segments(&self) -> u64 {
        let facts = self.facts.as_ref().filter(|_| self.config.verify);
        facts.map_or(0, |facts| facts.ueb().segments())
    }

    pub(super) fn block_bytes(&self, segment: u64) -> usize {
        let facts = self.facts.as_ref();
        facts.map_or(0, |facts| {
            facts.ueb().geometry().block_bytes(SegmentIndex(segment))
        })
    }

    /// Whether nothing more is to be learnt of a copy.
    pub(super) fn is_through(&self, copy: &Copy) -> bool {
        copy.state != CopyState::Good || copy.good == self.segments()
    }

    /// Asks for blocks while the window has room, taking turns between the copies.
    pub(super) fn read_more(&mut self, now: Mono) {
        let copies = self.copies.len();
        let mut idle = 0;
        while idle < copies {
            let index = self.turn % copies;
            let Some(segment) = self.next_segment(now, index) else {
                idle += 1;
                self.turn += 1;
                continue;
            };
            let bytes = self.block_bytes(segment);
            if self.window_used > 0 && self.window_used + bytes > WINDOW_BYTES {
                return;
            }
            idle = 0;
            self.turn += 1;
            self.window_used += bytes;
            self.read(now, index, segment);
        }
    }

    /// The block that a copy is to be asked for now.
    fn next_segment(&self, now: Mono, index: usize) -> Option<u64> {
        let copy = &self.copies[index];
        let under_way = copy.out.len() - copy.again.len();
        if self.is_through(copy) || under_way as u64 >= READS_PER_SHARE {
            return None;
        }
        let again = copy.again.iter().find(|(_, at)| at.is_none_or(|at| at <= now));
        again.map(|(segment, _)| *segment).or_else(|| {
            let fresh = copy.again.is_empty() && copy.next < self.segments();
            fresh.then_some(copy.next)
        })
    }

    fn read(&mut self, now: Mono, index: usize, segment: u64) {
        let copy = &mut self.copies[index];
        copy.again.remove(&segment);
        if segment == copy.next {
            copy.next += 1;
        }
        *copy.out.entry(segment).or_default() += 1;
        let purpose = Purpose::Read { copy: index, segment };
        self.ask_block(now, index, segment, purpose);
    }

    /// Has the peer of a copy look at a block that is damaged.
    fn tell(&mut self, now: Mono, index: usize, segment: u64) {
        self.telling += 1;
        // Its answer may be the block.
        self.window_used += self.block_bytes(segment);
        self.ask_block(now, index, segment, Purpose::Tell { segment });
    }

    fn ask_block(&mut self, now: Mono, index: usize, segment: u64, purpose: Purpose) {
        let Copy { peer, share, .. } = self.copies[index];
        let request = ReadBlock {
            si: self.config.file.si,
            share,
            segment: SegmentIndex(segment),
            suspect: matches!(purpose, Purpose::Tell { .. }),
        };
        self.send(now, purpose, peer, Request::ReadBlock(request));
    }

    pub(super) fn on_read_verdict(&mut self, now: Mono, index: usize, segment: u64, verdict: Verdict) {
        let tries = self.copies[index].out.get(&segment).copied().unwrap_or(0);
        match verdict {
            Verdict::Done(Response::BlockRead(read)) => return self.on_block(index, segment, read),
            Verdict::Done(_) => self.lose(index, PeerWhy::WrongAnswer),
            Verdict::Again(wait) if tries < TRIES_MAX => {
                self.copies[index]
                    .again
                    .insert(segment, Some(now + rest(wait, tries)));
            }
            Verdict::Again(_) => self.lose(index, PeerWhy::StayedBusy),
            Verdict::Failed(PeerWhy::Corrupt) => self.corrupt(index, Corruption::Admitted),
            Verdict::Gone(PeerWhy::LinkLost) if tries < LOST_TRIES_MAX => {
                self.copies[index].again.insert(segment, Some(now + REST.start));
            }
            Verdict::Failed(why) | Verdict::Gone(why) => self.lose(index, why),
        }
        self.window_used -= self.block_bytes(segment);
    }

    fn on_block(&mut self, index: usize, segment: u64, read: BlockRead) {
        self.progress.received_bytes += read.block.len() as u64;
        let block = transfer::fetched(self.copies[index].share, read);
        self.waiting.push((index, SegmentIndex(segment), block));
    }

    /// Gives what came to be hashed: full batches, and the rest when nothing else is being hashed.
    pub(super) fn hash_waiting(&mut self) {
        while self.waiting.len() >= BATCH_BLOCKS || (!self.waiting.is_empty() && self.batches.is_empty()) {
            let count = self.waiting.len().min(BATCH_BLOCKS);
            let (places, blocks) = self
                .waiting
                .drain(..count)
                .map(|(copy, segment, block)| {
                    let bytes = self
                        .facts
                        .as_ref()
                        .map_or(0, |facts| facts.ueb().geometry().block_bytes(segment));
                    ((copy, segment, bytes), (segment, block))
                })
                .unzip();
            let id = self.next_batch;
            self.next_batch += 1;
            self.batches.insert(id, places);
            self.effects.push_back(Effect::Verify(Batch { id, blocks }));
        }
    }

    pub(super) fn on_verified(
        &mut self,
        now: Mono,
        batch: u64,
        verdicts: Option<Vec<Result<(), BadBlockReason>>>,
    ) {
        let Some(places) = self.batches.remove(&batch) else {
            return;
        };
        let verdicts = verdicts.unwrap_or_default();
        if verdicts.len() != places.len() {
            let segment = places.first().map_or(SegmentIndex(0), |(_, segment, _)| *segment);
            return self.fail(CheckError::Fault { segment });
        }
        for ((index, segment, bytes), verdict) in places.into_iter().zip(verdicts) {
            self.window_used -= bytes;
            self.progress.blocks += 1;
            let copy = &mut self.copies[index];
            copy.out.remove(&segment.0);
            match verdict {
                Ok(()) => copy.good += 1,
                Err(_) => {
                    if copy.state == CopyState::Good {
                        self.tell(now, index, segment.0);
                    }
                    self.corrupt(index, Corruption::Block);
                }
            }
        }
    }

    fn corrupt(&mut self, index: usize, what: Corruption) {
        self.give_up(index, CopyState::Corrupt(what));
    }

    /// A peer does not give what it said that it has. If that is the peer's state and not the share's, it counts as one
    /// that does not answer.
    fn lose(&mut self, index: usize, why: PeerWhy) {
        self.give_up(index, CopyState::Lost);
        if why != PeerWhy::NoShare {
            self.survey.take_back(self.copies[index].peer, why);
        }
    }

    /// What is still under way of it stays in the window until it ends.
    fn give_up(&mut self, index: usize, state: CopyState) {
        let copy = &mut self.copies[index];
        if copy.state == CopyState::Good {
            copy.state = state;
            copy.again.clear();
        }
    }
}
