//! One segment on its way to the reader.

use std::collections::BTreeMap;

use bytes::Bytes;
use truckee_grid::ids::ShareNumber;
use truckee_grid::pipeline::FetchedBlock;

use crate::time::Mono;
use crate::transfer::Token;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    pub(super) stage: Stage,
    /// When it came into its stage.
    pub(super) since: Mono,
    /// Blocks on their way.
    pub(super) reads: Vec<Read>,
    /// Blocks that came, by share, with the peer that gave each.
    pub(super) got: BTreeMap<ShareNumber, (usize, FetchedBlock)>,
    /// How often each block was asked of each peer.
    pub(super) tries: BTreeMap<(usize, ShareNumber), u32>,
    /// When the first of its reads was late.
    pub(super) hedged_at: Option<Mono>,
    /// Whether everybody who is left has been asked.
    pub(super) escalated: bool,
}

/// How far a segment is.
#[derive(Debug, Default)]
pub(super) enum Stage {
    /// Blocks are missing.
    #[default]
    Fetching,
    /// It is being decoded.
    Decoding,
    /// It waits for those before it.
    Ready(Bytes),
}

/// One block on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) token: Token,
    pub(super) peer: usize,
    pub(super) share: ShareNumber,
    pub(super) sent_at: Mono,
    /// It is not counted on any more: another has been asked in its place.
    pub(super) late: bool,
}

impl Fetch {
    /// One whose blocks are wanted from now on.
    pub(super) fn begun(now: Mono) -> Self {
        Self {
            since: now,
            ..Self::default()
        }
    }

    pub(super) fn is_fetching(&self) -> bool {
        matches!(self.stage, Stage::Fetching)
    }

    /// Blocks that have to be asked for so that, if all goes well, there are `k`.
    pub(super) fn missing(&self, k: usize) -> usize {
        let mut coming: Vec<ShareNumber> = self
            .reads
            .iter()
            .filter(|read| !read.late)
            .map(|read| read.share)
            .collect();
        coming.sort_unstable();
        coming.dedup();
        k.saturating_sub(self.got.len() + coming.len())
    }

    pub(super) fn is_reading(&self, peer: usize, share: ShareNumber) -> bool {
        self.reads
            .iter()
            .any(|read| read.peer == peer && read.share == share)
    }

    /// Whether a block of this share is here or counted on.
    pub(super) fn counts_on(&self, share: ShareNumber) -> bool {
        self.got.contains_key(&share) || self.reads.iter().any(|read| read.share == share && !read.late)
    }

    pub(super) fn take_read(&mut self, token: Token) -> Option<Read> {
        let at = self.reads.iter().position(|read| read.token == token)?;
        Some(self.reads.swap_remove(at))
    }
}
