//! Leases over a whole cluster: what would go for want of a renewal, and that a renewal keeps it.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use truckee_tests::rig::{self, Cluster};

use crate::{program, stderr, stdout, truckee};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What `truckee gc --dry-run` says of a node, with leases over after so many days.
fn dry_run(cluster: &Cluster, peer: &str, days: &str) -> Value {
    let dir = cluster.node(peer).dir.display().to_string();
    let args = ["gc", "--dry-run", "--json", "--dir", &dir, "--expire-days", days];
    serde_json::from_str(&stdout(&rig::run(program(), args))).expect("one line of JSON")
}

/// As if all that lies on the disks of peers had been written so long ago.
fn grow_old(cluster: &Cluster, age: Duration) {
    for (_, path) in cluster.files_of_peers("shares") {
        let file = File::open(path).expect("a share");
        file.set_modified(SystemTime::now() - age).expect("its owner may");
    }
}

fn shares_on_disk(cluster: &Cluster) -> Vec<(String, std::path::PathBuf)> {
    let mut found = cluster.files_of_peers("shares");
    found.sort();
    found
}

/// Three files in a directory that has a name.
fn keep_three(cluster: &Cluster) {
    let aliases = aliases(cluster);
    let run = |args: &[&str]| {
        stdout(&truckee(
            cluster.gateway(),
            &[args, &["--aliases", &aliases]].concat(),
        ));
    };
    run(&["alias", "create", "kept"]);
    run(&["mkdir", "kept:deep"]);
    for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
        let file = cluster.scratch(name);
        std::fs::write(&file, rig::bytes(at as u64 + 2, 300_000)).expect("writable");
        run(&[
            "put",
            file.to_str().expect("a name of the test"),
            &format!("kept:deep/{name}"),
        ]);
    }
}

#[test]
fn what_nobody_renewed_would_go_and_what_was_renewed_would_not() {
    let mut cluster = Cluster::start(program());
    let http = cluster.http();
    let loose = http.put(&rig::bytes(1, 240_000));
    keep_three(&cluster);
    grow_old(&cluster, DAY * 100);
    let before = shares_on_disk(&cluster);
    let peer = "storage-03";
    let all = dry_run(&cluster, peer, "90");
    assert_eq!(
        (all["shares"].clone(), all["shares_held"].clone()),
        (json!(4), json!(4)),
        "{all}"
    );
    assert_eq!(all["on"], false, "nothing goes by itself");
    assert_eq!(dry_run(&cluster, peer, "110")["shares"], 0);

    let renew = |what: &str| {
        truckee(
            cluster.gateway(),
            &["renew", what, "--aliases", &aliases(&cluster)],
        )
    };
    let said = stdout(&renew("kept:"));
    assert_eq!(said, "3 files renewed at 10 of 10 storage nodes");
    for peer in cluster.peers() {
        let left = dry_run(&cluster, &peer, "90");
        assert_eq!(
            left["shares"], 1,
            "{peer}: the file that is in no directory: {left}"
        );
        assert_ne!(left["oldest_lease"], left["youngest_lease"]);
    }
    assert_eq!(shares_on_disk(&cluster), before, "a dry run changes nothing");
    let renewed: f64 = cluster.metric(peer, "truckee_store_leases_renewed_total");
    assert!((renewed - 3.0).abs() < 0.5, "{renewed}");

    let nobodys =
        "URI:CHK:aaaaaaaaaaaaaaaaaaaaaaaaaa:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:3:10:1000";
    let strange = renew(nobodys);
    assert_eq!(strange.status.code(), Some(3), "{}", stderr(&strange));

    cluster.kill("storage-10");
    let one_missing = truckee(cluster.gateway(), &["renew", &loose]);
    assert_eq!(one_missing.status.code(), Some(7), "{}", stderr(&one_missing));
    assert_eq!(dry_run(&cluster, peer, "90")["shares"], 0);
    assert_eq!(
        dry_run(&cluster, "storage-10", "90")["shares"],
        1,
        "it was not reached"
    );

    // Leases outlive a restart, and the node keeps the days that it has counted.
    cluster.restart("storage-10");
    cluster.wait_connected(10);
    stdout(&truckee(cluster.gateway(), &["renew", &loose]));
    assert_eq!(dry_run(&cluster, "storage-10", "90")["shares"], 0);
    assert!(cluster.node("storage-10").dir.join("gc.json").exists());
    assert!(http.get(&loose).ok() == rig::bytes(1, 240_000));
}

fn aliases(cluster: &Cluster) -> String {
    cluster.scratch("aliases").display().to_string()
}

#[test]
fn a_look_at_what_is_no_storage_node_says_so() {
    let dir = Path::new("/nonexistent/node");
    let missing = rig::run(
        program(),
        ["gc", "--dry-run", "--dir", dir.to_str().expect("text")],
    );
    assert!(!missing.status.success());
    assert!(
        stderr(&missing).contains("/nonexistent/node"),
        "{}",
        stderr(&missing)
    );
    let not_dry = rig::run(program(), ["gc"]);
    assert_eq!(not_dry.status.code(), Some(2), "nothing is collected by hand");
}
