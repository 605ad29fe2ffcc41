//! Sends what the shares can send: opens, blocks, closes, whole shares.

use truckee_wire::message::Request;

use super::{Effect, Phase, Purpose, Upload};
use crate::time::Mono;
use crate::transfer::supply::{Ask, ShareName, Supply};
use crate::transfer::writer::Stage;

impl Upload {
    pub(super) fn advance_all(&mut self, now: Mono) {
        for share in 0..self.shares.len() {
            self.advance(now, share);
        }
        self.release();
    }

    /// Sends all that this share can send now.
    pub(super) fn advance(&mut self, now: Mono, share: usize) {
        while self.phase == Phase::Writing {
            let supply = Supply {
                name: self.name_of(share),
                shape: self.shape,
                end: self.window.encoded_end(),
                pieces: &self.window,
                file: self.file.as_ref(),
            };
            let writer = self.shares[share].writer();
            let Some((ask, request)) = writer.and_then(|writer| writer.next_request(&supply)) else {
                return;
            };
            if matches!(ask, Ask::Write(_) | Ask::Put) {
                self.marks.first_sent.get_or_insert(now);
            }
            self.ask(now, share, ask, request);
        }
    }

    /// Tells the peer of an open share that the upload lives, by asking it to open the share again.
    pub(super) fn send_keep(&mut self, now: Mono, share: usize) {
        let request = self.name_of(share).open(self.shape);
        self.ask(now, share, Ask::Keep, request);
    }

    fn ask(&mut self, now: Mono, share: usize, ask: Ask, request: Request) {
        let Some(peer) = self.shares[share].live_peer() else {
            return;
        };
        let token = self.send(now, peer, Purpose::Share { share, ask }, request);
        if let Some(writer) = self.shares[share].writer() {
            writer.sent(now, ask, token);
        }
    }

    pub(super) fn name_of(&self, share: usize) -> ShareName {
        ShareName {
            si: self.config.si,
            share: self.shares[share].number,
            upload: self.config.upload,
        }
    }

    /// Lets go of segments that every share on its way has got, and asks for as many new ones.
    pub(super) fn release(&mut self) {
        if self.phase != Phase::Writing || self.window.first_is_only() == Some(true) {
            return;
        }
        let writing = self.shares.iter().filter_map(|share| share.writing());
        let done = writing.map(|writer| writer.done).min().unwrap_or(u64::MAX);
        while let Some(segment) = self.window.release(done) {
            self.effects.push_back(Effect::Release { segment });
        }
        self.pull();
    }

    /// The choice of peers is over when no share waits for its peer to open it.
    pub(super) fn mark_chosen(&mut self, now: Mono) {
        let opening = |share: &super::Share| {
            share
                .writing()
                .is_some_and(|writer| writer.stage == Stage::Opening)
        };
        if !self.shares.iter().any(opening) {
            self.marks.chosen.get_or_insert(now);
        }
    }
}
