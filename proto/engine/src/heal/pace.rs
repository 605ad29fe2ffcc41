//! How fast repairs move bytes. Owns no clock.

use std::num::NonZeroU64;

use crate::time::{Mono, time_for};

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
        self.paid_at = at + time_for(bytes, self.bytes_per_second);
        at
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
