//! What can be done to the rows of a directory, each with the condition under which it holds.

use truckee_grid::drive::{Child, ChildName, NameError, RowError, Target};

/// What to do when the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Put the new child in its place.
    Always,
    /// Refuse.
    Never,
    /// Put the new child in its place unless it is a directory.
    OnlyFiles,
}

/// One change of one directory. The edits of one call are applied in order, all or none.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Links a child.
    Set {
        /// Its name.
        name: ChildName,
        /// What it is.
        target: Target,
        /// A JSON object that replaces the old metadata but for its `tahoe` part; none: what is there stays.
        metadata: Option<String>,
        /// What to do when the name is taken.
        replace: Replace,
    },
    /// Unlinks a child. What it names is not touched.
    Remove {
        /// Its name.
        name: ChildName,
    },
    /// Unlinks the child only if it still is this one: the second half of a move to another directory.
    RemoveIf {
        /// Its name.
        name: ChildName,
        /// What it must be.
        target: Target,
    },
    /// Gives a child another name. Renaming to its own name changes nothing.
    Rename {
        /// The name now.
        from: ChildName,
        /// The name then.
        to: ChildName,
        /// What to do when the new name is taken.
        replace: Replace,
    },
    /// Swaps the content of a mutable file.
    SetContent {
        /// The new content: `CHK` or `LIT`.
        target: Target,
        /// The content that the new one was made from; if another is there by now, the edit is refused. None: whatever
        /// is there is replaced.
        based_on: Option<Target>,
    },
}

/// What an edit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The child that was under the name before: replaced, removed or moved.
    pub before: Option<Child>,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct EditRefused {
    /// Which edit of the call, from 0.
    pub index: usize,
    /// Why.
    pub why: EditWhy,
}

/// Why an edit is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditWhy {
    /// The name is taken.
    #[error("there is already a child of that name, and it is not to be replaced")]
    Exists,
    /// The name is taken by a directory.
    #[error("there is already a directory of that name, and only files are to be replaced")]
    ExistsDirectory,
    /// No child has the name.
    #[error("there is no child of that name")]
    NotFound,
    /// The child or content is another one by now.
    #[error("somebody else has changed it meanwhile; read it again and repeat")]
    Changed,
    /// The directory is full.
    #[error("a directory holds at most {rows_max} children; put some into a subdirectory")]
    Full {
        /// The bound.
        rows_max: usize,
    },
    /// The metadata is no JSON object or too long.
    #[error("the metadata of a child must be a JSON object of at most {bytes_max} bytes")]
    Metadata {
        /// The bound.
        bytes_max: usize,
    },
    /// The edit does not fit the thing: a child for a mutable file, a content for a directory.
    #[error("a mutable file has no children, and a directory no content")]
    WrongKind,
    /// The target cannot stand in a row.
    #[error(transparent)]
    Target(RowError),
    /// The name is none.
    #[error(transparent)]
    Name(#[from] NameError),
}
