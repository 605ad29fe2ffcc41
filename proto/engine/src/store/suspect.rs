//! Whether a block that somebody found damaged is what its share says of it. Owns no state.

use truckee_grid::caps::ChkVerifier;
use truckee_grid::ids::SegmentIndex;
use truckee_grid::pipeline::{self, check_blocks};
use truckee_wire::message::{BlockRead, FileFacts};

use super::ShareId;
use crate::transfer::fetched;

/// Whether a block and its proofs lead to the root of its share in `file`. Hashes the block.
#[must_use]
pub fn is_sound_block(share: ShareId, file: &FileFacts, segment: SegmentIndex, read: &BlockRead) -> bool {
    let verifier = ChkVerifier {
        si: share.si,
        ueb_hash: file.ueb.hash(),
        coding: file.ueb.coding(),
        size: file.ueb.file_bytes(),
    };
    let share_roots: Vec<u8> = file.share_roots.iter().flat_map(|root| root.0).collect();
    let Ok(facts) = pipeline::FileFacts::verify(&verifier, &file.ueb.encode(), &share_roots) else {
        return false;
    };
    let block = fetched(share.share, read.clone());
    check_blocks(&facts, &[(segment, block)])
        .iter()
        .all(Result::is_ok)
}
