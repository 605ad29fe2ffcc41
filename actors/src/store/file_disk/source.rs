//! Where the bytes of a share come from: a file of its own, or memory, into which a small share is read whole. Owns what it
//! reads from, so that a share whose name goes meanwhile can still be read to its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::recent::without_pages;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::store) enum Source {
    /// A file with nothing else in it.
    File(Arc<File>),
    /// The whole share.
    Memory(Bytes),
}

impl Source {
    /// Length of the share file.
    pub(super) fn length(&self) -> io::Result<u64> {
        match self {
            Source::File(file) => Ok(file.metadata()?.len()),
            Source::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Fills the buffer from an offset on.
    pub(super) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Source::File(file) => file.read_exact_at(buffer, at),
            Source::Memory(bytes) => {
                let from = usize::try_from(at).ok();
                let part = from.and_then(|from| bytes.get(from..from.checked_add(buffer.len())?));
                buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }

    /// What the system remembers of a file says nothing about the disk.
    pub(super) fn forget_pages(&self) {
        if let Source::File(file) = self {
            without_pages(file, 0, 0);
        }
    }
}
