//! The rows of directories.

use bytes::Bytes;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use truckee_engine::vdrive::{OldRows, Page, Stored};
use truckee_grid::drive::RowId;
use truckee_wire::message::RowChange;

use super::SqlError;

/// Rows in one statement, largest first: each number makes one prepared statement, and a change of any length is cut
/// into few of them. 64 rows are 258 parameters, far below what either database takes.
const AT_ONCE: [usize; 3] = [64, 8, 1];
/// Rows fetched at once for a page: at most 8 MB of longest rows in memory.
const FETCH_ROWS: i64 = 256;

const SINCE_BYTES: &str = "SELECT CAST(COALESCE(SUM(36 + COALESCE(LENGTH(sealed), 0)), 0) AS BIGINT) FROM entries \
                           WHERE directory = $1 AND version > $2";
const SINCE: &str = "SELECT id, sealed FROM entries WHERE directory = $1 AND version > $2";
const PAGE: &str = "SELECT id, sealed FROM entries WHERE directory = $1 AND id > $2 AND sealed IS NOT NULL \
                    ORDER BY id LIMIT $3";
const FIRST_PAGE: &str = "SELECT id, sealed FROM entries WHERE directory = $1 AND sealed IS NOT NULL \
                          ORDER BY id LIMIT $2";
const FORGET: &str = "DELETE FROM entries WHERE directory = $1 AND version <= $2 AND sealed IS NULL";

/// What changed after a version; none if it does not fit.
pub(super) async fn since(
    transaction: &mut Transaction<'static, Any>,
    key: &[u8; 48],
    since: u64,
    bytes_max: usize,
) -> Result<Option<Vec<RowChange>>, SqlError> {
    let bytes: i64 = sqlx::query(SINCE_BYTES)
        .bind(&key[..])
        .bind(since as i64)
        .fetch_one(&mut **transaction)
        .await?
        .try_get(0)?;
    if bytes > bytes_max as i64 {
        return Ok(None);
    }
    let rows = sqlx::query(SINCE)
        .bind(&key[..])
        .bind(since as i64)
        .fetch_all(&mut **transaction)
        .await?;
    let mut rows = rows
        .iter()
        .map(change_of)
        .collect::<Result<Vec<RowChange>, _>>()?;
    rows.sort_unstable_by_key(|row| row.id);
    Ok(Some(rows))
}

/// Rows that are there, behind one of them, as many as fit; and behind which one to go on.
pub(super) async fn page(
    transaction: &mut Transaction<'static, Any>,
    key: &[u8; 48],
    after: Option<RowId>,
    bytes_max: usize,
) -> Result<(Vec<RowChange>, Option<RowId>), SqlError> {
    let mut page = Page::new(bytes_max);
    let mut after = after;
    loop {
        let query = match &after {
            None => sqlx::query(FIRST_PAGE).bind(&key[..]),
            Some(after) => sqlx::query(PAGE).bind(&key[..]).bind(&after.0[..]),
        };
        let rows = query.bind(FETCH_ROWS).fetch_all(&mut **transaction).await?;
        for row in &rows {
            let row = change_of(row)?;
            after = Some(row.id);
            if !page.push(row) {
                return Ok(page.finish());
            }
        }
        if rows.len() < FETCH_ROWS as usize {
            return Ok(page.finish());
        }
    }
}

/// The rows that a change touches, as they are.
pub(super) async fn old(
    transaction: &mut Transaction<'static, Any>,
    key: &[u8; 48],
    changes: &[RowChange],
) -> Result<OldRows, SqlError> {
    let mut old = OldRows::new();
    for some in portions(changes) {
        let places: Vec<String> = (0..some.len()).map(|index| format!("${}", index + 2)).collect();
        let places = places.join(", ");
        let sql = format!("SELECT id, sealed FROM entries WHERE directory = $1 AND id IN ({places})");
        let mut query = sqlx::query(&sql).bind(&key[..]);
        for change in some {
            query = query.bind(&change.id.0[..]);
        }
        for row in query.fetch_all(&mut **transaction).await? {
            let row = change_of(&row)?;
            old.insert(row.id, row.sealed);
        }
    }
    Ok(old)
}

/// Writes the rows of a change under its version.
pub(super) async fn put(
    transaction: &mut Transaction<'static, Any>,
    key: &[u8; 48],
    version: u64,
    changes: &[RowChange],
) -> Result<(), SqlError> {
    for some in portions(changes) {
        let places: Vec<String> = (0..some.len())
            .map(|index| format!("($1, ${}, $2, ${})", 2 * index + 3, 2 * index + 4))
            .collect();
        let places = places.join(", ");
        let sql = format!(
            "INSERT INTO entries (directory, id, version, sealed) VALUES {places} ON CONFLICT (directory, id) \
             DO UPDATE SET version = excluded.version, sealed = excluded.sealed"
        );
        let mut query = sqlx::query(&sql).bind(&key[..]).bind(version as i64);
        for change in some {
            query = query.bind(&change.id.0[..]).bind(change.sealed.as_deref());
        }
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Deletes what is below the floor. Only a change that deletes can raise it.
pub(super) async fn forget(
    transaction: &mut Transaction<'static, Any>,
    key: &[u8; 48],
    stored: &Stored,
    changes: &[RowChange],
) -> Result<(), SqlError> {
    let raised = stored.floor + 1 >= stored.version();
    if stored.floor == 0 || !raised || changes.iter().all(|change| change.sealed.is_some()) {
        return Ok(());
    }
    sqlx::query(FORGET)
        .bind(&key[..])
        .bind(stored.floor as i64)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn change_of(row: &AnyRow) -> Result<RowChange, SqlError> {
    let id: Vec<u8> = row.try_get(0)?;
    let id = id
        .try_into()
        .map_err(|_| SqlError::Damaged { table: "entries" })?;
    let sealed: Option<Vec<u8>> = row.try_get(1)?;
    Ok(RowChange {
        id: RowId(id),
        sealed: sealed.map(Bytes::from),
    })
}

/// The changes in pieces of the lengths of [`AT_ONCE`].
fn portions(changes: &[RowChange]) -> impl Iterator<Item = &[RowChange]> {
    let mut rest = changes;
    std::iter::from_fn(move || {
        let length = AT_ONCE.into_iter().find(|length| *length <= rest.len())?;
        let (some, more) = rest.split_at(length);
        rest = more;
        Some(some)
    })
}
