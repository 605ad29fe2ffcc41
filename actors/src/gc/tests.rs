//! The collector over a real store and a real disk, through some weeks of tokio's time, which is paused and jumps.

use actix::Addr;
use tempfile::TempDir;
use tokio::sync::oneshot;
use truckee_engine::gc::DAY_UPTIME;
use truckee_engine::store::{DiskOp, IncomingId, Limits, StoreConfig};
use truckee_engine::time::{Day, Mono, UnixSeconds};
use truckee_grid::ids::{NodeId, StorageIndex};
use truckee_wire::message::{Lane, LeasesRenewed, RenewLeases, Request, Response, Roles};

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::gate::tell;
use crate::inbound::{Asker, CancelFlag, Inbound, InboundHandler, LinkId, Responder};
use crate::store::testing::{Sample, sample};
use crate::store::{Disk, DiskPool, FileDisk, ShareStore};
use crate::supervise::{Health, Settled, StartChild, Supervisor, stop_all};

/// The day on which the tests begin; the samples were written three years before.
const FIRST: u32 = 20_833;
const EXPIRE: u32 = 8;
const WAIT: u32 = 3;

/// A calendar that goes with tokio's time.
struct Calendar(SystemClock);

impl Clock for Calendar {
    fn now(&self) -> Mono {
        self.0.now()
    }

    fn unix(&self) -> UnixSeconds {
        Day::from_number(FIRST).begin() + self.0.now().saturating_sub(Mono::ZERO)
    }

    fn instant(&self, at: Mono) -> tokio::time::Instant {
        self.0.instant(at)
    }
}

struct Bench {
    dir: TempDir,
    clock: ClockHandle,
    slot: Slot<ShareStore>,
    stores: Addr<Supervisor>,
    root: Addr<Supervisor>,
}

impl Bench {
    async fn start(samples: &[Sample]) -> Bench {
        tokio::time::pause();
        let dir = TempDir::new().expect("temporary directory");
        let clock: ClockHandle = Arc::new(Calendar(SystemClock::start()));
        let (disk, _) = FileDisk::open(dir.path()).expect("opens");
        for (at, sample) in samples.iter().enumerate() {
            let put = DiskOp::Put {
                incoming: IncomingId(at as u64),
                share: sample.share,
                closing: Box::new(sample.closing.clone()),
                block: sample.blocks[0].clone(),
            };
            disk.carry_out(put).result.expect("stored");
        }
        let (disk, start) = FileDisk::open(dir.path()).expect("opens");
        // Without threads: time that jumps would be over before one has answered.
        let pool = DiskPool::inline(Arc::new(disk));
        let config = StoreConfig {
            quota_bytes: 1 << 30,
            reserve_bytes: 0,
            draining: false,
            epoch: 1,
            software: "test".to_owned(),
            limits: Limits::default(),
        };
        let slot = Slot::new();
        let child = ShareStore::child(config, pool, start, Arc::clone(&clock), &slot);
        let stores = Supervisor::new(Arc::clone(&clock), (), Health::new()).start();
        tell(&stores, StartChild(child)).expect("just started");
        stores.send(Settled).await.expect("alive");
        let root = Supervisor::new(Arc::clone(&clock), (), Health::new()).start();
        let bench = Bench {
            dir,
            clock,
            slot,
            stores,
            root,
        };
        bench.collect().await;
        bench
    }

    /// Starts a collector under a supervisor that has none.
    async fn collect(&self) {
        let child = Collector::child(CollectorStart {
            config: GcConfig {
                expire_days: Some(EXPIRE),
                wait_days: WAIT,
            },
            state: self.state(),
            store: ShareStoreHandle::new(&self.slot),
            clock: Arc::clone(&self.clock),
        });
        tell(&self.root, StartChild(child)).expect("alive");
        self.root.send(Settled).await.expect("alive");
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("gc.json")
    }

    async fn renew(&self, si: StorageIndex) -> LeasesRenewed {
        let (sender, answer) = oneshot::channel();
        self.slot.handle(Inbound {
            asker: Asker {
                node_id: NodeId([1; 32]),
                link: LinkId(1),
                roles: Roles::NONE,
            },
            request: Request::RenewLeases(RenewLeases { sis: vec![si] }),
            lane: Lane::Bulk,
            deadline: self.clock.now() + Duration::from_secs(60),
            cancelled: CancelFlag::default(),
            responder: Responder::new(move |served| sender.send(served).expect("the test waits")),
        });
        match answer.await.expect("answered") {
            Ok(Response::LeasesRenewed(renewed)) => renewed,
            other => panic!("{other:?}"),
        }
    }

    /// Shares in their places and in the trash.
    async fn counts(&self) -> (u64, u64) {
        let report = ShareStoreHandle::new(&self.slot).report().await.expect("alive");
        (report.share_count, report.trash.shares)
    }

    async fn days(&self, days: u32) {
        tokio::time::sleep(DAY_UPTIME * 2 * days).await;
    }
}

#[actix::test]
async fn shares_that_nobody_renews_go_after_the_term_and_the_wait() {
    let samples = [sample(1, 700, 2), sample(2, 700, 3), sample(3, 700, 4)];
    let bench = Bench::start(&samples).await;
    let si = |at: usize| samples[at].share.si;
    bench.days(EXPIRE).await;
    assert_eq!(bench.counts().await, (3, 0), "nothing in the first term");
    assert!(bench.renew(si(0)).await.holds(0));
    bench.days(2).await;
    assert_eq!(bench.counts().await, (1, 2), "two that nobody renewed");
    assert!(bench.renew(si(1)).await.holds(0), "it is still there");
    assert_eq!(bench.counts().await, (2, 1), "a renewal brings it back");
    bench.days(WAIT + 2).await;
    assert_eq!(bench.counts().await, (2, 0), "the other is deleted");
    assert!(!bench.renew(si(2)).await.holds(0), "and gone");
    assert!(stop_all(&bench.root).await.is_empty());
    assert!(stop_all(&bench.stores).await.is_empty());
}

#[actix::test]
async fn what_was_counted_outlives_the_process() {
    let samples = [sample(1, 700, 2)];
    let mut bench = Bench::start(&samples).await;
    bench.days(EXPIRE / 2).await;
    assert!(stop_all(&bench.root).await.is_empty());
    let kept = load(&bench.state()).expect("kept");
    assert_eq!(kept.today, Day::from_number(FIRST + EXPIRE / 2));
    let term = kept.term.expect("it is on");
    assert_eq!((term.since, term.expire_days), (Day::from_number(FIRST), EXPIRE));

    bench.root = Supervisor::new(Arc::clone(&bench.clock), (), Health::new()).start();
    bench.collect().await;
    bench.days(EXPIRE / 2).await;
    assert_eq!(bench.counts().await, (1, 0));
    bench.days(2).await;
    assert_eq!(bench.counts().await, (0, 1), "the term did not begin anew");
    assert!(stop_all(&bench.root).await.is_empty());

    // A file that cannot be read does begin it anew.
    bench.renew(samples[0].share.si).await;
    std::fs::write(bench.state(), "half a fil").expect("writable");
    assert_eq!(load(&bench.state()), None);
    bench.root = Supervisor::new(Arc::clone(&bench.clock), (), Health::new()).start();
    bench.collect().await;
    bench.days(EXPIRE).await;
    assert_eq!(bench.counts().await, (1, 0));
    assert!(stop_all(&bench.root).await.is_empty());
    assert!(stop_all(&bench.stores).await.is_empty());
}
