//! Seeds of the simulator, in the ordinary test command.

use std::fmt::Write as _;

use truckee_tests::sim::mix::Size;
use truckee_tests::sim::model::Tally;
use truckee_tests::sim::run::{Failure, run};

mod replay;

/// Runs the seeds, and fails with the stories of the first ones that broke a promise.
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
