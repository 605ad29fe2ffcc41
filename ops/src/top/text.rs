//! Figures and names as people read them.

use std::time::Duration;

use crate::output::bytes_text;

/// Longest name, version or reason that is shown, in characters; what others say of themselves is cut to this.
const TEXT_CHARS_MAX: usize = 200;

/// What stands where nothing is known.
pub(super) const NONE: &str = "–";

/// Text of another machine, fit for a terminal: without control characters, which could move its cursor or change its
/// title, without characters that turn the direction of writing, and not longer than [`TEXT_CHARS_MAX`].
pub(super) fn clean(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .filter(|c| !c.is_control() && !turns(*c))
        .take(TEXT_CHARS_MAX)
        .collect()
}

/// Bytes, or bytes per second.
pub(super) fn bytes(bytes: f64) -> String {
    // Saturates: a negative number of bytes is none.
    bytes_text(bytes.round() as u64)
}

/// Things per second.
pub(super) fn per_second(rate: f64) -> String {
    match rate {
        rate if rate < 0.05 => "0".to_owned(),
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

/// A part of one processor.
pub(super) fn percent(part: f64) -> String {
    let percent = part * 100.0;
    match percent {
        percent if percent < 0.05 => "0%".to_owned(),
        percent if percent < 10.0 => format!("{percent:.1}%"),
        percent => format!("{percent:.0}%"),
    }
}

/// A short time, in two figures.
pub(super) fn seconds(seconds: f64) -> String {
    let ms = seconds * 1000.0;
    match ms {
        ms if ms < 0.995 => format!("{ms:.2} ms"),
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 9_950.0 => format!("{:.1} s", ms / 1000.0),
        ms => format!("{:.0} s", ms / 1000.0),
    }
}

/// A long time, in its largest unit and the next.
pub(super) fn span(span: Duration) -> String {
    let s = span.as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

/// `1 node`, `2 nodes`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// At most three names, and how many more there are.
pub(super) fn some_names(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [one, two] => format!("{one} and {two}"),
        [one, two, three] => format!("{one}, {two} and {three}"),
        [one, two, three, more @ ..] => format!("{one}, {two}, {three} and {} more", more.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(bytes(-5.0), "0 B");
        assert_eq!(bytes(1536.4), "1.50 KiB");
        assert_eq!(bytes(f64::MAX), bytes_text(u64::MAX));
        assert_eq!(
            [0.04, 0.05, 9.94, 10.0, 1234.5].map(per_second),
            ["0", "0.1", "9.9", "10", "1234"]
        );
        assert_eq!(
            [0.0, 0.033, 0.5, 1.75].map(percent),
            ["0%", "3.3%", "50%", "175%"]
        );
        assert_eq!(
            [0.000_4, 0.002, 0.042, 1.5, 75.0].map(seconds),
            ["0.40 ms", "2.0 ms", "42 ms", "1.5 s", "75 s"]
        );
        let spans = [5, 90, 3700, 200_000].map(|s| span(Duration::from_secs(s)));
        assert_eq!(spans, ["5 s", "1 min", "1 h 1 min", "2 d 7 h"]);
        assert_eq!([count(1, "node"), count(2, "node")], ["1 node", "2 nodes"]);
    }

    #[test]
    fn names_are_few() {
        let all = ["a", "b", "c", "d", "e"];
        let texts: Vec<String> = (0..=5).map(|upto| some_names(&all[..upto])).collect();
        assert_eq!(
            texts,
            [
                "",
                "a",
                "a and b",
                "a, b and c",
                "a, b, c and 1 more",
                "a, b, c and 2 more"
            ]
        );
    }

    #[test]
    fn what_others_say_cannot_steer_the_terminal() {
        assert_eq!(clean("\u{1b}[2Jna\u{202e}me\r\n\u{9b}1m"), "[2Jname1m");
        assert_eq!(clean("größe 存储 🦀"), "größe 存储 🦀");
        assert_eq!(clean(&"é".repeat(1000)).chars().count(), TEXT_CHARS_MAX);
    }
}
