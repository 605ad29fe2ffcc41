//! The samples of one node over the last minutes, and what follows from two of them.
//!
//! Owns which two are compared: the latest and the oldest within a window, or the one before the latest if the window is
//! shorter than the time between two looks. Samples of an earlier process of the same node are forgotten when a new one
//! is seen, so that no rate is ever taken across a restart. Bounded: recent samples are kept one by one, older ones half
//! a minute apart.

use std::collections::VecDeque;
use std::time::Duration;

use super::series::{Sample, Series, Timing};

/// Recent samples that are kept one by one.
const FINE_MAX: usize = 32;

/// Older samples that are kept, at least [`COARSE_EVERY`] apart: ten minutes.
const COARSE_MAX: usize = 20;

/// Between two older samples.
const COARSE_EVERY: Duration = Duration::from_secs(30);

/// Two samples nearer than this say nothing about a rate.
const SPAN_MIN: Duration = Duration::from_millis(200);

/// A process that started this much later than the one seen before is another one, in seconds.
const SAME_START_S: f64 = 0.5;

#[derive(Clone, Debug)]
struct Stamped {
    at: Duration,
    sample: Sample,
}

/// See the module. Times are since the watch began.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    fine: VecDeque<Stamped>,
    coarse: VecDeque<Stamped>,
    /// When a new process of the node was first seen, if that was under our eyes.
    pub(super) restarted_at: Option<Duration>,
}

/// The latest sample and an earlier one of the same process.
struct Pair<'a> {
    before: &'a Sample,
    after: &'a Sample,
    span: Duration,
}

impl History {
    /// Takes a sample in. One that is not later than the latest is not taken.
    pub(super) fn push(&mut self, at: Duration, sample: Sample) {
        if let Some(last) = self.fine.back() {
            if at <= last.at {
                return;
            }
            if is_another_process(&last.sample, &sample) {
                self.fine.clear();
                self.coarse.clear();
                self.restarted_at = Some(at);
            }
        }
        self.fine.push_back(Stamped { at, sample });
        if self.fine.len() > FINE_MAX
            && let Some(old) = self.fine.pop_front()
        {
            let due = self.coarse.back().map(|last| last.at + COARSE_EVERY);
            if due.is_none_or(|due| old.at >= due) {
                self.coarse.push_back(old);
            }
            if self.coarse.len() > COARSE_MAX {
                self.coarse.pop_front();
            }
        }
    }

    /// The latest sample.
    pub(super) fn latest(&self) -> Option<&Sample> {
        self.fine.back().map(|stamped| &stamped.sample)
    }

    /// How long the running process has been watched.
    pub(super) fn watched(&self) -> Duration {
        let mut all = self.coarse.iter().chain(&self.fine);
        let first = all.next().map_or(Duration::ZERO, |stamped| stamped.at);
        self.fine.back().map_or(Duration::ZERO, |last| last.at - first)
    }

    fn pair(&self, window: Duration) -> Option<Pair<'_>> {
        let last = self.fine.back()?;
        let earlier = || {
            self.coarse
                .iter()
                .chain(&self.fine)
                .take(self.coarse.len() + self.fine.len() - 1)
        };
        let within = earlier().find(|stamped| stamped.at + window >= last.at);
        let before = within.or_else(|| earlier().last())?;
        let span = last.at - before.at;
        (span >= SPAN_MIN).then_some(Pair {
            before: &before.sample,
            after: &last.sample,
            span,
        })
    }

    /// By how much a counter grew within the window, and in what time. A counter that appeared meanwhile began at zero.
    fn growth(&self, series: Series, window: Duration) -> Option<(f64, Duration)> {
        debug_assert!(series.is_counter(), "{series:?} goes up and down");
        let pair = self.pair(window)?;
        let before = pair.before.value(series).unwrap_or_default();
        Some((pair.after.value(series)? - before, pair.span))
    }

    /// By how much a counter grew within the window; none while there is nothing to compare with.
    pub(super) fn increase(&self, series: Series, window: Duration) -> Option<f64> {
        self.growth(series, window).map(|(growth, _)| growth)
    }

    /// How fast a counter grew within the window, per second.
    pub(super) fn rate(&self, series: Series, window: Duration) -> Option<f64> {
        let (growth, span) = self.growth(series, window)?;
        Some(growth / span.as_secs_f64())
    }

    /// The time between the two samples that a window compares.
    pub(super) fn span(&self, window: Duration) -> Option<Duration> {
        self.pair(window).map(|pair| pair.span)
    }

    /// How many times were observed within the window.
    pub(super) fn observations(&self, timing: Timing, window: Duration) -> f64 {
        self.pair(window).map_or(0.0, |pair| {
            pair.after.timing(timing).count - pair.before.timing(timing).count
        })
    }

    /// The mean of the times that were observed within the window, in seconds; none if there were none.
    pub(super) fn mean(&self, timing: Timing, window: Duration) -> Option<f64> {
        let pair = self.pair(window)?;
        let (before, after) = (pair.before.timing(timing), pair.after.timing(timing));
        let (sum, count) = (after.sum - before.sum, after.count - before.count);
        (count > 0.0 && sum >= 0.0).then(|| sum / count)
    }

    /// The time that the part `quantile` of the observations within the window did not exceed, in seconds, as Prometheus
    /// estimates it: evenly spread within each bucket, and at most the largest bound.
    pub(super) fn quantile(&self, timing: Timing, quantile: f64, window: Duration) -> Option<f64> {
        let pair = self.pair(window)?;
        let before = pair.before.timing(timing);
        let mut buckets = Vec::new();
        for (bound, after) in &pair.after.timing(timing).buckets {
            let same = before.buckets.iter().find(|(at, _)| at == bound);
            buckets.push((*bound, after - same.map_or(0.0, |(_, count)| *count)));
        }
        let all = buckets.last().map_or(0.0, |(_, count)| *count);
        if all <= 0.0 {
            return None;
        }
        let wanted = quantile * all;
        let (mut low_s, mut low) = (0.0, 0.0);
        for (bound_s, count) in buckets {
            if count >= wanted {
                let inside = if count > low {
                    (wanted - low) / (count - low)
                } else {
                    1.0
                };
                return Some(if bound_s.is_finite() {
                    low_s + (bound_s - low_s) * inside
                } else {
                    low_s
                });
            }
            (low_s, low) = (bound_s, count);
        }
        None
    }
}

/// Whether a process ended and another one began between the two: they started at different times, or a counter fell.
fn is_another_process(before: &Sample, after: &Sample) -> bool {
    let starts = before.value(Series::Start).zip(after.value(Series::Start));
    if starts.is_some_and(|(before, after)| (before - after).abs() > SAME_START_S) {
        return true;
    }
    let fell = |series: &Series| {
        let both = before.value(*series).zip(after.value(*series));
        series.is_counter() && both.is_some_and(|(before, after)| after < before)
    };
    let fewer = |timing: &Timing| after.timing(*timing).count < before.timing(*timing).count;
    Series::EVERY.iter().any(fell) || Timing::EVERY.iter().any(fewer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::series::Distribution;
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn sample(start: f64, sent: f64) -> Sample {
        let mut sample = Sample::default();
        sample.set(Series::Start, start);
        sample.set(Series::LinkOut, sent);
        sample
    }

    fn history(samples: &[(u64, f64, f64)]) -> History {
        let mut history = History::default();
        for (at, start, sent) in samples {
            history.push(s(*at), sample(*start, *sent));
        }
        history
    }

    #[test]
    fn one_sample_makes_no_rate() {
        let one = history(&[(1, 0.0, 5.0)]);
        assert_eq!(one.rate(Series::LinkOut, MINUTE), None);
        assert_eq!(one.watched(), Duration::ZERO);
        assert_eq!(History::default().rate(Series::LinkOut, MINUTE), None);
    }

    #[test]
    fn a_window_takes_the_oldest_sample_within_it() {
        let history = history(&[
            (0, 0.0, 0.0),
            (10, 0.0, 100.0),
            (12, 0.0, 300.0),
            (14, 0.0, 500.0),
        ]);
        assert_eq!(history.rate(Series::LinkOut, s(4)), Some(100.0));
        assert_eq!(history.increase(Series::LinkOut, MINUTE), Some(500.0));
        // Shorter than the time between two looks: the one before the latest.
        assert_eq!(history.rate(Series::LinkOut, s(1)), Some(100.0));
        assert_eq!(history.watched(), s(14));
    }

    #[test]
    fn a_restart_makes_neither_negative_nor_absurd_rates() {
        let mut history = history(&[(0, 100.0, 9e9), (2, 100.0, 9.1e9)]);
        history.push(s(4), sample(103.0, 5e3));
        assert_eq!(history.rate(Series::LinkOut, MINUTE), None);
        assert_eq!(history.restarted_at, Some(s(4)));
        history.push(s(6), sample(103.0, 7e3));
        assert_eq!(history.rate(Series::LinkOut, MINUTE), Some(1e3));
    }

    #[test]
    fn a_counter_that_fell_is_a_restart_too() {
        let mut history = History::default();
        for (at, sent) in [(0, 50.0), (2, 60.0), (4, 59.0)] {
            let mut sample = Sample::default();
            sample.set(Series::LinkOut, sent);
            history.push(s(at), sample);
        }
        assert_eq!(history.rate(Series::LinkOut, MINUTE), None);
        assert_eq!(history.restarted_at, Some(s(4)));
    }

    #[test]
    fn a_gauge_that_fell_is_none() {
        let mut history = History::default();
        for (at, shares) in [(0, 50.0), (2, 40.0)] {
            let mut sample = sample(1.0, 1.0);
            sample.set(Series::Shares, shares);
            history.push(s(at), sample);
        }
        assert_eq!(history.restarted_at, None);
    }

    #[test]
    fn samples_that_are_too_near_or_too_late_say_nothing() {
        let mut history = history(&[(1, 0.0, 0.0)]);
        history.push(s(1), sample(0.0, 1e9));
        assert_eq!(history.latest().unwrap().value(Series::LinkOut), Some(0.0));
        history.push(s(1) + Duration::from_millis(1), sample(0.0, 1e9));
        assert_eq!(history.rate(Series::LinkOut, MINUTE), None);
    }

    #[test]
    fn a_counter_that_appears_began_at_zero() {
        let mut history = history(&[(0, 0.0, 0.0)]);
        let mut sample = sample(0.0, 0.0);
        sample.set(Series::Hedges, 6.0);
        history.push(s(2), sample);
        assert_eq!(history.rate(Series::Hedges, MINUTE), Some(3.0));
        assert_eq!(history.rate(Series::DriveChanges, MINUTE), None);
    }

    #[test]
    fn old_samples_are_thinned_and_bounded() {
        let mut history = History::default();
        for at in 0..3600 {
            history.push(s(at), sample(0.0, 10.0 * at as f64));
        }
        assert_eq!(history.fine.len(), FINE_MAX);
        assert_eq!(history.coarse.len(), COARSE_MAX);
        assert!(history.watched() >= s(570), "{:?}", history.watched());
        assert_eq!(history.rate(Series::LinkOut, s(600)), Some(10.0));
    }

    fn times(count: f64, sum: f64, buckets: &[(f64, f64)]) -> Distribution {
        Distribution {
            sum,
            count,
            buckets: buckets.to_vec(),
        }
    }

    fn observed(distributions: [Distribution; 2]) -> History {
        let mut history = History::default();
        for (at, distribution) in (0..).step_by(2).zip(distributions) {
            let mut sample = sample(0.0, 0.0);
            sample.set_timing(Timing::Store, distribution);
            history.push(s(at), sample);
        }
        history
    }

    #[test]
    fn times_are_those_of_the_window_alone() {
        let before = times(100.0, 500.0, &[(1.0, 0.0), (10.0, 100.0), (f64::INFINITY, 100.0)]);
        let after = times(110.0, 505.0, &[(1.0, 9.0), (10.0, 110.0), (f64::INFINITY, 110.0)]);
        let history = observed([before, after]);
        assert_eq!(history.mean(Timing::Store, MINUTE), Some(0.5));
        assert_eq!(history.observations(Timing::Store, MINUTE), 10.0);
        assert_eq!(history.quantile(Timing::Store, 0.45, MINUTE), Some(0.5));
        assert_eq!(history.quantile(Timing::Store, 0.95, MINUTE), Some(5.5));
        assert_eq!(history.mean(Timing::Lag, MINUTE), None);
        assert_eq!(history.quantile(Timing::Lag, 0.5, MINUTE), None);
    }

    #[test]
    fn beyond_the_last_bound_the_last_bound_is_all_that_is_known() {
        let after = times(10.0, 5000.0, &[(1.0, 0.0), (f64::INFINITY, 10.0)]);
        let history = observed([Distribution::default(), after]);
        assert_eq!(history.quantile(Timing::Store, 0.99, MINUTE), Some(1.0));
    }

    proptest! {
        #[test]
        fn rates_are_never_negative(steps in prop::collection::vec((1u64..5000, 0u8..8, 0.0..1e9f64), 1..80), window in 0u64..100) {
            let mut history = History::default();
            let (mut at, mut start, mut sent) = (Duration::ZERO, 0.0, 0.0);
            for (ms, restart, bytes) in steps {
                at += Duration::from_millis(ms);
                if restart == 0 {
                    (start, sent) = (start + 1.0, bytes);
                } else {
                    sent += bytes;
                }
                history.push(at, sample(start, sent));
                if let Some(rate) = history.rate(Series::LinkOut, s(window)) {
                    // Each step adds at most 1e9 and two samples that are compared lie at least SPAN_MIN apart.
                    prop_assert!((0.0..=80e9 / SPAN_MIN.as_secs_f64()).contains(&rate), "{}", rate);
                }
            }
        }
    }
}
