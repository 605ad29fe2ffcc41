//! Requests.

use bytes::Bytes;
use truckee_grid::params::{Coding, check_segment_bytes};

use super::drive::{commit_from_wire, commit_to_wire, get_from_wire, get_to_wire};
use super::inventory::{added_from_wire, added_to_wire, list_from_wire, list_to_wire};
use super::lease::{renew_from_wire, renew_to_wire};
use super::member::{
    announcement_from_wire, announcement_to_wire, push_from_wire, push_to_wire, sync_from_wire, sync_to_wire,
};
use super::share::{
    check_block, check_segment, facts_from_wire, facts_to_wire, hash_from_wire, hash_to_wire, id_to_wire,
    no_payload, share_from_wire, si_from_wire, upload_from_wire,
};
use super::{ConvertError, at_most, within};
use crate::message::limits::{CHANGE_BYTES_MAX, PAYLOAD_BYTES_MAX, RESERVE_BYTES_MAX, SECRET_BYTES_MAX};
use crate::message::{
    AbortShare, CloseShare, FindShares, Join, JoinSecret, KeepShare, OpenShare, PutShare, ReadBlock, Request,
    WriteBlock,
};
use crate::schema::{self, request::Body};

/// The head of a request; its payload travels beside it.
pub(super) fn request_to_wire(request: &Request) -> Result<schema::Request, ConvertError> {
    let body = match request {
        Request::FindShares(find) => Body::FindShares(find_to_wire(find)?),
        Request::OpenShare(open) => Body::OpenShare(open_to_wire(open)?),
        Request::WriteBlock(write) => Body::WriteBlock(write_to_wire(write)?),
        Request::CloseShare(close) => {
            let (ueb, share_roots) = facts_to_wire(&close.file)?;
            Body::CloseShare(schema::CloseShare {
                si: id_to_wire(&close.si.0),
                share: close.share.0.into(),
                upload: id_to_wire(&close.upload.0),
                ueb,
                share_roots,
            })
        }
        Request::AbortShare(abort) => Body::AbortShare(schema::AbortShare {
            si: id_to_wire(&abort.si.0),
            share: abort.share.0.into(),
            upload: id_to_wire(&abort.upload.0),
        }),
        Request::PutShare(put) => {
            check_block(put.block.len())?;
            let (ueb, share_roots) = facts_to_wire(&put.file)?;
            let (si, share) = (id_to_wire(&put.si.0), put.share.0.into());
            Body::PutShare(schema::PutShare {
                si,
                share,
                ueb,
                share_roots,
            })
        }
        Request::ReadBlock(read) => Body::ReadBlock(schema::ReadBlock {
            si: id_to_wire(&read.si.0),
            share: read.share.0.into(),
            segment: check_segment(read.segment.0)?.0,
            suspect: read.suspect,
        }),
        Request::GetStatus => Body::GetStatus(schema::GetStatus {}),
        Request::GetInventory => Body::GetInventory(schema::GetInventory {}),
        Request::ListShares(list) => Body::ListShares(list_to_wire(list)?),
        Request::ListAdded(list) => Body::ListAdded(added_to_wire(list)?),
        Request::RenewLeases(renew) => Body::RenewLeases(renew_to_wire(renew)?),
        Request::KeepShare(keep) => Body::KeepShare(schema::KeepShare {
            si: id_to_wire(&keep.si.0),
            share: keep.share.0.into(),
        }),
        Request::Join(join) => {
            at_most("secret", join.secret.expose().len(), SECRET_BYTES_MAX)?;
            Body::Join(schema::Join {
                secret: Bytes::copy_from_slice(join.secret.expose()),
                announcement: Some(announcement_to_wire(&join.announcement)?),
            })
        }
        Request::SyncRoster(sync) => Body::SyncRoster(sync_to_wire(sync)?),
        Request::PushRoster(push) => Body::PushRoster(push_to_wire(push)?),
        Request::GetRows(get) => Body::GetRows(get_to_wire(get)?),
        Request::CommitChange(commit) => Body::CommitChange(commit_to_wire(commit)?),
    };
    Ok(schema::Request { body: Some(body) })
}

/// The request without its payload, of which only the length is known yet; [`Request::attach_payload`] brings it in.
pub(super) fn request_from_wire(
    request: schema::Request,
    payload_bytes: usize,
) -> Result<Request, ConvertError> {
    let body = request.body.ok_or(ConvertError::UnknownMessage)?;
    match &body {
        Body::WriteBlock(_) | Body::PutShare(_) => check_block(payload_bytes)?,
        Body::CommitChange(_) => at_most("payload", payload_bytes, CHANGE_BYTES_MAX)?,
        _ => no_payload(payload_bytes)?,
    }
    Ok(match body {
        Body::FindShares(find) => Request::FindShares(find_from_wire(&find)?),
        Body::OpenShare(open) => Request::OpenShare(open_from_wire(&open)?),
        Body::WriteBlock(write) => Request::WriteBlock(write_from_wire(&write)?),
        Body::CloseShare(close) => Request::CloseShare(CloseShare {
            si: si_from_wire(&close.si)?,
            share: share_from_wire(close.share)?,
            upload: upload_from_wire(&close.upload)?,
            file: facts_from_wire(&close.ueb, &close.share_roots)?,
        }),
        Body::AbortShare(abort) => Request::AbortShare(AbortShare {
            si: si_from_wire(&abort.si)?,
            share: share_from_wire(abort.share)?,
            upload: upload_from_wire(&abort.upload)?,
        }),
        Body::PutShare(put) => Request::PutShare(PutShare {
            si: si_from_wire(&put.si)?,
            share: share_from_wire(put.share)?,
            file: facts_from_wire(&put.ueb, &put.share_roots)?,
            block: Bytes::new(),
        }),
        Body::ReadBlock(read) => Request::ReadBlock(ReadBlock {
            si: si_from_wire(&read.si)?,
            share: share_from_wire(read.share)?,
            segment: check_segment(read.segment)?,
            suspect: read.suspect,
        }),
        Body::GetStatus(_) => Request::GetStatus,
        Body::GetInventory(_) => Request::GetInventory,
        Body::ListShares(list) => Request::ListShares(list_from_wire(&list)?),
        Body::ListAdded(list) => Request::ListAdded(added_from_wire(&list)?),
        Body::RenewLeases(renew) => Request::RenewLeases(renew_from_wire(&renew)?),
        Body::KeepShare(keep) => Request::KeepShare(KeepShare {
            si: si_from_wire(&keep.si)?,
            share: share_from_wire(keep.share)?,
        }),
        Body::Join(join) => {
            at_most("secret", join.secret.len(), SECRET_BYTES_MAX)?;
            let announcement = join.announcement.ok_or(ConvertError::Missing {
                field: "announcement",
            })?;
            Request::Join(Box::new(Join {
                secret: JoinSecret::new(&join.secret),
                announcement: announcement_from_wire(announcement)?,
            }))
        }
        Body::SyncRoster(sync) => Request::SyncRoster(sync_from_wire(&sync)?),
        Body::PushRoster(push) => Request::PushRoster(push_from_wire(push)?),
        Body::GetRows(get) => Request::GetRows(get_from_wire(&get)?),
        Body::CommitChange(commit) => Request::CommitChange(commit_from_wire(&commit)?),
    })
}

fn find_to_wire(find: &FindShares) -> Result<schema::FindShares, ConvertError> {
    within(
        "inline_bytes_max",
        find.inline_bytes_max.into(),
        0,
        PAYLOAD_BYTES_MAX as u64,
    )?;
    Ok(schema::FindShares {
        si: id_to_wire(&find.si.0),
        inline_bytes_max: find.inline_bytes_max,
    })
}

fn find_from_wire(find: &schema::FindShares) -> Result<FindShares, ConvertError> {
    within(
        "inline_bytes_max",
        find.inline_bytes_max.into(),
        0,
        PAYLOAD_BYTES_MAX as u64,
    )?;
    Ok(FindShares {
        si: si_from_wire(&find.si)?,
        inline_bytes_max: find.inline_bytes_max,
    })
}

fn open_to_wire(open: &OpenShare) -> Result<schema::OpenShare, ConvertError> {
    check_open(open)?;
    Ok(schema::OpenShare {
        si: id_to_wire(&open.si.0),
        share: open.share.0.into(),
        upload: id_to_wire(&open.upload.0),
        k: open.coding.k() as u32,
        n: open.coding.n() as u32,
        segment_bytes: open.segment_bytes,
        reserve_bytes: open.reserve_bytes,
    })
}

fn open_from_wire(open: &schema::OpenShare) -> Result<OpenShare, ConvertError> {
    let open = OpenShare {
        si: si_from_wire(&open.si)?,
        share: share_from_wire(open.share)?,
        upload: upload_from_wire(&open.upload)?,
        coding: Coding::new(open.k, open.n)?,
        segment_bytes: open.segment_bytes,
        reserve_bytes: open.reserve_bytes,
    };
    check_open(&open)?;
    Ok(open)
}

fn check_open(open: &OpenShare) -> Result<(), ConvertError> {
    check_segment_bytes(open.segment_bytes.into())?;
    within("share", open.share.0.into(), 0, open.coding.n() as u64 - 1)?;
    within("reserve_bytes", open.reserve_bytes, 0, RESERVE_BYTES_MAX)
}

fn write_to_wire(write: &WriteBlock) -> Result<schema::WriteBlock, ConvertError> {
    check_block(write.block.len())?;
    Ok(schema::WriteBlock {
        si: id_to_wire(&write.si.0),
        share: write.share.0.into(),
        upload: id_to_wire(&write.upload.0),
        segment: check_segment(write.segment.0)?.0,
        block_leaf: hash_to_wire(&write.block_leaf),
        sealed_leaf: hash_to_wire(&write.sealed_leaf),
    })
}

fn write_from_wire(write: &schema::WriteBlock) -> Result<WriteBlock, ConvertError> {
    Ok(WriteBlock {
        si: si_from_wire(&write.si)?,
        share: share_from_wire(write.share)?,
        upload: upload_from_wire(&write.upload)?,
        segment: check_segment(write.segment)?,
        block_leaf: hash_from_wire("block_leaf", &write.block_leaf)?,
        sealed_leaf: hash_from_wire("sealed_leaf", &write.sealed_leaf)?,
        block: Bytes::new(),
    })
}
