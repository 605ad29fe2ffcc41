//! What goes into the share store's machine and what comes out: names of shares and of work, disk operations and their
//! outcomes. Owns no state.

use bytes::Bytes;
use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{Hash, SegmentIndex, ShareNumber, StorageIndex};
use truckee_grid::params::Coding;
use truckee_wire::message::{BlockRead, Failure, FileFacts, Response};

use super::lease::Survey;
use super::trash::{Amount, TrashCause, TrashMark};
use crate::time::{Day, Mono, UnixSeconds};

/// Shares that one page of a list looks at: some ten kilobytes of answer, and on a rotating disk that has to seek for each
/// of them a few seconds of work.
pub const LIST_MAX: usize = 256;
/// Shares that one operation deletes from the trash: a disk that seeks for each is done in seconds.
pub const EMPTY_MAX: u64 = 256;

/// One share: of which file, and which of its shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareId {
    /// The file.
    pub si: StorageIndex,
    /// Which of its shares.
    pub share: ShareNumber,
}

/// Names a request while it is being served. The shell chooses it and finds its responder by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a disk operation until its outcome is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskToken(pub u64);

/// Names an unfinished share file. Never used twice while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncomingId(pub u64);

/// Who asks, and until when an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Comes back with the answer.
    pub ticket: Ticket,
    /// The link that the request came on. What it leaves open goes when the link goes.
    pub link: u64,
    /// Work that starts later is refused with `Expired`.
    pub deadline: Mono,
}

/// What the owner of a share said about keeping it. A share has no owner: whoever writes or renews it keeps it for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Lease {
    /// When the share was written, or its lease last renewed.
    pub granted: UnixSeconds,
}

/// All that is needed to finish a share file behind its blocks. Roots are checked against the leaves before one is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Parameters and roots of the file.
    pub file: FileFacts,
    /// Leaves of this share's block tree, in order of the segments.
    pub block_leaves: Vec<Hash>,
    /// Leaves of the sealed tree, in order of the segments.
    pub sealed_leaves: Vec<Hash>,
    /// Kept beside the share.
    pub lease: Lease,
}

/// Work for the disk. Operations on shares of one storage index are carried out in the order in which they were given,
/// as far as they write; those that only read may overtake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Begins an unfinished share file, unless the share is there already. Done: [`DiskDone::Created`] or
    /// [`DiskDone::Exists`].
    Create {
        /// The unfinished file.
        incoming: IncomingId,
        /// What it will be.
        share: ShareId,
        /// k of n.
        coding: Coding,
        /// Plaintext bytes of a full segment.
        segment_bytes: u32,
        /// Length of the finished file as its uploader expects it, for which the store has reserved room; 0 if it does not know.
        expected_bytes: u64,
    },
    /// Appends a block. Done: [`DiskDone::Appended`]; it need be neither written nor durable yet.
    Append {
        /// The unfinished file.
        incoming: IncomingId,
        /// What it will be.
        share: ShareId,
        /// The bytes.
        block: Bytes,
    },
    /// Finishes the file, makes it durable and gives it its place. Done: [`DiskDone::Stored`], after which no crash
    /// loses it, or [`DiskDone::Exists`], and the unfinished file is gone. After a fault the file is still there.
    Finish {
        /// The unfinished file.
        incoming: IncomingId,
        /// What it becomes.
        share: ShareId,
        /// What goes behind the blocks.
        closing: Box<Closing>,
    },
    /// Forgets an unfinished file; one that is not there is no fault. Done: [`DiskDone::Gone`] with 0 bytes.
    Discard {
        /// The unfinished file.
        incoming: IncomingId,
        /// What it would have become.
        share: ShareId,
    },
    /// A whole share of one block, made durable. Done as [`DiskOp::Finish`]; after a fault nothing is left.
    Put {
        /// Unused before; the disk may make an unfinished file of that name.
        incoming: IncomingId,
        /// The share.
        share: ShareId,
        /// What goes behind the block.
        closing: Box<Closing>,
        /// The block.
        block: Bytes,
    },
    /// Which shares of a file are there? Done: [`DiskDone::Found`].
    Find {
        /// The file.
        si: StorageIndex,
        /// As in the request.
        inline_bytes_max: u32,
    },
    /// One block with its proofs. Done: [`DiskDone::Read`].
    Read {
        /// The share.
        share: ShareId,
        /// Which segment.
        segment: SegmentIndex,
        /// Somebody found it damaged: only if it is sound, see [`super::is_sound_block`]; else the fault
        /// [`DiskFault::Corrupt`], and the share has been put aside.
        suspect: bool,
    },
    /// Reads the whole share and checks every hash. Done: [`DiskDone::Sound`]; or the fault [`DiskFault::Corrupt`], and
    /// the share has been put aside.
    Verify {
        /// The share.
        share: ShareId,
    },
    /// Which shares of a bucket are there, a page of them? Done: [`DiskDone::Listed`]. Those that are in the trash because
    /// their leases were over are among them: others are not to make them again. A share whose header or footer does
    /// not check has been put aside and is not among them; blocks are not read.
    List {
        /// Which bucket.
        bucket: Bucket,
        /// Only shares behind this one: where the page before ended.
        after: Option<ShareId>,
    },
    /// Takes a finished share away for good. Done: [`DiskDone::Gone`].
    Remove {
        /// The share.
        share: ShareId,
    },
    /// Takes a finished share out of its place into the trash, whole and durable. Done: [`DiskDone::Trashed`]; or
    /// [`DiskDone::Kept`], and nothing was changed, if its lease is not from before that day.
    Trash {
        /// The share.
        share: ShareId,
        /// Kept with it.
        mark: TrashMark,
        /// Only if its lease is older; `None`: whatever its lease.
        leased_before: Option<Day>,
    },
    /// Gives a share in the trash its place back, the one that was put there last. Done: [`DiskDone::Restored`]; or
    /// [`DiskDone::Exists`], and nothing was changed, if its place is taken.
    Restore {
        /// The share.
        share: ShareId,
    },
    /// Takes shares out of the trash for good: those of a bucket that were put there for a cause before a day, at most
    /// [`EMPTY_MAX`], so that nothing is left exactly if none went. Done: [`DiskDone::Emptied`].
    Empty {
        /// Which bucket.
        bucket: Bucket,
        /// Why they were put there.
        cause: TrashCause,
        /// Those of this day and later ones stay.
        before: Day,
    },
    /// Renews the leases of files of a bucket, durably, and gives those shares of theirs their places back that are in the
    /// trash because their leases were over. Done: [`DiskDone::Renewed`].
    Renew {
        /// Which bucket.
        bucket: Bucket,
        /// The new leases.
        day: Day,
        /// Strictly ascending.
        sis: Vec<StorageIndex>,
    },
    /// How old are the leases of the shares of a bucket, a page of them? Done: [`DiskDone::Surveyed`]. Nothing is opened.
    Survey {
        /// Which bucket.
        bucket: Bucket,
        /// Only shares behind this one.
        after: Option<ShareId>,
    },
    /// How much room does the file system have? Done: [`DiskDone::Measured`].
    Measure,
}

/// What came of a disk operation that worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskDone {
    /// The unfinished file is there.
    Created,
    /// The block is taken; only [`DiskOp::Finish`] tells whether all that was taken could be written.
    Appended,
    /// The share is in its place and durable.
    Stored {
        /// Length of its file.
        file_bytes: u64,
    },
    /// The share was there before, whole; nothing was changed.
    Exists {
        /// What it says about its file.
        file: FileFacts,
    },
    /// What was to go is gone.
    Gone {
        /// Length of the file of a finished share, 0 if there was none.
        file_bytes: u64,
    },
    /// The share is in the trash and durable there.
    Trashed {
        /// Length of its file.
        file_bytes: u64,
    },
    /// The share is in its place again and durable there.
    Restored {
        /// Length of its file.
        file_bytes: u64,
    },
    /// Shares have gone from the trash for good.
    Emptied {
        /// What went.
        gone: Amount,
    },
    /// The share has a younger lease.
    Kept,
    /// The leases are renewed, durably.
    Renewed {
        /// Of each file, whether there are shares of it.
        held: Vec<bool>,
        /// What has come out of the trash.
        restored: Amount,
    },
    /// Leases of the shares of a bucket.
    Surveyed(Survey),
    /// The shares of a file.
    Found(Found),
    /// The block.
    Read(BlockRead),
    /// Shares of a bucket.
    Listed(Listing),
    /// Every hash of the share is right.
    Sound {
        /// Bytes read.
        file_bytes: u64,
    },
    /// Room for an unprivileged writer, bytes.
    Measured {
        /// Free bytes of the file system.
        free_bytes: u64,
    },
}

/// Shares of one file that a disk holds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Found {
    /// Ascending.
    pub shares: Vec<ShareNumber>,
    /// Of the lowest share; present exactly if there is one.
    pub file: Option<FileFacts>,
    /// The block of the lowest share, if it is the only one of it and short enough.
    pub inlined: Option<Bytes>,
}

/// A share that a disk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Which.
    pub share: ShareId,
    /// k of n of its file.
    pub coding: Coding,
    /// Length of the share file.
    pub file_bytes: u64,
}

/// A page of the shares of one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listing {
    /// Ascending; at most [`LIST_MAX`].
    pub holdings: Vec<Holding>,
    /// Where the next page goes on, if there may be more shares: its `after`. A page may be short, or empty, and have
    /// another one behind it.
    pub next: Option<ShareId>,
    /// Damaged shares that were put aside on the way.
    pub put_aside: u64,
    /// Shares, or directories of them, that the disk could not read. They are not among the others, and nothing is known
    /// of them.
    pub unreadable: u64,
}

/// Why a disk operation did not work. What exactly happened is in the log of who carried it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskFault {
    /// The file system has no room, or the quota of the system does not allow more.
    #[error("no space left on the disk")]
    Full,
    /// There is no such share, or no such unfinished file.
    #[error("no such share")]
    NotFound,
    /// The share has fewer segments.
    #[error("the share has only {segments} segments")]
    NoSuchSegment {
        /// Segments of the file.
        segments: u64,
    },
    /// The share does not check; it has been put aside.
    #[error("the share is damaged and has been put aside")]
    Corrupt,
    /// More work is queued than the disk takes.
    #[error("too much work is queued for the disk")]
    Overloaded,
    /// The system refused.
    #[error("the disk failed")]
    Failed,
}

/// Finished shares that an operation found damaged and put aside, whatever else came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Damage {
    /// How many.
    pub shares: u64,
    /// Length of their files.
    pub bytes: u64,
}

/// The outcome of a disk operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskReply {
    /// What came of it.
    pub result: Result<DiskDone, DiskFault>,
    /// What was found damaged on the way.
    pub damage: Damage,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer a request.
    Answer {
        /// Which.
        ticket: Ticket,
        /// With what.
        result: Result<Response, Failure>,
    },
    /// Answer [`super::Store::verify`].
    Verified {
        /// Which.
        ticket: Ticket,
        /// Bytes read of a sound share, or what is wrong.
        result: Result<u64, DiskFault>,
    },
    /// Answer [`super::Store::list`].
    Listed {
        /// Which.
        ticket: Ticket,
        /// The page, or what is wrong.
        result: Result<Listing, DiskFault>,
    },
    /// Answer [`super::Store::trash`], [`super::Store::restore`] or [`super::Store::empty_trash`].
    TrashDone {
        /// Which.
        ticket: Ticket,
        /// What was moved or deleted, or what is wrong.
        result: Result<Amount, DiskFault>,
    },
    /// Answer [`super::Store::survey`].
    Surveyed {
        /// Which.
        ticket: Ticket,
        /// The page, or what is wrong.
        result: Result<Survey, DiskFault>,
    },
    /// Do disk work and report its outcome by [`super::Store::handle_disk`], exactly once.
    Disk {
        /// Comes back with the outcome.
        token: DiskToken,
        /// The work.
        op: DiskOp,
    },
}

impl DiskOp {
    /// The storage index whose operations keep their order; `None` for one that belongs to no file.
    pub fn si(&self) -> Option<StorageIndex> {
        match self {
            DiskOp::Create { share, .. }
            | DiskOp::Append { share, .. }
            | DiskOp::Finish { share, .. }
            | DiskOp::Discard { share, .. }
            | DiskOp::Put { share, .. }
            | DiskOp::Read { share, .. }
            | DiskOp::Verify { share }
            | DiskOp::Trash { share, .. }
            | DiskOp::Restore { share }
            | DiskOp::Remove { share } => Some(share.si),
            DiskOp::Find { si, .. } => Some(*si),
            DiskOp::List { .. }
            | DiskOp::Empty { .. }
            | DiskOp::Renew { .. }
            | DiskOp::Survey { .. }
            | DiskOp::Measure => None,
        }
    }

    /// The bucket that it is about; operations of a bucket that write keep their order.
    pub fn bucket(&self) -> Option<Bucket> {
        match self {
            DiskOp::List { bucket, .. }
            | DiskOp::Empty { bucket, .. }
            | DiskOp::Renew { bucket, .. }
            | DiskOp::Survey { bucket, .. } => Some(*bucket),
            other => other.si().as_ref().map(Bucket::of),
        }
    }

    /// Whether the operation only reads.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            DiskOp::Find { .. }
                | DiskOp::Read { .. }
                | DiskOp::Verify { .. }
                | DiskOp::List { .. }
                | DiskOp::Survey { .. }
                | DiskOp::Measure
        )
    }

    /// Whether it is work of the node itself, which no peer waits for: it goes behind all other.
    pub fn can_wait(&self) -> bool {
        matches!(
            self,
            DiskOp::Verify { .. } | DiskOp::List { .. } | DiskOp::Survey { .. }
        )
    }

    /// The name in metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            DiskOp::Create { .. } => "create",
            DiskOp::Append { .. } => "append",
            DiskOp::Finish { .. } => "finish",
            DiskOp::Discard { .. } => "discard",
            DiskOp::Put { .. } => "put",
            DiskOp::Find { .. } => "find",
            DiskOp::Read { .. } => "read",
            DiskOp::Verify { .. } => "verify",
            DiskOp::List { .. } => "list",
            DiskOp::Remove { .. } => "remove",
            DiskOp::Trash { .. } => "trash",
            DiskOp::Restore { .. } => "restore",
            DiskOp::Empty { .. } => "empty",
            DiskOp::Renew { .. } => "renew",
            DiskOp::Survey { .. } => "survey",
            DiskOp::Measure => "measure",
        }
    }
}

impl From<Result<DiskDone, DiskFault>> for DiskReply {
    fn from(result: Result<DiskDone, DiskFault>) -> DiskReply {
        DiskReply {
            result,
            damage: Damage::default(),
        }
    }
}

impl std::fmt::Display for ShareId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.si, self.share)
    }
}
