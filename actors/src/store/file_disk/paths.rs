//! Where a share lies, finished, unfinished, put aside or thrown away. Owns the names below the node's directory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use truckee_engine::store::{IncomingId, ShareId, TrashCause, TrashMark};
use truckee_engine::time::Day;
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{ShareNumber, StorageIndex};

/// The directories of one store.
#[derive(Debug)]
pub(super) struct Paths {
    shares: PathBuf,
    incoming: PathBuf,
    quarantine: PathBuf,
    trash: PathBuf,
    leases: PathBuf,
}

impl Paths {
    pub(super) fn below(dir: &Path) -> Paths {
        Paths {
            shares: dir.join("shares"),
            incoming: dir.join("incoming"),
            quarantine: dir.join("quarantine"),
            trash: dir.join("trash"),
            leases: dir.join("leases"),
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

    pub(super) fn trash(&self) -> &Path {
        &self.trash
    }

    pub(super) fn leases(&self) -> &Path {
        &self.leases
    }

    /// The leases of the files of a bucket.
    pub(super) fn lease_table(&self, bucket: Bucket) -> PathBuf {
        self.leases.join(bucket.to_string())
    }

    /// A table that is to replace the one before.
    pub(super) fn new_lease_table(&self, bucket: Bucket) -> PathBuf {
        self.leases.join(format!("{bucket}.new"))
    }

    /// The directory of what a bucket has in the trash.
    pub(super) fn trash_of(&self, bucket: Bucket) -> PathBuf {
        self.trash.join(bucket.to_string())
    }

    /// Where a share lies in the trash.
    pub(super) fn trashed(&self, share: ShareId, mark: TrashMark) -> PathBuf {
        let (si, number) = (share.si.to_base32(), share.share.0);
        let (day, cause) = (mark.day.number(), mark.cause.word());
        self.trash_of(Bucket::of(&share.si))
            .join(format!("{si}.{number}.{day}.{cause}"))
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

/// The share that a file name in the trash says, if it says one in the one way that [`Paths::trashed`] writes it.
pub(super) fn trashed_share(name: &OsStr) -> Option<(ShareId, TrashMark)> {
    let mut parts = name.to_str()?.split('.');
    let si: StorageIndex = parts.next()?.parse().ok()?;
    let share = share_number(OsStr::new(parts.next()?))?;
    let text = parts.next()?;
    let day: u32 = text.parse().ok()?;
    let cause = TrashCause::from_word(parts.next()?)?;
    let mark = TrashMark {
        day: Day::from_number(day),
        cause,
    };
    (parts.next().is_none() && day.to_string() == text).then_some((ShareId { si, share }, mark))
}
