//! What can go wrong between a vdrive and its database, by what the asker can do about it.

use std::sync::Arc;

use truckee_engine::vdrive::{self, ChangeRefused};
use truckee_wire::message::{Failure, FailureCode};

/// Why a request was not served.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The change can never be taken.
    #[error(transparent)]
    Refused(#[from] ChangeRefused),
    /// As many requests wait as may, or others hold the directory for too long.
    #[error("the database has as much to do as it takes")]
    Busy,
    /// It cannot be reached, or was lost on the way.
    #[error("the database cannot be reached: {0}")]
    Unreachable(Arc<sqlx::Error>),
    /// Its disk is full.
    #[error("the disk of the database is full")]
    Full,
    /// What it holds is not what was written.
    #[error("the database holds {what} that cannot be read; restore it from a backup")]
    Damaged {
        /// What.
        what: &'static str,
    },
    /// A statement failed.
    #[error("a statement failed in the database: {0}")]
    Statement(Arc<sqlx::Error>),
    /// The schema could not be made or brought up to date.
    #[error("the tables of the database cannot be made: {0}")]
    Schema(Arc<sqlx::migrate::MigrateError>),
    /// The file cannot be used.
    #[error("{path}: {kind}; the database file must be readable and writable by the node alone")]
    File {
        /// Which one.
        path: String,
        /// Why.
        kind: std::io::ErrorKind,
    },
    /// The thread of the database has ended.
    #[error("the database of this node has stopped")]
    Stopped,
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        match (&error, code.as_deref()) {
            // PostgreSQL (its manual, appendix A): serialisation, deadlock, lock timeout, cancelled statement.
            (_, Some("40001" | "40P01" | "55P03" | "57014")) => Self::Busy,
            (_, Some("53100")) => Self::Full,
            (_, Some(code)) if code.len() == 5 && ["08", "53", "57"].contains(&&code[..2]) => {
                Self::Unreachable(Arc::new(error))
            }
            // SQLite (its result codes, extended ones included in the low byte): BUSY, LOCKED, FULL.
            (_, Some(code)) => match code.parse::<i32>().map(|code| code & 0xff) {
                Ok(5 | 6) => Self::Busy,
                Ok(13) => Self::Full,
                _ => Self::Statement(Arc::new(error)),
            },
            (
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::Protocol(_)
                | sqlx::Error::WorkerCrashed,
                None,
            ) => Self::Unreachable(Arc::new(error)),
            _ => Self::Statement(Arc::new(error)),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for DatabaseError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(error) => Self::from(error),
            other => Self::Schema(Arc::new(other)),
        }
    }
}

impl DatabaseError {
    /// What the asker is told: enough to know whether to come again, nothing of how the database is reached.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            Self::Refused(refused) => refused.failure(),
            Self::Busy => vdrive::busy(),
            Self::Full => Failure::new(FailureCode::Full, "the disk of the vdrive's database is full"),
            _ => Failure::new(
                FailureCode::Internal,
                "the vdrive cannot use its database; its log says more",
            ),
        }
    }
}
