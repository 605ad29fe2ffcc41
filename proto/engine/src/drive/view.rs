//! One version of a directory as its readers see it.

use truckee_grid::drive::{Child, ChildName};

use super::SharedMap;

/// The children of a directory in the order of their names. Cheap to clone.
pub type Children = SharedMap<ChildName, Child>;

/// A verified version of a directory or mutable file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryView {
    /// Counts the changes, from 1.
    pub version: u64,
    /// Whether the write caps of children are there.
    pub writable: bool,
    /// The children in the order of their names; empty for a mutable file.
    pub children: Children,
    /// The content of a mutable file; none for a directory, and for a mutable file that was never written.
    pub content: Option<Child>,
}
