//! The thread that talks to the database for the vdrive.
//!
//! Owns the queue of changes. With SQLite, which has one writer anyway, the changes that wait when a transaction ends go
//! together into the next, and share its wait for the disk. With PostgreSQL each change is a transaction of its own,
//! several at once; the server groups their writes itself.

use std::rc::Rc;
use std::thread;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tracing::Instrument;
use truckee_engine::time::Mono;
use truckee_engine::vdrive::judge_signature;
use truckee_wire::message::{CommitChange, Failure, FailureCode, Request, Response};

use super::sql::{Database, DatabaseUrl, Dialect, Judged, SqlError};
use super::{REQUESTS_MAX, VdriveHealth};
use crate::clock::ClockHandle;
use crate::gate::{BytePermit, CountPermit};
use crate::inbound::{CancelFlag, Responder, Served};
use crate::metrics as names;

/// Most changes in one transaction of SQLite: a disk that takes 10 ms to be sure still takes thousands a second.
const TOGETHER_MAX: usize = 64;
/// How often a database that could not be reached is tried when nobody asks.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// How often a database that was there is tried when nobody asks.
const PROBE_EVERY_WELL: Duration = Duration::from_secs(15);

/// A request for the thread.
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) deadline: Mono,
    pub(super) since: Mono,
    pub(super) cancelled: CancelFlag,
    pub(super) responder: Responder,
    /// Held until it is answered.
    pub(super) permits: (CountPermit, BytePermit),
}

/// A change to take, and the rest of its job.
struct Change {
    change: CommitChange,
    job: Answering,
}

struct Answering {
    kind: &'static str,
    deadline: Mono,
    since: Mono,
    cancelled: CancelFlag,
    responder: Responder,
    _permits: (CountPermit, BytePermit),
}

/// The way to the thread. When it is dropped, the thread answers what it has and ends.
pub(super) struct Worker(mpsc::Sender<Job>);

/// What tasks of the thread share.
struct Shared {
    database: Database,
    clock: ClockHandle,
    health: VdriveHealth,
}

impl Worker {
    /// Starts the thread; none if the system has none left. The receiver resolves when it has ended.
    pub(super) fn start(
        url: DatabaseUrl,
        clock: ClockHandle,
        health: VdriveHealth,
    ) -> (Option<Worker>, oneshot::Receiver<()>) {
        // Each job holds a permit, so there is always room.
        let (sender, jobs) = mpsc::channel(REQUESTS_MAX);
        let (done, ended) = oneshot::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => LocalSet::new().block_on(&runtime, serve(&url, clock, health, jobs)),
                Err(error) => tracing::error!("the vdrive's runtime cannot be started: {error}"),
            }
            // Nobody waits if the actor ended before.
            done.send(()).ok();
        };
        let started = thread::Builder::new().name("vdrive".to_owned()).spawn(run);
        (started.is_ok().then_some(Worker(sender)), ended)
    }

    /// Hands over a job.
    pub(super) fn give(&self, job: Job) -> Result<(), Box<Job>> {
        self.0
            .try_send(job)
            .map_err(|refused| Box::new(refused.into_inner()))
    }
}

async fn serve(url: &DatabaseUrl, clock: ClockHandle, health: VdriveHealth, mut jobs: mpsc::Receiver<Job>) {
    let database = match Database::open(url) {
        Ok(database) => database,
        Err(error) => {
            tracing::error!("{error}");
            health.set(Some(error.to_string()));
            return;
        }
    };
    let shared = Rc::new(Shared {
        database,
        clock,
        health,
    });
    let probe = tokio::task::spawn_local(probe(Rc::clone(&shared)));
    let (queue, waiting) = mpsc::channel(REQUESTS_MAX);
    let writer = tokio::task::spawn_local(write_together(Rc::clone(&shared), waiting));
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => shared.begin(job, &queue, &mut tasks),
                None => break,
            },
            Some(ended) = tasks.join_next() => note_panic(ended.err()),
        }
    }
    drop(queue);
    note_panic(writer.await.err());
    while let Some(ended) = tasks.join_next().await {
        note_panic(ended.err());
    }
    probe.abort();
    shared.database.close().await;
}

/// A task that panicked has answered through its responder; others go on.
fn note_panic(error: Option<tokio::task::JoinError>) {
    if let Some(error) = error {
        tracing::error!("a request of the vdrive ended badly: {error}");
    }
}

/// Finds out whether the database is there, so that readiness does not depend on somebody asking for directories.
async fn probe(shared: Rc<Shared>) {
    loop {
        let result = shared.database.probe().await;
        let well = result.is_ok();
        shared.note(result.as_ref().err());
        tokio::time::sleep(if well { PROBE_EVERY_WELL } else { PROBE_EVERY }).await;
    }
}

/// The one writer of SQLite.
async fn write_together(shared: Rc<Shared>, mut waiting: mpsc::Receiver<Change>) {
    let mut together = Vec::with_capacity(TOGETHER_MAX);
    while waiting.recv_many(&mut together, TOGETHER_MAX).await > 0 {
        shared.commit(together.drain(..)).await;
    }
}

impl Shared {
    fn begin(self: &Rc<Shared>, job: Job, queue: &mpsc::Sender<Change>, tasks: &mut JoinSet<()>) {
        let answering = Answering {
            kind: job.request.kind().name(),
            deadline: job.deadline,
            since: job.since,
            cancelled: job.cancelled,
            responder: job.responder,
            _permits: job.permits,
        };
        let shared = Rc::clone(self);
        match job.request {
            Request::GetRows(get) => {
                tasks.spawn_local(async move {
                    if let Some(answering) = shared.still_wanted(answering) {
                        let above = answering.responder.trace().span().clone();
                        let query = tracing::debug_span!(parent: above, "query");
                        let got = shared.database.get(&get).instrument(query).await;
                        let served = shared.served(got).map(|got| Response::RowsGot(Box::new(got)));
                        shared.answer(answering, served, "ok");
                    }
                });
            }
            Request::CommitChange(change) => {
                let change = Change {
                    change,
                    job: answering,
                };
                if self.database.dialect() == Dialect::Sqlite {
                    // The writer ends after this loop; if it panicked, the responder answers.
                    queue.try_send(change).ok();
                } else {
                    tasks.spawn_local(async move { shared.commit([change]).await });
                }
            }
            _ => {
                let failure = Failure::new(FailureCode::Unsupported, "a vdrive does not serve this");
                self.answer(answering, Err(failure), "ok");
            }
        }
    }

    /// Takes changes in one transaction, in their order, so that those of one directory can build on each other.
    async fn commit(&self, changes: impl IntoIterator<Item = Change>) {
        let mut wanted: Vec<Change> = Vec::new();
        for Change { change, job } in changes {
            let Some(job) = self.still_wanted(job) else {
                continue;
            };
            match judge_signature(&change) {
                Ok(()) => wanted.push(Change { change, job }),
                Err(refused) => self.answer(job, Err(refused.failure()), "refused"),
            }
        }
        let Some(first) = wanted.first() else { return };
        // Of several that share a transaction, the first has its span.
        let above = first.job.responder.trace().span();
        let transaction = tracing::debug_span!(parent: above, "transaction", changes = wanted.len());
        let refs: Vec<&CommitChange> = wanted.iter().map(|change| &change.change).collect();
        let result = self.database.commit(&refs).instrument(transaction).await;
        match self.served(result) {
            Ok(judged) => {
                counter!(names::VDRIVE_TRANSACTIONS).increment(1);
                counter!(names::VDRIVE_CHANGES).increment(wanted.len() as u64);
                for (change, judged) in wanted.into_iter().zip(judged) {
                    self.answer_judged(change.job, judged);
                }
            }
            Err(failure) => {
                for change in wanted {
                    self.answer(change.job, Err(failure.clone()), "ok");
                }
            }
        }
    }

    fn answer_judged(&self, job: Answering, judged: Judged) {
        match judged {
            Ok(taken) => {
                let outcome = if taken.taken { "ok" } else { "behind" };
                self.answer(job, Ok(Response::ChangeTaken(Box::new(taken))), outcome);
            }
            Err(refused) => self.answer(job, Err(refused.failure()), "refused"),
        }
    }

    fn still_wanted(&self, job: Answering) -> Option<Answering> {
        let failure = if job.cancelled.is_set() {
            Failure::new(FailureCode::Cancelled, "the asker took the request back")
        } else if job.deadline <= self.clock.now() {
            Failure::new(
                FailureCode::Expired,
                "the time budget was over when the vdrive got to it",
            )
        } else {
            return Some(job);
        };
        self.answer(job, Err(failure), "ok");
        None
    }

    /// What the asker hears of a database's result.
    fn served<T>(&self, result: Result<T, SqlError>) -> Result<T, Failure> {
        self.note(result.as_ref().err());
        result.map_err(|_| {
            let text = "the vdrive's database cannot be reached or failed; a change may count or not. Its log says more";
            Failure::new(FailureCode::Internal, text)
        })
    }

    /// Keeps health and metrics, and the log when something changed.
    fn note(&self, error: Option<&SqlError>) {
        let name = self.database.dialect().name();
        gauge!(names::VDRIVE_DATABASE_UP).set(if error.is_none() { 1.0 } else { 0.0 });
        let trouble = error.map(|error| format!("the database of the vdrive cannot be used: {error}"));
        let changed = self.health.set(trouble);
        match error {
            Some(error) if changed => tracing::error!(database = name, "the vdrive cannot serve: {error}"),
            Some(error) => tracing::debug!(database = name, "the vdrive cannot serve: {error}"),
            None if changed => tracing::info!(database = name, "the database of the vdrive is back"),
            None => {}
        }
    }

    /// `outcome` for the metrics; a failure names itself unless it is a refusal.
    fn answer(&self, job: Answering, served: Served, outcome: &'static str) {
        let outcome = match &served {
            Err(failure) if outcome == "ok" => failure.code.name(),
            _ => outcome,
        };
        counter!(names::VDRIVE_REQUESTS, "request" => job.kind, "outcome" => outcome).increment(1);
        let took = self.clock.now().saturating_sub(job.since);
        histogram!(names::VDRIVE_REQUEST_SECONDS, "request" => job.kind).record(took.as_secs_f64());
        job.responder.respond(served);
    }
}
