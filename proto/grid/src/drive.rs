//! What a directory of the virtual drive is made of: names, children, sealed rows, and the signed head that says which
//! rows belong to a version.
//!
//! A mutable file is a directory with one unnamed row ([`RowName::Content`]).

mod child;
mod head;
mod keys;
pub mod listing;
mod name;
mod row;
mod sum;

pub use child::{Child, METADATA_BYTES_MAX, Target, UNKNOWN_CAP_BYTES_MAX};
pub use head::{Head, HeadError, SignedHead};
pub use keys::DirectoryKeys;
pub use name::{CHILD_NAME_BYTES_MAX, ChildName, NameError, RowName};
pub use row::{ROWS_MAX, RowError, RowId, SEALED_ROW_BYTES_MAX, SealedRow};
pub use sum::{ROW_SUM_BYTES, RowSum};

use crate::ids::{Hash, StorageIndex};

/// Names one directory to a vdrive: it learns nothing from it but which rows belong together and whose signature counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId {
    /// Derived from the read key.
    pub si: StorageIndex,
    /// Hash of the public key that signs changes. It is part of the name, so that nobody can occupy the name of a
    /// directory with a key of their own.
    pub fingerprint: Hash,
}
