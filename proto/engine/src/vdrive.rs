//! Which changes of directories a vdrive takes, decided without a database.
//!
//! Owns the rules: a change must be signed by the directory's owner, build on the current version, and its rows must
//! give what its head says. A server that keeps to them can lose nothing silently, and neither forge nor be talked
//! into keeping something that readers would refuse. [`model::ModelVdrive`] is a whole vdrive in memory by the same
//! rules, for tests and simulations; the node's one keeps its state in SQL.
//!
//! Not promised: that a server keeps to the rules. Readers check all of it again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use truckee_grid::drive::{HeadError, RowId, RowSum, SignedHead};
use truckee_wire::message::{CommitChange, Failure, FailureCode, RowChange};

pub mod model;
mod page;

pub use page::{Page, RowsFrom, rows_from};

/// Most bytes of sealed rows in one directory: a full directory with usual rows is some 50 MB, and a gateway must be
/// able to hold it whole.
pub const DIRECTORY_BYTES_MAX: u64 = 128 << 20;
/// Most deleted rows that are remembered before older ones are forgotten: a megabyte or so. A reader whose copy is older
/// than what is remembered reads the whole directory again.
pub const TOMBSTONES_MAX: u32 = 4096;
/// How many of the last changes are recognised when they are sent again because the answer was lost. Whoever repeats a
/// change that is further back than this cannot learn whether it counts.
pub const REMEMBERED_CHANGES: usize = 64;
/// Bytes of a signature that are kept to recognise it. The directory's owner alone could make two that agree in these.
pub const MARK_BYTES: usize = 16;
/// When to come again after [`busy`]: some tens of durable commits.
pub const BUSY_RETRY_AFTER: Duration = Duration::from_millis(200);

/// Recognises a change that was taken: the beginning of its signature.
pub type Mark = [u8; MARK_BYTES];

/// What is kept of a directory besides its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The newest head.
    pub head: SignedHead,
    /// Of all rows that are not deleted.
    pub sum: RowSum,
    /// Bytes of all sealed rows.
    pub bytes: u64,
    /// What changed after this version, deletions too, is known.
    pub floor: u64,
    /// Deleted rows that are remembered.
    pub tombstones: u32,
    /// Of the last changes, the newest last; at most [`REMEMBERED_CHANGES`].
    pub marks: VecDeque<Mark>,
}

/// Old rows of the ids that a change touches: sealed bytes, or none for a row that is remembered as deleted. Ids that
/// were never there are not in it.
pub type OldRows = BTreeMap<RowId, Option<Bytes>>;

/// What becomes of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Keep this, and the rows of the change under its version, all in one step.
    Take(Box<Stored>),
    /// It was taken before.
    Already,
    /// It builds on another version than the current one.
    Behind,
}

/// Why a change can never be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// The head counts for nothing.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A row is deleted that is not there.
    #[error("the change deletes a row that is not there")]
    NoSuchRow,
    /// The rows are not as many as the head says.
    #[error("the change leaves {rows} rows, its head says {said}")]
    Count {
        /// As counted here.
        rows: u64,
        /// As signed.
        said: u32,
    },
    /// The rows are not those that the head says.
    #[error("the rows after the change are not those of its head")]
    Digest,
    /// The directory would be too long.
    #[error("the directory would have {bytes} bytes, at most {DIRECTORY_BYTES_MAX} are taken")]
    TooLong {
        /// Of all sealed rows.
        bytes: u64,
    },
}

impl ChangeRefused {
    /// What the asker is told.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let code = match self {
            ChangeRefused::TooLong { .. } => FailureCode::Full,
            _ => FailureCode::BadRequest,
        };
        Failure::new(code, self.to_string())
    }
}

impl Stored {
    /// A directory before its first change; the head is that of the change to come.
    fn nothing(head: SignedHead) -> Stored {
        Stored {
            head,
            sum: RowSum::empty(),
            bytes: 0,
            floor: 0,
            tombstones: 0,
            marks: VecDeque::new(),
        }
    }

    /// The version, from 1.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.head.head.version
    }

    fn has_taken(&self, head: &SignedHead) -> bool {
        let back = self.version().checked_sub(head.head.version);
        back.and_then(|back| usize::try_from(back).ok())
            .and_then(|back| self.marks.iter().rev().nth(back))
            .is_some_and(|mark| *mark == mark_of(head))
    }
}

/// What recognises the change with this head.
#[must_use]
pub fn mark_of(head: &SignedHead) -> Mark {
    *head
        .signature
        .first_chunk()
        .expect("a signature is longer than its mark")
}

/// What can be said of a change by itself: that the directory's owner signed it.
///
/// # Errors
/// [`ChangeRefused::Head`].
pub fn judge_signature(change: &CommitChange) -> Result<(), ChangeRefused> {
    Ok(change.head.verify(&change.head.head.directory)?)
}

/// Whether the change builds on what is stored, before any row is looked up: [`Verdict::Take`] never comes from here.
#[must_use]
pub fn judge_version(stored: Option<&Stored>, change: &CommitChange) -> Option<Verdict> {
    let version = change.head.head.version;
    match stored {
        None if version == 1 => None,
        None => Some(Verdict::Behind),
        Some(stored) if stored.has_taken(&change.head) => Some(Verdict::Already),
        Some(stored) if stored.version().checked_add(1) == Some(version) => None,
        Some(_) => Some(Verdict::Behind),
    }
}

/// Decides about a change whose signature is good. `old` holds the rows of the ids that it touches.
///
/// # Errors
/// [`ChangeRefused`]: the change can never be taken.
pub fn judge(stored: Option<Stored>, change: &CommitChange, old: &OldRows) -> Result<Verdict, ChangeRefused> {
    if let Some(verdict) = judge_version(stored.as_ref(), change) {
        return Ok(verdict);
    }
    let head = &change.head.head;
    let before = stored.as_ref().map_or(0, Stored::version);
    let mut next = stored.unwrap_or_else(|| Stored::nothing(change.head));
    let had = if before == 0 { 0 } else { next.head.head.rows };
    let tally = next.apply(&change.changes, old)?;
    let rows = u64::from(had) + tally.added - tally.removed;
    if rows != u64::from(head.rows) {
        let said = head.rows;
        return Err(ChangeRefused::Count { rows, said });
    }
    if next.sum.digest() != head.digest {
        return Err(ChangeRefused::Digest);
    }
    if next.bytes > DIRECTORY_BYTES_MAX {
        return Err(ChangeRefused::TooLong { bytes: next.bytes });
    }
    next.head = change.head;
    next.forget(before, tally.deleted);
    if next.marks.len() == REMEMBERED_CHANGES {
        next.marks.pop_front();
    }
    next.marks.push_back(mark_of(&change.head));
    Ok(Verdict::Take(Box::new(next)))
}

/// What a change does to the number of rows.
#[derive(Default)]
struct Tally {
    added: u64,
    removed: u64,
    deleted: u32,
}

impl Stored {
    fn apply(&mut self, changes: &[RowChange], old: &OldRows) -> Result<Tally, ChangeRefused> {
        let mut tally = Tally::default();
        for change in changes {
            let before = old.get(&change.id);
            if let Some(Some(sealed)) = before {
                self.sum.remove(&change.id, sealed);
                self.bytes -= sealed.len() as u64;
                tally.removed += 1;
            }
            match (&change.sealed, before) {
                (Some(sealed), before) => {
                    self.sum.add(&change.id, sealed);
                    self.bytes += sealed.len() as u64;
                    tally.added += 1;
                    self.tombstones -= u32::from(before == Some(&None));
                }
                (None, Some(Some(_))) => {
                    self.tombstones += 1;
                    tally.deleted += 1;
                }
                (None, _) => return Err(ChangeRefused::NoSuchRow),
            }
        }
        Ok(tally)
    }

    /// Raises the floor when too many deleted rows are remembered: first above those of versions before this one, then
    /// above all. Tombstones of versions up to the floor can go.
    fn forget(&mut self, before: u64, deleted: u32) {
        if self.tombstones > TOMBSTONES_MAX {
            self.tombstones = deleted;
            self.floor = before;
        }
        if self.tombstones > TOMBSTONES_MAX {
            self.tombstones = 0;
            self.floor = self.version();
        }
    }
}

/// The answer of a server that has as much to do as it takes.
#[must_use]
pub fn busy() -> Failure {
    Failure::busy(
        BUSY_RETRY_AFTER,
        "the vdrive has as many changes under way as it takes",
    )
}

#[cfg(test)]
mod tests;
