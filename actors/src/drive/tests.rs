//! The drive over a mesh made up of vdrives in memory. Time is tokio's, paused: it jumps.

use std::collections::BTreeMap;
use std::sync::Mutex;

use actix::Actor;
use truckee_engine::drive::Replace;
use truckee_engine::session::CallError;
use truckee_engine::vdrive::model::ModelVdrive;
use truckee_grid::caps::{Cap, LitCap};
use truckee_grid::drive::{ChildName, Target};
use truckee_wire::message::Roles;

use super::*;
use crate::call::{Call, CallGuard, CallResult, MeshCalls, PeerView, Reply};
use crate::clock::SystemClock;
use crate::directory::{Directory, Member};
use crate::supervise::{Health, StartChild, Supervisor};

#[derive(Clone)]
struct FakeMesh {
    vdrive: Arc<Mutex<ModelVdrive>>,
    /// `None`: the vdrive is down.
    up: Arc<AtomicBool>,
    silent: Arc<AtomicBool>,
    deadly: Arc<AtomicBool>,
}

impl MeshCalls for FakeMesh {
    fn call(&self, _: NodeId, call: Call, reply: Reply) -> CallGuard {
        assert!(
            !self.deadly.swap(false, Ordering::Relaxed),
            "as ordered by the test"
        );
        if self.silent.load(Ordering::Relaxed) {
            let guard = CallGuard::new(&reply, || ());
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_secs(2)).await;
                reply.answer(Err(CallError::LinkLost));
            });
            return guard;
        }
        let result: CallResult = if self.up.load(Ordering::Relaxed) {
            let mut vdrive = self.vdrive.lock().expect("no panic");
            vdrive.serve(&call.request).map_err(CallError::Refused)
        } else {
            Err(CallError::Down {
                retry_in: Duration::from_secs(1),
            })
        };
        reply.answer(result);
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

struct Bench {
    drive: Drive,
    mesh: FakeMesh,
    directory: watch::Sender<Arc<Directory>>,
    supervisor: actix::Addr<Supervisor>,
}

fn member() -> Member {
    Member {
        node_id: NodeId([1; 32]),
        nickname: String::new(),
        zone: String::new(),
        roles: Roles::from_iter([Role::Vdrive]),
        addresses: Vec::new(),
        software: String::new(),
        keep_linked: false,
    }
}

impl Bench {
    fn new() -> Self {
        tokio::time::pause();
        let mesh = FakeMesh {
            vdrive: Arc::new(Mutex::new(ModelVdrive::new([1; 16]))),
            up: Arc::new(AtomicBool::new(true)),
            silent: Arc::default(),
            deadly: Arc::default(),
        };
        let (directory, watch) = watch::channel(Arc::new(BTreeMap::from([(NodeId([1; 32]), member())])));
        let clock = SystemClock::handle();
        let config = DriveConfig {
            mesh: MeshHandle::new(mesh.clone()),
            cpu: CpuHandle::inline(),
            clock: Arc::clone(&clock),
            directory: watch,
            own: None,
            limits: Limits::default(),
        };
        let (drive, child) = Drive::prepare(config, [5; 32]);
        let supervisor = Supervisor::new(clock, (), Health::new()).start();
        crate::gate::tell(&supervisor, StartChild(child)).expect("it runs");
        Self {
            drive,
            mesh,
            directory,
            supervisor,
        }
    }

    async fn directory(&self) -> MutableCap {
        crate::gate::tell(&self.supervisor, crate::supervise::Settled).expect("it runs");
        self.supervisor
            .send(crate::supervise::Settled)
            .await
            .expect("it runs");
        let key = WriteKey::from_bytes([3; 16]);
        self.drive
            .create(key.clone(), Vec::new())
            .await
            .expect("it is created");
        MutableCap::of_write_key(key)
    }
}

fn set(name: &str) -> Vec<Edit> {
    vec![Edit::Set {
        name: ChildName::new(name).expect("a name"),
        target: Target::Cap(Cap::Lit(LitCap::new(b"x").expect("short"))),
        metadata: None,
        replace: Replace::Never,
    }]
}

#[actix::test]
async fn what_is_written_is_read_and_strengths_are_kept_apart() {
    let bench = Bench::new();
    let cap = bench.directory().await;
    bench.drive.edit(&cap, set("a")).await.expect("it is linked");
    let read = cap.to_read().expect("it reads");
    assert_eq!(
        bench.drive.read(&read).await.expect("it is there").children.len(),
        1
    );
    assert_eq!(bench.drive.edit(&read, set("b")).await, Err(DriveError::ReadOnly));
    assert_eq!(
        bench.drive.read(&cap.to_verifier()).await,
        Err(DriveError::VerifyOnly)
    );
    // Many rows go through the CPU pool.
    let many: Vec<Edit> = (0..100).flat_map(|i| set(&format!("n{i}"))).collect();
    bench.drive.edit(&cap, many).await.expect("they are linked");
    let view = bench.drive.read(&read).await.expect("it is there");
    assert_eq!((view.children.len(), view.writable), (101, false));
    assert_eq!(bench.drive.active(), 0);
}

#[actix::test]
async fn vdrives_that_come_and_go_are_noticed() {
    let bench = Bench::new();
    let cap = bench.directory().await;
    assert_eq!(
        bench.drive.reachable(),
        Err(DriveError::Unreachable { known: 1 }),
        "no link is known"
    );
    bench.directory.send_replace(Arc::default());
    tokio::task::yield_now().await;
    assert_eq!(bench.drive.reachable(), Err(DriveError::NoVdrive));
    assert_eq!(bench.drive.read(&cap).await, Err(DriveError::NoVdrive));
    bench
        .directory
        .send_replace(Arc::new(BTreeMap::from([(NodeId([1; 32]), member())])));
    tokio::task::yield_now().await;
    bench.mesh.up.store(false, Ordering::Relaxed);
    let reading = bench.drive.read(&cap);
    let up = Arc::clone(&bench.mesh.up);
    let (result, ()) = tokio::join!(reading, async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        up.store(true, Ordering::Relaxed);
    });
    assert!(result.is_ok(), "it is waited for");
}

#[actix::test]
async fn a_dropped_call_is_taken_back_and_a_drain_waits_for_the_others() {
    let bench = Bench::new();
    let cap = bench.directory().await;
    bench.mesh.silent.store(true, Ordering::Relaxed);
    let gone = tokio::time::timeout(Duration::from_millis(100), bench.drive.read(&cap)).await;
    assert!(gone.is_err());
    assert_eq!(bench.drive.active(), 0);
    // The question itself goes on until patience ends: others could share its answer.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (drive, other) = (bench.drive.clone(), cap.clone());
    let edit = tokio::task::spawn_local(async move { drive.edit(&other, set("a")).await });
    tokio::task::yield_now().await;
    assert_eq!(bench.drive.active(), 1);
    assert_eq!(bench.drive.drain(Duration::from_millis(10)).await, 1);
    assert_eq!(bench.drive.read(&cap).await, Err(DriveError::Stopping));
    crate::supervise::stop_all(&bench.supervisor).await;
    assert_eq!(
        edit.await.expect("no panic"),
        Err(DriveError::Unknown),
        "it was sent"
    );
    assert_eq!(bench.drive.drain(Duration::from_secs(1)).await, 0);
}

#[actix::test]
async fn an_actor_that_panics_is_started_again() {
    let bench = Bench::new();
    let cap = bench.directory().await;
    bench.mesh.deadly.store(true, Ordering::Relaxed);
    assert_eq!(bench.drive.read(&cap).await, Err(DriveError::Internal));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.drive.read(&cap).await.expect("it is read anew").version, 1);
    bench.mesh.deadly.store(true, Ordering::Relaxed);
    assert_eq!(bench.drive.edit(&cap, set("a")).await, Err(DriveError::Unknown));
}
