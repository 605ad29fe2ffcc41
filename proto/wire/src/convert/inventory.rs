//! What a node holds as a whole.

use bytes::{BufMut, Bytes, BytesMut};
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{ShareNumber, StorageIndex};
use truckee_grid::params::Coding;

use super::share::{id_to_wire, share_from_wire, si_from_wire};
use super::{ConvertError, array, at_most, rows_of, within};
use crate::message::limits::{ADDED_MAX, LISTED_MAX};
use crate::message::{
    AddedListed, Inventory, ListAdded, ListShares, ListedShare, SharePlace, SharesListed, Span,
};
use crate::schema;

/// Bytes of a listed share: storage index, number, k - 1, n - 1.
const ROW_BYTES: usize = 19;
/// Bytes of the count of a bucket.
const COUNT_BYTES: usize = 4;
/// Bytes of the name of a bucket in a row of several.
const BUCKET_BYTES: usize = 2;
/// Bytes of a span: bucket and two counts.
const SPAN_BYTES: usize = BUCKET_BYTES + 2 * COUNT_BYTES;

pub(super) fn inventory_to_wire(inventory: &Inventory) -> Result<schema::Inventory, ConvertError> {
    check_changes(COUNT_BYTES * inventory.changes.len())?;
    let mut changes = BytesMut::with_capacity(COUNT_BYTES * inventory.changes.len());
    for count in &inventory.changes {
        changes.put_u32(*count);
    }
    Ok(schema::Inventory {
        epoch: check_epoch(inventory.epoch)?,
        changes: changes.freeze(),
        accepts_shares: inventory.accepts_shares,
        draining: inventory.draining,
    })
}

pub(super) fn inventory_from_wire(inventory: &schema::Inventory) -> Result<Inventory, ConvertError> {
    check_changes(inventory.changes.len())?;
    let (counts, _) = inventory.changes.as_chunks::<COUNT_BYTES>();
    Ok(Inventory {
        epoch: check_epoch(inventory.epoch)?,
        changes: counts.iter().map(|count| u32::from_be_bytes(*count)).collect(),
        accepts_shares: inventory.accepts_shares,
        draining: inventory.draining,
    })
}

fn check_changes(bytes: usize) -> Result<(), ConvertError> {
    let expected = COUNT_BYTES * Bucket::COUNT;
    if bytes == expected {
        return Ok(());
    }
    Err(ConvertError::Length {
        field: "changes",
        got: bytes,
        expected,
    })
}

fn check_epoch(epoch: u64) -> Result<u64, ConvertError> {
    within("epoch", epoch, 1, u64::MAX)?;
    Ok(epoch)
}

pub(super) fn list_to_wire(list: &ListShares) -> Result<schema::ListShares, ConvertError> {
    check_place(list.bucket, list.after)?;
    let (after_si, after_share) = place_to_wire(list.after);
    Ok(schema::ListShares {
        bucket: list.bucket.index() as u32,
        after_si,
        after_share,
    })
}

pub(super) fn list_from_wire(list: &schema::ListShares) -> Result<ListShares, ConvertError> {
    let bucket = bucket_from_wire(list.bucket)?;
    let after = place_from_wire("after_share", &list.after_si, list.after_share)?;
    check_place(bucket, after)?;
    Ok(ListShares { bucket, after })
}

/// A page goes on within its bucket.
fn check_place(bucket: Bucket, after: Option<SharePlace>) -> Result<(), ConvertError> {
    if after.is_none_or(|after| Bucket::of(&after.si) == bucket) {
        Ok(())
    } else {
        Err(ConvertError::Unexpected { field: "after_si" })
    }
}

pub(super) fn listed_to_wire(listed: &SharesListed) -> Result<schema::SharesListed, ConvertError> {
    check_listed(listed)?;
    let (next_si, next_share) = place_to_wire(listed.next);
    Ok(schema::SharesListed {
        epoch: listed.epoch,
        changes: listed.changes,
        shares: rows_to_wire(&listed.shares),
        next_si,
        next_share,
    })
}

pub(super) fn listed_from_wire(listed: &schema::SharesListed) -> Result<SharesListed, ConvertError> {
    let listed = SharesListed {
        epoch: listed.epoch,
        changes: listed.changes,
        shares: rows_from_wire(&listed.shares, LISTED_MAX)?,
        next: place_from_wire("next_share", &listed.next_si, listed.next_share)?,
    };
    check_listed(&listed)?;
    Ok(listed)
}

fn rows_to_wire(shares: &[ListedShare]) -> Bytes {
    let mut rows = BytesMut::with_capacity(ROW_BYTES * shares.len());
    for ListedShare { place, coding } in shares {
        rows.put_slice(&place.si.0);
        // At least 1 and at most 256 each.
        rows.put_slice(&[place.share.0, (coding.k() - 1) as u8, (coding.n() - 1) as u8]);
    }
    rows.freeze()
}

fn rows_from_wire(bytes: &[u8], most: usize) -> Result<Vec<ListedShare>, ConvertError> {
    at_most("shares", bytes.len(), ROW_BYTES * most)?;
    let rows = rows_of::<ROW_BYTES>("shares", bytes)?;
    rows.iter().map(row_from_wire).collect()
}

fn row_from_wire(row: &[u8; ROW_BYTES]) -> Result<ListedShare, ConvertError> {
    let (si, rest) = row.split_at(16);
    Ok(ListedShare {
        place: SharePlace {
            si: StorageIndex(array("si", si)?),
            share: ShareNumber(rest[0]),
        },
        coding: Coding::new(u32::from(rest[1]) + 1, u32::from(rest[2]) + 1)?,
    })
}

fn check_listed(listed: &SharesListed) -> Result<(), ConvertError> {
    check_epoch(listed.epoch)?;
    check_rows(&listed.shares, LISTED_MAX)?;
    let (first, last) = (listed.shares.first(), listed.shares.last());
    if let (Some(first), Some(last)) = (first, last)
        && Bucket::of(&first.place.si) != Bucket::of(&last.place.si)
    {
        return Err(ConvertError::Unexpected { field: "shares" });
    }
    // Who goes on from there must not go round in circles.
    match (last, listed.next) {
        (Some(last), Some(next)) if next < last.place => Err(ConvertError::Order { field: "next_si" }),
        _ => Ok(()),
    }
}

fn check_rows(shares: &[ListedShare], most: usize) -> Result<(), ConvertError> {
    at_most("shares", shares.len(), most)?;
    if !shares.is_sorted_by(|a, b| a.place < b.place) {
        return Err(ConvertError::Order { field: "shares" });
    }
    for ListedShare { place, coding } in shares {
        within("share", place.share.0.into(), 0, coding.n() as u64 - 1)?;
    }
    Ok(())
}

pub(super) fn added_to_wire(list: &ListAdded) -> Result<schema::ListAdded, ConvertError> {
    check_spans(&list.spans)?;
    let mut spans = BytesMut::with_capacity(SPAN_BYTES * list.spans.len());
    for span in &list.spans {
        spans.put_u16(span.bucket.index() as u16);
        spans.put_u32(span.after);
        spans.put_u32(span.until);
    }
    Ok(schema::ListAdded {
        epoch: check_epoch(list.epoch)?,
        spans: spans.freeze(),
    })
}

pub(super) fn added_from_wire(list: &schema::ListAdded) -> Result<ListAdded, ConvertError> {
    at_most("spans", list.spans.len(), SPAN_BYTES * Bucket::COUNT)?;
    let span = |row: &[u8; SPAN_BYTES]| -> Result<Span, ConvertError> {
        let [b0, b1, a0, a1, a2, a3, u0, u1, u2, u3] = *row;
        Ok(Span {
            bucket: bucket_from_wire(u16::from_be_bytes([b0, b1]).into())?,
            after: u32::from_be_bytes([a0, a1, a2, a3]),
            until: u32::from_be_bytes([u0, u1, u2, u3]),
        })
    };
    let rows = rows_of("spans", &list.spans)?;
    let spans: Vec<Span> = rows.iter().map(span).collect::<Result<_, _>>()?;
    check_spans(&spans)?;
    Ok(ListAdded {
        epoch: check_epoch(list.epoch)?,
        spans,
    })
}

fn check_spans(spans: &[Span]) -> Result<(), ConvertError> {
    if spans.is_empty() {
        return Err(ConvertError::Missing { field: "spans" });
    }
    // So there are not more than buckets.
    if !spans.is_sorted_by(|a, b| a.bucket < b.bucket) {
        return Err(ConvertError::Order { field: "spans" });
    }
    Ok(())
}

pub(super) fn came_to_wire(listed: &AddedListed) -> Result<schema::AddedListed, ConvertError> {
    check_came(listed)?;
    let mut unknown = BytesMut::with_capacity(BUCKET_BYTES * listed.unknown.len());
    for bucket in &listed.unknown {
        unknown.put_u16(bucket.index() as u16);
    }
    Ok(schema::AddedListed {
        shares: rows_to_wire(&listed.shares),
        unknown: unknown.freeze(),
    })
}

pub(super) fn came_from_wire(listed: &schema::AddedListed) -> Result<AddedListed, ConvertError> {
    at_most("unknown", listed.unknown.len(), BUCKET_BYTES * Bucket::COUNT)?;
    let rows = rows_of::<BUCKET_BYTES>("unknown", &listed.unknown)?;
    let unknown = rows
        .iter()
        .map(|row| bucket_from_wire(u16::from_be_bytes(*row).into()));
    let listed = AddedListed {
        shares: rows_from_wire(&listed.shares, ADDED_MAX)?,
        unknown: unknown.collect::<Result<_, _>>()?,
    };
    check_came(&listed)?;
    Ok(listed)
}

fn check_came(listed: &AddedListed) -> Result<(), ConvertError> {
    check_rows(&listed.shares, ADDED_MAX)?;
    if listed.unknown.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(ConvertError::Order { field: "unknown" })
    }
}

fn bucket_from_wire(index: u32) -> Result<Bucket, ConvertError> {
    Bucket::from_index(index as usize).ok_or(ConvertError::OutOfRange {
        field: "bucket",
        got: index.into(),
        min: 0,
        max: Bucket::COUNT as u64 - 1,
    })
}

fn place_to_wire(place: Option<SharePlace>) -> (Bytes, u32) {
    place.map_or_else(Default::default, |place| {
        (id_to_wire(&place.si.0), place.share.0.into())
    })
}

fn place_from_wire(field: &'static str, si: &[u8], share: u32) -> Result<Option<SharePlace>, ConvertError> {
    if si.is_empty() {
        return if share == 0 {
            Ok(None)
        } else {
            Err(ConvertError::Unexpected { field })
        };
    }
    Ok(Some(SharePlace {
        si: si_from_wire(si)?,
        share: share_from_wire(share)?,
    }))
}
