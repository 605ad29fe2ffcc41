//! The roster's file: read at the start, replaced whole at each change. A node that lost it joins again; with it, it
//! needs no introducer to come back.

use std::fs;
use std::io;
use std::path::PathBuf;

use truckee_wire::convert::ConvertError;
use truckee_wire::message::RosterFile;

use crate::state_file;

/// Largest file that is looked at: 65,536 members of 4 KiB are beyond anything that this version writes.
const ROSTER_BYTES_MAX: u64 = 64 << 20;

/// Why the cached roster cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The system refused.
    #[error(
        "cannot {doing} the roster {path}: {source}; check that the file belongs to this user and its disk works"
    )]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is larger than any roster.
    #[error(
        "the roster {path} has {bytes} bytes, more than any roster: move it away, and the node will join anew"
    )]
    TooLarge {
        /// Which file.
        path: String,
        /// Its length.
        bytes: u64,
    },
    /// There are more members than a file holds.
    #[error("the roster cannot be written: {0}")]
    Encode(#[from] ConvertError),
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    path: PathBuf,
}

impl Cache {
    pub(super) fn new(path: PathBuf) -> Cache {
        Cache { path }
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> CacheError {
        let path = self.path.display().to_string();
        move |source| CacheError::Io { doing, path, source }
    }

    /// What was cached; `None` if nothing was. A file that is not a roster is put aside, so that nothing is lost and
    /// the node can go on.
    pub(super) fn load(&self) -> Result<Option<RosterFile>, CacheError> {
        let length = match fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read")(error)),
        };
        if length > ROSTER_BYTES_MAX {
            return Err(CacheError::TooLarge {
                path: self.path.display().to_string(),
                bytes: length,
            });
        }
        let bytes = fs::read(&self.path).map_err(self.failed("read"))?;
        match RosterFile::decode(&bytes) {
            Ok(roster) => Ok(Some(roster)),
            Err(error) => {
                let aside = self.path.with_extension("bin.damaged");
                fs::rename(&self.path, &aside).map_err(self.failed("put aside"))?;
                tracing::error!(
                    path = %self.path.display(), aside = %aside.display(), %error,
                    "the cached roster is damaged and was put aside; the node joins anew with its invites"
                );
                Ok(None)
            }
        }
    }

    /// Replaces the file: after a crash it is the old one or the new one, whole.
    pub(super) fn store(&self, roster: &RosterFile) -> Result<(), CacheError> {
        let bytes = roster.encode()?;
        state_file::replace(&self.path, &bytes).map_err(self.failed("write"))
    }
}
