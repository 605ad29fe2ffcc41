//! Sends what the shares can send, and draws the consequences of what their peers answer.

use truckee_wire::message::{FoundShares, Request};

use super::goals::{Goal, Loss, Place};
use super::{Phase, Purpose, Repair, UnplacedWhy};
use crate::time::Mono;
use crate::transfer::supply::{Ask, Supply};
use crate::transfer::writer::Step;
use crate::transfer::{PeerWhy, Verdict};

impl Repair {
    pub(super) fn advance_all(&mut self, now: Mono) {
        for goal in 0..self.goals.len() {
            self.advance(now, goal);
        }
    }

    /// Sends all that this share can send now.
    pub(super) fn advance(&mut self, now: Mono, goal: usize) {
        while self.phase != Phase::Ended {
            let Some(known) = &self.known else { return };
            let complete = self.window.is_complete();
            let number = self.goals[goal].number;
            if complete
                && self.goals[goal].writing().is_some()
                && !self.window.trees().is_stored(&known.facts, number)
            {
                return self.refuse(goal);
            }
            let supply = Supply {
                name: self.name_of(goal),
                shape: known.shape,
                end: self.window.rebuilt_end(),
                pieces: &self.window,
                file: complete.then_some(&known.said),
            };
            let writer = self.goals[goal].writer();
            let Some((ask, request)) = writer.and_then(|writer| writer.next_request(&supply)) else {
                return;
            };
            self.ask(now, goal, ask, request);
        }
    }

    /// The share that was made is not the one that the file speaks of: its uploader did not store what it should have.
    fn refuse(&mut self, goal: usize) {
        self.drop_writer(goal, true);
        self.goals[goal].place = Place::Lost(UnplacedWhy::Inconsistent);
    }

    /// Tells the peer of an open share that the repair lives, by asking it to open the share again.
    pub(super) fn send_keep(&mut self, now: Mono, goal: usize) {
        if let Some(known) = &self.known {
            let request = self.name_of(goal).open(known.shape);
            self.ask(now, goal, Ask::Keep, request);
        }
    }

    fn ask(&mut self, now: Mono, goal: usize, ask: Ask, request: Request) {
        let Some(peer) = self.goals[goal].writing().map(|writer| writer.peer) else {
            return;
        };
        let block_bytes = match &request {
            Request::WriteBlock(write) => write.block.len(),
            Request::PutShare(put) => put.block.len(),
            _ => 0,
        };
        if block_bytes > 0 {
            self.marks.first_sent.get_or_insert(now);
            self.pace.moved(block_bytes as u64);
        }
        let token = self.send(now, peer, Purpose::Share { goal, ask }, request);
        if let Some(writer) = self.goals[goal].writer() {
            writer.sent(now, ask, token);
        }
    }

    pub(super) fn on_share_verdict(&mut self, now: Mono, goal: usize, ask: Ask, verdict: Verdict) {
        let Some(writer) = self.goals[goal].writer() else {
            return;
        };
        let peer = writer.peer;
        let (why, peer_listens) = match writer.on_verdict(now, ask, verdict) {
            Step::GoOn => return self.advance(now, goal),
            Step::Took => {
                self.took(now, ask);
                return self.advance(now, goal);
            }
            Step::Durable => {
                if ask == Ask::Put {
                    self.took(now, ask);
                }
                self.goals[goal].place = Place::Durable { peer, existed: false };
                return;
            }
            Step::Had(found) => return self.on_checked(now, goal, &found),
            Step::Lost(why) => (why, true),
            Step::Gone(why) => return self.lose_target(now, peer, why),
        };
        self.lose(now, goal, Loss { why, peer_listens });
    }

    /// A peer has taken a block.
    fn took(&mut self, now: Mono, ask: Ask) {
        let segment = match ask {
            Ask::Write(segment) => segment,
            _ => 0,
        };
        self.findings.written_bytes += self.block_bytes(segment) as u64;
        self.marks.last_taken = Some(now);
    }

    /// A peer that had the share before it was sent says of which file it is.
    fn on_checked(&mut self, now: Mono, goal: usize, found: &FoundShares) {
        let Some(peer) = self.goals[goal].writing().map(|writer| writer.peer) else {
            return;
        };
        let ours = self.known.as_ref().map(|known| &known.said);
        let same = found.file.as_ref() == ours && found.shares.contains(&self.goals[goal].number);
        if same {
            self.goals[goal].place = Place::Durable { peer, existed: true };
        } else {
            let (why, peer_listens) = (PeerWhy::Foreign, true);
            self.lose(now, goal, Loss { why, peer_listens });
        }
    }

    /// Lets go of segments that every share on its way has got.
    pub(super) fn release(&mut self) {
        let writing = self.goals.iter().filter_map(Goal::writing);
        let done = writing.map(|writer| writer.done).min().unwrap_or(0);
        self.window.release(done);
    }
}
