//! One round of a measurement: some clients put or get some files.
//!
//! Owns the clock and the check: every downloaded byte is compared with what was uploaded. A gateway that is overloaded and says
//! so is asked again when it says, which is counted, and the time until then belongs to the request. A request that fails otherwise
//! ends the measurement with its error, because a figure with failures in it is no figure. Clients are threads, each with its own
//! connection; they take the next file from one counter, so that a slow client does not hold up the others.

use std::io::Read;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::error::CliError;
use crate::http::{Gateway, PutChoice};
use crate::load::content::{Content, file_seed, mix};
use crate::load::procs::{self, Cpu, NodeCost, Nodes};
use crate::load::{Operation, Workload};
use crate::output::Counted;

/// Read at a time from a download.
const READ_BYTES: usize = 128 * 1024;

/// Refusals of one request before the measurement ends with the last of them: minutes.
const REFUSALS_MAX: u64 = 600;

/// Longest wait before a refused request is made again.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// What one round showed.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) seconds: f64,
    /// Of each request, in the order of their numbers.
    pub(crate) latencies: Vec<Duration>,
    /// Times that the gateway said it had too much to do.
    pub(crate) refusals: u64,
    pub(crate) cpu: Cpu,
    /// Of each node that could be looked at.
    pub(crate) nodes: Vec<NodeCost>,
}

impl Round {
    /// Peak memory of the gateway.
    pub(crate) fn gateway_peak_bytes(&self) -> Option<u64> {
        let gateway = self.nodes.iter().find(|node| node.is_gateway)?;
        gateway.peak_bytes
    }

    /// Peak memory of all nodes together.
    pub(crate) fn nodes_peak_bytes(&self) -> u64 {
        self.nodes.iter().filter_map(|node| node.peak_bytes).sum()
    }
}

/// The files of a round: their seed and, after the put, their caps.
#[derive(Debug)]
pub(crate) struct Files {
    seed: u64,
    round: u64,
    caps: Vec<String>,
}

impl Files {
    /// Content number `round` of a measurement.
    pub(crate) fn new(seed: u64, round: u64) -> Files {
        Files {
            seed,
            round,
            caps: Vec::new(),
        }
    }

    fn content(&self, file: u64, length_bytes: u64) -> Content {
        Content::new(file_seed(self.seed, self.round, file), length_bytes)
    }

    fn whole(&self, file: u64, work: &Workload) -> Wanted<'_> {
        Wanted {
            cap: &self.caps[file as usize],
            file,
            content: self.content(file, work.sizes.size_bytes(file)),
            range: None,
        }
    }

    /// Part number `request` of a round, at a place that follows from the seed.
    fn part(&self, request: u64, work: &Workload) -> Wanted<'_> {
        let file = work.file_of(request);
        let seed = file_seed(self.seed, self.round, file);
        let size_bytes = work.sizes.size_bytes(file);
        let length = work.moved_bytes(Operation::Range, size_bytes);
        let from = mix(seed.wrapping_add(request)) % (size_bytes - length + 1);
        Wanted {
            cap: &self.caps[file as usize],
            file,
            content: Content::part(seed, from, from + length),
            range: Some((from, Some(length))),
        }
    }
}

/// What is to be got, and what it must be.
struct Wanted<'f> {
    cap: &'f str,
    file: u64,
    content: Content,
    /// Of the whole file if there is none.
    range: Option<(u64, Option<u64>)>,
}

/// Does one round of `operation` and measures it.
pub(crate) fn run(
    operation: Operation,
    work: &Workload,
    files: &mut Files,
    url: &str,
    nodes: Option<&Nodes>,
    bar: &ProgressBar,
) -> Result<Round, CliError> {
    if let Some(nodes) = nodes {
        nodes.reset_peaks();
    }
    let results = Mutex::new(Vec::new());
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let before = procs::clocks(nodes);
    let started = Instant::now();
    let work_off =
        || client(operation, work, files, url, &next, &failed, bar).map(|done| keep(&results, done));
    let outcome: Result<(), CliError> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..work.clients).map(|_| scope.spawn(work_off)).collect();
        // A client that panicked has broken a promise of this file: pass it on.
        let outcomes = clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|panic| resume_unwind(panic)));
        outcomes.collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    let after = procs::clocks(nodes);
    outcome?;
    let mut done = results
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_unstable_by_key(|done| done.file);
    let latencies = done.iter().map(|done| done.latency).collect();
    let refusals = done.iter().map(|done| done.refusals).sum();
    if operation == Operation::Put {
        files.caps = done.into_iter().map(|done| done.cap).collect();
    }
    Ok(Round {
        seconds,
        latencies,
        refusals,
        cpu: after.since(&before),
        nodes: nodes.map_or_else(Vec::new, |nodes| nodes.costs(&before, &after)),
    })
}

/// One finished request.
struct Done {
    file: u64,
    latency: Duration,
    /// Times that it was refused before.
    refusals: u64,
    /// The cap, of a put.
    cap: String,
}

fn keep(results: &Mutex<Vec<Done>>, done: Vec<Done>) {
    results
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .extend(done);
}

/// The work of one client: file after file until none is left or another client has failed.
fn client(
    operation: Operation,
    work: &Workload,
    files: &Files,
    url: &str,
    next: &AtomicU64,
    failed: &AtomicBool,
    bar: &ProgressBar,
) -> Result<Vec<Done>, CliError> {
    let gateway = Gateway::at(url)?;
    let mut all = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    while !failed.load(Ordering::Relaxed) {
        let file = next.fetch_add(1, Ordering::Relaxed);
        if file >= work.requests(operation) {
            break;
        }
        let started = Instant::now();
        let request = || match operation {
            Operation::Put => {
                let size_bytes = work.sizes.size_bytes(file);
                put(&gateway, files.content(file, size_bytes), size_bytes, bar)
            }
            Operation::Get => get(&gateway, files.whole(file, work), &mut buffer, bar),
            Operation::Range => get(&gateway, files.part(file, work), &mut buffer, bar),
        };
        let done = until_taken(request, failed);
        let (cap, refusals) = done.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        all.push(Done {
            file,
            latency: started.elapsed(),
            refusals,
            cap,
        });
    }
    Ok(all)
}

/// Asks again as long as the gateway has too much to do; how often that was.
fn until_taken(
    mut request: impl FnMut() -> Result<String, CliError>,
    failed: &AtomicBool,
) -> Result<(String, u64), CliError> {
    let mut refusals = 0;
    loop {
        match request() {
            Err(CliError::Status {
                status: 503,
                retry_after: Some(after),
                ..
            }) if refusals < REFUSALS_MAX && !failed.load(Ordering::Relaxed) => {
                refusals += 1;
                std::thread::sleep(after.min(RETRY_AFTER_MAX));
            }
            Ok(cap) => return Ok((cap, refusals)),
            Err(error) => return Err(error),
        }
    }
}

fn put(
    gateway: &Gateway,
    content: Content,
    length_bytes: u64,
    bar: &ProgressBar,
) -> Result<String, CliError> {
    let mut body = Counted::new(content, bar.clone());
    gateway.put(&mut body, Some(length_bytes), PutChoice::default())
}

fn get(
    gateway: &Gateway,
    wanted: Wanted<'_>,
    buffer: &mut [u8],
    bar: &ProgressBar,
) -> Result<String, CliError> {
    let Wanted {
        cap,
        file,
        mut content,
        range,
    } = wanted;
    let mut reader = gateway.get(cap, range)?.into_reader();
    let mut got_bytes = 0;
    loop {
        let got = reader
            .read(buffer)
            .map_err(|error| gateway.cut_short(got_bytes, &error))?;
        if got == 0 {
            break;
        }
        let same = content.check(&buffer[..got]);
        same.map_err(|at_byte| CliError::Mismatch { file, at_byte })?;
        got_bytes += got as u64;
        bar.inc(got as u64);
    }
    if !content.at_end() {
        return Err(CliError::Mismatch {
            file,
            at_byte: got_bytes,
        });
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(retry_after: Option<Duration>) -> Result<String, CliError> {
        Err(CliError::Status {
            status: 503,
            sentence: "too much to do".into(),
            retry_after,
        })
    }

    #[test]
    fn what_is_refused_for_now_is_asked_again_and_counted() {
        let (go_on, failed) = (AtomicBool::new(false), AtomicBool::new(true));
        let mut asked = 0;
        let mut twice = || {
            asked += 1;
            if asked <= 2 {
                busy(Some(Duration::ZERO))
            } else {
                Ok("cap".into())
            }
        };
        assert_eq!(until_taken(&mut twice, &go_on).unwrap(), ("cap".into(), 2));
        assert!(
            until_taken(|| busy(Some(Duration::ZERO)), &go_on).is_err(),
            "not for ever"
        );
        assert!(
            until_taken(|| busy(Some(Duration::ZERO)), &failed).is_err(),
            "another client failed"
        );
        let mut once = 0;
        let not_ready = || {
            once += 1;
            busy(None)
        };
        assert!(until_taken(not_ready, &go_on).is_err(), "it does not say when");
        assert_eq!(once, 1);
    }
}
