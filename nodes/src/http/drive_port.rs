//! What the HTTP layer needs of the virtual drive and of the checker behind it.

use std::sync::Arc;

use truckee_actors::drive::Drive;
use truckee_engine::drive::{DirectoryView, DriveError, Edit, Edited};
use truckee_grid::caps::MutableCap;
use truckee_grid::drive::{Child, RowName};
use truckee_grid::keys::WriteKey;

use super::port::PortFuture;

/// Reads and changes directories and mutable files.
pub trait DrivePort: Send + Sync + 'static {
    /// Makes a new directory or mutable file with these rows. The key must be fresh from a good random source.
    fn create(&self, key: WriteKey, rows: Vec<(RowName, Child)>) -> PortFuture<Result<(), DriveError>>;

    /// The newest version, verified.
    fn read(&self, cap: &MutableCap) -> PortFuture<Result<Arc<DirectoryView>, DriveError>>;

    /// Applies `edits` in order, all or none, on top of the newest version; durable when it resolves. One answer for
    /// each edit.
    fn edit(&self, cap: &MutableCap, edits: Vec<Edit>) -> PortFuture<Result<Vec<Edited>, DriveError>>;

    /// Whether the mesh has a vdrive that can be asked now; else why not.
    fn reachable(&self) -> Result<(), DriveError>;
}

impl DrivePort for Drive {
    fn create(&self, key: WriteKey, rows: Vec<(RowName, Child)>) -> PortFuture<Result<(), DriveError>> {
        let drive = self.clone();
        Box::pin(async move { drive.create(key, rows).await })
    }

    fn read(&self, cap: &MutableCap) -> PortFuture<Result<Arc<DirectoryView>, DriveError>> {
        let (drive, cap) = (self.clone(), cap.clone());
        Box::pin(async move { drive.read(&cap).await })
    }

    fn edit(&self, cap: &MutableCap, edits: Vec<Edit>) -> PortFuture<Result<Vec<Edited>, DriveError>> {
        let (drive, cap) = (self.clone(), cap.clone());
        Box::pin(async move { drive.edit(&cap, edits).await })
    }

    fn reachable(&self) -> Result<(), DriveError> {
        Drive::reachable(self)
    }
}
