//! What the trimmer's machine orders, done: questions to other nodes, copies, proofs, and the trash of this node's store.

use std::collections::BTreeSet;
use std::time::Duration;

use truckee_engine::repair::RepairOutcome;
use truckee_engine::store::{DiskFault, EMPTY_MAX, ShareId, TrashCause, TrashMark};
use truckee_engine::time::Day;
use truckee_engine::trim::{Holdings, Reason};
use truckee_grid::bucket::Bucket;
use truckee_grid::caps::ChkVerifier;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{FindShares, KeepShare, Lane, Request, Response, Role};

use super::TrimmerStart;
use crate::call::Call;
use crate::trace::Trace;
use crate::transfers::{Rate, RepairSpec};

/// Time for a node to say whether it is being emptied, what it holds of a file, or whether it keeps it.
const ASK_BUDGET: Duration = Duration::from_secs(10);

impl TrimmerStart {
    async fn ask(&self, node: NodeId, request: Request) -> Option<Response> {
        let call = Call {
            request,
            lane: Lane::Bulk,
            budget: ASK_BUDGET,
            trace: Trace::none(),
        };
        self.mesh.ask(node, call).await.ok()
    }

    /// Which file the copy is of, as this node's own disk says.
    async fn file_of(&self, share: ShareId) -> Option<ChkVerifier> {
        let find = FindShares {
            si: share.si,
            inline_bytes_max: 0,
        };
        let Some(Response::FoundShares(found)) = self.ask(self.config.own, Request::FindShares(find)).await
        else {
            return None;
        };
        let file = found.file.filter(|_| found.shares.contains(&share.share))?;
        Some(ChkVerifier {
            si: share.si,
            ueb_hash: file.ueb.hash(),
            coding: file.ueb.coding(),
            size: file.ueb.file_bytes(),
        })
    }

    fn storage_nodes(&self) -> Vec<NodeId> {
        let mut nodes = vec![self.config.own];
        let peers = self.mesh.peers().into_iter();
        nodes.extend(
            peers
                .filter(|peer| peer.roles.contains(Role::Storage) && peer.node_id != self.config.own)
                .map(|peer| peer.node_id),
        );
        nodes
    }

    /// What all storage nodes that answer hold of the file of a copy.
    pub(super) async fn survey(&self, share: ShareId) -> Option<Holdings> {
        let file = self.file_of(share).await?;
        let (mut answering, mut draining) = (Vec::new(), BTreeSet::new());
        for node in self.storage_nodes() {
            if let Some(Response::Inventory(said)) = self.ask(node, Request::GetInventory).await {
                answering.push(node);
                if said.draining {
                    draining.insert(node);
                }
            }
        }
        let report = self.transfers.check_at(file, answering, false).await.ok()?;
        let held = report.sharemap.iter();
        Some(Holdings {
            coding: file.coding,
            held: held
                .flat_map(|(share, nodes)| nodes.iter().map(|node| (*node, *share)))
                .collect(),
            draining,
        })
    }

    /// Has a share of this node made again on another one, from all that hold some of the file. Whether it is there now.
    pub(super) async fn copy(&self, share: ShareId, to: NodeId, rate: Rate) -> bool {
        let Some(file) = self.file_of(share).await else {
            return false;
        };
        let spec = RepairSpec {
            si: share.si,
            ueb_hash: Some(file.ueb_hash),
            candidates: self.storage_nodes(),
            takers: BTreeSet::from([to]),
            // As if this node were emptied of this file: what it holds can be read, and is to be elsewhere.
            draining: BTreeSet::from([self.config.own]),
            distrusted: BTreeSet::new(),
            rate: Some(rate),
        };
        match self.transfers.repair(spec).await {
            Ok(report) => report.outcome != RepairOutcome::Partial,
            Err(failed) => {
                tracing::debug!(si = %share.si, share = share.share.0, error = %failed.error, "a share was not copied to where it belongs");
                false
            }
        }
    }

    /// Whether a node says that it keeps its copy.
    pub(super) async fn is_kept(&self, share: ShareId, witness: NodeId) -> bool {
        let keep = KeepShare {
            si: share.si,
            share: share.share,
        };
        let answer = self.ask(witness, Request::KeepShare(keep)).await;
        matches!(answer, Some(Response::ShareKept { kept: true }))
    }

    /// Whether a node has all blocks of the share, and the bytes read to find out.
    pub(super) async fn prove(&self, share: ShareId, witness: NodeId) -> (bool, u64) {
        let Some(file) = self.file_of(share).await else {
            return (false, 0);
        };
        match self.transfers.check_at(file, vec![witness], true).await {
            Ok(report) => {
                let holders = report.sharemap.get(&share.share);
                let proven = holders.is_some_and(|nodes| nodes.contains(&witness));
                (proven, report.received_bytes)
            }
            Err(error) => {
                tracing::debug!(%error, "a copy was not proven");
                (false, 0)
            }
        }
    }

    pub(super) async fn throw_away(&self, share: ShareId, reason: Reason) -> bool {
        let mark = TrashMark {
            day: Day::of(self.clock.unix()),
            cause: TrashCause::Surplus,
        };
        match self.store.trash(share, mark).await {
            Ok(moved) => {
                let why = match reason {
                    Reason::Surplus => "a copy that is too many went into the trash",
                    Reason::Elsewhere(_) => {
                        "a share that belongs on another node is there now, and went into the trash here"
                    }
                };
                tracing::info!(si = %share.si, share = share.share.0, bytes = moved.bytes, "{why}");
                true
            }
            Err(fault) => {
                tracing::debug!(si = %share.si, share = share.share.0, ?fault, "a copy stays for now");
                false
            }
        }
    }

    /// Deletes for good what has been in the trash for long enough.
    pub(super) async fn empty_trash(self) {
        let today = Day::of(self.clock.unix()).number();
        let Some(before) = today.checked_sub(self.trash_days) else {
            return;
        };
        let before = Day::from_number(before);
        for bucket in Bucket::all() {
            loop {
                match self.store.empty_trash(bucket, TrashCause::Surplus, before).await {
                    Ok(gone) if gone.shares >= EMPTY_MAX => {}
                    Ok(_) => break,
                    // What comes first, comes first; the next hour goes on.
                    Err(DiskFault::Overloaded) => return,
                    Err(fault) => {
                        tracing::warn!(?fault, "the trash cannot be emptied; the next hour tries again");
                        return;
                    }
                }
            }
        }
    }
}
