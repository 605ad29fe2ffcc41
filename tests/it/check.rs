//! Checks of real files on real peers: what is gone, silent or damaged shows in the result, and nothing else does.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use truckee_grid::caps::Cap;
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

/// What anybody may know who is to look after a file.
fn verifier(cap: &str) -> String {
    let cap = Cap::parse(cap).expect("a cap");
    cap.to_verifier().expect("of a stored file").to_uri()
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

/// A cluster whose storage nodes repair nothing by themselves.
fn without_healing() -> Cluster {
    let mut cluster = Cluster::start(program());
    assert!(cluster.down().success());
    for node in cluster.file.nodes.iter().filter(|node| node.roles == ["storage"]) {
        let path = node.dir.join("truckee.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, before + "\n[heal]\nbytes_per_second = 0\n").unwrap();
    }
    cluster.up(&["--gateway", "127.0.0.1:0"]);
    cluster
}

fn repair(cluster: &Cluster, cap: &str) -> Output {
    crate::truckee(cluster.gateway(), &["check", cap, "--verify", "--repair"])
}

#[test]
fn a_repair_on_request_makes_a_file_whole_to_the_last_bit() {
    let cluster = without_healing();
    let http = cluster.http();
    let content = rig::bytes(13, (3 << 20) + 5);
    let cap = http.put(&content);
    let before = shares(&cluster);
    let originals: Vec<Vec<u8>> = before
        .iter()
        .map(|share| std::fs::read(&share.path).unwrap())
        .collect();
    let is_whole = || {
        let after = shares(&cluster);
        let read = after.iter().map(|share| std::fs::read(&share.path).unwrap());
        assert!(
            read.eq(originals.iter().cloned()),
            "the shares are the uploader's"
        );
        after
    };

    // Four shares are gone, and of a fifth one bit, in whose copy its owner still believes.
    for number in [0, 1, 2, 8] {
        std::fs::remove_file(&before[number].path).unwrap();
    }
    let middle = |share: &Share| share.path.metadata().unwrap().len() / 2;
    flip(&before[4].path, middle(&before[4]));
    let said = crate::stdout(&repair(&cluster, &cap));
    assert!(said.ends_with(": Healthy (repaired)"), "{said}");
    let after = is_whole();

    // The same through the API, with a cap that cannot read the file: nobody needs the key.
    let key_less = verifier(&cap);
    flip(&after[9].path, middle(&after[9]));
    let seen = check(&http, &key_less, "&repair=true");
    assert_eq!(seen["repair-attempted"], false, "only reading finds it: {seen}");
    let repaired = check(&http, &key_less, "&verify=true&repair=true");
    assert_eq!(repaired["repair-attempted"], true, "{repaired}");
    assert_eq!(repaired["repair-successful"], true, "{repaired}");
    assert_eq!(repaired["truckee"]["shares-made"], 1, "{repaired}");
    let (was, is) = (
        &repaired["pre-repair-results"]["results"],
        &repaired["post-repair-results"]["results"],
    );
    assert_eq!(
        was["list-corrupt-shares"],
        json!([[after[9].node_id, repaired["storage-index"], 9]])
    );
    assert_eq!(
        (&is["healthy"], &is["count-corrupt-shares"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(is["count-happiness"], 10);
    let after = is_whole();

    // What is left of too few shares is left alone, and it is said why.
    for share in &after[..8] {
        std::fs::remove_file(&share.path).unwrap();
    }
    let failed = repair(&cluster, &cap);
    let said = String::from_utf8_lossy(&failed.stdout);
    assert_eq!(failed.status.code(), Some(3), "{said}");
    let why = "(not repaired: 3 shares are needed to make others but only 2 can be read";
    assert!(said.contains(why), "{said}");
    assert!(crate::stderr(&failed).contains("start the storage nodes that hold what is missing"));
    let failed = check(&http, &cap, "&repair=true");
    assert_eq!(
        (&failed["repair-attempted"], &failed["repair-successful"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(failed["post-repair-results"]["results"]["recoverable"], false);
    assert_eq!(cluster.files_of_peers("shares").len(), 2);
}

#[test]
fn a_repair_of_a_folder_tells_what_became_of_each_thing() {
    let cluster = without_healing();
    let http = cluster.http();
    let folder = String::from_utf8(http.answer("POST", "/uri?t=mkdir", &[], b"").ok()).unwrap();
    let mut paths = Vec::new();
    for (seed, name) in ["whole", "short", "lost"].into_iter().enumerate() {
        let known: Vec<std::path::PathBuf> = paths.iter().flatten().cloned().collect();
        let path = format!("/uri/{folder}/{name}");
        let stored = http.answer("PUT", &path, &[], &rig::bytes(seed as u64, 300_000));
        assert!(!stored.ok().is_empty(), "its cap");
        let files = cluster.files_of_peers("shares").into_iter().map(|(_, path)| path);
        let mut new: Vec<_> = files.filter(|path| !known.contains(path)).collect();
        new.sort_by_key(|path| path.file_name().unwrap().to_owned());
        assert_eq!(new.len(), 10, "{name}");
        paths.push(new);
    }
    for path in paths[1][..7].iter().chain(&paths[2][..8]) {
        std::fs::remove_file(path).unwrap();
    }
    let gateway = cluster.gateway();
    let done = crate::truckee(gateway, &["check", "-r", &folder, "--repair"]);
    let said = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(3), "{said}");
    assert!(said.contains("short: Healthy (repaired)"), "{said}");
    assert!(said.contains("(not repaired: 3 shares are needed"), "{said}");
    assert!(
        said.contains("4 checked, 3 healthy, 1 not healthy, 1 cannot be read, 1 repaired"),
        "{said}"
    );
    assert_eq!(cluster.files_of_peers("shares").len(), 22);
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
