//! The share store as the rest of the node asks it, besides the requests of peers. Owns no state.

use tokio::sync::oneshot;
use truckee_engine::store::{
    Amount, DiskFault, Listing, ShareId, StoreReport, Survey, TrashCause, TrashMark,
};
use truckee_engine::time::Day;
use truckee_grid::bucket::Bucket;

use super::{AskSurvey, List, Move, Moving, Report, SetDraining, SetToday, ShareStore, Verify};
use crate::supervise::Slot;

/// The share store as the rest of the node sees it, besides its requests.
#[derive(Clone, Debug)]
pub struct ShareStoreHandle(Slot<ShareStore>);

impl ShareStoreHandle {
    /// A handle of the store in `slot`.
    pub fn new(slot: &Slot<ShareStore>) -> ShareStoreHandle {
        ShareStoreHandle(slot.clone())
    }

    /// Has a share read back and every hash of it checked; what is wrong is put aside. Gives the bytes read.
    ///
    /// # Errors
    /// What is wrong; [`DiskFault::Overloaded`] while peers keep the disk busy and while the store stops,
    /// [`DiskFault::Failed`] also if it has ended.
    pub async fn verify(&self, share: ShareId) -> Result<u64, DiskFault> {
        let (asker, answer) = oneshot::channel();
        self.0.tell(Verify(share, asker)).map_err(|_| DiskFault::Failed)?;
        answer.await.unwrap_or(Err(DiskFault::Failed))
    }

    /// A page of the shares of a bucket, those behind `after`. What has no good header is put aside.
    ///
    /// # Errors
    /// As [`ShareStoreHandle::verify`].
    pub async fn list(&self, bucket: Bucket, after: Option<ShareId>) -> Result<Listing, DiskFault> {
        let (asker, answer) = oneshot::channel();
        self.0
            .tell(List(bucket, after, asker))
            .map_err(|_| DiskFault::Failed)?;
        answer.await.unwrap_or(Err(DiskFault::Failed))
    }

    /// Moves a finished share into the trash: it is not served any more, and waits there to be restored or deleted. Gives
    /// what was moved.
    ///
    /// # Errors
    /// As [`ShareStoreHandle::verify`]; [`DiskFault::NotFound`] if there is no such share.
    pub async fn trash(&self, share: ShareId, mark: TrashMark) -> Result<Amount, DiskFault> {
        self.moved(Moving::Trash(share, mark)).await
    }

    /// Gives a share in the trash its place back. Gives what was moved: nothing if there is one in its place.
    ///
    /// # Errors
    /// As [`ShareStoreHandle::trash`].
    pub async fn restore(&self, share: ShareId) -> Result<Amount, DiskFault> {
        self.moved(Moving::Restore(share)).await
    }

    /// Deletes for good some of what was put into the trash of a bucket for a cause before a day. Gives what went: nothing if nothing
    /// is left.
    ///
    /// # Errors
    /// As [`ShareStoreHandle::verify`].
    pub async fn empty_trash(
        &self,
        bucket: Bucket,
        cause: TrashCause,
        before: Day,
    ) -> Result<Amount, DiskFault> {
        self.moved(Moving::Empty(bucket, cause, before)).await
    }

    /// As [`ShareStoreHandle::trash`], if the lease of the share is from before `leased_before`; else nothing is moved.
    ///
    /// # Errors
    /// As [`ShareStoreHandle::trash`].
    pub async fn collect(&self, share: ShareId, day: Day, leased_before: Day) -> Result<Amount, DiskFault> {
        self.moved(Moving::Collect(share, day, leased_before)).await
    }

    /// A page of the leases of a bucket, those behind `after`.
    ///
    /// # Errors
    /// As [`ShareStoreHandle::verify`].
    pub async fn survey(&self, bucket: Bucket, after: Option<ShareId>) -> Result<Survey, DiskFault> {
        let (asker, answer) = oneshot::channel();
        self.0
            .tell(AskSurvey(bucket, after, asker))
            .map_err(|_| DiskFault::Failed)?;
        answer.await.unwrap_or(Err(DiskFault::Failed))
    }

    /// What day it is, as far as the node itself has seen days pass; false if the store has ended.
    pub fn set_today(&self, today: Day) -> bool {
        self.0.tell(SetToday(today)).is_ok()
    }

    async fn moved(&self, moving: Moving) -> Result<Amount, DiskFault> {
        let (asker, answer) = oneshot::channel();
        self.0.tell(Move(moving, asker)).map_err(|_| DiskFault::Failed)?;
        answer.await.unwrap_or(Err(DiskFault::Failed))
    }

    /// Has the store take no share any more, or again; `None` if it has ended.
    pub async fn set_draining(&self, draining: bool) -> Option<()> {
        let (asker, answer) = oneshot::channel();
        self.0.tell(SetDraining(draining, asker)).ok()?;
        answer.await.ok()
    }

    /// A look at the store; `None` if it has ended.
    pub async fn report(&self) -> Option<StoreReport> {
        let (asker, answer) = oneshot::channel();
        self.0.tell(Report(asker)).ok()?;
        answer.await.ok()
    }
}
