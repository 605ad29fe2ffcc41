//! What the node's operations were and are: uploads, downloads, checks and changes of directories, each with its stages.
//!
//! Owns those under way and the last few that ended, of each kind; nothing in it gives access to a file: the storage
//! index names it to storage nodes only. Not promised: anything after a restart of the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use truckee_engine::time::{Mono, UnixSeconds};
use truckee_grid::ids::StorageIndex;

use crate::clock::ClockHandle;

/// Ended operations kept of each kind: the most that Tahoe-LAFS keeps of any.
pub const KEPT_MAX: usize = 40;

/// What kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationKind {
    /// A file goes up.
    Upload,
    /// A file comes down.
    Download,
    /// A file's shares are counted or read.
    Check,
    /// A file's missing shares are made again.
    Repair,
    /// Rows of a directory or of a mutable file change.
    Change,
}

impl OperationKind {
    /// For programs.
    pub fn word(self) -> &'static str {
        match self {
            OperationKind::Upload => "upload",
            OperationKind::Download => "download",
            OperationKind::Check => "check",
            OperationKind::Repair => "repair",
            OperationKind::Change => "change",
        }
    }

    /// What names begin with, as in `down-7`.
    pub fn prefix(self) -> &'static str {
        match self {
            OperationKind::Upload => "up",
            OperationKind::Download => "down",
            OperationKind::Check => "check",
            OperationKind::Repair => "repair",
            OperationKind::Change => "change",
        }
    }

    /// All of them.
    pub const ALL: [OperationKind; 5] = [
        OperationKind::Upload,
        OperationKind::Download,
        OperationKind::Check,
        OperationKind::Repair,
        OperationKind::Change,
    ];
}

/// One operation as it is or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What kind.
    pub kind: OperationKind,
    /// Which one of its kind, counted from 1.
    pub number: u64,
    /// The file or directory, if it has a name among storage nodes.
    pub storage_index: Option<StorageIndex>,
    /// Bytes of plaintext in all, if known.
    pub size: Option<u64>,
    /// When it began.
    pub started: UnixSeconds,
    /// How long it took, or takes already.
    pub elapsed: Duration,
    /// How much of it is done, in its own unit (bytes; nodes and blocks of a check), and of how much.
    pub done: u64,
    /// See `done`; 0 if not known.
    pub of: u64,
    /// `None` while it runs; else `completed` or the cause of its failure, from a closed set.
    pub outcome: Option<&'static str>,
    /// Where the time went; stages overlap.
    pub stages: Vec<(&'static str, Duration)>,
    /// Other figures.
    pub counts: Vec<(&'static str, u64)>,
}

impl Operation {
    /// As in `down-7`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.kind.prefix(), self.number)
    }

    /// From 0 to 1.
    pub fn progress(&self) -> f64 {
        match (self.outcome, self.of) {
            (Some("completed"), _) => 1.0,
            (_, 0) => 0.0,
            (_, of) => (self.done as f64 / of as f64).min(1.0),
        }
    }
}

/// Counters of ended operations since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Operations that completed.
    pub completed: u64,
    /// Operations that did not.
    pub failed: u64,
    /// Bytes that the completed ones moved.
    pub bytes: u64,
}

struct Running {
    /// Its place among all kinds.
    place: u64,
    began: Mono,
    operation: Operation,
}

#[derive(Default)]
struct Kept {
    last: u64,
    active: BTreeMap<u64, Running>,
    /// With the place of each among all kinds.
    ended: VecDeque<(u64, Operation)>,
    totals: Totals,
}

struct Shared {
    clock: ClockHandle,
    places: AtomicU64,
    kinds: Mutex<BTreeMap<OperationKind, Kept>>,
}

/// See the module. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct History(Arc<Shared>);

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("History")
    }
}

impl History {
    /// An empty one.
    pub fn new(clock: ClockHandle) -> History {
        History(Arc::new(Shared {
            clock,
            places: AtomicU64::new(0),
            kinds: Mutex::new(BTreeMap::new()),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OperationKind, Kept>> {
        // What is written under the lock is whole after each statement.
        self.0.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an operation begins. It ends with the entry.
    pub fn begin(
        &self,
        kind: OperationKind,
        storage_index: Option<StorageIndex>,
        size: Option<u64>,
    ) -> Entry {
        let mut kinds = self.lock();
        let kept = kinds.entry(kind).or_default();
        kept.last += 1;
        let operation = Operation {
            kind,
            number: kept.last,
            storage_index,
            size,
            started: self.0.clock.unix(),
            elapsed: Duration::ZERO,
            done: 0,
            of: size.unwrap_or(0),
            outcome: None,
            stages: Vec::new(),
            counts: Vec::new(),
        };
        let running = Running {
            place: self.0.places.fetch_add(1, Ordering::Relaxed),
            began: self.0.clock.now(),
            operation,
        };
        kept.active.insert(kept.last, running);
        Entry {
            history: self.clone(),
            kind,
            number: kept.last,
        }
    }

    /// Those under way, the oldest first.
    pub fn active(&self) -> Vec<Operation> {
        let now = self.0.clock.now();
        let kinds = self.lock();
        let mut active: Vec<&Running> = kinds.values().flat_map(|kept| kept.active.values()).collect();
        active.sort_by_key(|running| running.place);
        let shown = active.into_iter().map(|running| Operation {
            elapsed: now.saturating_sub(running.began),
            ..running.operation.clone()
        });
        shown.collect()
    }

    /// Those that ended, the latest to begin first.
    pub fn recent(&self) -> Vec<Operation> {
        let kinds = self.lock();
        let mut ended: Vec<&(u64, Operation)> = kinds.values().flat_map(|kept| &kept.ended).collect();
        ended.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        ended
            .into_iter()
            .map(|(_, operation)| operation.clone())
            .collect()
    }

    /// One of them, by its kind and number.
    pub fn find(&self, kind: OperationKind, number: u64) -> Option<Operation> {
        let all = self.active().into_iter().chain(self.recent());
        all.into_iter()
            .find(|operation| operation.kind == kind && operation.number == number)
    }

    /// How many ended how, since the start of the process.
    pub fn totals(&self, kind: OperationKind) -> Totals {
        self.lock().get(&kind).map(|kept| kept.totals).unwrap_or_default()
    }
}

/// One operation that is under way. Dropping it without [`Entry::end`] notes that it failed internally.
#[derive(Debug)]
pub struct Entry {
    history: History,
    kind: OperationKind,
    number: u64,
}

impl Entry {
    fn change(&self, change: impl FnOnce(&mut Operation)) {
        let mut kinds = self.history.lock();
        let active = kinds
            .get_mut(&self.kind)
            .and_then(|kept| kept.active.get_mut(&self.number));
        if let Some(running) = active {
            change(&mut running.operation);
        }
    }

    /// How far it is. A total of 0 leaves the one that was known.
    pub fn progress(&self, done: u64, of: u64) {
        self.change(|operation| {
            operation.done = done;
            if of > 0 {
                operation.of = of;
            }
        });
    }

    /// Where its time went.
    pub fn stages(&self, stages: Vec<(&'static str, Duration)>) {
        self.change(|operation| operation.stages = stages);
    }

    /// Adds a figure.
    pub fn count(&self, name: &'static str, value: u64) {
        self.change(|operation| operation.counts.push((name, value)));
    }

    /// The size, once it is known.
    pub fn size(&self, bytes: u64) {
        self.change(|operation| operation.size = Some(bytes));
    }

    /// It ended. Only the first end counts.
    pub fn end(&self, outcome: &'static str) {
        let now = self.history.0.clock.now();
        let mut kinds = self.history.lock();
        let Some(kept) = kinds.get_mut(&self.kind) else {
            return;
        };
        let Some(ended) = kept.active.remove(&self.number) else {
            return;
        };
        let mut operation = ended.operation;
        operation.elapsed = now.saturating_sub(ended.began);
        operation.outcome = Some(outcome);
        if outcome == "completed" {
            kept.totals.completed += 1;
            kept.totals.bytes += operation.size.unwrap_or(0);
        } else {
            kept.totals.failed += 1;
        }
        if kept.ended.len() == KEPT_MAX {
            kept.ended.pop_front();
        }
        kept.ended.push_back((ended.place, operation));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end("internal");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn the_last_of_each_kind_are_kept() {
        let history = History::new(SystemClock::handle());
        for number in 0..KEPT_MAX as u64 + 5 {
            history
                .begin(OperationKind::Upload, None, Some(number))
                .end("completed");
        }
        history
            .begin(OperationKind::Download, None, None)
            .end("cancelled");
        let recent = history.recent();
        let uploads = recent
            .iter()
            .filter(|operation| operation.kind == OperationKind::Upload);
        assert_eq!(uploads.count(), KEPT_MAX);
        assert_eq!(recent.len(), KEPT_MAX + 1);
        assert!(
            history.find(OperationKind::Upload, 5).is_none(),
            "the oldest go first"
        );
        assert!(history.find(OperationKind::Upload, 6).is_some());
        let totals = history.totals(OperationKind::Upload);
        assert_eq!((totals.completed, totals.failed), (45, 0));
        assert_eq!(history.totals(OperationKind::Download).failed, 1);
    }

    #[test]
    fn one_under_way_shows_how_far_it_is_and_ends_with_its_entry() {
        let history = History::new(SystemClock::handle());
        let entry = history.begin(OperationKind::Check, Some(StorageIndex([1; 16])), None);
        entry.progress(3, 12);
        let [active] = &history.active()[..] else {
            panic!("one is active")
        };
        assert_eq!(
            (active.name().as_str(), active.progress(), active.outcome),
            ("check-1", 0.25, None)
        );
        drop(entry);
        assert!(history.active().is_empty());
        assert_eq!(history.recent()[0].outcome, Some("internal"));
    }
}
