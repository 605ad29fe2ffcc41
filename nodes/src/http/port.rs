//! What the HTTP layer needs of the node behind it: transfers of files, and a view of the mesh.
//!
//! Two small traits, so that the layer can be tested without a mesh.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use truckee_actors::gate::{BytePermit, GateError};

pub use truckee_actors::transfers::{
    BodyError, DownloadError, DownloadSpec, DownloadStream, KeyChoice, SegmentIn, Transfers, UploadError,
    UploadOutcome, UploadSpec,
};
use truckee_grid::params::Coding;

use crate::role::Role;

/// A future that may be awaited on any thread.
pub type PortFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The body of an upload, one whole segment per message.
pub type SegmentReceiver = mpsc::Receiver<Result<SegmentIn, BodyError>>;

/// Moves files between clients and the mesh.
pub trait TransferPort: Send + Sync + 'static {
    /// Stores what comes through `body`. Dropping the future cancels.
    fn upload(
        &self,
        spec: UploadSpec,
        body: SegmentReceiver,
    ) -> PortFuture<Result<UploadOutcome, UploadError>>;

    /// Resolves when the first bytes are there. Dropping the future or the stream cancels.
    fn download(&self, spec: DownloadSpec) -> PortFuture<Result<DownloadStream, DownloadError>>;

    /// Waits for room for one segment and its blocks.
    fn room_for_segment(
        &self,
        coding: Coding,
        plain_bytes: usize,
    ) -> PortFuture<Result<BytePermit, GateError>>;
}

impl TransferPort for Transfers {
    fn upload(
        &self,
        spec: UploadSpec,
        body: SegmentReceiver,
    ) -> PortFuture<Result<UploadOutcome, UploadError>> {
        let transfers = self.clone();
        Box::pin(async move { transfers.upload(spec, body).await })
    }

    fn download(&self, spec: DownloadSpec) -> PortFuture<Result<DownloadStream, DownloadError>> {
        let transfers = self.clone();
        Box::pin(async move { transfers.download(spec).await })
    }

    fn room_for_segment(
        &self,
        coding: Coding,
        plain_bytes: usize,
    ) -> PortFuture<Result<BytePermit, GateError>> {
        let transfers = self.clone();
        Box::pin(async move { transfers.room_for_segment(coding, plain_bytes).await })
    }
}

/// Tells what the node knows of itself and of the mesh.
pub trait NodeView: Send + Sync + 'static {
    /// A picture of this moment. Cheap; called for every page.
    fn snapshot(&self) -> NodeSnapshot;

    /// What each storage node last said of itself, by the text form of its id. Those that have not said are left out.
    fn storage(&self) -> BTreeMap<String, StorageStatus>;
}

/// How full a storage node is, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageStatus {
    /// Shares held.
    pub shares: u64,
    /// Bytes used by shares.
    pub used_bytes: u64,
    /// Bytes that it would take.
    pub available_bytes: u64,
    /// Whether it takes new shares at all.
    pub accepts: bool,
    /// Since the start of its process.
    pub uptime: Duration,
}

/// What the node knows at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSnapshot {
    /// Text form of the node's id.
    pub node_id: String,
    /// Name for people.
    pub nickname: String,
    /// What the node does.
    pub roles: Vec<Role>,
    /// All other members that the node knows, and the node itself, which is always up.
    pub peers: Vec<PeerRow>,
    /// None: the node would serve what its roles promise. Else one sentence that says what is missing.
    pub unready: Option<String>,
}

/// One member of the mesh as this node sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerRow {
    /// Text form of its id.
    pub node_id: String,
    /// Its name for people.
    pub nickname: String,
    /// What it does.
    pub roles: Vec<Role>,
    /// Where it stands.
    pub zone: String,
    /// Name and version of its software.
    pub software: String,
    /// State of the link to it.
    pub state: PeerState,
    /// Address that it was last reached at.
    pub address: Option<String>,
    /// Seconds since 1970 when it was last heard of.
    pub last_heard_unix_s: Option<u64>,
    /// Heartbeat there and back.
    pub round_trip: Option<Duration>,
    /// Bytes that it would take; none if it has not said.
    pub available_bytes: Option<u64>,
    /// Why the last attempt to reach it failed.
    pub last_failure: Option<String>,
}

/// State of the link to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// The node itself.
    Own,
    /// No link, none wanted now.
    Idle,
    /// A connection is being made.
    Dialing,
    /// The last attempt failed; the next one waits.
    Backoff,
    /// Linked.
    Up,
    /// Linked, and about to leave.
    Draining,
}

impl PeerState {
    /// Whether requests reach it now.
    pub fn is_up(self) -> bool {
        matches!(self, PeerState::Own | PeerState::Up)
    }

    /// For people and programs.
    pub fn word(self) -> &'static str {
        match self {
            PeerState::Own => "own",
            PeerState::Idle => "idle",
            PeerState::Dialing => "dialing",
            PeerState::Backoff => "backoff",
            PeerState::Up => "up",
            PeerState::Draining => "draining",
        }
    }
}
