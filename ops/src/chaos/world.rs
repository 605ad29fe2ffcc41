//! What the clients and the attack share: the clock, the model, the record.
//!
//! Owns the one lock. It is held for looking and noting only, never over a request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::answer::Failed;
use super::fault::Fault;
use super::model::files::Files;
use super::model::names::{Folder, Names};
use super::model::{At, Text};
use super::record::{AFTERMATH, Promise, Record, Sort};

/// Everything that is known, by everybody.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) files: Files,
    pub(crate) names: Names,
    pub(crate) record: Record,
    /// Caps of the directories, by number. Secret.
    pub(crate) folders: Vec<String>,
    pub(crate) expected: Expected,
}

/// Since when something must work without a break; none while it need not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Every acknowledged file can be read.
    pub(crate) reads: Option<At>,
    /// Uploads succeed.
    pub(crate) uploads: Option<At>,
    /// Directories are there.
    pub(crate) drive: Option<At>,
}

impl Expected {
    fn of(self, sort: Sort) -> Option<At> {
        match sort {
            Sort::Upload => self.uploads,
            Sort::Download => self.reads,
            Sort::List => self.drive,
            // Some store a file as well.
            Sort::Change => self
                .drive
                .zip(self.uploads)
                .map(|(drive, uploads)| drive.max(uploads)),
        }
    }
}

impl State {
    /// A request failed.
    pub(crate) fn failed(&mut self, sort: Sort, begun: At, ended: At, failed: &Failed) {
        self.record.failed(sort, begun, ended, failed);
        if self
            .expected
            .of(sort)
            .is_some_and(|since| since + AFTERMATH <= begun || since.is_zero())
        {
            self.record.surprise(sort);
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    clock: Instant,
    state: Mutex<State>,
    stop: AtomicBool,
}

impl World {
    /// The clock starts now.
    pub(crate) fn new(seed: u64) -> World {
        let all = Some(At::ZERO);
        let state = State {
            expected: Expected {
                reads: all,
                uploads: all,
                drive: all,
            },
            ..State::default()
        };
        World {
            seed,
            clock: Instant::now(),
            state: Mutex::new(state),
            stop: AtomicBool::new(false),
        }
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> At {
        self.clock.elapsed()
    }

    /// What is known. A client that panicked has noted what it knew; the panic itself ends the run.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clients shall end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the clients shall end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Something worth telling.
    pub(crate) fn tell(&self, line: String) {
        let now = self.now();
        self.state().record.tell(now, line);
    }

    /// A promise was broken.
    pub(crate) fn violate(&self, promise: Promise, what: String) {
        let now = self.now();
        self.state().record.violate(now, promise, what);
    }

    /// A fault begins.
    pub(crate) fn fault_begins(&self, fault: &Fault) {
        let now = self.now();
        self.state().record.fault_begins(now, fault);
    }

    /// A fault has ended.
    pub(crate) fn fault_ends(&self, number: usize) {
        let now = self.now();
        self.state().record.fault_ends(now, number);
    }

    /// An upload was acknowledged.
    pub(crate) fn stored(&self, cap: &str, text: Text) {
        let now = self.now();
        let mut state = self.state();
        let before = state.files.all().len();
        let stored = state.files.stored(cap, text, now);
        if state.files.all().len() > before {
            state.record.stored_bytes += text.size_bytes;
        }
        if let Err(mixed) = stored {
            let before = mixed.before;
            let what =
                format!("an upload was acknowledged with the cap of file {before}, which has other content");
            state.record.violate(now, Promise::Bytes, what);
        }
    }

    /// A directory was made; gives its number.
    pub(crate) fn add_folder(&self, cap: String) -> Folder {
        let mut state = self.state();
        state.folders.push(cap);
        state.folders.len() - 1
    }
}
