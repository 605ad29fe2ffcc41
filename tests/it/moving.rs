//! Nodes that leave: one that is shut out, and one whose shares are moved away first.

use std::path::Path;

use truckee_tests::rig::{self, Cluster, Node, until};

use crate::healing::{hurried, store, wait_whole};
use crate::{program, stderr, stdout};

/// Runs an operator's command on the cluster.
fn operate(cluster: &Cluster, args: &[&str]) -> std::process::Output {
    let dir = cluster.dir();
    let dir = dir.to_str().expect("a temporary directory has a plain name");
    rig::run(program(), [args, &["--cluster", dir]].concat())
}

/// Links of a node that are up, as it tells itself.
fn links(cluster: &Cluster, name: &str) -> f64 {
    cluster.metric(name, "truckee_mesh_peers{state=\"up\"}")
}

#[test]
fn a_revoked_node_is_thrown_out_by_everyone_and_what_it_held_is_made_again() {
    let mut cluster = hurried();
    let http = cluster.http();
    let (contents, caps) = store(&cluster, &[100, 70_000, 1 << 20, 2_500_000]);
    let files = contents.len();

    let unknown = operate(&cluster, &["revoke", "storage-77", "--yes"]);
    assert_eq!(unknown.status.code(), Some(4));
    assert!(
        stderr(&unknown).contains("no node storage-77 is known"),
        "{}",
        stderr(&unknown)
    );
    let unconfirmed = operate(&cluster, &["revoke", "storage-04"]);
    assert_eq!(unconfirmed.status.code(), Some(4));
    assert!(stderr(&unconfirmed).contains("--yes"), "{}", stderr(&unconfirmed));
    cluster.wait_connected(10);

    let told = stdout(&operate(&cluster, &["revoke", "storage-04", "--yes"]));
    assert!(
        told.contains("counts as lost at once") && told.contains("is revoked"),
        "{told}"
    );
    // Nobody waits for its grace: it runs, and nobody believes that it comes back.
    wait_whole(&cluster, "what it held is made again", files, &["storage-04"]);
    until("it has no link left", || {
        (links(&cluster, "storage-04") == 0.0).then_some(())
    });
    cluster.wait_connected(9);

    // The introducer first: it has to know from its disk whom to refuse.
    cluster.kill("introducer");
    cluster.restart("introducer");
    cluster.kill("storage-04");
    let dir = cluster.node("storage-04").dir.clone();
    forget_roster(&dir);
    let back = Node::start(program(), &dir);
    until("it has asked twice and is not let in", || {
        let log = back.log();
        (log.matches("does not admit this node").count() > 1).then_some(())
    });
    let again = operate(&cluster, &["revoke", "storage-04", "--yes"]);
    assert!(!again.status.success(), "{}", stdout(&again));
    cluster.wait_connected(9);
    for (cap, content) in caps.iter().zip(&contents) {
        assert!(http.get(cap).ok() == *content);
    }
}

/// As somebody does who wants back in: the node knows of no tombstone, and asks anew with the invite's secret.
fn forget_roster(dir: &Path) {
    std::fs::remove_file(dir.join("roster.bin")).expect("a member has a roster");
}

#[test]
fn a_drained_node_is_safe_to_unplug_when_the_command_says_so() {
    let mut cluster = hurried();
    let http = cluster.http();
    let (contents, caps) = store(&cluster, &[100, 70_000, 1 << 20, 2_500_000]);
    let files = contents.len();
    let held = shares_of(&cluster, "storage-03");

    let begun = operate(&cluster, &["drain", "storage-03", "--no-wait"]);
    assert!(
        stdout(&begun).contains("not safe to unplug yet"),
        "{}",
        stdout(&begun)
    );
    // It outlives a kill, and the node says so to everybody and takes nothing more.
    cluster.kill("storage-03");
    cluster.restart("storage-03");
    until("it drains again", || {
        (cluster.metric("storage-03", "truckee_store_draining") == 1.0).then_some(())
    });
    cluster.wait_connected(10);
    let further: Vec<String> = (0..5)
        .map(|seed| http.put(&rig::bytes(100 + seed, 50_000)))
        .collect();
    assert_eq!(shares_of(&cluster, "storage-03"), held, "nothing new");

    let safe = stdout(&operate(&cluster, &["drain", "storage-03"]));
    assert!(safe.contains("safe to unplug: all 4 files"), "{safe}");
    assert_eq!(shares_of(&cluster, "storage-03"), held, "nothing is removed");
    wait_whole(
        &cluster,
        "all is on the others",
        files + further.len(),
        &["storage-03"],
    );
    let status = operate(&cluster, &["drain", "storage-03", "--status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&stdout(&status)).expect("one line of JSON");
    assert_eq!(
        (&status["status"]["safe"], &status["status"]["moved_files"]),
        (&true.into(), &4.into())
    );

    // Taken at its word: it goes with everything, and six of the nine others may go as well.
    cluster.kill("storage-03");
    cluster.wipe("storage-03");
    for peer in [
        "storage-01",
        "storage-02",
        "storage-04",
        "storage-05",
        "storage-06",
        "storage-07",
    ] {
        cluster.kill(peer);
    }
    for (cap, content) in caps.iter().zip(&contents) {
        assert!(http.get(cap).ok() == *content);
    }
    let gone = operate(&cluster, &["drain", "storage-03", "--status"]);
    assert_eq!(gone.status.code(), Some(5));
    assert!(stderr(&gone).contains("no node runs in"), "{}", stderr(&gone));
}

#[test]
fn a_drain_can_be_taken_back_and_one_that_leads_nowhere_says_why() {
    let mut cluster = hurried();
    let http = cluster.http();
    let cap = http.put(&rig::bytes(3, 300_000));
    wait_whole(&cluster, "it is stored", 1, &[]);
    // All drain: nobody is left to take what they hold.
    let peers = cluster.peers();
    for peer in &peers {
        stdout(&operate(&cluster, &["drain", peer, "--no-wait"]));
    }
    let nowhere = operate(&cluster, &["drain", "storage-01"]);
    assert_eq!(nowhere.status.code(), Some(4));
    let told = String::from_utf8_lossy(&nowhere.stdout).into_owned();
    assert!(told.contains("no other node takes shares"), "{told}");
    assert!(
        http.get(&cap).ok() == rig::bytes(3, 300_000),
        "all serve what they have"
    );

    for peer in &peers {
        let undone = stdout(&operate(&cluster, &["drain", peer, "--undo"]));
        assert!(undone.contains("takes new shares"), "{undone}");
    }
    let again = http.put(&rig::bytes(4, 300_000));
    assert!(http.get(&again).ok() == rig::bytes(4, 300_000));
    cluster.kill("storage-01");
    cluster.restart("storage-01");
    assert!(
        cluster.metric("storage-01", "truckee_store_draining") == 0.0,
        "for good"
    );
    let wrong = operate(&cluster, &["drain", "gateway", "--no-wait"]);
    assert_eq!(wrong.status.code(), Some(4));
    assert!(stderr(&wrong).contains("holds no shares"), "{}", stderr(&wrong));
}

/// Shares of a peer.
fn shares_of(cluster: &Cluster, peer: &str) -> usize {
    let shares = cluster.shares_of_peers();
    shares.iter().filter(|share| share.peer == peer).count()
}
