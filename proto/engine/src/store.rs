//! The share store of one node, without a disk: which shares may be written, what an unfinished one has so far, and
//! what is answered when.
//!
//! A share that is being written is *open*: named by link, upload and share, it takes blocks in the order of their
//! segments. At its close the trees over the leaves that came with the blocks must have the roots that the file's
//! parameters (UEB) say; then the disk makes it durable, and only then the close is answered. It is given up when its
//! uploader says so, when its link goes, when nothing came for a while, or when the disk fails. A finished share is the
//! disk's: the machine keeps no list of them, so its memory does not grow with the store.
//!
//! Admission refuses before anything is taken: no room within quota and reserve (`Full`), too many open shares, bytes on
//! their way to the disk, or reads (`Busy`, with a time to wait). Finished shares are served also when it is full.
//!
//! The machine and the disk check structure: lengths, order, trees, checksums of header and footer. They do not hash
//! blocks, neither when these come nor when they go: the reader does, and a hash per byte is what this node would
//! otherwise pay most for. Only a block that a reader found damaged is hashed here, and its share put aside if the reader
//! is right; a reader that is not right costs one hash. [`Store::verify`] reads a whole share back and puts it aside if any hash is wrong.
//!
//! Order of use: any `handle_*` or command, then [`Store::poll_effect`] until it gives nothing, then
//! [`Store::next_deadline`].

mod change_log;
mod config;
mod done;
mod draining;
mod faults;
mod inventory;
mod lease;
mod looking;
pub mod model;
mod open;
mod recent;
mod space;
mod suspect;
mod trash;
mod types;
mod write;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use truckee_grid::ids::{ShareNumber, StorageIndex, UploadId};
use truckee_wire::message::{Failure, FailureCode, FileFacts, NodeStatus, Request, Response};

pub use self::change_log::ChangeLog;
pub use self::config::{Aborted, Corrupt, Limits, StartSpace, StoreConfig, StoreReport};
use self::inventory::Changes;
use self::lease::Renewal;
pub use self::lease::{Leased, Survey};
use self::open::{Open, Phase};
use self::recent::RecentShares;
use self::space::Space;
pub use self::suspect::is_sound_block;
pub use self::trash::{Amount, TrashCause, TrashMark};
pub use self::types::{
    Asked, Closing, Damage, DiskDone, DiskFault, DiskOp, DiskReply, DiskToken, EMPTY_MAX, Effect, Found,
    Holding, IncomingId, LIST_MAX, Lease, Listing, ShareId, Ticket,
};
use crate::time::{Day, Mono, UnixSeconds};

/// An open share that gets nothing for so long is given up. An uploader that is alive sends a block every few seconds
/// even on a slow line; one that is frozen is given up by its own gateway much sooner.
pub const IDLE_MAX: Duration = Duration::from_secs(60);
/// How often free room is measured: others may write to the same disk, and one `statvfs` costs microseconds.
pub const MEASURE_EVERY: Duration = Duration::from_secs(10);
/// How long an upload may take back a share that it has finished: an upload that fails does so within its own patience
/// of its last close.
pub const TAKE_BACK_MAX: Duration = Duration::from_secs(600);
/// When to ask again after the disk had too many bytes or reads before it: a rotating disk writes 16 MiB meanwhile.
pub const RETRY_DISK: Duration = Duration::from_millis(200);
/// When to ask again after too many shares were open: uploads end in seconds.
pub const RETRY_OPEN: Duration = Duration::from_secs(2);
/// Checks and lists, which no peer waits for, are refused as soon as requests of peers take up this part of the bounds on
/// reads and on bytes to be written.
const CROWDED_PART: usize = 4;

/// Names an open share. A second upload of the same share, or the same over another link, is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OpenKey {
    link: u64,
    upload: UploadId,
    share: ShareId,
}

/// What a disk operation was for.
#[derive(Clone, Debug)]
enum Pending {
    Create {
        key: OpenKey,
        incoming: IncomingId,
        ticket: Ticket,
    },
    Append {
        key: OpenKey,
        incoming: IncomingId,
        ticket: Ticket,
        bytes: u64,
    },
    Finish {
        key: OpenKey,
        file: Box<FileFacts>,
    },
    Discard {
        incoming: IncomingId,
        share: ShareId,
        ticket: Option<Ticket>,
    },
    Put {
        link: u64,
        share: ShareId,
        ticket: Ticket,
        reserved: u64,
        bytes: u64,
        file: Box<FileFacts>,
    },
    /// `without`: shares that are on their way out.
    Find {
        ticket: Ticket,
        si: StorageIndex,
        without: Vec<ShareNumber>,
    },
    Read {
        ticket: Ticket,
    },
    Verify {
        ticket: Ticket,
    },
    /// A page of a bucket for a peer; `changes` of the bucket when it was asked for.
    Page {
        ticket: Ticket,
        changes: u32,
    },
    List {
        ticket: Ticket,
    },
    Remove {
        share: ShareId,
        ticket: Ticket,
    },
    /// Into the trash, out of it, or for good; `share` is on its way in.
    Trash {
        ticket: Ticket,
        share: Option<ShareId>,
    },
    /// The leases of files; `kept`: a share that was there, of which its uploader then hears.
    Renew {
        ticket: Ticket,
        kept: Option<(ShareId, Box<Response>)>,
    },
    Survey {
        ticket: Ticket,
    },
    Measure,
}

/// See the module.
#[derive(Debug)]
pub struct Store {
    config: StoreConfig,
    started: Mono,
    space: Space,
    report: StoreReport,
    /// What was in the trash at the start or came into it since.
    thrown: Amount,
    /// What was restored from there or deleted. Outcomes may come in another order than they happened in: what is there is
    /// known only by both.
    taken_out: Amount,
    /// Renewals of many leases that peers have asked for.
    renewals: BTreeMap<Ticket, Renewal>,
    /// No lease is granted from before this day.
    today: Day,
    /// The calendar at the last request.
    calendar: UnixSeconds,
    open: BTreeMap<OpenKey, Open>,
    recent: RecentShares,
    pending: BTreeMap<DiskToken, Pending>,
    changes: Changes,
    /// Unfinished files that the disk failed to remove; a restart removes them at the latest.
    leftovers: Vec<(IncomingId, ShareId)>,
    effects: VecDeque<Effect>,
    next_token: u64,
    next_incoming: u64,
    leaves: usize,
    measure_at: Mono,
    measuring: bool,
    stopping: bool,
    draining: bool,
}

impl Store {
    /// A store with what was found on its disk.
    pub fn new(config: StoreConfig, start: StartSpace, now: Mono) -> Store {
        let (epoch, draining) = (config.epoch, config.draining);
        let space = Space::new(
            config.quota_bytes,
            config.reserve_bytes,
            start.used_bytes + start.trash.bytes,
            start.free_bytes,
        );
        Store {
            config,
            started: now,
            space,
            report: StoreReport {
                share_count: start.share_count,
                ..StoreReport::default()
            },
            thrown: start.trash,
            taken_out: Amount::default(),
            renewals: BTreeMap::new(),
            today: Day::FIRST,
            calendar: Day::FIRST.begin(),
            open: BTreeMap::new(),
            recent: RecentShares::default(),
            pending: BTreeMap::new(),
            changes: Changes::new(epoch),
            leftovers: Vec::new(),
            effects: VecDeque::new(),
            next_token: 1,
            next_incoming: 1,
            leaves: 0,
            measure_at: now + MEASURE_EVERY,
            measuring: false,
            stopping: false,
            draining,
        }
    }

    /// A request came. It is answered exactly once, by an [`Effect::Answer`], now or later.
    pub fn handle_request(&mut self, now: Mono, unix: UnixSeconds, asked: Asked, request: Request) {
        let over = now >= asked.deadline && !matches!(request, Request::AbortShare(_));
        if over {
            self.fail(
                asked.ticket,
                Failure::new(
                    FailureCode::Expired,
                    "the time budget was over when the store got to it",
                ),
            );
            return;
        }
        self.calendar = unix;
        let granted = unix.max(self.today.begin());
        let lease = Lease { granted };
        match request {
            Request::OpenShare(open) => self.open_share(now, asked, &open),
            Request::WriteBlock(write) => self.write_block(now, asked, write),
            Request::CloseShare(close) => self.close_share(now, asked, close, lease),
            Request::AbortShare(abort) => self.abort_share(now, asked, abort),
            Request::PutShare(put) => self.put_share(asked, put, lease),
            Request::FindShares(find) => {
                self.shown(find.si);
                let op = DiskOp::Find {
                    si: find.si,
                    inline_bytes_max: find.inline_bytes_max,
                };
                let pending = Pending::Find {
                    ticket: asked.ticket,
                    si: find.si,
                    without: self.leaving(find.si),
                };
                self.read_op(asked.ticket, op, pending);
            }
            Request::ReadBlock(read) => {
                let op = DiskOp::Read {
                    share: ShareId {
                        si: read.si,
                        share: read.share,
                    },
                    segment: read.segment,
                    suspect: read.suspect,
                };
                self.read_op(asked.ticket, op, Pending::Read { ticket: asked.ticket });
            }
            Request::GetInventory => {
                let inventory = self.inventory(now);
                self.answer(asked.ticket, Response::Inventory(inventory));
            }
            Request::ListShares(list) => self.list_shares(asked.ticket, list),
            Request::ListAdded(list) => {
                let added = self.changes.log().list_added(&list);
                self.answer(asked.ticket, Response::AddedListed(added));
            }
            Request::RenewLeases(renew) => self.renew_leases(now, asked, renew.sis),
            Request::GetStatus => self.answer(asked.ticket, Response::NodeStatus(self.status(now))),
            Request::KeepShare(_)
            | Request::Join(_)
            | Request::SyncRoster(_)
            | Request::PushRoster(_)
            | Request::GetRows(_)
            | Request::CommitChange(_) => {
                self.fail(
                    asked.ticket,
                    Failure::new(FailureCode::Unsupported, "the share store does not serve this"),
                );
            }
        }
    }

    /// A link went away: what it has open is given up, and it takes nothing back any more.
    pub fn handle_link_lost(&mut self, link: u64) {
        let keys: Vec<OpenKey> = self.open.keys().filter(|key| key.link == link).copied().collect();
        for key in keys {
            if self.give_up(&key, None, "the link went away") {
                self.report.aborted.link_lost += 1;
            }
        }
        self.recent.remove_link(link);
    }

    /// Time has passed: gives up idle shares, measures, forgets.
    pub fn handle_timeout(&mut self, now: Mono) {
        let idle: Vec<OpenKey> = self
            .open
            .iter()
            .filter(|(_, open)| open.idle_at().is_some_and(|at| at <= now))
            .map(|(key, _)| *key)
            .collect();
        for key in idle {
            if self.give_up(&key, None, "nothing came for too long") {
                self.report.aborted.idle += 1;
            }
        }
        self.recent.expire(now);
        if self.measure_at <= now && !self.measuring {
            for (incoming, share) in std::mem::take(&mut self.leftovers) {
                self.discard(incoming, share, None);
            }
            self.measuring = true;
            self.measure_at = now + MEASURE_EVERY;
            self.space.asked();
            self.disk(DiskOp::Measure, Pending::Measure);
        }
    }

    /// When [`Store::handle_timeout`] is due.
    pub fn next_deadline(&self) -> Option<Mono> {
        let idle = self.open.values().filter_map(Open::idle_at).min();
        let forget = self.recent.next_expiry();
        let measure = (!self.measuring).then_some(self.measure_at);
        [idle, forget, measure].into_iter().flatten().min()
    }

    /// From now on no share is opened or put; what is open may still be finished.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Whether no disk operation is under way.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.effects.is_empty()
    }

    /// The next thing to do, if any.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// A look at the store.
    pub fn report(&self) -> StoreReport {
        StoreReport {
            used_bytes: self.space.used(),
            available_bytes: self.space.available(),
            open_shares: self.open.len(),
            unfinished_shares: self.unfinished_shares(),
            draining: self.draining,
            trash: self.thrown.without(self.taken_out),
            ..self.report
        }
    }

    /// What a peer is told about the store.
    pub fn status(&self, now: Mono) -> NodeStatus {
        NodeStatus {
            share_count: self.report.share_count,
            used_bytes: self.space.used(),
            available_bytes: self.space.available(),
            accepts_shares: !self.stopping && !self.draining && self.space.available() > 0,
            uptime: now.saturating_sub(self.started),
            software: self.config.software.clone(),
        }
    }

    fn read_op(&mut self, ticket: Ticket, op: DiskOp, pending: Pending) {
        if self.report.reads_in_flight >= self.config.limits.reads_max {
            self.fail(
                ticket,
                Failure::busy(RETRY_DISK, "the disk has too many reads before it"),
            );
            return;
        }
        self.report.reads_in_flight += 1;
        self.disk(op, pending);
    }

    fn disk(&mut self, op: DiskOp, pending: Pending) {
        let token = DiskToken(self.next_token);
        self.next_token += 1;
        self.pending.insert(token, pending);
        self.changes.begin(token, &op);
        self.effects.push_back(Effect::Disk { token, op });
    }

    fn discard(&mut self, incoming: IncomingId, share: ShareId, ticket: Option<Ticket>) {
        self.disk(
            DiskOp::Discard { incoming, share },
            Pending::Discard {
                incoming,
                share,
                ticket,
            },
        );
    }

    fn answer(&mut self, ticket: Ticket, response: Response) {
        self.effects.push_back(Effect::Answer {
            ticket,
            result: Ok(response),
        });
    }

    fn fail(&mut self, ticket: Ticket, failure: Failure) {
        self.effects.push_back(Effect::Answer {
            ticket,
            result: Err(failure),
        });
    }

    /// Somebody asks for shares of a file and may count on what is there: nothing of it is taken back any more.
    fn shown(&mut self, si: StorageIndex) {
        self.recent.remove_file(si);
        for open in self.open.values_mut().filter(|open| open.share.si == si) {
            open.shown |= matches!(open.phase, Phase::Finishing { .. });
        }
    }

    /// Shares of a file that the disk has been told to take away.
    fn leaving(&self, si: StorageIndex) -> Vec<ShareNumber> {
        let removes = self.pending.values().filter_map(|pending| match pending {
            Pending::Remove { share, .. }
            | Pending::Trash {
                share: Some(share), ..
            } if share.si == si => Some(share.share),
            _ => None,
        });
        removes.collect()
    }

    /// Whether somebody may be about to hear that the share is there.
    fn is_asked_for(&self, share: ShareId) -> bool {
        self.pending.values().any(|pending| match pending {
            Pending::Create { key, .. } | Pending::Finish { key, .. } => key.share == share,
            Pending::Put { share: put, .. } => *put == share,
            Pending::Renew {
                kept: Some((kept, _)),
                ..
            } => *kept == share,
            Pending::Find { si, .. } => *si == share.si,
            _ => false,
        })
    }
}

impl Open {
    /// When it is given up if nothing comes; never while the disk works for it.
    fn idle_at(&self) -> Option<Mono> {
        let waits = self.pending == 0 && matches!(self.phase, Phase::Open);
        waits.then(|| self.last_activity + IDLE_MAX)
    }
}

#[cfg(test)]
mod tests;
