//! Dates and times of day, in UTC.
//!
//! Owns the way from seconds since 1970 to a calendar (the algorithm of Howard Hinnant's `civil_from_days`). No leap
//! seconds, no time zones: what is written into the grid must mean the same everywhere.

/// A moment of the calendar, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

/// Seconds of a day.
const DAY: i64 = 86_400;

/// The moment `seconds` after the start of 1970. Moments a hundred thousand years away are moved nearer.
pub(crate) fn civil(seconds: f64) -> Civil {
    const FAR: f64 = 3.0e12;
    let seconds = seconds.clamp(-FAR, FAR).floor() as i64;
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    // Years are counted from March, so that the leap day is the last of its year; eras have 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
        hour: rest / 3600,
        minute: rest / 60 % 60,
        second: rest % 60,
    }
}

impl Civil {
    /// `2026-03-01`.
    pub(crate) fn date(self) -> String {
        let Civil { year, month, day, .. } = self;
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `2026-03-01 09:05`.
    pub(crate) fn minutes(self) -> String {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            ..
        } = self;
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
    }

    /// `2026-03-01_09:05:59Z`, the name of a snapshot.
    pub(crate) fn snapshot(self) -> String {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self;
        format!("{year:04}-{month:02}-{day:02}_{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0.0, "1970-01-01_00:00:00Z"),
            (-1.0, "1969-12-31_23:59:59Z"),
            (951_782_400.0, "2000-02-29_00:00:00Z"),
            (1_234_567_890.9, "2009-02-13_23:31:30Z"),
            (4_107_542_400.0, "2100-03-01_00:00:00Z"),
        ] {
            assert_eq!(civil(seconds).snapshot(), text);
        }
        assert_eq!(civil(1_234_567_890.0).minutes(), "2009-02-13 23:31");
        assert_eq!(civil(1_234_567_890.0).date(), "2009-02-13");
        civil(f64::INFINITY).snapshot();
        civil(f64::NAN).snapshot();
    }
}
