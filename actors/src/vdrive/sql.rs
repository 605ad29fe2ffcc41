//! The one data layer of the virtual drive: directories and their rows in SQL.
//!
//! Queries stand here once, for SQLite and PostgreSQL alike; what differs (how a transaction begins, how a row is
//! locked, the types of columns) is in [`Dialect`] and in the migrations. A change is one transaction: the directory's row
//! is locked, the rules of `truckee_engine::vdrive` decide, and all is written or nothing. Since the rules recognise a
//! change that was taken before, a transaction whose outcome is unknown is simply run again.
//!
//! Nothing is connected before it is needed, so that a database that is away for a while stops nobody's start; the pool
//! connects anew by itself. Not promised: anything about an answer whose transaction failed to the end; it may count.

mod entries;
mod open;
mod retry;

use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, Row, Transaction};
use tokio::sync::OnceCell;
use truckee_engine::vdrive::{
    ChangeRefused, MARK_BYTES, OldRows, RowsFrom, Stored, Verdict, judge, judge_version, rows_from,
};
use truckee_grid::drive::{DirectoryId, Head, RowSum, SignedHead};
use truckee_grid::ids::Hash;
use truckee_wire::message::{ChangeTaken, CommitChange, GetRows, RowsGot};

pub use self::open::{DatabaseUrl, Dialect, OpenError};
pub use self::retry::SqlError;

/// What becomes of a change: an answer, or why it can never be taken.
pub type Judged = Result<ChangeTaken, ChangeRefused>;

const LOAD: &str = "SELECT version, row_count, digest, public_key, signature, row_sum, byte_count, known_since, \
                    tombstones, marks FROM directories WHERE id = $1";
const LOAD_LOCKED: &str = "SELECT version, row_count, digest, public_key, signature, row_sum, byte_count, known_since, \
                           tombstones, marks FROM directories WHERE id = $1 FOR UPDATE";
const INSERT: &str = "INSERT INTO directories (version, row_count, digest, public_key, signature, row_sum, byte_count, \
                      known_since, tombstones, marks, id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                      ON CONFLICT (id) DO NOTHING";
const UPDATE: &str = "UPDATE directories SET version = $1, row_count = $2, digest = $3, public_key = $4, \
                      signature = $5, row_sum = $6, byte_count = $7, known_since = $8, tombstones = $9, marks = $10 \
                      WHERE id = $11 AND version = $12";

/// See the module.
#[derive(Debug)]
pub struct Database {
    dialect: Dialect,
    readers: AnyPool,
    writers: AnyPool,
    id: OnceCell<[u8; 16]>,
    #[cfg(test)]
    pub(super) halt: std::rc::Rc<std::cell::Cell<Option<u32>>>,
}

impl Database {
    /// What it speaks.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The id of the database, once it could be reached; brings its tables up to date before.
    ///
    /// # Errors
    /// [`SqlError`].
    pub async fn ready(&self) -> Result<[u8; 16], SqlError> {
        retry::repeatedly(|| self.id()).await
    }

    /// One try to reach the database.
    ///
    /// # Errors
    /// [`SqlError`].
    pub async fn probe(&self) -> Result<(), SqlError> {
        retry::once(async {
            self.id().await?;
            sqlx::query("SELECT 1").execute(&self.readers).await?;
            Ok(())
        })
        .await
    }

    /// The rows that answer a question, of one version.
    ///
    /// # Errors
    /// [`SqlError`].
    pub async fn get(&self, get: &GetRows) -> Result<RowsGot, SqlError> {
        retry::repeatedly(|| self.get_once(get)).await
    }

    /// Takes changes, or says why not; durable when it resolves. SQLite takes all in one transaction, so that they share
    /// the wait for the disk; they must then be of different directories or in the order in which they build on each
    /// other. Where several vdrives write, only one change at a time avoids that they wait for each other in a circle.
    ///
    /// # Errors
    /// [`SqlError`]; each of the changes may count or not.
    pub async fn commit(&self, changes: &[&CommitChange]) -> Result<Vec<Judged>, SqlError> {
        retry::repeatedly(|| self.commit_once(changes)).await
    }

    /// Lets go of all connections.
    pub async fn close(&self) {
        self.writers.close().await;
        self.readers.close().await;
    }

    async fn id(&self) -> Result<[u8; 16], SqlError> {
        self.id
            .get_or_try_init(|| open::migrate(self.dialect, &self.writers))
            .await
            .copied()
    }

    async fn get_once(&self, get: &GetRows) -> Result<RowsGot, SqlError> {
        let database = self.id().await?;
        let mut transaction = self.readers.begin_with(self.dialect.begin_read()).await?;
        let key = key_of(&get.directory);
        let mut got = RowsGot {
            database,
            head: None,
            whole: true,
            rows: Vec::new(),
            next: None,
        };
        if let Some(stored) = load(&mut transaction, LOAD, &get.directory).await? {
            got.head = Some(stored.head);
            let bytes_max = get.bytes_max as usize;
            let news = match rows_from(&stored, get) {
                RowsFrom::None => Some(Vec::new()),
                RowsFrom::Since(since) => entries::since(&mut transaction, &key, since, bytes_max).await?,
                RowsFrom::Whole(_) => None,
            };
            if let Some(rows) = news {
                (got.whole, got.rows) = (false, rows);
            } else {
                (got.rows, got.next) = entries::page(&mut transaction, &key, get.after, bytes_max).await?;
            }
        }
        transaction.rollback().await?;
        Ok(got)
    }

    pub(super) async fn commit_once(&self, changes: &[&CommitChange]) -> Result<Vec<Judged>, SqlError> {
        let database = self.id().await?;
        self.step().await;
        let mut transaction = self.writers.begin_with(self.dialect.begin_write()).await?;
        let mut judged = Vec::with_capacity(changes.len());
        for change in changes {
            let result = self.commit_in(&mut transaction, change).await?;
            judged.push(result.map(|(taken, head)| ChangeTaken {
                database,
                taken,
                head,
            }));
        }
        self.step().await;
        transaction.commit().await?;
        self.step().await;
        Ok(judged)
    }

    async fn commit_in(
        &self,
        transaction: &mut Transaction<'static, Any>,
        change: &CommitChange,
    ) -> Result<Result<(bool, Option<SignedHead>), ChangeRefused>, SqlError> {
        let directory = change.head.head.directory;
        let key = key_of(&directory);
        self.step().await;
        let sql = match self.dialect {
            Dialect::Sqlite => LOAD,
            Dialect::Postgres => LOAD_LOCKED,
        };
        let stored = load(transaction, sql, &directory).await?;
        let (before, head) = (
            stored.as_ref().map(Stored::version),
            stored.as_ref().map(|stored| stored.head),
        );
        if let Some(verdict) = judge_version(stored.as_ref(), change) {
            return Ok(Ok((verdict == Verdict::Already, head)));
        }
        self.step().await;
        let old: OldRows = entries::old(transaction, &key, &change.changes).await?;
        let next = match judge(stored, change, &old) {
            Err(refused) => return Ok(Err(refused)),
            Ok(Verdict::Take(next)) => next,
            Ok(verdict) => return Ok(Ok((verdict == Verdict::Already, head))),
        };
        self.step().await;
        if !store(transaction, &key, &next, before).await? {
            return Err(SqlError::Raced);
        }
        self.step().await;
        entries::put(transaction, &key, next.version(), &change.changes).await?;
        self.step().await;
        entries::forget(transaction, &key, &next, &change.changes).await?;
        Ok(Ok((true, Some(change.head))))
    }

    /// Between two statements. In tests, this is where the process dies.
    #[cfg(test)]
    async fn step(&self) {
        match self.halt.get() {
            None => {}
            Some(0) => std::future::pending().await,
            Some(left) => self.halt.set(Some(left - 1)),
        }
    }

    #[cfg(not(test))]
    async fn step(&self) {}
}

/// A directory's key: storage index, then fingerprint.
fn key_of(directory: &DirectoryId) -> [u8; 48] {
    let mut key = [0; 48];
    key[..16].copy_from_slice(directory.si.as_bytes());
    key[16..].copy_from_slice(directory.fingerprint.as_bytes());
    key
}

async fn load(
    transaction: &mut Transaction<'static, Any>,
    sql: &'static str,
    directory: &DirectoryId,
) -> Result<Option<Stored>, SqlError> {
    let key = key_of(directory);
    let row = sqlx::query(sql)
        .bind(&key[..])
        .fetch_optional(&mut **transaction)
        .await?;
    row.map(|row| stored_of(&row, directory)).transpose()
}

fn stored_of(row: &AnyRow, directory: &DirectoryId) -> Result<Stored, SqlError> {
    let damaged = SqlError::Damaged { table: "directories" };
    let blob = |column: usize| row.try_get::<Vec<u8>, _>(column);
    let number = |column: usize| -> Result<u64, SqlError> {
        u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| SqlError::Damaged { table: "directories" })
    };
    let marks = blob(9)?;
    let (marks, rest) = marks.as_chunks::<MARK_BYTES>();
    let parts = (
        u32::try_from(number(1)?),
        Hash::from_slice(&blob(2)?),
        blob(3)?.try_into(),
        blob(4)?.try_into(),
        RowSum::from_bytes(&blob(5)?),
        u32::try_from(number(8)?),
    );
    let (Ok(rows), Ok(digest), Ok(public_key), Ok(signature), Some(sum), Ok(tombstones)) = parts else {
        return Err(damaged);
    };
    if !rest.is_empty() {
        return Err(damaged);
    }
    let head = Head {
        directory: *directory,
        version: number(0)?,
        rows,
        digest,
    };
    Ok(Stored {
        head: SignedHead {
            head,
            public_key,
            signature,
        },
        sum,
        bytes: number(6)?,
        floor: number(7)?,
        tombstones,
        marks: marks.iter().copied().collect(),
    })
}

/// Writes the directory, if it still is of version `before`.
async fn store(
    transaction: &mut Transaction<'static, Any>,
    key: &[u8; 48],
    stored: &Stored,
    before: Option<u64>,
) -> Result<bool, SqlError> {
    let head = &stored.head;
    let marks: Vec<u8> = stored.marks.iter().flatten().copied().collect();
    let sql = if before.is_some() { UPDATE } else { INSERT };
    let mut query = sqlx::query(sql)
        .bind(head.head.version as i64)
        .bind(i64::from(head.head.rows))
        .bind(&head.head.digest.0[..])
        .bind(&head.public_key[..])
        .bind(&head.signature[..])
        .bind(stored.sum.to_bytes())
        .bind(stored.bytes as i64)
        .bind(stored.floor as i64)
        .bind(i64::from(stored.tombstones))
        .bind(marks)
        .bind(&key[..]);
    if let Some(before) = before {
        query = query.bind(before as i64);
    }
    let done = query.execute(&mut **transaction).await?;
    Ok(done.rows_affected() == 1)
}
