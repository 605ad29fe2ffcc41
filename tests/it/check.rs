//! Checks of real files on real peers: what is gone, silent or damaged shows in the result, and nothing else does.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Value, json};
use truckee_tests::rig::{self, Cluster, Http};

use crate::program;

/// A share on a peer: its number, and the peer's id.
struct Share {
    number: u64,
    node_id: String,
    peer: String,
    path: std::path::PathBuf,
}

/// The shares of the only file in the cluster, by number.
fn shares(cluster: &Cluster) -> Vec<Share> {
    let welcome: Value =
        serde_json::from_slice(&cluster.http().answer("GET", "/?t=json", &[], b"").ok()).unwrap();
    let servers = welcome["servers"].as_array().unwrap().clone();
    let files = cluster.files_of_peers("shares").into_iter();
    let mut shares: Vec<Share> = files
        .map(|(peer, path)| {
            let server = servers.iter().find(|server| server["nickname"] == peer.as_str());
            let server = server.unwrap_or_else(|| panic!("no server {peer}"));
            Share {
                number: path.file_name().unwrap().to_str().unwrap().parse().unwrap(),
                node_id: server["nodeid"].as_str().unwrap().to_owned(),
                peer,
                path,
            }
        })
        .collect();
    shares.sort_by_key(|share| share.number);
    assert_eq!(shares.len(), 10, "one share on each peer");
    shares
}

fn check(http: &Http, cap: &str, more: &str) -> Value {
    let path = format!("/uri/{cap}?t=check&output=JSON{more}");
    serde_json::from_slice(&http.answer("POST", &path, &[], b"").ok()).expect("a result is JSON")
}

/// The map that a result should have: all shares but some.
fn sharemap(shares: &[Share], without: &[u64]) -> Value {
    let there = shares.iter().filter(|share| !without.contains(&share.number));
    there
        .map(|share| (share.number.to_string(), json!([share.node_id])))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn flip(path: &Path, at: u64) {
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    byte[0] ^= 1;
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&byte).unwrap();
}

#[test]
fn what_is_wrong_with_shares_and_peers_is_told_exactly() {
    let mut cluster = Cluster::start(program());
    let http = cluster.http();
    let cap = http.put(&rig::bytes(11, (3 << 20) + 5));
    let shares = shares(&cluster);

    let healthy = check(&http, &cap, "&verify=true");
    assert_eq!(healthy["results"]["healthy"], true, "{healthy}");
    assert_eq!(healthy["results"]["sharemap"], sharemap(&shares, &[]));
    assert_eq!(healthy["results"]["count-happiness"], 10);
    assert_eq!(
        healthy["truckee"]["blocks-verified"], 40,
        "four blocks of ten shares"
    );
    assert_eq!(healthy["truckee"]["servers-silent"], json!([]));

    // One bit of one block: in a copy whose owner still believes in it.
    let damaged = &shares[4];
    flip(&damaged.path, damaged.path.metadata().unwrap().len() / 2);
    let found = check(&http, &cap, "&verify=true");
    let results = &found["results"];
    assert_eq!(
        (&results["healthy"], &results["recoverable"]),
        (&json!(false), &json!(true)),
        "{found}"
    );
    assert_eq!(
        results["list-corrupt-shares"],
        json!([[damaged.node_id, found["storage-index"], 4]])
    );
    assert_eq!(results["count-corrupt-shares"], 1);
    assert_eq!(results["sharemap"], sharemap(&shares, &[4]));
    assert_eq!(results["servers-responding"].as_array().unwrap().len(), 10);

    // A share whose file is gone is missing, and its peer answered.
    std::fs::remove_file(&shares[7].path).unwrap();
    let found = check(&http, &cap, "&verify=true");
    assert!(found["results"]["sharemap"].get("7").is_none(), "{found}");
    assert_eq!(found["results"]["count-shares-good"], 8, "{found}");

    // A peer that is gone is named as one that did not answer.
    let gone = shares.iter().find(|share| share.number == 1).unwrap();
    let (gone_peer, gone_id) = (gone.peer.clone(), gone.node_id.clone());
    cluster.kill(&gone_peer);
    let found = check(&http, &cap, "");
    let results = &found["results"];
    assert!(results["sharemap"].get("1").is_none(), "{found}");
    assert_eq!(results["servers-responding"].as_array().unwrap().len(), 9);
    assert_eq!(found["truckee"]["servers-silent"][0]["node_id"], gone_id);
    assert_eq!(found["truckee"]["servers-silent"].as_array().unwrap().len(), 1);
    assert_eq!(results["recoverable"], true);
}

#[test]
fn small_files_are_checked_too_and_operations_are_recorded() {
    let cluster = Cluster::start(program());
    let http = cluster.http();
    let content = rig::bytes(12, 700);
    let cap = http.put(&content);
    assert!(http.get(&cap).ok() == content);
    let checked = check(&http, &cap, "&verify=true");
    assert_eq!(checked["results"]["healthy"], true, "{checked}");
    assert_eq!(checked["truckee"]["blocks-verified"], 10);
    let status: Value = serde_json::from_slice(&http.answer("GET", "/status?t=json", &[], b"").ok()).unwrap();
    for (name, stages) in [
        ("up-1", vec!["close", "encode", "locate", "send"]),
        ("down-1", vec!["decode", "deliver", "fetch", "locate"]),
        ("check-1", vec!["locate", "verify"]),
    ] {
        let recent = status["recent"].as_array().unwrap().iter();
        let found = recent.clone().find(|operation| operation["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {status}"));
        assert_eq!(found["outcome"], "completed");
        assert_eq!(found["storage-index-string"], checked["storage-index"]);
        assert_eq!(found["total-size"], 700);
        let names: Vec<&String> = found["stages-s"].as_object().unwrap().keys().collect();
        assert_eq!(names, stages);
    }
    let text = status.to_string();
    assert!(!text.contains("URI:"), "no cap is told: {text}");
    let storage: Value =
        serde_json::from_slice(&http.answer("GET", "/storage?t=json", &[], b"").ok()).unwrap();
    assert_eq!(storage["truckee"]["peers"].as_array().unwrap().len(), 10);
}
