//! The one base32 of this system: RFC 4648 alphabet in lower case, without padding, and with zero trailing bits, so that
//! each byte string has one text.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};

static LOWER_NOPAD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification
        .encoding()
        .expect("the alphabet has 32 distinct symbols")
});

/// Why a text is not base32 in the sense of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Base32Error {
    /// The text has not the length that the value needs.
    #[error("{found} characters where {expected} are needed")]
    Length {
        /// Characters of the right text.
        expected: usize,
        /// Characters of this one.
        found: usize,
    },
    /// A character is not in the alphabet, or the last one carries bits that no byte has.
    #[error("character {position} is not one of a-z and 2-7 at its place")]
    Character {
        /// Counted from 1.
        position: usize,
    },
}

/// The text of `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    LOWER_NOPAD.encode(bytes)
}

/// Characters that `bytes` bytes take.
#[must_use]
pub const fn text_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// The bytes of `text`, of whatever length they are.
///
/// # Errors
/// [`Base32Error`] when `text` is not the text that [`encode`] gives for any bytes.
pub fn decode(text: &str) -> Result<Vec<u8>, Base32Error> {
    LOWER_NOPAD
        .decode(text.as_bytes())
        .map_err(|error| match error.kind {
            data_encoding::DecodeKind::Length => {
                let whole = text.len() * 5 / 8;
                Base32Error::Length {
                    expected: text_len(whole),
                    found: text.len(),
                }
            }
            _ => Base32Error::Character {
                position: error.position + 1,
            },
        })
}

/// The `N` bytes of `text`.
///
/// # Errors
/// [`Base32Error`] when `text` is not the text that [`encode`] gives for any `N` bytes.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], Base32Error> {
    let length = Base32Error::Length {
        expected: text_len(N),
        found: text.len(),
    };
    if text.len() != text_len(N) {
        return Err(length);
    }
    decode(text)?.try_into().map_err(|_| length)
}
