//! One segment from plaintext to n blocks and back, as it runs on a CPU pool; and the facts about a file that bind its
//! segments together.
//!
//! Encoding: seal in place, pad, cut into k data blocks without a copy, make n − k recovery blocks, hash all n. Decoding:
//! check every block against its share's root and its segment against the sealed root, restore what is missing, check that
//! the restored data blocks are those that the sealed leaf speaks of, open. Nothing unverified leaves this module.

mod decode;
mod encode;
mod facts;
mod whole;

pub use decode::{
    BadBlock, BadBlockReason, DecodeError, DecodedSegment, FetchedBlock, SegmentDecoder, check_blocks,
    decode_segment,
};
pub use encode::{
    EncodeError, EncodedSegment, FileSeal, FileTrees, SealFileError, SegmentCoder, encode_segment,
};
pub use facts::{FactsError, FileFacts};
pub use whole::{
    DecodeFileError, EncodeFileError, EncodedFile, ShareFactsError, decode_file, encode_file,
    fetch_from_share, file_facts,
};

#[cfg(test)]
mod tests;
