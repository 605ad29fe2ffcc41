//! The threads that wait for the disk, so that no actor ever does.
//!
//! Owns a fixed number of named threads, each with one bounded queue. Operations that write go to the thread that their
//! storage index says, so those of one file keep their order; reads go to threads of their own, so that a download does
//! not wait behind an `fsync`. A queue that is full refuses at once with [`DiskFault::Overloaded`]. `done` is called
//! exactly once for each operation, on the thread that ran it, even if the disk panicked.
//!
//! [`DiskPool::inline`] runs everything on the caller's thread, for tests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use metrics::{gauge, histogram};
use truckee_engine::store::{DiskFault, DiskOp, DiskReply};
use truckee_grid::ids::StorageIndex;

use super::disk::Disk;
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
}

impl Default for PoolConfig {
    fn default() -> PoolConfig {
        PoolConfig {
            writers: 4,
            readers: 2,
            queue_max: 1024,
        }
    }
}

struct Work {
    op: DiskOp,
    done: Done,
}

enum Mode {
    Threads {
        writers: Vec<SyncSender<Work>>,
        readers: Vec<SyncSender<Work>>,
        next_reader: AtomicUsize,
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
        let mut threads = Vec::new();
        let mut start = |kind: &str, count: usize| -> std::io::Result<Vec<SyncSender<Work>>> {
            (0..count.max(1))
                .map(|index| {
                    let (sender, receiver) = sync_channel(config.queue_max);
                    let disk = Arc::clone(disk);
                    let builder = thread::Builder::new().name(format!("disk-{kind}-{index}"));
                    threads.push(builder.spawn(move || serve(disk.as_ref(), &receiver))?);
                    Ok(sender)
                })
                .collect()
        };
        let writers = start("write", config.writers)?;
        let readers = start("read", config.readers)?;
        let mode = Mode::Threads {
            writers,
            readers,
            next_reader: AtomicUsize::new(0),
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
        let work = Work { op, done };
        gauge!(names::STORE_DISK_QUEUE).increment(1.0);
        match self.mode.as_ref() {
            Mode::Inline(disk) => run(disk.as_ref(), work),
            Mode::Threads {
                writers,
                readers,
                next_reader,
            } => {
                let queue = if work.op.only_reads() {
                    &readers[next_reader.fetch_add(1, Ordering::Relaxed) % readers.len()]
                } else {
                    &writers[lane(work.op.si(), writers.len())]
                };
                if let Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) = queue.try_send(work)
                {
                    gauge!(names::STORE_DISK_QUEUE).decrement(1.0);
                    (work.done)(Err(DiskFault::Overloaded).into());
                }
            }
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

/// Storage indexes are hashes: their first byte spreads them evenly.
fn lane(si: Option<StorageIndex>, lanes: usize) -> usize {
    si.map_or(0, |si| usize::from(si.0[0]) % lanes)
}

fn serve(disk: &dyn Disk, queue: &Receiver<Work>) {
    while let Ok(work) = queue.recv() {
        run(disk, work);
    }
}

fn run(disk: &dyn Disk, work: Work) {
    let name = work.op.name();
    let started = Instant::now();
    let reply = catch_unwind(AssertUnwindSafe(|| disk.carry_out(work.op))).unwrap_or_else(|_| {
        tracing::error!(
            operation = name,
            "a disk operation panicked; this is a fault in the program"
        );
        Err(DiskFault::Failed).into()
    });
    gauge!(names::STORE_DISK_QUEUE).decrement(1.0);
    histogram!(names::STORE_DISK_SECONDS, "operation" => name).record(started.elapsed().as_secs_f64());
    (work.done)(reply);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use truckee_engine::store::{DiskDone, ShareId};
    use truckee_grid::ids::ShareNumber;

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
