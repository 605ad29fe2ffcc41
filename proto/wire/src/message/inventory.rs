//! Requests and answers about what a node holds as a whole.

use truckee_grid::bucket::Bucket;
use truckee_grid::ids::{ShareNumber, StorageIndex};
use truckee_grid::params::Coding;

/// How what a node holds has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Random, new at each start of the process: counts of different epochs say nothing of each other. Not 0.
    pub epoch: u64,
    /// How often the shares of each bucket changed in this epoch, in the order of [`Bucket::all`]; as many as there are
    /// buckets.
    pub changes: Vec<u32>,
    /// Whether new shares are taken.
    pub accepts_shares: bool,
    /// Whether the node will be taken away: what it holds can be read, and is to be made again elsewhere.
    pub draining: bool,
}

/// The place of a share in the order of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharePlace {
    /// The file.
    pub si: StorageIndex,
    /// Which of its shares.
    pub share: ShareNumber,
}

/// Which shares of a bucket does the receiver hold?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListShares {
    /// The bucket.
    pub bucket: Bucket,
    /// Only shares behind this place of the bucket; `None`: from its beginning.
    pub after: Option<SharePlace>,
}

/// A share that a node says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedShare {
    /// Which.
    pub place: SharePlace,
    /// k of n of its file.
    pub coding: Coding,
}

/// A page of the shares of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharesListed {
    /// As in [`Inventory`].
    pub epoch: u64,
    /// How often the bucket had changed when the page was asked for.
    pub changes: u32,
    /// Ascending; at most [`super::limits::LISTED_MAX`].
    pub shares: Vec<ListedShare>,
    /// There may be more behind this place; `None`: this is the last page.
    pub next: Option<SharePlace>,
}

/// Which shares came into buckets that the asker knows as they were?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListAdded {
    /// As in [`Inventory`].
    pub epoch: u64,
    /// Ascending by bucket, each once; at least one.
    pub spans: Vec<Span>,
}

/// A time in the life of a bucket, by how often it had changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which bucket.
    pub bucket: Bucket,
    /// The count up to which the asker knows it.
    pub after: u32,
    /// The count up to which it wants to know it. Counts start again at 0 behind the greatest.
    pub until: u32,
}

/// What came into buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddedListed {
    /// All that came into the other buckets that were asked about, which have changed in no other way; ascending, at most
    /// [`super::limits::ADDED_MAX`].
    pub shares: Vec<ListedShare>,
    /// Buckets of which it is not known, or in which something else changed: these have to be listed. Ascending.
    pub unknown: Vec<Bucket>,
}
