//! What is taken is there, what is not leaves no trace, wherever the process dies.

use std::time::Duration;

use truckee_engine::vdrive::{ChangeRefused, TOMBSTONES_MAX};

use super::*;

#[test]
fn changes_are_kept_and_read_back_by_page_and_by_version() {
    over_each(|url| async move {
        let database = Database::open(&url).expect("opens");
        let mut owner = Owner::new(1);
        assert_eq!(since(&database, &owner, 0).await.head, None);
        let row = vec![7; 3000];
        let many: Vec<_> = (0..200).map(|number| (number, Some(&row[..]))).collect();
        let first = owner.change(&many);
        assert!(commit(&database, &first).await.taken);
        let second = owner.change(&[(5, None), (7, Some(b"new")), (500, Some(b"more"))]);
        let taken = commit(&database, &second).await;
        assert_eq!((taken.taken, taken.head), (true, Some(second.head)));
        assert_eq!(listing(&database, &owner).await, owner.rows);
        let news = since(&database, &owner, 1).await;
        assert_eq!((news.whole, news.rows), (false, second.changes.clone()));
        assert!(since(&database, &owner, 2).await.rows.is_empty());
        database.close().await;

        let again = Database::open(&url).expect("opens");
        assert_eq!(
            again.ready().await.expect("there"),
            taken.database,
            "the same database"
        );
        assert_eq!(listing(&again, &owner).await, owner.rows);
        assert!(commit(&again, &second).await.taken, "taken before");
        again.close().await;
    });
}

#[test]
fn what_does_not_build_on_the_newest_version_or_is_not_signed_leaves_no_trace() {
    over_each(|url| async move {
        let database = Database::open(&url).expect("opens");
        let mut owner = Owner::new(1);
        let first = owner.change(&[(1, Some(b"a"))]);
        assert!(commit(&database, &first).await.taken);
        let mut other = owner.clone();
        let ours = owner.change(&[(2, Some(b"b"))]);
        let theirs = other.change(&[(3, Some(b"c"))]);
        let mut forged = owner.clone().change(&[(4, Some(b"d"))]);
        forged.changes.clear();
        let judged = database.commit(&[&ours, &theirs, &forged]).await.expect("works");
        assert!(judged[0].as_ref().expect("not refused").taken);
        let lost = judged[1].as_ref().expect("not refused");
        assert_eq!((lost.taken, lost.head), (false, Some(ours.head)));
        assert_eq!(judged[2], Err(ChangeRefused::Count { rows: 2, said: 3 }));
        assert_eq!(listing(&database, &owner).await, owner.rows);
        database.close().await;
    });
}

#[test]
fn forgotten_deletions_leave_the_table() {
    over_each(|url| async move {
        let database = Database::open(&url).expect("opens");
        let mut owner = Owner::new(1);
        let many: Vec<(u32, Option<&[u8]>)> = (0..=TOMBSTONES_MAX)
            .map(|number| (number, Some(&b"x"[..])))
            .collect();
        let none: Vec<(u32, Option<&[u8]>)> = (0..=TOMBSTONES_MAX).map(|number| (number, None)).collect();
        assert!(commit(&database, &owner.change(&many)).await.taken);
        assert!(commit(&database, &owner.change(&none[1..])).await.taken);
        assert!(!since(&database, &owner, 1).await.whole);
        assert!(commit(&database, &owner.change(&none[..1])).await.taken);
        assert!(since(&database, &owner, 1).await.whole, "forgotten");
        assert_eq!(since(&database, &owner, 2).await.rows.len(), 1);
        assert!(listing(&database, &owner).await.is_empty());
        database.close().await;
    });
}

/// Drops the transaction between any two of its statements, which is all that a dead process does to a database.
#[test]
fn a_death_between_any_two_statements_leaves_all_or_nothing() {
    over_each(|url| async move {
        let mut owner = Owner::new(1);
        let database = Database::open(&url).expect("opens");
        assert!(
            commit(&database, &owner.change(&[(1, Some(b"a")), (2, Some(b"b"))]))
                .await
                .taken
        );
        database.close().await;
        let mut deaths = 0;
        for step in 0.. {
            let dying = Database::open(&url).expect("opens");
            dying.ready().await.expect("there");
            let before = owner.clone();
            let change = owner.change(&[(1, None), (3, Some(format!("{step}").as_bytes()))]);
            dying.halt.set(Some(step));
            let changes = [&change];
            let commits = dying.commit_once(&changes);
            let died = tokio::time::timeout(Duration::from_millis(300), commits)
                .await
                .is_err();
            drop(dying);

            let alive = Database::open(&url).expect("opens");
            let newest = since(&alive, &owner, 0).await.head.expect("there");
            let expected = if newest == change.head { &owner } else { &before };
            assert_eq!(listing(&alive, &owner).await, expected.rows, "step {step}");
            assert!(died || newest == change.head, "what is answered is there");
            assert!(commit(&alive, &change).await.taken, "the repeat counts once");
            assert_eq!(listing(&alive, &owner).await, owner.rows, "step {step}");
            let back = owner.change(&[(1, Some(b"a"))]);
            assert!(commit(&alive, &back).await.taken);
            alive.close().await;
            deaths += u32::from(died);
            if !died {
                break;
            }
        }
        assert!(deaths >= 8, "only {deaths} places to die");
    });
}

#[test]
fn two_writers_on_one_database_lose_nothing() {
    over_each(|url| async move {
        let databases = [
            Database::open(&url).expect("opens"),
            Database::open(&url).expect("opens"),
        ];
        let ids = (databases[0].ready().await, databases[1].ready().await);
        assert_eq!(ids.0.expect("there"), ids.1.expect("there"), "both name it alike");
        let mut owner = Owner::new(1);
        assert!(commit(&databases[0], &owner.change(&[])).await.taken);
        for round in 0..20 {
            let (mut left, mut right) = (owner.clone(), owner.clone());
            let ours = left.change(&[(1, Some(format!("left {round}").as_bytes()))]);
            let theirs = right.change(&[(2, Some(format!("right {round}").as_bytes()))]);
            let both = tokio::join!(commit(&databases[0], &ours), commit(&databases[1], &theirs));
            assert!(both.0.taken != both.1.taken, "one of two wins");
            owner = if both.0.taken { left } else { right };
        }
        assert_eq!(listing(&databases[1], &owner).await, owner.rows);
        for database in &databases {
            database.close().await;
        }
    });
}

#[test]
fn nothing_secret_is_printed() {
    let url = DatabaseUrl::postgres("postgres://me:hunter2@db:5432/x").expect("a URL");
    assert!(!format!("{url:?}").contains("hunter2"));
    for bad in ["mysql://me:hunter2@db/x", "postgres://me:hunter2@db:99999999/x"] {
        let error = DatabaseUrl::postgres(bad).expect_err("no URL");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
