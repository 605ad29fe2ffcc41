//! Pools of connections, with every wait bounded.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{AnyPool, Executor};

use super::{DatabaseError, DatabaseUrl, Dialect};

/// Connections that read. SQLite's readers do not wait for its writer; more than the cores gain nothing.
const READERS_MAX: u32 = 4;
/// Connections to PostgreSQL: enough that changes of several directories commit in one fsync of the server.
const SERVER_CONNECTIONS_MAX: u32 = 16;
/// How long a request waits for a connection: shorter than askers wait for the vdrive.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How SQLite is to behave. WAL with FULL: one fsync for each commit, which survives loss of power.
const SQLITE_SESSION: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 3000; \
                              PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384;";
/// How PostgreSQL is to behave. What was acknowledged must be on disk: a server that is set to lose the last commits is
/// overruled, one that is set to wait for replicas is not.
const POSTGRES_SESSION: &str = "SET statement_timeout = 4000; SET lock_timeout = 2000; \
                                SET idle_in_transaction_session_timeout = 10000; \
                                SELECT set_config('synchronous_commit', 'on', false) \
                                WHERE current_setting('synchronous_commit') = 'off';";

/// Where statements go.
#[derive(Clone)]
pub(super) struct Pools {
    pub(super) readers: AnyPool,
    pub(super) writers: AnyPool,
    pub(super) dialect: Dialect,
}

/// Makes the pools; a server is not asked yet.
pub(super) fn pools(url: &DatabaseUrl) -> Result<Pools, DatabaseError> {
    install_default_drivers();
    let dialect = url.dialect();
    let pool = |connections| {
        let session = match dialect {
            Dialect::Sqlite => SQLITE_SESSION,
            Dialect::Postgres => POSTGRES_SESSION,
        };
        AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move { connection.execute(session).await.map(drop) })
            })
            .connect_lazy(&url.text())
    };
    if let Some(path) = url.path() {
        make_file(path)?;
        let (readers, writers) = (pool(READERS_MAX)?, pool(1)?);
        return Ok(Pools {
            readers,
            writers,
            dialect,
        });
    }
    let both = pool(SERVER_CONNECTIONS_MAX)?;
    Ok(Pools {
        readers: both.clone(),
        writers: both,
        dialect,
    })
}

/// SQLite gives its other files the mode of this one.
fn make_file(path: &Path) -> Result<(), DatabaseError> {
    let failed = |kind| DatabaseError::File {
        path: path.display().to_string(),
        kind,
    };
    if path.to_str().is_none() {
        return Err(failed(std::io::ErrorKind::InvalidFilename));
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| failed(error.kind()))
}
