//! Against servers of the tests' own: nodes that answer, answer nonsense, answer nothing, and are not there.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

const WITHIN: Duration = Duration::from_millis(300);

/// Serves until the process ends: `answer` gives the whole answer to a path.
fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap();
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default();
                // A client that went away needs no answer.
                let _ = stream.write_all(answer(path).as_bytes());
            });
        }
    });
    address
}

fn http(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// An address that takes connections and never answers, as long as the listener lives.
fn frozen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn targets(dir: &Path, nodes: &[(&str, &str)]) -> PathBuf {
    let groups: Vec<Value> = nodes
        .iter()
        .map(|(name, address)| serde_json::json!({ "targets": [address], "labels": { "node": name } }))
        .collect();
    let path = dir.join("some.json");
    std::fs::write(&path, serde_json::to_vec(&groups).unwrap()).unwrap();
    path
}

fn files(path: &Path) -> Source {
    Source::Files {
        files: vec![path.to_owned()],
        cluster: None,
    }
}

fn silent(answer: &Answer) -> &str {
    match answer {
        Answer::Silent(silence) => {
            assert_eq!(silence.hangs, silence.reason.starts_with("no answer"));
            &silence.reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn everybody_is_asked_and_the_frozen_one_stops_nobody() {
    let good = serve(|_| http(200, "truckee_node_ready 1\n"));
    let unready = serve(|path| match path {
        "/metrics" => http(200, "truckee_node_ready 0\n"),
        _ => http(503, "2 storage peers are linked\n"),
    });
    let odd = serve(|_| http(200, "<html>"));
    let (_listener, still) = frozen();
    let dir = tempfile::tempdir().unwrap();
    let list = [
        ("good", good.as_str()),
        ("unready", &unready),
        ("odd", &odd),
        ("gone", &nobody()),
        ("frozen", &still),
    ];
    let path = targets(dir.path(), &list);
    let mut poller = Poller::new(files(&path), WITHIN).unwrap();
    let round = poller.round();
    let names: Vec<&str> = round.nodes.iter().map(|(node, _)| node.name.as_str()).collect();
    assert_eq!(names, ["good", "unready", "odd", "gone", "frozen"]);
    let answers: Vec<&Answer> = round.nodes.iter().map(|(_, answer)| answer).collect();
    assert!(
        matches!(answers[0], Answer::Page { unready: None, .. }),
        "{:?}",
        answers[0]
    );
    assert!(
        matches!(answers[1], Answer::Page { unready: Some(why), .. } if why == "2 storage peers are linked"),
        "{:?}",
        answers[1]
    );
    assert!(silent(answers[2]).contains("line 1"), "{:?}", answers[2]);
    assert_eq!(silent(answers[3]), "connection refused");
    assert!(
        silent(answers[4]).starts_with("no answer within"),
        "{:?}",
        answers[4]
    );
    assert_eq!(round.trouble, None);
}

#[test]
fn nodes_come_and_go_with_the_file() {
    let good = serve(|_| http(200, "truckee_node_ready 1\n"));
    let dir = tempfile::tempdir().unwrap();
    let path = targets(dir.path(), &[("one", &good)]);
    let mut poller = Poller::new(files(&path), WITHIN).unwrap();
    assert_eq!(poller.round().nodes.len(), 1);
    targets(dir.path(), &[("one", &good), ("two", &nobody())]);
    assert_eq!(poller.round().nodes.len(), 2);
    std::fs::write(&path, "{").unwrap();
    let round = poller.round();
    assert_eq!(round.nodes.len(), 2, "those of before");
    let trouble = round.trouble.unwrap();
    assert!(trouble.contains("some.json"), "{trouble}");
}

#[test]
fn a_watch_of_nobody_does_not_begin() {
    let dir = tempfile::tempdir().unwrap();
    let empty = targets(dir.path(), &[]);
    let code = |source| Poller::new(source, WITHIN).map(drop).unwrap_err().exit().code();
    assert_eq!(code(files(&empty)), 2);
    assert_eq!(code(files(&dir.path().join("missing"))), 1);
    let stopped = Source::Files {
        files: vec![dir.path().join(FILE_NAME)],
        cluster: Some(dir.path().to_owned()),
    };
    assert_eq!(code(stopped), 2);
    assert_eq!(
        code(Source::Gateway(Box::new(Gateway::at(&nobody()).unwrap()))),
        5
    );
    let other = serve(|_| http(200, "{}"));
    assert_eq!(code(Source::Gateway(Box::new(Gateway::at(&other).unwrap()))), 1);
}

#[test]
fn a_gateway_that_goes_away_leaves_its_peers_unknown() {
    let alive = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = Arc::clone(&alive);
    let gateway = serve(move |path| {
        if !asked.load(std::sync::atomic::Ordering::SeqCst) {
            return http(503, "stopping\n");
        }
        match path {
            "/metrics" => http(200, "truckee_node_ready 1\ntruckee_gateway_shares_needed 3\n"),
            "/?t=json" => http(
                200,
                r#"{"truckee":{"nickname":"gw","roles":["gateway"],"peers":[{"node_id":"a","nickname":"one","roles":["storage"],"state":"up"}]}}"#,
            ),
            _ => http(404, "no\n"),
        }
    });
    let source = Source::Gateway(Box::new(Gateway::at(&gateway).unwrap()));
    assert!(source.words().starts_with("gateway http://127.0.0.1:"));
    let mut poller = Poller::new(source, WITHIN).unwrap();
    let nodes = poller.round().nodes;
    assert!(matches!(nodes[0].1, Answer::Page { .. }), "{nodes:?}");
    assert!(
        matches!(&nodes[1].1, Answer::Told(told) if told.link == Link::Up),
        "{nodes:?}"
    );
    alive.store(false, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..2 {
        let nodes = poller.round().nodes;
        assert_eq!(silent(&nodes[0].1), "stopping");
        assert!(
            matches!(&nodes[1].1, Answer::Told(told) if told.link == Link::Unknown),
            "{nodes:?}"
        );
    }
}

#[test]
fn the_directory_of_a_node_is_found_in_its_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("nodes/storage-01");
    std::fs::create_dir_all(&node).unwrap();
    assert_eq!(dir_of(dir.path(), "storage-01"), None);
    std::fs::write(node.join("truckee.toml"), "").unwrap();
    assert_eq!(dir_of(dir.path(), "storage-01"), Some(node));
    assert_eq!(dir_of(dir.path(), "../nodes/storage-01"), None);
    assert_eq!(dir_of(dir.path(), ".."), None);
}

#[test]
fn what_is_named_counts_most() {
    let source = |line: &str| {
        let Command::Top(args) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("{line}");
        };
        Source::of(&args).unwrap().words()
    };
    assert_eq!(source("truckee top --cluster c"), "cluster c");
    assert_eq!(
        source("truckee top --cluster c --targets a --targets b"),
        "list c/targets.json, a, b"
    );
    assert_eq!(source("truckee top --targets a --gateway http://h:1"), "list a");
    assert_eq!(source("truckee top --gateway h:1"), "gateway http://h:1");
}
