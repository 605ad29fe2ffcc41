//! Sends what the shares can send: opens, blocks, closes, whole shares.

use truckee_grid::geometry::Geometry;
use truckee_grid::ids::SegmentIndex;
use truckee_grid::share::ShareLayout;
use truckee_wire::message::{CloseShare, FindShares, OpenShare, PutShare, Request, WriteBlock};

use super::share::Stage;
use super::{Effect, Phase, Purpose, Upload};
use crate::time::Mono;

impl Upload {
    pub(super) fn advance_all(&mut self, now: Mono) {
        for share in 0..self.shares.len() {
            self.advance(now, share);
        }
        self.release();
    }

    /// Sends all that this share can send now.
    pub(super) fn advance(&mut self, now: Mono, share: usize) {
        if self.phase != Phase::Writing {
            return;
        }
        let Some(writer) = self.shares[share].writer() else {
            return;
        };
        if writer.retry_at.is_some() || writer.request_out.is_some() {
            return;
        }
        match writer.stage {
            Stage::Opening => self.send_open(now, share),
            Stage::Open => self.send_blocks(now, share),
            Stage::Closing => self.send_close(now, share),
            Stage::Putting => self.send_put(now, share),
            Stage::Checking => self.send_check(now, share),
        }
    }

    fn send_open(&mut self, now: Mono, share: usize) {
        let request = self.open_request(share);
        self.send_one(now, share, Purpose::Open { share }, request);
        if let Some(writer) = self.shares[share].writer() {
            writer.opened = true;
        }
    }

    /// Tells the peer of an open share that the upload lives, by asking it to open the share again.
    pub(super) fn send_keep(&mut self, now: Mono, share: usize) {
        let request = self.open_request(share);
        let Some(peer) = self.shares[share].live_peer() else {
            return;
        };
        let token = self.send(now, peer, Purpose::Keep { share }, request);
        if let Some(writer) = self.shares[share].writer() {
            writer.keep_out = Some(token);
            writer.last_sent = now;
        }
    }

    fn open_request(&self, share: usize) -> Request {
        Request::OpenShare(OpenShare {
            si: self.config.si,
            share: self.shares[share].number,
            upload: self.config.upload,
            coding: self.config.encoding.coding(),
            segment_bytes: self.config.encoding.segment_bytes(),
            reserve_bytes: self.reserve_bytes(),
        })
    }

    fn reserve_bytes(&self) -> u64 {
        let encoding = &self.config.encoding;
        let geometry = self
            .config
            .size_hint
            .and_then(|size| Geometry::new(size, encoding.segment_bytes(), encoding.coding()).ok());
        geometry.map_or(0, |geometry| ShareLayout::new(geometry).share_file_bytes())
    }

    fn send_blocks(&mut self, now: Mono, share: usize) {
        let number = self.shares[share].number;
        let (si, upload) = (self.config.si, self.config.upload);
        let end = self.window.encoded_end();
        while let Some(writer) = self.shares[share].writer()
            && let Some(segment) = writer.next_block(end)
            && let Some(coded) = self.window.coded(segment)
        {
            let peer = writer.peer;
            let request = WriteBlock {
                si,
                share: number,
                upload,
                segment: SegmentIndex(segment),
                block_leaf: coded.block_leaves[number.index()],
                sealed_leaf: coded.sealed_leaf,
                block: coded.blocks[number.index()].clone(),
            };
            let token = self.send(
                now,
                peer,
                Purpose::Write { share, segment },
                Request::WriteBlock(request),
            );
            self.marks.first_sent.get_or_insert(now);
            let Some(writer) = self.shares[share].writer() else {
                return;
            };
            writer.blocks_out.insert(segment, token);
            writer.next = segment + 1;
            writer.last_sent = now;
        }
        let complete = self.window.all_encoded() && self.file.is_some();
        if let Some(writer) = self.shares[share].writer()
            && complete
            && writer.done == end
        {
            writer.stage = Stage::Closing;
            self.send_close(now, share);
        }
    }

    fn send_close(&mut self, now: Mono, share: usize) {
        let Some(file) = self.file.clone() else { return };
        let request = CloseShare {
            si: self.config.si,
            share: self.shares[share].number,
            upload: self.config.upload,
            file,
        };
        self.send_one(now, share, Purpose::Close { share }, Request::CloseShare(request));
    }

    fn send_put(&mut self, now: Mono, share: usize) {
        let number = self.shares[share].number;
        let (Some(file), Some(coded)) = (self.file.clone(), self.window.coded(0)) else {
            return;
        };
        let block = coded.blocks[number.index()].clone();
        let request = PutShare {
            si: self.config.si,
            share: number,
            file,
            block,
        };
        self.marks.first_sent.get_or_insert(now);
        self.send_one(now, share, Purpose::Put { share }, Request::PutShare(request));
    }

    fn send_check(&mut self, now: Mono, share: usize) {
        let request = FindShares {
            si: self.config.si,
            inline_bytes_max: 0,
        };
        self.send_one(now, share, Purpose::Check { share }, Request::FindShares(request));
    }

    fn send_one(&mut self, now: Mono, share: usize, purpose: Purpose, request: Request) {
        let Some(peer) = self.shares[share].live_peer() else {
            return;
        };
        let token = self.send(now, peer, purpose, request);
        if let Some(writer) = self.shares[share].writer() {
            writer.request_out = Some(token);
            writer.last_sent = now;
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
