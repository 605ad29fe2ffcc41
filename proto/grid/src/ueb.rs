//! The UEB: all that a reader must know of a file besides its key. Its hash stands in the cap.
//!
//! It is a protobuf message (`truckee.v1.Ueb`) with one canonical encoding: fields in the order of their numbers, defaults
//! left out, shortest varints, nothing else. It is encoded by hand here, because the hash needs that guarantee and a
//! protobuf library does not give it; and decoded strictly: what does not re-encode to the same bytes is not a UEB.

use crate::{
    geometry::{Geometry, GeometryError},
    hashing::tagged,
    ids::{Hash, SegmentIndex},
    params::{Coding, ParamsError},
};

/// The version that this code writes and reads.
pub const UEB_VERSION: u32 = 1;
/// Longest encoding, bytes: 2 + 3 + 3 + 7 + 5 + 34 + 34 with the largest values that are allowed.
pub const UEB_BYTES_MAX: usize = 96;
const TAG_UEB_HASH: &str = "truckee/1 ueb hash";

/// Why bytes are no UEB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UebError {
    /// Longer than any UEB.
    #[error("a UEB has at most {UEB_BYTES_MAX} bytes, this one {found}")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// Not a protobuf message of the right fields, or not the canonical encoding of one.
    #[error("not the canonical encoding of a UEB (near byte {position})")]
    NotCanonical {
        /// Counted from 0.
        position: usize,
    },
    /// Made by a later version.
    #[error("UEB version {version} is not known here: a newer version of the software is needed")]
    Version {
        /// The version that it says.
        version: u64,
    },
    /// k, n, or segment size out of bounds.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// No file has this size in such segments.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
}

/// See the module. Valid by construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ueb {
    geometry: Geometry,
    sealed_root: Hash,
    share_root: Hash,
}

impl Ueb {
    /// The UEB of a file of this shape with these roots.
    #[must_use]
    pub const fn new(geometry: Geometry, sealed_root: Hash, share_root: Hash) -> Self {
        Self {
            geometry,
            sealed_root,
            share_root,
        }
    }

    /// The shape of the file.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The code.
    #[must_use]
    pub const fn coding(&self) -> Coding {
        self.geometry.coding()
    }

    /// Plaintext bytes.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        self.geometry.file_bytes()
    }

    /// Plaintext bytes of every segment but the last.
    #[must_use]
    pub const fn segment_bytes(&self) -> u32 {
        self.geometry.segment_bytes()
    }

    /// Number of segments.
    #[must_use]
    pub const fn segments(&self) -> u64 {
        self.geometry.segments()
    }

    /// Whether this is the last segment.
    #[must_use]
    pub const fn is_last(&self, segment: SegmentIndex) -> bool {
        self.geometry.is_last(segment)
    }

    /// Root of the sealed tree.
    #[must_use]
    pub const fn sealed_root(&self) -> &Hash {
        &self.sealed_root
    }

    /// Root of the share-root tree.
    #[must_use]
    pub const fn share_root(&self) -> &Hash {
        &self.share_root
    }

    /// The canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(UEB_BYTES_MAX);
        put_number(&mut out, 1, UEB_VERSION.into());
        put_number(&mut out, 2, self.coding().k() as u64);
        put_number(&mut out, 3, self.coding().n() as u64);
        put_number(&mut out, 4, self.file_bytes());
        put_number(&mut out, 5, self.segment_bytes().into());
        put_hash(&mut out, 6, &self.sealed_root);
        put_hash(&mut out, 7, &self.share_root);
        out
    }

    /// The hash that stands in the cap.
    #[must_use]
    pub fn hash(&self) -> Hash {
        hash_of_encoded(&self.encode())
    }

    /// Reads a canonical encoding.
    ///
    /// # Errors
    /// [`UebError`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, UebError> {
        if bytes.len() > UEB_BYTES_MAX {
            return Err(UebError::TooLong { found: bytes.len() });
        }
        let mut reader = Reader { bytes, position: 0 };
        let version = reader.number(1)?;
        if version != u64::from(UEB_VERSION) {
            return Err(UebError::Version { version });
        }
        let (k, n) = (reader.short(2)?, reader.short(3)?);
        let file_bytes = reader.number(4)?;
        let segment_bytes = reader.short(5)?;
        let (sealed_root, share_root) = (reader.hash(6)?, reader.hash(7)?);
        let geometry = Geometry::new(file_bytes, segment_bytes, Coding::new(k, n)?)?;
        let ueb = Self {
            geometry,
            sealed_root,
            share_root,
        };
        if ueb.encode() != bytes {
            return Err(reader.refused());
        }
        Ok(ueb)
    }
}

/// Length of the encoding of any UEB of a file of this shape, bytes.
#[must_use]
pub fn encoded_bytes(geometry: &Geometry) -> usize {
    Ueb::new(*geometry, Hash([0; 32]), Hash([0; 32])).encode().len()
}

/// The hash of an encoded UEB, before it is known to be one.
#[must_use]
pub fn hash_of_encoded(bytes: &[u8]) -> Hash {
    Hash(tagged(TAG_UEB_HASH, &[bytes]))
}

fn put_number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value == 0 {
        return;
    }
    out.push(field << 3);
    let mut rest = value;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn put_hash(out: &mut Vec<u8>, field: u8, hash: &Hash) {
    out.extend_from_slice(&[field << 3 | 2, Hash::BYTES as u8]);
    out.extend_from_slice(&hash.0);
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Reader<'_> {
    const fn refused(&self) -> UebError {
        UebError::NotCanonical {
            position: self.position,
        }
    }

    fn byte(&mut self) -> Result<u8, UebError> {
        let byte = *self.bytes.get(self.position).ok_or(self.refused())?;
        self.position += 1;
        Ok(byte)
    }

    fn expect(&mut self, expected: u8) -> Result<(), UebError> {
        let refused = self.refused();
        if self.byte()? == expected {
            Ok(())
        } else {
            Err(refused)
        }
    }

    fn number(&mut self, field: u8) -> Result<u64, UebError> {
        self.expect(field << 3)?;
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.refused())
    }

    fn short(&mut self, field: u8) -> Result<u32, UebError> {
        let value = self.number(field)?;
        value.try_into().map_err(|_| self.refused())
    }

    fn hash(&mut self, field: u8) -> Result<Hash, UebError> {
        self.expect(field << 3 | 2)?;
        self.expect(Hash::BYTES as u8)?;
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let hash = *rest.first_chunk().ok_or(self.refused())?;
        self.position += Hash::BYTES;
        Ok(Hash(hash))
    }
}

#[cfg(test)]
mod tests;
