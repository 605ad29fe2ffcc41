//! Whole clusters of real processes, as a user runs them, and what breaks them.
//!
//! Owns every process that it starts: each is ended by its pid when its owner is dropped, whatever the test did to it.
//! Nothing here sleeps for a fixed time in the hope that something has happened by then: [`until`] looks again and again
//! and fails with a sentence when its bound is over. Bounds are generous, because a test machine may be busy; they say that
//! something hangs, not that it is slow.

pub mod browser;
mod cluster;
mod http;
mod node;
mod postgres;
mod process;
mod shares;
mod sshd;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

pub use cluster::{Cluster, Options};
pub use http::{Answer, Http};
pub use node::Node;
pub use postgres::Postgres;
pub use process::{is_alive, signal};
pub use rustix::process::Signal;
pub use shares::ShareOnDisk;
pub use sshd::Sshd;

/// Longest that anything in a test may take before it counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until there is something, and gives it.
///
/// # Panics
/// When [`PATIENCE`] is over; `what` says what was waited for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {} s in vain until {what}",
            PATIENCE.as_secs()
        );
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Runs a program to its end, with nothing on standard input.
///
/// # Panics
/// When it cannot be started.
pub fn run<S: AsRef<std::ffi::OsStr>>(program: &Path, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(program);
    // What the person at this machine has set must not change what a test does.
    command
        .args(args)
        .stdin(Stdio::null())
        .env("XDG_CONFIG_HOME", "/nonexistent");
    for variable in [
        "TRUCKEE_GATEWAY",
        "TRUCKEE_TOKEN",
        "TRUCKEE_TOKEN_FILE",
        "TRUCKEE_ALIASES",
        "TRUCKEE_BACKUP_DB",
    ] {
        command.env_remove(variable);
    }
    command
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Runs the real curl, silent but for errors; `-f` and the like are the test's to give.
///
/// # Panics
/// When curl is not installed.
pub fn curl<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    let common = ["--silent", "--show-error", "--noproxy", "*"].map(std::ffi::OsString::from);
    let given = args.into_iter().map(|arg| arg.as_ref().to_owned());
    run(Path::new("curl"), common.into_iter().chain(given))
}

/// Bytes that depend on `seed` alone, for contents whose seed a failing test prints.
#[must_use]
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    // xorshift64*: enough to look random to everything that might compress or deduplicate.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(length);
    bytes
}
