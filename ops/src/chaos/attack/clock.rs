//! Wrong clocks: a node that is started so believes another time of day.
//!
//! It takes `libfaketime` (Debian package `faketime`), which stands between a program and its clock. The clock that only
//! counts up is left alone: machines whose clock is wrong have a right one of that kind.

use std::path::PathBuf;

use super::super::random::Random;

/// Where distributions put the library, and which one it is: that for programs with threads.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// Least and greatest error of a clock, in seconds: what an unset time zone makes, and what a dead battery and a careless
/// hand do. Nobody is promised that a node whose clock is wrong by more than the rest of its grant, which is renewed ten
/// days before its end, stays a member.
const WRONG_SECONDS: (u64, u64) = (3600, 2 * 86_400);

/// The library, if it is installed.
pub(crate) fn library() -> Option<PathBuf> {
    LIBRARIES
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
}

/// By how much the clock of a fault is wrong, in seconds.
pub(super) fn wrong_by(detail: u64) -> i64 {
    let mut random = Random::new(detail, 0);
    let (low, high) = WRONG_SECONDS;
    let seconds = i64::try_from(random.between(low, high)).unwrap_or(i64::MAX);
    if random.between(0, 1) == 0 {
        seconds
    } else {
        -seconds
    }
}

/// The environment of a node whose clock is wrong.
pub(super) fn environment(library: PathBuf, seconds: i64) -> Vec<(&'static str, std::ffi::OsString)> {
    vec![
        ("LD_PRELOAD", library.into()),
        ("FAKETIME", format!("{seconds:+}").into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ]
}

/// For people.
pub(super) fn text(seconds: i64) -> String {
    let (hours, way) = (
        seconds.unsigned_abs() as f64 / 3600.0,
        if seconds < 0 { "behind" } else { "ahead" },
    );
    format!("its clock is {hours:.1} h {way}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_wrong_both_ways_and_not_beyond_what_is_said() {
        let wrong: Vec<i64> = (0..200).map(wrong_by).collect();
        assert!(
            wrong
                .iter()
                .all(|seconds| (3600..=172_800).contains(&seconds.abs()))
        );
        assert!(
            wrong.iter().any(|seconds| *seconds > 86_400) && wrong.iter().any(|seconds| *seconds < -86_400)
        );
        assert_eq!(wrong_by(7), wrong_by(7));
        assert_eq!(text(-5400), "its clock is 1.5 h behind");
        let environment = environment("/x".into(), 5400);
        assert!(environment.contains(&("FAKETIME", "+5400".into())));
    }
}
