//! Peers that neither answer nor hang up: the worst that a network does, and what SIGSTOP does to a process.

use std::io::Read;
use std::time::Duration;

use truckee_tests::rig::{self, Cluster, Http};

use crate::program;

/// Longest silence towards the client. A frozen peer is given up after about two seconds; without that, its link would be
/// given up after a minute of silence at the earliest.
const SILENCE: Duration = Duration::from_secs(15);

#[test]
fn an_upload_goes_on_without_a_peer_that_froze_before() {
    let cluster = Cluster::start(program());
    let http = Http::with_patience(cluster.gateway(), SILENCE);
    cluster.freeze("storage-04");
    for (seed, size) in [(1, 100), (2, 5 << 20)] {
        let content = rig::bytes(seed, size);
        let cap = http.put(&content);
        assert!(http.get(&cap).ok() == content, "{size} bytes, seed {seed}");
    }
    cluster.thaw("storage-04");
    cluster.wait_connected(10);
}

#[test]
fn a_download_goes_on_when_seven_peers_freeze_midway() {
    let cluster = Cluster::start(program());
    let http = Http::with_patience(cluster.gateway(), SILENCE);
    // More than what the gateway reads ahead and the sockets hold.
    let content = rig::bytes(3, 48 << 20);
    let cap = http.put(&content);
    let mut download = http.open(&cap);
    let mut got = vec![0; 1 << 20];
    download.read_exact(&mut got).unwrap();
    for name in &cluster.peers()[3..] {
        cluster.freeze(name);
    }
    download.read_to_end(&mut got).unwrap();
    assert!(got == content, "the content differs");
    for name in &cluster.peers()[3..] {
        cluster.thaw(name);
    }
    cluster.wait_connected(10);
}
