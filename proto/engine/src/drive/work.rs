//! What of the drive costs CPU time: verifying and opening rows, evaluating edits, sealing and signing.
//!
//! A [`Work`] holds all that it needs and touches nothing else, so that it runs on any thread. It is a function of its
//! content: the same work gives the same result.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use truckee_grid::drive::{Child, DirectoryKeys, RowId, RowName, SignedHead};
use truckee_wire::message::RowChange;

use super::copy::{Copy, CopyError};
use super::draft::{Draft, Finished};
use super::{DriveError, Edit, Edited, Ticket};

/// Longest change, bytes of its rows in a message: some 10,000 new children, so that a large backup makes few changes,
/// and a fourth of what a message may carry.
pub const CHANGE_BYTES_MAX: usize = 4 << 20;

/// Rows that are handled where the work comes up: at some 15 µs each, they stay below half a millisecond.
const ROWS_INLINE_MAX: usize = 16;

/// One call of a user of the drive that changes something.
#[derive(Clone, Debug)]
pub(super) struct EditCall {
    pub(super) ticket: Ticket,
    pub(super) what: What,
    pub(super) now_unix_ms: u64,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Create(Vec<(RowName, Child)>),
    Edits(Vec<Edit>),
}

impl EditCall {
    /// How many rows it may touch.
    pub(super) fn rows(&self) -> usize {
        match &self.what {
            What::Create(rows) => rows.len(),
            What::Edits(edits) => edits.len(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Work(pub(super) Kind);

#[derive(Debug)]
pub(super) enum Kind {
    Renew {
        copy: Arc<Copy>,
        head: SignedHead,
        changes: Vec<RowChange>,
    },
    Whole {
        keys: Arc<DirectoryKeys>,
        head: SignedHead,
        rows: BTreeMap<RowId, Bytes>,
    },
    Prepare {
        copy: Arc<Copy>,
        calls: Arc<Vec<EditCall>>,
        seed: [u8; 32],
    },
}

/// What came of a [`Work`].
#[derive(Debug)]
pub struct Worked(pub(super) Result<Product, CopyError>);

#[derive(Debug)]
pub(super) enum Product {
    Copy(Arc<Copy>),
    Prepared(Box<Prepared>),
}

/// A change that is ready to be sent, and what it means to each call.
#[derive(Debug)]
pub(super) struct Prepared {
    /// For the calls in order; those beyond have to wait for the next change.
    pub(super) answers: Vec<Answer>,
    /// `None`: nothing changes.
    pub(super) change: Option<Change>,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) result: Result<Vec<Edited>, DriveError>,
    /// Whether the change holds anything of this call.
    pub(super) in_change: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) head: SignedHead,
    pub(super) rows: Vec<RowChange>,
    pub(super) copy: Arc<Copy>,
}

impl Work {
    /// A name for metrics, from a closed set.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0 {
            Kind::Renew { .. } | Kind::Whole { .. } => "open_rows",
            Kind::Prepare { .. } => "seal_rows",
        }
    }

    /// Whether it takes less than half a millisecond.
    #[must_use]
    pub fn is_short(&self) -> bool {
        let rows = match &self.0 {
            Kind::Renew { changes, .. } => changes.len(),
            Kind::Whole { rows, .. } => rows.len(),
            Kind::Prepare { calls, .. } => calls.iter().map(EditCall::rows).sum(),
        };
        rows <= ROWS_INLINE_MAX
    }

    /// Does it.
    #[must_use]
    pub fn run(self) -> Worked {
        let copy = |copy| Product::Copy(Arc::new(copy));
        Worked(match self.0 {
            Kind::Renew {
                copy: base,
                head,
                changes,
            } => base.renewed(head, &changes).map(copy),
            Kind::Whole { keys, head, rows } => Copy::of_rows(keys, head, rows).map(copy),
            Kind::Prepare { copy, calls, seed } => prepare(&copy, &calls, seed)
                .map(|prepared| Product::Prepared(Box::new(prepared)))
                .map_err(CopyError::Row),
        })
    }
}

fn prepare(
    copy: &Copy,
    calls: &[EditCall],
    seed: [u8; 32],
) -> Result<Prepared, truckee_grid::drive::RowError> {
    let mut draft = Draft::of(copy, StdRng::from_seed(seed));
    let mut answers = Vec::with_capacity(calls.len());
    let mut changed = false;
    for call in calls {
        let result = match &call.what {
            What::Create(rows) => draft.fill(rows, call.now_unix_ms).map(|()| Vec::new()),
            What::Edits(edits) => draft.try_edits(edits, call.now_unix_ms),
        };
        let mut result = result.map_err(DriveError::Refused);
        if draft.bytes() > CHANGE_BYTES_MAX {
            draft.undo();
            if changed {
                break;
            }
            result = Err(DriveError::TooLarge {
                bytes_max: CHANGE_BYTES_MAX,
            });
        }
        // A directory comes into being even without rows.
        let in_change = draft.keep() || (result.is_ok() && matches!(call.what, What::Create(_)));
        changed |= in_change;
        answers.push(Answer { result, in_change });
    }
    let Finished {
        changes: rows,
        children,
        content,
        random,
    } = draft.finish();
    let creates = copy.head().is_none() && changed;
    let change = if rows.is_empty() && !creates {
        None
    } else {
        let (next, head) = copy.followed(&rows, children, content, &random)?;
        Some(Change {
            head,
            rows,
            copy: Arc::new(next),
        })
    };
    Ok(Prepared { answers, change })
}
