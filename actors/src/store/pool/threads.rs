//! What the threads of the pool do. Owns no state.
//!
//! Whole shares that wait for one thread are handed to the disk together; the thread of what can wait has the disk tidy up in
//! between. A panic of the disk is an answer, and the thread goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use metrics::{gauge, histogram};
use truckee_engine::store::{DiskFault, DiskOp};

use super::Work;
use crate::metrics as names;
use crate::store::disk::{Disk, Turn};

/// Whole shares handed to the disk at once: no more than a node's peers upload at the same time, and a few megabytes if all are
/// as long as goes.
const PUTS_MAX: usize = 64;
/// How long the disk is left alone when it had nothing to do for itself: what there is then to give back of a disk can wait as long.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// What a thread does until its queue is closed and empty.
pub(super) type Serve = fn(&dyn Disk, &Receiver<Work>, &dyn Turn);

pub(super) fn serve(disk: &dyn Disk, queue: &Receiver<Work>, turn: &dyn Turn) {
    let mut next = None;
    while let Some(work) = next.take().or_else(|| queue.recv().ok()) {
        if !matches!(work.op, DiskOp::Put { .. }) {
            run(disk, work, turn);
            continue;
        }
        let mut puts = vec![work];
        while puts.len() < PUTS_MAX && next.is_none() {
            match queue.try_recv() {
                Ok(work) if matches!(work.op, DiskOp::Put { .. }) => puts.push(work),
                Ok(work) => next = Some(work),
                Err(_) => break,
            }
        }
        run_puts(disk, puts);
    }
}

/// The thread of what can wait also has the disk tidy up, a step after each operation, or one after the other.
pub(super) fn serve_last(disk: &dyn Disk, queue: &Receiver<Work>, turn: &dyn Turn) {
    let mut pause = TIDY_EVERY;
    loop {
        match queue.recv_timeout(pause) {
            Ok(work) => run(disk, work, turn),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let tidy = || turn.wait().is_ok() && disk.tidy();
        let has_more = catch_unwind(AssertUnwindSafe(tidy)).unwrap_or_else(|_| {
            tracing::error!("the disk panicked while it tidied up; this is a fault in the program");
            false
        });
        pause = if has_more { Duration::ZERO } else { TIDY_EVERY };
    }
}

/// Hands several whole shares to the disk at once.
fn run_puts(disk: &dyn Disk, puts: Vec<Work>) {
    let started = Instant::now();
    let (mut ops, mut askers) = (Vec::new(), Vec::new());
    for work in puts {
        ops.push(work.op);
        askers.push((work.done, (work.wanted, work.place)));
    }
    let carry_out = AssertUnwindSafe(|| disk.carry_out_puts(ops));
    let replies = catch_unwind(carry_out).unwrap_or_else(|_| {
        tracing::error!("the disk panicked while it stored shares; this is a fault in the program");
        Vec::new()
    });
    let took = started.elapsed().as_secs_f64();
    // One that the disk has not answered has failed.
    let mut replies = replies.into_iter();
    for (done, held) in askers {
        gauge!(names::STORE_DISK_QUEUE).decrement(1.0);
        histogram!(names::STORE_DISK_SECONDS, "operation" => "put").record(took);
        drop(held);
        done(replies.next().unwrap_or_else(|| Err(DiskFault::Failed).into()));
    }
}

pub(super) fn run(disk: &dyn Disk, work: Work, turn: &dyn Turn) {
    let name = work.op.name();
    let started = Instant::now();
    let Work {
        op,
        done,
        wanted,
        place,
    } = work;
    let carry_out = || match op.can_wait() {
        true => disk.carry_out_in_turn(op, turn),
        false => disk.carry_out(op),
    };
    let reply = catch_unwind(AssertUnwindSafe(carry_out)).unwrap_or_else(|_| {
        tracing::error!(
            operation = name,
            "a disk operation panicked; this is a fault in the program"
        );
        Err(DiskFault::Failed).into()
    });
    gauge!(names::STORE_DISK_QUEUE).decrement(1.0);
    histogram!(names::STORE_DISK_SECONDS, "operation" => name).record(started.elapsed().as_secs_f64());
    drop((wanted, place));
    done(reply);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Sender, channel, sync_channel};

    use truckee_engine::store::{DiskDone, DiskReply, IncomingId};

    use super::*;
    use crate::store::disk::{AtOnce, GivenUp};
    use crate::store::testing::sample;

    /// Tells how many shares it was handed at once; has some tidying to do.
    struct Counts {
        tell: Sender<usize>,
        untidy: AtomicUsize,
        panics: bool,
    }

    impl Disk for Counts {
        fn carry_out(&self, _: DiskOp) -> DiskReply {
            Ok(DiskDone::Measured { free_bytes: 7 }).into()
        }

        fn carry_out_puts(&self, ops: Vec<DiskOp>) -> Vec<DiskReply> {
            self.tell.send(ops.len()).expect("the test listens");
            assert!(!self.panics, "on purpose");
            let stored = |file_bytes| DiskReply::from(Ok(DiskDone::Stored { file_bytes }));
            (0..ops.len() as u64).map(stored).collect()
        }

        fn tidy(&self) -> bool {
            let left = self
                .untidy
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            left.is_ok()
        }
    }

    fn put() -> DiskOp {
        let sample = sample(1, 100, 3);
        DiskOp::Put {
            incoming: IncomingId(1),
            share: sample.share,
            closing: Box::new(sample.closing),
            block: sample.blocks[0].clone(),
        }
    }

    /// Serves what is queued, to the end; gives the sizes of batches and the answers in order.
    fn served(ops: Vec<DiskOp>, panics: bool) -> (Vec<usize>, Vec<Result<DiskDone, DiskFault>>) {
        let ((tell, told), (answer, answers)) = (channel(), channel());
        let disk = Counts {
            tell,
            untidy: AtomicUsize::new(0),
            panics,
        };
        let (queue, receiver) = sync_channel(1000);
        for op in ops {
            let answer = answer.clone();
            let done = move |reply: DiskReply| answer.send(reply.result).expect("the test listens");
            let work = Work {
                op,
                done: Box::new(done),
                wanted: None,
                place: None,
            };
            assert!(queue.send(work).is_ok());
        }
        drop((queue, answer));
        serve(&disk, &receiver, &AtOnce);
        drop(disk);
        (told.iter().collect(), answers.iter().collect())
    }

    #[test]
    fn shares_that_wait_together_are_stored_together_and_in_order_with_others() {
        let mut ops: Vec<DiskOp> = (0..3).map(|_| put()).collect();
        ops.push(DiskOp::Measure);
        ops.extend((0..PUTS_MAX + 2).map(|_| put()));
        let (batches, answers) = served(ops, false);
        assert_eq!(batches, [3, PUTS_MAX, 2]);
        let stored = |file_bytes| Ok(DiskDone::Stored { file_bytes });
        assert_eq!(answers[..3], [stored(0), stored(1), stored(2)]);
        assert_eq!(answers[3], Ok(DiskDone::Measured { free_bytes: 7 }));
        assert_eq!(answers.len(), 3 + 1 + PUTS_MAX + 2);
    }

    #[test]
    fn if_the_disk_panics_all_of_a_batch_hear_of_it() {
        let (batches, answers) = served(vec![put(), put()], true);
        assert_eq!(batches, [2]);
        assert_eq!(answers, [Err(DiskFault::Failed), Err(DiskFault::Failed)]);
    }

    /// Never one's turn.
    struct Never;

    impl Turn for Never {
        fn wait(&self) -> Result<(), GivenUp> {
            Err(GivenUp)
        }
    }

    #[test]
    fn the_disk_tidies_up_until_it_is_done_unless_it_is_given_up() {
        for turn in [&AtOnce as &(dyn Turn + Sync), &Never] {
            let disk = Arc::new(Counts {
                tell: channel().0,
                untidy: AtomicUsize::new(50),
                panics: false,
            });
            let (queue, receiver) = sync_channel(10);
            std::thread::scope(|scope| {
                let serving = Arc::clone(&disk);
                scope.spawn(move || serve_last(serving.as_ref(), &receiver, turn));
                let (answer, answers) = channel();
                let done = move |_| answer.send(()).expect("the test listens");
                let work = Work {
                    op: DiskOp::Measure,
                    done: Box::new(done),
                    wanted: None,
                    place: None,
                };
                assert!(queue.send(work).is_ok());
                answers.recv().expect("answered");
                std::thread::sleep(Duration::from_millis(200));
                drop(queue);
            });
            let left = disk.untidy.load(Ordering::SeqCst);
            assert_eq!(left, if turn.wait().is_ok() { 0 } else { 50 });
        }
    }
}
