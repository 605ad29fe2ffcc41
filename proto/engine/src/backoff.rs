//! How long to wait before a peer is dialled again: full jitter (each wait is drawn evenly from zero up to a ceiling),
//! the ceiling doubling from 100 ms to 30 s. Owns the ceiling and the generator that the waits are drawn from.
//!
//! States: the number of failures since the last reset. Only a round trip over the link may reset it, not a mere
//! connection: a peer that accepts and then drops would otherwise be dialled without pause. Not promised: that two
//! waits differ, or that a wait is longer than the one before.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Ceiling of the first wait: longer than a process on the same network takes to accept after a restart of its listener.
pub const CEILING_FIRST: Duration = Duration::from_millis(100);

/// Highest ceiling. With it a thousand peers of a node that is down cause 70 dials a second together, and a node that
/// is back is found after 15 s on average.
pub const CEILING_MAX: Duration = Duration::from_secs(30);

/// The waits between dials of one peer.
#[derive(Debug)]
pub struct Backoff {
    ceiling: Duration,
    rng: StdRng,
}

impl Backoff {
    /// No failure yet. The seed should differ between nodes and peers, or they dial in step.
    pub fn new(seed: [u8; 32]) -> Backoff {
        Backoff {
            ceiling: CEILING_FIRST,
            rng: StdRng::from_seed(seed),
        }
    }

    /// Counts a failure and says how long to wait after it.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling_us = self.ceiling.as_micros() as u64;
        self.ceiling = (self.ceiling * 2).min(CEILING_MAX);
        Duration::from_micros(self.rng.random_range(0..=ceiling_us))
    }

    /// The highest that the next wait can be.
    pub fn ceiling(&self) -> Duration {
        self.ceiling
    }

    /// The peer answered over the link: the next failure is the first again.
    pub fn reset(&mut self) {
        self.ceiling = CEILING_FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_highest_and_no_wait_is_above() {
        let mut backoff = Backoff::new([7; 32]);
        let mut ceilings = Vec::new();
        for _ in 0..12 {
            let ceiling = backoff.ceiling();
            ceilings.push(ceiling.as_millis());
            assert!(backoff.next_delay() <= ceiling);
        }
        let doubled = [
            100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000,
        ];
        assert_eq!(ceilings, doubled);
    }

    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let mut backoff = Backoff::new([3; 32]);
        let mut below_tenth = 0;
        let mut above_nine_tenths = 0;
        for _ in 0..2_000 {
            backoff.reset();
            let delay = backoff.next_delay();
            below_tenth += u32::from(delay < CEILING_FIRST / 10);
            above_nine_tenths += u32::from(delay > CEILING_FIRST * 9 / 10);
        }
        assert!(
            (150..250).contains(&below_tenth),
            "{below_tenth} of 2000 waits in the lowest tenth"
        );
        assert!(
            (150..250).contains(&above_nine_tenths),
            "{above_nine_tenths} of 2000 waits in the highest tenth"
        );
    }

    #[test]
    fn one_seed_one_sequence_and_a_reset_starts_over() {
        let draw = |backoff: &mut Backoff| (0..5).map(|_| backoff.next_delay()).collect::<Vec<_>>();
        let (mut a, mut b, mut c) = (
            Backoff::new([1; 32]),
            Backoff::new([1; 32]),
            Backoff::new([2; 32]),
        );
        let first = draw(&mut a);
        assert_eq!(first, draw(&mut b));
        assert_ne!(first, draw(&mut c));
        a.reset();
        assert_eq!(a.ceiling(), CEILING_FIRST);
    }
}
