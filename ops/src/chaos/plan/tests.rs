use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::budget::Harm;
use super::super::shape::testing::shape;
use super::*;

fn wish(seed: u64, length_ms: Ms, at_once: usize) -> Wish {
    Wish {
        seed,
        length_ms,
        at_once,
        kinds: Kind::ALL.to_vec(),
        beyond: false,
    }
}

/// What the planner must keep, counted anew and without its ledger: at every beginning, everybody who is away or damaged.
fn without_at_worst(plan: &Plan, shape: &Shape) -> usize {
    let mut worst = 0;
    for now in plan.faults.iter().map(|fault| fault.at_ms) {
        let mended = plan
            .faults
            .iter()
            .filter(|fault| fault.kind == Kind::Mend && fault.end_ms() <= now);
        let mended = mended.map(Fault::end_ms).max().unwrap_or_default();
        let mut without = BTreeSet::new();
        let mut in_turn = 0;
        for fault in plan.faults.iter().filter(|fault| fault.at_ms <= now) {
            let harm = Harm::of(fault, shape);
            if fault.end_ms() > now {
                without.extend(harm.unread);
                in_turn = in_turn.max(usize::from(harm.in_turn));
            }
            if fault.at_ms >= mended {
                without.extend(harm.damaged);
            }
        }
        worst = worst.max(without.len() + in_turn);
    }
    worst
}

fn most_at_once(plan: &Plan) -> usize {
    let on = |now: Ms| {
        plan.faults
            .iter()
            .filter(|fault| fault.at_ms <= now && now < fault.end_ms())
            .count()
    };
    plan.faults
        .iter()
        .map(|fault| on(fault.at_ms))
        .max()
        .unwrap_or_default()
}

fn shapes() -> impl Strategy<Value = Shape> {
    (0..14_usize, 1..8_usize, any::<bool>(), any::<bool>()).prop_map(|(peers, k, heals, links)| {
        let n = peers.max(1);
        let k = k.min(n);
        let mut shape = shape(peers, k, n, (k + n).div_ceil(2));
        shape.heals = heals;
        if !links {
            shape.means.no_links = Some("out of reach".into());
        }
        shape
    })
}

proptest! {
    #[test]
    fn the_budget_is_kept_and_everything_ends_in_time(
        seed: u64, shape in shapes(), length_s in 5..400_u64, at_once in 1..5_usize,
    ) {
        let wish = wish(seed, length_s * 1000, at_once);
        let plan = plan(&wish, &shape);
        prop_assert!(without_at_worst(&plan, &shape) <= shape.bearable());
        prop_assert!(most_at_once(&plan) <= at_once);
        let late = plan.faults.iter().filter(|fault| fault.end_ms() > wish.length_ms);
        prop_assert_eq!(late.count(), 0);
        prop_assert!(plan.faults.is_sorted_by_key(|fault| fault.at_ms));
        let numbers: Vec<usize> = plan.faults.iter().map(|fault| fault.number).collect();
        prop_assert_eq!(numbers, (1..=plan.faults.len()).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_seed_is_the_same_schedule(seed: u64, shape in shapes()) {
        let wish = wish(seed, 60_000, 2);
        prop_assert_eq!(plan(&wish, &shape), plan(&wish, &shape));
    }

    #[test]
    fn a_kind_occurs_or_is_named_with_the_reason(seed: u64, shape in shapes(), length_s in 5..200_u64) {
        let plan = plan(&wish(seed, length_s * 1000, 2), &shape);
        for kind in Kind::ALL {
            let occurs = plan.faults.iter().any(|fault| fault.kind == kind);
            let left_out = plan.left_out.iter().filter(|left_out| left_out.kind == kind).count();
            prop_assert_eq!(usize::from(occurs) + left_out, 1, "{:?}", kind);
        }
    }
}

#[test]
fn seeds_and_shapes_make_a_difference() {
    let usual = shape(10, 3, 10, 7);
    let first = plan(&wish(1, 120_000, 2), &usual);
    assert_ne!(first, plan(&wish(2, 120_000, 2), &usual));
    assert_ne!(first, plan(&wish(1, 120_000, 2), &shape(9, 3, 9, 6)));
}

#[test]
fn every_kind_comes_in_a_run_of_some_minutes_and_two_are_on_at_once() {
    let usual = shape(10, 3, 10, 7);
    for seed in 0..20 {
        let plan = plan(&wish(seed, 300_000, 2), &usual);
        assert_eq!(plan.left_out, [], "seed {seed}");
        assert_eq!(most_at_once(&plan), 2, "seed {seed}");
    }
}

#[test]
fn without_healing_damage_stays_with_the_same_few_peers() {
    let mut usual = shape(10, 3, 10, 7);
    let damaged = |shape: &Shape| {
        let plan = plan(
            &Wish {
                kinds: vec![Kind::Wipe],
                ..wish(5, 900_000, 2)
            },
            shape,
        );
        let harms = plan.faults.iter().map(|fault| Harm::of(fault, shape));
        harms.flat_map(|harm| harm.damaged).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(damaged(&usual), 2, "half of the four that are bearable");
    usual.heals = true;
    assert!(
        damaged(&usual) > 4,
        "what is mended may be damaged again elsewhere"
    );
}

#[test]
fn going_beyond_hits_more_than_any_file_bears() {
    let usual = shape(10, 3, 10, 7);
    for length_ms in [20_000, 60_000, 600_000] {
        let plan = plan(
            &Wish {
                beyond: true,
                ..wish(3, length_ms, 2)
            },
            &usual,
        );
        let [.., blackout, ruin] = plan.faults.as_slice() else {
            panic!("{plan:?}")
        };
        assert_eq!((blackout.kind, ruin.kind), (Kind::Blackout, Kind::Ruin));
        assert!(ruin.at_ms >= blackout.end_ms());
        assert!(ruin.end_ms() <= length_ms, "{} of {length_ms}", ruin.end_ms());
        for fault in [blackout, ruin] {
            assert_eq!(
                Harm::of(fault, &usual).unread.len(),
                8,
                "two of ten are less than three"
            );
        }
        let before = &plan.faults[..plan.faults.len() - 2];
        assert!(before.iter().all(|fault| fault.end_ms() <= blackout.at_ms));
    }
    let plan = plan(
        &Wish {
            beyond: true,
            ..wish(3, 60_000, 2)
        },
        &shape(1, 1, 1, 1),
    );
    assert!(
        plan.left_out.iter().any(|left_out| left_out.kind == Kind::Ruin),
        "{plan:?}"
    );
}

#[test]
fn peers_that_are_spared_keep_their_shares() {
    let mut shape = shape(10, 3, 10, 7);
    let others = |name: &str| shape.peers.iter().filter(|peer| *peer != name).cloned().collect();
    shape.means.unwiped = others("storage-02");
    shape.means.unharmed = others("storage-03");
    shape.means.why_spared = Some("it is not allowed".into());
    for seed in 0..50 {
        let plan = plan(&wish(seed, 120_000, 2), &shape);
        for fault in plan.faults.iter().filter(|fault| fault.kind.damages()) {
            let only = if fault.kind == Kind::Wipe {
                "storage-02"
            } else {
                "storage-03"
            };
            assert_eq!(fault.target, Target::Node(only.into()), "{fault:?}");
        }
    }
    shape.means.unwiped.insert("storage-02".into());
    let plan = plan(&wish(1, 120_000, 2), &shape);
    let wipe = plan.left_out.iter().find(|left_out| left_out.kind == Kind::Wipe);
    assert_eq!(wipe.unwrap().why, "it is not allowed");
}
