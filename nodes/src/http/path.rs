//! What stands in a URL: percent-encoded path parts, caps among them.
//!
//! The router's own decoding leaves some characters encoded and would accept damaged escapes, so the raw path is
//! taken apart here. Nothing of it may be logged: it holds caps.

use truckee_grid::caps::Cap;
use truckee_grid::drive::ChildName;

use super::error::HttpError;
use super::tree::TreeError;

/// Longest path that is looked at, bytes: a cap of 200 with every byte escaped, and a long file name.
const PATH_BYTES_MAX: usize = 4096;

/// Longest path of a place that is looked at, bytes: far below what the server takes as a head, and room for 128
/// names of average length with every byte escaped.
const PLACE_BYTES_MAX: usize = 32 << 10;
/// Most parts below a cap: each costs a look at a directory. File systems stop at paths of 4096 bytes.
pub(super) const PLACE_PARTS_MAX: usize = 256;

/// What follows `/file/`.
#[derive(Debug, PartialEq)]
pub(super) struct CapPath {
    /// The cap in the first part.
    pub(super) cap: Cap,
    /// The further parts, decoded; empty parts are left out.
    pub(super) rest: Vec<String>,
}

/// Reads the cap and what follows it from the raw path of a request.
pub(super) fn cap_path(raw_path: &str) -> Result<CapPath, HttpError> {
    if raw_path.len() > PATH_BYTES_MAX {
        return Err(HttpError::PathTooLong {
            bytes_max: PATH_BYTES_MAX,
        });
    }
    // "/uri/CAP/…": an empty part, the name of the route, the cap.
    let mut parts = raw_path.split('/').skip(2).filter(|part| !part.is_empty());
    let cap = parts.next().ok_or(HttpError::NoCap)?;
    let cap = parse_cap(&decode(cap)?)?;
    let rest = parts.map(decode).collect::<Result<Vec<String>, HttpError>>()?;
    Ok(CapPath { cap, rest })
}

/// What follows `/uri/`: a cap and the way down from it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// Where the way begins.
    pub(super) cap: Cap,
    /// The names on the way.
    pub(super) names: Vec<ChildName>,
}

/// Reads a place from the raw path of a request. One slash at its end says nothing.
pub(super) fn place(raw_path: &str) -> Result<Place, HttpError> {
    let bytes_max = PLACE_BYTES_MAX;
    if raw_path.len() > bytes_max {
        return Err(HttpError::PathTooLong { bytes_max });
    }
    // "/uri/CAP/…": an empty part, the name of the route, the cap.
    let mut parts = raw_path.strip_suffix('/').unwrap_or(raw_path).split('/').skip(2);
    let cap = parts
        .next()
        .filter(|cap| !cap.is_empty())
        .ok_or(HttpError::NoCap)?;
    let cap = parse_cap(&decode(cap)?)?;
    let names = parts.map(|part| match part {
        "" => Err(TreeError::EmptyPart.into()),
        part => name(&decode(part)?),
    });
    let names: Vec<ChildName> = names.collect::<Result<_, HttpError>>()?;
    check_depth(names.len())?;
    Ok(Place { cap, names })
}

impl Place {
    /// Reads `CAP` or `CAP/name/…` from an argument, where nothing is escaped.
    pub(super) fn of_text(text: &str) -> Result<Place, HttpError> {
        let mut parts = text.strip_suffix('/').unwrap_or(text).split('/');
        let cap = parse_cap(parts.next().unwrap_or_default())?;
        let names = parts.map(name).collect::<Result<Vec<ChildName>, HttpError>>()?;
        check_depth(names.len())?;
        Ok(Place { cap, names })
    }

    /// The place one step further down.
    pub(super) fn below(mut self, name: ChildName) -> Place {
        self.names.push(name);
        self
    }
}

fn check_depth(parts: usize) -> Result<(), HttpError> {
    let parts_max = PLACE_PARTS_MAX;
    if parts > parts_max {
        return Err(TreeError::TooDeep { parts_max }.into());
    }
    Ok(())
}

/// Reads the name of a child.
pub(super) fn name(text: &str) -> Result<ChildName, HttpError> {
    ChildName::new(text).map_err(|error| TreeError::BadName(error).into())
}

/// Reads a cap, with blanks around it forgiven: people paste.
pub(super) fn parse_cap(text: &str) -> Result<Cap, HttpError> {
    Cap::parse(text.trim()).map_err(HttpError::BadCap)
}

/// Decodes `%xx`. A `+` stays one: this is not a form.
fn decode(part: &str) -> Result<String, HttpError> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let [high, low, tail @ ..] = tail else {
            return Err(HttpError::BadEscape);
        };
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(HttpError::BadEscape);
        bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| HttpError::BadEscape)
}

/// Encodes all but unreserved characters, so that the text can stand anywhere in a URL.
pub(super) fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    // "hello" in base32.
    const LIT: &str = "URI:LIT:nbswy3dp";

    #[test]
    fn caps_plain_and_escaped() {
        let cap = Cap::parse(LIT).unwrap();
        for path in [
            "/uri/URI:LIT:nbswy3dp",
            "/cap/URI%3ALIT%3anbswy3dp",
            "/uri/%20URI:LIT:nbswy3dp%0A/",
            "/file//URI:LIT:nbswy3dp",
        ] {
            assert_eq!(
                cap_path(path).unwrap(),
                CapPath {
                    cap: cap.clone(),
                    rest: vec![]
                },
                "{path}"
            );
        }
        let named = cap_path(&format!("/file/{}/dir/a%20b+c%2Fd.txt", encode(LIT))).unwrap();
        assert_eq!(named.rest, ["dir", "a b+c/d.txt"]);
    }

    #[test]
    fn what_is_no_cap_path() {
        assert!(matches!(cap_path("/uri/"), Err(HttpError::NoCap)));
        assert!(matches!(cap_path("/uri/hello"), Err(HttpError::BadCap(_))));
        assert!(matches!(
            cap_path("/uri/URI:LIT:nbswy3d"),
            Err(HttpError::BadCap(_))
        ));
        for bad in [
            "/uri/%",
            "/uri/%4",
            "/uri/%zz",
            "/uri/%+1",
            "/uri/%ff%fe",
            "/uri/URI:LIT:nbswy3dp/%8",
        ] {
            assert!(matches!(cap_path(bad), Err(HttpError::BadEscape)), "{bad}");
        }
        assert!(matches!(
            cap_path(&"/x".repeat(3000)),
            Err(HttpError::PathTooLong { .. })
        ));
    }

    #[test]
    fn places_below_a_cap() {
        let names = |path: &str| {
            place(path).map(|place| {
                place
                    .names
                    .iter()
                    .map(|name| name.as_str().to_owned())
                    .collect::<Vec<String>>()
            })
        };
        let no_names: Vec<String> = Vec::new();
        assert_eq!(names("/uri/URI:LIT:nbswy3dp").unwrap(), no_names);
        assert_eq!(names("/uri/URI:LIT:nbswy3dp/").unwrap(), no_names);
        assert_eq!(
            names("/uri/URI:LIT:nbswy3dp/a%20b/e%CC%81/").unwrap(),
            ["a b", "\u{e9}"]
        );
        let tree = |path: &str| match place(path) {
            Err(HttpError::Tree(error)) => error,
            other => panic!("{path}: {other:?}"),
        };
        assert!(matches!(tree("/uri/URI:LIT:nbswy3dp//a"), TreeError::EmptyPart));
        assert!(matches!(tree("/uri/URI:LIT:nbswy3dp/a//"), TreeError::EmptyPart));
        for bad in ["..", ".", "%2e%2e", "a%2Fb", "%00", &"x".repeat(256)] {
            let path = format!("/uri/URI:LIT:nbswy3dp/{bad}/c");
            assert!(matches!(tree(&path), TreeError::BadName(_)), "{bad}");
        }
        let deep = |parts| format!("/uri/URI:LIT:nbswy3dp{}", "/a".repeat(parts));
        assert_eq!(names(&deep(PLACE_PARTS_MAX)).unwrap().len(), PLACE_PARTS_MAX);
        assert!(matches!(tree(&deep(10_000)), TreeError::TooDeep { .. }));
        assert!(matches!(place(&deep(20_000)), Err(HttpError::PathTooLong { .. })));
        assert!(matches!(
            place("/uri/URI:LIT:nbswy3dp/%ff"),
            Err(HttpError::BadEscape)
        ));
        assert!(matches!(place("/uri//"), Err(HttpError::NoCap)));
    }

    #[test]
    fn places_in_arguments() {
        let place = Place::of_text("URI:LIT:nbswy3dp/a b/c%20/").unwrap();
        assert_eq!(place.names[1].as_str(), "c%20");
        assert!(Place::of_text("URI:LIT:nbswy3dp//a").is_err());
        assert!(Place::of_text("").is_err());
    }

    #[test]
    fn encoding_and_back() {
        let text = "URI:CHK:aß/%~ \u{1f980}?&#\"<";
        assert_eq!(decode(&encode(text)).unwrap(), text);
        assert_eq!(encode("a:b c"), "a%3Ab%20c");
    }
}
