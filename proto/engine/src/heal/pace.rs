//! How fast repairs move bytes. Owns no clock.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::time::Mono;

/// The rate of all repairs of a node together: whoever wants to move bytes is told when he may. What is asked for is paid
/// for before the next is granted; nothing is saved up while nothing is moved.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    bytes_per_second: NonZeroU64,
    paid_at: Mono,
}

impl Pace {
    /// So many bytes per second, read and written added up.
    #[must_use]
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self {
            bytes_per_second,
            paid_at: Mono::ZERO,
        }
    }

    /// When `bytes` may be moved.
    pub fn grant(&mut self, now: Mono, bytes: u64) -> Mono {
        let at = self.paid_at.max(now);
        let micros = u128::from(bytes) * 1_000_000 / u128::from(self.bytes_per_second.get());
        // Rounded up, so that the rate is not exceeded by what is cut off.
        self.paid_at =
            at + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX).saturating_add(1));
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spread_over_time_and_rest_is_not_saved_up() {
        let rate = NonZeroU64::new(1000).expect("not 0");
        let mut pace = Pace::new(rate);
        let start = Mono::from_millis(5_000);
        assert_eq!(pace.grant(start, 2_000), start, "the first at once");
        let second = pace.grant(start, 500);
        assert_eq!(second.saturating_sub(start).as_millis(), 2_000);
        let third = pace.grant(start + Duration::from_secs(1), 1);
        assert_eq!(third.saturating_sub(start).as_millis(), 2_500);
        let after_a_rest = start + Duration::from_secs(100);
        assert_eq!(pace.grant(after_a_rest, 1_000), after_a_rest);
        assert_eq!(
            pace.grant(after_a_rest, 1)
                .saturating_sub(after_a_rest)
                .as_millis(),
            1_000
        );
    }
}
