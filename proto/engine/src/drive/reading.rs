//! Asking for news of a directory, and what the answers mean.

use std::sync::Arc;

use truckee_grid::drive::{ROWS_MAX, SignedHead};
use truckee_grid::ids::NodeId;
use truckee_wire::message::{GetRows, Request, RowsGot};

use super::DriveError;
use super::asking::Asking;
use super::copy::Copy;
use super::directory::{Doing, Fetch, Key};
use super::machine::Drive;
use super::types::Note;
use super::work::{Kind, Product, Worked};
use crate::time::Mono;

/// Bytes of rows that are asked for at once: some 2,500 rows, which leave room on the link for others between pages.
const PAGE_BYTES: u32 = 1 << 20;

/// How often a whole listing is begun again because so much changed meanwhile that the vdrive no longer knows what.
const LISTINGS_MAX: u32 = 8;

/// More rows than a listing has even while it is read over many versions.
const GATHERED_MAX: usize = 2 * ROWS_MAX;

impl Drive {
    /// Asks for news, for all who wait now.
    pub(super) fn start_fetch(&mut self, now: Mono, key: Key) {
        self.directory(key).admit_readers();
        let fetch = Fetch {
            begun: 1,
            ..Fetch::default()
        };
        self.ask_rows(now, key, fetch);
    }

    fn ask_rows(&mut self, now: Mono, key: Key, fetch: Fetch) {
        let seen = self.versions.of(&key.0);
        let directory = self.directory(key);
        let since = match &fetch.first {
            Some(first) if fetch.after.is_none() => first.head.version,
            None if !fetch.anew => directory.version(),
            _ => 0,
        };
        let request = Request::GetRows(GetRows {
            directory: key.0,
            since,
            after: fetch.after,
            bytes_max: PAGE_BYTES,
        });
        directory.doing = Doing::Fetching {
            fetch,
            asking: Asking::new(request, seen, now),
        };
    }

    pub(super) fn on_rows(&mut self, now: Mono, key: Key, vdrive: NodeId, got: RowsGot) {
        self.cancel_requests(key);
        let directory = self.directory(key);
        let (fetch, seen) = match std::mem::replace(&mut directory.doing, Doing::Nothing) {
            Doing::Fetching { fetch, asking } => (fetch, asking.seen),
            other => {
                directory.doing = other;
                return;
            }
        };
        if !self.vdrives.answered(vdrive, got.database) {
            self.note(Note::SplitDatabase);
            return self.fail(key, &DriveError::SplitDatabase);
        }
        let version = got.head.map_or(0, |head| head.head.version);
        if version < seen {
            self.note(Note::RolledBack);
            return self.fail(key, &DriveError::RolledBack { seen, got: version });
        }
        let Some(head) = got.head else {
            return self.fail(key, &DriveError::NotFound);
        };
        if got.whole {
            self.on_page(now, key, fetch, head, got);
        } else {
            self.on_news(now, key, fetch, head, got);
        }
    }

    /// What changed since a version.
    fn on_news(&mut self, now: Mono, key: Key, mut fetch: Fetch, head: SignedHead, got: RowsGot) {
        if fetch.first.is_some() && fetch.after.is_none() {
            fetch.gather(got.rows);
            return self.open_whole(key, fetch, head);
        }
        let copy = self
            .directory(key)
            .copy
            .as_ref()
            .filter(|copy| !fetch.anew && copy.version() > 0);
        let Some(copy) = copy.map(Arc::clone) else {
            return self.suspect(now, key, fetch);
        };
        if got.rows.is_empty() && copy.head() == Some(&head) {
            self.note(Note::Current);
            return self.fetched(now, key);
        }
        if head.head.version <= copy.version() {
            return self.suspect(now, key, fetch);
        }
        self.note(Note::News { rows: got.rows.len() });
        let changes = got.rows;
        let job = self.start_work(key, Kind::Renew { copy, head, changes });
        self.directory(key).doing = Doing::Opening { fetch, job };
    }

    /// A page of all rows.
    fn on_page(&mut self, now: Mono, key: Key, mut fetch: Fetch, head: SignedHead, got: RowsGot) {
        if fetch.first.is_some() && fetch.after.is_none() {
            // It was asked what changed since the first page, and the vdrive no longer knows.
            if fetch.begun >= LISTINGS_MAX {
                return self.fail(key, &DriveError::Contended { tries: fetch.begun });
            }
            fetch.begun += 1;
            fetch.restart();
        }
        let goes_on = match (fetch.after, got.rows.first()) {
            (Some(after), Some(row)) => row.id > after,
            _ => true,
        };
        let first = *fetch.first.get_or_insert(head);
        fetch.gather(got.rows);
        if !goes_on || fetch.rows.len() > GATHERED_MAX || head.head.version < first.head.version {
            return self.suspect(now, key, fetch);
        }
        let bytes_max = self.limits.directory_bytes;
        if fetch.bytes > bytes_max {
            return self.fail(key, &DriveError::DirectoryTooLarge { bytes_max });
        }
        fetch.after = got.next;
        if fetch.after.is_none() && head == first {
            return self.open_whole(key, fetch, head);
        }
        self.ask_rows(now, key, fetch);
    }

    fn open_whole(&mut self, key: Key, mut fetch: Fetch, head: SignedHead) {
        let rows = std::mem::take(&mut fetch.rows);
        self.note(Note::Whole { rows: rows.len() });
        let keys = Arc::clone(&self.directory(key).keys);
        let job = self.start_work(key, Kind::Whole { keys, head, rows });
        self.directory(key).doing = Doing::Opening { fetch, job };
    }

    /// An answer does not add up: everything is read once more, and then it is the vdrive's fault.
    fn suspect(&mut self, now: Mono, key: Key, mut fetch: Fetch) {
        self.note(Note::Forged);
        if fetch.anew {
            return self.fail(key, &DriveError::Forged);
        }
        fetch.restart();
        self.ask_rows(now, key, fetch);
    }

    pub(super) fn on_worked(&mut self, now: Mono, key: Key, worked: Worked) {
        let directory = self.directory(key);
        match (std::mem::replace(&mut directory.doing, Doing::Nothing), worked.0) {
            (Doing::Opening { .. }, Ok(Product::Copy(copy))) => self.opened(now, key, copy),
            (Doing::Opening { fetch, .. }, Err(_)) => self.suspect(now, key, fetch),
            (Doing::Preparing { .. }, Ok(Product::Prepared(prepared))) => self.prepared(now, key, prepared),
            (Doing::Preparing { .. } | Doing::Opening { .. }, _) => self.fail(key, &DriveError::Internal),
            (other, _) => directory.doing = other,
        }
    }

    fn opened(&mut self, now: Mono, key: Key, copy: Arc<Copy>) {
        self.install(key, copy);
        self.fetched(now, key);
    }

    /// The copy is the newest version, as of a moment after the question was put.
    fn fetched(&mut self, now: Mono, key: Key) {
        self.serve_readers(key);
        let Some(batch) = &mut self.directory(key).batch else {
            return;
        };
        batch.confirmed = true;
        if let Some(doubt) = batch.doubt.take() {
            self.settle_doubt(now, key, &doubt);
        }
    }
}
