//! Transfers over a mesh made up of real store machines with disks in memory. Time is tokio's, paused: it jumps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{mpsc, watch};
use truckee_engine::session::CallError;
use truckee_engine::store::model::ModelDisk;
use truckee_engine::store::{Asked, Effect, Limits, StartSpace, Store, StoreConfig, Ticket};
use truckee_engine::time::Mono;
use truckee_grid::engines::Engines;
use truckee_grid::erasure::ErasureChoice;
use truckee_grid::params::Coding;
use truckee_wire::message::{RequestKind, Role, Roles};

use super::*;
use crate::call::{Call, CallGuard, CallResult, MeshCalls, PeerView, Reply};
use crate::clock::SystemClock;
use crate::directory::{Directory, Member};
use crate::metrics as names;
use crate::testing::Counts;

const SEGMENT_BYTES: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Says nothing; its link is lost two seconds later.
    Frozen,
    Down,
    /// Whoever calls it panics.
    Deadly,
}

struct FakePeer {
    store: Store,
    disk: ModelDisk,
    mood: Mood,
    /// Freezes at the next request of this kind.
    freezes_at: Option<RequestKind>,
}

impl FakePeer {
    fn new() -> Self {
        let config = StoreConfig {
            quota_bytes: 1 << 40,
            reserve_bytes: 0,
            epoch: 1,
            draining: false,
            software: String::from("test"),
            limits: Limits::default(),
        };
        let space = StartSpace {
            free_bytes: 1 << 40,
            ..StartSpace::default()
        };
        Self {
            store: Store::new(config, space, Mono::ZERO),
            disk: ModelDisk::new(1 << 40),
            mood: Mood::Well,
            freezes_at: None,
        }
    }

    fn serve(&mut self, now: Mono, request: truckee_wire::message::Request) -> CallResult {
        let asked = Asked {
            ticket: Ticket(1),
            link: 1,
            deadline: now + Duration::from_secs(60),
        };
        self.store.handle_request(
            now,
            truckee_engine::time::UnixSeconds::from_secs(1),
            asked,
            request,
        );
        let mut answer = None;
        while let Some(effect) = self.store.poll_effect() {
            match effect {
                Effect::Answer { result, .. } => answer = Some(result.map_err(CallError::Refused)),
                Effect::Disk { token, op } => {
                    let reply = self.disk.carry_out(op);
                    self.store.handle_disk(now, token, reply);
                }
                Effect::Verified { .. }
                | Effect::Listed { .. }
                | Effect::TrashDone { .. }
                | Effect::Surveyed { .. } => {}
            }
        }
        answer.expect("a store with an instant disk answers at once")
    }
}

#[derive(Clone)]
struct FakeMesh {
    peers: Arc<Mutex<BTreeMap<NodeId, FakePeer>>>,
    clock: ClockHandle,
}

impl MeshCalls for FakeMesh {
    fn call(&self, peer: NodeId, call: Call, reply: Reply) -> CallGuard {
        let mut peers = self.peers.lock().expect("no panic");
        let peer = peers.get_mut(&peer).expect("calls go to members");
        if peer.freezes_at == Some(call.request.kind()) {
            peer.mood = Mood::Frozen;
        }
        match peer.mood {
            Mood::Well => reply.answer(peer.serve(self.clock.now(), call.request)),
            Mood::Down => reply.answer(Err(CallError::Down {
                retry_in: Duration::from_secs(1),
            })),
            Mood::Deadly => {
                drop(peers);
                panic!("as ordered by the test");
            }
            Mood::Frozen => {
                let guard = CallGuard::new(&reply, || ());
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    reply.answer(Err(CallError::LinkLost));
                });
                return guard;
            }
        }
        CallGuard::done()
    }

    fn peers(&self) -> Vec<PeerView> {
        Vec::new()
    }

    fn is_up(&self, _: NodeId) -> bool {
        true
    }

    fn own_id(&self) -> NodeId {
        NodeId([255; 32])
    }
}

/// A gateway in a mesh of ten storage nodes and an introducer.
struct Bench {
    transfers: Transfers,
    mesh: FakeMesh,
    _directory: watch::Sender<Arc<Directory>>,
}

impl Bench {
    fn new() -> Self {
        Self::with_room(UPLOAD_BYTES_DEFAULT, DOWNLOAD_BYTES_DEFAULT)
    }

    fn with_room(upload_bytes: usize, download_bytes: usize) -> Self {
        tokio::time::pause();
        Self::build(upload_bytes, download_bytes)
    }

    /// Time must be paused already.
    fn build(upload_bytes: usize, download_bytes: usize) -> Self {
        let clock = SystemClock::handle();
        let peers: BTreeMap<NodeId, FakePeer> = (0..10).map(|index| (node(index), FakePeer::new())).collect();
        let member = |id: NodeId, role: Role| Member {
            node_id: id,
            nickname: String::new(),
            zone: String::new(),
            roles: Roles::from_iter([role]),
            addresses: Vec::new(),
            software: String::new(),
            keep_linked: false,
        };
        let mut directory: Directory = peers.keys().map(|id| (*id, member(*id, Role::Storage))).collect();
        directory.insert(node(100), member(node(100), Role::Introducer));
        let (sender, watch) = watch::channel(Arc::new(directory));
        let mesh = FakeMesh {
            peers: Arc::new(Mutex::new(peers)),
            clock: Arc::clone(&clock),
        };
        let transfers = Transfers::start(TransfersConfig {
            mesh: MeshHandle::new(mesh.clone()),
            cpu: CpuHandle::inline(),
            clock,
            engines: EngineChoice::made(
                Engines::select(ErasureChoice::Auto).expect("auto always gives an engine"),
            ),
            directory: watch,
            own: None,
            upload_bytes,
            download_bytes,
        });
        Self {
            transfers,
            mesh,
            _directory: sender,
        }
    }

    fn each_peer(&self, mut change: impl FnMut(u8, &mut FakePeer)) {
        let mut peers = self.mesh.peers.lock().expect("no panic");
        for (index, peer) in (0..).zip(peers.values_mut()) {
            change(index, peer);
        }
    }

    fn incoming(&self) -> usize {
        let mut count = 0;
        self.each_peer(|_, peer| count += peer.disk.incoming_count());
        count
    }

    /// Feeds a body, of which only the first `segments` come.
    fn feed(&self, bytes: Vec<u8>, segments: usize) -> mpsc::Receiver<Result<SegmentIn, BodyError>> {
        let (body, receiver) = mpsc::channel(1);
        let transfers = self.transfers.clone();
        tokio::task::spawn_local(async move {
            let count = bytes.len().div_ceil(SEGMENT_BYTES);
            for (index, chunk) in bytes.chunks(SEGMENT_BYTES).take(segments).enumerate() {
                let Ok(permit) = transfers
                    .room_for_segment(encoding().coding(), SEGMENT_BYTES)
                    .await
                else {
                    return;
                };
                let plaintext = BytesMut::from(chunk);
                let segment = SegmentIn {
                    plaintext,
                    last: index + 1 == count,
                    permit,
                };
                if body.send(Ok(segment)).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    async fn upload(&self, bytes: &[u8]) -> Result<UploadOutcome, UploadError> {
        let body = self.feed(bytes.to_vec(), usize::MAX);
        self.transfers.upload(spec(KeyChoice::Random), body).await
    }

    async fn download(&self, cap: &ChkCap, range: Option<Range<u64>>) -> Result<Vec<u8>, DownloadError> {
        let mut stream = self
            .transfers
            .download(DownloadSpec {
                cap: cap.clone(),
                range,
            })
            .await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.recv().await {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(bytes)
    }

    /// Everything that ended transfers held has been given back.
    async fn is_at_rest(&self) {
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let gates = [&self.transfers.0.upload_gate, &self.transfers.0.download_gate];
            let free = gates
                .iter()
                .all(|gate| gate.available_bytes() == gate.capacity_bytes());
            if free && self.transfers.active() == 0 {
                return;
            }
        }
        panic!("{} transfers still hold something", self.transfers.active());
    }
}

fn node(index: u8) -> NodeId {
    NodeId([index; 32])
}

fn encoding() -> Encoding {
    let coding = Coding::new(3, 10).expect("a valid code");
    Encoding::new(coding, 7, SEGMENT_BYTES as u32).expect("a valid encoding")
}

fn spec(key: KeyChoice) -> UploadSpec {
    UploadSpec {
        encoding: encoding(),
        key,
        size_hint: None,
    }
}

fn plaintext(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 256) as u8).collect()
}

#[actix::test]
async fn what_goes_up_comes_down() {
    let bench = Bench::new();
    for len in [56, 1023, 1024, 1025, 50_000] {
        let outcome = bench.upload(&plaintext(len)).await.expect("the upload completes");
        assert_eq!(
            (outcome.placed, outcome.happiness, outcome.needs_repair),
            (10, 10, false)
        );
        assert_eq!(
            (outcome.cap.size, outcome.cap.coding),
            (len as u64, encoding().coding())
        );
        assert!(
            bench.download(&outcome.cap, None).await == Ok(plaintext(len)),
            "{len} bytes"
        );
        let part = bench.download(&outcome.cap, Some(17..40)).await;
        assert_eq!(part.as_deref(), Ok(&plaintext(len)[17..40]));
        assert_eq!(bench.download(&outcome.cap, Some(17..17)).await, Ok(Vec::new()));
    }
    bench.is_at_rest().await;
}

#[actix::test]
async fn a_random_key_is_another_each_time_and_a_convergent_one_finds_what_exists() {
    let bench = Bench::new();
    let bytes = plaintext(5_000);
    let first = bench.upload(&bytes).await.expect("the upload completes");
    let second = bench.upload(&bytes).await.expect("the upload completes");
    assert_ne!(first.cap.storage_index(), second.cap.storage_index());
    let key = ReadKey::from_bytes([1; 16]);
    for existing in [0, 10] {
        let body = bench.feed(bytes.clone(), usize::MAX);
        let done = bench
            .transfers
            .upload(spec(KeyChoice::Convergent(key.clone())), body)
            .await;
        assert_eq!(done.expect("the upload completes").existing, existing);
    }
}

#[actix::test]
async fn one_frozen_peer_costs_an_upload_about_two_seconds() {
    tokio::time::pause();
    for kind in [
        RequestKind::OpenShare,
        RequestKind::WriteBlock,
        RequestKind::CloseShare,
        RequestKind::PutShare,
    ] {
        let bench = Bench::build(UPLOAD_BYTES_DEFAULT, DOWNLOAD_BYTES_DEFAULT);
        bench.each_peer(|index, peer| peer.freezes_at = (index == 4).then_some(kind));
        let len = if kind == RequestKind::PutShare {
            500
        } else {
            90_000
        };
        let began = tokio::time::Instant::now();
        let outcome = bench.upload(&plaintext(len)).await.expect("the upload completes");
        assert!(
            began.elapsed() < Duration::from_millis(2_600),
            "{kind:?}: {:?}",
            began.elapsed()
        );
        assert_eq!(outcome.happiness, 9);
        assert!(
            bench.download(&outcome.cap, None).await == Ok(plaintext(len)),
            "{kind:?}"
        );
        bench.is_at_rest().await;
    }
}

#[actix::test]
async fn seven_peers_frozen_midway_cost_a_download_two_seconds_at_most() {
    let bench = Bench::new();
    let outcome = bench
        .upload(&plaintext(200_000))
        .await
        .expect("the upload completes");
    let spec = DownloadSpec {
        cap: outcome.cap.clone(),
        range: None,
    };
    let mut stream = bench.transfers.download(spec).await.expect("it begins");
    let mut bytes = Vec::new();
    let mut began = tokio::time::Instant::now();
    while let Some(chunk) = stream.recv().await {
        bytes.extend_from_slice(&chunk.expect("three peers are enough"));
        if bytes.len() == 5 * SEGMENT_BYTES {
            bench.each_peer(|index, peer| {
                if index < 7 {
                    peer.mood = Mood::Frozen;
                }
            });
            began = tokio::time::Instant::now();
        }
    }
    assert!(bytes == plaintext(200_000));
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "took {:?}",
        began.elapsed()
    );
    bench.is_at_rest().await;
}

#[actix::test]
async fn too_few_peers_fail_with_the_reason_of_each() {
    let bench = Bench::new();
    bench.each_peer(|index, peer| {
        if index < 4 {
            peer.mood = Mood::Down;
        }
    });
    let error = bench
        .upload(&plaintext(5_000))
        .await
        .expect_err("six are too few");
    let UploadError::NotHappy(not_happy) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (not_happy.happy, not_happy.reachable, not_happy.peers.len()),
        (7, 6, 4)
    );
    assert_eq!(error.cause(), "not_happy");
    bench.is_at_rest().await;
    assert_eq!(bench.incoming(), 0, "what was begun is taken away");
}

#[actix::test]
async fn too_few_shares_fail_before_an_answer_is_begun() {
    let bench = Bench::new();
    let outcome = bench
        .upload(&plaintext(5_000))
        .await
        .expect("the upload completes");
    bench.each_peer(|index, peer| {
        if index < 8 {
            peer.mood = Mood::Down;
        }
    });
    let error = bench
        .download(&outcome.cap, None)
        .await
        .expect_err("two are too few");
    let DownloadError::TooFewShares(too_few) = &error else {
        panic!("{error:?}")
    };
    assert_eq!((too_few.have, too_few.need, too_few.peers.len()), (2, 3, 8));
    bench.is_at_rest().await;
}

#[actix::test]
async fn a_download_that_fails_midway_says_so_in_its_stream() {
    let bench = Bench::new();
    let outcome = bench
        .upload(&plaintext(100_000))
        .await
        .expect("the upload completes");
    let spec = DownloadSpec {
        cap: outcome.cap,
        range: None,
    };
    let mut stream = bench.transfers.download(spec).await.expect("it begins");
    bench.each_peer(|_, peer| peer.mood = Mood::Down);
    let mut last = None;
    while let Some(chunk) = stream.recv().await {
        last = Some(chunk);
    }
    assert!(
        matches!(last, Some(Err(DownloadError::TooFewShares(_)))),
        "{last:?}"
    );
    bench.is_at_rest().await;
}

#[actix::test]
async fn a_body_that_ends_early_leaves_nothing() {
    let bench = Bench::new();
    let body = bench.feed(plaintext(20_000), 7);
    let error = bench
        .transfers
        .upload(spec(KeyChoice::Random), body)
        .await
        .expect_err("the body ends");
    assert_eq!(error, UploadError::Body(BodyError::Vanished));
    let (sender, body) = mpsc::channel(1);
    let short = BodyError::TooShort { expected: 9, got: 3 };
    sender.send(Err(short)).await.expect("it fits");
    let error = bench
        .transfers
        .upload(spec(KeyChoice::Random), body)
        .await
        .expect_err("the body is short");
    assert_eq!(error, UploadError::Body(short));
    bench.is_at_rest().await;
    assert_eq!(bench.incoming(), 0);
}

#[actix::test]
async fn a_caller_that_goes_away_cancels_its_upload() {
    let bench = Bench::new();
    let (sender, body) = mpsc::channel(1);
    let permit = bench
        .transfers
        .room_for_segment(encoding().coding(), SEGMENT_BYTES)
        .await
        .expect("room");
    let plaintext = BytesMut::zeroed(SEGMENT_BYTES);
    sender
        .send(Ok(SegmentIn {
            plaintext,
            last: false,
            permit,
        }))
        .await
        .expect("it fits");
    let upload = bench.transfers.upload(spec(KeyChoice::Random), body);
    let gave_up = tokio::time::timeout(Duration::from_secs(1), upload).await;
    assert!(gave_up.is_err(), "the body has not ended");
    bench.is_at_rest().await;
    assert_eq!(bench.incoming(), 0, "what was begun is taken away");
    assert!(sender.is_closed());
}

#[actix::test]
async fn a_reader_that_goes_away_cancels_its_download() {
    let bench = Bench::new();
    let outcome = bench
        .upload(&plaintext(100_000))
        .await
        .expect("the upload completes");
    for read in [0, 1, 5] {
        let spec = DownloadSpec {
            cap: outcome.cap.clone(),
            range: None,
        };
        let mut stream = bench.transfers.download(spec).await.expect("it begins");
        for _ in 0..read {
            stream.recv().await.expect("more to come").expect("good bytes");
        }
        drop(stream);
        bench.is_at_rest().await;
    }
    // And one who does not even wait for the first bytes.
    bench.each_peer(|_, peer| peer.mood = Mood::Frozen);
    let download = bench.download(&outcome.cap, None);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), download)
            .await
            .is_err()
    );
    bench.is_at_rest().await;
}

#[actix::test]
async fn a_slow_reader_holds_no_more_than_its_window() {
    let bench = Bench::new();
    let outcome = bench
        .upload(&plaintext(100_000))
        .await
        .expect("the upload completes");
    let spec = DownloadSpec {
        cap: outcome.cap,
        range: None,
    };
    let mut stream = bench.transfers.download(spec).await.expect("it begins");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let mut reads = 0;
    bench.each_peer(|_, peer| reads += peer.store.report().read_bytes);
    let most = 6 * 2 * SEGMENT_BYTES as u64;
    assert!(
        reads < most,
        "{reads} bytes of blocks were read for a reader that takes nothing"
    );
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.recv().await {
        bytes.extend_from_slice(&chunk.expect("good bytes"));
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert!(bytes == plaintext(100_000));
    bench.is_at_rest().await;
}

#[actix::test]
async fn memory_is_bounded_for_all_transfers_together() {
    let room = 4 * 384 * 10;
    let bench = Bench::with_room(room, 5 * 1024);
    let cap = {
        let uploads = (0..8).map(|_| bench.upload(&plaintext_static()[..30_000]));
        let outcomes = futures_util::future::join_all(uploads).await;
        outcomes
            .into_iter()
            .map(|outcome| outcome.expect("each completes").cap)
            .next()
            .expect("eight")
    };
    bench.is_at_rest().await;
    let spec = DownloadSpec {
        cap: cap.clone(),
        range: None,
    };
    let idle = bench.transfers.download(spec).await.expect("it begins");
    let error = bench
        .download(&cap, None)
        .await
        .expect_err("the first one holds the memory");
    assert!(matches!(error, DownloadError::Overloaded { .. }), "{error:?}");
    drop(idle);
    assert!(bench.download(&cap, None).await == Ok(plaintext_static()[..30_000].to_vec()));
    bench.is_at_rest().await;
}

fn plaintext_static() -> &'static [u8] {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| plaintext(30_000))
}

#[actix::test]
async fn a_transfer_that_panics_ends_alone_and_is_counted() {
    let counts = Counts::default();
    let _counted = ::metrics::set_default_local_recorder(&counts);
    let bench = Bench::new();
    let outcome = bench
        .upload(&plaintext(5_000))
        .await
        .expect("the upload completes");
    let spec = DownloadSpec {
        cap: outcome.cap.clone(),
        range: None,
    };
    bench.each_peer(|_, peer| peer.mood = Mood::Deadly);
    assert_eq!(
        bench.upload(&plaintext(5_000)).await.expect_err("it panics"),
        UploadError::Internal
    );
    assert_eq!(
        bench.transfers.download(spec).await.expect_err("it panics"),
        DownloadError::Internal
    );
    bench.each_peer(|_, peer| peer.mood = Mood::Well);
    assert!(bench.download(&outcome.cap, None).await == Ok(plaintext(5_000)));
    bench.is_at_rest().await;
    let count = |name: &str, outcome: &str| counts.get(name, outcome);
    assert_eq!(count(names::UPLOAD_FINISHED, "internal"), 1);
    assert_eq!(count(names::UPLOAD_FINISHED, "completed"), 1);
    assert_eq!(count(names::DOWNLOAD_FINISHED, "internal"), 1);
    assert_eq!(count(names::DOWNLOAD_FINISHED, "completed"), 1);
}

#[actix::test]
async fn draining_waits_refuses_and_then_cancels() {
    let bench = Bench::new();
    let outcome = bench
        .upload(&plaintext(100_000))
        .await
        .expect("the upload completes");
    let spec_of = || DownloadSpec {
        cap: outcome.cap.clone(),
        range: None,
    };
    let mut slow = bench.transfers.download(spec_of()).await.expect("it begins");
    let transfers = bench.transfers.clone();
    let drained = tokio::task::spawn_local(async move { transfers.drain(Duration::from_secs(5)).await });
    tokio::task::yield_now().await;
    assert_eq!(
        bench.transfers.download(spec_of()).await.expect_err("draining"),
        DownloadError::Stopping
    );
    assert_eq!(
        bench.upload(b"not taken any more").await.expect_err("draining"),
        UploadError::Stopping
    );
    assert_eq!(drained.await.expect("no panic"), 1, "the slow one was cancelled");
    let mut bytes = 0;
    while let Some(Ok(chunk)) = slow.recv().await {
        bytes += chunk.len();
    }
    assert!(bytes < 10 * SEGMENT_BYTES, "it ended early, after {bytes} bytes");
}

#[actix::test]
async fn a_reader_that_takes_what_it_gets_learns_why_its_download_was_cancelled() {
    let bench = Bench::new();
    let outcome = bench
        .upload(&plaintext(100_000))
        .await
        .expect("the upload completes");
    let spec = DownloadSpec {
        cap: outcome.cap,
        range: None,
    };
    let mut stream = bench.transfers.download(spec).await.expect("it begins");
    bench.each_peer(|_, peer| peer.mood = Mood::Frozen);
    let transfers = bench.transfers.clone();
    let drained = tokio::task::spawn_local(async move { transfers.drain(Duration::from_secs(1)).await });
    let mut last = None;
    while let Some(chunk) = stream.recv().await {
        last = Some(chunk);
    }
    assert_eq!(last, Some(Err(DownloadError::Stopping)));
    assert_eq!(drained.await.expect("no panic"), 1);
}

#[actix::test]
async fn draining_an_idle_node_takes_no_time() {
    let bench = Bench::new();
    let began = tokio::time::Instant::now();
    assert_eq!(bench.transfers.drain(Duration::from_secs(60)).await, 0);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[actix::test]
async fn a_check_counts_and_a_verification_reads() {
    let bench = Bench::new();
    let done = bench
        .upload(&plaintext(50_000))
        .await
        .expect("the upload completes");
    let file = done.cap.verifier();
    for verify in [false, true] {
        let report = bench.transfers.check(file, verify).await.expect("a report");
        assert!(report.is_healthy() && report.verified == verify);
        assert_eq!(report.responding.len(), 10, "an introducer is not asked");
        assert_eq!(report.blocks, if verify { 490 } else { 0 });
    }
    bench.each_peer(|index, peer| match index {
        2 => peer.mood = Mood::Down,
        3 => peer.mood = Mood::Frozen,
        _ => {}
    });
    let report = bench.transfers.check(file, true).await.expect("a report");
    let silent: Vec<_> = report.silent.iter().map(|silent| silent.why.name()).collect();
    assert_eq!((report.good(), silent), (8, vec!["unreachable", "link_lost"]));
    bench.is_at_rest().await;
}

#[actix::test]
async fn a_check_that_nobody_waits_for_ends_and_one_that_panics_is_told() {
    let bench = Bench::new();
    let done = bench
        .upload(&plaintext(5_000))
        .await
        .expect("the upload completes");
    let file = done.cap.verifier();
    bench.each_peer(|_, peer| peer.mood = Mood::Frozen);
    {
        let check = bench.transfers.check(file, true);
        let dropped = tokio::time::timeout(Duration::from_millis(100), check).await;
        assert!(dropped.is_err(), "frozen peers are waited for");
    }
    bench.is_at_rest().await;
    assert_eq!(bench.transfers.history().recent()[0].outcome, Some("cancelled"));
    bench.each_peer(|_, peer| peer.mood = Mood::Deadly);
    assert_eq!(bench.transfers.check(file, true).await, Err(CheckError::Internal));
    bench.each_peer(|_, peer| peer.mood = Mood::Well);
    bench.is_at_rest().await;
    bench.transfers.drain(Duration::from_secs(1)).await;
    assert_eq!(
        bench.transfers.check(file, false).await,
        Err(CheckError::Stopping)
    );
}

#[actix::test]
async fn checks_are_bounded_and_more_wait() {
    let bench = Bench::new();
    let done = bench
        .upload(&plaintext(5_000))
        .await
        .expect("the upload completes");
    let file = done.cap.verifier();
    bench.each_peer(|_, peer| peer.mood = Mood::Frozen);
    let checks: Vec<_> = (0..40).map(|_| bench.transfers.check(file, false)).collect();
    let all = futures_util::future::join_all(checks);
    let mut all = std::pin::pin!(all);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), &mut all)
            .await
            .is_err()
    );
    assert_eq!(bench.transfers.active(), check::CHECKS_MAX);
    let reports = all.await;
    assert!(reports.iter().all(Result::is_ok));
    bench.is_at_rest().await;
}

#[actix::test]
async fn transfers_leave_records_with_their_stages() {
    let bench = Bench::new();
    let done = bench
        .upload(&plaintext(5_000))
        .await
        .expect("the upload completes");
    bench.download(&done.cap, None).await.expect("comes down");
    bench
        .transfers
        .check(done.cap.verifier(), true)
        .await
        .expect("a report");
    bench.is_at_rest().await;
    let history = bench.transfers.history();
    for (kind, stages) in [
        (OperationKind::Upload, vec!["locate", "encode", "send", "close"]),
        (
            OperationKind::Download,
            vec!["locate", "fetch", "decode", "deliver"],
        ),
        (OperationKind::Check, vec!["locate", "verify"]),
    ] {
        let operation = history.find(kind, 1).expect("kept");
        let names: Vec<_> = operation.stages.iter().map(|(name, _)| *name).collect();
        assert_eq!((names, operation.outcome), (stages, Some("completed")));
        assert_eq!(operation.storage_index, Some(done.cap.storage_index()));
        assert_eq!((operation.size, operation.progress()), (Some(5_000), 1.0));
    }
    assert!(history.active().is_empty());
}
