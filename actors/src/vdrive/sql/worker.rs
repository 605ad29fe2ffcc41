//! The thread of the database: takes requests, keeps several under way, and lets changes share transactions where the
//! database has but one writer.

use std::sync::Arc;

use tokio::sync::{OnceCell, Semaphore, mpsc, oneshot};
use truckee_engine::vdrive::judge_signature;
use truckee_wire::message::{ChangeTaken, CommitChange};

use super::connect::{Pools, pools};
use super::write::{Outcome, Steps, change};
use super::{DatabaseError, DatabaseUrl, Dialect, Job, REQUESTS_MAX, read, schema};

/// Changes that share one transaction: a fsync costs as much as some tens of changes.
const SHARED_MAX: usize = 64;
/// How often a change is tried again when the directory was made by somebody else in between. Once is enough, as it is
/// there then.
const RACES_MAX: usize = 2;

type Asked<T> = oneshot::Sender<Result<T, DatabaseError>>;
type Change = (Box<CommitChange>, Asked<ChangeTaken>);

/// Starts the thread; `opened` is told when it can serve, or why it cannot.
pub(super) fn start(
    url: DatabaseUrl,
    inbox: mpsc::Receiver<Job>,
    opened: oneshot::Sender<Result<(), DatabaseError>>,
) -> Result<(), DatabaseError> {
    let failed = |error: std::io::Error| DatabaseError::File {
        path: "the thread of the database".to_owned(),
        kind: error.kind(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    // Not joined: it ends when the last handle is gone, and what it has not answered by then was promised to nobody.
    std::thread::Builder::new()
        .name("vdrive-sql".to_owned())
        .spawn(move || runtime.block_on(serve(url, inbox, opened)))
        .map(drop)
        .map_err(failed)
}

async fn serve(
    url: DatabaseUrl,
    mut inbox: mpsc::Receiver<Job>,
    opened: oneshot::Sender<Result<(), DatabaseError>>,
) {
    let desk = match Desk::open(&url).await {
        Ok(desk) => desk,
        Err(error) => {
            // Whoever opened it may have gone meanwhile.
            drop(opened.send(Err(error)));
            return;
        }
    };
    drop(opened.send(Ok(())));
    let (queue, changes) = mpsc::channel(REQUESTS_MAX);
    let writer = tokio::spawn(Arc::clone(&desk).write_shared(changes));
    while let Some(job) = inbox.recv().await {
        // Bounds what is under way; what waits is bounded by the inbox.
        let Ok(place) = Arc::clone(&desk.places).acquire_owned().await else {
            break;
        };
        let desk = Arc::clone(&desk);
        let queue = queue.clone();
        tokio::spawn(async move {
            desk.one(job, &queue).await;
            drop(place);
        });
    }
    drop(queue);
    // Changes that were accepted are finished, so that their askers get the answer.
    drop(writer.await);
    desk.pools.readers.close().await;
    desk.pools.writers.close().await;
}

struct Desk {
    pools: Pools,
    id: OnceCell<[u8; 16]>,
    places: Arc<Semaphore>,
}

impl Desk {
    async fn open(url: &DatabaseUrl) -> Result<Arc<Desk>, DatabaseError> {
        let desk = Arc::new(Desk {
            pools: pools(url)?,
            id: OnceCell::new(),
            places: Arc::new(Semaphore::new(REQUESTS_MAX)),
        });
        match desk.ready().await {
            Err(error) if url.dialect() == Dialect::Sqlite => return Err(error),
            Err(error) => tracing::warn!("the database cannot be used yet, it is asked again: {error}"),
            Ok(_) => {}
        }
        Ok(desk)
    }

    /// The id, once the tables are there.
    async fn ready(&self) -> Result<[u8; 16], DatabaseError> {
        let prepare = || schema::prepare(&self.pools.writers, self.pools.dialect);
        self.id.get_or_try_init(prepare).await.copied()
    }

    async fn one(self: Arc<Self>, job: Job, queue: &mpsc::Sender<Change>) {
        match job {
            Job::Ping(reply) => {
                let result = self.ping().await;
                answer(reply, "ping", result);
            }
            Job::Get(get, reply) => {
                let result = match self.ready().await {
                    Ok(id) => read::get_rows(&self.pools, id, &get).await,
                    Err(error) => Err(error),
                };
                answer(reply, "read", result);
            }
            Job::Commit(change, reply) => {
                if let Err(refused) = judge_signature(&change) {
                    answer(reply, "change", Err(refused.into()));
                } else if self.pools.dialect == Dialect::Sqlite {
                    if let Err(full) = queue.try_send((change, reply)) {
                        let (_, reply) = full.into_inner();
                        answer(reply, "change", Err(DatabaseError::Busy));
                    }
                } else {
                    let result = self.alone(&change).await;
                    answer(reply, "change", result);
                }
            }
        }
    }

    async fn ping(&self) -> Result<[u8; 16], DatabaseError> {
        let id = self.ready().await?;
        sqlx::query("SELECT 1").execute(&self.pools.readers).await?;
        Ok(id)
    }

    /// One change in a transaction of its own.
    async fn alone(&self, asked: &CommitChange) -> Result<ChangeTaken, DatabaseError> {
        let id = self.ready().await?;
        for _ in 0..=RACES_MAX {
            let mut transaction = self.pools.writers.begin_with(self.begin()).await?;
            let outcome = change(&mut transaction, self.pools.dialect, asked, &mut Steps::default()).await?;
            match outcome {
                Outcome::Raced => transaction.rollback().await?,
                Outcome::Taken(_) => {
                    transaction.commit().await?;
                    return said(id, outcome);
                }
                other => {
                    transaction.rollback().await?;
                    return said(id, other);
                }
            }
        }
        Err(DatabaseError::Busy)
    }

    const fn begin(&self) -> &'static str {
        match self.pools.dialect {
            // Takes the write lock at once: a transaction that reads first cannot fail half way for want of it.
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        }
    }

    /// Takes changes one batch after the other, for a database with one writer.
    async fn write_shared(self: Arc<Self>, mut changes: mpsc::Receiver<Change>) {
        let mut batch = Vec::with_capacity(SHARED_MAX);
        while changes.recv_many(&mut batch, SHARED_MAX).await > 0 {
            match self.together(&batch).await {
                Ok(answers) => {
                    for ((_, reply), result) in batch.drain(..).zip(answers) {
                        answer(reply, "change", result);
                    }
                }
                // One of them, or the commit of all, failed: each by itself, so that none fails for another.
                Err(error) => {
                    tracing::warn!(changes = batch.len(), "a shared transaction failed: {error}");
                    for (change, reply) in batch.drain(..) {
                        let result = self.alone(&change).await;
                        answer(reply, "change", result);
                    }
                }
            }
        }
    }

    async fn together(
        &self,
        batch: &[Change],
    ) -> Result<Vec<Result<ChangeTaken, DatabaseError>>, DatabaseError> {
        let id = self.ready().await?;
        let mut transaction = self.pools.writers.begin_with(self.begin()).await?;
        let mut answers = Vec::with_capacity(batch.len());
        for (asked, _) in batch {
            let outcome = change(&mut transaction, self.pools.dialect, asked, &mut Steps::default()).await?;
            answers.push(said(id, outcome));
        }
        transaction.commit().await?;
        Ok(answers)
    }
}

fn said(database: [u8; 16], outcome: Outcome) -> Result<ChangeTaken, DatabaseError> {
    let (taken, head) = match outcome {
        Outcome::Taken(head) => (true, Some(head)),
        Outcome::Behind(head) => (false, head),
        Outcome::Refused(refused) => return Err(refused.into()),
        Outcome::Raced => return Err(DatabaseError::Busy),
    };
    Ok(ChangeTaken {
        database,
        taken,
        head,
    })
}

/// An asker that has gone wants no answer; what went wrong is logged all the same.
fn answer<T>(reply: Asked<T>, what: &'static str, result: Result<T, DatabaseError>) {
    if let Err(error) = &result
        && !matches!(error, DatabaseError::Refused(_) | DatabaseError::Busy)
    {
        tracing::warn!(what, "the database failed: {error}");
    }
    drop(reply.send(result));
}
