//! A peer that was away comes back with shares that were made again meanwhile.

use truckee_tests::rig::{Cluster, Options, until};

use crate::healing::{store, wait_whole};
use crate::program;

/// Seconds instead of hours and days.
const HURRIED: &str = "[heal]\ngrace_seconds = 2\nround_seconds = 1\nsettle_seconds = 1\nbytes_per_second = \"500 MiB\"\n\
                       surplus_seconds = 3\nsurplus_grace_seconds = 2";

#[test]
fn copies_that_a_peer_brings_back_go_into_the_trash_and_every_share_stays() {
    let twelve = Options {
        peers: 12,
        ..Options::default()
    };
    let mut cluster = Cluster::start_with(program(), &twelve);
    cluster.reconfigure(|node| (node.roles == ["storage"]).then(|| HURRIED.to_owned()));
    let http = cluster.http();
    let (contents, caps) = store(&cluster, &[100, 3_000, 70_000, 1 << 20, 2_500_000, 60_000]);
    let files = contents.len();
    let copies = |cluster: &Cluster| cluster.shares_of_peers().len();
    assert_eq!(copies(&cluster), 10 * files);

    let away = ["storage-06", "storage-11"];
    for peer in away {
        cluster.kill(peer);
    }
    wait_whole(&cluster, "what they held is made again", files, &away);
    let surplus = copies(&cluster) - 10 * files;
    assert!(surplus > 0, "they held something");
    for peer in away {
        cluster.restart(peer);
    }
    until("one copy of each share is left", || {
        wait_whole(&cluster, "each share is somewhere all the time", files, &[]);
        (copies(&cluster) == 10 * files).then_some(())
    });
    let peers = cluster.peers();
    let trash = peers
        .iter()
        .map(|peer| cluster.metric(peer, "truckee_store_trash_shares"));
    assert_eq!(trash.sum::<f64>(), surplus as f64, "moved, and not deleted");
    for (cap, content) in caps.iter().zip(&contents) {
        assert!(http.get(cap).ok() == *content);
    }
    let repairs = |cluster: &Cluster| -> f64 {
        let peers = cluster.peers();
        peers
            .iter()
            .map(|peer| cluster.metric(peer, "truckee_repair_shares_total"))
            .sum()
    };
    let dropped: f64 = cluster
        .peers()
        .iter()
        .map(|peer| cluster.metric(peer, "truckee_trim_dropped_total"))
        .sum();
    assert_eq!(dropped, surplus as f64);
    let before = repairs(&cluster);
    let rounds = cluster.metric("storage-01", "truckee_heal_rounds_total");
    until("all have looked again", || {
        (cluster.metric("storage-01", "truckee_heal_rounds_total") > rounds + 5.0).then_some(())
    });
    assert_eq!(repairs(&cluster), before, "nobody misses what went");
}
