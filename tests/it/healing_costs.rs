//! What it costs to make a lost disk good: a measurement, run by hand.
//!
//! `cargo test -p truckee-tests --test it -- --ignored --nocapture a_lost_disk_is_made_good_again`

use std::time::Instant;

use truckee_tests::rig::{self, Cluster, until};

use crate::program;

const FILES: usize = 64;
const FILE_BYTES: usize = 16 << 20;
const GIB: f64 = 1_073_741_824.0;

/// The usual rate, and one that the machine does not reach; looks for missing shares are hurried in both, since waiting
/// costs nothing.
const RATES: [&str; 2] = ["20 MiB", "2 GiB"];

/// User and system time of all nodes, in seconds.
fn cpu_seconds(cluster: &Cluster) -> f64 {
    let of_node = |dir: &std::path::Path| -> f64 {
        let text = std::fs::read(dir.join("run.json")).expect("a running node says who it is");
        let run: serde_json::Value = serde_json::from_slice(&text).expect("in JSON");
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", run["pid"])).expect("its process runs");
        let after_name = stat.rsplit(')').next().expect("the name is in brackets");
        let ticks = after_name.split_whitespace().skip(11).take(2);
        ticks
            .map(|ticks| ticks.parse::<f64>().expect("a number"))
            .sum::<f64>()
            / 100.0
    };
    cluster.file.nodes.iter().map(|node| of_node(&node.dir)).sum()
}

fn total(cluster: &Cluster, metric: &str) -> f64 {
    let peers = cluster.peers();
    peers.iter().map(|peer| cluster.metric(peer, metric)).sum()
}

#[test]
#[ignore = "measures; needs a quiet machine and 4 GiB of disk"]
fn a_lost_disk_is_made_good_again() {
    for rate in RATES {
        measure(rate);
    }
}

fn measure(rate: &str) {
    let mut cluster = Cluster::start(program());
    let lines = format!("[heal]\nround_seconds = 2\nsettle_seconds = 2\nbytes_per_second = \"{rate}\"");
    cluster.reconfigure(|node| (node.roles == ["storage"]).then(|| lines.clone()));
    let http = cluster.http();
    for seed in 0..FILES {
        let _cap = http.put(&rig::bytes(seed as u64, FILE_BYTES));
    }
    let peer = "storage-04";
    let held = cluster.metric(peer, "truckee_store_used_bytes");
    cluster.kill(peer);
    cluster.wipe(peer);
    cluster.restart(peer);
    cluster.wait_connected(10);
    let before = (
        cpu_seconds(&cluster),
        total(&cluster, "truckee_link_sent_bytes_total"),
        Instant::now(),
    );
    until("everything is whole again", || {
        (total(&cluster, "truckee_repair_shares_total") >= FILES as f64).then_some(())
    });
    let seconds = before.2.elapsed().as_secs_f64();
    let repaired = cluster.metric(peer, "truckee_store_used_bytes") / GIB;
    assert!(
        (repaired * GIB - held).abs() < held / 100.0,
        "{repaired} of {held}"
    );
    println!(
        "at {rate}/s a node: {seconds:.1} s for {repaired:.3} GiB, {:.0} s/GiB held; CPU of all nodes {:.1} s/GiB made; \
         sent {:.2} GiB/GiB made",
        seconds / repaired,
        (cpu_seconds(&cluster) - before.0) / repaired,
        (total(&cluster, "truckee_link_sent_bytes_total") - before.1) / GIB / repaired,
    );
}
