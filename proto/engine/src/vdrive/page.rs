//! Which rows answer a question, and how many of them fit.

use truckee_grid::drive::RowId;
use truckee_wire::message::{GetRows, RowChange};

use super::Stored;

/// Bytes of a row in a payload besides what it holds: its id and a length.
const ROW_HEADER_BYTES: usize = 36;

/// Which rows a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsFrom {
    /// None: the asker has the newest version.
    None,
    /// All that changed after this version, deleted ones too; a whole listing instead if they do not fit.
    Since(u64),
    /// Those that are there, behind this one.
    Whole(Option<RowId>),
}

/// Decides by what is stored. An asker that says to have a version that does not exist yet gets everything: it has seen a
/// newer state than this database, and must find out for itself.
#[must_use]
pub fn rows_from(stored: &Stored, get: &GetRows) -> RowsFrom {
    match get.since {
        0 => RowsFrom::Whole(get.after),
        since if since == stored.version() => RowsFrom::None,
        since if since >= stored.floor && since < stored.version() => RowsFrom::Since(since),
        _ => RowsFrom::Whole(None),
    }
}

/// Rows that are being put into one answer.
#[derive(Debug)]
pub struct Page {
    rows: Vec<RowChange>,
    bytes: usize,
    bytes_max: usize,
    full: bool,
}

impl Page {
    /// An empty page for at most so many bytes of payload.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Page {
        Page {
            rows: Vec::new(),
            bytes: 0,
            bytes_max,
            full: false,
        }
    }

    /// Puts a row in if it fits; once one did not, no other does. The ids must ascend.
    pub fn push(&mut self, row: RowChange) -> bool {
        let bytes = ROW_HEADER_BYTES + row.sealed.as_ref().map_or(0, bytes::Bytes::len);
        self.full |= self.bytes + bytes > self.bytes_max;
        if !self.full {
            self.bytes += bytes;
            self.rows.push(row);
        }
        !self.full
    }

    /// Whether a row did not fit.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.full
    }

    /// The rows, and behind which one the next page begins if there is one.
    #[must_use]
    pub fn finish(self) -> (Vec<RowChange>, Option<RowId>) {
        let next = self.rows.last().filter(|_| self.full).map(|row| row.id);
        (self.rows, next)
    }
}
