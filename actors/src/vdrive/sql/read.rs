//! Rows of a directory for whoever asks, all of one moment.

use bytes::Bytes;
use sqlx::{AnyConnection, Row};
use truckee_engine::vdrive::{Page, RowsFrom, rows_from};
use truckee_grid::drive::RowId;
use truckee_wire::message::{GetRows, RowChange, RowsGot};

use super::connect::Pools;
use super::rows::{Found, find, row_id, whole};
use super::{DatabaseError, Dialect};

/// Rows that one statement brings: at the longest that a row can be, 16 MiB; as usual, a tenth of a MiB.
const ROWS_AT_ONCE: usize = 512;

/// Serves the request.
pub(super) async fn get_rows(
    pools: &Pools,
    database: [u8; 16],
    get: &GetRows,
) -> Result<RowsGot, DatabaseError> {
    // What is read here may be a little older than a change that is being committed, but is of one moment.
    let snapshot = match pools.dialect {
        Dialect::Sqlite => "BEGIN",
        Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    let mut transaction = pools.readers.begin_with(snapshot).await?;
    let mut got = RowsGot {
        database,
        head: None,
        whole: true,
        rows: Vec::new(),
        next: None,
    };
    if let Some(found) = find(&mut transaction, pools.dialect, &get.directory, false).await? {
        got.head = Some(found.stored.head);
        fill(&mut transaction, &found, get, &mut got).await?;
    }
    transaction.rollback().await?;
    Ok(got)
}

async fn fill(
    connection: &mut AnyConnection,
    found: &Found,
    get: &GetRows,
    got: &mut RowsGot,
) -> Result<(), DatabaseError> {
    let bytes_max = get.bytes_max as usize;
    let after = match rows_from(&found.stored, get) {
        RowsFrom::None => {
            got.whole = false;
            return Ok(());
        }
        RowsFrom::Since(version) => {
            if let Some(rows) = since(connection, found.number, version, bytes_max).await? {
                (got.whole, got.rows) = (false, rows);
                return Ok(());
            }
            None
        }
        RowsFrom::Whole(after) => after,
    };
    (got.rows, got.next) = page(connection, found.number, after, bytes_max).await?;
    Ok(())
}

/// All rows that changed after `version`; none if they are too long for one answer.
async fn since(
    connection: &mut AnyConnection,
    number: i64,
    version: u64,
    bytes_max: usize,
) -> Result<Option<Vec<RowChange>>, DatabaseError> {
    const CHANGED: &str = "SELECT id, sealed FROM directory_rows \
                           WHERE directory = $1 AND version > $2 AND id > $3 ORDER BY id LIMIT $4";
    let mut page = Page::new(bytes_max);
    let mut behind = Vec::new();
    loop {
        let rows = sqlx::query(CHANGED)
            .bind(number)
            .bind(whole(version)?)
            .bind(behind.clone())
            .bind(ROWS_AT_ONCE as i64)
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            let id = row_id(row, 0)?;
            behind = id.0.to_vec();
            let sealed: Option<Vec<u8>> = row.try_get(1)?;
            let sealed = sealed.map(Bytes::from);
            if !page.push(RowChange { id, sealed }) {
                return Ok(None);
            }
        }
        if rows.len() < ROWS_AT_ONCE {
            return Ok(Some(page.finish().0));
        }
    }
}

/// The next page of all rows.
async fn page(
    connection: &mut AnyConnection,
    number: i64,
    after: Option<RowId>,
    bytes_max: usize,
) -> Result<(Vec<RowChange>, Option<RowId>), DatabaseError> {
    const ROWS: &str = "SELECT id, sealed FROM directory_rows \
                        WHERE directory = $1 AND id > $2 AND sealed IS NOT NULL ORDER BY id LIMIT $3";
    let mut page = Page::new(bytes_max);
    // Every id is longer than no bytes, and so behind them.
    let mut behind = after.map(|id| id.0.to_vec()).unwrap_or_default();
    loop {
        let rows = sqlx::query(ROWS)
            .bind(number)
            .bind(behind.clone())
            .bind(ROWS_AT_ONCE as i64)
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            let id = row_id(row, 0)?;
            behind = id.0.to_vec();
            let sealed = Some(Bytes::from(row.try_get::<Vec<u8>, _>(1)?));
            if !page.push(RowChange { id, sealed }) {
                return Ok(page.finish());
            }
        }
        if rows.len() < ROWS_AT_ONCE {
            return Ok(page.finish());
        }
    }
}
