//! What is passed around inside a simulated node.

use std::time::Duration;

use bytes::Bytes;
use truckee_engine::drive::{JobId, Worked};
use truckee_engine::session::{CallError, InboundId};
use truckee_engine::store::{DiskOp, DiskToken};
use truckee_engine::transfer::Token;
use truckee_grid::ids::{NodeId, SegmentIndex};
use truckee_grid::pipeline::{DecodeError, DecodedSegment, EncodedSegment, RebuiltSegment};
use truckee_wire::message::{Lane, Request, Response};

use crate::sim::disk::Disk;
use crate::sim::drive::DriveWorld;
use crate::sim::model::OrderId;
use crate::sim::network::ConnId;
use crate::sim::shares;

/// How a call ends.
pub type CallResult = Result<Response, CallError>;

/// What came of decoding a segment; none: the decoder itself failed.
pub type Decoded = Option<Result<DecodedSegment, DecodeError>>;

/// What came of rebuilding a segment; none: the work itself failed.
pub type Rebuilt = Option<Result<RebuiltSegment, DecodeError>>;

/// The link of a node to itself, which never goes down.
pub(super) const OWN_LINK: u64 = 0;

/// Whom the end of a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// An upload.
    Upload(OrderId, Token),
    /// A download.
    Download(OrderId, Token),
    /// A repair.
    Repair(OrderId, Token),
    /// The drive.
    Drive(Token),
    /// The membership machine.
    Members(u64),
    /// Nobody; the number makes it one of a kind.
    Nobody(u64),
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplyTo {
    /// A peer, over this connection of this link.
    Link(u64, ConnId, InboundId),
    /// The node itself.
    Own(Caller),
}

impl ReplyTo {
    /// The link that it goes over.
    pub(super) fn link(self) -> u64 {
        match self {
            Self::Link(link, ..) => link,
            Self::Own(_) => OWN_LINK,
        }
    }
}

/// What a machine wants done.
#[derive(Debug)]
pub(super) enum Errand {
    /// Send a request.
    Call {
        caller: Caller,
        peer: NodeId,
        request: Box<Request>,
        lane: Lane,
        budget: Duration,
    },
    /// Forget a call.
    Cancel(Caller),
    /// Send a request whose end nobody waits for.
    Notify {
        peer: NodeId,
        request: Box<Request>,
        budget: Duration,
    },
}

/// What a node waits for outside of the network.
#[derive(Debug)]
pub enum Job {
    /// A client gives the next segment.
    Body(OrderId),
    /// A segment is encoded.
    Encoded(OrderId, SegmentIndex, Option<EncodedSegment>),
    /// A reader has taken a delivery.
    Read(OrderId),
    /// A segment is decoded.
    Decoded(OrderId, SegmentIndex, Decoded),
    /// A segment is rebuilt.
    Rebuilt(OrderId, u64, Rebuilt),
    /// A repair may move more bytes.
    Granted(OrderId),
    /// A disk operation ends.
    Disk(DiskToken),
    /// The roster file is to be written now.
    Roster,
    /// Rows of a directory are opened, or sealed.
    Worked(JobId, Box<Worked>),
    /// The database of the vdrives is at a request, or has answered.
    Database(u64),
}

/// A write that was under way when a node stopped.
#[derive(Debug)]
pub enum Write {
    /// Of a share.
    Share(DiskOp),
    /// Of the roster.
    Roster(Bytes),
    /// Of a directory, in the database.
    Directory(Box<Request>),
}

impl Write {
    /// It had reached the disk after all.
    pub fn carry_out(self, disk: &mut Disk, drive: &mut DriveWorld) {
        match self {
            Self::Share(op) => drop(shares::carry_out(disk, op)),
            // Like any write it may fail; then the old file is still there.
            Self::Roster(bytes) => drop(disk.write_roster(bytes)),
            Self::Directory(request) => drop(drive.serve(&request)),
        }
    }
}
