//! Conditional and partial requests: `Range`, `If-Range`, `If-None-Match` (RFC 9110, sections 13 and 14).
//!
//! One range per request. Several at once, another unit or a malformed header are answered with the whole file, as
//! the standard allows.

use std::ops::Range;

/// What a `Range` header asks of a file of a known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The whole file.
    Whole,
    /// A part of it; not empty, within the file.
    Part(Range<u64>),
    /// Nothing that the file has.
    Unsatisfiable,
}

/// Reads a `Range` header.
pub(super) fn wanted(header: Option<&str>, file_bytes: u64) -> Wanted {
    header
        .and_then(|header| parse(header, file_bytes))
        .unwrap_or(Wanted::Whole)
}

/// None: not a single well-formed range of bytes.
fn parse(header: &str, file_bytes: u64) -> Option<Wanted> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let range = match (number(first)?, number(last)?) {
        (None, None) => return None,
        (None, Some(suffix)) => file_bytes.saturating_sub(suffix)..file_bytes,
        (Some(first), None) => first..file_bytes,
        (Some(first), Some(last)) if first > last => return None,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(file_bytes),
    };
    Some(if range.is_empty() {
        Wanted::Unsatisfiable
    } else {
        Wanted::Part(range)
    })
}

/// `Some(None)`: nothing there. A number beyond 64 bits is one beyond any file.
fn number(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

/// Whether an `If-None-Match` header names this tag. Weak comparison.
pub(super) fn none_match_hit(header: &str, etag: &str) -> bool {
    header
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Whether a `Range` counts beside this `If-Range` header. Strong comparison; a date never matches, since a file
/// here has none.
pub(super) fn if_range_holds(header: Option<&str>, etag: Option<&str>) -> bool {
    header.is_none_or(|header| etag.is_some_and(|etag| header.trim() == etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        use Wanted::{Part, Unsatisfiable, Whole};
        for (header, file_bytes, expected) in [
            ("bytes=0-0", 10, Part(0..1)),
            ("bytes=0-9", 10, Part(0..10)),
            ("bytes=3-5", 10, Part(3..6)),
            ("bytes=3-", 10, Part(3..10)),
            ("bytes=9-20", 10, Part(9..10)),
            ("bytes=-3", 10, Part(7..10)),
            ("bytes=-30", 10, Part(0..10)),
            ("Bytes = 3 - 5", 10, Part(3..6)),
            ("bytes=0-18446744073709551615", 10, Part(0..10)),
            ("bytes=0-99999999999999999999999", 10, Part(0..10)),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=10-11", 10, Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-1", 0, Unsatisfiable),
            ("bytes=5-3", 10, Whole),
            ("bytes=0-1,3-4", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=+1-2", 10, Whole),
            ("bytes=--1", 10, Whole),
            ("lines=0-1", 10, Whole),
            ("0-1", 10, Whole),
            ("", 10, Whole),
        ] {
            assert_eq!(
                wanted(Some(header), file_bytes),
                expected,
                "{header} of {file_bytes}"
            );
        }
        assert_eq!(wanted(None, 10), Whole);
    }

    #[test]
    fn tags() {
        for (header, hit) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("\"b\", \"a\"", true),
            ("W/\"a\"", true),
            ("*", true),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(none_match_hit(header, "\"a\""), hit, "{header}");
        }
        assert!(if_range_holds(None, Some("\"a\"")));
        assert!(if_range_holds(Some("\"a\""), Some("\"a\"")));
        assert!(!if_range_holds(Some("W/\"a\""), Some("\"a\"")));
        assert!(!if_range_holds(
            Some("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some("\"a\"")
        ));
        assert!(!if_range_holds(Some("\"a\""), None));
    }
}
