//! What a node holds as a whole.

use bytes::{BufMut, Bytes, BytesMut};
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{ShareNumber, StorageIndex};
use truckee_grid::params::Coding;

use super::share::{id_to_wire, share_from_wire, si_from_wire};
use super::{ConvertError, array, at_most, within};
use crate::message::limits::LISTED_MAX;
use crate::message::{Inventory, ListShares, ListedShare, SharePlace, SharesListed};
use crate::schema;

/// Bytes of a listed share: storage index, number, k - 1, n - 1.
const ROW_BYTES: usize = 19;
/// Bytes of the count of a bucket.
const COUNT_BYTES: usize = 4;

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
    let bucket = Bucket::from_index(list.bucket as usize).ok_or(ConvertError::OutOfRange {
        field: "bucket",
        got: list.bucket.into(),
        min: 0,
        max: Bucket::COUNT as u64 - 1,
    })?;
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
    let mut shares = BytesMut::with_capacity(ROW_BYTES * listed.shares.len());
    for ListedShare { place, coding } in &listed.shares {
        shares.put_slice(&place.si.0);
        // At least 1 and at most 256 each.
        shares.put_slice(&[place.share.0, (coding.k() - 1) as u8, (coding.n() - 1) as u8]);
    }
    let (next_si, next_share) = place_to_wire(listed.next);
    Ok(schema::SharesListed {
        epoch: listed.epoch,
        changes: listed.changes,
        shares: shares.freeze(),
        next_si,
        next_share,
    })
}

pub(super) fn listed_from_wire(listed: &schema::SharesListed) -> Result<SharesListed, ConvertError> {
    at_most("shares", listed.shares.len(), ROW_BYTES * LISTED_MAX)?;
    let (rows, rest) = listed.shares.as_chunks::<ROW_BYTES>();
    if !rest.is_empty() {
        return Err(ConvertError::Length {
            field: "shares",
            got: listed.shares.len(),
            expected: ROW_BYTES * rows.len(),
        });
    }
    let listed = SharesListed {
        epoch: listed.epoch,
        changes: listed.changes,
        shares: rows.iter().map(row_from_wire).collect::<Result<_, _>>()?,
        next: place_from_wire("next_share", &listed.next_si, listed.next_share)?,
    };
    check_listed(&listed)?;
    Ok(listed)
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
    at_most("shares", listed.shares.len(), LISTED_MAX)?;
    if !listed.shares.is_sorted_by(|a, b| a.place < b.place) {
        return Err(ConvertError::Order { field: "shares" });
    }
    let (first, last) = (listed.shares.first(), listed.shares.last());
    if let (Some(first), Some(last)) = (first, last)
        && Bucket::of(&first.place.si) != Bucket::of(&last.place.si)
    {
        return Err(ConvertError::Unexpected { field: "shares" });
    }
    for ListedShare { place, coding } in &listed.shares {
        within("share", place.share.0.into(), 0, coding.n() as u64 - 1)?;
    }
    // Who goes on from there must not go round in circles.
    match (last, listed.next) {
        (Some(last), Some(next)) if next < last.place => Err(ConvertError::Order { field: "next_si" }),
        _ => Ok(()),
    }
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
