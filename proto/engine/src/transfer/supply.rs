//! What goes into a share that is being written: the requests that write it, with the time for each, and where their
//! blocks come from. Owns nothing that changes.

use std::time::Duration;

use bytes::Bytes;
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_grid::params::Coding;
use truckee_wire::message::{
    AbortShare, CloseShare, FileFacts, FindShares, OpenShare, PutShare, Request, WriteBlock,
};

/// Time for opening a share: one small disk operation in a queue of them.
pub const OPEN_BUDGET: Duration = Duration::from_secs(10);

/// Time for a block: 16 MiB over a line of 4.5 Mbit/s; what is slower than that does not carry a mesh.
pub const WRITE_BUDGET: Duration = Duration::from_secs(30);

/// Time for closing a share: reading nothing, but an fsync of what may be gigabytes on a slow disk.
pub const CLOSE_BUDGET: Duration = Duration::from_secs(60);

/// The share that is written, as its requests name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShareName {
    pub(crate) si: StorageIndex,
    pub(crate) share: ShareNumber,
    /// The upload, or the repair, that writes it.
    pub(crate) upload: UploadId,
}

impl ShareName {
    /// Take this share; or: it is still being written.
    pub(crate) fn open(self, shape: Shape) -> Request {
        Request::OpenShare(OpenShare {
            si: self.si,
            share: self.share,
            upload: self.upload,
            coding: shape.coding,
            segment_bytes: shape.segment_bytes,
            reserve_bytes: shape.reserve_bytes,
        })
    }

    fn write(self, segment: u64, piece: Piece) -> Request {
        Request::WriteBlock(WriteBlock {
            si: self.si,
            share: self.share,
            upload: self.upload,
            segment: SegmentIndex(segment),
            block_leaf: piece.block_leaf,
            sealed_leaf: piece.sealed_leaf,
            block: piece.block,
        })
    }

    fn close(self, file: FileFacts) -> Request {
        Request::CloseShare(CloseShare {
            si: self.si,
            share: self.share,
            upload: self.upload,
            file,
        })
    }

    fn put(self, file: FileFacts, block: Bytes) -> Request {
        Request::PutShare(PutShare {
            si: self.si,
            share: self.share,
            file,
            block,
        })
    }

    /// Which shares of the file does the peer hold, and of which file?
    fn find(self) -> Request {
        Request::FindShares(FindShares {
            si: self.si,
            inline_bytes_max: 0,
        })
    }

    /// Forget the share, open or finished.
    pub(crate) fn abort(self) -> Request {
        Request::AbortShare(AbortShare {
            si: self.si,
            share: self.share,
            upload: self.upload,
        })
    }
}

/// What a peer must know of a share before its first block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) coding: Coding,
    /// Plaintext bytes of every segment but the last.
    pub(crate) segment_bytes: u32,
    /// Expected length of the share file, 0 if the length of the file is not known.
    pub(crate) reserve_bytes: u64,
}

/// The block of one segment, with what goes beside it.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) block: Bytes,
    pub(crate) block_leaf: Hash,
    pub(crate) sealed_leaf: Hash,
}

/// Where the blocks are that are to be written.
pub(crate) trait Pieces {
    /// The block of a share and a segment, if it is still there.
    fn piece(&self, share: ShareNumber, segment: u64) -> Option<Piece>;
}

/// What there is to be written.
pub(crate) struct Supply<'a> {
    pub(crate) name: ShareName,
    pub(crate) shape: Shape,
    /// The blocks of segments below this are there, or have been.
    pub(crate) end: u64,
    pub(crate) pieces: &'a dyn Pieces,
    /// The finished file, once no further blocks come.
    pub(crate) file: Option<&'a FileFacts>,
}

impl Supply<'_> {
    /// The request; `None` if what it carries is not there (yet).
    pub(crate) fn request(&self, ask: Ask) -> Option<Request> {
        let (name, piece) = (self.name, |segment| self.pieces.piece(self.name.share, segment));
        Some(match ask {
            Ask::Open | Ask::Keep => name.open(self.shape),
            Ask::Write(segment) => name.write(segment, piece(segment)?),
            Ask::Close => name.close(self.file?.clone()),
            Ask::Put => name.put(self.file?.clone(), piece(0)?.block),
            Ask::Check => name.find(),
        })
    }
}

/// What is asked of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Open,
    /// The same again, only to say that the writer lives.
    Keep,
    /// The block of this segment is to be taken.
    Write(u64),
    Close,
    /// The whole share, of one block, is to be taken.
    Put,
    /// Of which file is the share that it holds?
    Check,
}

impl Ask {
    /// Time for it.
    pub(crate) fn budget(self, check: Duration) -> Duration {
        match self {
            Ask::Open | Ask::Keep => OPEN_BUDGET,
            Ask::Write(_) | Ask::Put => WRITE_BUDGET,
            Ask::Close => CLOSE_BUDGET,
            Ask::Check => check,
        }
    }
}
