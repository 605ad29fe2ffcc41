//! Takes a byte stream apart into frames. Owns what has come of a frame that is not whole, and the frames that are whole
//! and not taken yet.
//!
//! Any cut of the stream will do. Each byte is copied once, to the place where it stays: a head into a buffer of its own,
//! a payload into one of exactly its length. The parts of a payload that is cut over several frames are laid behind
//! each other, into room made for all of them when the first one begins, so that they can be joined without a copy. That
//! is done only for first parts of [`ROOM_PART_BYTES_MIN`] and for payloads up to [`ROOM_BYTES_MAX`], so that small frames
//! cannot ask for much memory, and at most one such room is held. Which frames belong together is not known here: a part
//! that finds no room gets a buffer of its own, and whoever joins parts copies it then.
//!
//! Of envelopes the decoder knows nothing but the announced length of a payload, which it takes as a hint; whoever takes
//! the frame checks it. After an error the stream has no meaning any more, and the decoder keeps saying so.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;

use super::{FRAME_BYTES_MAX, Frame, FrameError, HEAD_BYTES_MAX, PREFIX_BYTES};

/// Room is made for a whole payload only if this much of it comes at once, in bytes: half of the usual part.
const ROOM_PART_BYTES_MIN: usize = 64 * 1024;

/// Longest payload for which room is made, in bytes: a block of the usual segments, even if one share is the file.
const ROOM_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// Least room made for heads, in bytes: a few of those of blocks.
const HEAD_ROOM_BYTES: usize = 512;

/// See the module.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Both length fields and the head of the frame that is coming in, as far as they are here.
    head: BytesMut,
    /// The frame whose head is here and whose payload is coming in.
    coming: Option<Coming>,
    /// Room behind the last part of a payload for its other parts. Empty, but with a capacity.
    room: BytesMut,
    whole: VecDeque<Frame>,
    whole_bytes: usize,
    broken: Option<FrameError>,
}

#[derive(Debug)]
struct Coming {
    head: Bytes,
    payload: BytesMut,
    payload_bytes: usize,
}

/// What the decoder reads of an envelope; there only in the first frame of a message.
#[derive(Clone, PartialEq, Message)]
struct Announced {
    #[prost(uint32, tag = "6")]
    payload_bytes: u32,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Takes the next piece of the stream, by copying it. Call [`Decoder::next_frame`] until it has no more before the
    /// next piece: then the decoder never holds more than one frame and one piece.
    pub fn push(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() && self.broken.is_none() {
            if let Err(error) = self.take(&mut piece) {
                self.broken = Some(error);
                self.head = BytesMut::new();
            }
        }
    }

    /// Bytes taken in and not given out yet.
    pub fn buffered_bytes(&self) -> usize {
        let begun = self.coming.as_ref().map_or(self.head.len(), Coming::bytes);
        self.whole_bytes + begun
    }

    /// Whether bytes are here that were not given out.
    pub fn is_mid_frame(&self) -> bool {
        self.buffered_bytes() > 0
    }

    /// The next frame, or `None` if the rest of it has not come yet.
    ///
    /// # Errors
    /// A length field is outside its bounds; the same error comes for ever after, once the frames before it are given
    /// out.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(frame) = self.whole.pop_front() {
            self.whole_bytes -= frame_bytes(frame.head.len(), frame.payload.len());
            return Ok(Some(frame));
        }
        self.broken.map_or(Ok(None), Err)
    }

    /// Takes what it can of `piece`: at least one byte.
    fn take(&mut self, piece: &mut &[u8]) -> Result<(), FrameError> {
        let Some(mut coming) = self.coming.take() else {
            return self.take_head(piece);
        };
        let missing = coming.payload_bytes - coming.payload.len();
        coming.payload.extend_from_slice(cut(piece, missing));
        self.keep(coming);
        Ok(())
    }

    /// Takes up to the next bound: of the first length field, of the second, or of the head.
    fn take_head(&mut self, piece: &mut &[u8]) -> Result<(), FrameError> {
        let wanted = match lengths(&self.head)? {
            Some((_, head_bytes)) => PREFIX_BYTES + head_bytes,
            None if self.head.len() < 4 => 4,
            None => PREFIX_BYTES,
        };
        let missing = wanted - self.head.len();
        if self.head.capacity() < wanted {
            self.head.reserve(missing.max(HEAD_ROOM_BYTES));
        }
        self.head.extend_from_slice(cut(piece, missing));
        // Checked at once, so that a wrong length is found even if nothing follows it.
        let Some((total, head_bytes)) = lengths(&self.head)? else {
            return Ok(());
        };
        if self.head.len() == PREFIX_BYTES + head_bytes {
            let mut head = self.head.split().freeze();
            head.advance(PREFIX_BYTES);
            let payload_bytes = total - 4 - head_bytes;
            let payload = self.place(&head, payload_bytes);
            self.keep(Coming {
                head,
                payload,
                payload_bytes,
            });
        }
        Ok(())
    }

    /// Where the payload of a frame goes.
    fn place(&mut self, head: &Bytes, payload_bytes: usize) -> BytesMut {
        if payload_bytes == 0 {
            return BytesMut::new();
        }
        let announced = Announced::decode(&head[..]).map_or(0, |announced| announced.payload_bytes as usize);
        if announced == 0 && self.room.capacity() >= payload_bytes {
            return std::mem::take(&mut self.room);
        }
        let makes_room = payload_bytes >= ROOM_PART_BYTES_MIN && announced <= ROOM_BYTES_MAX;
        let bytes = if makes_room {
            announced.max(payload_bytes)
        } else {
            payload_bytes
        };
        BytesMut::with_capacity(bytes)
    }

    /// Keeps a frame that has begun, or is whole.
    fn keep(&mut self, mut coming: Coming) {
        if coming.payload.len() < coming.payload_bytes {
            self.coming = Some(coming);
            return;
        }
        if coming.payload.capacity() > coming.payload_bytes {
            self.room = coming.payload.split_off(coming.payload_bytes);
        }
        self.whole_bytes += coming.bytes();
        self.whole.push_back(Frame {
            head: coming.head,
            payload: coming.payload,
        });
    }
}

impl Coming {
    fn bytes(&self) -> usize {
        frame_bytes(self.head.len(), self.payload.len())
    }
}

fn frame_bytes(head_bytes: usize, payload_bytes: usize) -> usize {
    PREFIX_BYTES + head_bytes + payload_bytes
}

/// Cuts up to `bytes` off the front of `piece`.
fn cut<'a>(piece: &mut &'a [u8], bytes: usize) -> &'a [u8] {
    let (taken, rest) = piece.split_at(bytes.min(piece.len()));
    *piece = rest;
    taken
}

/// Both lengths, checked, if their fields are there.
fn lengths(begun: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let Some((total_field, rest)) = begun.split_first_chunk::<4>() else {
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
