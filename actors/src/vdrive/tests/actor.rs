//! The actor: many at once, a database that is away, and stopping.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use truckee_engine::time::Mono;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{FailureCode, Lane, Request, Response, Roles};

use super::*;
use crate::clock::SystemClock;
use crate::gate::{ByteGate, CountGate};
use crate::inbound::{CancelFlag, Responder, Served};
use crate::vdrive::VdriveHealth;
use crate::vdrive::worker::{Job, Worker};

/// Hands a request to the thread; the answer comes through the receiver.
fn ask(worker: &Worker, request: Request, deadline: Mono) -> Receiver<Served> {
    let (sender, answer) = channel();
    let permits = (
        CountGate::new("test", 1).try_acquire(),
        ByteGate::new("test", 1).try_acquire(1),
    );
    let job = Job {
        request,
        deadline,
        since: Mono::ZERO,
        cancelled: CancelFlag::default(),
        responder: Responder::new(move |served| sender.send(served).expect("the test listens")),
        permits: (permits.0.expect("free"), permits.1.expect("free")),
    };
    assert!(worker.give(job).is_ok());
    answer
}

fn far() -> Mono {
    Mono::ZERO + Duration::from_secs(1000)
}

#[test]
fn many_at_once_are_all_answered_and_the_thread_ends_after_them() {
    over_each(|url| async move {
        let (worker, ended) = Worker::start(url.clone(), SystemClock::handle(), VdriveHealth::default());
        let worker = worker.expect("starts");
        let mut owners: Vec<Owner> = (1..=16).map(Owner::new).collect();
        let mut answers = Vec::new();
        for owner in &mut owners {
            // SQLite takes several changes of one directory in one transaction, in their order.
            let change = owner.change(&[(1, Some(b"a"))]);
            answers.push(ask(&worker, Request::CommitChange(change), far()));
        }
        let late = ask(
            &worker,
            Request::CommitChange(Owner::new(99).change(&[])),
            Mono::ZERO,
        );
        drop(worker);
        ended.await.expect("the thread says so");
        for answer in answers {
            let served = answer.recv().expect("answered");
            assert!(matches!(served, Ok(Response::ChangeTaken(taken)) if taken.taken));
        }
        let failure = late.recv().expect("answered").expect_err("too late");
        assert_eq!(failure.code, FailureCode::Expired);
        let database = Database::open(&url).expect("opens");
        for owner in &owners {
            assert_eq!(listing(&database, owner).await, owner.rows);
        }
        database.close().await;
    });
}

#[test]
fn a_database_that_is_away_is_an_answer_and_not_the_end() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    // Nothing listens there: the port was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let url = format!("postgres://nobody:hunter2@{}/none", port.expect("a port"));
    let url = DatabaseUrl::postgres(&url).expect("a URL");
    let health = VdriveHealth::default();
    let (worker, ended) = Worker::start(url, SystemClock::handle(), health.clone());
    let worker = worker.expect("starts");
    let get = Owner::new(1).get(0, None, ROWS_PAGE_BYTES_MAX);
    let failure = ask(&worker, Request::GetRows(get), far())
        .recv()
        .expect("answered")
        .expect_err("away");
    assert_eq!(failure.code, FailureCode::Internal);
    let trouble = health.trouble().expect("it is said");
    assert!(!trouble.contains("hunter2"), "{trouble}");
    drop(worker);
    runtime.block_on(ended).expect("ends all the same");
}

#[test]
fn the_actor_serves_and_stops() {
    use crate::inbound::{Asker, Inbound, InboundHandler, LinkId};
    use crate::supervise::{Health, Slot, StartChild, Supervisor, stop_all};
    use actix::Actor;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("drive.sqlite");
    actix_rt::System::new().block_on(async {
        let (clock, slot) = (SystemClock::handle(), Slot::new());
        let child = crate::vdrive::Vdrive::child(
            &DatabaseUrl::sqlite(&path),
            clock.clone(),
            VdriveHealth::default(),
            &slot,
        );
        let supervisor = Supervisor::new(clock, (), Health::new()).start();
        supervisor
            .send(StartChild(child.expect("opens")))
            .await
            .expect("runs");
        let (sender, answer) = tokio::sync::oneshot::channel();
        slot.handle(Inbound {
            asker: Asker {
                node_id: NodeId([1; 32]),
                link: LinkId::OWN,
                roles: Roles::NONE,
            },
            request: Request::CommitChange(Owner::new(1).change(&[(1, Some(b"a"))])),
            lane: Lane::Interactive,
            deadline: far(),
            cancelled: CancelFlag::default(),
            responder: Responder::new(move |served| sender.send(served).expect("the test listens")),
        });
        let served = answer.await.expect("answered");
        assert!(matches!(served, Ok(Response::ChangeTaken(taken)) if taken.taken));
        assert!(stop_all(&supervisor).await.is_empty(), "ends in time");
    });
    use std::os::unix::fs::MetadataExt;
    let mode = std::fs::metadata(&path).expect("there").mode();
    assert_eq!(mode & 0o777, 0o600);
}
