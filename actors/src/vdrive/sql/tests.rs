//! One suite for both kinds of database. SQLite always runs; PostgreSQL when `TRUCKEE_TEST_POSTGRES` holds the URL of a
//! database whose user may make others.

use std::collections::BTreeMap;

use bytes::Bytes;
use sqlx::{AnyPool, Executor};
use tempfile::TempDir;
use truckee_engine::vdrive::TOMBSTONES_MAX;
use truckee_grid::caps::MutableCap;
use truckee_grid::drive::{DirectoryKeys, RowId, RowSum};
use truckee_grid::keys::WriteKey;
use truckee_wire::message::{CommitChange, GetRows, RowChange, RowsGot};

use super::connect::pools;
use super::write::{self, Outcome, Steps};
use super::*;

/// Room for everything that these tests put into one page.
const PAGE: u32 = 1 << 20;

/// A fresh database.
struct Fixture {
    url: DatabaseUrl,
    /// Of the SQLite file.
    dir: Option<TempDir>,
}

impl Fixture {
    fn sqlite() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        Fixture {
            url: DatabaseUrl::file(&dir.path().join("a drive?.sqlite")),
            dir: Some(dir),
        }
    }

    async fn postgres() -> Option<Fixture> {
        let Ok(admin) = std::env::var("TRUCKEE_TEST_POSTGRES") else {
            eprintln!("NOT TESTED: PostgreSQL, because TRUCKEE_TEST_POSTGRES is not set");
            return None;
        };
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let name = format!("truckee_{:016x}", u64::from_be_bytes(random));
        sqlx::any::install_default_drivers();
        let pool = AnyPool::connect(&admin).await.expect("TRUCKEE_TEST_POSTGRES answers");
        pool.execute(format!("CREATE DATABASE {name}").as_str()).await.unwrap();
        let (server, _) = admin.rsplit_once('/').unwrap();
        Some(Fixture {
            url: DatabaseUrl::server(&format!("{server}/{name}")).unwrap(),
            dir: None,
        })
    }

    /// Runs `test` on each kind of database that there is.
    async fn each(test: impl AsyncFn(Fixture)) {
        test(Fixture::sqlite()).await;
        if let Some(postgres) = Fixture::postgres().await {
            test(postgres).await;
        }
    }

    async fn open(&self) -> Database {
        Database::open(&self.url).await.unwrap()
    }
}

/// A writer that always knows the directory as it should be.
#[derive(Clone)]
struct Writer {
    keys: DirectoryKeys,
    version: u64,
    rows: BTreeMap<RowId, Bytes>,
    sum: RowSum,
}

impl Writer {
    fn new(seed: u8) -> Writer {
        let cap = MutableCap::of_write_key(WriteKey::from_bytes([seed; 16]));
        Writer {
            keys: DirectoryKeys::of(&cap).unwrap(),
            version: 0,
            rows: BTreeMap::new(),
            sum: RowSum::empty(),
        }
    }

    /// The next change: puts or deletes rows by number.
    fn change(&mut self, rows: impl IntoIterator<Item = (u32, Option<&'static str>)>) -> CommitChange {
        let mut changes = BTreeMap::new();
        for (number, text) in rows {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&number.to_be_bytes());
            let id = RowId(id);
            if let Some(old) = self.rows.remove(&id) {
                self.sum.remove(&id, &old);
            }
            let sealed = text.map(|text| Bytes::from_static(text.as_bytes()));
            if let Some(sealed) = &sealed {
                self.sum.add(&id, sealed);
                self.rows.insert(id, sealed.clone());
            }
            changes.insert(id, RowChange { id, sealed });
        }
        self.version += 1;
        let rows = self.rows.len() as u32;
        CommitChange {
            head: self.keys.sign(self.version, rows, self.sum.digest()).unwrap(),
            changes: changes.into_values().collect(),
        }
    }

    fn since(&self, since: u64) -> GetRows {
        GetRows {
            directory: self.keys.id(),
            since,
            after: None,
            bytes_max: PAGE,
        }
    }

    /// That the database holds what it should, all of it.
    async fn compare(&self, database: &Database) {
        let mut rows = BTreeMap::new();
        let mut get = self.since(0);
        get.bytes_max = 200;
        loop {
            let got = database.get_rows(get).await.unwrap();
            assert_eq!(got.head.map(|head| head.head.version), Some(self.version).filter(|v| *v > 0));
            assert!(got.whole);
            rows.extend(got.rows.into_iter().map(|row| (row.id, row.sealed.expect("no deleted rows"))));
            match got.next {
                Some(next) => get.after = Some(next),
                None => break,
            }
        }
        assert_eq!(rows, self.rows);
    }
}

fn texts(got: &RowsGot) -> Vec<Option<&[u8]>> {
    got.rows.iter().map(|row| row.sealed.as_deref()).collect()
}

#[tokio::test]
async fn changes_are_there_after_they_were_taken() {
    Fixture::each(async |fixture| {
        let database = fixture.open().await;
        let mut writer = Writer::new(1);
        writer.compare(&database).await;
        let first = writer.change([(1, Some("one")), (2, Some("two"))]);
        let taken = database.commit(first.clone()).await.unwrap();
        assert!(taken.taken);
        assert_eq!(taken.head, Some(first.head));
        assert_eq!(taken.database, database.ping().await.unwrap());
        let second = writer.change([(2, None), (3, Some("three")), (1, Some("uno"))]);
        assert!(database.commit(second.clone()).await.unwrap().taken);
        writer.compare(&database).await;

        let news = database.get_rows(writer.since(1)).await.unwrap();
        assert!(!news.whole);
        assert_eq!(texts(&news), [Some(&b"uno"[..]), None, Some(&b"three"[..])]);
        let nothing = database.get_rows(writer.since(2)).await.unwrap();
        assert_eq!((nothing.whole, nothing.rows.len(), nothing.head), (false, 0, Some(second.head)));

        // Sent again, because the answer was lost: both are recognised, and nothing changes.
        for again in [first, second] {
            assert!(database.commit(again).await.unwrap().taken);
        }
        writer.compare(&database).await;
        drop(database);
        writer.compare(&fixture.open().await).await;
    })
    .await;
}

#[tokio::test]
async fn of_two_changes_on_one_version_one_is_taken() {
    Fixture::each(async |fixture| {
        let database = fixture.open().await;
        let other = fixture.open().await;
        assert_eq!(database.ping().await.unwrap(), other.ping().await.unwrap());
        let mut ours = Writer::new(2);
        let mut theirs = ours.clone();
        for round in 0..10 {
            let (a, b) = (ours.change([(round, Some("ours"))]), theirs.change([(round, Some("theirs"))]));
            let (a, b) = tokio::join!(database.commit(a), other.commit(b));
            let (a, b) = (a.unwrap(), b.unwrap());
            assert!(a.taken != b.taken, "round {round}: {a:?} {b:?}");
            let loser = if a.taken { b } else { a };
            assert_eq!(loser.head.unwrap().head.version, ours.version);
            let winner = if a.taken { &mut ours } else { &mut theirs };
            let winner = winner.clone();
            (ours, theirs) = (winner.clone(), winner);
        }
        ours.compare(&other).await;
    })
    .await;
}

#[tokio::test]
async fn many_at_once_are_each_taken() {
    Fixture::each(async |fixture| {
        let database = fixture.open().await;
        let mut writers: Vec<Writer> = (0..40).map(Writer::new).collect();
        for round in 0..3 {
            let changes: Vec<_> = writers.iter_mut().map(|writer| writer.change([(round, Some("x"))])).collect();
            let commits = changes.into_iter().map(|change| database.commit(change));
            for taken in futures_util::future::join_all(commits).await {
                assert!(taken.unwrap().taken);
            }
        }
        for writer in &writers {
            writer.compare(&database).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_that_does_not_add_up_changes_nothing_and_spoils_no_other() {
    Fixture::each(async |fixture| {
        let database = fixture.open().await;
        let mut writer = Writer::new(3);
        assert!(database.commit(writer.change([(1, Some("one"))])).await.unwrap().taken);
        let mut forged = writer.clone().change([(2, Some("two"))]);
        forged.changes[0].sealed = Some(Bytes::from_static(b"too"));
        let mut unsigned = writer.clone().change([(2, Some("two"))]);
        unsigned.head.signature[0] ^= 1;
        let gone = writer.clone().change([(9, None)]);
        let good = writer.change([(4, Some("four"))]);
        let (forged, unsigned, gone, good) = tokio::join!(
            database.commit(forged),
            database.commit(unsigned),
            database.commit(gone),
            database.commit(good)
        );
        for refused in [forged, unsigned, gone] {
            // The good change may have come first: then the others are merely late.
            match refused {
                Err(DatabaseError::Refused(_)) => {}
                Ok(late) => assert!(!late.taken),
                Err(other) => panic!("{other}"),
            }
        }
        assert!(good.unwrap().taken);
        writer.compare(&database).await;
    })
    .await;
}

#[tokio::test]
async fn deleted_rows_are_forgotten_in_the_end() {
    Fixture::each(async |fixture| {
        let database = fixture.open().await;
        let mut writer = Writer::new(4);
        let many = TOMBSTONES_MAX + 10;
        assert!(database.commit(writer.change((0..many).map(|n| (n, Some("x"))))).await.unwrap().taken);
        assert!(database.commit(writer.change((0..many - 20).map(|n| (n, None)))).await.unwrap().taken);
        let known = database.get_rows(writer.since(1)).await.unwrap();
        assert_eq!((known.whole, known.rows.len()), (false, many as usize - 20));
        assert!(database.commit(writer.change((many - 20..many).map(|n| (n, None)))).await.unwrap().taken);
        let forgotten = database.get_rows(writer.since(1)).await.unwrap();
        assert!(forgotten.whole, "what changed since then is no longer known");
        let known = database.get_rows(writer.since(2)).await.unwrap();
        assert_eq!((known.whole, known.rows.len()), (false, 20));
        writer.compare(&database).await;
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_ends_at_any_statement_leaves_nothing() {
    Fixture::each(async |fixture| {
        let database = fixture.open().await;
        let mut writer = Writer::new(5);
        let pools = pools(&fixture.url).unwrap();
        let begin = if database.dialect() == Dialect::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        for round in 0..2_u32 {
            let mut after = writer.clone();
            let asked = after.change((0..200).map(|n| (n, Some(if round == 0 { "old" } else { "new" }))));
            let mut statements = 0;
            loop {
                let mut steps = Steps { left: Some(statements) };
                let mut transaction = pools.writers.begin_with(begin).await.unwrap();
                let outcome = write::change(&mut transaction, database.dialect(), &asked, &mut steps).await;
                // The vdrive dies here: nothing was committed.
                drop(transaction);
                writer.compare(&database).await;
                if let Ok(outcome) = outcome {
                    assert!(matches!(outcome, Outcome::Taken(_)), "{outcome:?}");
                    break;
                }
                statements += 1;
            }
            assert!(statements >= 6, "only {statements} statements were tried");
            assert!(database.commit(asked).await.unwrap().taken);
            writer = after;
            writer.compare(&database).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_file_is_for_the_node_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::sqlite();
    let database = fixture.open().await;
    assert!(database.commit(Writer::new(6).change([(1, Some("x"))])).await.unwrap().taken);
    let mut files = 0;
    for file in std::fs::read_dir(fixture.dir.as_ref().unwrap().path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        files += 1;
    }
    assert!(files >= 2, "the file and its log");
}

#[tokio::test]
async fn a_place_that_cannot_be_used_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let missing = DatabaseUrl::file(&dir.path().join("no/such/dir/drive.sqlite"));
    assert!(matches!(Database::open(&missing).await, Err(DatabaseError::File { .. })));
    std::fs::write(dir.path().join("text"), "this is no database, it is a text that is long enough to be one").unwrap();
    let text = DatabaseUrl::file(&dir.path().join("text"));
    assert!(Database::open(&text).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_away_is_asked_again_when_it_is_back() {
    // Nobody listens on port 1 of this machine.
    let away = DatabaseUrl::server("postgres://nobody@127.0.0.1:1/nothing").unwrap();
    let database = Database::open(&away).await.expect("opened all the same");
    assert!(matches!(database.ping().await, Err(DatabaseError::Unreachable(_))));
    let Some(fixture) = Fixture::postgres().await else { return };
    let database = fixture.open().await;
    let mut writer = Writer::new(7);
    assert!(database.commit(writer.change([(1, Some("one"))])).await.unwrap().taken);
    let admin = AnyPool::connect(&std::env::var("TRUCKEE_TEST_POSTGRES").unwrap()).await.unwrap();
    for round in 2..6 {
        admin
            .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'truckee_%' AND pid <> pg_backend_pid()")
            .await
            .unwrap();
        let change = writer.change([(round, Some("more"))]);
        let mut tries = 0;
        // As a gateway does: the same change again until there is an answer.
        while !matches!(database.commit(change.clone()).await, Ok(taken) if taken.taken) {
            tries += 1;
            assert!(tries < 40, "the pool does not come back");
        }
    }
    writer.compare(&database).await;
}
