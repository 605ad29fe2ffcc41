//! Whole clusters of real processes: each test starts one as a user does, and does to it what the world does.
//!
//! One binary, because each further one is linked with everything.

mod browser;
mod chaos;
mod chaos_ssh;
mod check;
mod cli;
mod clients;
mod commands;
mod damage;
mod drive;
mod freeze;
mod full;
mod healing;
mod healing_costs;
mod leases;
mod lifecycle;
mod moving;
mod placing;
mod round_trip;
mod strangers;
mod survival;
mod top;
mod tracing;
mod trimming;
mod vdrives;
mod zones;

use std::path::Path;
use std::process::Output;

use truckee_tests::rig;

/// The program under test.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_truckee-under-test"))
}

/// Runs a command of the program against a gateway.
fn truckee(gateway: &str, args: &[&str]) -> Output {
    rig::run(program(), [args, &["--gateway", gateway]].concat())
}

/// What a command wrote to standard output, when it must have succeeded.
fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, stderr(output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What a command wrote to standard error.
fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
