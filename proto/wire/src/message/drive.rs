//! Requests and answers about directories of the virtual drive.

use bytes::Bytes;
use truckee_grid::drive::{DirectoryId, RowId, SignedHead};

use crate::convert::ConvertError;

/// One row of a directory, or that it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// Which row.
    pub id: RowId,
    /// What it holds, not empty; none: it is deleted.
    pub sealed: Option<Bytes>,
}

/// The rows of a directory, or what changed of them.
///
/// With `since` 0, the answer is a page of the whole listing, in the order of row ids, behind `after`. With the version
/// that the asker has, it is all rows that changed after it, deleted ones too, when they fit `bytes_max` and the server
/// remembers so far back; else the first page of the whole listing. Pages of a whole listing may be of different
/// versions when somebody changes the directory meanwhile; the asker then asks for what changed since the version of
/// the first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetRows {
    /// Of which directory.
    pub directory: DirectoryId,
    /// The version that the asker has; 0: none.
    pub since: u64,
    /// Go on behind this row of a whole listing; only with `since` 0.
    pub after: Option<RowId>,
    /// Longest payload of the answer, bytes.
    pub bytes_max: u32,
}

/// The answer to [`GetRows`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsGot {
    /// Which database answered: the same for all vdrives of a mesh.
    pub database: [u8; 16],
    /// The newest head, unchecked; none: there is no such directory.
    pub head: Option<SignedHead>,
    /// The rows are a page of all there are; else those that changed since the version asked about.
    pub whole: bool,
    /// The payload, strictly ascending by id.
    pub rows: Vec<RowChange>,
    /// There are more rows behind this one, the last of the page; none: there are not.
    pub next: Option<RowId>,
}

/// Make the version before `head` the one that `head` describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitChange {
    /// The new head. Its version is the one that the change is based on, plus 1.
    pub head: SignedHead,
    /// The payload: the rows that change, strictly ascending by id.
    pub changes: Vec<RowChange>,
}

/// The answer to [`CommitChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeTaken {
    /// Which database answered.
    pub database: [u8; 16],
    /// The change counts and is durable; also when it was taken before. False: another change was first, and nothing
    /// was changed by this one.
    pub taken: bool,
    /// The newest head, unchecked; none: there is no such directory.
    pub head: Option<SignedHead>,
}

impl RowsGot {
    /// Whether the parts go together.
    pub(crate) fn check(&self) -> Result<(), ConvertError> {
        if self.head.is_none() && (!self.rows.is_empty() || self.next.is_some()) {
            return Err(ConvertError::Missing { field: "head" });
        }
        if self.next.is_some() && (!self.whole || self.next != self.rows.last().map(|row| row.id)) {
            return Err(ConvertError::Unexpected { field: "next" });
        }
        Ok(())
    }
}
