//! Renews the leases of many files at all storage nodes: one node's messages one after the other, several nodes at once.
//!
//! All nodes are asked about all files: who holds what is not known here, and 16 bytes a file are cheaper than to find out. A
//! node that is busy is asked again; one that does not answer is given up and named, and the caller renews again later.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use truckee_engine::session::CallError;
use truckee_grid::ids::{NodeId, StorageIndex};
use truckee_wire::message::limits::RENEWED_MAX;
use truckee_wire::message::{FailureCode, Lane, LeasesRenewed, RenewLeases, Request, Response};

use super::Transfers;
use crate::call::{Call, CallResult, Reply};
use crate::trace::Trace;

/// Nodes that are asked at once: each has 50 KB of a message on its way.
const NODES_AT_ONCE: usize = 16;
/// Time for one message: a node may have to write in a thousand places of a rotating disk.
const BUDGET: Duration = Duration::from_secs(60);
/// How often a message is sent before its node is given up.
const TRIES: u32 = 5;
/// Before it is sent again; more, if the node says so.
const REST: Duration = Duration::from_secs(1);
/// Longest rest that a node can ask for.
const REST_MAX: Duration = Duration::from_secs(10);

/// What came of a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RenewReport {
    /// For each file, in the order of the request, how many nodes hold shares of it and have renewed its lease.
    pub holders: Vec<u32>,
    /// Nodes that were asked.
    pub nodes: usize,
    /// Those of them that did not renew all.
    pub failed: Vec<NodeId>,
}

impl Transfers {
    /// Renews files, strictly ascending, at all storage nodes. Dropping the future ends it; what is renewed stays so.
    /// `None` if the node stops.
    pub async fn renew(&self, sis: Vec<StorageIndex>) -> Option<RenewReport> {
        let mut report = RenewReport {
            holders: vec![0; sis.len()],
            ..RenewReport::default()
        };
        let nodes = sis.first().map(|si| self.candidates(si)).unwrap_or_default();
        report.nodes = nodes.len();
        let sis = sis.as_slice();
        let asked = nodes
            .into_iter()
            .map(|node| async move { (node, self.renew_at(node, sis).await) });
        let mut asked = stream::iter(asked).buffer_unordered(NODES_AT_ONCE);
        while let Some((node, renewed)) = asked.next().await {
            for (chunk, renewed) in renewed.iter().enumerate() {
                for (place, holders) in report.holders.iter_mut().skip(chunk * RENEWED_MAX).enumerate() {
                    *holders += u32::from(place < RENEWED_MAX && renewed.holds(place));
                }
            }
            if renewed.len() < sis.len().div_ceil(RENEWED_MAX) {
                report.failed.push(node);
            }
            if self.0.stopping.load(Ordering::Acquire) {
                return None;
            }
        }
        Some(report)
    }

    /// The answers of one node, up to the first message that it did not answer.
    async fn renew_at(&self, node: NodeId, sis: &[StorageIndex]) -> Vec<LeasesRenewed> {
        let mut answers = Vec::new();
        for chunk in sis.chunks(RENEWED_MAX) {
            match self.renew_chunk(node, chunk).await {
                Some(renewed) => answers.push(renewed),
                None => break,
            }
        }
        answers
    }

    async fn renew_chunk(&self, node: NodeId, sis: &[StorageIndex]) -> Option<LeasesRenewed> {
        for _ in 0..TRIES {
            let (reply, answer) = Reply::oneshot();
            let call = Call {
                request: Request::RenewLeases(RenewLeases { sis: sis.to_vec() }),
                lane: Lane::Bulk,
                budget: BUDGET,
                trace: Trace::none(),
            };
            let _guard = self.0.config.mesh.call(node, call, reply);
            match answer.await.unwrap_or(Err(CallError::LinkLost)) {
                Ok(Response::LeasesRenewed(renewed)) if renewed.is_about(sis.len()) => return Some(renewed),
                other => match rest_before_next(&other) {
                    Some(rest) => tokio::time::sleep(rest).await,
                    None => return None,
                },
            }
        }
        None
    }
}

/// How long to wait before the same is asked again; `None`: it is of no use.
fn rest_before_next(answer: &CallResult) -> Option<Duration> {
    match answer {
        Err(CallError::Refused(failure)) => match failure.code {
            FailureCode::Busy => Some(failure.retry_after.clamp(REST, REST_MAX)),
            FailureCode::Expired | FailureCode::Internal => Some(REST),
            _ => None,
        },
        Err(CallError::BadAnswer(_) | CallError::Unsendable(_) | CallError::Leaving) | Ok(_) => None,
        Err(_) => Some(REST),
    }
}
