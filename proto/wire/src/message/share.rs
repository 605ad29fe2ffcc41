//! Requests and answers about shares.

use std::time::Duration;

use bytes::Bytes;
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_grid::params::Coding;
use truckee_grid::ueb::Ueb;

/// What every share of a file says about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Parameters and roots; its hash stands in the cap.
    pub ueb: Ueb,
    /// The roots of the n block trees, in order of the shares.
    pub share_roots: Vec<Hash>,
}

/// Which shares of a file does the receiver hold?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindShares {
    /// The file.
    pub si: StorageIndex,
    /// If the file has one segment and a block of it is at most this long, the answer carries the block of the
    /// lowest-numbered share held.
    pub inline_bytes_max: u32,
}

/// The answer to [`FindShares`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundShares {
    /// Ascending; empty: none here.
    pub shares: Vec<ShareNumber>,
    /// Present exactly if `shares` is not empty. Checked in form only: its hash must be compared with the cap's.
    pub file: Option<FileFacts>,
    /// The block of `shares[0]`, if it was asked for and is short enough. It is all of a one-segment file's share, so
    /// its proof is `file` alone.
    pub inlined: Option<Bytes>,
}

/// A share is going to be written, by one uploader, named by `upload`, over one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenShare {
    /// The file.
    pub si: StorageIndex,
    /// Which of its shares.
    pub share: ShareNumber,
    /// The upload that writes it.
    pub upload: UploadId,
    /// k of n.
    pub coding: Coding,
    /// Plaintext bytes of every segment but the last.
    pub segment_bytes: u32,
    /// Expected length of the share file, 0 if the length of the file is not known.
    pub reserve_bytes: u64,
}

/// The next block of an open share. Blocks come in order of their segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteBlock {
    /// The file.
    pub si: StorageIndex,
    /// Which of its shares.
    pub share: ShareNumber,
    /// The upload that opened it.
    pub upload: UploadId,
    /// Which segment the block belongs to.
    pub segment: SegmentIndex,
    /// Leaf of this share's block tree.
    pub block_leaf: Hash,
    /// Leaf of the sealed-segment tree.
    pub sealed_leaf: Hash,
    /// The payload; not empty.
    pub block: Bytes,
}

/// All blocks of a share are written. The node checks that the trees over the leaves that it got have the roots that
/// the facts say, makes the share durable, and only then answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseShare {
    /// The file.
    pub si: StorageIndex,
    /// Which of its shares.
    pub share: ShareNumber,
    /// The upload that opened it.
    pub upload: UploadId,
    /// The finished file.
    pub file: FileFacts,
}

/// Forget an open share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortShare {
    /// The file.
    pub si: StorageIndex,
    /// Which of its shares.
    pub share: ShareNumber,
    /// The upload that opened it.
    pub upload: UploadId,
}

/// A whole share of a file of one segment, in one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutShare {
    /// The file.
    pub si: StorageIndex,
    /// Which of its shares.
    pub share: ShareNumber,
    /// The file's parameters and roots.
    pub file: FileFacts,
    /// The payload; not empty.
    pub block: Bytes,
}

/// One block of a share, with its proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBlock {
    /// The file.
    pub si: StorageIndex,
    /// Which of its shares.
    pub share: ShareNumber,
    /// Which segment.
    pub segment: SegmentIndex,
    /// The asker got this block before, and it was damaged: it is to be checked by who holds it, and the share to be put
    /// aside if that is so.
    pub suspect: bool,
}

/// See [`super::Request::KeepShare`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepShare {
    /// The file.
    pub si: StorageIndex,
    /// Which of its shares.
    pub share: ShareNumber,
}

/// The answer to [`ReadBlock`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRead {
    /// Authentication path of the block in the share's block tree, leaf upwards.
    pub block_path: Vec<Hash>,
    /// The sealed segment's place in its tree.
    pub sealed: SealedProof,
    /// The payload; not empty.
    pub block: Bytes,
}

/// A leaf of the sealed-segment tree with its way to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedProof {
    /// What the sealed segment must hash to.
    pub leaf: Hash,
    /// Authentication path of the leaf, leaf upwards.
    pub path: Vec<Hash>,
}

/// How full and how old a storage node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Shares held.
    pub share_count: u64,
    /// Bytes used by shares.
    pub used_bytes: u64,
    /// Bytes for new shares, after quota and reserve.
    pub available_bytes: u64,
    /// Whether new shares are taken at all.
    pub accepts_shares: bool,
    /// Since the start of the process; whole seconds travel.
    pub uptime: Duration,
    /// Name and version; at most 64 bytes.
    pub software: String,
}
