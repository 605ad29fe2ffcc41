//! What became of a copy: counted while it runs, told at the end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::drive::ls::harmless;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{bytes_text, print_json, print_line};

/// Failures that are told one by one; the rest is a number.
const FAILURES_SHOWN: usize = 50;

/// Tries of one file against a gateway that says it is overloaded: with the waits below, half a minute.
const BUSY_TRIES: u32 = 6;

/// First wait after an overloaded gateway; it doubles.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// A file or directory that was not copied.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Its path below the target.
    pub(crate) path: String,
    /// Why.
    pub(crate) error: CliError,
}

/// Counts, from many threads.
pub(crate) struct Report {
    verb: &'static str,
    started: Instant,
    bar: ProgressBar,
    verbose: bool,
    all: u64,
    files: AtomicU64,
    bytes: AtomicU64,
    same: AtomicU64,
    failures: Mutex<Vec<Failure>>,
    stopped: AtomicBool,
}

impl Report {
    /// For `all` files, with a bar that counts bytes.
    pub(crate) fn new(verb: &'static str, bar: ProgressBar, all: usize, verbose: bool) -> Report {
        Report {
            verb,
            started: Instant::now(),
            bar,
            verbose,
            all: all as u64,
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            same: AtomicU64::new(0),
            failures: Mutex::new(Vec::new()),
            stopped: AtomicBool::new(false),
        }
    }

    /// The bar that transfers count on.
    pub(crate) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// A file is where it belongs.
    pub(crate) fn done(&self, path: &str, bytes: u64) {
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bar
            .set_message(format!("{} {files}/{} files", self.verb, self.all));
        if self.verbose {
            // Whoever reads it may be gone; the copy goes on.
            let _ = self.bar.suspend(|| print_line(&harmless(path)));
        }
    }

    /// A file was there already.
    pub(crate) fn same(&self, bytes: u64) {
        self.same.fetch_add(1, Ordering::Relaxed);
        self.bar.inc(bytes);
    }

    /// Something failed.
    pub(crate) fn fail(&self, path: String, error: CliError) {
        if matches!(error, CliError::Unreachable { .. }) {
            self.stopped.store(true, Ordering::Relaxed);
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push(Failure { path, error });
    }

    /// Files that are where they belong by now, but for those that were there already.
    pub(crate) fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Whether nothing more should be begun, because the gateway is gone.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Tells all. An error if anything failed.
    pub(crate) fn tell(self, directories: usize, skipped: u64, as_json: bool) -> Result<(), CliError> {
        self.bar.finish_and_clear();
        let mut failures = self.failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (files, same) = (self.files.into_inner(), self.same.into_inner());
        let bytes = self.bytes.into_inner();
        let seconds = self.started.elapsed().as_secs_f64();
        if as_json {
            let failed: Vec<Value> = failures
                .iter()
                .map(|failure| json!({ "path": failure.path, "error": failure.error.to_string() }))
                .collect();
            print_json(&json!({
                "files": files, "same": same, "directories": directories, "bytes": bytes,
                "skipped": skipped, "failures": failed, "seconds": seconds,
            }))?;
        } else if self.verbose || skipped > 0 || same > 0 {
            let same = if same > 0 {
                format!(", {same} were there already")
            } else {
                String::new()
            };
            let skipped = if skipped > 0 {
                format!(", {skipped} left out (symlinks, special files, unknown caps)")
            } else {
                String::new()
            };
            eprintln!("truckee: {files} files, {}{same}{skipped}", bytes_text(bytes));
        }
        // A gateway that is gone is the one thing to know, and a single failure speaks for itself.
        let gone = |failure: &Failure| failure.error.exit() == Exit::Unreachable;
        if let Some(at) = failures.iter().position(gone) {
            return Err(failures.swap_remove(at).error);
        }
        if failures.len() == 1 && files == 0 && same == 0 {
            return Err(failures.swap_remove(0).error);
        }
        for failure in failures.iter().take(FAILURES_SHOWN) {
            eprintln!("truckee: {}: {}", harmless(&failure.path), failure.error);
        }
        if failures.len() > FAILURES_SHOWN {
            eprintln!("truckee: and {} more", failures.len() - FAILURES_SHOWN);
        }
        let failed = failures.len() as u64;
        if failed == 0 {
            return Ok(());
        }
        Err(CliError::Partly {
            failed,
            all: files + same + failed,
        })
    }
}

/// Tries again while the gateway says that it is overloaded.
pub(crate) fn patiently<T>(mut attempt: impl FnMut() -> Result<T, CliError>) -> Result<T, CliError> {
    let mut wait = BUSY_WAIT;
    for _ in 1..BUSY_TRIES {
        match attempt() {
            Err(error) if error.exit() == Exit::Busy => {
                sleep(wait);
                wait *= 2;
            }
            done => return done,
        }
    }
    attempt()
}
