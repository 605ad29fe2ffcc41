//! What a row holds besides its name.

use crate::caps::Cap;

/// Longest metadata of a child, bytes of JSON: room for what backup tools note about a file, and no place to store one.
pub const METADATA_BYTES_MAX: usize = 16 << 10;

/// Longest cap of an unknown kind that is carried, bytes.
pub const UNKNOWN_CAP_BYTES_MAX: usize = 4096;

/// What a child's name stands for.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A cap of a kind that is known here: the strongest one that the viewer may have.
    Cap(Cap),
    /// Caps of a kind that only later software knows. They are carried unread, never made stronger. At least one is
    /// there; each has at most [`UNKNOWN_CAP_BYTES_MAX`] bytes, none of them control characters.
    Unknown {
        /// Changes what it names; only whoever may write the directory sees it.
        write: Option<String>,
        /// Reads, with the prefix `ro.` or `imm.` that says so.
        read: Option<String>,
    },
}

/// A child of a directory, or the content of a mutable file.
#[derive(Clone, PartialEq, Eq)]
pub struct Child {
    /// What it is.
    pub target: Target,
    /// A JSON object as text, at most [`METADATA_BYTES_MAX`] bytes.
    pub metadata: String,
}

impl Target {
    /// The same without any right to change; `None` if nothing is left of it.
    #[must_use]
    pub fn to_read(&self) -> Option<Self> {
        match self {
            Self::Cap(cap) => cap.to_read().map(Self::Cap),
            Self::Unknown { read, .. } => read.as_ref().map(|read| Self::Unknown {
                write: None,
                read: Some(read.clone()),
            }),
        }
    }

    /// Whether it is a directory of a kind that is known here.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        matches!(self, Self::Cap(cap) if cap.is_directory())
    }
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    )*};
}

redacted!(Target, Child);
