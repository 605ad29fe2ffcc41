//! Group commit: what several threads want to have written at the same time is written and synced once.
//!
//! Who wants something puts it into the round that is open and waits for the round's outcome. When nobody leads, one of those
//! who wait leads: it closes the round, writes what is in it, syncs, and wakes all; meanwhile the next round fills. Nobody
//! hears of success before the sync, and after a failed write or sync all of the round hear of the failure.
//!
//! What a wish changes is looked up by the leader and not before, so that a share is found where compaction has moved it.
//! Two wishes about one share never stand in one round: operations of a bucket that write come one after the other, and a
//! share leaves its place under a lock.
//!
//! Bounded: a round holds what as many threads as the pool has want, each at most one batch.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use truckee_engine::store::{ShareId, TrashMark};
use truckee_engine::time::UnixSeconds;

use super::super::file_disk::steps::Steps;
use super::files::PackFiles;
use super::index::{Index, Slot};
use super::record::{Place, Row, State, share_hash};
use super::writer::{Record, Tools, Writer};
use super::{lock, read_lock};

/// What is to be changed.
#[derive(Debug)]
pub(super) enum Wish {
    /// A new share. Whoever wishes it has seen that it is not there.
    Put {
        share: ShareId,
        written: UnixSeconds,
        share_file: Bytes,
        share_hash: [u8; 16],
    },
    /// A share leaves its place, only if it lies there at `from`.
    Leave {
        share: ShareId,
        from: Option<Place>,
        to: State,
    },
    /// A share leaves the trash.
    Take {
        share: ShareId,
        mark: TrashMark,
        to: State,
    },
}

/// Length of the share file that a wish was about; `None` if it was not there.
pub(super) type Outcome = Option<u64>;

/// See the module.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) files: PackFiles,
    pub(super) steps: Steps,
    pub(super) index: RwLock<Index>,
    pub(super) pack_bytes: u32,
    writer: Mutex<Writer>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    wishes: Vec<Wish>,
    /// Of these wishes.
    round: Arc<Round>,
    is_led: bool,
}

/// What came of all wishes of a round, in their order.
#[derive(Debug, Default)]
struct Round(OnceLock<Result<Vec<Outcome>, Refusal>>);

/// An error that all of a round hear of.
#[derive(Clone, Debug)]
struct Refusal {
    kind: io::ErrorKind,
    text: String,
}

impl Log {
    pub(super) fn new(files: PackFiles, steps: Steps, index: Index, next: u32, pack_bytes: u32) -> Log {
        Log {
            files,
            steps,
            index: RwLock::new(index),
            pack_bytes,
            writer: Mutex::new(Writer::new(next)),
            queue: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Has the wishes come true, durably.
    pub(super) fn commit(&self, wishes: Vec<Wish>) -> io::Result<Vec<Outcome>> {
        let mut queue = self.queue();
        let from = queue.wishes.len();
        queue.wishes.extend(wishes);
        let own = from..queue.wishes.len();
        let round = Arc::clone(&queue.round);
        loop {
            if let Some(outcome) = round.0.get() {
                let outcomes = outcome.as_ref().map_err(Refusal::error)?;
                return Ok(outcomes.get(own).unwrap_or_default().to_vec());
            }
            if queue.is_led {
                let waited = self.changed.wait(queue);
                queue = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            // The round is open still: this is the thread that leads it.
            queue.is_led = true;
            let wishes = std::mem::take(&mut queue.wishes);
            queue.round = Arc::default();
            drop(queue);
            let lead = Lead {
                log: self,
                round: &round,
            };
            let outcome = self.carry_out(wishes);
            lead.ends(outcome.map_err(|error| Refusal::of(&error)));
            drop(lead);
            queue = self.queue();
        }
    }

    fn carry_out(&self, wishes: Vec<Wish>) -> io::Result<Vec<Outcome>> {
        let mut writer = self.writer();
        let (mut records, mut outcomes) = (Vec::new(), Vec::new());
        let index = read_lock(&self.index);
        for wish in wishes {
            let record = resolve(&index, wish);
            outcomes.push(record.as_ref().map(|(_, file_bytes)| *file_bytes));
            records.extend(record.map(|(record, _)| record));
        }
        drop(index);
        if !records.is_empty() {
            writer.append(self.tools(), records)?;
        }
        Ok(outcomes)
    }

    pub(super) fn tools(&self) -> Tools<'_> {
        Tools {
            files: &self.files,
            steps: &self.steps,
            index: &self.index,
            pack_bytes: self.pack_bytes,
        }
    }

    /// While it is held, the index does not change.
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        // A thread that panicked while it wrote has left a torn pack, which the writer knows.
        lock(&self.writer)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

/// Held by who leads a round; those who wait are woken whatever happens.
struct Lead<'a> {
    log: &'a Log,
    round: &'a Round,
}

impl Lead<'_> {
    fn ends(&self, outcome: Result<Vec<Outcome>, Refusal>) {
        // Set once: here, or when this is dropped without.
        self.round.0.set(outcome).ok();
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.ends(Err(Refusal {
            kind: io::ErrorKind::Other,
            text: "who wrote for several threads panicked".to_owned(),
        }));
        self.log.queue().is_led = false;
        self.log.changed.notify_all();
    }
}

impl Refusal {
    fn of(error: &io::Error) -> Refusal {
        Refusal {
            kind: error.kind(),
            text: error.to_string(),
        }
    }

    fn error(&self) -> io::Error {
        io::Error::new(self.kind, self.text.clone())
    }
}

/// The record that makes a wish come true, and the length of the share file; `None` if there is no such share.
fn resolve(index: &Index, wish: Wish) -> Option<(Record, u64)> {
    match wish {
        Wish::Put {
            share,
            written,
            share_file,
            share_hash,
        } => {
            let file_bytes = share_file.len() as u32; // at most SHARE_BYTES_MAX
            let row = Row {
                at: 0,
                share,
                state: State::Held,
                file_bytes,
                written,
                other: None,
            };
            let record = Record {
                row,
                share_file,
                share_hash,
            };
            Some((record, u64::from(file_bytes)))
        }
        Wish::Leave { share, from, to } => {
            let slot = index.held(share)?;
            let is_it = from.is_none_or(|from| from == slot.place);
            is_it.then(|| about(share, slot, to))
        }
        Wish::Take { share, mark, to } => Some(about(share, index.trashed(share, mark)?, to)),
    }
}

fn about(share: ShareId, slot: Slot, to: State) -> (Record, u64) {
    (tells(share, slot.place, to), u64::from(slot.file_bytes))
}

/// A record that says where the share in another record is.
pub(super) fn tells(share: ShareId, place: Place, state: State) -> Record {
    let row = Row {
        at: 0,
        share,
        state,
        file_bytes: 0,
        written: UnixSeconds::from_secs(0),
        other: Some(place),
    };
    Record {
        row,
        share_file: Bytes::new(),
        share_hash: share_hash(&[]),
    }
}
