//! A mesh made up for tests: gateways with a drive each, vdrives over databases in memory, virtual time that jumps from
//! event to event, and faults by dice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use truckee_grid::caps::{Cap, LitCap, MutableCap};
use truckee_grid::drive::{ChildName, DirectoryId, DirectoryKeys, RowId, RowSum, SignedHead, Target};
use truckee_grid::ids::NodeId;
use truckee_grid::keys::WriteKey;
use truckee_wire::message::{
    ChangeTaken, Failure, FailureCode, GetRows, Request, Response, RowChange, RowsGot,
};

use crate::drive::{
    DirectoryView, Drive, DriveError, Edit, Edited, Effect, JobId, Limits, Note, Outcome, Replace, Ticket,
    Worked,
};
use crate::session::CallError;
use crate::time::Mono;
use crate::transfer::Token;
use crate::transfer::model::Dice;
use crate::vdrive::REMEMBERED_CHANGES;

const EVENTS_MAX: u32 = 1_000_000;

pub(super) struct Db {
    pub(super) id: [u8; 16],
    pub(super) directories: BTreeMap<DirectoryId, Dir>,
}

#[derive(Clone)]
pub(super) struct Dir {
    pub(super) head: SignedHead,
    pub(super) sum: RowSum,
    /// With the version of the last change; deleted ones stay.
    pub(super) rows: BTreeMap<RowId, (Option<Bytes>, u64)>,
    pub(super) floor: u64,
    /// The last ones, the newest last.
    pub(super) heads: Vec<SignedHead>,
}

impl Db {
    fn serve(&mut self, request: &Request, page_rows: usize) -> Result<Response, Failure> {
        match request {
            Request::GetRows(get) => Ok(Response::RowsGot(Box::new(self.rows(get, page_rows)))),
            Request::CommitChange(commit) => {
                let database = self.id;
                let taken = self.commit(&commit.head, &commit.changes)?;
                let head = self
                    .directories
                    .get(&commit.head.head.directory)
                    .map(|dir| dir.head);
                Ok(Response::ChangeTaken(Box::new(ChangeTaken {
                    database,
                    taken,
                    head,
                })))
            }
            _ => panic!("the drive asks nothing else"),
        }
    }

    fn rows(&self, get: &GetRows, page_rows: usize) -> RowsGot {
        let mut got = RowsGot {
            database: self.id,
            head: None,
            whole: false,
            rows: Vec::new(),
            next: None,
        };
        let Some(dir) = self.directories.get(&get.directory) else {
            return got;
        };
        got.head = Some(dir.head);
        if get.since > 0 {
            got.rows = changes(dir.rows.iter().filter(|(_, (_, version))| *version > get.since));
            if get.since >= dir.floor && got.rows.len() <= page_rows {
                return got;
            }
        }
        got.whole = true;
        let after = |id: &RowId| get.after.is_none_or(|after| *id > after);
        let all = dir
            .rows
            .iter()
            .filter(|(id, (sealed, _))| after(id) && sealed.is_some());
        got.rows = changes(all);
        if got.rows.len() > page_rows {
            got.rows.truncate(page_rows);
            got.next = got.rows.last().map(|row| row.id);
        }
        got
    }

    fn commit(&mut self, head: &SignedHead, changes: &[RowChange]) -> Result<bool, Failure> {
        let refused = |text: &str| Failure::new(FailureCode::BadRequest, text);
        let id = head.head.directory;
        head.verify(&id).map_err(|error| refused(&error.to_string()))?;
        let old = self.directories.get(&id);
        let known = |dir: &Dir| {
            dir.heads
                .iter()
                .rev()
                .take(REMEMBERED_CHANGES)
                .any(|known| known == head)
        };
        if old.is_some_and(known) {
            return Ok(true);
        }
        let base = old.map_or(0, |dir| dir.head.head.version);
        if head.head.version != base + 1 {
            return Ok(false);
        }
        let mut dir = old.cloned().unwrap_or_else(|| Dir {
            head: *head,
            sum: RowSum::empty(),
            rows: BTreeMap::new(),
            floor: 0,
            heads: Vec::new(),
        });
        assert!(changes.is_sorted_by_key(|change| change.id), "in order of ids");
        let gone = |change: &RowChange| !matches!(dir.rows.get(&change.id), Some((Some(_), _)));
        if changes
            .iter()
            .any(|change| change.sealed.is_none() && gone(change))
        {
            return Err(refused("a row is deleted that is not there"));
        }
        for change in changes {
            if let Some(sealed) = &change.sealed {
                dir.sum.add(&change.id, sealed);
            }
            let new = (change.sealed.clone(), head.head.version);
            if let Some((Some(old), _)) = dir.rows.insert(change.id, new) {
                dir.sum.remove(&change.id, &old);
            }
        }
        let count = dir.rows.values().filter(|(sealed, _)| sealed.is_some()).count();
        if dir.sum.digest() != head.head.digest || count != head.head.rows as usize {
            return Err(refused("the digest is another"));
        }
        dir.head = *head;
        dir.heads.push(*head);
        // Forgets deletions now and then.
        if head.head.version.is_multiple_of(11) {
            dir.rows.retain(|_, (sealed, _)| sealed.is_some());
            dir.floor = head.head.version;
        }
        self.directories.insert(id, dir);
        Ok(true)
    }
}

fn changes<'a>(rows: impl Iterator<Item = (&'a RowId, &'a (Option<Bytes>, u64))>) -> Vec<RowChange> {
    rows.map(|(id, (sealed, _))| RowChange {
        id: *id,
        sealed: sealed.clone(),
    })
    .collect()
}

enum Event {
    Arrive {
        gateway: usize,
        token: Token,
        vdrive: usize,
        request: Request,
        answered: bool,
    },
    Answer {
        gateway: usize,
        token: Token,
        result: Result<Response, CallError>,
    },
    Worked {
        gateway: usize,
        job: JobId,
        worked: Option<Worked>,
    },
}

pub(super) struct Vdrive {
    pub(super) db: usize,
    pub(super) down: bool,
    /// Says nothing at all.
    pub(super) silent: bool,
}

/// What an answer is turned into before it leaves the vdrive.
pub(super) type Lie = Box<dyn FnMut(&Request, &mut Response)>;

pub(super) struct World {
    pub(super) now: Mono,
    pub(super) dice: Dice,
    pub(super) dbs: Vec<Db>,
    pub(super) vdrives: Vec<Vdrive>,
    pub(super) gateways: Vec<Drive>,
    pub(super) page_rows: usize,
    /// Of a thousand messages, so many get lost, are doubled or are late.
    pub(super) faults: u64,
    pub(super) lie: Option<Lie>,
    events: BTreeMap<(Mono, u64), Event>,
    next: u64,
    pub(super) finished: BTreeMap<Ticket, Result<Outcome, DriveError>>,
    pub(super) notes: Vec<Note>,
    /// Kinds of the requests that arrived.
    pub(super) served: Vec<&'static str>,
    pub(super) worked: usize,
}

pub(super) fn vdrive_id(index: usize) -> NodeId {
    NodeId([index as u8 + 1; 32])
}

impl World {
    pub(super) fn new(seed: u64, gateways: usize, vdrives: usize) -> Self {
        let limits = Limits::default();
        let mut world = Self {
            now: Mono::from_millis(1),
            dice: Dice(seed),
            dbs: vec![db(1)],
            vdrives: (0..vdrives)
                .map(|_| Vdrive {
                    db: 0,
                    down: false,
                    silent: false,
                })
                .collect(),
            gateways: Vec::new(),
            page_rows: 1000,
            faults: 0,
            lie: None,
            events: BTreeMap::new(),
            next: 1,
            finished: BTreeMap::new(),
            notes: Vec::new(),
            served: Vec::new(),
            worked: 0,
        };
        for gateway in 0..gateways {
            world.add_gateway(seed.wrapping_mul(100) + gateway as u64, limits);
        }
        world
    }

    pub(super) fn add_gateway(&mut self, seed: u64, limits: Limits) -> usize {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let mut drive = Drive::new(limits, bytes);
        let ids: Vec<NodeId> = (0..self.vdrives.len()).map(vdrive_id).collect();
        drive.handle_vdrives(&ids);
        self.gateways.push(drive);
        self.gateways.len() - 1
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }

    pub(super) fn start_read(&mut self, gateway: usize, keys: &DirectoryKeys) -> Ticket {
        let ticket = self.ticket();
        self.gateways[gateway].handle_read(self.now, ticket, keys.clone());
        self.carry_out(gateway);
        ticket
    }

    pub(super) fn start_edits(&mut self, gateway: usize, keys: &DirectoryKeys, edits: Vec<Edit>) -> Ticket {
        let ticket = self.ticket();
        self.gateways[gateway].handle_edits(self.now, 1_000, ticket, keys.clone(), edits);
        self.carry_out(gateway);
        ticket
    }

    pub(super) fn create(&mut self, gateway: usize, keys: &DirectoryKeys) -> Result<(), DriveError> {
        let ticket = self.ticket();
        self.gateways[gateway].handle_create(self.now, 1_000, ticket, keys.clone(), Vec::new());
        self.carry_out(gateway);
        self.result(ticket).map(|_| ())
    }

    pub(super) fn read(
        &mut self,
        gateway: usize,
        keys: &DirectoryKeys,
    ) -> Result<Arc<DirectoryView>, DriveError> {
        let ticket = self.start_read(gateway, keys);
        match self.result(ticket)? {
            Outcome::Read(view) => Ok(view),
            Outcome::Edited(_) => panic!("a read is no edit"),
        }
    }

    pub(super) fn edit(
        &mut self,
        gateway: usize,
        keys: &DirectoryKeys,
        edits: Vec<Edit>,
    ) -> Result<Vec<Edited>, DriveError> {
        let ticket = self.start_edits(gateway, keys, edits);
        match self.result(ticket)? {
            Outcome::Edited(edited) => Ok(edited),
            Outcome::Read(_) => panic!("an edit is no read"),
        }
    }

    /// Runs until the call has ended.
    pub(super) fn result(&mut self, ticket: Ticket) -> Result<Outcome, DriveError> {
        for _ in 0..EVENTS_MAX {
            if let Some(result) = self.finished.remove(&ticket) {
                return result;
            }
            assert!(self.step(), "{ticket:?} never ends");
        }
        panic!("{ticket:?} takes for ever");
    }

    /// Lets the next thing happen; `false` if there is none.
    pub(super) fn step(&mut self) -> bool {
        let timer = self
            .gateways
            .iter()
            .enumerate()
            .filter_map(|(gateway, drive)| Some((drive.next_deadline()?, gateway)))
            .min();
        let event = self.events.keys().next().copied();
        match (timer, event) {
            (Some((at, gateway)), event) if event.is_none_or(|(event, _)| at < event) => {
                self.now = self.now.max(at);
                self.gateways[gateway].handle_timeout(self.now);
                self.carry_out(gateway);
            }
            (_, Some(key)) => {
                self.now = self.now.max(key.0);
                let event = self.events.remove(&key).expect("it is the first");
                self.happen(event);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end && self.step() {}
        self.now = self.now.max(end);
    }

    /// Every answer that is on its way becomes a lost link.
    pub(super) fn lose_answers(&mut self) {
        for event in self.events.values_mut() {
            if let Event::Answer { result, .. } = event {
                *result = Err(CallError::LinkLost);
            }
        }
    }

    /// From now on nothing goes wrong.
    pub(super) fn unfaulted(&mut self) {
        self.faults = 0;
        for vdrive in &mut self.vdrives {
            vdrive.down = false;
            vdrive.silent = false;
        }
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.next += 1;
        self.events.insert((self.now + wait, self.next), event);
    }

    fn is_unlucky(&mut self) -> bool {
        self.dice.roll(1000) < self.faults
    }

    fn hop(&mut self) -> Duration {
        let mut micros = 200 + self.dice.roll(800);
        if self.is_unlucky() {
            micros += self.dice.roll(2_500_000);
        }
        Duration::from_micros(micros)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Answer {
                gateway,
                token,
                result,
            } => {
                self.gateways[gateway].handle_answer(self.now, token, result);
                self.carry_out(gateway);
            }
            Event::Worked { gateway, job, worked } => {
                self.worked += 1;
                self.gateways[gateway].handle_worked(self.now, job, worked);
                self.carry_out(gateway);
            }
            Event::Arrive {
                gateway,
                token,
                vdrive,
                request,
                answered,
            } => self.arrive(gateway, token, vdrive, &request, answered),
        }
    }

    fn arrive(&mut self, gateway: usize, token: Token, vdrive: usize, request: &Request, answered: bool) {
        let Vdrive { db, down, silent } = self.vdrives[vdrive];
        if silent {
            return;
        }
        let wait = self.hop();
        if down {
            let result = Err(CallError::LinkLost);
            return self.after(
                wait,
                Event::Answer {
                    gateway,
                    token,
                    result,
                },
            );
        }
        self.served.push(match request {
            Request::GetRows(_) => "get",
            _ => "commit",
        });
        let mut result = self.dbs[db]
            .serve(request, self.page_rows)
            .map_err(CallError::Refused);
        if let (Some(lie), Ok(response)) = (&mut self.lie, &mut result) {
            lie(request, response);
        }
        if !answered {
            return;
        }
        if self.is_unlucky() {
            result = Err(CallError::LinkLost);
        } else if self.is_unlucky() {
            result = Err(CallError::Refused(Failure::new(
                FailureCode::Internal,
                "no database",
            )));
        }
        self.after(
            wait,
            Event::Answer {
                gateway,
                token,
                result,
            },
        );
    }

    pub(super) fn carry_out(&mut self, gateway: usize) {
        while let Some(effect) = self.gateways[gateway].poll_effect() {
            match effect {
                Effect::Send {
                    token,
                    vdrive,
                    request,
                    ..
                } => {
                    let vdrive = usize::from(vdrive.0[0]) - 1;
                    self.send(gateway, token, vdrive, request);
                }
                // What is on its way cannot be called back.
                Effect::CancelSend { .. } => {}
                Effect::Work { job, work } => {
                    let wait = Duration::from_micros(50 + self.dice.roll(3000));
                    let worked = Some(work.run());
                    self.after(wait, Event::Worked { gateway, job, worked });
                }
                Effect::Finished { ticket, result } => {
                    assert!(self.finished.insert(ticket, result).is_none(), "one end each");
                }
                Effect::Note(note) => self.notes.push(note),
            }
        }
    }

    fn send(&mut self, gateway: usize, token: Token, vdrive: usize, request: Request) {
        let wait = self.hop();
        if self.vdrives[vdrive].down && self.dice.roll(2) == 0 {
            let result = Err(CallError::Down {
                retry_in: Duration::from_millis(100),
            });
            return self.after(
                Duration::ZERO,
                Event::Answer {
                    gateway,
                    token,
                    result,
                },
            );
        }
        if self.is_unlucky() {
            // Lost on the way: the link dies.
            let result = Err(CallError::LinkLost);
            return self.after(
                wait,
                Event::Answer {
                    gateway,
                    token,
                    result,
                },
            );
        }
        if self.is_unlucky() {
            // Comes a second time, late, and nobody waits for that answer.
            let late = wait + Duration::from_micros(self.dice.roll(3_000_000));
            let request = request.clone();
            let again = Event::Arrive {
                gateway,
                token,
                vdrive,
                request,
                answered: false,
            };
            self.after(late, again);
        }
        self.after(
            wait,
            Event::Arrive {
                gateway,
                token,
                vdrive,
                request,
                answered: true,
            },
        );
    }
}

pub(super) fn db(id: u8) -> Db {
    Db {
        id: [id; 16],
        directories: BTreeMap::new(),
    }
}

pub(super) fn write_key(index: u8) -> WriteKey {
    WriteKey::from_bytes([index; 16])
}

/// Keys that write and keys that read.
pub(super) fn keys(index: u8) -> (DirectoryKeys, DirectoryKeys) {
    let cap = MutableCap::of_write_key(write_key(index));
    let read = cap.to_read().expect("a write cap reads");
    let of = |cap: &MutableCap| DirectoryKeys::of(cap).expect("it reads");
    (of(&cap), of(&read))
}

pub(super) fn name(text: &str) -> ChildName {
    ChildName::new(text).expect("a valid name")
}

/// A file that says `text`.
pub(super) fn file(text: &str) -> Target {
    Target::Cap(Cap::Lit(LitCap::new(text.as_bytes()).expect("short")))
}

pub(super) fn text_of(target: &Target) -> String {
    match target {
        Target::Cap(Cap::Lit(lit)) => String::from_utf8(lit.bytes().to_vec()).expect("a test's text"),
        _ => panic!("tests link short files"),
    }
}

pub(super) fn set(at: &str, text: &str) -> Edit {
    set_as(at, text, Replace::Always)
}

pub(super) fn set_as(at: &str, text: &str, replace: Replace) -> Edit {
    Edit::Set {
        name: name(at),
        target: file(text),
        metadata: None,
        replace,
    }
}

pub(super) fn texts(view: &DirectoryView) -> BTreeMap<String, String> {
    view.children
        .iter()
        .map(|(name, child)| (name.as_str().to_owned(), text_of(&child.target)))
        .collect()
}

pub(super) fn names(view: &DirectoryView) -> BTreeSet<String> {
    texts(view).into_keys().collect()
}
