//! The types that a configuration value may have, each with the check that makes it one.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeValue;
use truckee_actors::vdrive::sql::{DatabaseUrl, OpenError};
use truckee_engine::invite::Invite;

use super::VdriveDatabase;
use super::problem::Problem;
use super::reader::type_name;

/// A type that a TOML value can become.
pub(super) trait FromToml: Sized {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem>;
}

/// A whole number within bounds that are part of the type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounded<const LOW: u64, const HIGH: u64>(pub(super) u64);

impl<const LOW: u64, const HIGH: u64> FromToml for Bounded<LOW, HIGH> {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        let DeValue::Integer(number) = value else {
            return Err(Problem::WrongType {
                expected: "a whole number",
                found: type_name(value),
            });
        };
        let out_of_range = || Problem::OutOfRange {
            got: number.to_string(),
            low: LOW,
            high: HIGH,
        };
        let parsed = u64::from_str_radix(number.as_str(), number.radix()).map_err(|_| out_of_range())?;
        if !(LOW..=HIGH).contains(&parsed) {
            return Err(out_of_range());
        }
        Ok(Bounded(parsed))
    }
}

/// A count of bytes: a whole number, or a text such as "64 MiB" or "1.5 GB".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByteCount(pub(super) u64);

const BYTES_EXPECTED: &str = "a count of bytes such as 1048576, \"64 MiB\" or \"2 TB\"";

impl FromToml for ByteCount {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        match value {
            DeValue::Integer(_) => {
                Bounded::<0, { i64::MAX as u64 }>::from_toml(value).map(|b| ByteCount(b.0))
            }
            DeValue::String(text) => parse_bytes(text).map(ByteCount).ok_or_else(|| Problem::BadText {
                got: text.to_string(),
                expected: BYTES_EXPECTED,
            }),
            other => Err(Problem::WrongType {
                expected: BYTES_EXPECTED,
                found: type_name(other),
            }),
        }
    }
}

/// Whole numbers only before the unit: "1.5 GB" is written "1500 MB".
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits_end].parse().ok()?;
    let unit: u64 = match text[digits_end..].trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// A text of at most `MAX` bytes without control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name<const MAX: usize>(pub(super) String);

impl<const MAX: usize> FromToml for Name<MAX> {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        let text = text_of(value)?;
        if text.len() > MAX {
            return Err(Problem::TooLong {
                got: text.len() as u64,
                max: MAX as u64,
            });
        }
        if text.chars().any(char::is_control) {
            return Err(Problem::BadText {
                got: text.to_owned(),
                expected: "a text without control characters",
            });
        }
        Ok(Name(text.to_owned()))
    }
}

impl FromToml for SocketAddr {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        let text = text_of(value)?;
        text.parse().map_err(|_| Problem::BadText {
            got: text.to_owned(),
            expected: "an address and port such as \"127.0.0.1:3456\" or \"[::]:3456\"",
        })
    }
}

/// A path of a file; a relative one begins at the node's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FilePath(pub(super) PathBuf);

impl FromToml for FilePath {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        let text = text_of(value)?;
        if text.is_empty() || text.contains('\0') {
            return Err(Problem::BadText {
                got: text.to_owned(),
                expected: "the path of a file",
            });
        }
        Ok(FilePath(text.into()))
    }
}

impl FromToml for bool {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        match value {
            DeValue::Boolean(yes) => Ok(*yes),
            other => Err(Problem::WrongType {
                expected: "true or false",
                found: type_name(other),
            }),
        }
    }
}

/// A host name or address with its port, as other nodes are told to dial it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort(pub(super) String);

impl FromToml for HostPort {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        // 255 bytes: what the wire takes for one address.
        const ADDRESS_BYTES_MAX: usize = 255;
        let text = text_of(value)?;
        let good = text.len() <= ADDRESS_BYTES_MAX
            && text.rsplit_once(':').is_some_and(|(host, port)| {
                let port_good = port.parse::<u16>().is_ok_and(|port| port > 0);
                let host_good = !host.is_empty()
                    && !host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@,".contains(c));
                port_good && host_good
            });
        if !good {
            let expected = "a host and port that other nodes can dial, such as \"peer1.example.org:7000\"";
            return Err(Problem::BadText {
                got: text.to_owned(),
                expected,
            });
        }
        Ok(HostPort(text.to_owned()))
    }
}

/// Of an invite no part is ever shown in an error: it holds a secret.
impl FromToml for Invite {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        Invite::parse(text_of(value)?).map_err(Problem::Invite)
    }
}

/// Of a database URL no part is ever shown in an error: it may hold a password.
impl FromToml for VdriveDatabase {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        match text_of(value)? {
            "sqlite" => Ok(VdriveDatabase::Sqlite),
            url => DatabaseUrl::postgres(url)
                .map(VdriveDatabase::Postgres)
                .map_err(|error| match error {
                    OpenError::UnknownParameter => Problem::DatabaseParameter,
                    _ => Problem::Database,
                }),
        }
    }
}

/// A list of at most `MAX` items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List<T, const MAX: usize>(pub(super) Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<T: FromToml, const MAX: usize> FromToml for List<T, MAX> {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        let DeValue::Array(items) = value else {
            return Err(Problem::WrongType {
                expected: "a list",
                found: type_name(value),
            });
        };
        if items.len() > MAX {
            return Err(Problem::TooMany {
                got: items.len(),
                max: MAX,
            });
        }
        items
            .iter()
            .map(|item| T::from_toml(item.get_ref()))
            .collect::<Result<Vec<T>, Problem>>()
            .map(List)
    }
}

/// One of a closed set of words.
pub(super) trait Word: Sized + Copy + 'static {
    const ALL: &'static [(&'static str, Self)];
    const EXPECTED: &'static str;
}

impl<W: Word> FromToml for W {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        let text = text_of(value)?;
        W::ALL
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, parsed)| *parsed)
            .ok_or_else(|| Problem::BadText {
                got: text.to_owned(),
                expected: W::EXPECTED,
            })
    }
}

/// How a word is written.
pub(super) fn word_of<W: Word + PartialEq>(value: W) -> &'static str {
    let found = W::ALL.iter().find(|(_, listed)| *listed == value);
    found
        .map(|(word, _)| *word)
        .expect("every value stands in its table")
}

pub(super) fn text_of<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Problem> {
    match value {
        DeValue::String(text) => Ok(text),
        other => Err(Problem::WrongType {
            expected: "a text",
            found: type_name(other),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn counts_of_bytes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("64 KiB", Some(65_536)),
            ("64KiB", Some(65_536)),
            (" 2 TB ", Some(2_000_000_000_000)),
            ("1 GiB", Some(1 << 30)),
            ("1.5 GB", None),
            ("-1", None),
            ("GiB", None),
            ("1 gib", None),
            ("", None),
            ("99999999999 TiB", None),
        ] {
            assert_eq!(parse_bytes(text), bytes, "{text:?}");
        }
    }
}
