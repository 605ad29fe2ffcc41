//! The threads that wait for the disk, so that no actor ever does.
//!
//! Owns a fixed number of named threads, each with one bounded queue. Operations that write go to threads by their buckets,
//! so those of one file keep their order, and short whole shares to one of their own, see [`lanes`]; reads go to others,
//! so that a download does not wait behind an `fsync`. What no peer waits for, checks and lists, has one thread, which
//! before each of its reads lets the operations of peers go first: a peer waits for one such read at most, of one block.
//! The same thread has the disk do what it has to do for itself ([`Disk::tidy`]), step by step. Whole shares that wait
//! for one thread together are handed to the disk together. A queue that is full refuses at once with [`DiskFault::Overloaded`]. `done` is called
//! exactly once for each operation, on the thread that ran it, even if the disk panicked. A read that nobody has to wait for
//! ([`Disk::at_once`]) is done by the thread that asks: no queue, and nobody is woken.
//!
//! [`DiskPool::inline`] runs everything on the caller's thread, for tests.

mod lanes;
mod quiet;
#[cfg(test)]
mod tests;
mod threads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use metrics::{gauge, histogram};
use truckee_engine::store::{DiskFault, DiskOp, DiskReply};

use self::lanes::{Lanes, Place};
use self::quiet::{Quiet, Wanted};
use self::threads::{Serve, run, serve, serve_last};
use super::disk::{AtOnce, Disk};
use crate::metrics as names;

/// Takes the outcome of an operation.
pub type Done = Box<dyn FnOnce(DiskReply) + Send>;

/// How many threads, and how much may wait for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Threads for operations that write, besides the one for short whole shares. Several, because each spends most of its time in an
    /// `fsync`, and a disk serves several of those at once.
    pub writers: usize,
    /// Threads for operations that read.
    pub readers: usize,
    /// Operations that may wait for one thread: what is too much for it is refused. For blocks and reads the store's own bounds are
    /// met earlier; short whole shares meet this one, when more than that come within one sync.
    pub queue_max: usize,
    /// How long each read of a check or a list lets operations of peers go first.
    pub patience: Duration,
}

impl Default for PoolConfig {
    fn default() -> PoolConfig {
        PoolConfig {
            writers: 4,
            readers: 2,
            queue_max: 1024,
            // On a node that is never idle, blocks of a third of a megabyte are still checked at seven megabytes a second,
            // and a rotating disk spends no more than a fifth of its time on them.
            patience: Duration::from_millis(50),
        }
    }
}

struct Work {
    op: DiskOp,
    done: Done,
    /// Held by an operation of a peer until it is done.
    wanted: Option<Wanted>,
    /// Likewise by one that writes.
    place: Option<Place>,
}

enum Mode {
    Threads {
        disk: Arc<dyn Disk>,
        /// That of short whole shares is last.
        writers: Vec<SyncSender<Work>>,
        lanes: Arc<Lanes>,
        readers: Vec<SyncSender<Work>>,
        next_reader: AtomicUsize,
        /// Of what can wait.
        last: SyncSender<Work>,
        quiet: Arc<Quiet>,
    },
    Inline(Arc<dyn Disk>),
}

/// See the module. Cheap to clone; the threads end when the last clone is gone and their queues are empty.
#[derive(Clone)]
pub struct DiskPool {
    mode: Arc<Mode>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl std::fmt::Debug for DiskPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DiskPool")
    }
}

impl DiskPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// What the system said when it refused a thread.
    pub fn start(disk: &Arc<dyn Disk>, config: PoolConfig) -> std::io::Result<DiskPool> {
        let quiet = Quiet::new(config.patience);
        let mut threads = Vec::new();
        let mut start = |name: String, serve: Serve| -> std::io::Result<SyncSender<Work>> {
            let (sender, receiver) = sync_channel(config.queue_max);
            let (disk, quiet) = (Arc::clone(disk), Arc::clone(&quiet));
            let builder = thread::Builder::new().name(name);
            threads.push(builder.spawn(move || serve(disk.as_ref(), &receiver, quiet.as_ref()))?);
            Ok(sender)
        };
        let mut several = |kind: &str, count: usize| -> std::io::Result<Vec<SyncSender<Work>>> {
            (0..count)
                .map(|index| start(format!("disk-{kind}-{index}"), serve))
                .collect()
        };
        let by_bucket = config.writers.max(1);
        let lanes = Lanes::new(by_bucket);
        let writers = several("write", by_bucket + 1)?;
        let readers = several("read", config.readers.max(1))?;
        let last = start("disk-last".to_owned(), serve_last)?;
        let mode = Mode::Threads {
            disk: Arc::clone(disk),
            writers,
            lanes,
            readers,
            next_reader: AtomicUsize::new(0),
            last,
            quiet,
        };
        Ok(DiskPool {
            mode: Arc::new(mode),
            threads: Arc::new(Mutex::new(threads)),
        })
    }

    /// A pool without threads: each operation is done before [`DiskPool::submit`] returns.
    pub fn inline(disk: Arc<dyn Disk>) -> DiskPool {
        DiskPool {
            mode: Arc::new(Mode::Inline(disk)),
            threads: Arc::default(),
        }
    }

    /// Has the operation carried out and `done` called with its outcome.
    pub fn submit(&self, op: DiskOp, done: Done) {
        if op.only_reads()
            && !op.can_wait()
            && let Some(reply) = self.at_once(&op)
        {
            return done(reply);
        }
        let mut work = Work {
            op,
            done,
            wanted: None,
            place: None,
        };
        gauge!(names::STORE_DISK_QUEUE).increment(1.0);
        match self.mode.as_ref() {
            Mode::Inline(disk) => run(disk.as_ref(), work, &AtOnce),
            Mode::Threads {
                disk,
                writers,
                lanes,
                readers,
                next_reader,
                last,
                quiet,
            } => {
                work.wanted = (!work.op.can_wait()).then(|| quiet.wanted());
                let queue = if work.op.can_wait() {
                    last
                } else if work.op.only_reads() {
                    &readers[next_reader.fetch_add(1, Ordering::Relaxed) % readers.len()]
                } else {
                    let place = lanes.place(work.op.bucket(), disk.gathers(&work.op));
                    &writers[work.place.insert(place).thread]
                };
                if let Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) = queue.try_send(work)
                {
                    gauge!(names::STORE_DISK_QUEUE).decrement(1.0);
                    (work.done)(Err(DiskFault::Overloaded).into());
                }
            }
        }
    }

    fn at_once(&self, op: &DiskOp) -> Option<DiskReply> {
        let Mode::Threads { disk, .. } = self.mode.as_ref() else {
            return None;
        };
        let started = Instant::now();
        // What panics here does so where it is told of.
        let reply = catch_unwind(AssertUnwindSafe(|| disk.at_once(op))).ok()??;
        let took = started.elapsed().as_secs_f64();
        histogram!(names::STORE_DISK_SECONDS, "operation" => op.name()).record(took);
        Some(reply)
    }

    /// Has checks and lists that wait or are under way end at their next read, with [`DiskFault::Overloaded`], and all that
    /// come later: the store stops.
    pub fn give_up_what_can_wait(&self) {
        if let Mode::Threads { quiet, .. } = self.mode.as_ref() {
            quiet.give_up();
        }
    }

    /// Waits until everything that was submitted is done and the threads have ended. Call it on the last clone, from a
    /// thread that may block.
    pub fn join(self) {
        let DiskPool { mode, threads } = self;
        drop(mode);
        let mut threads = threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a disk thread ended with a panic outside any operation");
            }
        }
    }
}
