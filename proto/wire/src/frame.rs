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
//! as soon as their bytes are there, before anything is allocated for them.
//!
//! The decoder takes any cut of the stream and gives slices of its buffer without copying. It knows nothing of
//! envelopes. After an error the stream has no meaning any more, and the decoder keeps saying so.

use bytes::{Buf, Bytes, BytesMut};

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

/// Room made for one read, in bytes: what one part takes on the wire.
const READ_BYTES: usize = 64 * 1024;

/// A frame as it came in. Both fields share the receive buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One encoded envelope.
    pub head: Bytes,
    /// A part of the payload of the message that the head names.
    pub payload: Bytes,
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

/// Takes a byte stream apart into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    broken: Option<FrameError>,
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

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Appends a piece of the stream, by copying it. Call [`Decoder::next_frame`] until it has no more before the next
    /// piece: then the decoder never holds more than one frame and one piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The buffer with room for the next read, so that a reader can append to it without a copy. Only append.
    ///
    /// The room is for the rest of the frame that has begun, but never for more than its checked length.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        let missing = match self.lengths() {
            Ok(Some((total, _))) => (4 + total).saturating_sub(self.buffer.len()),
            Ok(None) | Err(_) => 0,
        };
        self.buffer.reserve(missing.max(READ_BYTES));
        &mut self.buffer
    }

    /// Bytes taken in and not given out yet.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether a frame has begun and not ended.
    pub fn is_mid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next frame, or `None` if the rest of it has not come yet.
    ///
    /// # Errors
    /// A length field is outside its bounds; the same error comes for ever after.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let (total, head_bytes) = match self.lengths() {
            Ok(Some(lengths)) => lengths,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.broken = Some(error);
                self.buffer = BytesMut::new();
                return Err(error);
            }
        };
        if self.buffer.len() < 4 + total {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(4 + total).freeze();
        frame.advance(PREFIX_BYTES);
        let head = frame.split_to(head_bytes);
        Ok(Some(Frame { head, payload: frame }))
    }

    /// Both lengths, checked, if their fields are there.
    fn lengths(&self) -> Result<Option<(usize, usize)>, FrameError> {
        let Some((total_field, rest)) = self.buffer.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let total = u32::from_be_bytes(*total_field);
        if total > FRAME_BYTES_MAX as u32 {
            return Err(FrameError::TooLong {
                got: total,
                max: FRAME_BYTES_MAX,
            });
        }
        if total < 5 {
            return Err(FrameError::TooShort { got: total });
        }
        let Some((head_field, _)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let head = u32::from_be_bytes(*head_field);
        let max = HEAD_BYTES_MAX.min(total as usize - 4);
        if head == 0 || head as usize > max {
            return Err(FrameError::HeadLength { got: head, max });
        }
        Ok(Some((total as usize, head as usize)))
    }
}

#[cfg(test)]
mod tests;
