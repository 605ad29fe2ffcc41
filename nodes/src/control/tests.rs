//! A node in this process, asked as its operator asks.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::*;
use crate::config::Config;
use crate::init::{InitSpec, init_node};
use crate::startup::{self, Running};

async fn node(dir: &Path, role: Role, invite: Option<String>) -> Running {
    if !dir.exists() {
        let mut spec = InitSpec::new(dir, "a node", &[role]);
        spec.invites = invite.into_iter().collect();
        init_node(&spec).unwrap();
    }
    startup::start(&NodeDir::new(dir), &Config::load(dir).unwrap())
        .await
        .unwrap()
}

async fn stop(node: Running) {
    node.stop(Duration::ZERO).await;
}

/// Asks from a thread of its own: the node runs on this one.
async fn asked(dir: &Path, what: Ask) -> Result<Answer, ControlError> {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || ask(&dir, &what))
        .await
        .unwrap()
}

async fn refused(dir: &Path, what: Ask) -> String {
    match asked(dir, what).await {
        Ok(Answer::Refused { sentence }) => sentence,
        other => panic!("{other:?}"),
    }
}

fn member(node: &str) -> Ask {
    Ask::Member {
        node: node.to_owned(),
    }
}

fn revoke(node_id: &str) -> Ask {
    Ask::Revoke {
        node_id: node_id.to_owned(),
    }
}

#[actix_web::test]
async fn a_member_is_found_by_name_and_revoked_for_good() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (temp.path().join("one"), temp.path().join("two"));
    let introducer = node(&one, Role::Introducer, None).await;
    let invite = introducer.run_file().invite.clone();
    let own = introducer.run_file().node_id.clone();
    assert!(
        refused(&one, member("a newcomer"))
            .await
            .starts_with("no node a newcomer is known")
    );

    let storage = node(&two, Role::Storage, invite).await;
    let id = storage.run_file().node_id.clone();
    let subject = loop {
        match asked(&one, member(&id)).await.unwrap() {
            Answer::Member(subject) => break subject,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!(
        (subject.node_id.as_str(), subject.roles),
        (id.as_str(), vec![Role::Storage])
    );
    let two_of_one_name = refused(&one, member("a node")).await;
    assert!(
        two_of_one_name.contains(&id) && two_of_one_name.contains(&own),
        "{two_of_one_name}"
    );
    assert!(refused(&one, revoke(&own)).await.contains("cannot revoke itself"));
    assert!(refused(&two, member(&own)).await.contains("no introducer"));

    assert_eq!(asked(&one, revoke(&id)).await.unwrap(), Answer::Revoked);
    assert!(refused(&one, revoke(&id)).await.contains("revoked already"));
    stop(introducer).await;
    let again = node(&one, Role::Introducer, None).await;
    assert!(
        refused(&one, member(&id)).await.contains("revoked already"),
        "also after a restart"
    );
    stop(storage).await;
    stop(again).await;
}

#[actix_web::test]
async fn the_socket_is_for_the_owner_survives_a_kill_and_goes_at_a_stop() {
    let temp = tempfile::tempdir().unwrap();
    // Longer than the address of a socket can be.
    let dir = temp.path().join("d".repeat(SOCKET_PATH_MAX));
    assert!(matches!(
        asked(&dir, member("x")).await,
        Err(ControlError::NotRunning(_))
    ));
    let first = node(&dir, Role::Introducer, None).await;
    let socket = dir.join("control.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(refused(&dir, member("x")).await.contains("no node x"));
    stop(first).await;
    assert!(!socket.exists());

    // As a killed node leaves it.
    let (path, _open) = socket_path(&dir).unwrap();
    drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    assert!(matches!(
        asked(&dir, member("x")).await,
        Err(ControlError::NotRunning(_))
    ));
    let second = node(&dir, Role::Introducer, None).await;
    assert!(refused(&dir, member("x")).await.contains("no node x"));
    stop(second).await;
}

#[actix_web::test]
async fn what_is_no_ask_is_refused_and_too_much_is_not_read() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("node");
    let running = node(&dir, Role::Introducer, None).await;
    let say = |bytes: Vec<u8>| {
        let (path, _open) = socket_path(&dir).unwrap();
        tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(&bytes).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        })
    };
    for odd in [&b"hello\n"[..], b"{\"ask\":\"dance\"}\n", b"\n"] {
        let answer = say(odd.to_vec()).await.unwrap();
        assert!(answer.starts_with("{\"answer\":\"refused\""), "{answer}");
    }
    // Cut at the bound: the line has no end, and no more of it is waited for.
    let endless = say(vec![b' '; LINE_BYTES_MAX as usize]).await.unwrap();
    assert!(endless.starts_with("{\"answer\":\"refused\""), "{endless}");
    stop(running).await;
}

fn drained(answer: Answer) -> DrainStatus {
    match answer {
        Answer::Drain(status) => status,
        other => panic!("{other:?}"),
    }
}

#[actix_web::test]
async fn a_drain_outlives_the_process_and_its_end_as_well() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (temp.path().join("one"), temp.path().join("two"));
    let introducer = node(&one, Role::Introducer, None).await;
    let invite = introducer.run_file().invite.clone();
    assert!(
        refused(&one, Ask::Drain { on: true })
            .await
            .contains("holds no shares")
    );

    let storage = node(&two, Role::Storage, invite).await;
    assert_eq!(
        drained(asked(&two, Ask::DrainStatus).await.unwrap()),
        DrainStatus::default()
    );
    let begun = drained(asked(&two, Ask::Drain { on: true }).await.unwrap());
    assert!(begun.draining && !begun.safe, "nothing has been looked at yet");
    assert!(
        drained(asked(&two, Ask::Drain { on: true }).await.unwrap()).draining,
        "twice is once"
    );
    stop(storage).await;
    let again = node(&two, Role::Storage, None).await;
    assert!(drained(asked(&two, Ask::DrainStatus).await.unwrap()).draining);
    // It holds nothing, and finds that out by itself.
    let mut status = drained(asked(&two, Ask::DrainStatus).await.unwrap());
    while !status.safe {
        tokio::time::sleep(Duration::from_millis(50)).await;
        status = drained(asked(&two, Ask::DrainStatus).await.unwrap());
    }
    assert_eq!((status.moved_files, status.unknown_buckets), (0, 0));
    assert_eq!(
        drained(asked(&two, Ask::Drain { on: false }).await.unwrap()),
        DrainStatus::default()
    );
    stop(again).await;
    let last = node(&two, Role::Storage, None).await;
    assert_eq!(
        drained(asked(&two, Ask::DrainStatus).await.unwrap()),
        DrainStatus::default()
    );
    stop(last).await;
    stop(introducer).await;
}

#[actix_web::test]
async fn a_node_that_does_not_compare_is_not_drained() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (temp.path().join("one"), temp.path().join("two"));
    let introducer = node(&one, Role::Introducer, None).await;
    let mut spec = InitSpec::new(&two, "a node", &[Role::Storage]);
    spec.invites = introducer.run_file().invite.clone().into_iter().collect();
    init_node(&spec).unwrap();
    let config = two.join("truckee.toml");
    let text = std::fs::read_to_string(&config).unwrap() + "\n[heal]\nbytes_per_second = 0\n";
    std::fs::write(&config, text).unwrap();
    let storage = node(&two, Role::Storage, None).await;
    let why = refused(&two, Ask::Drain { on: true }).await;
    assert!(why.contains("heal.bytes_per_second is 0"), "{why}");
    assert!(!two.join("draining").exists());
    stop(storage).await;
    stop(introducer).await;
}
