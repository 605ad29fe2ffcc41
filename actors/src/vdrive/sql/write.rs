//! A change as one transaction: lock, judge, set.
//!
//! Nothing is written before the change is judged, so a change that is refused leaves no trace in a transaction that it
//! shares with others.

use bytes::Bytes;
use sqlx::{AnyConnection, Row};
use truckee_engine::vdrive::{ChangeRefused, OldRows, Stored, Verdict, judge, judge_version};
use truckee_grid::drive::SignedHead;
use truckee_wire::message::{CommitChange, RowChange};

use super::rows::{Columns, Found, chunks, find, row_id, whole};
use super::{DatabaseError, Dialect};

/// What came of a change.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It counts, once the transaction does, or has counted before.
    Taken(SignedHead),
    /// Another one was first.
    Behind(Option<SignedHead>),
    /// It can never be taken.
    Refused(ChangeRefused),
    /// Somebody else made the directory in the same moment: the transaction must be rolled back and tried again.
    Raced,
}

/// Lets a test end a transaction at each of its statements.
#[derive(Default)]
pub(super) struct Steps {
    #[cfg(test)]
    pub(super) left: Option<usize>,
}

impl Steps {
    /// Called before each statement.
    #[cfg_attr(not(test), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    fn next(&mut self) -> Result<(), DatabaseError> {
        #[cfg(test)]
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(DatabaseError::Stopped)?;
        }
        Ok(())
    }
}

/// Carries out a change, whose signature was judged, within a transaction that may write.
pub(super) async fn change(
    connection: &mut AnyConnection,
    dialect: Dialect,
    change: &CommitChange,
    steps: &mut Steps,
) -> Result<Outcome, DatabaseError> {
    steps.next()?;
    let found = find(connection, dialect, &change.head.head.directory, true).await?;
    let now = found.as_ref().map(|found| found.stored.head);
    match judge_version(found.as_ref().map(|found| &found.stored), change) {
        None => {}
        Some(verdict) => return Ok(settled(&verdict, change, now)),
    }
    let old = match &found {
        Some(found) => old_rows(connection, found.number, &change.changes, steps).await?,
        None => OldRows::new(),
    };
    let (number, stored) = found.map_or((None, None), |Found { number, stored }| {
        (Some(number), Some(stored))
    });
    let floor = stored.as_ref().map_or(0, |stored| stored.floor);
    let next = match judge(stored, change, &old) {
        Err(refused) => return Ok(Outcome::Refused(refused)),
        Ok(Verdict::Take(next)) => next,
        Ok(verdict) => return Ok(settled(&verdict, change, now)),
    };
    steps.next()?;
    let number = match number {
        Some(number) => update(connection, number, &next).await?.then_some(number),
        None => insert(connection, &next).await?,
    };
    let Some(number) = number else {
        return Ok(Outcome::Raced);
    };
    put_rows(connection, number, next.version(), &change.changes, steps).await?;
    if next.floor > floor {
        steps.next()?;
        forget(connection, number, next.floor).await?;
    }
    Ok(Outcome::Taken(next.head))
}

fn settled(verdict: &Verdict, change: &CommitChange, now: Option<SignedHead>) -> Outcome {
    match verdict {
        Verdict::Already => Outcome::Taken(now.unwrap_or(change.head)),
        Verdict::Behind | Verdict::Take(_) => Outcome::Behind(now),
    }
}

async fn old_rows(
    connection: &mut AnyConnection,
    number: i64,
    changes: &[RowChange],
    steps: &mut Steps,
) -> Result<OldRows, DatabaseError> {
    let mut old = OldRows::new();
    for piece in chunks(changes) {
        steps.next()?;
        let places: Vec<String> = (0..piece.len()).map(|at| format!("${}", at + 2)).collect();
        let statement = format!(
            "SELECT id, sealed FROM directory_rows WHERE directory = $1 AND id IN ({})",
            places.join(", ")
        );
        let mut query = sqlx::query(&statement).bind(number);
        for change in piece {
            query = query.bind(change.id.0.to_vec());
        }
        for row in query.fetch_all(&mut *connection).await? {
            let sealed: Option<Vec<u8>> = row.try_get(1)?;
            old.insert(row_id(&row, 0)?, sealed.map(Bytes::from));
        }
    }
    Ok(old)
}

/// False if the version is not the one that was read: impossible under the lock, and cheap to make sure of.
async fn update(connection: &mut AnyConnection, number: i64, next: &Stored) -> Result<bool, DatabaseError> {
    const UPDATE: &str = "UPDATE directories SET version = $1, row_count = $2, digest = $3, public_key = $4, \
                          signature = $5, row_sum = $6, row_bytes = $7, floor = $8, tombstones = $9, marks = $10 \
                          WHERE number = $11 AND version = $12";
    let columns = Columns::of(next)?;
    let base = columns.version - 1;
    let done = bind(sqlx::query(UPDATE), columns)
        .bind(number)
        .bind(base)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// None if somebody else made the directory first.
async fn insert(connection: &mut AnyConnection, next: &Stored) -> Result<Option<i64>, DatabaseError> {
    const INSERT: &str = "INSERT INTO directories (version, row_count, digest, public_key, signature, row_sum, \
                          row_bytes, floor, tombstones, marks, si, fingerprint) \
                          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
                          ON CONFLICT (si, fingerprint) DO NOTHING RETURNING number";
    let id = next.head.head.directory;
    let row = bind(sqlx::query(INSERT), Columns::of(next)?)
        .bind(id.si.as_bytes().to_vec())
        .bind(id.fingerprint.as_bytes().to_vec())
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments<'q>>;

/// The first ten parameters of both statements.
fn bind(query: Query<'_>, columns: Columns) -> Query<'_> {
    query
        .bind(columns.version)
        .bind(columns.row_count)
        .bind(columns.digest)
        .bind(columns.public_key)
        .bind(columns.signature)
        .bind(columns.row_sum)
        .bind(columns.row_bytes)
        .bind(columns.floor)
        .bind(columns.tombstones)
        .bind(columns.marks)
}

async fn put_rows(
    connection: &mut AnyConnection,
    number: i64,
    version: u64,
    changes: &[RowChange],
    steps: &mut Steps,
) -> Result<(), DatabaseError> {
    let version = whole(version)?;
    for piece in chunks(changes) {
        steps.next()?;
        let places: Vec<String> = (0..piece.len())
            .map(|at| format!("($1, ${}, $2, ${})", 2 * at + 3, 2 * at + 4))
            .collect();
        let statement = format!(
            "INSERT INTO directory_rows (directory, id, version, sealed) VALUES {} \
             ON CONFLICT (directory, id) DO UPDATE SET version = excluded.version, sealed = excluded.sealed",
            places.join(", ")
        );
        let mut query = sqlx::query(&statement).bind(number).bind(version);
        for change in piece {
            let sealed = change.sealed.as_ref().map(|sealed| sealed.to_vec());
            query = query.bind(change.id.0.to_vec()).bind(sealed);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Deleted rows that nobody will ask about any more.
async fn forget(connection: &mut AnyConnection, number: i64, floor: u64) -> Result<(), DatabaseError> {
    sqlx::query("DELETE FROM directory_rows WHERE directory = $1 AND sealed IS NULL AND version <= $2")
        .bind(number)
        .bind(whole(floor)?)
        .execute(connection)
        .await?;
    Ok(())
}
