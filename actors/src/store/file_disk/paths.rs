//! Where a share lies, finished, unfinished or put aside. Owns the names below the node's directory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use truckee_engine::store::{IncomingId, ShareId};
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{ShareNumber, StorageIndex};

/// The directories of one store.
#[derive(Debug)]
pub(super) struct Paths {
    shares: PathBuf,
    incoming: PathBuf,
    quarantine: PathBuf,
}

impl Paths {
    pub(super) fn below(dir: &Path) -> Paths {
        Paths {
            shares: dir.join("shares"),
            incoming: dir.join("incoming"),
            quarantine: dir.join("quarantine"),
        }
    }

    pub(super) fn shares(&self) -> &Path {
        &self.shares
    }

    pub(super) fn incoming(&self) -> &Path {
        &self.incoming
    }

    pub(super) fn quarantine(&self) -> &Path {
        &self.quarantine
    }

    /// The directory of all files of a bucket.
    pub(super) fn bucket(&self, bucket: Bucket) -> PathBuf {
        self.shares.join(bucket.to_string())
    }

    /// The directory of the shares of one file.
    pub(super) fn file(&self, si: StorageIndex) -> PathBuf {
        self.bucket(Bucket::of(&si)).join(si.to_base32())
    }

    pub(super) fn share(&self, share: ShareId) -> PathBuf {
        self.file(share.si).join(share.share.0.to_string())
    }

    pub(super) fn unfinished(&self, incoming: IncomingId) -> PathBuf {
        self.incoming.join(incoming.0.to_string())
    }

    /// A place for a damaged share; `attempt` tells apart shares of the same name damaged at different times.
    pub(super) fn aside(&self, share: ShareId, attempt: u32) -> PathBuf {
        self.quarantine
            .join(format!("{}.{}.{attempt}", share.si.to_base32(), share.share.0))
    }
}

/// The share number that a file name says, if it says one in the one way that [`Paths::share`] writes it.
pub(super) fn share_number(name: &OsStr) -> Option<ShareNumber> {
    let text = name.to_str()?;
    let number: u8 = text.parse().ok()?;
    (number.to_string() == text).then_some(ShareNumber(number))
}
