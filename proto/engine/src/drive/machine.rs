//! The drive as a machine without I/O: many directories, readers and writers at once.
//!
//! The rules, each with its test:
//! - A read is answered by what a vdrive said after the read began; reads that wait together share one question. With
//!   an up-to-date copy that is one round trip and no work on rows.
//! - Calls that change a directory and wait together go into one signed change, in the order in which they came; each
//!   is applied whole or refused whole, and a refused one does not spoil the others.
//! - When somebody else's change was first, the edits are evaluated again on top of it, up to [`TRIES_MAX`] times.
//! - An edit is refused only on top of a version that was the newest after its call began.
//! - A change whose answer was lost is sent again as it was. If it cannot be found out whether it counted, its calls
//!   end with [`DriveError::Unknown`], and never otherwise.
//! - Nothing is shown that the owner did not sign. News that do not add up are read again as a whole once; then it is
//!   [`DriveError::Forged`]. A version below one that was seen is [`DriveError::RolledBack`].
//! - Everything is bounded by [`Limits`]; over the bound it is [`DriveError::Busy`].
//!
//! Not promised: fairness between directories, and that a call whose asker has gone is not carried out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use truckee_grid::drive::{Child, DirectoryKeys, RowName};
use truckee_grid::ids::NodeId;
use truckee_wire::message::{Lane, Response};

use super::asking::{REQUEST_BUDGET, Step};
use super::copy::Copy;
use super::directory::{Batch, Directory, Doing, Key};
use super::types::{Effect, JobId, Limits, Note, Outcome, Ticket};
use super::vdrives::Vdrives;
use super::versions::Versions;
use super::work::{EditCall, Kind, What, Work, Worked};
use super::{DriveError, Edit};
use crate::session::CallError;
use crate::time::Mono;
use crate::transfer::{Calls, Token, earlier};

/// How often a batch of edits is evaluated anew because others were first. Each try that fails means that somebody
/// else's change went through, so this many are only lost against a crowd.
pub const TRIES_MAX: u32 = 16;

/// Most rows that the calls of one change may touch: at some 15 µs each it is 30 ms of work.
const BATCH_ROWS_MAX: usize = 2048;

/// When those who found the drive full should come back.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// What a request was for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purpose {
    pub(super) key: Key,
    pub(super) vdrive: NodeId,
}

/// See the module. Inputs are the `handle_*` methods; after each, take effects by [`Drive::poll_effect`] until there are
/// none, and call [`Drive::handle_timeout`] when [`Drive::next_deadline`] has come.
#[derive(Debug)]
pub struct Drive {
    pub(super) limits: Limits,
    pub(super) vdrives: Vdrives,
    pub(super) versions: Versions,
    pub(super) directories: BTreeMap<Key, Directory>,
    /// Where each call is.
    pub(super) tickets: BTreeMap<Ticket, Key>,
    /// Edits that wait or are under way.
    pub(super) edits: usize,
    pub(super) calls: Calls<Purpose>,
    pub(super) jobs: BTreeMap<JobId, Key>,
    next_job: u64,
    /// Directories about which something is under way.
    pub(super) busy: BTreeSet<Key>,
    /// Directories with a copy, the one that was not used for the longest first.
    pub(super) copies: BTreeSet<(u64, Key)>,
    pub(super) copies_bytes: usize,
    pub(super) clock: u64,
    pub(super) random: StdRng,
    effects: VecDeque<Effect>,
}

impl Drive {
    /// Knows nothing yet. `seed` must come from a good random source: the nonces of rows are drawn from it.
    #[must_use]
    pub fn new(limits: Limits, seed: [u8; 32]) -> Self {
        Self {
            versions: Versions::new(limits.versions),
            limits,
            vdrives: Vdrives::default(),
            directories: BTreeMap::new(),
            tickets: BTreeMap::new(),
            edits: 0,
            calls: Calls::new(),
            jobs: BTreeMap::new(),
            next_job: 1,
            busy: BTreeSet::new(),
            copies: BTreeSet::new(),
            copies_bytes: 0,
            clock: 0,
            random: StdRng::from_seed(seed),
            effects: VecDeque::new(),
        }
    }

    /// These are the vdrives of the mesh now.
    pub fn handle_vdrives(&mut self, nodes: &[NodeId]) {
        self.vdrives.set(nodes);
    }

    /// Somebody reads.
    pub fn handle_read(&mut self, now: Mono, ticket: Ticket, keys: DirectoryKeys) {
        let Some(key) = self.admit(ticket, keys, 0) else {
            return;
        };
        self.directory(key).later.push(ticket);
        self.advance(now, key);
    }

    /// Somebody changes. `now_unix_ms` becomes the time of the links.
    pub fn handle_edits(
        &mut self,
        now: Mono,
        now_unix_ms: u64,
        ticket: Ticket,
        keys: DirectoryKeys,
        edits: Vec<Edit>,
    ) {
        self.handle_call(now, now_unix_ms, ticket, keys, What::Edits(edits));
    }

    /// Somebody makes a new directory or mutable file with these rows. The key must be fresh.
    pub fn handle_create(
        &mut self,
        now: Mono,
        now_unix_ms: u64,
        ticket: Ticket,
        keys: DirectoryKeys,
        rows: Vec<(RowName, Child)>,
    ) {
        self.handle_call(now, now_unix_ms, ticket, keys, What::Create(rows));
    }

    fn handle_call(&mut self, now: Mono, now_unix_ms: u64, ticket: Ticket, keys: DirectoryKeys, what: What) {
        if !keys.writable() {
            self.push(Effect::Finished {
                ticket,
                result: Err(DriveError::ReadOnly),
            });
            return;
        }
        let call = EditCall {
            ticket,
            what,
            now_unix_ms,
        };
        let Some(key) = self.admit(ticket, keys, call.rows()) else {
            return;
        };
        let directory = self.directory(key);
        if matches!(call.what, What::Create(_)) {
            if !directory.is_idle() || directory.copy.is_some() {
                // A key that is fresh is in no other hands.
                self.finish(ticket, Err(DriveError::Internal));
                return;
            }
            directory.copy = Some(Arc::new(Copy::of_none(Arc::clone(&directory.keys))));
        }
        directory.calls.push_back(call);
        self.advance(now, key);
    }

    /// A request has ended. An answer to a token that is unknown or cancelled is ignored.
    pub fn handle_answer(&mut self, now: Mono, token: Token, result: Result<Response, CallError>) {
        let Some(call) = self.calls.close(token) else {
            return;
        };
        let Purpose { key, vdrive } = call.what;
        self.directory(key).tokens.retain(|other| *other != token);
        match result {
            Ok(Response::RowsGot(got)) => self.on_rows(now, key, vdrive, *got),
            Ok(Response::ChangeTaken(taken)) => self.on_taken(now, key, vdrive, *taken),
            // The session only passes on answers of the kind that was asked for.
            Ok(_) => self.on_failed(now, key, vdrive, &CallError::LinkLost),
            Err(error) => self.on_failed(now, key, vdrive, &error),
        }
        self.advance(now, key);
    }

    /// A piece of work is done; `None`: it could not be, and the reason is in the log.
    pub fn handle_worked(&mut self, now: Mono, job: JobId, worked: Option<Worked>) {
        let Some(key) = self.jobs.remove(&job) else { return };
        match worked {
            Some(worked) => self.on_worked(now, key, worked),
            None => self.fail(key, &DriveError::Internal),
        }
        self.advance(now, key);
    }

    /// The asker of a call has gone. A call whose change is on its way goes on all the same.
    pub fn handle_cancel(&mut self, now: Mono, ticket: Ticket) {
        let Some(key) = self.tickets.get(&ticket).copied() else {
            return;
        };
        let directory = self.directory(key);
        directory.later.retain(|other| *other != ticket);
        directory.readers.retain(|other| *other != ticket);
        let waiting = directory.calls.iter().position(|call| call.ticket == ticket);
        if let Some(call) = waiting.and_then(|at| directory.calls.remove(at)) {
            self.edits -= call.rows();
        }
        self.tickets.remove(&ticket);
        self.advance(now, key);
    }

    /// [`Drive::next_deadline`] has come.
    pub fn handle_timeout(&mut self, now: Mono) {
        while let Some(token) = self.calls.take_overdue(now) {
            self.handle_answer(now, token, Err(CallError::Expired));
        }
        let is_due = |key: &&Key| {
            let deadline = self.directories.get(key).and_then(Directory::next_deadline);
            deadline.is_some_and(|at| at <= now)
        };
        let due: Vec<Key> = self.busy.iter().filter(is_due).copied().collect();
        for key in due {
            self.advance(now, key);
        }
    }

    /// The node stops and waits no longer: every call ends now.
    pub fn handle_abort(&mut self) {
        let keys: Vec<Key> = self.directories.keys().copied().collect();
        for key in keys {
            self.fail(key, &DriveError::Stopping);
            let directory = self.directory(key);
            let waiting: Vec<Ticket> = directory.calls.iter().map(|call| call.ticket).collect();
            let waiting: Vec<Ticket> = waiting
                .into_iter()
                .chain(std::mem::take(&mut directory.later))
                .collect();
            directory.calls.clear();
            for ticket in waiting {
                self.finish(ticket, Err(DriveError::Stopping));
            }
        }
    }

    /// Whether no call is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Bytes of all copies, about.
    #[must_use]
    pub fn copies_bytes(&self) -> usize {
        self.copies_bytes
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Drive::handle_timeout`] is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.busy
            .iter()
            .filter_map(|key| self.directories.get(key))
            .map(Directory::next_deadline)
            .fold(self.calls.next_overdue(), earlier)
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(super) fn note(&mut self, note: Note) {
        self.push(Effect::Note(note));
    }

    pub(super) fn directory(&mut self, key: Key) -> &mut Directory {
        self.directories
            .get_mut(&key)
            .expect("a directory stays while a ticket, a request or work names it")
    }

    /// Lets a call in, or ends it at once.
    fn admit(&mut self, ticket: Ticket, keys: DirectoryKeys, edits: usize) -> Option<Key> {
        let key = (keys.id(), keys.writable());
        let full = self.tickets.len() >= self.limits.tickets || self.edits + edits > self.limits.edits;
        if full {
            let retry_after = BUSY_RETRY;
            self.push(Effect::Finished {
                ticket,
                result: Err(DriveError::Busy { retry_after }),
            });
            return None;
        }
        self.edits += edits;
        self.tickets.insert(ticket, key);
        self.directories
            .entry(key)
            .or_insert_with(|| Directory::new(Arc::new(keys)));
        self.touch(key);
        Some(key)
    }

    /// Ends a call.
    pub(super) fn finish(&mut self, ticket: Ticket, result: Result<Outcome, DriveError>) {
        if self.tickets.remove(&ticket).is_some() {
            self.push(Effect::Finished { ticket, result });
        }
    }

    /// The calls of a batch no longer count as waiting.
    pub(super) fn end_batch(&mut self, batch: &Batch, ended: usize) {
        self.edits -= batch.calls[..ended].iter().map(EditCall::rows).sum::<usize>();
    }

    /// Begins what is next to do for a directory, if nothing is under way.
    pub(super) fn advance(&mut self, now: Mono, key: Key) {
        let Some(directory) = self.directories.get_mut(&key) else {
            return;
        };
        match &directory.doing {
            Doing::Resting { until } if *until <= now => {
                directory.doing = Doing::Nothing;
                self.start_fetch(now, key);
            }
            Doing::Nothing => self.begin(now, key),
            _ => {}
        }
        self.ask_on(now, key);
        self.tidy(key);
    }

    fn begin(&mut self, now: Mono, key: Key) {
        let directory = self.directory(key);
        if directory.batch.is_none() && !directory.calls.is_empty() {
            directory.batch = Some(next_batch(&mut directory.calls));
        }
        match (&directory.batch, &directory.copy) {
            (Some(batch), Some(copy)) => {
                let (copy, calls) = (Arc::clone(copy), Arc::clone(&batch.calls));
                let seed = self.random.random();
                let job = self.start_work(key, Kind::Prepare { copy, calls, seed });
                self.directory(key).doing = Doing::Preparing { job };
            }
            (Some(_), _) => self.start_fetch(now, key),
            (None, _) if !directory.later.is_empty() || !directory.readers.is_empty() => {
                self.start_fetch(now, key);
            }
            (None, _) => {}
        }
    }

    pub(super) fn start_work(&mut self, key: Key, kind: Kind) -> JobId {
        let job = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.insert(job, key);
        self.push(Effect::Work {
            job,
            work: Work(kind),
        });
        job
    }

    /// Goes on with the question that is under way.
    fn ask_on(&mut self, now: Mono, key: Key) {
        loop {
            let Some(directory) = self.directories.get_mut(&key) else {
                return;
            };
            let asking = match &mut directory.doing {
                Doing::Fetching { asking, .. } | Doing::Committing { asking, .. } => asking,
                _ => return,
            };
            match asking.step(now, || self.vdrives.order()) {
                Step::Wait => return,
                Step::GiveUp => {
                    self.give_up(key);
                    self.advance(now, key);
                    return;
                }
                Step::Send(vdrive) => {
                    let request = asking.request.clone();
                    let token = self.calls.open(now, REQUEST_BUDGET, Purpose { key, vdrive });
                    directory.tokens.push(token);
                    let ticket = directory.first_caller();
                    self.push(Effect::Send {
                        token,
                        vdrive,
                        request,
                        lane: Lane::Interactive,
                        budget: REQUEST_BUDGET,
                        ticket,
                    });
                }
            }
        }
    }

    fn on_failed(&mut self, now: Mono, key: Key, vdrive: NodeId, error: &CallError) {
        self.note(Note::RequestFailed);
        self.vdrives.failed(vdrive);
        match &mut self.directory(key).doing {
            Doing::Fetching { asking, .. } | Doing::Committing { asking, .. } => asking.failed(now, error),
            _ => {}
        }
    }

    /// Nobody answers.
    fn give_up(&mut self, key: Key) {
        let known = self.vdrives.len();
        let directory = self.directory(key);
        match std::mem::replace(&mut directory.doing, Doing::Nothing) {
            Doing::Fetching { asking, .. } => self.fail(key, &asking.error(known)),
            Doing::Committing { prepared, asking } => self.give_up_change(key, prepared, asking),
            other => directory.doing = other,
        }
    }
}

/// As many of those that wait as make a change of a sensible size.
fn next_batch(waiting: &mut VecDeque<EditCall>) -> Batch {
    let mut calls = Vec::new();
    let mut rows = 0;
    while let Some(call) = waiting.front() {
        rows += call.rows().max(1);
        // A creation stands alone anyhow: it is only let in when nothing else waits, and begun at once.
        if !calls.is_empty() && rows > BATCH_ROWS_MAX {
            break;
        }
        calls.extend(waiting.pop_front());
    }
    Batch {
        calls: Arc::new(calls),
        tries: 0,
        confirmed: false,
        doubt: None,
    }
}
