//! What several pages are made of: numbers for people, icons, badges, caps with a button to copy them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{Markup, html};

/// Drawn in the colour of the text; decoration, so hidden from screen readers.
pub(super) fn icon(name: &str) -> Markup {
    let path = match name {
        "logo" => "M3 15c3-5 6-5 9 0s6 5 9 0M3 9c3-5 6-5 9 0s6 5 9 0",
        "folder" => "M3 7a2 2 0 0 1 2-2h4l2 2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z",
        "file" => "M6 3h8l5 5v13H6zM14 3v5h5",
        "image" => "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01",
        "text" => "M6 3h8l5 5v13H6zM14 3v5h5M9 13h7M9 17h5",
        "upload" => "M12 16V4m0 0L7 9m5-5 5 5M4 20h16",
        "plus" => "M12 5v14M5 12h14",
        "more" => "M5 12h.01M12 12h.01M19 12h.01",
        "lock" => "M6 11h12v9H6zM8 11V8a4 4 0 0 1 8 0v3",
        "unknown" => "M12 17h.01M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18",
        "check" => "M5 12l5 5 9-10",
        _ => "M12 8v5m0 4h.01M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18",
    };
    html! {
        svg.icon viewBox="0 0 24 24" aria-hidden="true" focusable="false" { path d=(path) {} }
    }
}

/// How good something is, as a colour beside the word that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Tone {
    /// As it should be.
    Good,
    /// Works, but somebody should look.
    Warn,
    /// Does not work.
    Bad,
    /// Says nothing.
    Quiet,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
            Tone::Quiet => "quiet",
        }
    }
}

/// A word in a coloured pill.
pub(super) fn badge(tone: Tone, word: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (word) } }
}

/// A sentence in a box across the page.
pub(super) fn notice(tone: Tone, content: &Markup) -> Markup {
    html! {
        div class={ "notice " (tone.class()) } {
            (icon(if tone == Tone::Good { "check" } else { "alert" }))
            div { (content) }
        }
    }
}

/// One number with its name.
pub(super) fn tile(name: &str, value: &str, more: &str) -> Markup {
    html! {
        div.tile { div.tile-name { (name) } div.tile-value { (value) } div.tile-more { (more) } }
    }
}

/// A cap or another long text with a button that copies it.
pub(super) fn copyable(label: &str, text: &str) -> Markup {
    html! {
        div.copyable {
            input type="text" readonly value=(text) aria-label=(label) spellcheck="false";
            button.small type="button" data-copy=(text) hidden { "Copy" }
        }
    }
}

/// A bar of how much of something is taken.
pub(super) fn meter(used: u64, all: u64, label: &str) -> Markup {
    let percent = used.saturating_mul(100).checked_div(all).unwrap_or(0);
    html! { meter min="0" max="100" high="90" value=(percent) aria-label=(label) { (percent) " %" } }
}

/// In the unit that leaves at most three digits before the point.
pub(super) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A time span with as many digits as anybody reads.
pub(super) fn human_time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// How long ago something was, from seconds since 1970.
pub(super) fn ago(at_unix_s: u64) -> String {
    match now_unix_s().saturating_sub(at_unix_s) {
        0..=1 => "just now".to_owned(),
        s => format!("{} ago", human_time(Duration::from_secs(s)).replace(".0 s", " s")),
    }
}

/// Seconds since 1970.
pub(super) fn now_unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Date and time in UTC, to the minute; scripts put the reader's own zone in its place.
pub(super) fn moment(unix_s: u64) -> Markup {
    let (year, month, day) = civil(unix_s / 86_400);
    let (hour, minute) = (unix_s / 3600 % 24, unix_s / 60 % 60);
    let second = unix_s % 60;
    html! {
        time datetime=(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")) {
            (format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}"))
        }
    }
}

/// Year, month and day of a day since 1970: the algorithm of Howard Hinnant's "chrono-compatible low-level date
/// algorithms", for days that are not negative.
fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (
        era * 400 + year_of_era + u64::from(month <= 2),
        month,
        day_of_month,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }

    #[test]
    fn times_for_people() {
        for (micros, text) in [
            (5, "5 µs"),
            (1500, "1.5 ms"),
            (2_500_000, "2.5 s"),
            (7_200_000_000, "2 h"),
        ] {
            assert_eq!(human_time(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn dates() {
        for (unix_s, text) in [
            (0, "1970-01-01 00:00"),
            (951_782_400, "2000-02-29 00:00"),
            (1_700_000_000, "2023-11-14 22:13"),
            (4_107_542_399, "2100-02-28 23:59"),
        ] {
            assert!(
                moment(unix_s).into_string().ends_with(&format!("{text}</time>")),
                "{text}"
            );
        }
    }

    #[test]
    fn nothing_gets_out_of_its_place() {
        let nasty = "\"><script>alert(1)</script>";
        let text = copyable(nasty, nasty).into_string() + &badge(Tone::Bad, nasty).into_string();
        assert!(
            !text.contains("<script") && !text.contains("\"\"") && text.contains("&quot;&gt;"),
            "{text}"
        );
    }
}
