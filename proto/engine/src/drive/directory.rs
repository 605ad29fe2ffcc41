//! What the drive knows and does about one directory at one strength.
//!
//! States: *nothing*, *resting* (after a conflict), *fetching* (asks for news), *opening* (news are verified),
//! *preparing* (edits are evaluated, sealed and signed) and *committing* (a signed change is on its way). One at a time;
//! whoever comes meanwhile waits for the next one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use truckee_grid::drive::{DirectoryId, DirectoryKeys, RowId, SignedHead};

use super::asking::Asking;
use super::copy::Copy;
use super::work::{EditCall, Prepared};
use super::{JobId, Ticket};
use crate::time::Mono;
use crate::transfer::Token;

/// Names a directory and whether its write cap is at hand. The two strengths keep copies of their own, so that nothing
/// that only writers may see gets near a reader.
pub(super) type Key = (DirectoryId, bool);

#[derive(Debug)]
pub(super) struct Directory {
    pub(super) keys: Arc<DirectoryKeys>,
    pub(super) copy: Option<Arc<Copy>>,
    /// Readers that came before what is under way was asked: its answer is theirs.
    pub(super) readers: Vec<Ticket>,
    /// Readers that came after.
    pub(super) later: Vec<Ticket>,
    /// Calls that wait for the next change.
    pub(super) calls: VecDeque<EditCall>,
    pub(super) batch: Option<Batch>,
    pub(super) doing: Doing,
    /// Requests of what is under way.
    pub(super) tokens: Vec<Token>,
    /// When it was used last, in the order of all directories.
    pub(super) stamp: u64,
}

/// Calls that become one change.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) calls: Arc<Vec<EditCall>>,
    /// How often others were first.
    pub(super) tries: u32,
    /// The copy was the newest version at some moment after these calls came.
    pub(super) confirmed: bool,
    /// A change of theirs whose fate is to be read from the rows.
    pub(super) doubt: Option<Doubt>,
}

/// A change that was sent and whose answer was lost.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) prepared: Box<Prepared>,
    /// A vdrive that would still recognise it says that it was never taken. The rows have the last word.
    pub(super) denied: bool,
}

// There is one for each directory that somebody waits for.
#[expect(clippy::large_enum_variant)]
#[derive(Debug)]
pub(super) enum Doing {
    Nothing,
    Resting { until: Mono },
    Fetching { fetch: Fetch, asking: Asking },
    Opening { fetch: Fetch, job: JobId },
    Preparing { job: JobId },
    Committing { prepared: Box<Prepared>, asking: Asking },
}

/// Reading news, or everything.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    /// The copy at hand is not to be built on.
    pub(super) anew: bool,
    /// Rows of a whole listing so far, unverified.
    pub(super) rows: BTreeMap<RowId, Bytes>,
    pub(super) bytes: usize,
    /// Head of the first page.
    pub(super) first: Option<SignedHead>,
    /// The last row so far, while there are more.
    pub(super) after: Option<RowId>,
    /// How often the listing was begun.
    pub(super) begun: u32,
}

impl Fetch {
    pub(super) fn restart(&mut self) {
        self.anew = true;
        self.rows.clear();
        self.bytes = 0;
        self.first = None;
        self.after = None;
    }

    /// Puts rows over those gathered.
    pub(super) fn gather(&mut self, changes: Vec<truckee_wire::message::RowChange>) {
        for change in changes {
            let old = match change.sealed {
                Some(sealed) => {
                    self.bytes += sealed.len();
                    self.rows.insert(change.id, sealed)
                }
                None => self.rows.remove(&change.id),
            };
            self.bytes -= old.map_or(0, |old| old.len());
        }
    }
}

impl Directory {
    pub(super) fn new(keys: Arc<DirectoryKeys>) -> Self {
        Self {
            keys,
            copy: None,
            readers: Vec::new(),
            later: Vec::new(),
            calls: VecDeque::new(),
            batch: None,
            doing: Doing::Nothing,
            tokens: Vec::new(),
            stamp: 0,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.copy.as_ref().map_or(0, |copy| copy.version())
    }

    /// One of those for whom something is under way.
    pub(super) fn first_caller(&self) -> Option<Ticket> {
        let batch = self.batch.iter().flat_map(|batch| batch.calls.iter());
        let calls = batch.chain(&self.calls).map(|call| call.ticket);
        calls.chain(self.readers.iter().copied()).next()
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.doing, Doing::Nothing)
            && self.batch.is_none()
            && self.calls.is_empty()
            && self.readers.is_empty()
            && self.later.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        match &self.doing {
            Doing::Resting { until } => Some(*until),
            Doing::Fetching { asking, .. } | Doing::Committing { asking, .. } => asking.next_deadline(),
            Doing::Nothing | Doing::Opening { .. } | Doing::Preparing { .. } => None,
        }
    }

    /// Those who wait now are answered by what is about to be asked.
    pub(super) fn admit_readers(&mut self) {
        self.readers.append(&mut self.later);
    }
}
