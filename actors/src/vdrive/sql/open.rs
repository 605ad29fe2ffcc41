//! Which database, how it is connected to, and its tables.

use std::borrow::Cow;
use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, ConnectOptions, Executor, Row};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::{Database, SqlError};

/// How long a request waits for a connection: shorter than it waits for an answer.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(4);
/// Connections to SQLite for reading; more only compete for the same cores.
const SQLITE_READERS: u32 = 4;
/// Connections of one vdrive to PostgreSQL, which takes a hundred in all by default.
const POSTGRES_CONNECTIONS: u32 = 12;
/// A connection that is not used is let go.
const IDLE: Duration = Duration::from_secs(300);

/// One file; survives power loss at any moment; waits for another process's lock only at a restart.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                               PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384; \
                               PRAGMA journal_size_limit = 67108864";
/// No statement, lock or forgotten transaction outlives the request it belongs to by much.
const POSTGRES_SETTINGS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '3s'; \
                                 SET idle_in_transaction_session_timeout = '10s'; SET synchronous_commit = on";

/// What may stand behind the question mark of a URL. The driver writes all else into the log and goes on without it: a
/// misspelt `sslmode` would be encryption lost, and an unescaped password in part a password told.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// What a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A file of this node.
    Sqlite,
    /// A server, or several of them behind one address.
    Postgres,
}

/// Where the database is. It may hold a password: it is never printed, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    dialect: Dialect,
    /// Of PostgreSQL.
    url: Zeroizing<String>,
    /// Of SQLite.
    path: PathBuf,
}

/// A database that cannot be what it is said to be. That it cannot be reached is no such error.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a URL of a kind that is known.
    #[error("the database must be \"sqlite\" or a URL that begins with postgres://")]
    UnknownUrl,
    /// The URL does not parse. Its text is not repeated: it may hold a password.
    #[error("the database URL is not valid; it should look like postgres://user:password@host:5432/name")]
    BadUrl,
    /// The URL has a parameter that would be ignored. Its name is not repeated: it may be part of a password.
    #[error(
        "the database URL has a parameter that is not known, such as sslmode, sslrootcert or application_name are; \
         a question mark in a password is written %3F"
    )]
    UnknownParameter,
    /// The file of the database cannot be made.
    #[error("cannot open {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl DatabaseUrl {
    /// SQLite in this file.
    #[must_use]
    pub fn sqlite(path: &Path) -> DatabaseUrl {
        DatabaseUrl {
            dialect: Dialect::Sqlite,
            url: Zeroizing::default(),
            path: path.to_owned(),
        }
    }

    /// A server.
    ///
    /// # Errors
    /// [`OpenError`]: not the URL of one.
    pub fn postgres(url: &str) -> Result<DatabaseUrl, OpenError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(OpenError::UnknownUrl);
        }
        if !parameters(url).all(|name| PARAMETERS.contains(&name)) {
            return Err(OpenError::UnknownParameter);
        }
        sqlx::postgres::PgConnectOptions::from_str(url).map_err(|_| OpenError::BadUrl)?;
        Ok(DatabaseUrl {
            dialect: Dialect::Postgres,
            url: Zeroizing::new(url.to_owned()),
            path: PathBuf::new(),
        })
    }

    /// What the database speaks.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }
}

/// The names behind the question mark.
fn parameters(url: &str) -> impl Iterator<Item = &str> {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let some = query.split('&').filter(|parameter| !parameter.is_empty());
    some.map(|parameter| parameter.split_once('=').map_or(parameter, |(name, _)| name))
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({}, secret)", self.dialect.name())
    }
}

impl Dialect {
    /// For logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Sqlite => "sqlite",
            Dialect::Postgres => "postgres",
        }
    }

    /// One version of everything that is read.
    pub(super) const fn begin_read(self) -> &'static str {
        match self {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// SQLite: the write lock at once, or two that read first would wait for each other.
    pub(super) const fn begin_write(self) -> &'static str {
        match self {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    const fn settings(self) -> &'static str {
        match self {
            Dialect::Sqlite => SQLITE_SETTINGS,
            Dialect::Postgres => POSTGRES_SETTINGS,
        }
    }

    fn migrations(self) -> Vec<Migration> {
        let begin = match self {
            Dialect::Sqlite => include_str!("../migrations/sqlite/1_begin.sql"),
            Dialect::Postgres => include_str!("../migrations/postgres/1_begin.sql"),
        };
        let (name, sql) = (Cow::Borrowed("begin"), Cow::Borrowed(begin));
        vec![Migration::new(1, name, MigrationType::Simple, sql, false)]
    }
}

impl Database {
    /// Whether the database can be what it is said to be; makes the file of SQLite.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn check(url: &DatabaseUrl) -> Result<(), OpenError> {
        match url.dialect {
            Dialect::Sqlite => create(&url.path),
            Dialect::Postgres => DatabaseUrl::postgres(&url.url).map(|_| ()),
        }
    }

    /// Gets ready to connect; connects when it is first used. Must be called on a thread that runs tokio.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(url: &DatabaseUrl) -> Result<Database, OpenError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let pool = |text: &str, connections: u32| {
            let options = AnyConnectOptions::from_str(text).map_err(|_| OpenError::BadUrl)?;
            Ok(pool(
                url.dialect,
                options.disable_statement_logging(),
                connections,
            ))
        };
        let (readers, writers) = match url.dialect {
            Dialect::Sqlite => {
                create(&url.path)?;
                let text = sqlite_url(&url.path);
                (pool(&text, SQLITE_READERS)?, pool(&text, 1)?)
            }
            Dialect::Postgres => {
                let one = pool(&url.url, POSTGRES_CONNECTIONS)?;
                (one.clone(), one)
            }
        };
        Ok(Database {
            dialect: url.dialect,
            readers,
            writers,
            id: OnceCell::new(),
            #[cfg(test)]
            halt: std::rc::Rc::default(),
        })
    }
}

fn pool(dialect: Dialect, options: AnyConnectOptions, connections: u32) -> AnyPool {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_WITHIN)
        .idle_timeout(IDLE)
        // A file is always there; a server may have been restarted since.
        .test_before_acquire(dialect == Dialect::Postgres)
        .after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(dialect.settings()).await.map(|_| ()) })
        })
        .connect_lazy_with(options)
}

/// SQLite gives its other files the mode of this one.
fn create(path: &Path) -> Result<(), OpenError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(|_| ())
        .map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        })
}

/// The URL of a file, whatever its name.
fn sqlite_url(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut url = "sqlite://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            url += &format!("%{byte:02X}");
        }
    }
    url + "?mode=rw"
}

/// Brings the tables up to date and says which database it is; one that is new gets its id.
pub(super) async fn migrate(dialect: Dialect, pool: &AnyPool) -> Result<[u8; 16], SqlError> {
    let migrator = Migrator {
        migrations: Cow::Owned(dialect.migrations()),
        ..Migrator::DEFAULT
    };
    migrator.run(pool).await?;
    let mut fresh = [0; 16];
    getrandom::fill(&mut fresh).map_err(|_| SqlError::NoRandom)?;
    sqlx::query("INSERT INTO facts (name, value) VALUES ('database', $1) ON CONFLICT (name) DO NOTHING")
        .bind(&fresh[..])
        .execute(pool)
        .await?;
    let row = sqlx::query("SELECT value FROM facts WHERE name = 'database'")
        .fetch_one(pool)
        .await?;
    let id: Vec<u8> = row.try_get(0)?;
    id.try_into().map_err(|_| SqlError::Damaged { table: "facts" })
}
