//! The threads that wait for the disk, so that no actor ever does.
//!
//! Owns a fixed number of named threads, each with one bounded queue. Operations that write go to the thread that their
//! bucket says, so those of one file keep their order; reads go to threads of their own, so that a download does
//! not wait behind an `fsync`. What no peer waits for, checks and lists, has one thread, which before each of its reads
//! lets the operations of peers go first: a peer waits for one such read at most, of one block. The same thread has the disk
//! do what it has to do for itself ([`Disk::tidy`]), step by step. Whole shares that wait for one thread together
//! are handed to the disk together. A queue that is full refuses at once with [`DiskFault::Overloaded`]. `done` is called
//! exactly once for each operation, on the thread that ran it, even if the disk panicked.
//!
//! [`DiskPool::inline`] runs everything on the caller's thread, for tests.

mod quiet;
mod threads;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use metrics::gauge;
use truckee_engine::store::{DiskFault, DiskOp, DiskReply};
use truckee_grid::bucket::Bucket;

use self::quiet::{Quiet, Wanted};
use self::threads::{Serve, run, serve, serve_last};
use super::disk::{AtOnce, Disk};
use crate::metrics as names;

/// Takes the outcome of an operation.
pub type Done = Box<dyn FnOnce(DiskReply) + Send>;

/// How many threads, and how much may wait for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Threads for operations that write. Several, because each spends most of its time in an `fsync`, and a disk serves
    /// several of those at once.
    pub writers: usize,
    /// Threads for operations that read.
    pub readers: usize,
    /// Operations that may wait for one thread. The store's own bounds on bytes and reads are met earlier; this one keeps
    /// the queue finite if they are wrong.
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
}

enum Mode {
    Threads {
        writers: Vec<SyncSender<Work>>,
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
            (0..count.max(1))
                .map(|index| start(format!("disk-{kind}-{index}"), serve))
                .collect()
        };
        let writers = several("write", config.writers)?;
        let readers = several("read", config.readers)?;
        let last = start("disk-last".to_owned(), serve_last)?;
        let mode = Mode::Threads {
            writers,
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
        let mut work = Work {
            op,
            done,
            wanted: None,
        };
        gauge!(names::STORE_DISK_QUEUE).increment(1.0);
        match self.mode.as_ref() {
            Mode::Inline(disk) => run(disk.as_ref(), work, &AtOnce),
            Mode::Threads {
                writers,
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
                    &writers[lane(work.op.bucket(), writers.len())]
                };
                if let Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) = queue.try_send(work)
                {
                    gauge!(names::STORE_DISK_QUEUE).decrement(1.0);
                    (work.done)(Err(DiskFault::Overloaded).into());
                }
            }
        }
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

/// Storage indexes are hashes: their buckets spread them evenly.
fn lane(bucket: Option<Bucket>, lanes: usize) -> usize {
    bucket.map_or(0, |bucket| bucket.index() % lanes)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use truckee_engine::store::{DiskDone, ShareId};
    use truckee_grid::ids::{ShareNumber, StorageIndex};

    use super::super::disk::Turn;
    use super::*;

    /// Panics on `Remove`, counts in order on `Verify`, blocks in `Discard` until told.
    struct Odd {
        gate: Mutex<Receiver<()>>,
    }

    impl Disk for Odd {
        fn carry_out(&self, op: DiskOp) -> DiskReply {
            match op {
                DiskOp::Remove { .. } => panic!("on purpose"),
                DiskOp::Discard { .. } => {
                    self.gate
                        .lock()
                        .expect("no panic inside")
                        .recv()
                        .expect("the test holds the sender");
                    Ok(DiskDone::Gone { file_bytes: 0 }).into()
                }
                _ => Ok(DiskDone::Measured { free_bytes: 7 }).into(),
            }
        }
    }

    fn share() -> ShareId {
        ShareId {
            si: StorageIndex([5; 16]),
            share: ShareNumber(1),
        }
    }

    fn pool(queue_max: usize) -> (DiskPool, std::sync::mpsc::Sender<()>) {
        let (open, gate) = channel();
        let disk: Arc<dyn Disk> = Arc::new(Odd {
            gate: Mutex::new(gate),
        });
        let config = PoolConfig {
            writers: 1,
            readers: 1,
            queue_max,
            ..PoolConfig::default()
        };
        (DiskPool::start(&disk, config).expect("threads start"), open)
    }

    #[test]
    fn a_panic_is_an_answer_and_the_thread_goes_on() {
        let (pool, _open) = pool(8);
        for _ in 0..2 {
            let (tell, told) = channel();
            let done = Box::new(move |reply| tell.send(reply).expect("the test waits"));
            pool.submit(DiskOp::Remove { share: share() }, done);
            let reply: DiskReply = told.recv().expect("exactly one answer");
            assert_eq!(reply.result, Err(DiskFault::Failed));
        }
        pool.join();
    }

    /// Reads of peers wait at the gate; checks ask for their turn once. All tell when they are done.
    struct Gated {
        gate: Mutex<Receiver<()>>,
        tell: Mutex<std::sync::mpsc::Sender<&'static str>>,
    }

    impl Gated {
        fn tell(&self, what: &'static str) {
            let tell = self.tell.lock().expect("no panic inside");
            tell.send(what).expect("the test listens");
        }
    }

    impl Disk for Gated {
        fn carry_out(&self, _: DiskOp) -> DiskReply {
            let opened = self.gate.lock().expect("no panic inside").recv();
            self.tell("read");
            match opened {
                Ok(()) => Ok(DiskDone::Measured { free_bytes: 7 }).into(),
                Err(_) => Err(DiskFault::Failed).into(),
            }
        }

        fn carry_out_in_turn(&self, _: DiskOp, turn: &dyn Turn) -> DiskReply {
            self.tell("asks");
            let went_on = turn.wait();
            self.tell("went on");
            match went_on {
                Ok(()) => Ok(DiskDone::Sound { file_bytes: 1 }).into(),
                Err(_) => Err(DiskFault::Overloaded).into(),
            }
        }
    }

    struct GatedPool {
        pool: DiskPool,
        open: std::sync::mpsc::Sender<()>,
        told: Receiver<&'static str>,
        answers: Receiver<Result<DiskDone, DiskFault>>,
    }

    /// A read of a peer is under way and a check has asked for its turn.
    fn gated(patience: Duration) -> GatedPool {
        let (open, gate) = channel();
        let (tell, told) = channel();
        let disk: Arc<dyn Disk> = Arc::new(Gated {
            gate: Mutex::new(gate),
            tell: Mutex::new(tell),
        });
        let config = PoolConfig {
            patience,
            ..PoolConfig::default()
        };
        let pool = DiskPool::start(&disk, config).expect("threads start");
        let (answer, answers) = channel();
        pool.submit(DiskOp::Measure, Box::new(|_| ()));
        let done = move |reply: DiskReply| answer.send(reply.result).expect("the test waits");
        pool.submit(DiskOp::Verify { share: share() }, Box::new(done));
        assert_eq!(told.recv(), Ok("asks"));
        GatedPool {
            pool,
            open,
            told,
            answers,
        }
    }

    /// Longer than any test takes.
    const FOR_EVER: Duration = Duration::from_secs(3600);

    #[test]
    fn a_check_lets_the_reads_of_peers_go_first() {
        let gated = gated(FOR_EVER);
        let early = gated.told.recv_timeout(Duration::from_millis(200));
        assert!(early.is_err(), "{early:?} while a peer waits for the disk");
        gated.open.send(()).expect("the disk waits");
        assert_eq!(gated.told.recv(), Ok("read"));
        assert_eq!(gated.told.recv(), Ok("went on"));
        assert_eq!(gated.answers.recv(), Ok(Ok(DiskDone::Sound { file_bytes: 1 })));
        gated.pool.join();
    }

    #[test]
    fn a_check_goes_on_though_peers_never_stop_asking() {
        let gated = gated(Duration::from_millis(1));
        assert_eq!(gated.told.recv(), Ok("went on"));
        assert_eq!(gated.answers.recv(), Ok(Ok(DiskDone::Sound { file_bytes: 1 })));
        gated.open.send(()).expect("the disk waits");
        gated.pool.join();
    }

    #[test]
    fn a_check_ends_when_it_is_given_up() {
        let gated = gated(FOR_EVER);
        gated.pool.give_up_what_can_wait();
        assert_eq!(gated.told.recv(), Ok("went on"));
        assert_eq!(gated.answers.recv(), Ok(Err(DiskFault::Overloaded)));
        gated.open.send(()).expect("the disk waits");
        gated.pool.join();
    }

    #[test]
    fn a_full_queue_refuses_and_reads_overtake_writes() {
        let (pool, open) = pool(1);
        let (tell, told) = channel();
        let submit = |op: DiskOp, name: &'static str| {
            let tell = tell.clone();
            pool.submit(
                op,
                Box::new(move |reply| tell.send((name, reply.result)).expect("the test waits")),
            );
        };
        let discard = || DiskOp::Discard {
            incoming: truckee_engine::store::IncomingId(1),
            share: share(),
        };
        // One runs, one waits; as soon as both places are taken a further one is refused.
        let mut refused = 0;
        for _ in 0..3 {
            submit(discard(), "write");
        }
        submit(DiskOp::Measure, "read");
        let mut read = false;
        while !read || refused == 0 {
            match told.recv().expect("an answer for each") {
                ("read", result) => {
                    assert_eq!(result, Ok(DiskDone::Measured { free_bytes: 7 }));
                    read = true;
                }
                (_, result) => {
                    assert_eq!(result, Err(DiskFault::Overloaded));
                    refused += 1;
                }
            }
        }
        for _ in 0..3 {
            open.send(()).expect("the disk waits");
        }
        for _ in refused..3 {
            assert_eq!(
                told.recv().expect("an answer").1,
                Ok(DiskDone::Gone { file_bytes: 0 })
            );
        }
        pool.join();
    }
}
