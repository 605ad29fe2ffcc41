//! One seed, or a range of them, named by the environment: `TRUCKEE_SEED=7` or `TRUCKEE_SEEDS=0..5000`, with
//! `TRUCKEE_SIZE=large` for large meshes.

use truckee_tests::sim::mix::Size;
use truckee_tests::sim::run::run;

fn size() -> Size {
    match std::env::var("TRUCKEE_SIZE").as_deref() {
        Ok("large") => Size::Large,
        _ => Size::Small,
    }
}

#[test]
fn replay() {
    let Ok(seed) = std::env::var("TRUCKEE_SEED") else {
        return;
    };
    let seed = seed.parse().expect("TRUCKEE_SEED is a number");
    match run(seed, size()) {
        Ok(report) => println!("{report:?}"),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn seeds() {
    let Ok(range) = std::env::var("TRUCKEE_SEEDS") else {
        return;
    };
    let (from, to) = range
        .split_once("..")
        .expect("TRUCKEE_SEEDS is a range such as 0..5000");
    let from: u64 = from.parse().expect("TRUCKEE_SEEDS begins with a number");
    let to: u64 = to.parse().expect("TRUCKEE_SEEDS ends with a number");
    println!("{}", super::run_seeds(from..to, size()));
}
