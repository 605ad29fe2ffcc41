//! What follows from the outcome of a disk operation: answers, and the books kept right.

use truckee_grid::ids::{ShareNumber, StorageIndex};
use truckee_wire::message::{Failure, FailureCode, FileFacts, FoundShares, Response};

use super::open::Phase;
use super::recent::Recent;
use super::types::{
    DiskDone, DiskFault, DiskOp, DiskReply, DiskToken, Effect, Found, IncomingId, ShareId, Ticket,
};
use super::write::not_open;
use super::{Corrupt, OpenKey, Pending, Store, TAKE_BACK_MAX};
use crate::time::Mono;

/// Unfinished files to try to remove again. More of them mean a disk that is past help.
const LEFTOVERS_MAX: usize = 1024;

type Outcome = Result<DiskDone, DiskFault>;

impl Store {
    /// The request that a disk operation is for; none if it is for no single one, or for one that was answered.
    #[must_use]
    pub fn asked_by(&self, token: DiskToken) -> Option<Ticket> {
        match self.pending.get(&token)? {
            Pending::Create { ticket, .. }
            | Pending::Append { ticket, .. }
            | Pending::Put { ticket, .. }
            | Pending::Find { ticket, .. }
            | Pending::Read { ticket }
            | Pending::Remove { ticket, .. }
            | Pending::List { ticket }
            | Pending::Page { ticket, .. }
            | Pending::Trash { ticket, .. }
            | Pending::Renew { ticket, .. }
            | Pending::Survey { ticket }
            | Pending::Verify { ticket } => Some(*ticket),
            Pending::Discard { ticket, .. } => *ticket,
            Pending::Finish { key, .. } => match &self.open.get(key)?.phase {
                Phase::Finishing { ticket, .. } => *ticket,
                Phase::Draining { ticket, .. } => Some(*ticket),
                Phase::Open => None,
            },
            Pending::Measure => None,
        }
    }

    /// A disk operation has come to its end. A token that is not known is ignored.
    pub fn handle_disk(&mut self, now: Mono, token: DiskToken, reply: DiskReply) {
        let Some(pending) = self.pending.remove(&token) else {
            return;
        };
        self.changes.end(token, &reply);
        let outcome = self.take_notice(&pending, reply);
        match pending {
            Pending::Create {
                key,
                incoming,
                ticket,
            } => self.created(now, &key, incoming, ticket, &outcome),
            Pending::Append {
                key,
                incoming,
                ticket,
                bytes,
            } => {
                self.report.write_bytes_in_flight -= bytes;
                self.appended(now, &key, incoming, ticket, bytes, &outcome);
            }
            Pending::Finish { key, file } => self.finished(now, &key, &file, outcome),
            Pending::Discard {
                incoming,
                share,
                ticket,
            } => {
                if outcome.is_err() && self.leftovers.len() < LEFTOVERS_MAX {
                    self.leftovers.push((incoming, share));
                }
                if let Some(ticket) = ticket {
                    self.answer(ticket, Response::ShareAborted);
                }
            }
            Pending::Put {
                link,
                share,
                ticket,
                reserved,
                bytes,
                file,
            } => {
                self.report.write_bytes_in_flight -= bytes;
                self.space.release(reserved, reserved);
                if matches!(outcome, Ok(DiskDone::Stored { .. })) {
                    self.report.written_bytes += bytes;
                    let until = now + TAKE_BACK_MAX;
                    self.recent.insert((share, link), Recent { upload: None, until });
                }
                self.put_done(ticket, share, reserved, &file, outcome);
            }
            Pending::Find { ticket, si, without } => self.found(ticket, si, &without, outcome),
            Pending::Read { ticket } => self.read(ticket, outcome),
            Pending::Verify { ticket } => self.verified(ticket, &outcome),
            Pending::List { ticket } => self.listed(ticket, outcome),
            Pending::Page { ticket, changes } => self.page(ticket, changes, outcome),
            Pending::Remove { ticket, .. } => self.removed(ticket, &outcome),
            Pending::Trash { ticket, .. } => self.trash_moved(ticket, &outcome),
            Pending::Renew { ticket, kept } => self.renewed(now, ticket, kept, outcome),
            Pending::Survey { ticket } => self.surveyed(ticket, outcome),
            Pending::Measure => {
                self.measuring = false;
                if let Ok(DiskDone::Measured { free_bytes }) = outcome {
                    self.space.measured(free_bytes);
                }
            }
        }
    }

    /// What an outcome says besides its result.
    fn take_notice(&mut self, pending: &Pending, reply: DiskReply) -> Outcome {
        *pending.finder(&mut self.report.corrupt) += reply.damage.shares;
        self.report.share_count = self.report.share_count.saturating_sub(reply.damage.shares);
        self.space.gone(reply.damage.bytes);
        if reply.result == Err(DiskFault::Full) {
            self.space.full();
        }
        reply.result
    }

    fn created(&mut self, now: Mono, key: &OpenKey, incoming: IncomingId, ticket: Ticket, outcome: &Outcome) {
        let Some(open) = self.open.get_mut(key).filter(|open| open.incoming == incoming) else {
            self.fail(ticket, not_open());
            return;
        };
        open.pending -= 1;
        open.last_activity = now;
        match outcome {
            Ok(DiskDone::Exists { .. }) => {
                self.drop_open(key);
                self.shown(key.share.si);
                let there = Response::ShareOpened { already_there: true };
                self.keep_and_answer(ticket, key.share, there);
            }
            Err(fault) => {
                self.drop_open(key);
                self.report.aborted.failed += 1;
                self.fail(ticket, (*fault).into());
            }
            Ok(_) => {
                self.answer(ticket, Response::ShareOpened { already_there: false });
                self.finish_if_drained(key);
            }
        }
    }

    fn appended(
        &mut self,
        now: Mono,
        key: &OpenKey,
        incoming: IncomingId,
        ticket: Ticket,
        bytes: u64,
        outcome: &Outcome,
    ) {
        let Some(open) = self.open.get_mut(key).filter(|open| open.incoming == incoming) else {
            self.fail(ticket, not_open());
            return;
        };
        open.pending -= 1;
        open.last_activity = now;
        match outcome {
            Ok(_) => {
                self.report.written_bytes += bytes;
                self.answer(ticket, Response::BlockWritten);
                self.finish_if_drained(key);
            }
            Err(fault) => self.fail_share(key, ticket, (*fault).into()),
        }
    }

    fn finished(&mut self, now: Mono, key: &OpenKey, file: &FileFacts, outcome: Outcome) {
        let Some(open) = self.drop_open(key) else { return };
        let Phase::Finishing { ticket, aborted_by } = open.phase else {
            return;
        };
        match outcome {
            Ok(DiskDone::Stored { file_bytes }) => {
                self.stored(file_bytes, open.written_bytes);
                if let Some(ticket) = aborted_by.filter(|_| !open.shown && !self.is_asked_for(key.share)) {
                    self.report.aborted.asked += 1;
                    self.disk(
                        DiskOp::Remove { share: key.share },
                        Pending::Remove {
                            share: key.share,
                            ticket,
                        },
                    );
                    return;
                }
                aborted_by
                    .into_iter()
                    .for_each(|aborter| self.answer(aborter, Response::ShareAborted));
                if !open.shown {
                    let recent = Recent {
                        upload: Some(key.upload),
                        until: now + TAKE_BACK_MAX,
                    };
                    self.recent.insert((key.share, key.link), recent);
                }
                ticket
                    .into_iter()
                    .for_each(|ticket| self.answer(ticket, Response::ShareClosed));
            }
            Ok(done) => {
                // A share was there already; the unfinished file is gone.
                let same = matches!(done, DiskDone::Exists { file: there } if there == *file);
                self.shown(key.share.si);
                aborted_by
                    .into_iter()
                    .for_each(|aborter| self.answer(aborter, Response::ShareAborted));
                match ticket {
                    Some(ticket) if same => {
                        self.keep_and_answer(ticket, key.share, Response::ShareClosed);
                    }
                    Some(ticket) => self.fail(ticket, other_file()),
                    None => {}
                }
            }
            Err(fault) => {
                self.report.aborted.failed += 1;
                ticket
                    .into_iter()
                    .for_each(|ticket| self.fail(ticket, fault.into()));
                self.discard(open.incoming, key.share, aborted_by);
            }
        }
    }

    fn stored(&mut self, file_bytes: u64, written_bytes: u64) {
        self.report.share_count += 1;
        self.space.stored(file_bytes, written_bytes);
    }

    fn put_done(&mut self, ticket: Ticket, share: ShareId, counted: u64, file: &FileFacts, outcome: Outcome) {
        match outcome {
            Ok(DiskDone::Stored { file_bytes }) => {
                self.stored(file_bytes, counted);
                self.answer(ticket, Response::SharePut { already_there: false });
            }
            Ok(DiskDone::Exists { file: there }) if there == *file => {
                self.shown(share.si);
                let there = Response::SharePut { already_there: true };
                self.keep_and_answer(ticket, share, there);
            }
            Ok(_) => self.fail(ticket, other_file()),
            Err(fault) => self.fail(ticket, fault.into()),
        }
    }

    fn found(&mut self, ticket: Ticket, si: StorageIndex, without: &[ShareNumber], outcome: Outcome) {
        self.report.reads_in_flight -= 1;
        // Also of what became durable only after the question, while the disk was looking.
        self.shown(si);
        match outcome {
            Ok(DiskDone::Found(found)) => {
                let Found {
                    shares,
                    file,
                    inlined,
                } = found.without(without);
                self.report.read_bytes += inlined.as_ref().map_or(0, |block| block.len() as u64);
                self.answer(
                    ticket,
                    Response::FoundShares(FoundShares {
                        shares,
                        file,
                        inlined,
                    }),
                );
            }
            Ok(_) => self.fail(ticket, DiskFault::Failed.into()),
            Err(fault) => self.fail(ticket, fault.into()),
        }
    }

    fn read(&mut self, ticket: Ticket, outcome: Outcome) {
        self.report.reads_in_flight -= 1;
        match outcome {
            Ok(DiskDone::Read(read)) => {
                self.report.read_bytes += read.block.len() as u64;
                self.answer(ticket, Response::BlockRead(read));
            }
            Ok(_) => self.fail(ticket, DiskFault::Failed.into()),
            Err(fault) => self.fail(ticket, fault.into()),
        }
    }

    fn verified(&mut self, ticket: Ticket, outcome: &Outcome) {
        self.report.reads_in_flight -= 1;
        let result = match outcome {
            Ok(DiskDone::Sound { file_bytes }) => {
                self.report.verified_bytes += file_bytes;
                Ok(*file_bytes)
            }
            Ok(_) => Err(DiskFault::Failed),
            Err(fault) => Err(*fault),
        };
        self.effects.push_back(Effect::Verified { ticket, result });
    }

    fn listed(&mut self, ticket: Ticket, outcome: Outcome) {
        self.report.reads_in_flight -= 1;
        let result = match outcome {
            Ok(DiskDone::Listed(listing)) => Ok(listing),
            Ok(_) => Err(DiskFault::Failed),
            Err(fault) => Err(fault),
        };
        self.effects.push_back(Effect::Listed { ticket, result });
    }

    fn removed(&mut self, ticket: Ticket, outcome: &Outcome) {
        match outcome {
            Ok(DiskDone::Gone { file_bytes }) => {
                if *file_bytes > 0 {
                    self.report.share_count = self.report.share_count.saturating_sub(1);
                    self.space.gone(*file_bytes);
                }
                self.answer(ticket, Response::ShareAborted);
            }
            Ok(_) | Err(DiskFault::NotFound) => self.answer(ticket, Response::ShareAborted),
            Err(fault) => self.fail(ticket, (*fault).into()),
        }
    }
}

impl Pending {
    /// Where damage is counted that this work found.
    fn finder<'a>(&self, corrupt: &'a mut Corrupt) -> &'a mut u64 {
        match self {
            Pending::Verify { .. } | Pending::List { .. } | Pending::Survey { .. } => &mut corrupt.scrub,
            Pending::Find { .. } | Pending::Read { .. } | Pending::Page { .. } | Pending::Measure => {
                &mut corrupt.read
            }
            Pending::Create { .. }
            | Pending::Append { .. }
            | Pending::Finish { .. }
            | Pending::Discard { .. }
            | Pending::Put { .. }
            | Pending::Trash { .. }
            | Pending::Renew { .. }
            | Pending::Remove { .. } => &mut corrupt.write,
        }
    }
}

impl Found {
    fn without(mut self, shares: &[ShareNumber]) -> Found {
        if self.shares.first().is_some_and(|first| shares.contains(first)) {
            self.inlined = None;
        }
        self.shares.retain(|share| !shares.contains(share));
        self.file = self.file.filter(|_| !self.shares.is_empty());
        self
    }
}

fn other_file() -> Failure {
    Failure::new(
        FailureCode::BadRequest,
        "a share of another file is stored under this storage index and number",
    )
}
