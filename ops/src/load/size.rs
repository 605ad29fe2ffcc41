//! Sizes as people write them.
//!
//! Owns one small grammar: a whole number and an optional unit, binary (`KiB MiB GiB TiB`) or decimal (`kB MB GB TB`).

/// Largest file that makes sense to generate: the mesh itself stores up to 1 TiB with default segments.
const SIZE_BYTES_MAX: u64 = 1 << 40;

/// Parses a size such as `1GiB`, `10 MB`, `0`; the result is in bytes.
///
/// # Errors
/// A sentence for the command line when it has no such form or is too large.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| "a size is a whole number and a unit, such as 10MiB".to_owned())?;
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        other => {
            return Err(format!(
                "no unit {other:?}; there are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB"
            ));
        }
    };
    let bytes = number
        .checked_mul(factor)
        .filter(|bytes| *bytes <= SIZE_BYTES_MAX);
    bytes.ok_or_else(|| "a file has at most 1TiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes() {
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("1GiB"), Ok(1 << 30));
        assert_eq!(parse(" 10 MB "), Ok(10_000_000));
        for bad in ["", "GiB", "-1", "1.5MiB", "1gib", "2TiB", "99999999999999999999"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
