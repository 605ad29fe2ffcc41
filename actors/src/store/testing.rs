//! Shares for the tests of the store.

use bytes::{Bytes, BytesMut};
use truckee_engine::store::{Closing, Lease, ShareId};
use truckee_engine::time::UnixSeconds;
use truckee_grid::Engines;
use truckee_grid::erasure::ErasureChoice;
use truckee_grid::ids::{SegmentIndex, ShareNumber};
use truckee_grid::keys::ReadKey;
use truckee_grid::params::{Coding, Encoding};
use truckee_grid::pipeline::{EncodedSegment, FileTrees, SegmentCoder, encode_segment};
use truckee_grid::share::ShareLayout;
use truckee_wire::message::FileFacts;

/// A share of a small file, by the functions that make real ones.
pub(crate) struct Sample {
    pub(crate) share: ShareId,
    pub(crate) blocks: Vec<Bytes>,
    pub(crate) closing: Closing,
    pub(crate) encoding: Encoding,
}

impl Sample {
    /// Length of the finished share.
    pub(crate) fn file_bytes(&self) -> u64 {
        ShareLayout::new(*self.closing.file.ueb.geometry()).share_file_bytes()
    }
}

/// Share `share` of a file of `bytes` bytes in segments of 1 KiB; other seeds, other files.
pub(crate) fn sample(seed: u8, bytes: usize, share: u8) -> Sample {
    sample_in_segments(seed, bytes, share, 1024)
}

/// Likewise in segments of another length.
pub(crate) fn sample_in_segments(seed: u8, bytes: usize, share: u8, segment_bytes: u32) -> Sample {
    let encoding = Encoding::new(Coding::new(3, 10).expect("valid"), 7, segment_bytes).expect("valid");
    let key = ReadKey::from_bytes([seed; 16]);
    let engines = Engines::select(ErasureChoice::Auto).expect("never refused");
    let mut coder = SegmentCoder::new(&encoding, &key, engines);
    let mut trees = FileTrees::new(encoding.coding());
    let plain: Vec<u8> = (0..bytes)
        .map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed))
        .collect();
    let segments: Vec<&[u8]> = plain.chunks(segment_bytes as usize).collect();
    let encoded: Vec<EncodedSegment> = segments
        .iter()
        .enumerate()
        .map(|(index, plain)| {
            let last = index + 1 == segments.len();
            encode_segment(
                &mut coder,
                SegmentIndex(index as u64),
                BytesMut::from(*plain),
                last,
            )
            .expect("fits")
        })
        .collect();
    for segment in &encoded {
        trees.push(&segment.block_leaves, segment.sealed_leaf);
    }
    let seal = trees.finish(bytes as u64, segment_bytes).expect("complete");
    let at = usize::from(share);
    Sample {
        share: ShareId {
            si: key.storage_index(),
            share: ShareNumber(share),
        },
        blocks: encoded.iter().map(|segment| segment.blocks[at].clone()).collect(),
        closing: Closing {
            file: FileFacts {
                ueb: seal.ueb,
                share_roots: seal.share_roots,
            },
            block_leaves: encoded.iter().map(|segment| segment.block_leaves[at]).collect(),
            sealed_leaves: encoded.iter().map(|segment| segment.sealed_leaf).collect(),
            lease: Lease {
                granted: UnixSeconds::from_secs(1_700_000_000),
            },
        },
        encoding,
    }
}
