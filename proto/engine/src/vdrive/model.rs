//! A vdrive in memory, for tests and simulations. It answers at once, and what it has taken is there for as long as it
//! lives. A clone of it is what a rolled-back database would be.

use std::collections::BTreeMap;

use bytes::Bytes;
use truckee_grid::drive::{DirectoryId, RowId};
use truckee_wire::message::{
    ChangeTaken, CommitChange, Failure, FailureCode, GetRows, Request, Response, RowChange, RowsGot,
};

use super::{OldRows, Page, RowsFrom, Stored, Verdict, judge, judge_signature, rows_from};

/// See the module.
#[derive(Clone, Debug)]
pub struct ModelVdrive {
    database: [u8; 16],
    directories: BTreeMap<DirectoryId, Directory>,
}

/// A directory of a [`ModelVdrive`]. All is open, so that a test can make a liar of the server.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Besides the rows.
    pub stored: Stored,
    /// By id: the version of the last change, and the sealed bytes unless deleted.
    pub rows: BTreeMap<RowId, (u64, Option<Bytes>)>,
}

impl ModelVdrive {
    /// An empty one. The id is what all vdrives on one database have in common.
    #[must_use]
    pub const fn new(database: [u8; 16]) -> ModelVdrive {
        ModelVdrive {
            database,
            directories: BTreeMap::new(),
        }
    }

    /// A directory, to look at or to tamper with.
    pub fn directory_mut(&mut self, id: &DirectoryId) -> Option<&mut Directory> {
        self.directories.get_mut(id)
    }

    /// Serves one request of those that a vdrive serves.
    ///
    /// # Errors
    /// The refusal that a node would send.
    pub fn serve(&mut self, request: &Request) -> Result<Response, Failure> {
        match request {
            Request::GetRows(get) => Ok(Response::RowsGot(Box::new(self.get(get)))),
            Request::CommitChange(change) => self
                .commit(change)
                .map(|taken| Response::ChangeTaken(Box::new(taken))),
            _ => Err(Failure::new(
                FailureCode::Unsupported,
                "a vdrive does not serve this",
            )),
        }
    }

    fn get(&self, get: &GetRows) -> RowsGot {
        let mut got = RowsGot {
            database: self.database,
            head: None,
            whole: true,
            rows: Vec::new(),
            next: None,
        };
        let Some(directory) = self.directories.get(&get.directory) else {
            return got;
        };
        got.head = Some(directory.stored.head);
        let bytes_max = get.bytes_max as usize;
        let from = rows_from(&directory.stored, get);
        if from == RowsFrom::None {
            got.whole = false;
            return got;
        }
        let after = match from {
            RowsFrom::Since(since) => match directory.since(since, bytes_max) {
                Some(rows) => {
                    (got.whole, got.rows) = (false, rows);
                    return got;
                }
                None => None,
            },
            RowsFrom::Whole(after) => after,
            RowsFrom::None => None,
        };
        (got.rows, got.next) = directory.page(after, bytes_max);
        got
    }

    fn commit(&mut self, change: &CommitChange) -> Result<ChangeTaken, Failure> {
        judge_signature(change).map_err(|refused| refused.failure())?;
        let id = change.head.head.directory;
        let directory = self.directories.get(&id);
        let stored = directory.map(|directory| directory.stored.clone());
        let verdict = {
            let old = directory
                .map(|directory| directory.old(change))
                .unwrap_or_default();
            judge(stored, change, &old).map_err(|refused| refused.failure())?
        };
        let taken = verdict != Verdict::Behind;
        if let Verdict::Take(stored) = verdict {
            self.put(id, *stored, change);
        }
        Ok(ChangeTaken {
            database: self.database,
            taken,
            head: self.directories.get(&id).map(|directory| directory.stored.head),
        })
    }

    fn put(&mut self, id: DirectoryId, stored: Stored, change: &CommitChange) {
        let (floor, version) = (stored.floor, stored.version());
        let mut rows = self
            .directories
            .remove(&id)
            .map(|directory| directory.rows)
            .unwrap_or_default();
        for row in &change.changes {
            rows.insert(row.id, (version, row.sealed.clone()));
        }
        rows.retain(|_, (version, sealed)| sealed.is_some() || *version > floor);
        self.directories.insert(id, Directory { stored, rows });
    }
}

impl Directory {
    fn old(&self, change: &CommitChange) -> OldRows {
        let touched = change.changes.iter();
        touched
            .filter_map(|row| self.rows.get(&row.id).map(|(_, sealed)| (row.id, sealed.clone())))
            .collect()
    }

    fn since(&self, since: u64, bytes_max: usize) -> Option<Vec<RowChange>> {
        let mut page = Page::new(bytes_max);
        for (id, (version, sealed)) in &self.rows {
            let row = RowChange {
                id: *id,
                sealed: sealed.clone(),
            };
            if *version > since && !page.push(row) {
                return None;
            }
        }
        Some(page.finish().0)
    }

    fn page(&self, after: Option<RowId>, bytes_max: usize) -> (Vec<RowChange>, Option<RowId>) {
        let mut page = Page::new(bytes_max);
        for (id, (_, sealed)) in &self.rows {
            let wanted = after.is_none_or(|after| *id > after) && sealed.is_some();
            let row = RowChange {
                id: *id,
                sealed: sealed.clone(),
            };
            if wanted && !page.push(row) {
                break;
            }
        }
        page.finish()
    }
}
