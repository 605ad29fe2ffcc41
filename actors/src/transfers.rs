//! Uploads, downloads, checks and repairs of this node: the handle that a gateway calls, and one actor for each under way.
//!
//! [`Transfers`] is a handle for any thread. The actors live on the thread that called [`Transfers::start`], as
//! temporary children of a supervisor of their own: one that panics is not started again, its caller gets
//! [`UploadError::Internal`] or [`DownloadError::Internal`], its requests are taken back, and no other transfer notices.
//! Each actor is a shell around a machine of `truckee_engine`: a handler turns a message into an event, calls the
//! machine with the time and carries out its effects. Sealing, coding and hashing run on the CPU pool.
//!
//! Memory: a segment enters an upload together with a permit of [`Transfers::gate`], and the permit leaves when its
//! blocks do. A download takes permits of a gate of its own before it reads and gives them back at its end.
//!
//! A transfer ends when it is done, when it fails, when its caller drops its end (the future of an upload, the stream
//! of a download), or when [`Transfers::drain`] runs out of patience. Not promised: that a cancelled upload leaves
//! nothing on storage nodes at the same moment; they are told, and forget unfinished shares by themselves after a while.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix::Actor;
use actix::prelude::*;
use bytes::BytesMut;
use tokio::sync::{mpsc, oneshot, watch};
use truckee_engine::restart::{Class, Policy};
use truckee_engine::transfer::PeerReport;
use truckee_grid::caps::ChkCap;
use truckee_grid::geometry;
use truckee_grid::ids::{NodeId, ShareNumber, StorageIndex};
use truckee_grid::keys::ReadKey;
use truckee_grid::params::{Coding, Encoding};
use truckee_grid::placement::{self, Candidate};
use truckee_wire::message::Role;

use self::account::Kind;
use self::download::{DownloadActor, DownloadStart};
use self::upload::{UploadActor, UploadStart};
use crate::call::MeshHandle;
use crate::clock::ClockHandle;
use crate::cpu::CpuHandle;
use crate::directory::DirectoryWatch;
use crate::gate::{ByteGate, BytePermit, CountGate, GateError, tell};
use crate::supervise::{self, ChildId, ChildSpec, Health, Slot, StartChild, StopOrder, Supervisor};

mod account;
mod check;
mod download;
mod engines;
mod error;
mod history;
mod jobs;
mod renew;
mod repair;
#[cfg(test)]
mod tests;
mod upload;

pub use self::check::CheckError;
pub use self::download::DownloadStream;
pub use self::engines::EngineChoice;
pub use self::error::{DownloadError, UploadError};
pub use self::history::{Entry, History, KEPT_MAX, Operation, OperationKind, Totals};
pub use self::renew::RenewReport;
pub use self::repair::{Rate, RepairSpec};
pub use truckee_engine::check::{CheckReport, CorruptShare, Corruption};
pub use truckee_engine::download::TooFewShares;
pub use truckee_engine::repair::{RepairFailed, RepairOutcome, RepairReport};
pub use truckee_engine::transfer::{PeerReport as TransferPeerReport, PeerWhy};
pub use truckee_engine::upload::{BodyFault as BodyError, NotHappy, UploadTimings};

/// Bytes of blocks that all uploads of a node may hold: three to four full windows of 1 MiB segments coded 3-of-10,
/// which is more uploads at full speed than two cores can encode, and half of what a gateway may use in all.
pub const UPLOAD_BYTES_DEFAULT: usize = 56 << 20;

/// Bytes of blocks and plaintext that all downloads of a node may hold; the other half.
pub const DOWNLOAD_BYTES_DEFAULT: usize = 48 << 20;

/// How long a download waits for memory before its caller is told to come back later: what a person waits for a page.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// How long a transfer that is told to stop may take to tell the peers.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// A transfer that ended is over, whatever its end.
const NEVER_AGAIN: (Class, Policy) = (Class::Temporary, Policy::NEVER);

/// What transfers need of the rest of the node.
#[derive(Clone)]
pub struct TransfersConfig {
    /// Carries requests to peers, and to this node's own store.
    pub mesh: MeshHandle,
    /// Runs sealing, coding and hashing.
    pub cpu: CpuHandle,
    /// What time it is.
    pub clock: ClockHandle,
    /// Which engines passed their check.
    pub engines: EngineChoice,
    /// The members of the mesh; those with role storage are candidates.
    pub directory: DirectoryWatch,
    /// This node itself, if it has the role storage.
    pub own: Option<Candidate>,
    /// Bytes of blocks that all uploads may hold.
    pub upload_bytes: usize,
    /// Bytes of blocks and plaintext that all downloads may hold.
    pub download_bytes: usize,
}

/// Which key seals an upload.
#[derive(Clone, Debug)]
pub enum KeyChoice {
    /// A fresh one: the same file stored twice is two files.
    Random,
    /// One that was derived from the plaintext: shares that exist already are found and not sent again.
    Convergent(ReadKey),
}

/// What to upload.
#[derive(Clone, Debug)]
pub struct UploadSpec {
    /// Code, happiness and segment size.
    pub encoding: Encoding,
    /// Which key seals it.
    pub key: KeyChoice,
    /// Plaintext bytes of the file, if known; lets storage nodes reserve room.
    pub size_hint: Option<u64>,
}

impl UploadSpec {
    /// The capacity to give the buffer of a segment of `plain_bytes`, so that it is sealed and cut without a copy.
    pub fn buffer_bytes(&self, plain_bytes: usize) -> usize {
        geometry::buffer_bytes(plain_bytes, self.encoding.coding())
    }
}

/// One segment of a body.
#[derive(Debug)]
pub struct SegmentIn {
    /// Exactly as long as a segment is, the last one 1 byte at least. Best in a buffer of [`UploadSpec::buffer_bytes`].
    pub plaintext: BytesMut,
    /// Whether the body ends here.
    pub last: bool,
    /// Room for its blocks, from [`Transfers::room_for_segment`].
    pub permit: BytePermit,
}

/// A stored file.
#[derive(Clone, Debug)]
pub struct UploadOutcome {
    /// Necessary and sufficient to get it back.
    pub cap: ChkCap,
    /// Who holds which share.
    pub placements: Vec<(ShareNumber, NodeId)>,
    /// Shares that are durable.
    pub placed: usize,
    /// How many of them existed before.
    pub existing: usize,
    /// Distinct peers counted for a share each.
    pub happiness: usize,
    /// Whether fewer shares or distinct peers hold it than could.
    pub needs_repair: bool,
    /// What went wrong with each peer that something went wrong with.
    pub troubles: Vec<PeerReport>,
    /// Where the time went.
    pub timings: UploadTimings,
}

/// What to download.
#[derive(Clone, Debug)]
pub struct DownloadSpec {
    /// Which file.
    pub cap: ChkCap,
    /// Which bytes; end exclusive, cut to the file. `None`: all.
    pub range: Option<Range<u64>>,
}

/// Uploads and downloads of this node; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Transfers(Arc<Shared>);

struct Shared {
    config: TransfersConfig,
    supervisor: Addr<Supervisor>,
    upload_gate: ByteGate,
    download_gate: ByteGate,
    check_gate: CountGate,
    history: History,
    active: watch::Sender<usize>,
    stopping: AtomicBool,
    next_name: AtomicU64,
}

impl Transfers {
    /// Starts the supervisor of transfers on the calling thread, which must run actix or a local set of tokio.
    pub fn start(config: TransfersConfig) -> Self {
        let supervisor = Supervisor::new(Arc::clone(&config.clock), (), Health::new())
            .stopping(StopOrder::AllAtOnce)
            .start();
        Self(Arc::new(Shared {
            supervisor,
            upload_gate: ByteGate::new("uploads", config.upload_bytes),
            download_gate: ByteGate::new("downloads", config.download_bytes),
            check_gate: CountGate::new("checks", check::CHECKS_MAX),
            history: History::new(Arc::clone(&config.clock)),
            active: watch::Sender::new(0),
            stopping: AtomicBool::new(false),
            next_name: AtomicU64::new(1),
            config,
        }))
    }

    /// The bound on what all uploads of the node hold.
    pub fn gate(&self) -> &ByteGate {
        &self.0.upload_gate
    }

    /// Waits for room for one segment of `plain_bytes` and its blocks. A segment that needs more than the gate has in
    /// all gets the whole gate for itself.
    ///
    /// # Errors
    /// [`GateError::Closed`] when the node stops.
    pub async fn room_for_segment(
        &self,
        coding: Coding,
        plain_bytes: usize,
    ) -> Result<BytePermit, GateError> {
        let wanted = segment_cost(coding, plain_bytes).min(self.gate().capacity_bytes());
        self.gate().acquire(wanted).await
    }

    /// What was and is under way.
    pub fn history(&self) -> &History {
        &self.0.history
    }

    /// Transfers under way.
    pub fn active(&self) -> usize {
        *self.0.active.borrow()
    }

    /// Stores what `body` gives. `body` is filled by the caller, one whole segment per message; a channel of capacity
    /// 1 is enough. Dropping the future cancels the upload.
    ///
    /// # Errors
    /// [`UploadError`] says whose fault it is; nothing that a cap could name is left behind.
    pub async fn upload(
        &self,
        spec: UploadSpec,
        body: mpsc::Receiver<Result<SegmentIn, BodyError>>,
    ) -> Result<UploadOutcome, UploadError> {
        if self.0.stopping.load(Ordering::Acquire) {
            return Err(UploadError::Stopping);
        }
        let key = match &spec.key {
            KeyChoice::Convergent(key) => key.clone(),
            KeyChoice::Random => ReadKey::from_bytes(random_bytes().map_err(|_| UploadError::Internal)?),
        };
        let upload = random_bytes().map_err(|_| UploadError::Internal)?;
        // Held until the end: the actor takes its drop as the sign that nobody wants the file any more.
        let (_wanted, unwanted) = oneshot::channel();
        let (outcome, result) = oneshot::channel();
        let candidates = self.candidates(&key.storage_index());
        let subject = account::Subject {
            storage_index: Some(key.storage_index()),
            size: spec.size_hint,
        };
        let start = UploadStart {
            spec,
            key,
            upload: upload.into(),
            candidates,
            body,
            outcome,
            unwanted,
        };
        self.start_child(Kind::Upload, subject, start, UploadActor::new)
            .map_err(|_| UploadError::Stopping)?;
        result.await.unwrap_or(Err(UploadError::Internal))
    }

    /// Begins to read a file. Resolves when the first bytes are there, so that what is wrong is known before an answer
    /// is begun. Dropping the future or the stream cancels the download.
    ///
    /// # Errors
    /// [`DownloadError`] says whether others could help.
    pub async fn download(&self, spec: DownloadSpec) -> Result<DownloadStream, DownloadError> {
        if self.0.stopping.load(Ordering::Acquire) {
            return Err(DownloadError::Stopping);
        }
        let (chunks, stream) = DownloadStream::channel();
        let (begun, result) = oneshot::channel();
        let candidates = self.candidates(&spec.cap.storage_index());
        let bytes = spec.range.clone().unwrap_or(0..spec.cap.size);
        let subject = account::Subject {
            storage_index: Some(spec.cap.storage_index()),
            size: Some(bytes.end.min(spec.cap.size).saturating_sub(bytes.start)),
        };
        let start = DownloadStart {
            spec,
            candidates,
            chunks,
            begun,
            gate: self.0.download_gate.clone(),
        };
        self.start_child(Kind::Download, subject, start, DownloadActor::new)
            .map_err(|_| DownloadError::Stopping)?;
        result.await.unwrap_or(Err(DownloadError::Internal))?;
        Ok(stream)
    }

    /// Refuses new transfers from now on, waits until those under way have ended, but no longer than `patience`, and
    /// cancels the others. Gives how many were cancelled.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.0.stopping.store(true, Ordering::Release);
        let mut active = self.0.active.subscribe();
        let ended = tokio::time::timeout(patience, active.wait_for(|count| *count == 0)).await;
        let left = if ended.is_ok() { 0 } else { self.active() };
        self.0.upload_gate.close();
        self.0.download_gate.close();
        self.0.check_gate.close();
        supervise::stop_all(&self.0.supervisor).await;
        left
    }

    /// Storage nodes in the order in which they should get and be asked for the shares of a file.
    fn candidates(&self, si: &StorageIndex) -> Vec<NodeId> {
        let directory = Arc::clone(&self.0.config.directory.borrow());
        let storage = directory
            .values()
            .filter(|member| member.roles.contains(Role::Storage));
        let candidates: Vec<Candidate> = storage
            .map(|member| Candidate {
                id: member.node_id,
                zone: member.zone.clone(),
            })
            .chain(self.0.config.own.clone())
            .collect();
        placement::ring_order(si, &candidates)
    }

    /// Starts one actor. Its start values go into its only life.
    fn start_child<A, S>(
        &self,
        kind: Kind,
        subject: account::Subject,
        start: S,
        make: fn(S, &TransfersConfig, account::Active, supervise::ExitGuard) -> A,
    ) -> Result<(), crate::gate::Gone>
    where
        A: Actor<Context = Context<A>>
            + Handler<supervise::Stop>
            + Handler<supervise::Ping>
            + Handler<supervise::Kill>,
        S: Send + 'static,
    {
        let name = self.0.next_name.fetch_add(1, Ordering::Relaxed).to_string();
        let active = account::Active::begin(kind, subject, self.0.active.clone(), &self.0.history);
        let config = self.0.config.clone();
        let mut once = Some((start, active));
        let factory = move |guard| {
            let (start, active) = once.take().expect("a temporary child is made once");
            make(start, &config, active, guard)
        };
        let spec = ChildSpec::new(
            ChildId::named(kind.name(), name),
            NEVER_AGAIN,
            STOP_WITHIN,
            &Slot::new(),
            factory,
        );
        tell(&self.0.supervisor, StartChild(spec))
    }
}

impl std::fmt::Debug for Transfers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transfers({} active)", self.active())
    }
}

/// Bytes of memory that a segment and its blocks take.
fn segment_cost(coding: Coding, plain_bytes: usize) -> usize {
    geometry::block_bytes(plain_bytes, coding).saturating_mul(coding.n())
}

fn random_bytes() -> Result<[u8; 16], getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
