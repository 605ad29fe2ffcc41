//! What the HTTP layer needs of the checker of files, and the record of what the node's operations were.

use std::sync::Arc;

use truckee_actors::transfers::{History, OperationKind, Transfers};
use truckee_engine::drive::{DirectoryView, DriveError, Edit, Edited};
use truckee_grid::caps::{ChkVerifier, MutableCap};
use truckee_grid::drive::{Child, RowName};
use truckee_grid::ids::StorageIndex;
use truckee_grid::keys::WriteKey;

pub use truckee_actors::transfers::{
    CheckError, CheckReport, CorruptShare, Corruption, RenewReport, RepairFailed, RepairOutcome, RepairReport,
};

use super::drive_port::DrivePort;
use super::port::PortFuture;

/// Finds out who holds good shares of a file.
pub trait CheckPort: Send + Sync + 'static {
    /// Asks every storage node; with `verify`, reads and hashes every block of every share. Dropping the future cancels.
    fn check(&self, file: ChkVerifier, verify: bool) -> PortFuture<Result<CheckReport, CheckError>>;

    /// Makes again what a check has just found missing or damaged. Dropping the future cancels.
    fn repair(
        &self,
        file: ChkVerifier,
        found: CheckReport,
    ) -> PortFuture<Result<RepairReport, Box<RepairFailed>>>;

    /// Renews the leases of files, strictly ascending, at all storage nodes; `None` if the node stops. Dropping the future
    /// ends it.
    fn renew(&self, sis: Vec<StorageIndex>) -> PortFuture<Option<RenewReport>>;

    /// Where operations are recorded.
    fn history(&self) -> History;
}

impl CheckPort for Transfers {
    fn check(&self, file: ChkVerifier, verify: bool) -> PortFuture<Result<CheckReport, CheckError>> {
        let transfers = self.clone();
        Box::pin(async move { transfers.check(file, verify).await })
    }

    fn repair(
        &self,
        file: ChkVerifier,
        found: CheckReport,
    ) -> PortFuture<Result<RepairReport, Box<RepairFailed>>> {
        let transfers = self.clone();
        Box::pin(async move { transfers.mend(file, &found).await })
    }

    fn renew(&self, sis: Vec<StorageIndex>) -> PortFuture<Option<RenewReport>> {
        let transfers = self.clone();
        Box::pin(async move { transfers.renew(sis).await })
    }

    fn history(&self) -> History {
        Transfers::history(self).clone()
    }
}

/// A drive whose changes are recorded.
pub(super) struct Recorded {
    drive: Arc<dyn DrivePort>,
    history: History,
}

impl Recorded {
    pub(super) fn new(drive: Arc<dyn DrivePort>, history: History) -> Recorded {
        Recorded { drive, history }
    }

    fn record<T: Send + 'static>(
        &self,
        cap: &MutableCap,
        rows: usize,
        change: PortFuture<Result<T, DriveError>>,
    ) -> PortFuture<Result<T, DriveError>> {
        let entry = self
            .history
            .begin(OperationKind::Change, Some(cap.storage_index()), None);
        entry.count("rows", rows as u64);
        Box::pin(async move {
            let result = change.await;
            entry.end(result.as_ref().map_or_else(cause, |_| "completed"));
            result
        })
    }
}

/// A short name from a closed set.
fn cause(error: &DriveError) -> &'static str {
    super::TreeError::Drive(error.clone()).cause()
}

impl DrivePort for Recorded {
    fn create(&self, key: WriteKey, rows: Vec<(RowName, Child)>) -> PortFuture<Result<(), DriveError>> {
        let (cap, count) = (MutableCap::of_write_key(key.clone()), rows.len());
        self.record(&cap, count, self.drive.create(key, rows))
    }

    fn read(&self, cap: &MutableCap) -> PortFuture<Result<Arc<DirectoryView>, DriveError>> {
        self.drive.read(cap)
    }

    fn edit(&self, cap: &MutableCap, edits: Vec<Edit>) -> PortFuture<Result<Vec<Edited>, DriveError>> {
        let count = edits.len();
        self.record(cap, count, self.drive.edit(cap, edits))
    }

    fn reachable(&self) -> Result<(), DriveError> {
        self.drive.reachable()
    }
}
