//! Messages about directories, and the rows that travel as their payload.

use bytes::{BufMut, Bytes, BytesMut};
use truckee_grid::drive::{DirectoryId, Head, ROWS_MAX, RowId, SEALED_ROW_BYTES_MAX, SignedHead};

use super::share::{hash_from_wire, hash_to_wire, id_to_wire, si_from_wire};
use super::{ConvertError, array, at_most, within};
use crate::message::limits::{CHANGE_BYTES_MAX, ROWS_PAGE_BYTES_MAX, ROWS_PAGE_BYTES_MIN};
use crate::message::{ChangeTaken, CommitChange, GetRows, RowChange, RowsGot};
use crate::schema;

/// Bytes of a row in a payload besides what it holds: its id and a length.
const ROW_HEADER_BYTES: usize = 32 + 4;

/// Length of the payload that these rows are.
pub(crate) fn rows_bytes(rows: &[RowChange]) -> usize {
    rows.iter()
        .map(|row| ROW_HEADER_BYTES + row.sealed.as_ref().map_or(0, Bytes::len))
        .sum()
}

/// The payload that these rows are.
pub(crate) fn rows_to_payload(rows: &[RowChange]) -> Bytes {
    let mut payload = BytesMut::with_capacity(rows_bytes(rows));
    for row in rows {
        let sealed = row.sealed.as_deref().unwrap_or_default();
        payload.put_slice(&row.id.0);
        payload.put_u32(sealed.len() as u32);
        payload.put_slice(sealed);
    }
    payload.freeze()
}

/// Takes the rows of a payload, without copying what they hold.
pub(crate) fn rows_from_payload(payload: &Bytes, deletes: bool) -> Result<Vec<RowChange>, ConvertError> {
    let mut rows = Vec::new();
    let mut at = 0;
    while at < payload.len() {
        let cut = ConvertError::Malformed { what: "rows" };
        let header: &[u8; ROW_HEADER_BYTES] = payload[at..].first_chunk().ok_or(cut)?;
        let id = RowId(*header.first_chunk().ok_or(cut)?);
        let length = u32::from_be_bytes(*header.last_chunk().ok_or(cut)?) as usize;
        at += ROW_HEADER_BYTES;
        if length > payload.len() - at {
            return Err(cut);
        }
        let sealed = (length > 0).then(|| payload.slice(at..at + length));
        rows.push(RowChange { id, sealed });
        at += length;
    }
    check_rows(&rows, deletes)?;
    Ok(rows)
}

fn check_rows(rows: &[RowChange], deletes: bool) -> Result<(), ConvertError> {
    for row in rows {
        match &row.sealed {
            Some(sealed) if sealed.is_empty() => return Err(ConvertError::Missing { field: "row" }),
            Some(sealed) => at_most("row", sealed.len(), SEALED_ROW_BYTES_MAX)?,
            None if deletes => {}
            None => return Err(ConvertError::Missing { field: "row" }),
        }
    }
    if rows.is_sorted_by(|a, b| a.id < b.id) {
        Ok(())
    } else {
        Err(ConvertError::Order { field: "rows" })
    }
}

pub(super) fn get_to_wire(get: &GetRows) -> Result<schema::GetRows, ConvertError> {
    check_get(get)?;
    Ok(schema::GetRows {
        si: id_to_wire(&get.directory.si.0),
        fingerprint: hash_to_wire(&get.directory.fingerprint),
        since: get.since,
        after: row_id_to_wire(get.after),
        bytes_max: get.bytes_max,
    })
}

pub(super) fn get_from_wire(get: &schema::GetRows) -> Result<GetRows, ConvertError> {
    let get = GetRows {
        directory: DirectoryId {
            si: si_from_wire(&get.si)?,
            fingerprint: hash_from_wire("fingerprint", &get.fingerprint)?,
        },
        since: get.since,
        after: row_id_from_wire("after", &get.after)?,
        bytes_max: get.bytes_max,
    };
    check_get(&get)?;
    Ok(get)
}

fn check_get(get: &GetRows) -> Result<(), ConvertError> {
    if get.after.is_some() && get.since > 0 {
        return Err(ConvertError::Unexpected { field: "after" });
    }
    let (min, max) = (ROWS_PAGE_BYTES_MIN as u64, ROWS_PAGE_BYTES_MAX as u64);
    within("bytes_max", get.bytes_max.into(), min, max)
}

pub(super) fn got_to_wire(got: &RowsGot) -> Result<schema::RowsGot, ConvertError> {
    at_most("payload", rows_bytes(&got.rows), ROWS_PAGE_BYTES_MAX)?;
    check_rows(&got.rows, !got.whole)?;
    got.check()?;
    Ok(schema::RowsGot {
        database: id_to_wire(&got.database),
        head: got.head.as_ref().map(head_to_wire).transpose()?,
        whole: got.whole,
        next: row_id_to_wire(got.next),
    })
}

pub(super) fn got_from_wire(got: &schema::RowsGot) -> Result<RowsGot, ConvertError> {
    Ok(RowsGot {
        database: array("database", &got.database)?,
        head: got.head.as_ref().map(head_from_wire).transpose()?,
        whole: got.whole,
        rows: Vec::new(),
        next: row_id_from_wire("next", &got.next)?,
    })
}

pub(super) fn commit_to_wire(commit: &CommitChange) -> Result<schema::CommitChange, ConvertError> {
    at_most("payload", rows_bytes(&commit.changes), CHANGE_BYTES_MAX)?;
    check_rows(&commit.changes, true)?;
    Ok(schema::CommitChange {
        head: Some(head_to_wire(&commit.head)?),
    })
}

pub(super) fn commit_from_wire(commit: &schema::CommitChange) -> Result<CommitChange, ConvertError> {
    let head = commit
        .head
        .as_ref()
        .ok_or(ConvertError::Missing { field: "head" })?;
    Ok(CommitChange {
        head: head_from_wire(head)?,
        changes: Vec::new(),
    })
}

pub(super) fn taken_to_wire(taken: &ChangeTaken) -> Result<schema::ChangeTaken, ConvertError> {
    Ok(schema::ChangeTaken {
        database: id_to_wire(&taken.database),
        taken: taken.taken,
        head: taken.head.as_ref().map(head_to_wire).transpose()?,
    })
}

pub(super) fn taken_from_wire(taken: &schema::ChangeTaken) -> Result<ChangeTaken, ConvertError> {
    Ok(ChangeTaken {
        database: array("database", &taken.database)?,
        taken: taken.taken,
        head: taken.head.as_ref().map(head_from_wire).transpose()?,
    })
}

fn head_to_wire(signed: &SignedHead) -> Result<schema::DirectoryHead, ConvertError> {
    let head = &signed.head;
    check_head(head)?;
    Ok(schema::DirectoryHead {
        si: id_to_wire(&head.directory.si.0),
        fingerprint: hash_to_wire(&head.directory.fingerprint),
        version: head.version,
        rows: head.rows,
        digest: hash_to_wire(&head.digest),
        public_key: Bytes::copy_from_slice(&signed.public_key),
        signature: Bytes::copy_from_slice(&signed.signature),
    })
}

fn head_from_wire(head: &schema::DirectoryHead) -> Result<SignedHead, ConvertError> {
    let signed = SignedHead {
        head: Head {
            directory: DirectoryId {
                si: si_from_wire(&head.si)?,
                fingerprint: hash_from_wire("fingerprint", &head.fingerprint)?,
            },
            version: head.version,
            rows: head.rows,
            digest: hash_from_wire("digest", &head.digest)?,
        },
        public_key: array("public_key", &head.public_key)?,
        signature: array("signature", &head.signature)?,
    };
    check_head(&signed.head)?;
    Ok(signed)
}

/// Versions stay below 2^63, so that every database has a number type for them.
fn check_head(head: &Head) -> Result<(), ConvertError> {
    within("version", head.version, 1, i64::MAX as u64)?;
    within("rows", head.rows.into(), 0, ROWS_MAX as u64)
}

fn row_id_to_wire(id: Option<RowId>) -> Bytes {
    id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id.0))
}

fn row_id_from_wire(field: &'static str, id: &[u8]) -> Result<Option<RowId>, ConvertError> {
    if id.is_empty() {
        return Ok(None);
    }
    array(field, id).map(RowId).map(Some)
}
