//! Storage peers without room: refused with a reason, nothing half-written left, and what is there stays readable.

use truckee_tests::rig::{self, Cluster, Options};

use crate::program;

/// Restarts all storage peers with a quota.
fn set_quota(cluster: &mut Cluster, bytes: u64) {
    let peers = cluster.peers();
    for name in &peers {
        cluster.kill(name);
        cluster.configure(name, &format!("[storage]\nquota_bytes = {bytes}"));
        cluster.restart(name);
    }
    cluster.wait_connected(peers.len());
}

fn nothing_unfinished(cluster: &Cluster) {
    rig::until("unfinished shares are removed", || {
        cluster.files_of_peers("incoming").is_empty().then_some(())
    });
}

#[test]
fn a_full_quota_refuses_new_files_and_serves_old_ones() {
    let mut cluster = Cluster::start_with(
        program(),
        &Options {
            peers: 3,
            ..Options::default()
        },
    );
    let http = cluster.http();
    let old = rig::bytes(1, 600_000);
    let cap = http.put(&old);
    set_quota(&mut cluster, 1_000_000);
    let answer = http.answer("PUT", "/uri", &[], &rig::bytes(2, 5_000_000));
    assert_eq!(answer.status, 507, "{}", answer.text());
    nothing_unfinished(&cluster);
    assert_eq!(
        cluster.shares_of_peers().len(),
        3,
        "the shares of the first file, no more"
    );
    assert!(http.get(&cap).ok() == old, "reading goes on");
    let small = rig::bytes(3, 1000);
    assert!(http.get(&http.put(&small)).ok() == small, "what fits is taken");
}

#[test]
fn disks_that_fill_up_in_the_middle_of_a_file_cost_their_shares_only() {
    let mut cluster = Cluster::start(program());
    let http = cluster.http();
    let content = rig::bytes(4, 12 << 20);
    // A share of this file has about 4 MiB: the write fails in its middle.
    for name in ["storage-02", "storage-05", "storage-09"] {
        cluster.kill(name);
        cluster.restart_with_small_files(name, 2048);
    }
    cluster.wait_connected(10);
    let cap = http.put(&content);
    assert!(http.get(&cap).ok() == content, "seven peers are enough");
    nothing_unfinished(&cluster);
    assert_eq!(cluster.shares_of_peers().len(), 7);

    // One more, and the file has nowhere to go.
    cluster.kill("storage-01");
    cluster.restart_with_small_files("storage-01", 2048);
    cluster.wait_connected(10);
    let answer = http.answer("PUT", "/uri", &[], &content);
    assert_eq!(answer.status, 507, "{}", answer.text());
    nothing_unfinished(&cluster);
    rig::until("the shares of the failed upload are removed", || {
        (cluster.shares_of_peers().len() == 7).then_some(())
    });
    assert!(http.get(&cap).ok() == content);
}
