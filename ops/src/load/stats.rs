//! Medians and percentiles.
//!
//! Owns the definitions: percentiles are nearest-rank (the smallest value that at least that share of all values does
//! not exceed), the median of an even count is the mean of the middle two. Nothing is smoothed or left out.

use std::time::Duration;

/// Median, smallest and largest of some rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of the values; none if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Spread { median, min, max })
    }

    /// The same in another unit.
    pub(crate) fn divided_by(self, unit: f64) -> Spread {
        Spread {
            median: self.median / unit,
            min: self.min / unit,
            max: self.max / unit,
        }
    }
}

/// Percentiles of request latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percentiles {
    pub(crate) p50: Duration,
    pub(crate) p90: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Percentiles {
    /// Of the latencies; none if there are none.
    pub(crate) fn of(mut latencies: Vec<Duration>) -> Option<Percentiles> {
        latencies.sort_unstable();
        let max = *latencies.last()?;
        let rank = |percent: usize| latencies[(latencies.len() * percent).div_ceil(100).max(1) - 1];
        Some(Percentiles {
            p50: rank(50),
            p90: rank(90),
            p99: rank(99),
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(
            Spread::of([3.0, 1.0, 2.0]),
            Some(Spread {
                median: 2.0,
                min: 1.0,
                max: 3.0
            })
        );
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let millis = Duration::from_millis;
        assert_eq!(Percentiles::of(vec![]), None);
        let all = Percentiles::of((1..=100).rev().map(millis).collect()).unwrap();
        assert_eq!(
            (all.p50, all.p90, all.p99, all.max),
            (millis(50), millis(90), millis(99), millis(100))
        );
        let one = Percentiles::of(vec![millis(7)]).unwrap();
        assert_eq!((one.p50, one.p99), (millis(7), millis(7)));
    }
}
