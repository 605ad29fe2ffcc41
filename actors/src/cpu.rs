//! The CPU pool: everything that computes for more than half a millisecond runs here and not on an actor's thread.
//!
//! A pool has a fixed number of named threads and one bounded queue. A submitter hands in a job and a closure that
//! takes the result; the closure is called exactly once, on the thread that ran the job: with the result, or with the
//! reason why there is none (the job panicked, the pool stops). A full queue refuses at once. [`Ordered`] gives one
//! submitter its results in the order of its submissions although the jobs run side by side. [`InlinePool`] runs each
//! job at once on the caller's thread, for simulations in which time must not pass elsewhere.
//!
//! Not promised: fairness between submitters (their byte permits bound what each can queue), and any order between
//! jobs that were not submitted through the same [`Ordered`].

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use metrics::{counter, gauge, histogram};

use crate::metrics as names;

/// Jobs that may wait. Each transfer has a window of a few segments and the byte gates bound the number of windows,
/// so this is only met when those bounds are wrong; it still keeps the queue finite.
pub const QUEUE_JOBS_MAX: usize = 4096;

/// Why a job gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// The queue is full; the job was not taken.
    #[error("{waiting} jobs wait for the CPU pool already; {job} was not taken, try again later")]
    Saturated {
        /// Kind of the job.
        job: &'static str,
        /// Jobs in the queue.
        waiting: usize,
    },
    /// The job panicked; the panic is in the log.
    #[error("job {job} panicked on the CPU pool; this is a fault in the program, see the log")]
    Panicked {
        /// Kind of the job.
        job: &'static str,
    },
    /// The pool stopped before the job ran.
    #[error("the CPU pool stopped before {job} ran")]
    Closed {
        /// Kind of the job.
        job: &'static str,
    },
}

/// A job ready to run: the work, its accounting and the delivery of its result.
pub struct Job {
    kind: &'static str,
    run: Box<dyn FnOnce() + Send>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Job({})", self.kind)
    }
}

/// Where jobs run.
pub trait CpuPool: Send + Sync + 'static {
    /// Takes the job, or gives the reason why not. A job that is dropped unrun tells its submitter so by itself.
    fn submit(&self, job: Job) -> Result<(), CpuError>;
    /// Jobs that can run side by side.
    fn threads(&self) -> usize;
}

/// A pool that is handed around.
#[derive(Clone)]
pub struct CpuHandle(Arc<dyn CpuPool>);

impl std::fmt::Debug for CpuHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CpuHandle({} threads)", self.threads())
    }
}

impl CpuHandle {
    /// A handle of any pool.
    pub fn new(pool: impl CpuPool) -> Self {
        Self(Arc::new(pool))
    }

    /// A pool that runs everything on the caller's thread.
    pub fn inline() -> Self {
        Self::new(InlinePool)
    }

    /// Jobs that can run side by side.
    pub fn threads(&self) -> usize {
        self.0.threads()
    }

    /// Runs `work` on the pool and then calls `done` with its result, exactly once, whatever happens.
    ///
    /// `job` labels metrics and must come from a closed set. `done` runs on the pool's thread (or, if the pool takes
    /// nothing, at once on this one) and should do no more than leave the result at an actor or in a channel.
    pub fn run_then<T, W, D>(&self, job: &'static str, work: W, done: D)
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
        D: FnOnce(Result<T, CpuError>) + Send + 'static,
    {
        let submission = Submission::new(job, done);
        let queued = Instant::now();
        let run = Box::new(move || {
            histogram!(names::CPU_WAIT_SECONDS, "work" => job).record(queued.elapsed().as_secs_f64());
            let began = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(work));
            histogram!(names::CPU_RUN_SECONDS, "work" => job).record(began.elapsed().as_secs_f64());
            match result {
                Ok(value) => submission.finish(Ok(value), "done"),
                Err(_panic) => submission.finish(Err(CpuError::Panicked { job }), "panicked"),
            }
        });
        // A refused job is dropped, and so answered, by the pool; the error here says the same a second time.
        if let Err(refused) = self.0.submit(Job { kind: job, run }) {
            tracing::warn!(job, %refused, "cpu pool did not take a job");
        }
    }

    /// Runs `work` on the pool and gives its result.
    pub async fn run<T, W>(&self, job: &'static str, work: W) -> Result<T, CpuError>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.run_then(job, work, move |result| {
            // The asker may have gone away meanwhile; then nobody wants the result.
            drop(sender.send(result));
        });
        receiver.await.unwrap_or(Err(CpuError::Closed { job }))
    }
}

/// Sees to it that `done` is called exactly once, even for a job that is dropped.
struct Submission<T, D: FnOnce(Result<T, CpuError>)> {
    job: &'static str,
    done: Option<D>,
    result: std::marker::PhantomData<fn() -> T>,
}

impl<T, D: FnOnce(Result<T, CpuError>)> Submission<T, D> {
    fn new(job: &'static str, done: D) -> Self {
        Self {
            job,
            done: Some(done),
            result: std::marker::PhantomData,
        }
    }

    fn finish(mut self, result: Result<T, CpuError>, outcome: &'static str) {
        self.deliver(result, outcome);
    }

    fn deliver(&mut self, result: Result<T, CpuError>, outcome: &'static str) {
        let Some(done) = self.done.take() else { return };
        counter!(names::CPU_JOBS, "work" => self.job, "outcome" => outcome).increment(1);
        if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
            tracing::error!(job = self.job, "the receiver of a cpu result panicked");
        }
    }
}

impl<T, D: FnOnce(Result<T, CpuError>)> Drop for Submission<T, D> {
    fn drop(&mut self) {
        let job = self.job;
        self.deliver(Err(CpuError::Closed { job }), "dropped");
    }
}

/// The pool of a real node.
pub struct ThreadPool {
    queue: Arc<Queue>,
    threads: Vec<thread::JoinHandle<()>>,
}

struct Queue {
    state: Mutex<QueueState>,
    filled: Condvar,
    jobs_max: usize,
}

struct QueueState {
    jobs: VecDeque<Job>,
    open: bool,
}

impl Queue {
    /// Jobs run outside the lock, so a poisoned one still guards a whole state.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                gauge!(names::CPU_QUEUE_JOBS).set(state.jobs.len() as f64);
                return Some(job);
            }
            if !state.open {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl ThreadPool {
    /// A pool of `threads` threads (at least 1) with a queue of `jobs_max` jobs (at least 1).
    pub fn start(threads: usize, jobs_max: usize) -> std::io::Result<Self> {
        let queue = Arc::new(Queue {
            state: Mutex::new(QueueState {
                jobs: VecDeque::new(),
                open: true,
            }),
            filled: Condvar::new(),
            jobs_max: jobs_max.max(1),
        });
        let mut pool = Self {
            queue,
            threads: Vec::new(),
        };
        for index in 0..threads.max(1) {
            let queue = Arc::clone(&pool.queue);
            let worker = thread::Builder::new()
                .name(format!("truckee-cpu-{index}"))
                .spawn(move || {
                    while let Some(job) = queue.next() {
                        (job.run)();
                    }
                })?;
            pool.threads.push(worker);
        }
        gauge!(names::CPU_THREADS).set(pool.threads.len() as f64);
        Ok(pool)
    }

    /// One thread per core.
    pub fn start_default() -> std::io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self::start(cores, QUEUE_JOBS_MAX)
    }
}

impl CpuPool for ThreadPool {
    fn submit(&self, job: Job) -> Result<(), CpuError> {
        let mut state = self.queue.lock();
        let refused = if !state.open {
            Some(CpuError::Closed { job: job.kind })
        } else if state.jobs.len() >= self.queue.jobs_max {
            Some(CpuError::Saturated {
                job: job.kind,
                waiting: state.jobs.len(),
            })
        } else {
            None
        };
        if let Some(error) = refused {
            // Dropping the job calls its submitter, who may come back for the lock.
            drop(state);
            drop(job);
            return Err(error);
        }
        state.jobs.push_back(job);
        gauge!(names::CPU_QUEUE_JOBS).set(state.jobs.len() as f64);
        drop(state);
        self.queue.filled.notify_one();
        Ok(())
    }

    fn threads(&self) -> usize {
        self.threads.len()
    }
}

impl Drop for ThreadPool {
    /// Jobs that run end; those that wait are dropped, which tells their submitters.
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.queue.lock();
            state.open = false;
            std::mem::take(&mut state.jobs)
        };
        self.queue.filled.notify_all();
        drop(waiting);
        let this = thread::current().id();
        for worker in self.threads.drain(..) {
            // The last handle may go away inside a job: a thread cannot wait for itself.
            if worker.thread().id() != this && worker.join().is_err() {
                tracing::error!("a thread of the cpu pool panicked");
            }
        }
    }
}

/// Runs every job at once on the caller's thread.
#[derive(Clone, Copy, Debug)]
pub struct InlinePool;

impl CpuPool for InlinePool {
    fn submit(&self, job: Job) -> Result<(), CpuError> {
        (job.run)();
        Ok(())
    }

    fn threads(&self) -> usize {
        1
    }
}

/// One submitter's view of a pool: results are delivered in the order of submission.
#[derive(Clone)]
pub struct Ordered {
    cpu: CpuHandle,
    line: Arc<Mutex<Line>>,
}

#[derive(Default)]
struct Line {
    submitted: u64,
    delivered: u64,
    delivering: bool,
    ready: BTreeMap<u64, Box<dyn FnOnce() + Send>>,
}

impl std::fmt::Debug for Ordered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ordered({:?})", self.cpu)
    }
}

impl Ordered {
    /// A new order over `cpu`, independent of all others.
    pub fn new(cpu: CpuHandle) -> Self {
        Self {
            cpu,
            line: Arc::default(),
        }
    }

    /// As [`CpuHandle::run_then`], but `done` is called after those of all earlier submissions.
    pub fn run_then<T, W, D>(&self, job: &'static str, work: W, done: D)
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
        D: FnOnce(Result<T, CpuError>) + Send + 'static,
    {
        let place = {
            let mut line = lock(&self.line);
            line.submitted += 1;
            line.submitted - 1
        };
        let line = Arc::clone(&self.line);
        self.cpu.run_then(job, work, move |result| {
            lock(&line).ready.insert(place, Box::new(move || done(result)));
            deliver_ready(&line);
        });
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Delivers what is next in line. One thread at a time does it, without the lock, so that a receiver may submit again.
fn deliver_ready(line: &Mutex<Line>) {
    let mut state = lock(line);
    if state.delivering {
        return;
    }
    state.delivering = true;
    loop {
        let next = state.delivered;
        let Some(done) = state.ready.remove(&next) else {
            break;
        };
        state.delivered += 1;
        drop(state);
        if catch_unwind(AssertUnwindSafe(done)).is_err() {
            tracing::error!("the receiver of an ordered cpu result panicked");
        }
        state = lock(line);
    }
    state.delivering = false;
}

#[cfg(test)]
mod tests;
