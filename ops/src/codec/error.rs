//! What can go wrong in splitting and joining files, each with what to do next.

use crate::exit::Exit;

/// Why a file could not be split, or not be put together again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// k, n or both are out of bounds.
    #[error("{reason}; give other numbers with -k and -n")]
    Coding {
        /// Which bound.
        reason: String,
    },
    /// None of the files given is a share that can be used.
    #[error("none of the {given} files given is a usable share; each line above says why")]
    NoShares {
        /// Files given.
        given: usize,
    },
    /// Fewer shares than needed.
    #[error("{have} usable shares are there and {need} are needed; find {} more of this file", need - have)]
    TooFew {
        /// Different usable shares of one file.
        have: usize,
        /// k.
        need: usize,
    },
    /// The shares restore more than one file.
    #[error(
        "the shares given belong to {files} different files, each of which they could restore; give those of one"
    )]
    Mixed {
        /// Files that they would restore.
        files: usize,
    },
    /// Too many shares are damaged at the same place.
    #[error(
        "at byte {at_byte} of the file only {have} of {need} shares needed are undamaged; give more shares, nothing was kept"
    )]
    DamagedTogether {
        /// Where in the restored file the segment starts.
        at_byte: u64,
        /// Good blocks there.
        have: usize,
        /// k.
        need: usize,
    },
    /// The blocks of a share are good one by one, but not those that its end names.
    #[error(
        "{share} was put together from blocks of different files; leave it out and try again, nothing was kept"
    )]
    Spliced {
        /// Its name.
        share: String,
    },
    /// A share would overwrite a file.
    #[error("{path} exists; give --force to replace it, or another --prefix or --dir")]
    Exists {
        /// The first file in the way.
        path: String,
    },
}

impl CodecError {
    /// The exit code of this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            CodecError::Coding { .. } | CodecError::Mixed { .. } => Exit::Usage,
            CodecError::Exists { .. } => Exit::Refused,
            CodecError::NoShares { .. }
            | CodecError::TooFew { .. }
            | CodecError::DamagedTogether { .. }
            | CodecError::Spliced { .. } => Exit::NotFound,
        }
    }
}
