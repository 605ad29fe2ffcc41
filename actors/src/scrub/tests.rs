//! The scrubber over a store that is made up, and once over a real one. Time is tokio's, paused: it jumps.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};

use actix::Addr;
use tempfile::TempDir;
use truckee_engine::scrub::{BUSY_REST, ROUND_LEAST, START_REST};
use truckee_engine::store::Holding;
use truckee_engine::time::{Mono, UnixSeconds};
use truckee_grid::ids::{ShareNumber, StorageIndex};
use truckee_grid::params::Coding;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::gate::tell;
use crate::supervise::{Health, Settled, StartChild, Supervisor, stop_all};
use crate::testing::Counts;

/// A calendar that goes with tokio's time.
struct Calendar(SystemClock);

impl Clock for Calendar {
    fn now(&self) -> Mono {
        self.0.now()
    }

    fn unix(&self) -> UnixSeconds {
        UnixSeconds::from_secs(1_800_000_000) + self.0.now().saturating_sub(Mono::ZERO)
    }

    fn instant(&self, at: Mono) -> tokio::time::Instant {
        self.0.instant(at)
    }
}

#[derive(Clone, Default)]
struct FakeStore(Arc<Mutex<Fake>>);

struct Fake {
    shares: BTreeMap<ShareId, Result<u64, DiskFault>>,
    checked: Vec<ShareId>,
    listed: usize,
    /// After so many checks the next one panics, once, in the middle of the actor's work.
    deadly_after: usize,
    /// After so many checks none is answered.
    silent_after: usize,
    /// So many lists are refused.
    refused: usize,
}

impl Default for Fake {
    fn default() -> Fake {
        Fake {
            shares: BTreeMap::new(),
            checked: Vec::new(),
            listed: 0,
            deadly_after: usize::MAX,
            silent_after: usize::MAX,
            refused: 0,
        }
    }
}

impl FakeStore {
    fn fake(&self) -> std::sync::MutexGuard<'_, Fake> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(shares: &[ShareId]) -> FakeStore {
        let store = FakeStore::default();
        store.fake().shares = shares.iter().map(|share| (*share, Ok(1000))).collect();
        store
    }
}

impl Scrubbed for FakeStore {
    fn list(&self, bucket: Bucket, after: Option<ShareId>) -> BoxFuture<'static, Result<Listing, DiskFault>> {
        let mut fake = self.fake();
        fake.listed += 1;
        if fake.refused > 0 {
            fake.refused -= 1;
            return async { Err(DiskFault::Overloaded) }.boxed();
        }
        let of_page = |share: &&ShareId| Bucket::of(&share.si) == bucket && Some(**share) > after;
        let holding = |share: &ShareId| Holding {
            share: *share,
            coding: Coding::new(3, 10).expect("valid"),
            file_bytes: 1000,
        };
        let holdings: Vec<Holding> = fake.shares.keys().filter(of_page).map(holding).collect();
        let listing = Listing {
            holdings,
            ..Listing::default()
        };
        async { Ok(listing) }.boxed()
    }

    fn verify(&self, share: ShareId) -> BoxFuture<'static, Result<u64, DiskFault>> {
        let mut fake = self.fake();
        if fake.checked.len() == fake.deadly_after {
            fake.deadly_after = usize::MAX;
            panic!("as ordered by the test");
        }
        if fake.checked.len() == fake.silent_after {
            return std::future::pending().boxed();
        }
        fake.checked.push(share);
        let result = fake
            .shares
            .get(&share)
            .copied()
            .unwrap_or(Err(DiskFault::NotFound));
        if result == Err(DiskFault::Corrupt) {
            fake.shares.remove(&share);
        }
        async move { result }.boxed()
    }

    fn report(&self) -> BoxFuture<'static, Option<StoreReport>> {
        let report = StoreReport {
            share_count: 1000,
            used_bytes: 1 << 40,
            ..StoreReport::default()
        };
        async move { Some(report) }.boxed()
    }
}

fn share(first: u8, number: u8) -> ShareId {
    ShareId {
        si: StorageIndex([first; 16]),
        share: ShareNumber(number),
    }
}

struct Bench {
    dir: TempDir,
    clock: ClockHandle,
}

impl Bench {
    fn new() -> Bench {
        tokio::time::pause();
        Bench {
            dir: TempDir::new().expect("temporary directory"),
            clock: Arc::new(Calendar(SystemClock::start())),
        }
    }

    fn place(&self) -> PathBuf {
        self.dir.path().join("scrub.json")
    }

    async fn start(&self, store: &FakeStore) -> Addr<Supervisor> {
        self.start_with(Arc::new(store.clone())).await
    }

    async fn start_with(&self, store: Arc<dyn Scrubbed>) -> Addr<Supervisor> {
        let rate = NonZeroU64::new(1 << 30).expect("not zero");
        let child = Scrubber::child(ScrubberStart {
            config: ScrubConfig::new(rate, Duration::ZERO),
            place: self.place(),
            store,
            clock: Arc::clone(&self.clock),
            chance: 0,
        });
        let root = Supervisor::new(Arc::clone(&self.clock), (), Health::new()).start();
        tell(&root, StartChild(child)).expect("just started");
        root.send(Settled).await.expect("alive");
        root
    }

    /// Waits in tokio's time until something holds.
    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = self.clock.now();
        while !holds() {
            let waited = self.clock.now().saturating_sub(began);
            assert!(
                waited < Duration::from_secs(3600),
                "waited an hour in vain until {what}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[actix::test]
async fn all_shares_are_checked_round_after_round_and_told() {
    let counts = Counts::default();
    let _recording = ::metrics::set_default_local_recorder(&counts);
    let bench = Bench::new();
    let shares: Vec<ShareId> = (0..5).map(|at| share(50 * at, at)).collect();
    let store = FakeStore::with(&shares);
    store.fake().shares.insert(shares[3], Err(DiskFault::Corrupt));
    store.fake().shares.insert(shares[4], Err(DiskFault::Failed));
    let root = bench.start(&store).await;
    let rounds = || counts.get(names::STORE_SCRUB_ROUNDS, "");
    bench.until("two rounds are done", || rounds() == 2).await;
    let times = |share: ShareId| store.fake().checked.iter().filter(|at| **at == share).count();
    let checked: Vec<usize> = shares.iter().map(|share| times(*share)).collect();
    assert_eq!(checked, [2, 2, 2, 1, 2], "the damaged one has gone");
    let outcome = |outcome: &str| counts.get(names::STORE_SCRUB_SHARES, outcome);
    assert_eq!(
        (outcome("sound"), outcome("corrupt"), outcome("unreadable")),
        (6, 1, 2)
    );
    assert!(counts.gauge(names::STORE_SCRUB_LAST_END_SECONDS) > 1.8e9);
    assert!(counts.gauge(names::STORE_SCRUB_ROUND_START_SECONDS) > 1.8e9);
    let planned = counts.gauge(names::STORE_SCRUB_PLANNED_SECONDS);
    assert!(
        (1024.0..1025.0).contains(&planned),
        "a tebibyte at a gibibyte a second: {planned}"
    );
    bench
        .until("half of the third round is done", || {
            counts.gauge(names::STORE_SCRUB_POSITION) >= 0.5
        })
        .await;
    assert_eq!(rounds(), 2);
    assert!(stop_all(&root).await.is_empty());
}

#[actix::test]
async fn the_next_process_goes_on_where_this_one_stopped() {
    let bench = Bench::new();
    let shares: Vec<ShareId> = (0..8).map(|at| share(20 * at + 1, 1)).collect();
    let store = FakeStore::with(&shares);
    store.fake().silent_after = 4;
    let root = bench.start(&store).await;
    bench
        .until("half are checked", || store.fake().checked.len() == 4)
        .await;
    assert!(stop_all(&root).await.is_empty());
    let text = std::fs::read_to_string(bench.place()).expect("the place is kept");
    assert!(Cursor::from_text(&text).is_ok(), "{text}");
    store.fake().silent_after = usize::MAX;
    let root = bench.start(&store).await;
    bench
        .until("all are checked", || store.fake().checked.len() >= 8)
        .await;
    assert_eq!(store.fake().checked[..8], shares, "each once, in order");
    assert!(stop_all(&root).await.is_empty());
}

#[actix::test]
async fn a_place_that_cannot_be_read_costs_a_round_that_begins_anew() {
    let bench = Bench::new();
    let store = FakeStore::with(&[share(1, 1)]);
    let broken: [&[u8]; 4] = [b"", b"{\"version\": 1}", b"\xff\xfe", &[b' '; 5000]];
    for (at, text) in broken.iter().enumerate() {
        std::fs::write(bench.place(), text).expect("writable");
        let root = bench.start(&store).await;
        bench
            .until("the share is checked", || store.fake().checked.len() > at)
            .await;
        assert!(stop_all(&root).await.is_empty());
        let text = std::fs::read_to_string(bench.place()).expect("the place is kept");
        assert!(Cursor::from_text(&text).is_ok(), "it was replaced: {text}");
    }
}

#[actix::test]
async fn a_place_that_cannot_be_written_stops_nothing() {
    let bench = Bench::new();
    std::fs::create_dir(bench.place()).expect("in the way");
    let store = FakeStore::with(&[share(1, 1)]);
    let root = bench.start(&store).await;
    bench
        .until("it is checked twice", || store.fake().checked.len() == 2)
        .await;
    assert!(stop_all(&root).await.is_empty());
}

#[actix::test]
async fn a_check_that_hangs_does_not_hold_up_the_stop() {
    let bench = Bench::new();
    let store = FakeStore::with(&[share(1, 1), share(1, 2)]);
    store.fake().silent_after = 1;
    let root = bench.start(&store).await;
    bench
        .until("a share is checked", || store.fake().checked.len() == 1)
        .await;
    assert!(stop_all(&root).await.is_empty(), "it ended in time");
    let text = std::fs::read_to_string(bench.place()).expect("the place is kept");
    assert!(
        text.contains("\"share\": 1"),
        "behind the share that was checked: {text}"
    );
}

#[actix::test]
async fn after_a_panic_it_goes_on() {
    let bench = Bench::new();
    let shares: Vec<ShareId> = (0..6).map(|at| share(20 * at + 1, 1)).collect();
    let store = FakeStore::with(&shares);
    store.fake().deadly_after = 2;
    let root = bench.start(&store).await;
    bench
        .until("all are checked", || store.fake().checked.contains(&shares[5]))
        .await;
    // The place was kept behind the first bucket, which is empty, and is not kept again within a minute.
    let checked = store.fake().checked[..8].to_vec();
    assert_eq!(checked, [&shares[..2], &shares[..]].concat());
    assert!(stop_all(&root).await.is_empty());
}

#[actix::test]
async fn a_busy_store_is_asked_again_later() {
    let bench = Bench::new();
    let store = FakeStore::with(&[share(1, 1)]);
    store.fake().refused = 3;
    let root = bench.start(&store).await;
    tokio::time::sleep(START_REST + BUSY_REST * 2 + BUSY_REST / 2).await;
    assert_eq!(store.fake().listed, 3);
    bench
        .until("the share is checked", || store.fake().checked.len() == 1)
        .await;
    assert!(stop_all(&root).await.is_empty());
}

/// With a real disk: one bit in the middle of a block, which nobody asks for.
#[actix::test]
async fn a_flipped_bit_is_found_though_nobody_reads() {
    use crate::store::testing::sample;
    use crate::store::{Disk, DiskPool, FileDisk, PoolConfig, ShareStore};
    use truckee_engine::store::{DiskOp, IncomingId, Limits, StoreConfig};

    let bench = Bench::new();
    // Time that jumps would be over before a thread of the disk has answered.
    tokio::time::resume();
    let (disk, _) = FileDisk::open(bench.dir.path()).expect("opens");
    let samples = [sample(1, 700, 2), sample(2, 700, 3)];
    for (at, sample) in samples.iter().enumerate() {
        let put = DiskOp::Put {
            incoming: IncomingId(at as u64),
            share: sample.share,
            closing: Box::new(sample.closing.clone()),
            block: sample.blocks[0].clone(),
        };
        disk.carry_out(put).result.expect("stored");
    }
    let path = |at: usize| {
        let si = samples[at].share.si.to_base32();
        let dir = bench.dir.path().join("shares").join(&si[..2]).join(&si);
        dir.join(samples[at].share.share.to_string())
    };
    let mut bytes = std::fs::read(path(0)).expect("readable");
    bytes[100] ^= 8;
    std::fs::write(path(0), bytes).expect("writable");

    let (disk, start) = FileDisk::open(bench.dir.path()).expect("opens");
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let pool = DiskPool::start(&disk, PoolConfig::default()).expect("threads start");
    let config = StoreConfig {
        quota_bytes: 1 << 30,
        reserve_bytes: 0,
        epoch: 1,
        draining: false,
        software: "test".to_owned(),
        limits: Limits::default(),
    };
    let slot = Slot::new();
    let child = ShareStore::child(config, pool, start, Arc::clone(&bench.clock), &slot);
    let stores = Supervisor::new(Arc::clone(&bench.clock), (), Health::new()).start();
    tell(&stores, StartChild(child)).expect("just started");
    let store = ShareStoreHandle::new(&slot);
    let root = bench.start_with(Arc::new(store.clone())).await;
    let patience = tokio::time::Instant::now() + Duration::from_secs(100);
    loop {
        let report = store.report().await.expect("alive");
        if report.corrupt.scrub == 1 && report.verified_bytes > 0 {
            assert_eq!((report.share_count, report.corrupt.total()), (1, 1));
            break;
        }
        assert!(
            tokio::time::Instant::now() < patience,
            "{report:?} after {ROUND_LEAST:?} rounds"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!path(0).exists() && path(1).exists());
    let aside = std::fs::read_dir(bench.dir.path().join("quarantine")).expect("there");
    assert_eq!(aside.count(), 1);
    assert!(stop_all(&root).await.is_empty());
    assert!(stop_all(&stores).await.is_empty());
}
