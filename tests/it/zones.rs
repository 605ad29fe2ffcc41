//! A zone is what burns at once: a rack, a house. Files outlive it, and are made whole in those that are left.

use std::collections::{BTreeMap, BTreeSet};

use truckee_tests::rig::{self, Cluster, until};

use crate::program;

const ZONES: [&str; 3] = ["attic", "cellar", "garage"];

/// Seconds instead of minutes.
const HURRIED: &str =
    "\n[heal]\ngrace_seconds = 3\nround_seconds = 1\nsettle_seconds = 1\nbytes_per_second = \"500 MiB\"\n";

/// Peer 1 is in the first zone, peer 2 in the second, and so on in turns.
fn zone_of(peer: &str) -> usize {
    let number: usize = peer.trim_start_matches("storage-").parse().expect("a number");
    (number - 1) % ZONES.len()
}

fn in_zones() -> Cluster {
    let mut cluster = Cluster::start(program());
    assert!(cluster.down().success());
    for node in cluster.file.nodes.iter().filter(|node| node.roles == ["storage"]) {
        let path = node.dir.join("truckee.toml");
        let before = std::fs::read_to_string(&path).expect("a node has a configuration");
        assert!(!before.contains("zone ="), "{before}");
        let zone = ZONES[zone_of(&node.name)];
        let text = format!("zone = \"{zone}\"\n{before}{HURRIED}");
        std::fs::write(&path, text).expect("it can be written");
    }
    cluster.up(&["--gateway", "127.0.0.1:0"]);
    cluster
}

/// The shares of each file in each zone, on disks of peers that are not `gone`.
fn spread(cluster: &Cluster, gone: &[usize]) -> BTreeMap<String, [BTreeSet<String>; 3]> {
    let mut files: BTreeMap<String, [BTreeSet<String>; 3]> = BTreeMap::new();
    for share in cluster.shares_of_peers() {
        let zone = zone_of(&share.peer);
        if !gone.contains(&zone) {
            files.entry(share.file).or_default()[zone].insert(share.number);
        }
    }
    files
}

fn kill_zone(cluster: &mut Cluster, zone: usize) {
    for peer in cluster.peers() {
        if zone_of(&peer) == zone {
            cluster.kill(&peer);
        }
    }
}

#[test]
fn one_zone_after_the_other_burns_and_every_file_outlives_it() {
    let mut cluster = in_zones();
    let http = cluster.http();
    let contents: Vec<Vec<u8>> = (0..8).map(|seed| rig::bytes(seed, 40_000)).collect();
    let caps: Vec<String> = contents.iter().map(|content| http.put(content)).collect();
    for zones in spread(&cluster, &[]).values() {
        let counts = zones.each_ref().map(BTreeSet::len);
        assert!(counts.iter().all(|count| (3..=4).contains(count)), "{counts:?}");
    }
    let all_are_readable = || {
        for (cap, content) in caps.iter().zip(&contents) {
            assert!(http.get(cap).ok() == *content);
        }
    };
    // The largest zone: four of ten peers.
    kill_zone(&mut cluster, 0);
    all_are_readable();
    until("all shares are made again in the zones that are left", || {
        let files = spread(&cluster, &[0]);
        let whole =
            |zones: &[BTreeSet<String>; 3]| zones.iter().flatten().collect::<BTreeSet<_>>().len() == 10;
        (files.len() == contents.len() && files.values().all(whole)).then_some(())
    });
    for (file, zones) in spread(&cluster, &[0]) {
        let counts = zones.each_ref().map(BTreeSet::len);
        assert!(counts[1].min(counts[2]) >= 3, "{file}: {counts:?}");
    }
    kill_zone(&mut cluster, 1);
    all_are_readable();
}
