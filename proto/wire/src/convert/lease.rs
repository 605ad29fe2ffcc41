//! How long shares are kept.

use bytes::{BufMut, BytesMut};
use truckee_grid::ids::StorageIndex;

use super::{ConvertError, at_most, rows_of, within};
use crate::message::limits::RENEWED_MAX;
use crate::message::{LeasesRenewed, RenewLeases};
use crate::schema;

/// Bytes of a storage index.
const SI_BYTES: usize = 16;

pub(super) fn renew_to_wire(renew: &RenewLeases) -> Result<schema::RenewLeases, ConvertError> {
    check_sis(&renew.sis)?;
    let mut sis = BytesMut::with_capacity(SI_BYTES * renew.sis.len());
    for si in &renew.sis {
        sis.put_slice(&si.0);
    }
    Ok(schema::RenewLeases { sis: sis.freeze() })
}

pub(super) fn renew_from_wire(renew: &schema::RenewLeases) -> Result<RenewLeases, ConvertError> {
    at_most("sis", renew.sis.len(), SI_BYTES * RENEWED_MAX)?;
    let sis = rows_of::<SI_BYTES>("sis", &renew.sis)?;
    let sis: Vec<StorageIndex> = sis.iter().copied().map(StorageIndex).collect();
    check_sis(&sis)?;
    Ok(RenewLeases { sis })
}

fn check_sis(sis: &[StorageIndex]) -> Result<(), ConvertError> {
    within("sis", sis.len() as u64, 1, RENEWED_MAX as u64)?;
    if !sis.is_sorted_by(|a, b| a < b) {
        return Err(ConvertError::Order { field: "sis" });
    }
    Ok(())
}

pub(super) fn renewed_to_wire(renewed: &LeasesRenewed) -> Result<schema::LeasesRenewed, ConvertError> {
    let held = renewed.bits().clone();
    check_held(held.len())?;
    Ok(schema::LeasesRenewed { held })
}

pub(super) fn renewed_from_wire(renewed: schema::LeasesRenewed) -> Result<LeasesRenewed, ConvertError> {
    check_held(renewed.held.len())?;
    Ok(LeasesRenewed::from_bits(renewed.held))
}

fn check_held(bytes: usize) -> Result<(), ConvertError> {
    within("held", bytes as u64, 1, (RENEWED_MAX / 8) as u64).map(|_| ())
}
