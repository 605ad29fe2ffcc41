//! Fields that several messages about shares have in common.

use bytes::Bytes;
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_grid::params::{SEGMENTS_MAX, SHARES_MAX};
use truckee_grid::ueb::{UEB_BYTES_MAX, Ueb};

use super::{ConvertError, array, at_most, hashes, join_hashes, within};
use crate::message::limits::{PATH_HASHES_MAX, PAYLOAD_BYTES_MAX};
use crate::message::{FileFacts, SealedProof};

pub(super) fn id_to_wire(id: &[u8; 16]) -> Bytes {
    Bytes::copy_from_slice(id)
}

pub(super) fn hash_to_wire(hash: &Hash) -> Bytes {
    Bytes::copy_from_slice(hash.as_bytes())
}

pub(super) fn si_from_wire(si: &[u8]) -> Result<StorageIndex, ConvertError> {
    Ok(StorageIndex(array("si", si)?))
}

pub(super) fn upload_from_wire(upload: &[u8]) -> Result<UploadId, ConvertError> {
    Ok(UploadId(array("upload", upload)?))
}

pub(super) fn hash_from_wire(field: &'static str, hash: &[u8]) -> Result<Hash, ConvertError> {
    Ok(Hash(array(field, hash)?))
}

pub(super) fn share_from_wire(share: u32) -> Result<ShareNumber, ConvertError> {
    let out_of_range = ConvertError::OutOfRange {
        field: "share",
        got: share.into(),
        min: 0,
        max: u64::from(SHARES_MAX) - 1,
    };
    u8::try_from(share).map(ShareNumber).map_err(|_| out_of_range)
}

pub(super) fn check_segment(segment: u64) -> Result<SegmentIndex, ConvertError> {
    within("segment", segment, 0, SEGMENTS_MAX - 1)?;
    Ok(SegmentIndex(segment))
}

/// A message whose payload is a block has one, of a length that a block can have.
pub(super) fn check_block(bytes: usize) -> Result<(), ConvertError> {
    if bytes == 0 {
        return Err(ConvertError::Missing { field: "payload" });
    }
    at_most("payload", bytes, PAYLOAD_BYTES_MAX)
}

/// A message without a block has no payload.
pub(super) fn no_payload(bytes: usize) -> Result<(), ConvertError> {
    if bytes == 0 {
        Ok(())
    } else {
        Err(ConvertError::Unexpected { field: "payload" })
    }
}

/// The UEB in its canonical encoding, and the row of share roots.
pub(super) fn facts_to_wire(file: &FileFacts) -> Result<(Bytes, Bytes), ConvertError> {
    check_roots(file)?;
    Ok((file.ueb.encode().into(), join_hashes(&file.share_roots)))
}

pub(super) fn facts_from_wire(ueb: &[u8], share_roots: &[u8]) -> Result<FileFacts, ConvertError> {
    at_most("ueb", ueb.len(), UEB_BYTES_MAX)?;
    let ueb = Ueb::decode(ueb)?;
    let share_roots = hashes("share_roots", share_roots, SHARES_MAX.into())?;
    let file = FileFacts { ueb, share_roots };
    check_roots(&file)?;
    Ok(file)
}

fn check_roots(file: &FileFacts) -> Result<(), ConvertError> {
    let expected = file.ueb.coding().n() * Hash::BYTES;
    let got = file.share_roots.len() * Hash::BYTES;
    if got == expected {
        Ok(())
    } else {
        Err(ConvertError::Length {
            field: "share_roots",
            got,
            expected,
        })
    }
}

pub(super) fn path_to_wire(field: &'static str, path: &[Hash]) -> Result<Bytes, ConvertError> {
    at_most(field, path.len(), PATH_HASHES_MAX)?;
    Ok(join_hashes(path))
}

pub(super) fn path_from_wire(field: &'static str, row: &[u8]) -> Result<Vec<Hash>, ConvertError> {
    hashes(field, row, PATH_HASHES_MAX)
}

/// The leaf, then its path.
pub(super) fn sealed_to_wire(proof: &SealedProof) -> Result<Bytes, ConvertError> {
    at_most("sealed_path", proof.path.len(), PATH_HASHES_MAX)?;
    Ok(join_hashes(std::iter::once(&proof.leaf).chain(&proof.path)))
}

pub(super) fn sealed_from_wire(row: &[u8]) -> Result<SealedProof, ConvertError> {
    let mut row = hashes("sealed_path", row, PATH_HASHES_MAX + 1)?;
    if row.is_empty() {
        return Err(ConvertError::Missing { field: "sealed_path" });
    }
    let leaf = row.remove(0);
    Ok(SealedProof { leaf, path: row })
}
