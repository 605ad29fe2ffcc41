//! The simulator in the ordinary test command: drawn runs, seeds that once failed, and stories with a time in them.
//!
//! A failure prints its seed and how to replay it: `TRUCKEE_SEED=7 cargo test -p truckee-tests --test sim replay`.
//! `TRUCKEE_SEEDS=0..100000` with the test `seeds` looks further than the ordinary command does, `TRUCKEE_SIZE=large`
//! takes large meshes, and `TRUCKEE_TRACE=1` prints every step.

use std::fmt::Write as _;

use truckee_tests::sim::mix::Size;
use truckee_tests::sim::model::Tally;
use truckee_tests::sim::run::{Failure, run};

mod drawn;
mod kept;
mod replay;
mod stories;
mod years;

/// Runs the seeds, and fails with the story of the first that broke a promise and one line for each further one.
fn run_seeds(seeds: impl IntoIterator<Item = u64>, size: Size) -> Tally {
    let mut tally = Tally::default();
    let mut failures: Vec<Failure> = Vec::new();
    for seed in seeds {
        match run(seed, size) {
            Ok(report) => tally.add(&report.tally),
            Err(failure) => failures.push(*failure),
        }
    }
    report(&failures);
    tally
}

fn report(failures: &[Failure]) {
    let Some(first) = failures.first() else { return };
    let mut text = String::new();
    for failure in failures {
        let _written = writeln!(
            text,
            "seed {}: step {}: {}",
            failure.seed, failure.step, failure.what
        );
    }
    panic!("{first}\n\n{} seeds failed:\n{text}", failures.len());
}
