//! The vdrive over both databases: SQLite always, PostgreSQL when `TRUCKEE_TEST_POSTGRES` holds the URL of a server on
//! which databases may be made.
//!
//! Each test is run for each database by [`over_each`], on a thread and a runtime of its own, with an empty database.

mod actor;
mod rules;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use sqlx::{AnyConnection, Connection, Executor};
use tokio::task::LocalSet;
use truckee_grid::caps::MutableCap;
use truckee_grid::drive::{DirectoryKeys, RowId, RowSum};
use truckee_grid::keys::WriteKey;
use truckee_wire::message::limits::{ROWS_PAGE_BYTES_MAX, ROWS_PAGE_BYTES_MIN};
use truckee_wire::message::{ChangeTaken, CommitChange, GetRows, RowChange, RowsGot};

use super::sql::{Database, DatabaseUrl};

/// Runs `test` on an empty database of each kind.
pub(crate) fn over_each<F: Future<Output = ()>>(test: impl Fn(DatabaseUrl) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let run = |url| LocalSet::new().block_on(&runtime, test(url));
    let dir = tempfile::tempdir().expect("a directory");
    run(DatabaseUrl::sqlite(&dir.path().join("drive #1%.sqlite")));
    let Ok(server) = std::env::var("TRUCKEE_TEST_POSTGRES") else {
        eprintln!("TRUCKEE_TEST_POSTGRES is not set: only SQLite is tested");
        return;
    };
    let name = runtime.block_on(fresh_database(&server));
    let (base, _) = server.rsplit_once('/').expect("a URL with a database");
    let url = DatabaseUrl::postgres(&format!("{base}/{name}")).expect("a URL");
    run(url);
    runtime.block_on(admin(&server, &format!("DROP DATABASE {name} WITH (FORCE)")));
}

async fn fresh_database(server: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("truckee_test_{}_{number}", std::process::id());
    admin(server, &format!("CREATE DATABASE {name}")).await;
    name
}

/// A statement for the server, not for one of our databases.
async fn admin(server: &str, sql: &str) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(server).await.expect("the server answers");
    connection.execute(sql).await.expect("the server does it");
    connection.close().await.expect("closes");
}

/// An honest owner of one directory, who knows its rows.
#[derive(Clone)]
pub(crate) struct Owner {
    pub(crate) keys: DirectoryKeys,
    pub(crate) version: u64,
    pub(crate) rows: BTreeMap<RowId, Bytes>,
}

impl Owner {
    pub(crate) fn new(seed: u8) -> Owner {
        let cap = MutableCap::of_write_key(WriteKey::from_bytes([seed; 16]));
        Owner {
            keys: DirectoryKeys::of(&cap).expect("writes"),
            version: 0,
            rows: BTreeMap::new(),
        }
    }

    /// Makes a change and counts on its being taken.
    pub(crate) fn change(&mut self, changes: &[(u32, Option<&[u8]>)]) -> CommitChange {
        let row = |(number, sealed): &(u32, Option<&[u8]>)| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&number.to_be_bytes());
            RowChange {
                id: RowId(id),
                sealed: sealed.map(Bytes::copy_from_slice),
            }
        };
        let changes: Vec<RowChange> = changes.iter().map(row).collect();
        for change in &changes {
            match &change.sealed {
                Some(sealed) => self.rows.insert(change.id, sealed.clone()),
                None => self.rows.remove(&change.id),
            };
        }
        self.version += 1;
        let mut sum = RowSum::empty();
        self.rows.iter().for_each(|(id, sealed)| sum.add(id, sealed));
        let head = self.keys.sign_sum(self.version, self.rows.len() as u32, &sum);
        CommitChange {
            head: head.expect("writes"),
            changes,
        }
    }

    pub(crate) fn get(&self, since: u64, after: Option<RowId>, bytes_max: usize) -> GetRows {
        GetRows {
            directory: self.keys.id(),
            since,
            after,
            bytes_max: bytes_max as u32,
        }
    }
}

pub(crate) async fn commit(database: &Database, change: &CommitChange) -> ChangeTaken {
    let mut judged = database.commit(&[change]).await.expect("the database works");
    judged.remove(0).expect("not refused")
}

pub(crate) async fn since(database: &Database, owner: &Owner, since: u64) -> RowsGot {
    let get = owner.get(since, None, ROWS_PAGE_BYTES_MAX);
    database.get(&get).await.expect("the database works")
}

/// All rows, in the smallest pages.
pub(crate) async fn listing(database: &Database, owner: &Owner) -> BTreeMap<RowId, Bytes> {
    let (mut rows, mut after) = (BTreeMap::new(), None);
    loop {
        let get = owner.get(0, after, ROWS_PAGE_BYTES_MIN);
        let got = database.get(&get).await.expect("the database works");
        assert!(got.whole);
        rows.extend(
            got.rows
                .into_iter()
                .map(|row| (row.id, row.sealed.expect("there"))),
        );
        after = got.next;
        if after.is_none() {
            return rows;
        }
    }
}
