//! A mesh in memory: keeps what is uploaded, gives it back, and fails in the ways it is told to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Semaphore, mpsc};
use truckee_actors::gate::{ByteGate, BytePermit, GateError};
use truckee_actors::transfers::{
    History, NotHappy, PeerWhy, TooFewShares, TransferPeerReport, UploadTimings,
};
use truckee_grid::caps::ChkCap;
use truckee_grid::ids::{Hash, NodeId};
use truckee_grid::keys::ReadKey;
use truckee_grid::params::Coding;

use crate::http::port::*;
use crate::http::{Alive, port};
use crate::role::Role;

/// How the fake behaves from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Kind,
    NotHappy,
    Stopping,
    TooFewShares,
    /// The download breaks off after its first segment.
    CutShort,
    Overloaded,
}

/// A file of the fake mesh.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    pub(super) segments: Vec<usize>,
    pub(super) size_hint: Option<u64>,
    pub(super) convergent: bool,
    pub(super) coding: Coding,
}

pub(super) struct Fake {
    gate: ByteGate,
    mood: Mutex<Mood>,
    files: Mutex<BTreeMap<[u8; 16], Kept>>,
    history: History,
    /// Uploads that were begun and did not become a file.
    pub(super) unfinished: AtomicUsize,
    pub(super) begun: AtomicUsize,
    /// Each upload takes one before it takes its first segment.
    pub(super) go: Semaphore,
}

impl Fake {
    pub(super) fn new() -> Arc<Fake> {
        Arc::new(Fake {
            gate: ByteGate::new("test", 64 << 20),
            mood: Mutex::new(Mood::Kind),
            files: Mutex::default(),
            history: super::fake_checker::history(),
            unfinished: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            go: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(super) fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    pub(super) fn file(&self, cap: &ChkCap) -> Option<Kept> {
        self.files.lock().unwrap().get(cap.key.expose()).cloned()
    }

    /// Whether shares of this name were stored.
    pub(super) fn holds(&self, si: &truckee_grid::ids::StorageIndex) -> bool {
        let files = self.files.lock().unwrap();
        files
            .keys()
            .any(|key| ReadKey::from_bytes(*key).storage_index() == *si)
    }

    pub(super) fn history(&self) -> History {
        self.history.clone()
    }

    pub(super) fn file_count(&self) -> usize {
        self.files.lock().unwrap().len()
    }

    pub(super) fn free_bytes(&self) -> usize {
        self.gate.available_bytes()
    }
}

fn report() -> Vec<TransferPeerReport> {
    vec![TransferPeerReport {
        peer: NodeId([9; 32]),
        why: PeerWhy::Full,
    }]
}

/// Counts an upload as unfinished unless it is disarmed.
struct Unfinished(Option<Arc<FakePort>>);

impl Unfinished {
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(port) = &self.0 {
            port.0.unfinished.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[derive(Clone)]
pub(super) struct FakePort(pub(super) Arc<Fake>);

impl TransferPort for FakePort {
    fn upload(
        &self,
        spec: UploadSpec,
        mut body: SegmentReceiver,
    ) -> PortFuture<Result<UploadOutcome, UploadError>> {
        let fake = Arc::clone(&self.0);
        let mut unfinished = Unfinished(Some(Arc::new(self.clone())));
        Box::pin(async move {
            fake.begun.fetch_add(1, Ordering::SeqCst);
            fake.go.acquire().await.expect("never closed").forget();
            let mut bytes = Vec::new();
            let mut segments = Vec::new();
            loop {
                let segment = body.recv().await.unwrap_or(Err(BodyError::Vanished))?;
                assert!(segment.plaintext.capacity() >= spec.buffer_bytes(segment.plaintext.len()));
                segments.push(segment.plaintext.len());
                bytes.extend_from_slice(&segment.plaintext);
                match fake.mood() {
                    Mood::NotHappy => {
                        let why = NotHappy {
                            happy: 7,
                            reachable: 2,
                            candidates: 3,
                            peers: report(),
                        };
                        return Err(UploadError::NotHappy(Box::new(why)));
                    }
                    Mood::Stopping => return Err(UploadError::Stopping),
                    _ => {}
                }
                if segment.last {
                    break;
                }
            }
            let mut files = fake.files.lock().unwrap();
            let key = match &spec.key {
                KeyChoice::Random => ReadKey::from_bytes([files.len() as u8 + 1; 16]),
                KeyChoice::Convergent(key) => key.clone(),
            };
            let coding = spec.encoding.coding();
            let cap = ChkCap {
                key: key.clone(),
                ueb_hash: Hash([5; 32]),
                coding,
                size: bytes.len() as u64,
            };
            let convergent = matches!(spec.key, KeyChoice::Convergent(_));
            files.insert(
                *key.expose(),
                Kept {
                    bytes,
                    segments,
                    size_hint: spec.size_hint,
                    convergent,
                    coding,
                },
            );
            unfinished.disarm();
            Ok(UploadOutcome {
                cap,
                placements: Vec::new(),
                placed: coding.n(),
                existing: 0,
                happiness: spec.encoding.happy(),
                needs_repair: false,
                troubles: Vec::new(),
                timings: UploadTimings::default(),
            })
        })
    }

    fn download(&self, spec: DownloadSpec) -> PortFuture<Result<DownloadStream, DownloadError>> {
        let fake = Arc::clone(&self.0);
        Box::pin(async move {
            let mood = fake.mood();
            let too_few = || TooFewShares {
                have: 1,
                need: 3,
                asked: 10,
                peers: report(),
            };
            match mood {
                Mood::Overloaded => {
                    let retry_after = std::time::Duration::from_secs(3);
                    return Err(DownloadError::Overloaded { retry_after });
                }
                Mood::Stopping => return Err(DownloadError::Stopping),
                Mood::TooFewShares => return Err(DownloadError::TooFewShares(Box::new(too_few()))),
                _ => {}
            }
            let kept = fake
                .file(&spec.cap)
                .ok_or_else(|| DownloadError::TooFewShares(Box::new(too_few())))?;
            let range = spec.range.unwrap_or(0..spec.cap.size);
            let bytes = Bytes::from(kept.bytes).slice(range.start as usize..range.end as usize);
            let (sender, rx) = mpsc::channel(1);
            tokio::spawn(async move {
                for piece in bytes.chunks(300_000) {
                    if sender.send(Ok(Bytes::copy_from_slice(piece))).await.is_err() {
                        return;
                    }
                    if mood == Mood::CutShort {
                        let cut = DownloadError::TooFewShares(Box::new(too_few()));
                        let _reader_may_be_gone = sender.send(Err(cut)).await;
                        return;
                    }
                }
            });
            Ok(DownloadStream { rx })
        })
    }

    fn room_for_segment(
        &self,
        coding: Coding,
        plain_bytes: usize,
    ) -> PortFuture<Result<BytePermit, GateError>> {
        let gate = self.0.gate.clone();
        Box::pin(async move { gate.acquire(plain_bytes * coding.n() / coding.k()).await })
    }
}

/// A node that knows one peer with an unfriendly name.
pub(super) struct FakeView(pub(super) Arc<Fake>);

impl NodeView for FakeView {
    fn snapshot(&self) -> port::NodeSnapshot {
        port::NodeSnapshot {
            node_id: "own-id".to_owned(),
            nickname: "<gateway> & co".to_owned(),
            roles: vec![Role::Gateway],
            peers: vec![port::PeerRow {
                node_id: NodeId([9; 32]).to_base32(),
                nickname: "<script>alert(1)</script>".to_owned(),
                roles: vec![Role::Storage, Role::Introducer],
                zone: "a\"b".to_owned(),
                software: "truckee 0".to_owned(),
                state: port::PeerState::Up,
                address: Some("127.0.0.1:7".to_owned()),
                last_heard_unix_s: Some(1_700_000_000),
                round_trip: Some(std::time::Duration::from_micros(1500)),
                available_bytes: Some(5_000_000),
                last_failure: None,
            }],
            unready: (self.0.mood() == Mood::NotHappy).then(|| "2 of 7 storage peers are linked".to_owned()),
        }
    }

    fn storage(&self) -> BTreeMap<String, port::StorageStatus> {
        let status = port::StorageStatus {
            shares: 12,
            used_bytes: 3000,
            available_bytes: 5_000_000,
            accepts: true,
            uptime: std::time::Duration::from_secs(60),
        };
        BTreeMap::from([(NodeId([9; 32]).to_base32(), status)])
    }
}

impl Alive for FakeView {
    fn is_alive(&self) -> bool {
        self.0.mood() != Mood::Stopping
    }
}

/// Bytes that no compressor or test could mistake for others.
pub(super) fn noise(bytes: usize, seed: u64) -> BytesMut {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = BytesMut::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}
