//! The messages of a link as the rest of the tree sees them: checked, with the ids of `truckee-grid`, payloads as
//! [`Bytes`] that share the receive buffer. Owns the domain types and the bounds on what they hold.
//!
//! A value of these types that came off the wire has every length and number inside its bound. A value built here may
//! break a bound: encoding it is then an error, not a silent cut.

use bytes::Bytes;

use crate::convert::{ConvertError, rows_bytes, rows_from_payload, rows_to_payload};

pub use self::drive::{ChangeTaken, CommitChange, GetRows, RowChange, RowsGot};
pub use self::inventory::{
    AddedListed, Inventory, ListAdded, ListShares, ListedShare, SharePlace, SharesListed, Span,
};
pub use self::lease::{LeasesRenewed, RenewLeases};
pub use self::link::{
    FAILURE_TEXT_BYTES_MAX, Failure, FailureCode, Goodbye, GoodbyeReason, Hello, Lane, PROTOCOL_VERSION,
    SessionId, TraceContext,
};
pub use self::member::{
    Announcement, AnnouncementBody, Grant, GrantBody, Join, JoinSecret, PushRoster, Role, Roles, RosterFile,
    RosterItem, RosterSynced, SyncRoster, Tombstone, TombstoneBody,
};
pub use self::share::{
    AbortShare, BlockRead, CloseShare, FileFacts, FindShares, FoundShares, KeepShare, NodeStatus, OpenShare,
    PutShare, ReadBlock, SealedProof, WriteBlock,
};

mod drive;
mod inventory;
mod lease;
pub mod limits;
mod link;
mod member;
mod share;

/// What one node asks of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which shares of a file do you hold?
    FindShares(FindShares),
    /// I am going to write a share, block by block.
    OpenShare(OpenShare),
    /// The next block of an open share.
    WriteBlock(WriteBlock),
    /// All blocks are written: check them and make the share durable.
    CloseShare(CloseShare),
    /// Forget an open share.
    AbortShare(AbortShare),
    /// A whole share of a file of one segment.
    PutShare(PutShare),
    /// One block of a share, with its proofs.
    ReadBlock(ReadBlock),
    /// How full and how old are you?
    GetStatus,
    /// How has what you hold changed?
    GetInventory,
    /// Which shares of a bucket do you hold?
    ListShares(ListShares),
    /// Which shares came into these buckets since?
    ListAdded(ListAdded),
    /// Keep your shares of these files for another term.
    RenewLeases(RenewLeases),
    /// I am about to part with my copy of this share: do you keep yours?
    KeepShare(KeepShare),
    /// Admit me to the mesh, or renew my grant.
    Join(Box<Join>),
    /// Here is what I know of the members: what do you know better?
    SyncRoster(SyncRoster),
    /// News of members that you asked for.
    PushRoster(PushRoster),
    /// The rows of a directory, or what changed of them.
    GetRows(GetRows),
    /// Take this change of a directory.
    CommitChange(CommitChange),
}

/// The kind of a [`Request`]: what an authority decides by, and the label in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKind {
    /// [`Request::FindShares`]
    FindShares,
    /// [`Request::OpenShare`]
    OpenShare,
    /// [`Request::WriteBlock`]
    WriteBlock,
    /// [`Request::CloseShare`]
    CloseShare,
    /// [`Request::AbortShare`]
    AbortShare,
    /// [`Request::PutShare`]
    PutShare,
    /// [`Request::ReadBlock`]
    ReadBlock,
    /// [`Request::GetStatus`]
    GetStatus,
    /// [`Request::GetInventory`]
    GetInventory,
    /// [`Request::ListShares`]
    ListShares,
    /// [`Request::ListAdded`]
    ListAdded,
    /// [`Request::RenewLeases`]
    RenewLeases,
    /// [`Request::KeepShare`]
    KeepShare,
    /// [`Request::Join`]
    Join,
    /// [`Request::SyncRoster`]
    SyncRoster,
    /// [`Request::PushRoster`]
    PushRoster,
    /// [`Request::GetRows`]
    GetRows,
    /// [`Request::CommitChange`]
    CommitChange,
}

/// What a node answers when it did what it was asked. A refusal is a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To [`Request::FindShares`].
    FoundShares(FoundShares),
    /// To [`Request::OpenShare`]. `already_there`: the node holds this share, complete; nothing was opened.
    ShareOpened {
        /// The node holds this share, complete; nothing was opened.
        already_there: bool,
    },
    /// To [`Request::WriteBlock`].
    BlockWritten,
    /// To [`Request::CloseShare`]: the share is durable.
    ShareClosed,
    /// To [`Request::AbortShare`].
    ShareAborted,
    /// To [`Request::PutShare`]: the share is durable.
    SharePut {
        /// The node held this share before.
        already_there: bool,
    },
    /// To [`Request::ReadBlock`].
    BlockRead(BlockRead),
    /// To [`Request::GetStatus`].
    NodeStatus(NodeStatus),
    /// To [`Request::GetInventory`].
    Inventory(Inventory),
    /// To [`Request::ListShares`].
    SharesListed(SharesListed),
    /// To [`Request::ListAdded`].
    AddedListed(AddedListed),
    /// To [`Request::RenewLeases`].
    LeasesRenewed(LeasesRenewed),
    /// To [`Request::KeepShare`].
    ShareKept {
        /// The node is not about to part with its copy, and will ask others before it is. It may hold none.
        kept: bool,
    },
    /// To [`Request::Join`].
    Joined(Grant),
    /// To [`Request::SyncRoster`].
    RosterSynced(RosterSynced),
    /// To [`Request::PushRoster`].
    RosterPushed,
    /// To [`Request::GetRows`].
    RowsGot(Box<RowsGot>),
    /// To [`Request::CommitChange`].
    ChangeTaken(Box<ChangeTaken>),
}

impl Request {
    /// The kind of this request.
    pub fn kind(&self) -> RequestKind {
        match self {
            Request::FindShares(_) => RequestKind::FindShares,
            Request::OpenShare(_) => RequestKind::OpenShare,
            Request::WriteBlock(_) => RequestKind::WriteBlock,
            Request::CloseShare(_) => RequestKind::CloseShare,
            Request::AbortShare(_) => RequestKind::AbortShare,
            Request::PutShare(_) => RequestKind::PutShare,
            Request::ReadBlock(_) => RequestKind::ReadBlock,
            Request::GetStatus => RequestKind::GetStatus,
            Request::GetInventory => RequestKind::GetInventory,
            Request::ListShares(_) => RequestKind::ListShares,
            Request::ListAdded(_) => RequestKind::ListAdded,
            Request::RenewLeases(_) => RequestKind::RenewLeases,
            Request::KeepShare(_) => RequestKind::KeepShare,
            Request::Join(_) => RequestKind::Join,
            Request::SyncRoster(_) => RequestKind::SyncRoster,
            Request::PushRoster(_) => RequestKind::PushRoster,
            Request::GetRows(_) => RequestKind::GetRows,
            Request::CommitChange(_) => RequestKind::CommitChange,
        }
    }

    /// What travels beside the head of the message: a block, rows, or nothing. Rows are copied for it.
    pub fn payload(&self) -> Bytes {
        match self {
            Request::WriteBlock(write) => write.block.clone(),
            Request::PutShare(put) => put.block.clone(),
            Request::CommitChange(commit) => rows_to_payload(&commit.changes),
            _ => Bytes::new(),
        }
    }

    /// The longest payload that an answer to this may have.
    pub fn answer_payload_bytes_max(&self) -> usize {
        match self {
            Request::ReadBlock(_) => limits::PAYLOAD_BYTES_MAX,
            Request::FindShares(find) => find.inline_bytes_max as usize,
            Request::GetRows(get) => get.bytes_max as usize,
            _ => 0,
        }
    }

    /// Length of the payload.
    pub fn payload_bytes(&self) -> usize {
        match self {
            Request::WriteBlock(write) => write.block.len(),
            Request::PutShare(put) => put.block.len(),
            Request::CommitChange(commit) => rows_bytes(&commit.changes),
            _ => 0,
        }
    }

    /// Brings in the payload, which arrives after the head that was checked with its length. A message without a
    /// place for one stays as it is.
    ///
    /// # Errors
    /// The rows in it break a bound; the message is then of no use.
    pub fn attach_payload(&mut self, payload: Bytes) -> Result<(), ConvertError> {
        match self {
            Request::WriteBlock(write) => write.block = payload,
            Request::PutShare(put) => put.block = payload,
            Request::CommitChange(commit) => commit.changes = rows_from_payload(&payload, true)?,
            _ => {}
        }
        Ok(())
    }
}

impl Response {
    /// Whether this is the kind of answer that a request of `kind` gets.
    pub fn answers(&self, kind: RequestKind) -> bool {
        let answered = match self {
            Response::FoundShares(_) => RequestKind::FindShares,
            Response::ShareOpened { .. } => RequestKind::OpenShare,
            Response::BlockWritten => RequestKind::WriteBlock,
            Response::ShareClosed => RequestKind::CloseShare,
            Response::ShareAborted => RequestKind::AbortShare,
            Response::SharePut { .. } => RequestKind::PutShare,
            Response::BlockRead(_) => RequestKind::ReadBlock,
            Response::NodeStatus(_) => RequestKind::GetStatus,
            Response::Inventory(_) => RequestKind::GetInventory,
            Response::SharesListed(_) => RequestKind::ListShares,
            Response::AddedListed(_) => RequestKind::ListAdded,
            Response::LeasesRenewed(_) => RequestKind::RenewLeases,
            Response::ShareKept { .. } => RequestKind::KeepShare,
            Response::Joined(_) => RequestKind::Join,
            Response::RosterSynced(_) => RequestKind::SyncRoster,
            Response::RosterPushed => RequestKind::PushRoster,
            Response::RowsGot(_) => RequestKind::GetRows,
            Response::ChangeTaken(_) => RequestKind::CommitChange,
        };
        answered == kind
    }

    /// What travels beside the head of the message: a block, rows, or nothing. Rows are copied for it.
    pub fn payload(&self) -> Bytes {
        match self {
            Response::BlockRead(read) => read.block.clone(),
            Response::FoundShares(found) => found.inlined.clone().unwrap_or_default(),
            Response::RowsGot(got) => rows_to_payload(&got.rows),
            _ => Bytes::new(),
        }
    }

    /// Length of the payload.
    pub fn payload_bytes(&self) -> usize {
        match self {
            Response::BlockRead(read) => read.block.len(),
            Response::FoundShares(found) => found.inlined.as_ref().map_or(0, Bytes::len),
            Response::RowsGot(got) => rows_bytes(&got.rows),
            _ => 0,
        }
    }

    /// Brings in the payload, which arrives after the head that was checked with its length. A message without a
    /// place for one stays as it is.
    ///
    /// # Errors
    /// The rows in it break a bound; the message is then of no use.
    pub fn attach_payload(&mut self, payload: Bytes) -> Result<(), ConvertError> {
        match self {
            Response::BlockRead(read) => read.block = payload,
            Response::FoundShares(FoundShares {
                inlined: Some(block), ..
            }) => *block = payload,
            Response::RowsGot(got) => {
                got.rows = rows_from_payload(&payload, !got.whole)?;
                got.check()?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl RequestKind {
    /// Every kind, in the order of the schema.
    pub const ALL: [RequestKind; 18] = [
        RequestKind::FindShares,
        RequestKind::OpenShare,
        RequestKind::WriteBlock,
        RequestKind::CloseShare,
        RequestKind::AbortShare,
        RequestKind::PutShare,
        RequestKind::ReadBlock,
        RequestKind::GetStatus,
        RequestKind::GetInventory,
        RequestKind::ListShares,
        RequestKind::ListAdded,
        RequestKind::RenewLeases,
        RequestKind::KeepShare,
        RequestKind::Join,
        RequestKind::SyncRoster,
        RequestKind::PushRoster,
        RequestKind::GetRows,
        RequestKind::CommitChange,
    ];

    /// The name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            RequestKind::FindShares => "find_shares",
            RequestKind::OpenShare => "open_share",
            RequestKind::WriteBlock => "write_block",
            RequestKind::CloseShare => "close_share",
            RequestKind::AbortShare => "abort_share",
            RequestKind::PutShare => "put_share",
            RequestKind::ReadBlock => "read_block",
            RequestKind::GetStatus => "get_status",
            RequestKind::GetInventory => "get_inventory",
            RequestKind::ListShares => "list_shares",
            RequestKind::ListAdded => "list_added",
            RequestKind::RenewLeases => "renew_leases",
            RequestKind::KeepShare => "keep_share",
            RequestKind::Join => "join",
            RequestKind::SyncRoster => "sync_roster",
            RequestKind::PushRoster => "push_roster",
            RequestKind::GetRows => "get_rows",
            RequestKind::CommitChange => "commit_change",
        }
    }
}
