//! What stands in a URL: percent-encoded path parts, caps among them.
//!
//! The router's own decoding leaves some characters encoded and would accept damaged escapes, so the raw path is
//! taken apart here. Nothing of it may be logged: it holds caps.

use truckee_grid::caps::Cap;

use super::error::HttpError;

/// Longest path that is looked at, bytes: a cap of 200 with every byte escaped, and a long file name.
const PATH_BYTES_MAX: usize = 4096;

/// What follows `/uri/` or `/file/`.
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
    fn encoding_and_back() {
        let text = "URI:CHK:aß/%~ \u{1f980}?&#\"<";
        assert_eq!(decode(&encode(text)).unwrap(), text);
        assert_eq!(encode("a:b c"), "a%3Ab%20c");
    }
}
