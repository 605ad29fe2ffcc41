//! Where the bytes of a share come from: a file of its own, what the system has of that file in memory, or memory, into which
//! a small share is read whole. Owns what it reads from, so that a share whose name goes meanwhile can still be read to its end.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::{ReadWriteFlags, preadv2};

use super::recent::without_pages;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::store) enum Source {
    /// A file with nothing else in it.
    File(Arc<File>),
    /// The same as far as nobody has to wait for a device; what is not there is [`io::ErrorKind::WouldBlock`].
    PageCache(Arc<File>),
    /// The whole share.
    Memory(Bytes),
}

impl Source {
    /// Length of the share file.
    pub(super) fn length(&self) -> io::Result<u64> {
        match self {
            Source::File(file) | Source::PageCache(file) => Ok(file.metadata()?.len()),
            Source::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Fills the buffer from an offset on.
    pub(super) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Source::File(file) => file.read_exact_at(buffer, at),
            Source::PageCache(file) => read_at_once(file, buffer, at),
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

    /// Only what can be read without waiting.
    pub(super) fn without_waiting(&self) -> Source {
        match self {
            Source::File(file) => Source::PageCache(Arc::clone(file)),
            other => other.clone(),
        }
    }
}

/// From this length on a look at the end of a part costs less than copying half of it in vain.
const LONG_BYTES: usize = 64 * 1024;

/// Fills the buffer from the page cache. A system or file system that cannot tell what it would have to wait for says so,
/// with another error.
pub(in crate::store) fn read_at_once(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    let fill = |part: &mut [u8], from| {
        let length = part.len();
        match preadv2(file, &mut [IoSliceMut::new(part)], from, ReadWriteFlags::NOWAIT)? {
            all if all == length => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::WouldBlock)),
        }
    };
    if buffer.len() >= LONG_BYTES {
        fill(&mut [0], at + buffer.len() as u64 - 1)?;
    }
    fill(buffer, at)
}
