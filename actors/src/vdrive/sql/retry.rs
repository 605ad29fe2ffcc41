//! What can go wrong with a database, and trying again in bounds.

use std::future::Future;
use std::time::Duration;

use metrics::counter;
use sqlx::migrate::MigrateError;

use crate::metrics as names;

/// How often an operation is tried: the database's own waits for locks are bounded too, so four more tries cover what
/// several vdrives do to each other.
const TRIES: u32 = 5;
/// Before the second try; doubled before each further one.
const FIRST_DELAY: Duration = Duration::from_millis(10);
/// An operation that takes longer is given up: callers wait ten seconds or so, and must hear something.
const TIME_MAX: Duration = Duration::from_secs(8);

/// Why the database did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The database or the way to it.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// Its tables cannot be brought up to date.
    #[error("the tables of the database cannot be brought up to date: {0}")]
    Migrate(#[from] MigrateError),
    /// A row that this software did not write so.
    #[error("the table {table} holds something that was not written by this software; restore a backup")]
    Damaged {
        /// Where.
        table: &'static str,
    },
    /// Somebody else was faster.
    #[error("another vdrive changed the directory at the same moment")]
    Raced,
    /// It did not answer in time.
    #[error("the database did not answer within {} s", TIME_MAX.as_secs())]
    TimedOut,
    /// No randomness for the id of a new database.
    #[error("the operating system gives no random numbers")]
    NoRandom,
}

impl SqlError {
    /// Whether the same may go well a moment later.
    fn passes(&self) -> bool {
        match self {
            SqlError::Raced => true,
            SqlError::Database(error) => match error {
                sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
                // Serialisation failure, deadlock, shutdown of the server; SQLite: busy.
                sqlx::Error::Database(error) => {
                    let code = error.code();
                    let code = code.as_deref().unwrap_or_default();
                    matches!(code, "40001" | "40P01" | "57P01" | "57P02" | "57P03" | "5")
                }
                _ => false,
            },
            SqlError::Migrate(_) | SqlError::Damaged { .. } | SqlError::TimedOut | SqlError::NoRandom => {
                false
            }
        }
    }
}

/// Runs an operation once, within the bounds: a server that falls silent would hold it up for as long as TCP hopes.
pub(super) async fn once<T>(operation: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
    tokio::time::timeout(TIME_MAX, operation)
        .await
        .unwrap_or(Err(SqlError::TimedOut))
}

/// Runs an operation until it succeeds, fails for good, or the bounds are met.
pub(super) async fn repeatedly<T, F>(operation: impl Fn() -> F) -> Result<T, SqlError>
where
    F: Future<Output = Result<T, SqlError>>,
{
    let tries = async {
        let mut delay = FIRST_DELAY;
        for _ in 1..TRIES {
            match operation().await {
                Err(error) if error.passes() => {
                    tracing::debug!("tried again: {error}");
                    counter!(names::VDRIVE_RETRIES).increment(1);
                }
                other => return other,
            }
            tokio::time::sleep(delay).await;
            delay *= 2;
        }
        operation().await
    };
    once(tries).await
}
