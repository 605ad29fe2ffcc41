//! Sealing: XSalsa20-Poly1305 over one segment, in place.
//!
//! A sealed segment is exactly what NaCl calls a secretbox: 16 bytes of tag, then the ciphertext. The nonce holds the
//! index of the segment and whether it is the last, and each key seals one file only, so a truncated, reordered or
//! extended file does not open. The cipher takes no associated data; all that must be bound is in key or nonce.
//!
//! Two engines make the same bytes. The `xsalsa20poly1305` code is the reference; `dryoc` is three times faster and does
//! the work after it has shown, at start, that it agrees (see [`crate::engines`]).

use bytes::{Buf, BytesMut};
// A box of which the key is agreed on already is a secretbox; only here the library opens one without moving what is in it.
use dryoc::classic::crypto_box::crypto_box_open_detached_afternm_inplace;
use dryoc::classic::crypto_secretbox::crypto_secretbox_easy_inplace;
use xsalsa20poly1305::{AeadInPlace, KeyInit, Nonce, Tag, XSalsa20Poly1305};

use crate::{geometry::TAG_BYTES, ids::SegmentIndex, keys::CipherKey};

/// Length of the nonce, bytes.
pub const NONCE_BYTES: usize = 24;
/// Fills the nonce behind segment index and flag, and keeps nonces of segments apart from all other uses of a cipher key.
const NONCE_DOMAIN: [u8; 15] = *b"truckee/1 seal\0";

/// A segment that does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Key, index, last flag or bytes are not those that were sealed.
    #[error(
        "segment {segment} does not open: the key is not the file's, or its uploader sealed something else"
    )]
    Forged {
        /// Which segment.
        segment: SegmentIndex,
    },
    /// Not even a tag.
    #[error("segment {segment} has {found} bytes, fewer than its {TAG_BYTES}-byte tag")]
    TooShort {
        /// Which segment.
        segment: SegmentIndex,
        /// Its length, bytes.
        found: usize,
    },
}

/// Which code seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SealingEngine {
    /// `dryoc`, vectorised.
    Fast,
    /// `xsalsa20poly1305` (continued as `crypto_secretbox`), which defines the bytes.
    Reference,
}

impl SealingEngine {
    /// For logs and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "dryoc",
            Self::Reference => "xsalsa20poly1305",
        }
    }
}

/// Seals and opens the segments of one file.
#[derive(Debug, Clone)]
pub struct Sealer {
    key: CipherKey,
    engine: SealingEngine,
}

impl Sealer {
    /// `key` must not seal any other file.
    #[must_use]
    pub const fn new(key: CipherKey, engine: SealingEngine) -> Self {
        Self { key, engine }
    }

    /// Turns plaintext into sealed bytes in place; the buffer grows by [`TAG_BYTES`], without moving if it has the room.
    pub fn seal(&self, segment: SegmentIndex, last: bool, buffer: &mut BytesMut) {
        seal(self.engine, &self.key, &nonce(segment, last), buffer);
    }

    /// Turns sealed bytes into plaintext in place; the buffer shrinks by [`TAG_BYTES`].
    ///
    /// # Errors
    /// [`SealError`]; what is then left in the buffer is not plaintext.
    pub fn open(&self, segment: SegmentIndex, last: bool, buffer: &mut BytesMut) -> Result<(), SealError> {
        if buffer.len() < TAG_BYTES {
            return Err(SealError::TooShort {
                segment,
                found: buffer.len(),
            });
        }
        if open(self.engine, &self.key, &nonce(segment, last), buffer) {
            Ok(())
        } else {
            Err(SealError::Forged { segment })
        }
    }
}

/// The nonce of one segment: its index (8 bytes, big endian), 1 if it is the last or else 0, and a constant.
#[must_use]
pub fn nonce(segment: SegmentIndex, last: bool) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..8].copy_from_slice(&segment.0.to_be_bytes());
    nonce[8] = u8::from(last);
    nonce[9..].copy_from_slice(&NONCE_DOMAIN);
    nonce
}

/// Seals under any nonce. Other modules that need a secretbox (directory rows) use it with a key of their own.
pub fn seal(engine: SealingEngine, key: &CipherKey, nonce: &[u8; NONCE_BYTES], buffer: &mut BytesMut) {
    buffer.extend_from_slice(&[0; TAG_BYTES]);
    match engine {
        SealingEngine::Fast => crypto_secretbox_easy_inplace(buffer, nonce, key.expose())
            .expect("the only error is a buffer shorter than the tag just added"),
        SealingEngine::Reference => {
            let plain_bytes = buffer.len() - TAG_BYTES;
            buffer.copy_within(..plain_bytes, TAG_BYTES);
            let (tag, text) = buffer.split_at_mut(TAG_BYTES);
            let computed = reference(key)
                .encrypt_in_place_detached(Nonce::from_slice(nonce), b"", text)
                .expect("the only error is associated data, and there is none");
            tag.copy_from_slice(&computed);
        }
    }
}

/// Opens what [`seal`] made, and cuts off the tag; `false` if it was not made with this key and nonce. No byte is moved.
#[must_use]
pub fn open(
    engine: SealingEngine,
    key: &CipherKey,
    nonce: &[u8; NONCE_BYTES],
    buffer: &mut BytesMut,
) -> bool {
    if buffer.len() < TAG_BYTES {
        return false;
    }
    let mut tag = [0; TAG_BYTES];
    buffer.copy_to_slice(&mut tag);
    match engine {
        SealingEngine::Fast => {
            crypto_box_open_detached_afternm_inplace(buffer, &tag, nonce, key.expose()).is_ok()
        }
        SealingEngine::Reference => reference(key)
            .decrypt_in_place_detached(Nonce::from_slice(nonce), b"", buffer, Tag::from_slice(&tag))
            .is_ok(),
    }
}

fn reference(key: &CipherKey) -> XSalsa20Poly1305 {
    XSalsa20Poly1305::new(key.expose().into())
}

/// Whether both engines make and open the same bytes, over lengths on both sides of every vector width.
pub(crate) fn engines_agree() -> bool {
    let key = CipherKey::from_bytes(std::array::from_fn(|i| i as u8 ^ 0x5a));
    let lengths = [
        0, 1, 31, 32, 33, 63, 64, 65, 255, 256, 511, 512, 1023, 1024, 1025, 4099,
    ];
    lengths.into_iter().enumerate().all(|(index, length)| {
        let nonce = nonce(SegmentIndex(index as u64), index % 2 == 0);
        let plain: Vec<u8> = (0..length).map(|i: usize| (i * 7 + index) as u8).collect();
        let mut reference = BytesMut::from(&plain[..]);
        let mut fast = reference.clone();
        seal(SealingEngine::Reference, &key, &nonce, &mut reference);
        seal(SealingEngine::Fast, &key, &nonce, &mut fast);
        let same = reference == fast;
        let opens = open(SealingEngine::Fast, &key, &nonce, &mut reference);
        fast[length / 2] ^= 1;
        same && opens && reference == plain && !open(SealingEngine::Fast, &key, &nonce, &mut fast)
    })
}

#[cfg(test)]
mod tests;
