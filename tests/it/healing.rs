//! A grid makes missing shares again by itself: nobody asks for it, and nobody has the keys.

use std::collections::{BTreeMap, BTreeSet};

use truckee_tests::rig::{self, Cluster, until};

use crate::program;

/// A cluster of ten peers that lose no time.
pub(crate) fn hurried() -> Cluster {
    let mut cluster = Cluster::start(program());
    cluster.hurry_healing();
    cluster
}

/// The share numbers of each file that lie on disks of peers other than `without`.
fn shares(cluster: &Cluster, without: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for share in cluster.shares_of_peers() {
        if !without.contains(&share.peer.as_str()) {
            files.entry(share.file).or_default().insert(share.number);
        }
    }
    files
}

/// Stores files of these sizes, each unlike the others, and waits until all of their shares are there. Their contents and
/// caps.
pub(crate) fn store(cluster: &Cluster, sizes: &[usize]) -> (Vec<Vec<u8>>, Vec<String>) {
    let http = cluster.http();
    let contents: Vec<Vec<u8>> = sizes
        .iter()
        .enumerate()
        .map(|(seed, bytes)| rig::bytes(seed as u64, *bytes))
        .collect();
    let caps = contents.iter().map(|content| http.put(content)).collect();
    wait_whole(cluster, "everything is stored", sizes.len(), &[]);
    (contents, caps)
}

/// Waits until all ten shares of each of `files` files lie on disks of peers other than `without`.
pub(crate) fn wait_whole(cluster: &Cluster, what: &str, files: usize, without: &[&str]) {
    until(what, || {
        let shares = shares(cluster, without);
        (shares.len() == files && shares.values().all(|numbers| numbers.len() == 10)).then_some(())
    });
}

#[test]
fn three_wiped_peers_and_one_that_is_gone_are_made_up_for() {
    let mut cluster = hurried();
    let http = cluster.http();
    let (contents, caps) = store(&cluster, &[100, 3_000, 70_000, 1 << 20, 2_500_000, 60_000]);
    let files = contents.len();

    let wiped = ["storage-02", "storage-05", "storage-09"];
    // All at once: a node that made shares again and is killed has forgotten that it did.
    for peer in wiped {
        cluster.kill(peer);
        cluster.wipe(peer);
    }
    for peer in wiped {
        cluster.restart(peer);
    }
    wait_whole(&cluster, "what three wiped peers held is made again", files, &[]);
    let made: f64 = cluster
        .peers()
        .iter()
        .map(|peer| cluster.metric(peer, "truckee_repair_shares_total"))
        .sum();
    assert!(made >= 3.0 * files as f64, "{made}");

    cluster.kill("storage-01");
    wait_whole(
        &cluster,
        "what a peer held that does not come back is made again",
        files,
        &["storage-01"],
    );
    // Whole again means that any seven more may go.
    for peer in [
        "storage-03",
        "storage-04",
        "storage-06",
        "storage-07",
        "storage-08",
        "storage-10",
    ] {
        cluster.kill(peer);
    }
    for (cap, content) in caps.iter().zip(&contents) {
        assert!(http.get(cap).ok() == *content, "the three wiped ones hold enough");
    }
    let _told: f64 = cluster.metric("storage-02", "truckee_heal_rounds_total");
}

#[test]
fn a_peer_that_comes_back_within_its_grace_costs_no_repair() {
    let mut cluster = Cluster::start(program());
    let http = cluster.http();
    let cap = http.put(&rig::bytes(9, 500_000));
    until("all have compared what they hold", || {
        let peers = cluster.peers();
        let rounds = peers
            .iter()
            .map(|peer| cluster.metric(peer, "truckee_heal_rounds_total"));
        rounds.fold(f64::MAX, f64::min).ge(&1.0).then_some(())
    });
    cluster.kill("storage-07");
    cluster.restart("storage-07");
    cluster.wait_connected(10);
    assert!(http.get(&cap).ok() == rig::bytes(9, 500_000));
    let started: f64 = cluster
        .peers()
        .iter()
        .map(|peer| cluster.metric(peer, "truckee_repair_started_total"))
        .sum();
    assert!(started == 0.0, "{started} repairs");
}
