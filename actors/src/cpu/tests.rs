use super::*;
use std::sync::mpsc;

fn pool(threads: usize, jobs_max: usize) -> CpuHandle {
    CpuHandle::new(ThreadPool::start(threads, jobs_max).expect("threads start"))
}

#[tokio::test]
async fn a_job_gives_its_result_from_a_named_thread() {
    let cpu = pool(2, 8);
    let name = cpu
        .run("test", || thread::current().name().map(str::to_owned))
        .await
        .expect("runs");
    assert!(name.is_some_and(|name| name.starts_with("truckee-cpu-")));
    assert_eq!(cpu.threads(), 2);
}

#[tokio::test]
async fn a_panic_is_an_error_for_its_submitter_and_the_thread_lives_on() {
    let cpu = pool(1, 8);
    let result: Result<(), _> = cpu.run("test", || panic!("on purpose")).await;
    assert_eq!(result, Err(CpuError::Panicked { job: "test" }));
    assert_eq!(cpu.run("test", || 7).await, Ok(7));
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_stopped_pool_tells_those_who_wait() {
    let cpu = pool(1, 1);
    let (release, blocked) = mpsc::channel::<()>();
    let (started, start) = mpsc::channel();
    let (results, all) = mpsc::channel();
    let report = |name: &'static str| {
        let results = results.clone();
        move |result: Result<(), CpuError>| results.send((name, result)).expect("the test listens")
    };
    let occupy = move || {
        started.send(()).expect("the test listens");
        blocked.recv().expect("the test releases");
    };
    cpu.run_then("test", occupy, report("running"));
    start.recv().expect("the first job runs");
    cpu.run_then("test", || (), report("waiting"));
    cpu.run_then("test", || (), report("refused"));
    assert_eq!(
        all.recv().expect("answered"),
        ("refused", Err(CpuError::Closed { job: "test" }))
    );
    let stopping = thread::spawn(move || drop(cpu));
    assert_eq!(
        all.recv().expect("answered"),
        ("waiting", Err(CpuError::Closed { job: "test" }))
    );
    release.send(()).expect("the job waits");
    assert_eq!(all.recv().expect("answered"), ("running", Ok(())));
    stopping.join().expect("stops");
}

#[test]
fn ordered_results_come_in_the_order_of_submission() {
    let ordered = Ordered::new(pool(4, 256));
    let (results, all) = mpsc::channel();
    let slow = Arc::new((Mutex::new(false), Condvar::new()));
    for number in 0..100_u32 {
        let results = results.clone();
        let slow = Arc::clone(&slow);
        let work = move || {
            let (done, signal) = &*slow;
            if number == 0 {
                // The first job ends only after the last one ran.
                let finished = done.lock().expect("no panic");
                drop(
                    signal
                        .wait_while(finished, |finished| !*finished)
                        .expect("no panic"),
                );
            }
            if number == 99 {
                *done.lock().expect("no panic") = true;
                signal.notify_all();
            }
            number
        };
        ordered.run_then("test", work, move |result| {
            results.send(result).expect("the test listens");
        });
    }
    let got: Vec<u32> = all.iter().take(100).map(|result| result.expect("runs")).collect();
    assert_eq!(got, (0..100).collect::<Vec<_>>());
}

#[test]
fn ordered_goes_on_after_a_panic_and_a_receiver_may_submit_again() {
    let ordered = Ordered::new(CpuHandle::inline());
    let (results, all) = mpsc::channel();
    let first = results.clone();
    let again = ordered.clone();
    ordered.run_then(
        "test",
        || panic!("on purpose"),
        move |result: Result<u32, _>| {
            first.send(result).expect("the test listens");
            again.run_then(
                "test",
                || 2,
                move |result| results.send(result).expect("the test listens"),
            );
        },
    );
    assert_eq!(
        all.recv().expect("answered"),
        Err(CpuError::Panicked { job: "test" })
    );
    assert_eq!(all.recv().expect("answered"), Ok(2));
}
