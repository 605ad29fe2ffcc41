//! Runs drawn from seeds. Four tests, so that two cores share them.

use truckee_tests::sim::mix::{Fault, Mix, Size};
use truckee_tests::sim::model::Tally;
use truckee_tests::sim::rng::Rng;
use truckee_tests::sim::run::run;

use crate::run_seeds;

/// What some run of each few hundred does, or the runs test less than they say.
fn has_everything(tally: &Tally) {
    let expected = [
        "upload: completed",
        "download: completed",
        "download: corruption found",
        "not_happy",
        "too_few_shares",
        "cancelled",
        "body",
        "order lost in a crash",
        "link: refused",
        "repair: unneeded",
        "repair: complete",
        "repair: partial",
        "repair: failed",
        "drive: changed",
        "drive: read",
        "drive: refused",
        "drive: out of reach",
        "drive note: conflict",
        "scrub: round",
        "scrub: damage found",
        "fault: node killed",
        "fault: power failed",
        "fault: partition",
        "fault: frames tampered with",
        "fault: disk full",
    ];
    for what in expected {
        assert!(tally.of(what) > 0, "no run has this: {what}\n{tally}");
    }
    assert!(
        tally.of("upload: completed") > tally.of("not_happy"),
        "most uploads fail\n{tally}"
    );
}

#[test]
fn small_meshes_a() {
    has_everything(&run_seeds(0..350, Size::Small));
}

#[test]
fn small_meshes_b() {
    has_everything(&run_seeds(350..700, Size::Small));
}

#[test]
fn small_meshes_c() {
    has_everything(&run_seeds(700..1050, Size::Small));
}

#[test]
fn large_meshes() {
    let tally = run_seeds(0..40, Size::Large);
    assert!(tally.of("upload: completed") > 40, "{tally}");
}

#[test]
fn a_seed_is_one_run_to_the_last_byte() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 5000..5008 {
        let [first, second] =
            [(); 2].map(|()| run(seed, Size::Small).expect("these seeds keep all promises"));
        assert_eq!(
            (first.hash, first.steps),
            (second.hash, second.steps),
            "seed {seed}"
        );
        assert_eq!(first.tally, second.tally, "seed {seed}");
        hashes.insert(first.hash);
    }
    assert_eq!(hashes.len(), 8, "different seeds are different runs");
}

#[test]
fn the_seeds_of_the_ordinary_command_meet_every_fault() {
    let mixes: Vec<Mix> = (0..1050)
        .map(|seed| Mix::draw(&mut Rng::new(seed).fork("mix"), Size::Small))
        .collect();
    for fault in Fault::ALL {
        assert!(
            mixes.iter().filter(|mix| mix.faults.contains(&fault)).count() > 100,
            "{fault:?}"
        );
    }
    assert!(
        mixes.iter().filter(|mix| mix.faults.is_empty()).count() > 20,
        "some runs are calm"
    );
}
