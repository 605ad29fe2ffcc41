//! The one place where a wire type becomes a domain type and back. Owns the checks: every length, number and count is
//! held against its bound ([`crate::message::limits`]) in both directions, and what breaks one is a [`ConvertError`]
//! that names the field.
//!
//! Fields that the schema does not know are skipped, as are roles that it does not know, so that later versions may
//! add some. Not promised: that a message fits the state of its receiver, or that a signature is true.

use bytes::Bytes;
use truckee_grid::ids::Hash;
use truckee_grid::params::ParamsError;
use truckee_grid::ueb::UebError;

pub(crate) use self::drive::{rows_bytes, rows_from_payload, rows_to_payload};
pub use self::head::{
    Head, HeadError, Prepared, cancel_frame, decode_head, goodbye_frame, hello_frame, more_frame, ping_frame,
    pong_frame,
};
pub use self::member::{ROSTER_NEWS_BYTES, WANTED_BYTES};

mod drive;
mod head;
mod inventory;
mod lease;
mod link;
mod member;
mod request;
mod response;
mod share;

/// What a message breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A message of a kind that this version does not know.
    #[error("unknown message")]
    UnknownMessage,
    /// A field of fixed length has another one.
    #[error("{field} has {got} bytes, must have {expected}")]
    Length {
        /// Which field.
        field: &'static str,
        /// Its length.
        got: usize,
        /// Its only valid length.
        expected: usize,
    },
    /// A field, list or whole message is too long.
    #[error("{field} has a length of {got}, at most {max} is allowed")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Bytes, or items of a list.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// A number is outside its bounds.
    #[error("{field} is {got}, must be from {min} to {max}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// The number.
        got: u64,
        /// Least.
        min: u64,
        /// Greatest.
        max: u64,
    },
    /// Something that must be there is not.
    #[error("{field} is missing")]
    Missing {
        /// Which field.
        field: &'static str,
    },
    /// Something is there that must not be, given the rest of the message.
    #[error("{field} must be empty here")]
    Unexpected {
        /// Which field.
        field: &'static str,
    },
    /// A list that must ascend strictly does not.
    #[error("{field} is not in ascending order")]
    Order {
        /// Which list.
        field: &'static str,
    },
    /// A text for people has control characters, which could forge lines of a log.
    #[error("{field} has control characters")]
    ControlCharacters {
        /// Which text.
        field: &'static str,
    },
    /// Signed bytes or the roster file are not the protobuf that they should be.
    #[error("{what} is not valid protobuf")]
    Malformed {
        /// Which.
        what: &'static str,
    },
    /// k, n or the segment size.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The UEB is not one, or not the canonical encoding.
    #[error("the extension block is invalid: {0}")]
    Ueb(#[from] UebError),
}

/// `bytes` as an array, if it has just that length.
fn array<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], ConvertError> {
    bytes.try_into().map_err(|_| ConvertError::Length {
        field,
        got: bytes.len(),
        expected: N,
    })
}

/// Checks a length against its bound.
fn at_most(field: &'static str, got: usize, max: usize) -> Result<(), ConvertError> {
    if got > max {
        Err(ConvertError::TooLong { field, got, max })
    } else {
        Ok(())
    }
}

/// Checks a number against its bounds.
fn within(field: &'static str, got: u64, min: u64, max: u64) -> Result<(), ConvertError> {
    if got < min || got > max {
        Err(ConvertError::OutOfRange { field, got, min, max })
    } else {
        Ok(())
    }
}

/// Checks the length of a text for people, and that it stays on its line.
fn check_text(field: &'static str, text: &str, max: usize) -> Result<(), ConvertError> {
    at_most(field, text.len(), max)?;
    if text.chars().any(char::is_control) {
        return Err(ConvertError::ControlCharacters { field });
    }
    Ok(())
}

/// Takes rows of one length apart.
fn rows_of<'a, const N: usize>(field: &'static str, bytes: &'a [u8]) -> Result<&'a [[u8; N]], ConvertError> {
    let (rows, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        return Ok(rows);
    }
    Err(ConvertError::Length {
        field,
        got: bytes.len(),
        expected: N * rows.len(),
    })
}

/// Takes a row of joined 32-byte hashes apart; at most `max` of them.
fn hashes(field: &'static str, row: &[u8], max: usize) -> Result<Vec<Hash>, ConvertError> {
    let rows = rows_of::<{ Hash::BYTES }>(field, row)?;
    at_most(field, rows.len(), max)?;
    Ok(rows.iter().map(|hash| Hash(*hash)).collect())
}

/// Joins hashes into a row.
fn join_hashes<'a>(hashes: impl IntoIterator<Item = &'a Hash>) -> Bytes {
    let mut row = Vec::new();
    for hash in hashes {
        row.extend_from_slice(hash.as_bytes());
    }
    row.into()
}

#[cfg(test)]
mod tests;
