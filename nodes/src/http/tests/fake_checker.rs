//! A checker of the fake mesh: files that were uploaded are healthy, others are held by nobody, and some are as told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use truckee_actors::clock::SystemClock;
use truckee_actors::transfers::{History, PeerWhy, TransferPeerReport};
use truckee_engine::repair::{Findings, Placed, RepairError};
use truckee_grid::caps::ChkVerifier;
use truckee_grid::ids::{NodeId, ShareNumber, StorageIndex};

use super::fake::{Fake, Mood};
use crate::http::check_port::{
    CheckError, CheckPort, CheckReport, CorruptShare, Corruption, RenewReport, RepairFailed, RepairOutcome,
    RepairReport,
};
use crate::http::port::PortFuture;

pub(super) struct FakeChecker(pub(super) Arc<Fake>);

/// Share `number` is at peer `number`; with two missing, share 0 is corrupt at peer 0 and peer 1 says nothing.
pub(super) fn report(file: ChkVerifier, verify: bool, missing: usize) -> CheckReport {
    let n = file.coding.n();
    let at = |number: usize| NodeId([number as u8; 32]);
    let sharemap: BTreeMap<ShareNumber, Vec<NodeId>> = (missing..n)
        .map(|number| (ShareNumber(number as u8), vec![at(number)]))
        .collect();
    let corrupt = CorruptShare {
        peer: at(0),
        share: ShareNumber(0),
        what: Corruption::Block,
    };
    let silent = TransferPeerReport {
        peer: at(1),
        why: PeerWhy::LinkLost,
    };
    CheckReport {
        si: file.si,
        coding: file.coding,
        verified: verify,
        happiness: sharemap.len(),
        sharemap,
        corrupt: if missing > 0 { vec![corrupt] } else { Vec::new() },
        incompatible: Vec::new(),
        responding: (0..n)
            .filter(|number| missing < 2 || *number != 1)
            .map(at)
            .collect(),
        silent: if missing > 1 { vec![silent] } else { Vec::new() },
        blocks: if verify { n as u64 } else { 0 },
        received_bytes: 0,
        locate: Duration::from_millis(1),
        total: Duration::from_millis(2),
    }
}

impl CheckPort for FakeChecker {
    fn check(&self, file: ChkVerifier, verify: bool) -> PortFuture<Result<CheckReport, CheckError>> {
        let fake = Arc::clone(&self.0);
        Box::pin(async move {
            let known = fake.holds(&file.si);
            match fake.mood() {
                Mood::Stopping => Err(CheckError::Stopping),
                // Checks that never come to an end.
                Mood::Overloaded => std::future::pending().await,
                Mood::CutShort => Err(CheckError::CapContradicts),
                Mood::NotHappy => Ok(report(file, verify, 2)),
                Mood::TooFewShares => Ok(report(file, verify, 8)),
                Mood::Kind if known => Ok(report(file, verify, 0)),
                Mood::Kind => Ok(report(file, verify, file.coding.n())),
            }
        })
    }

    /// A mesh in which two shares are missing is whole afterwards; where too many are, nothing can be done.
    fn repair(
        &self,
        file: ChkVerifier,
        found: CheckReport,
    ) -> PortFuture<Result<RepairReport, Box<RepairFailed>>> {
        let fake = Arc::clone(&self.0);
        Box::pin(async move {
            if !found.is_recoverable() {
                return Err(Box::new(RepairFailed {
                    error: RepairError::TooFewShares {
                        have: found.good(),
                        need: file.coding.k(),
                    },
                    findings: Findings::default(),
                }));
            }
            let missing = file
                .coding
                .shares()
                .filter(|share| !found.sharemap.contains_key(share));
            let placed = missing.map(|share| Placed {
                share,
                peer: NodeId([share.0; 32]),
                existed: false,
                copy: false,
            });
            let report = RepairReport {
                si: file.si,
                ueb_hash: file.ueb_hash,
                coding: file.coding,
                outcome: RepairOutcome::Complete,
                before: BTreeMap::new(),
                unplaced: Vec::new(),
                findings: Findings {
                    placed: placed.collect(),
                    ..Findings::default()
                },
            };
            fake.set(Mood::Kind);
            Ok(report)
        })
    }

    fn renew(&self, sis: Vec<StorageIndex>) -> PortFuture<Option<RenewReport>> {
        let fake = Arc::clone(&self.0);
        Box::pin(async move {
            let stopping = matches!(fake.mood(), Mood::Stopping);
            let silent = matches!(fake.mood(), Mood::NotHappy);
            (!stopping).then(|| RenewReport {
                holders: sis.iter().map(|si| u32::from(fake.holds(si)) * 10).collect(),
                nodes: 10,
                failed: silent.then_some(NodeId([1; 32])).into_iter().collect(),
            })
        })
    }

    fn history(&self) -> History {
        self.0.history()
    }
}

pub(super) fn history() -> History {
    History::new(SystemClock::handle())
}
