//! What a stored file is, and nothing about how it travels.
//!
//! | module | owns |
//! |---|---|
//! | [`ids`] | node ids, storage indexes, share numbers, hashes |
//! | [`bucket`] | storage indexes sorted into heaps, for disks and lists |
//! | [`params`], [`geometry`] | k, n, happy, segment size, and every length that follows from them |
//! | [`keys`], [`caps`] | keys, their one-way derivations, and the text form of caps |
//! | [`sealing`], [`erasure`], [`merkle`] | the three transformations of a byte, each with a reference and a fast engine |
//! | [`engines`] | which engine does the work after the check at start |
//! | [`ueb`], [`share`] | what a reader must know of a file, and the share file on disk |
//! | [`drive`] | what a directory is made of: names, children, sealed rows, signed heads |
//! | [`placement`] | which peer gets which share, and servers of happiness |
//! | [`pipeline`] | one segment from plaintext to blocks and back, and whole files in memory |
//!
//! The crate is pure: no files, sockets, threads, clock or randomness of its own; all of it is a function of its
//! arguments and of the instructions that the processor has. The bytes are specified in `proto/README.md` and pinned by
//! the files in `vectors/`.

pub mod base32;
pub mod bucket;
pub mod caps;
pub mod drive;
pub mod engines;
pub mod erasure;
pub mod geometry;
mod hashing;
pub mod ids;
pub mod keys;
mod lanes;
pub mod merkle;
pub mod params;
pub mod pipeline;
pub mod placement;
pub mod sealing;
pub mod share;
pub mod ueb;

pub use bucket::Bucket;
pub use caps::{Cap, ChkCap, ChkVerifier};
pub use engines::Engines;
pub use geometry::Geometry;
pub use hashing::{PackPart, hash_of_leases, hash_of_pack};
pub use ids::{Hash, NodeId, SegmentIndex, ShareNumber, StorageIndex, UploadId};
pub use keys::{ConvergenceSecret, ReadKey};
pub use params::{Coding, Encoding};
pub use ueb::Ueb;

#[cfg(test)]
mod tests;
