//! Peers are added to a cluster, and get their part of what is there.

use std::collections::{BTreeMap, BTreeSet};

use truckee_tests::rig::{Cluster, until};

use crate::healing::{store, wait_whole};
use crate::program;

/// Seconds instead of an hour.
const HURRIED: &str = "[heal]\ngrace_seconds = 3\nround_seconds = 1\nsettle_seconds = 1\nbytes_per_second = \"500 MiB\"\n\
                       placing_seconds = 3\nplacing_bytes_per_second = \"500 MiB\"";

#[test]
fn peers_that_are_new_get_their_part_and_every_share_stays_whole_on_a_peer_of_its_own() {
    let mut cluster = Cluster::start(program());
    let sizes: Vec<usize> = (0..24).map(|file| 100 + file * file * 5_000).collect();
    let (contents, caps) = store(&cluster, &sizes);
    let files = contents.len();
    assert!(cluster.down().success());
    cluster.up(&["--peers", "14", "--gateway", "127.0.0.1:0"]);
    cluster.reconfigure(|node| (node.roles == ["storage"]).then(|| HURRIED.to_owned()));

    let new = |peer: &str| ["storage-11", "storage-12", "storage-13", "storage-14"].contains(&peer);
    let on_new = |cluster: &Cluster| {
        let all = cluster.shares_of_peers();
        all.iter().filter(|share| new(&share.peer)).count()
    };
    // Ten of fourteen hold a share of each file: 240 shares, of which the new ones get 69 on average. Less than half of that
    // comes with a chance of one in a million.
    until(
        "the new peers have got their part and nothing is there twice",
        || {
            wait_whole(&cluster, "each share is somewhere all the time", files, &[]);
            let copies = cluster.shares_of_peers().len();
            (on_new(&cluster) > 35 && copies == 10 * files).then_some(())
        },
    );
    // They move in waves. Between two of them all is in order, also what the nodes say of it.
    let mut seen = String::new();
    until(
        "what was moved lies in the trash, and each share on a peer of its own",
        || {
            let before = on_new(&cluster);
            let left = total(&cluster, "truckee_trim_copies{state=\"leaving\"}");
            let moved = total(&cluster, "truckee_trim_moved_total");
            let trash = total(&cluster, "truckee_store_trash_shares");
            let peers = peers_of_files(&cluster);
            let now = format!(
                "{before} on new peers, {left} leaving, {moved} moved, {trash} in the trash; {peers:?}"
            );
            if now != seen {
                eprintln!("{now}");
                seen = now;
            }
            let is_settled = left == 0.0 && on_new(&cluster) == before;
            (is_settled && [moved, trash] == [before as f64; 2] && peers == vec![10; files]).then_some(())
        },
    );

    let http = cluster.http();
    for (cap, content) in caps.iter().zip(&contents) {
        assert!(http.get(cap).ok() == *content);
    }
}

fn total(cluster: &Cluster, metric: &str) -> f64 {
    let peers = cluster.peers();
    peers.iter().map(|peer| cluster.metric(peer, metric)).sum()
}

/// On how many peers the shares of each file lie.
fn peers_of_files(cluster: &Cluster) -> Vec<usize> {
    let mut peers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for share in cluster.shares_of_peers() {
        peers.entry(share.file).or_default().insert(share.peer);
    }
    peers.values().map(BTreeSet::len).collect()
}
