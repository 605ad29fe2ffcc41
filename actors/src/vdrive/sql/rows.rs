//! Between the columns of a directory and [`Stored`], and statements over many ids at once.
//!
//! Statements name at most [`CHUNKS`]`[0]` ids; their number is cut into a few fixed sizes, so that each statement is
//! prepared once for each size and connection.

use std::collections::VecDeque;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};
use truckee_engine::vdrive::{MARK_BYTES, Stored};
use truckee_grid::drive::{DirectoryId, Head, RowId, RowSum, SignedHead};
use truckee_grid::ids::Hash;

use super::{DatabaseError, Dialect};

/// How many ids a statement names: the largest of these that are left.
pub(super) const CHUNKS: [usize; 4] = [128, 32, 8, 1];

/// A directory as it stands in the database.
pub(super) struct Found {
    pub(super) number: i64,
    pub(super) stored: Stored,
}

/// Looks a directory up; with `lock`, nobody else changes it before the transaction ends.
pub(super) async fn find(
    connection: &mut AnyConnection,
    dialect: Dialect,
    id: &DirectoryId,
    lock: bool,
) -> Result<Option<Found>, DatabaseError> {
    const FIND: &str = "SELECT number, version, row_count, digest, public_key, signature, row_sum, row_bytes, floor, \
                        tombstones, marks FROM directories WHERE si = $1 AND fingerprint = $2";
    const FIND_AND_LOCK: &str = "SELECT number, version, row_count, digest, public_key, signature, row_sum, row_bytes, \
                                 floor, tombstones, marks FROM directories WHERE si = $1 AND fingerprint = $2 \
                                 FOR UPDATE";
    // A transaction of SQLite that writes has the whole database for itself from its start.
    let statement = if lock && dialect == Dialect::Postgres {
        FIND_AND_LOCK
    } else {
        FIND
    };
    let row = sqlx::query(statement)
        .bind(id.si.as_bytes().to_vec())
        .bind(id.fingerprint.as_bytes().to_vec())
        .fetch_optional(connection)
        .await?;
    row.map(|row| found(&row, id)).transpose()
}

fn found(row: &AnyRow, id: &DirectoryId) -> Result<Found, DatabaseError> {
    const DAMAGED: DatabaseError = DatabaseError::Damaged { what: "a directory" };
    let number = |column: usize| -> Result<u64, DatabaseError> {
        u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| DAMAGED)
    };
    let bytes = |column: usize| -> Result<Vec<u8>, DatabaseError> { Ok(row.try_get(column)?) };
    let marks = bytes(10)?;
    let (marks, rest) = marks.as_chunks::<MARK_BYTES>();
    if !rest.is_empty() {
        return Err(DAMAGED);
    }
    let head = SignedHead {
        head: Head {
            directory: *id,
            version: number(1)?,
            rows: u32::try_from(number(2)?).map_err(|_| DAMAGED)?,
            digest: Hash::from_slice(&bytes(3)?).map_err(|_| DAMAGED)?,
        },
        public_key: bytes(4)?.try_into().map_err(|_| DAMAGED)?,
        signature: bytes(5)?.try_into().map_err(|_| DAMAGED)?,
    };
    let stored = Stored {
        head,
        sum: RowSum::from_bytes(&bytes(6)?).ok_or(DAMAGED)?,
        bytes: number(7)?,
        floor: number(8)?,
        tombstones: u32::try_from(number(9)?).map_err(|_| DAMAGED)?,
        marks: marks.iter().copied().collect::<VecDeque<_>>(),
    };
    Ok(Found {
        number: row.try_get(0)?,
        stored,
    })
}

/// The columns from `version` on, in the order of the schema.
pub(super) struct Columns {
    pub(super) version: i64,
    pub(super) row_count: i64,
    pub(super) digest: Vec<u8>,
    pub(super) public_key: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) row_sum: Vec<u8>,
    pub(super) row_bytes: i64,
    pub(super) floor: i64,
    pub(super) tombstones: i64,
    pub(super) marks: Vec<u8>,
}

impl Columns {
    pub(super) fn of(stored: &Stored) -> Result<Columns, DatabaseError> {
        let SignedHead {
            head,
            public_key,
            signature,
        } = &stored.head;
        Ok(Columns {
            version: whole(head.version)?,
            row_count: i64::from(head.rows),
            digest: head.digest.as_bytes().to_vec(),
            public_key: public_key.to_vec(),
            signature: signature.to_vec(),
            row_sum: stored.sum.to_bytes(),
            row_bytes: whole(stored.bytes)?,
            floor: whole(stored.floor)?,
            tombstones: i64::from(stored.tombstones),
            marks: stored.marks.iter().flatten().copied().collect(),
        })
    }
}

/// Databases count with a sign.
pub(super) fn whole(number: u64) -> Result<i64, DatabaseError> {
    i64::try_from(number).map_err(|_| DatabaseError::Damaged { what: "a version" })
}

/// Cuts `items` into pieces of the sizes that statements have.
pub(super) fn chunks<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = CHUNKS.into_iter().find(|size| *size <= items.len())?;
        let (piece, rest) = items.split_at(size);
        items = rest;
        Some(piece)
    })
}

/// Reads the id of a row.
pub(super) fn row_id(row: &AnyRow, column: usize) -> Result<RowId, DatabaseError> {
    let bytes: Vec<u8> = row.try_get(column)?;
    let id = bytes
        .try_into()
        .map_err(|_| DatabaseError::Damaged { what: "a row" })?;
    Ok(RowId(id))
}
