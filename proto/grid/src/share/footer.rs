//! The last bytes of a share file.

use super::{HEADER_BYTES, HeaderError, ShareHeader, ShareLayout, u64_at};
use crate::{
    geometry::{Geometry, GeometryError},
    hashing::{domain, turboshake128},
    ids::Hash,
};

/// Length of the footer, bytes.
pub const FOOTER_BYTES: usize = 192;
const FOOTER_MAGIC: [u8; 8] = *b"TRKFOOT\x01";
/// Where the checksum begins; it covers all bytes of the footer before it.
const CHECKSUM_AT: usize = FOOTER_BYTES - Hash::BYTES;

/// Why bytes are not the footer of a share file of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FooterError {
    /// The file was not finished, or its last bytes are damaged.
    #[error("no finished share file ends like this")]
    Magic,
    /// Damaged.
    #[error("the checksum of the footer does not match")]
    Checksum,
    /// The repeated header is none.
    #[error("the header repeated in the footer: {0}")]
    Header(#[from] HeaderError),
    /// No file has this shape.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// An offset or length is not the one that follows from the shape of the file.
    #[error("the offsets in the footer do not fit the shape of the file")]
    Offsets,
    /// The file was cut or something was added.
    #[error("the share file has {found} bytes, its footer says {expected}")]
    Length {
        /// What the footer says.
        expected: u64,
        /// The length of the file.
        found: u64,
    },
}

/// What one read of the end of a share file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// The header, repeated.
    pub header: ShareHeader,
    /// Where everything is.
    pub layout: ShareLayout,
    /// The hash of the UEB in the file.
    pub ueb_hash: Hash,
}

impl Footer {
    /// The bytes with which the file ends.
    #[must_use]
    pub fn encode(&self) -> [u8; FOOTER_BYTES] {
        let layout = &self.layout;
        let mut out = [0; FOOTER_BYTES];
        out[..HEADER_BYTES].copy_from_slice(&self.header.encode());
        let numbers = [
            layout.geometry().file_bytes(),
            layout.geometry().segments(),
            layout.block_tree(),
            layout.sealed_tree(),
            layout.share_roots(),
            layout.ueb(),
        ];
        for (slot, number) in out[64..112].chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number.to_be_bytes());
        }
        out[112..116].copy_from_slice(&(layout.ueb_bytes() as u32).to_be_bytes());
        out[120..152].copy_from_slice(&self.ueb_hash.0);
        out[152..160].copy_from_slice(&FOOTER_MAGIC);
        let checksum = checksum(&out);
        out[CHECKSUM_AT..].copy_from_slice(&checksum);
        out
    }

    /// Reads the last bytes of a file of `file_len` bytes.
    ///
    /// # Errors
    /// [`FooterError`] for anything that [`Self::encode`] does not give for a file of this length.
    pub fn parse(bytes: &[u8; FOOTER_BYTES], file_len: u64) -> Result<Self, FooterError> {
        if bytes[152..160] != FOOTER_MAGIC {
            return Err(FooterError::Magic);
        }
        if bytes[CHECKSUM_AT..] != checksum(bytes) {
            return Err(FooterError::Checksum);
        }
        let header = bytes.first_chunk().expect("the footer is longer than the header");
        let header = ShareHeader::parse(header)?;
        let geometry = Geometry::new(u64_at(bytes, 64), header.segment_bytes, header.coding)?;
        let ueb_hash = Hash(std::array::from_fn(|i| bytes[120 + i]));
        let footer = Self {
            header,
            layout: ShareLayout::new(geometry),
            ueb_hash,
        };
        if footer.encode() != *bytes {
            return Err(FooterError::Offsets);
        }
        let expected = footer.layout.share_file_bytes();
        if expected == file_len {
            Ok(footer)
        } else {
            Err(FooterError::Length {
                expected,
                found: file_len,
            })
        }
    }
}

fn checksum(footer: &[u8; FOOTER_BYTES]) -> [u8; 32] {
    turboshake128(domain::FOOTER, &[&footer[..CHECKSUM_AT]])
}
