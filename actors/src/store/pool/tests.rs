//! The threads against their promise: order, bounds, one answer each.

use std::sync::mpsc::{Receiver, channel};

use truckee_engine::store::{DiskDone, ShareId};
use truckee_grid::ids::{ShareNumber, StorageIndex};

use super::super::disk::Turn;
use super::*;

/// Panics on `Remove`, counts in order on `Verify`, blocks in `Discard` until told.
struct Odd {
    gate: Mutex<Receiver<()>>,
}

impl Disk for Odd {
    fn carry_out(&self, op: DiskOp) -> DiskReply {
        match op {
            DiskOp::Remove { .. } => panic!("on purpose"),
            DiskOp::Discard { .. } => {
                self.gate
                    .lock()
                    .expect("no panic inside")
                    .recv()
                    .expect("the test holds the sender");
                Ok(DiskDone::Gone { file_bytes: 0 }).into()
            }
            _ => Ok(DiskDone::Measured { free_bytes: 7 }).into(),
        }
    }
}

/// Answers finds at once, but for panics.
struct Quick;

impl Disk for Quick {
    fn at_once(&self, op: &DiskOp) -> Option<DiskReply> {
        assert!(op.name() == "find", "on purpose");
        Some(Ok(DiskDone::Measured { free_bytes: 1 }).into())
    }

    fn carry_out(&self, _: DiskOp) -> DiskReply {
        Ok(DiskDone::Measured { free_bytes: 2 }).into()
    }
}

#[test]
fn what_is_answered_at_once_is_so_by_who_asks_and_a_panic_there_is_left_to_the_threads() {
    let disk: Arc<dyn Disk> = Arc::new(Quick);
    let pool = DiskPool::start(&disk, PoolConfig::default()).expect("threads start");
    let asked = |op| {
        let (tell, told) = channel();
        let done = move |reply: DiskReply| {
            let answer = (reply.result, thread::current().id());
            tell.send(answer).expect("the test waits");
        };
        pool.submit(op, Box::new(done));
        told.recv().expect("exactly one answer")
    };
    let (si, inline_bytes_max) = (share().si, 0);
    let here = thread::current().id();
    let at_once = asked(DiskOp::Find { si, inline_bytes_max });
    assert_eq!(at_once, (Ok(DiskDone::Measured { free_bytes: 1 }), here));
    let (panicked, there) = asked(DiskOp::Measure);
    assert_eq!(panicked, Ok(DiskDone::Measured { free_bytes: 2 }));
    assert_ne!(there, here);
    let (written, there) = asked(DiskOp::Remove { share: share() });
    assert_eq!(
        written,
        Ok(DiskDone::Measured { free_bytes: 2 }),
        "writes are not asked for"
    );
    assert_ne!(there, here);
}

fn share() -> ShareId {
    ShareId {
        si: StorageIndex([5; 16]),
        share: ShareNumber(1),
    }
}

fn pool(queue_max: usize) -> (DiskPool, std::sync::mpsc::Sender<()>) {
    let (open, gate) = channel();
    let disk: Arc<dyn Disk> = Arc::new(Odd {
        gate: Mutex::new(gate),
    });
    let config = PoolConfig {
        writers: 1,
        readers: 1,
        queue_max,
        ..PoolConfig::default()
    };
    (DiskPool::start(&disk, config).expect("threads start"), open)
}

#[test]
fn a_panic_is_an_answer_and_the_thread_goes_on() {
    let (pool, _open) = pool(8);
    for _ in 0..2 {
        let (tell, told) = channel();
        let done = Box::new(move |reply| tell.send(reply).expect("the test waits"));
        pool.submit(DiskOp::Remove { share: share() }, done);
        let reply: DiskReply = told.recv().expect("exactly one answer");
        assert_eq!(reply.result, Err(DiskFault::Failed));
    }
    pool.join();
}

/// Reads of peers wait at the gate; checks ask for their turn once. All tell when they are done.
struct Gated {
    gate: Mutex<Receiver<()>>,
    tell: Mutex<std::sync::mpsc::Sender<&'static str>>,
}

impl Gated {
    fn tell(&self, what: &'static str) {
        let tell = self.tell.lock().expect("no panic inside");
        tell.send(what).expect("the test listens");
    }
}

impl Disk for Gated {
    fn carry_out(&self, _: DiskOp) -> DiskReply {
        let opened = self.gate.lock().expect("no panic inside").recv();
        self.tell("read");
        match opened {
            Ok(()) => Ok(DiskDone::Measured { free_bytes: 7 }).into(),
            Err(_) => Err(DiskFault::Failed).into(),
        }
    }

    fn carry_out_in_turn(&self, _: DiskOp, turn: &dyn Turn) -> DiskReply {
        self.tell("asks");
        let went_on = turn.wait();
        self.tell("went on");
        match went_on {
            Ok(()) => Ok(DiskDone::Sound { file_bytes: 1 }).into(),
            Err(_) => Err(DiskFault::Overloaded).into(),
        }
    }
}

struct GatedPool {
    pool: DiskPool,
    open: std::sync::mpsc::Sender<()>,
    told: Receiver<&'static str>,
    answers: Receiver<Result<DiskDone, DiskFault>>,
}

/// A read of a peer is under way and a check has asked for its turn.
fn gated(patience: Duration) -> GatedPool {
    let (open, gate) = channel();
    let (tell, told) = channel();
    let disk: Arc<dyn Disk> = Arc::new(Gated {
        gate: Mutex::new(gate),
        tell: Mutex::new(tell),
    });
    let config = PoolConfig {
        patience,
        ..PoolConfig::default()
    };
    let pool = DiskPool::start(&disk, config).expect("threads start");
    let (answer, answers) = channel();
    pool.submit(DiskOp::Measure, Box::new(|_| ()));
    let done = move |reply: DiskReply| answer.send(reply.result).expect("the test waits");
    pool.submit(DiskOp::Verify { share: share() }, Box::new(done));
    assert_eq!(told.recv(), Ok("asks"));
    GatedPool {
        pool,
        open,
        told,
        answers,
    }
}

/// Longer than any test takes.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[test]
fn a_check_lets_the_reads_of_peers_go_first() {
    let gated = gated(FOR_EVER);
    let early = gated.told.recv_timeout(Duration::from_millis(200));
    assert!(early.is_err(), "{early:?} while a peer waits for the disk");
    gated.open.send(()).expect("the disk waits");
    assert_eq!(gated.told.recv(), Ok("read"));
    assert_eq!(gated.told.recv(), Ok("went on"));
    assert_eq!(gated.answers.recv(), Ok(Ok(DiskDone::Sound { file_bytes: 1 })));
    gated.pool.join();
}

#[test]
fn a_check_goes_on_though_peers_never_stop_asking() {
    let gated = gated(Duration::from_millis(1));
    assert_eq!(gated.told.recv(), Ok("went on"));
    assert_eq!(gated.answers.recv(), Ok(Ok(DiskDone::Sound { file_bytes: 1 })));
    gated.open.send(()).expect("the disk waits");
    gated.pool.join();
}

#[test]
fn a_check_ends_when_it_is_given_up() {
    let gated = gated(FOR_EVER);
    gated.pool.give_up_what_can_wait();
    assert_eq!(gated.told.recv(), Ok("went on"));
    assert_eq!(gated.answers.recv(), Ok(Err(DiskFault::Overloaded)));
    gated.open.send(()).expect("the disk waits");
    gated.pool.join();
}

#[test]
fn a_full_queue_refuses_and_reads_overtake_writes() {
    let (pool, open) = pool(1);
    let (tell, told) = channel();
    let submit = |op: DiskOp, name: &'static str| {
        let tell = tell.clone();
        pool.submit(
            op,
            Box::new(move |reply| tell.send((name, reply.result)).expect("the test waits")),
        );
    };
    let discard = || DiskOp::Discard {
        incoming: truckee_engine::store::IncomingId(1),
        share: share(),
    };
    // One runs, one waits; as soon as both places are taken a further one is refused.
    let mut refused = 0;
    for _ in 0..3 {
        submit(discard(), "write");
    }
    submit(DiskOp::Measure, "read");
    let mut read = false;
    while !read || refused == 0 {
        match told.recv().expect("an answer for each") {
            ("read", result) => {
                assert_eq!(result, Ok(DiskDone::Measured { free_bytes: 7 }));
                read = true;
            }
            (_, result) => {
                assert_eq!(result, Err(DiskFault::Overloaded));
                refused += 1;
            }
        }
    }
    for _ in 0..3 {
        open.send(()).expect("the disk waits");
    }
    for _ in refused..3 {
        assert_eq!(
            told.recv().expect("an answer").1,
            Ok(DiskDone::Gone { file_bytes: 0 })
        );
    }
    let Mode::Threads { lanes, .. } = pool.mode.as_ref() else {
        panic!("it has threads");
    };
    // Of one that was refused too: a place that is kept holds its bucket on a thread for ever.
    assert_eq!(lanes.operations(), 0);
    pool.join();
}
