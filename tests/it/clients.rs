//! HTTP clients that do wrong or go away: a clear answer, nothing left behind, and the next client is served.

use std::io::Read;
use std::net::Shutdown;

use truckee_tests::rig::{self, Cluster};

use crate::program;

/// What a client that breaks off had announced, and had sent.
const ANNOUNCED: u64 = 16 << 20;
const SENT: usize = 5 << 20;

/// Waits until no storage peer holds anything that is not a whole share, and counts the shares.
fn shares_when_settled(cluster: &Cluster) -> usize {
    rig::until("unfinished shares are removed", || {
        cluster.files_of_peers("incoming").is_empty().then_some(())
    });
    cluster.shares_of_peers().len()
}

#[test]
fn a_client_that_vanishes_during_an_upload_leaves_nothing() {
    let cluster = Cluster::start(program());
    let http = cluster.http();
    let stream = http.begin_put(ANNOUNCED, &rig::bytes(1, SENT));
    rig::until("the upload has reached the peers", || {
        (!cluster.files_of_peers("incoming").is_empty()).then_some(())
    });
    drop(stream);
    assert_eq!(shares_when_settled(&cluster), 0);
    let content = rig::bytes(2, 100_000);
    assert!(
        http.get(&http.put(&content)).ok() == content,
        "the next client is served"
    );
}

#[test]
fn a_body_shorter_than_announced_is_no_file() {
    let cluster = Cluster::start(program());
    let http = cluster.http();
    let mut stream = http.begin_put(ANNOUNCED, &rig::bytes(3, SENT));
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    // The gateway may say why or just hang up; it must not give out a cap.
    let _ = stream.read_to_string(&mut answer);
    assert!(!answer.contains("URI:"), "{answer}");
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert_eq!(shares_when_settled(&cluster), 0);
}

#[test]
fn a_client_that_vanishes_during_a_download_does_no_harm() {
    let cluster = Cluster::start(program());
    let http = cluster.http();
    let content = rig::bytes(4, 24 << 20);
    let cap = http.put(&content);
    // More than any bound on downloads at the same time that such a client could use up.
    for _ in 0..40 {
        let mut download = http.open(&cap);
        let mut some = [0; 1000];
        download.read_exact(&mut some).unwrap();
        assert_eq!(some[..], content[..1000]);
    }
    assert!(http.get(&cap).ok() == content);
}

#[test]
fn impossible_codings_are_refused_by_name() {
    let cluster = Cluster::start(program());
    let http = cluster.http();
    for query in [
        "k=4&n=3",
        "k=3&n=0",
        "k=0&n=3",
        "k=3&n=257",
        "k=3&n=10&happy=11",
        "n=ten",
        "k=3&n=3",
    ] {
        let answer = http.answer("PUT", &format!("/uri?{query}"), &[], &rig::bytes(5, 1000));
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert!(!answer.text().is_empty(), "{query}");
    }
    assert_eq!(shares_when_settled(&cluster), 0);
    let cap = http
        .answer("PUT", "/uri?k=2&n=5&happy=5", &[], &rig::bytes(6, 1000))
        .ok();
    assert!(String::from_utf8_lossy(&cap).contains(":2:5:1000"));
}

#[test]
fn wrong_cut_and_foreign_caps_are_refused() {
    let cluster = Cluster::start(program());
    let http = cluster.http();
    let good = http.put(&rig::bytes(7, 1000));
    let cut = &good[..good.len() - 3];
    for bad in [
        "URI:",
        "junk",
        "URI:CHK:",
        "URI:NEW:aaaa",
        cut,
        &good.replace(":3:10:", ":11:10:"),
        &format!("{good}x"),
    ] {
        let answer = http.get(bad);
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
        assert!(
            !answer.text().contains(bad) || bad.len() < 9,
            "an error never repeats a cap: {}",
            answer.text()
        );
    }
    // Well formed, but nobody holds it: it may be of another grid.
    let foreign =
        "URI:CHK:aaaaaaaaaaaaaaaaaaaaaaaaaa:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:3:10:1000";
    let answer = http.get(foreign);
    assert_eq!(answer.status, 410, "{}", answer.text());
    // Another key for the same file must not open it.
    let key = good.split(':').nth(2).expect("a cap has a key");
    let other = if key.starts_with('b') {
        key.replacen('b', "c", 1)
    } else {
        format!("b{}", &key[1..])
    };
    let answer = http.get(&good.replace(key, &other));
    assert_eq!(answer.status, 410, "{}", answer.text());
}
