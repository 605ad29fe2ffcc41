//! Bars over time in plain text.
//!
//! Pure: a row has a column for each equal part of the time; whatever touches a part is drawn in it.

use std::time::Duration;

/// Columns of a bar.
pub(super) const COLUMNS: usize = 72;

/// Nothing happens.
const REST: char = '.';

/// Draws stretches of time, each `(from, to)`, over a time of `all`. A column touched by several says how many.
pub(super) fn bar(
    all: Duration,
    stretches: impl IntoIterator<Item = (Duration, Duration)>,
    mark: char,
) -> String {
    let mut counts = [0_usize; COLUMNS];
    for (from, to) in stretches {
        let (first, last) = (column(all, from), column(all, to));
        for count in &mut counts[first..=last.max(first)] {
            *count += 1;
        }
    }
    let draw = |count: usize| match count {
        0 => REST,
        1 => mark,
        2..=9 => char::from_digit(count as u32, 10).unwrap_or(mark),
        _ => '*',
    };
    counts.into_iter().map(draw).collect()
}

fn column(all: Duration, at: Duration) -> usize {
    let part = at.as_millis() * COLUMNS as u128 / all.as_millis().max(1);
    usize::try_from(part).map_or(COLUMNS - 1, |column| column.min(COLUMNS - 1))
}

/// The line above the bars: minutes and seconds at the start, in the middle and at the end.
pub(super) fn scale(all: Duration) -> String {
    let texts = [Duration::ZERO, all / 2, all].map(clock);
    let [start, middle, end] = texts;
    let half = COLUMNS / 2;
    let rest = COLUMNS.saturating_sub(half + end.len());
    format!("{start:half$}{middle:rest$}{end}")
}

/// Minutes and seconds.
pub(super) fn clock(at: Duration) -> String {
    let seconds = at.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn bars_are_where_things_happen() {
        let empty = ".".repeat(COLUMNS);
        assert_eq!(bar(s(72), [], '#'), empty);
        assert_eq!(bar(s(0), [(s(0), s(0))], '#').len(), COLUMNS);
        let drawn = bar(s(72), [(s(1), s(3)), (s(2), s(2)), (s(71), s(100))], '#');
        assert_eq!(&drawn[..6], ".#2#..");
        assert_eq!(&drawn[COLUMNS - 2..], ".#");
        // Short things are seen too.
        assert_eq!(bar(s(7200), [(s(3600), s(3600))], '#').matches('#').count(), 1);
    }

    #[test]
    fn the_scale_is_as_wide_as_the_bars() {
        for all in [s(30), s(3600 * 30)] {
            assert_eq!(scale(all).len(), COLUMNS);
        }
        assert!(scale(s(150)).starts_with("0:00") && scale(s(150)).ends_with("2:30"));
    }
}
