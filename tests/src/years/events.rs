//! What the world does to nodes, drawn from a seed and from nothing else: the same for every bandwidth.

use std::time::Duration;

use super::{Params, YEAR_SECONDS};
use crate::sim::rng::Rng;

/// Nodes go, and disks die, once a day: the more happen at once, the fewer rounds there are to simulate, and what comes
/// together is worse for files than what comes apart.
pub const DAY: Duration = Duration::from_secs(86_400);

/// How long nodes are away, each as often as the others.
const ABSENCES: [Duration; 4] = [
    Duration::from_secs(6 * 3600),
    DAY,
    Duration::from_secs(2 * 86_400),
    Duration::from_secs(4 * 86_400),
];

/// Something that happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Its disk is gone with all that it held, and the node until it has a new one.
    Dies,
    /// It has an empty disk.
    IsReplaced,
    /// It cannot be reached.
    Leaves,
    /// It is back with all that it held.
    Returns,
}

/// When what happens to which node, in order.
#[must_use]
pub fn draw(params: &Params) -> Vec<(Duration, usize, What)> {
    let root = Rng::new(params.seed).fork("years");
    let mut events = Vec::new();
    for node in 0..params.nodes {
        let mut rng = root.fork(&format!("node {node}"));
        let rate = params.deaths_per_year + params.absences_per_year;
        let mut at = Duration::ZERO;
        loop {
            at = next_day(at + exponential(&mut rng, rate));
            if at >= params.time {
                break;
            }
            let dies = unit(&mut rng) * rate < params.deaths_per_year;
            let (first, last, away) = if dies {
                (What::Dies, What::IsReplaced, DAY)
            } else {
                let away = rng.pick(&ABSENCES).copied().unwrap_or(DAY);
                (What::Leaves, What::Returns, away)
            };
            events.push((at, node, first));
            events.push((at + away, node, last));
            at += away;
        }
    }
    events.sort_by_key(|(at, node, _)| (*at, *node));
    events
}

/// Between 0 and 1.
fn unit(rng: &mut Rng) -> f64 {
    (rng.bits() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Time until the next of events that come `rate` times a year.
fn exponential(rng: &mut Rng, rate: f64) -> Duration {
    let years = -(1.0 - unit(rng)).ln() / rate.max(f64::MIN_POSITIVE);
    // Longer than any run is never.
    Duration::from_secs_f64((years * YEAR_SECONDS).min(1e9))
}

fn next_day(at: Duration) -> Duration {
    let days = at.as_secs() / DAY.as_secs() + 1;
    DAY * u32::try_from(days).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use truckee_grid::params::Coding;

    use super::*;

    #[test]
    fn events_come_as_often_as_they_should_and_nothing_happens_to_who_is_away() {
        let params = Params {
            seed: 1,
            nodes: 200,
            files: 1,
            coding: Coding::new(3, 10).expect("a code"),
            share_bytes: 1,
            bytes_per_second: NonZeroU64::MIN,
            deaths_per_year: 2.0,
            absences_per_year: 4.0,
            time: Duration::from_secs_f64(2.0 * YEAR_SECONDS),
        };
        let events = draw(&params);
        let count = |what: What| events.iter().filter(|(_, _, is)| *is == what).count();
        // Time away takes a little from 800 and 1600.
        assert!((680..860).contains(&count(What::Dies)), "{}", count(What::Dies));
        assert!(
            (1400..1700).contains(&count(What::Leaves)),
            "{}",
            count(What::Leaves)
        );
        for node in 0..params.nodes {
            let own = events.iter().filter(|(_, of, _)| *of == node);
            for (index, (_, _, what)) in own.enumerate() {
                let goes = matches!(what, What::Dies | What::Leaves);
                assert_eq!(goes, index % 2 == 0, "seed 1, node {node}");
            }
        }
    }
}
