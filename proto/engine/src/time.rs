//! The two clocks that a machine is told about. Owns no clock: every `now` is an argument, so that a machine under
//! the simulator lives in virtual time.
//!
//! [`Mono`] orders what happens inside one process and never jumps. [`UnixSeconds`] is the calendar, needed only where
//! two nodes must mean the same moment (grants, tombstones); it may jump and differ between nodes, and nothing here
//! promises that it does not.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign};
use std::time::Duration;

/// A moment of the node's monotonic clock: microseconds since the node started.
///
/// 64 bits of microseconds last for 580,000 years, so additions saturate rather than wrap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(u64);

impl Mono {
    /// The moment at which the node started.
    pub const ZERO: Mono = Mono(0);

    /// The moment `micros` microseconds after the start of the node.
    pub const fn from_micros(micros: u64) -> Mono {
        Mono(micros)
    }

    /// The moment `millis` milliseconds after the start of the node.
    pub const fn from_millis(millis: u64) -> Mono {
        Mono(millis.saturating_mul(1_000))
    }

    /// Microseconds since the start of the node.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment, zero if `earlier` is in fact later.
    pub const fn saturating_sub(self, earlier: Mono) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// The time that so many bytes take at a rate, rounded up, so that the rate is not exceeded by what is cut off.
pub(crate) fn time_for(bytes: u64, bytes_per_second: NonZeroU64) -> Duration {
    let micros = u128::from(bytes) * 1_000_000 / u128::from(bytes_per_second.get());
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX).saturating_add(1))
}

impl Add<Duration> for Mono {
    type Output = Mono;

    /// The moment `rhs` later; saturates at the end of time.
    fn add(self, rhs: Duration) -> Mono {
        let micros = u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX);
        Mono(self.0.saturating_add(micros))
    }
}

impl AddAssign<Duration> for Mono {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl fmt::Debug for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A moment of the calendar: seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct UnixSeconds(u64);

impl UnixSeconds {
    /// The moment `seconds` seconds after 1970 began.
    pub const fn from_secs(seconds: u64) -> UnixSeconds {
        UnixSeconds(seconds)
    }

    /// Seconds since 1970 began.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment, zero if `earlier` is in fact later.
    pub const fn saturating_sub(self, earlier: UnixSeconds) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for UnixSeconds {
    type Output = UnixSeconds;

    /// The moment `rhs` later, cut to whole seconds; saturates at the end of time.
    fn add(self, rhs: Duration) -> UnixSeconds {
        UnixSeconds(self.0.saturating_add(rhs.as_secs()))
    }
}

/// A day of the calendar, counted from 1970-01-01: as fine as leases and what lies in the trash are kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Day(u32);

impl Day {
    /// Seconds of a day; leap seconds are not counted.
    pub const SECONDS: u64 = 24 * 3600;
    /// The first day of 1970.
    pub const FIRST: Day = Day(0);

    /// The day `number` days after the first one.
    pub const fn from_number(number: u32) -> Day {
        Day(number)
    }

    /// Days since the first one.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The day in which a moment lies.
    pub fn of(moment: UnixSeconds) -> Day {
        Day(u32::try_from(moment.0 / Day::SECONDS).unwrap_or(u32::MAX))
    }

    /// Its first moment.
    pub const fn begin(self) -> UnixSeconds {
        UnixSeconds(self.0 as u64 * Day::SECONDS)
    }

    /// The day so many days later; saturates at the last one.
    #[must_use]
    pub const fn plus(self, days: u32) -> Day {
        Day(self.0.saturating_add(days))
    }

    /// The days from `earlier` to this one, 0 if `earlier` is in fact later.
    pub const fn saturating_sub(self, earlier: Day) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_86400_seconds_and_saturates() {
        let day = Day::of(UnixSeconds::from_secs(86_400 * 3 + 86_399));
        assert_eq!(day, Day::from_number(3));
        assert_eq!(day.begin(), UnixSeconds::from_secs(86_400 * 3));
        assert_eq!(
            Day::of(UnixSeconds::from_secs(u64::MAX)),
            Day::from_number(u32::MAX)
        );
        assert_eq!(day.plus(u32::MAX), Day::from_number(u32::MAX));
        assert_eq!(Day::FIRST.saturating_sub(day), 0);
        assert_eq!(day.saturating_sub(Day::FIRST), 3);
    }

    #[test]
    fn adding_and_subtracting_saturate() {
        let second = Duration::from_secs(1);
        assert_eq!(Mono::ZERO + second, Mono::from_micros(1_000_000));
        assert_eq!(Mono::from_micros(u64::MAX) + second, Mono::from_micros(u64::MAX));
        assert_eq!(Mono::ZERO + Duration::MAX, Mono::from_micros(u64::MAX));
        assert_eq!(Mono::ZERO.saturating_sub(Mono::from_millis(5)), Duration::ZERO);
        assert_eq!(
            Mono::from_millis(7).saturating_sub(Mono::from_millis(5)),
            Duration::from_millis(2)
        );
        assert_eq!(
            UnixSeconds::from_secs(u64::MAX) + second,
            UnixSeconds::from_secs(u64::MAX)
        );
        assert_eq!(
            UnixSeconds::from_secs(1).saturating_sub(UnixSeconds::from_secs(2)),
            Duration::ZERO
        );
    }

    #[test]
    fn debug_text_shows_seconds() {
        assert_eq!(format!("{:?}", Mono::from_micros(1_500_020)), "1.500020s");
    }
}
