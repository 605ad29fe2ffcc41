//! The index file of a closed pack: what its records say, so that a start need not read the shares. Owns the format.
//!
//! It says nothing that the pack does not say: one that is missing or does not check is made again from the pack.

use truckee_grid::{PackPart, hash_of_pack};

use super::record::{PACK_HEAD_BYTES, PackHead, ROW_BYTES, Row};

const MAGIC: [u8; 8] = *b"TRKPIDX\x01";
const FRONT_BYTES: usize = 16 + PACK_HEAD_BYTES;
const HASH_BYTES: usize = 32;

/// What lies in a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) head: PackHead,
    /// Length of the pack. Another length of the file is not the one that this is about.
    pub(super) pack_bytes: u32,
    /// In the order in which they lie there.
    pub(super) rows: Vec<Row>,
}

impl Contents {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FRONT_BYTES + ROW_BYTES * self.rows.len() + HASH_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(self.pack_bytes.to_be_bytes());
        // A pack has fewer records than bytes.
        bytes.extend((self.rows.len() as u32).to_be_bytes());
        bytes.extend(self.head.encode());
        for row in &self.rows {
            bytes.extend(row.encode());
        }
        bytes.extend(hash_of_pack(PackPart::Index, &[&bytes]));
        bytes
    }

    /// Reads what [`Contents::encode`] gives; `None` for anything else.
    pub(super) fn parse(bytes: &[u8]) -> Option<Contents> {
        let (content, hash) = bytes.split_last_chunk::<HASH_BYTES>()?;
        let (front, rows) = content.split_first_chunk::<FRONT_BYTES>()?;
        let (rows, rest) = rows.as_chunks::<ROW_BYTES>();
        let number = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| front[at + i]));
        let is_whole = front[..8] == MAGIC
            && rest.is_empty()
            && number(12) as usize == rows.len()
            && hash_of_pack(PackPart::Index, &[content]) == *hash;
        if !is_whole {
            return None;
        }
        let rows: Option<Vec<Row>> = rows.iter().map(Row::parse).collect();
        Some(Contents {
            head: PackHead::parse(&front[16..])?,
            pack_bytes: number(8),
            rows: rows?,
        })
    }
}
