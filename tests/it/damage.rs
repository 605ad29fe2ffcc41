//! What goes wrong with a storage peer's files: found, never served, made good by the other shares.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use truckee_tests::rig::{self, Cluster};

use crate::{program, stderr};

/// Changes one byte of a file.
fn flip(path: &Path, at: u64) {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("a share can be opened");
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))
        .and_then(|_| file.read_exact(&mut byte))
        .expect("the place is inside");
    byte[0] ^= 0x40;
    file.seek(SeekFrom::Start(at))
        .and_then(|_| file.write_all(&byte))
        .expect("a share can be changed");
}

/// The share files of the only file in the cluster.
fn shares(cluster: &Cluster) -> Vec<PathBuf> {
    let shares: Vec<PathBuf> = cluster
        .files_of_peers("shares")
        .into_iter()
        .map(|(_, path)| path)
        .collect();
    assert_eq!(shares.len(), 10, "one share on each peer: {shares:?}");
    shares
}

fn length(path: &Path) -> u64 {
    path.metadata().expect("the share is there").len()
}

#[test]
fn seven_shares_damaged_in_every_part_do_not_matter() {
    let cluster = Cluster::start(program());
    let http = cluster.http();
    let content = rig::bytes(1, (5 << 20) + 7);
    let cap = http.put(&content);
    let shares = shares(&cluster);
    let size = length(&shares[0]);
    // Header, blocks at the beginning, in the middle and behind the last one, trees and roots, the copy of all hashes, footer.
    let places = [
        0,
        300,
        size / 2,
        size * 97 / 100,
        size - 2_000,
        size - 400,
        size - 10,
    ];
    for (share, place) in shares.iter().zip(places) {
        flip(share, place);
    }
    for _ in 0..2 {
        assert!(http.get(&cap).ok() == content, "the content differs");
    }
}

#[test]
fn what_cannot_be_restored_is_never_served_wrong() {
    let cluster = Cluster::start(program());
    let http = cluster.http();
    let content = rig::bytes(2, (5 << 20) + 7);
    let cap = http.put(&content);
    // Two whole shares are left, and eight whose every fourth KiB is damaged: no segment can be restored.
    for share in &shares(&cluster)[2..] {
        for at in (0..length(share)).step_by(4096) {
            flip(share, at);
        }
    }
    match http.send("GET", &format!("/uri/{cap}"), &[], b"") {
        Err(_) => {}
        Ok(answer) => {
            assert!(
                answer.status == 410 || answer.broken.is_some(),
                "answered {}",
                answer.status
            );
            if answer.status == 200 {
                assert!(content.starts_with(&answer.body), "wrong bytes were served");
            }
        }
    }
}

#[test]
fn cut_emptied_and_missing_shares_do_not_matter() {
    let cluster = Cluster::start(program());
    let http = cluster.http();
    let content = rig::bytes(3, 2 << 20);
    let cap = http.put(&content);
    let shares = shares(&cluster);
    for (at, share) in shares[..7].iter().enumerate() {
        let keep = length(share) * at as u64 / 7;
        if at == 3 {
            std::fs::remove_file(share).unwrap();
        } else {
            OpenOptions::new()
                .write(true)
                .open(share)
                .unwrap()
                .set_len(keep)
                .unwrap();
        }
    }
    assert!(http.get(&cap).ok() == content, "the content differs");
}

#[test]
fn damage_that_nobody_asks_about_is_found_and_put_aside() {
    let mut cluster = Cluster::start(program());
    let node = "storage-04";
    cluster.kill(node);
    cluster.configure(
        node,
        "[storage]\nscrub_bytes_per_second = \"1 GiB\"\nscrub_round_days = 0",
    );
    cluster.restart(node);
    cluster.wait_connected(10);
    let http = cluster.http();
    let content = rig::bytes(6, 3 << 20);
    let cap = http.put(&content);
    let is_of_node = |(name, path): (String, PathBuf)| (name == node).then_some(path);
    let shares: Vec<PathBuf> = cluster
        .files_of_peers("shares")
        .into_iter()
        .filter_map(is_of_node)
        .collect();
    assert_eq!(shares.len(), 1, "{shares:?}");
    let corrupt = |found_by: &str| {
        let metric = format!("truckee_store_corrupt_shares_total{{found_by=\"{found_by}\"}}");
        cluster.metric(node, &metric)
    };
    assert_eq!(corrupt("scrub"), 0.0);
    // In the middle of a block, where only a hash tells.
    flip(&shares[0], length(&shares[0]) / 2);
    rig::until("the damage is found", || (corrupt("scrub") > 0.0).then_some(()));
    assert_eq!(
        (corrupt("scrub"), corrupt("read"), corrupt("write")),
        (1.0, 0.0, 0.0)
    );
    assert_eq!(
        cluster.metric(node, "truckee_store_read_bytes_total"),
        0.0,
        "nobody read it"
    );
    assert!(!shares[0].exists(), "it is not where it would be served from");
    let aside = cluster.files_of_peers("quarantine");
    let [(where_from, path)] = &aside[..] else {
        panic!("one file is put aside: {aside:?}")
    };
    let index = shares[0]
        .parent()
        .and_then(Path::file_name)
        .expect("the storage index");
    let name = path
        .file_name()
        .expect("has a name")
        .to_string_lossy()
        .into_owned();
    assert!(
        where_from == node && name.starts_with(&*index.to_string_lossy()),
        "{aside:?}"
    );
    assert!(
        cluster.node(node).dir.join("scrub.json").is_file(),
        "it keeps its place"
    );
    assert!(http.get(&cap).ok() == content, "the others are enough");
}

#[test]
fn kill_in_the_middle_of_an_upload_leaves_no_trace_after_a_restart() {
    let mut cluster = Cluster::start(program());
    let http = cluster.http();
    let stream = http.begin_put(64 << 20, &rig::bytes(4, 8 << 20));
    rig::until("the upload has reached storage-05", || {
        cluster
            .files_of_peers("incoming")
            .iter()
            .any(|(name, _)| name == "storage-05")
            .then_some(())
    });
    cluster.kill("storage-05");
    cluster.kill("gateway");
    drop(stream);
    cluster.restart("storage-05");
    cluster.restart("gateway");
    rig::until("unfinished shares are removed", || {
        cluster.files_of_peers("incoming").is_empty().then_some(())
    });
    assert_eq!(cluster.shares_of_peers(), []);
    cluster.wait_connected(10);
    let content = rig::bytes(5, 100_000);
    assert!(http.get(&http.put(&content)).ok() == content);
}

#[test]
fn all_errors_of_a_configuration_are_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("node");
    let node = node.to_str().unwrap();
    let made = rig::run(program(), ["init", "--dir", node, "--role", "introducer"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let config = dir.path().join("node/truckee.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("roles = [\"introducer\"]", "roles = [\"introducer\", \"baker\"]");
    std::fs::write(
        &config,
        format!("colour = \"red\"\n{text}\n[log]\nlevel = \"loudest\"\n"),
    )
    .unwrap();
    let run = rig::run(program(), ["run", "--dir", node]);
    assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
    for part in ["colour", "baker", "level", "truckee.toml: line 1"] {
        assert!(
            stderr(&run).contains(part),
            "{part:?} is missing in\n{}",
            stderr(&run)
        );
    }
}
