//! Frames: how heads and payloads are laid on a byte stream. Owns the layout and its bounds.
//!
//! ```text
//! 0        4        8                8+h            4+total
//! +--------+--------+----------------+----------------+
//! | total  | head   | head: Envelope | part of payload|
//! +--------+--------+----------------+----------------+
//! ```
//!
//! `total` and `head` are lengths, u32, big endian: of all that follows the first field, and of the envelope alone.
//! 5 <= `total` <= [`FRAME_BYTES_MAX`]; 1 <= `head` <= [`HEAD_BYTES_MAX`] and `head` <= `total` - 4. Both are checked
//! as soon as their bytes are there, before anything is allocated for them. [`Decoder`] takes a stream apart.

mod decoder;

use bytes::{Bytes, BytesMut};

pub use self::decoder::Decoder;

/// Longest frame, in bytes after the length field: a part of a payload and the longest head, rounded up to a power of
/// two, so that one slow frame delays a heartbeat by at most 2 ms on a gigabit link.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;

/// The least `frame_bytes_max` that an end may announce in its hello: the longest head and as much payload.
pub const FRAME_BYTES_MAX_LEAST: usize = 128 * 1024;

/// Longest head, in bytes: a page of the roster, or 256 share roots with much to spare.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Longest part of a payload in one frame, in bytes: 1 ms on a gigabit link, and eight full TLS records.
pub const PART_BYTES_MAX: usize = 128 * 1024;

/// Length of the two length fields.
pub const PREFIX_BYTES: usize = 8;

/// A frame as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One encoded envelope.
    pub head: Bytes,
    /// A part of the payload of the message that the head names. The parts of one payload mostly adjoin each other in
    /// memory, so that [`BytesMut::unsplit`] joins them without a copy; nothing depends on it.
    pub payload: BytesMut,
}

/// A frame to be written: first `head`, then `payload`, which is never copied on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameOut {
    /// Both length fields and the envelope.
    pub head: Bytes,
    /// The part of the payload; may be empty.
    pub payload: Bytes,
}

/// What is wrong with a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than this end takes, or another protocol.
    #[error("a frame of {got} bytes is announced, at most {max} are taken")]
    TooLong {
        /// Announced.
        got: u32,
        /// Taken.
        max: usize,
    },
    /// Too short for a head.
    #[error("a frame of {got} bytes is announced, at least 5 are needed")]
    TooShort {
        /// Announced.
        got: u32,
    },
    /// The head is empty, longer than its bound, or longer than its frame.
    #[error("a head of {got} bytes is announced, from 1 to {max} are taken")]
    HeadLength {
        /// Announced.
        got: u32,
        /// Taken, in this frame.
        max: usize,
    },
}

impl FrameOut {
    /// Bytes on the wire.
    pub fn len(&self) -> usize {
        self.head.len() + self.payload.len()
    }

    /// Never: a frame has at least its prefix.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
