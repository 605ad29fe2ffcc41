//! How shares are written: the requests of uploaders, up to the disk operations that they cause.

use truckee_grid::share::ShareLayout;
use truckee_wire::message::{
    AbortShare, CloseShare, Failure, FailureCode, OpenShare, PutShare, Response, WriteBlock,
};

use super::open::{self, Misfit, Open, Phase};
use super::space::{SEGMENT_HASH_BYTES, SHARE_FRAME_BYTES};
use super::types::{Asked, DiskOp, IncomingId, Lease, ShareId, Ticket};
use super::{OpenKey, Pending, RETRY_DISK, RETRY_OPEN, Store};
use crate::time::Mono;

fn no_room(needed: u64, available: u64) -> Failure {
    Failure::new(
        FailureCode::Full,
        format!("no room for this share: {needed} more bytes needed, {available} available"),
    )
}

impl Store {
    pub(super) fn open_share(&mut self, now: Mono, asked: Asked, request: &OpenShare) {
        let share = ShareId {
            si: request.si,
            share: request.share,
        };
        let key = OpenKey {
            link: asked.link,
            upload: request.upload,
            share,
        };
        if let Some(open) = self.open.get_mut(&key)
            && open.is_opened_by(request)
        {
            // The uploader has nothing to send yet, and says that it is still there.
            open.last_activity = now;
            self.answer(asked.ticket, Response::ShareOpened { already_there: false });
            return;
        }
        if let Err(failure) = self.admit_open(&key, request) {
            self.fail(asked.ticket, failure);
            return;
        }
        let needed = request.reserve_bytes.max(SHARE_FRAME_BYTES);
        if !self.space.reserve(needed) {
            self.fail(asked.ticket, no_room(needed, self.space.available()));
            return;
        }
        let incoming = self.new_incoming();
        let mut open = Open::new(request, incoming, now);
        open.reserved_bytes = needed;
        open.pending = 1;
        self.open.insert(key, open);
        let op = DiskOp::Create {
            incoming,
            share,
            coding: request.coding,
            segment_bytes: request.segment_bytes,
            expected_bytes: request.reserve_bytes,
        };
        self.disk(
            op,
            Pending::Create {
                key,
                incoming,
                ticket: asked.ticket,
            },
        );
    }

    fn admit_open(&self, key: &OpenKey, request: &OpenShare) -> Result<(), Failure> {
        open::check_share(request.share, request.coding)?;
        if self.open.contains_key(key) {
            return Err(Misfit::OpenAlready.into());
        }
        self.admit_new()?;
        let of_link = self.open.keys().filter(|open| open.link == key.link).count();
        let limits = &self.config.limits;
        if self.open.len() >= limits.open_max || of_link >= limits.open_per_link_max {
            return Err(Failure::busy(RETRY_OPEN, "too many shares are being written"));
        }
        Ok(())
    }

    fn admit_new(&self) -> Result<(), Failure> {
        if self.stopping {
            return Err(Failure::busy(
                RETRY_OPEN,
                "the node is stopping and takes no new shares",
            ));
        }
        if self.draining {
            // Not busy: it will not take it later either.
            return Err(Failure::new(
                FailureCode::Full,
                "the node is being emptied and takes no new shares",
            ));
        }
        Ok(())
    }

    pub(super) fn new_incoming(&mut self) -> IncomingId {
        let incoming = IncomingId(self.next_incoming);
        self.next_incoming += 1;
        incoming
    }

    pub(super) fn write_block(&mut self, now: Mono, asked: Asked, write: WriteBlock) {
        let share = ShareId {
            si: write.si,
            share: write.share,
        };
        let key = OpenKey {
            link: asked.link,
            upload: write.upload,
            share,
        };
        let Some(open) = self.open.get_mut(&key) else {
            self.fail(asked.ticket, not_open());
            return;
        };
        open.last_activity = now;
        let bytes = write.block.len() as u64;
        let in_flight = self.report.write_bytes_in_flight;
        let crowded = in_flight > 0 && in_flight + bytes > self.config.limits.write_bytes_max;
        let behind_held_up = open.held_up && write.segment > open.next_segment();
        if crowded || behind_held_up {
            open.held_up = true;
            self.fail(
                asked.ticket,
                Failure::busy(RETRY_DISK, "the disk has too many bytes before it"),
            );
            return;
        }
        if let Err(misfit) = open.check_block(&write) {
            self.fail(asked.ticket, misfit.into());
            return;
        }
        if self.leaves + 2 > self.config.limits.leaves_max {
            self.fail_share(
                &key,
                asked.ticket,
                Failure::busy(RETRY_OPEN, "open shares have too many blocks in all"),
            );
            return;
        }
        if let Err(failure) = self.make_room(&key, bytes + SEGMENT_HASH_BYTES) {
            self.fail_share(&key, asked.ticket, failure);
            return;
        }
        self.append(&key, asked.ticket, write);
    }

    fn append(&mut self, key: &OpenKey, ticket: Ticket, write: WriteBlock) {
        let Some(open) = self.open.get_mut(key) else {
            return;
        };
        let bytes = write.block.len() as u64;
        open.take_block(&write);
        open.written_bytes += bytes + SEGMENT_HASH_BYTES;
        open.pending += 1;
        let incoming = open.incoming;
        self.leaves += 2;
        self.space.wrote(bytes + SEGMENT_HASH_BYTES);
        self.report.write_bytes_in_flight += bytes;
        let op = DiskOp::Append {
            incoming,
            share: key.share,
            block: write.block,
        };
        self.disk(
            op,
            Pending::Append {
                key: *key,
                incoming,
                ticket,
                bytes,
            },
        );
    }

    /// Makes sure that `bytes` more may be written to an open share.
    fn make_room(&mut self, key: &OpenKey, bytes: u64) -> Result<(), Failure> {
        let Some(open) = self.open.get_mut(key) else {
            return Err(not_open());
        };
        let missing = (open.written_bytes + bytes).saturating_sub(open.reserved_bytes);
        if !self.space.reserve(missing) {
            return Err(no_room(missing, self.space.available()));
        }
        open.reserved_bytes += missing;
        Ok(())
    }

    pub(super) fn close_share(&mut self, now: Mono, asked: Asked, close: CloseShare, lease: Lease) {
        let share = ShareId {
            si: close.si,
            share: close.share,
        };
        let key = OpenKey {
            link: asked.link,
            upload: close.upload,
            share,
        };
        let Some(open) = self.open.get_mut(&key) else {
            self.fail(asked.ticket, not_open());
            return;
        };
        open.last_activity = now;
        if matches!(open.phase, Phase::Draining { .. } | Phase::Finishing { .. }) {
            self.fail(asked.ticket, Misfit::Closing.into());
            return;
        }
        if let Err(misfit) = open.check_close(&close.file) {
            self.fail_share(&key, asked.ticket, misfit.into());
            return;
        }
        let written = open.written_bytes;
        let length = ShareLayout::new(*close.file.ueb.geometry()).share_file_bytes();
        if let Err(failure) = self.make_room(&key, length.saturating_sub(written)) {
            self.fail_share(&key, asked.ticket, failure);
            return;
        }
        let Some(open) = self.open.get_mut(&key) else {
            return;
        };
        self.leaves -= open.leaves();
        let closing = open.closing(close.file, lease);
        open.phase = Phase::Draining {
            ticket: asked.ticket,
            closing,
        };
        self.finish_if_drained(&key);
    }

    /// Has the disk finish a share that is to be closed, once all its blocks are written.
    pub(super) fn finish_if_drained(&mut self, key: &OpenKey) {
        let Some(open) = self.open.get_mut(key) else {
            return;
        };
        if open.pending > 0 || !matches!(open.phase, Phase::Draining { .. }) {
            return;
        }
        let finishing = Phase::Finishing {
            ticket: None,
            aborted_by: None,
        };
        let Phase::Draining { ticket, closing } = std::mem::replace(&mut open.phase, finishing) else {
            return;
        };
        open.phase = Phase::Finishing {
            ticket: Some(ticket),
            aborted_by: None,
        };
        open.pending = 1;
        let file = Box::new(closing.file.clone());
        let op = DiskOp::Finish {
            incoming: open.incoming,
            share: key.share,
            closing,
        };
        self.disk(op, Pending::Finish { key: *key, file });
    }

    pub(super) fn abort_share(&mut self, now: Mono, asked: Asked, abort: AbortShare) {
        let share = ShareId {
            si: abort.si,
            share: abort.share,
        };
        let key = OpenKey {
            link: asked.link,
            upload: abort.upload,
            share,
        };
        if self.open.contains_key(&key) {
            if self.give_up(&key, Some(asked.ticket), "its uploader took it back") {
                self.report.aborted.asked += 1;
            }
            return;
        }
        let place = (share, asked.link);
        let may_take_back = self.recent.get(&place).is_some_and(|recent| {
            recent.until > now && recent.upload.is_none_or(|upload| upload == abort.upload)
        });
        if may_take_back && !self.is_asked_for(share) {
            self.recent.remove(&place);
            self.disk(
                DiskOp::Remove { share },
                Pending::Remove {
                    share,
                    ticket: asked.ticket,
                },
            );
        } else {
            self.answer(asked.ticket, Response::ShareAborted);
        }
    }

    pub(super) fn put_share(&mut self, asked: Asked, put: PutShare, lease: Lease) {
        let share = ShareId {
            si: put.si,
            share: put.share,
        };
        let bytes = put.block.len() as u64;
        let needed = ShareLayout::new(*put.file.ueb.geometry()).share_file_bytes();
        let in_flight = self.report.write_bytes_in_flight;
        if in_flight > 0 && in_flight + bytes > self.config.limits.write_bytes_max {
            self.fail(
                asked.ticket,
                Failure::busy(RETRY_DISK, "the disk has too many bytes before it"),
            );
            return;
        }
        let file = Box::new(put.file.clone());
        let closing = self.admit_new().and_then(|()| {
            open::closing_of_put(put.share, put.file, put.block.len(), lease).map_err(Failure::from)
        });
        let closing = match closing {
            Ok(closing) => closing,
            Err(failure) => return self.fail(asked.ticket, failure),
        };
        if !self.space.reserve(needed) {
            self.fail(asked.ticket, no_room(needed, self.space.available()));
            return;
        }
        self.space.wrote(needed);
        self.report.write_bytes_in_flight += bytes;
        let incoming = self.new_incoming();
        let pending = Pending::Put {
            link: asked.link,
            share,
            ticket: asked.ticket,
            reserved: needed,
            bytes,
            file,
        };
        self.disk(
            DiskOp::Put {
                incoming,
                share,
                closing,
                block: put.block,
            },
            pending,
        );
    }

    /// Refuses a request about an open share in a way that ends the share.
    pub(super) fn fail_share(&mut self, key: &OpenKey, ticket: Ticket, failure: Failure) {
        self.fail(ticket, failure);
        if self.give_up(key, None, "it failed") {
            self.report.aborted.failed += 1;
        }
    }

    /// Ends an open share; `ticket` is told when it is gone. False if it was being made durable: it is then taken away
    /// afterwards if its uploader says so, and stays otherwise.
    pub(super) fn give_up(&mut self, key: &OpenKey, ticket: Option<Ticket>, why: &str) -> bool {
        let Some(open) = self.open.get_mut(key) else {
            return false;
        };
        if let Phase::Finishing {
            ticket: closer,
            aborted_by,
        } = &mut open.phase
        {
            if let Some(ticket) = ticket {
                let (closer, before) = (closer.take(), aborted_by.replace(ticket));
                closer
                    .into_iter()
                    .for_each(|closer| self.fail(closer, cancelled(why)));
                before
                    .into_iter()
                    .for_each(|before| self.answer(before, Response::ShareAborted));
            }
            return false;
        }
        let Some(open) = self.drop_open(key) else {
            return false;
        };
        if let Phase::Draining { ticket: closer, .. } = open.phase {
            self.fail(closer, cancelled(why));
        }
        self.discard(open.incoming, key.share, ticket);
        true
    }

    /// Forgets an open share and gives back what it held.
    pub(super) fn drop_open(&mut self, key: &OpenKey) -> Option<Open> {
        let open = self.open.remove(key)?;
        self.leaves -= open.leaves();
        self.space.release(open.reserved_bytes, open.written_bytes);
        Some(open)
    }
}

fn cancelled(why: &str) -> Failure {
    Failure::new(FailureCode::Cancelled, format!("the share was given up: {why}"))
}

pub(super) fn not_open() -> Failure {
    Failure::new(
        FailureCode::NotFound,
        "this upload has no such share open over this link: it was never opened, was given up, or is finished",
    )
}
