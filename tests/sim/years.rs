//! Healing over years: the law that more bandwidth loses less, and the table and plot of the handbook.
//!
//! `cargo test --release -p truckee-tests --test sim -- --ignored --nocapture years` runs all of it again, in minutes, and
//! writes `ops/durability.md` and `ops/durability.svg`.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use truckee_grid::params::Coding;
use truckee_tests::years::report::{self, Cell};
use truckee_tests::years::world::run;
use truckee_tests::years::{Outcome, Params};

/// Each disk holds half a terabyte.
fn small() -> Params {
    Params {
        seed: 11,
        nodes: 24,
        files: 240,
        coding: Coding::new(3, 10).expect("a code"),
        share_bytes: 5_000_000_000,
        bytes_per_second: rate(20.0),
        deaths_per_year: 8.0,
        absences_per_year: 2.0,
        time: Duration::from_secs(40 * 86_400),
    }
}

fn rate(mib_per_second: f64) -> NonZeroU64 {
    NonZeroU64::new((mib_per_second * 1_048_576.0) as u64).expect("not 0")
}

fn at(base: Params, mib_per_second: f64, deaths_per_year: f64) -> Params {
    Params {
        bytes_per_second: rate(mib_per_second),
        deaths_per_year,
        ..base
    }
}

#[test]
fn more_bandwidth_never_loses_more() {
    for seed in [11, 12] {
        let base = Params { seed, ..small() };
        let outcomes: Vec<(f64, Outcome)> = [0.02, 0.3, 20.0]
            .into_iter()
            .map(|mib| (mib, run(&at(base, mib, 24.0))))
            .collect();
        for pair in outcomes.windows(2) {
            let ((slow, less), (fast, more)) = (&pair[0], &pair[1]);
            assert_eq!((less.deaths, less.absences), (more.deaths, more.absences));
            assert!(
                more.lost <= less.lost,
                "seed {seed}: {slow} MiB/s {less:?}, {fast} MiB/s {more:?}"
            );
        }
        let (first, last) = (&outcomes[0].1, &outcomes[2].1);
        assert!(
            first.lost > 0,
            "seed {seed}: with next to no bandwidth files are lost: {first:?}"
        );
        assert_eq!(last.lost, 0, "seed {seed}: none at the default: {last:?}");
        assert!(last.least_shares > first.least_shares, "seed {seed}: {last:?}");
    }
}

#[test]
fn at_the_default_pace_nothing_is_lost_and_the_same_seed_is_the_same_run() {
    let params = small();
    let outcome = run(&params);
    assert_eq!(outcome.lost, 0, "seed {}: {outcome:?}", params.seed);
    assert!(outcome.deaths > 10 && outcome.mended > 200, "{outcome:?}");
    assert_eq!(outcome, run(&params), "seed {}", params.seed);
}

#[test]
fn hundreds_of_nodes_heal_what_their_disks_lose() {
    let params = Params {
        nodes: 300,
        files: 300,
        deaths_per_year: 6.0,
        time: Duration::from_secs(15 * 86_400),
        ..small()
    };
    let outcome = run(&params);
    assert_eq!(outcome.lost, 0, "seed {}: {outcome:?}", params.seed);
    assert!(outcome.deaths > 30 && outcome.mended > 50, "{outcome:?}");
    assert!(outcome.least_shares >= 6, "{outcome:?}");
}

/// All of the handbook.
fn large() -> Params {
    Params {
        seed: 2026,
        nodes: 200,
        files: 2000,
        share_bytes: 5_000_000_000,
        time: Duration::from_secs(73 * 86_400),
        ..small()
    }
}

const BANDWIDTHS: [f64; 4] = [0.1, 0.5, 2.0, 20.0];
const DEATHS: [f64; 3] = [1.0, 4.0, 16.0];

#[test]
#[ignore = "takes minutes, and writes to the handbook"]
fn years_of_a_large_grid_are_written_down() {
    let wanted: Vec<Params> = DEATHS
        .iter()
        .flat_map(|deaths| BANDWIDTHS.map(|mib| at(large(), mib, *deaths)))
        .collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(params) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let began = std::time::Instant::now();
                    let outcome = run(params);
                    println!("{} {:?} {outcome:?}", began.elapsed().as_secs(), params);
                    done.lock().expect("nobody panicked").push(Cell {
                        params: *params,
                        outcome,
                    });
                }
            });
        }
    });
    let mut cells = done.into_inner().expect("nobody panicked");
    cells.sort_by(|a, b| {
        let key = |cell: &Cell| {
            (
                cell.params.deaths_per_year,
                cell.params.bytes_per_second.get() as f64,
            )
        };
        key(a).partial_cmp(&key(b)).expect("no rate is not a number")
    });
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops");
    std::fs::write(ops.join("durability.svg"), report::plot(&cells)).expect("the plot is written");
    let columns = BANDWIDTHS.map(|mib| at(large(), mib, 1.0));
    let text = report::text(&large(), &cells, &columns);
    std::fs::write(ops.join("durability.md"), text).expect("the table is written");
    assert!(
        cells.iter().any(|cell| cell.outcome.lost > 0),
        "losses are seen at all"
    );
    assert!(
        cells
            .iter()
            .filter(|cell| cell.params.bytes_per_second == rate(20.0))
            .all(|cell| cell.outcome.lost == 0)
    );
}
