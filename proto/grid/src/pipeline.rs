//! One segment from plaintext to n blocks and back, as it runs on a CPU pool; and the facts about a file that bind its
//! segments together.
//!
//! Encoding: seal in place, pad, cut into k data blocks without a copy, make n − k recovery blocks, hash all n. Decoding:
//! check every block against its share's root and its segment against the sealed root, restore what is missing, check that
//! the restored data blocks are those that the sealed leaf speaks of, open. Rebuilding: the same without a key up to the
//! last step, then make the blocks of other shares. Nothing unverified leaves this module.

mod decode;
mod encode;
mod facts;
mod rebuild;
mod verify;
mod whole;

pub use decode::{DecodeError, DecodedSegment, SegmentDecoder, decode_segment, decode_segment_watched};
pub use encode::{
    EncodeError, EncodedSegment, FileSeal, FileTrees, SealFileError, SegmentCoder, encode_segment,
    encode_segment_watched,
};
pub use facts::{FactsError, FileFacts};
pub use rebuild::{
    RebuiltBlock, RebuiltSegment, RebuiltTrees, SegmentRebuilder, rebuild_segment, rebuild_segment_watched,
};
pub use verify::{BadBlock, BadBlockReason, FetchedBlock, check_blocks};
pub use whole::{
    DecodeFileError, EncodeFileError, EncodedFile, ShareFactsError, decode_file, encode_file,
    fetch_from_share, file_facts,
};

/// What is done to a segment, one after the other. Nothing here has a clock: who wants to know how long a stage took is
/// called at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Encoding: encrypt and authenticate the plaintext.
    Seal,
    /// Encoding and rebuilding: make the recovery blocks.
    Code,
    /// Encoding and rebuilding: hash the blocks.
    Hash,
    /// Decoding and rebuilding: check the blocks against what was stored.
    Verify,
    /// Decoding and rebuilding: restore missing data blocks, and check them.
    Decode,
    /// Decoding: decrypt, and check that it is the plaintext.
    Open,
}

impl Stage {
    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Seal => "seal",
            Stage::Code => "code",
            Stage::Hash => "hash",
            Stage::Verify => "verify",
            Stage::Decode => "decode",
            Stage::Open => "open",
        }
    }
}

#[cfg(test)]
mod tests;
