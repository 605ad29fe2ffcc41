//! Answers.

use std::time::Duration;

use bytes::Bytes;
use truckee_grid::ids::ShareNumber;
use truckee_grid::params::SHARES_MAX;

use super::drive::{got_from_wire, got_to_wire, taken_from_wire, taken_to_wire};
use super::inventory::{
    came_from_wire, came_to_wire, inventory_from_wire, inventory_to_wire, listed_from_wire, listed_to_wire,
};
use super::lease::{renewed_from_wire, renewed_to_wire};
use super::link::{failure_from_wire, failure_to_wire};
use super::member::{grant_from_wire, grant_to_wire, synced_from_wire, synced_to_wire};
use super::share::{
    check_block, facts_from_wire, facts_to_wire, no_payload, path_from_wire, path_to_wire, sealed_from_wire,
    sealed_to_wire, share_from_wire,
};
use super::{ConvertError, at_most, check_text};
use crate::message::limits::{ROWS_PAGE_BYTES_MAX, SOFTWARE_BYTES_MAX};
use crate::message::{BlockRead, Failure, FoundShares, NodeStatus, Response};
use crate::schema::{self, response::Body};

/// The head of an answer; its payload travels beside it.
pub(super) fn answer_to_wire(answer: &Result<Response, Failure>) -> Result<schema::Response, ConvertError> {
    let body = match answer {
        Err(failure) => Body::Failure(failure_to_wire(failure)?),
        Ok(response) => response_to_wire(response)?,
    };
    Ok(schema::Response { body: Some(body) })
}

/// The answer without its payload, of which only the length is known yet; [`Response::attach_payload`] brings it in.
pub(super) fn answer_from_wire(
    answer: schema::Response,
    payload_bytes: usize,
) -> Result<Result<Response, Failure>, ConvertError> {
    let body = answer.body.ok_or(ConvertError::UnknownMessage)?;
    match &body {
        Body::BlockRead(_) => check_block(payload_bytes)?,
        Body::FoundShares(found) if found.inlined => check_block(payload_bytes)?,
        Body::RowsGot(_) => at_most("payload", payload_bytes, ROWS_PAGE_BYTES_MAX)?,
        _ => no_payload(payload_bytes)?,
    }
    Ok(match body {
        Body::Failure(failure) => Err(failure_from_wire(failure)?),
        body => Ok(response_from_wire(body)?),
    })
}

fn response_to_wire(response: &Response) -> Result<Body, ConvertError> {
    Ok(match response {
        Response::FoundShares(found) => Body::FoundShares(found_to_wire(found)?),
        Response::ShareOpened { already_there } => Body::ShareOpened(schema::ShareOpened {
            already_there: *already_there,
        }),
        Response::BlockWritten => Body::BlockWritten(schema::BlockWritten {}),
        Response::ShareClosed => Body::ShareClosed(schema::ShareClosed {}),
        Response::ShareAborted => Body::ShareAborted(schema::ShareAborted {}),
        Response::SharePut { already_there } => Body::SharePut(schema::SharePut {
            already_there: *already_there,
        }),
        Response::BlockRead(read) => {
            check_block(read.block.len())?;
            Body::BlockRead(schema::BlockRead {
                block_path: path_to_wire("block_path", &read.block_path)?,
                sealed_path: sealed_to_wire(&read.sealed)?,
            })
        }
        Response::NodeStatus(status) => Body::NodeStatus(status_to_wire(status)?),
        Response::Inventory(inventory) => Body::Inventory(inventory_to_wire(inventory)?),
        Response::SharesListed(listed) => Body::SharesListed(listed_to_wire(listed)?),
        Response::AddedListed(listed) => Body::AddedListed(came_to_wire(listed)?),
        Response::LeasesRenewed(renewed) => Body::LeasesRenewed(renewed_to_wire(renewed)?),
        Response::ShareKept { kept } => Body::ShareKept(schema::ShareKept { kept: *kept }),
        Response::Joined(grant) => Body::Joined(schema::Joined {
            grant: Some(grant_to_wire(grant)?),
        }),
        Response::RosterSynced(synced) => Body::RosterSynced(synced_to_wire(synced)?),
        Response::RosterPushed => Body::RosterPushed(schema::RosterPushed {}),
        Response::RowsGot(got) => Body::RowsGot(got_to_wire(got)?),
        Response::ChangeTaken(taken) => Body::ChangeTaken(taken_to_wire(taken)?),
    })
}

fn response_from_wire(body: Body) -> Result<Response, ConvertError> {
    Ok(match body {
        Body::Failure(_) => return Err(ConvertError::Unexpected { field: "failure" }),
        Body::FoundShares(found) => Response::FoundShares(found_from_wire(&found)?),
        Body::ShareOpened(opened) => Response::ShareOpened {
            already_there: opened.already_there,
        },
        Body::BlockWritten(_) => Response::BlockWritten,
        Body::ShareClosed(_) => Response::ShareClosed,
        Body::ShareAborted(_) => Response::ShareAborted,
        Body::SharePut(put) => Response::SharePut {
            already_there: put.already_there,
        },
        Body::BlockRead(read) => Response::BlockRead(BlockRead {
            block_path: path_from_wire("block_path", &read.block_path)?,
            sealed: sealed_from_wire(&read.sealed_path)?,
            block: Bytes::new(),
        }),
        Body::NodeStatus(status) => Response::NodeStatus(status_from_wire(status)?),
        Body::Inventory(inventory) => Response::Inventory(inventory_from_wire(&inventory)?),
        Body::SharesListed(listed) => Response::SharesListed(listed_from_wire(&listed)?),
        Body::AddedListed(listed) => Response::AddedListed(came_from_wire(&listed)?),
        Body::LeasesRenewed(renewed) => Response::LeasesRenewed(renewed_from_wire(renewed)?),
        Body::ShareKept(kept) => Response::ShareKept { kept: kept.kept },
        Body::Joined(joined) => {
            let grant = joined.grant.ok_or(ConvertError::Missing { field: "grant" })?;
            Response::Joined(grant_from_wire(grant)?)
        }
        Body::RosterSynced(synced) => Response::RosterSynced(synced_from_wire(synced)?),
        Body::RosterPushed(_) => Response::RosterPushed,
        Body::RowsGot(got) => Response::RowsGot(Box::new(got_from_wire(&got)?)),
        Body::ChangeTaken(taken) => Response::ChangeTaken(Box::new(taken_from_wire(&taken)?)),
    })
}

fn found_to_wire(found: &FoundShares) -> Result<schema::FoundShares, ConvertError> {
    check_found(found)?;
    let (ueb, share_roots) = found
        .file
        .as_ref()
        .map(facts_to_wire)
        .transpose()?
        .unwrap_or_default();
    Ok(schema::FoundShares {
        shares: found.shares.iter().map(|share| share.0.into()).collect(),
        ueb,
        share_roots,
        inlined: found.inlined.is_some(),
    })
}

fn found_from_wire(found: &schema::FoundShares) -> Result<FoundShares, ConvertError> {
    at_most("shares", found.shares.len(), SHARES_MAX.into())?;
    let shares = found
        .shares
        .iter()
        .map(|share| share_from_wire(*share))
        .collect::<Result<Vec<_>, _>>()?;
    let file = if found.ueb.is_empty() && found.share_roots.is_empty() {
        None
    } else {
        Some(facts_from_wire(&found.ueb, &found.share_roots)?)
    };
    let inlined = found.inlined.then(Bytes::new);
    let found = FoundShares {
        shares,
        file,
        inlined,
    };
    check_found(&found)?;
    Ok(found)
}

fn check_found(found: &FoundShares) -> Result<(), ConvertError> {
    if !found.shares.is_sorted_by(|a, b| a < b) {
        return Err(ConvertError::Order { field: "shares" });
    }
    match (&found.file, found.shares.last()) {
        (None, Some(_)) => Err(ConvertError::Missing { field: "ueb" }),
        (Some(_), None) => Err(ConvertError::Unexpected { field: "ueb" }),
        (None, None) if found.inlined.is_some() => Err(ConvertError::Unexpected { field: "inlined" }),
        (None, None) => Ok(()),
        (Some(file), Some(highest)) => {
            let coding = file.ueb.coding();
            let (got, max) = (u64::from(highest.0), coding.n() as u64 - 1);
            if coding.has(ShareNumber(highest.0)) {
                Ok(())
            } else {
                Err(ConvertError::OutOfRange {
                    field: "shares",
                    got,
                    min: 0,
                    max,
                })
            }
        }
    }
}

fn status_to_wire(status: &NodeStatus) -> Result<schema::NodeStatus, ConvertError> {
    check_text("software", &status.software, SOFTWARE_BYTES_MAX)?;
    Ok(schema::NodeStatus {
        share_count: status.share_count,
        used_bytes: status.used_bytes,
        available_bytes: status.available_bytes,
        accepts_shares: status.accepts_shares,
        uptime_s: status.uptime.as_secs(),
        software: status.software.clone(),
    })
}

fn status_from_wire(status: schema::NodeStatus) -> Result<NodeStatus, ConvertError> {
    check_text("software", &status.software, SOFTWARE_BYTES_MAX)?;
    Ok(NodeStatus {
        share_count: status.share_count,
        used_bytes: status.used_bytes,
        available_bytes: status.available_bytes,
        accepts_shares: status.accepts_shares,
        uptime: Duration::from_secs(status.uptime_s),
        software: status.software,
    })
}
