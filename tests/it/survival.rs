//! The promise of the whole: any n − k storage peers and the introducer may be lost, and the file comes back.

use std::path::{Path, PathBuf};

use truckee_tests::rig::{self, Cluster};

use crate::{program, stdout};

/// The least size of the file that nobody here made.
const LARGE_BYTES: u64 = 100 << 20;

/// A compiler or library binary of at least [`LARGE_BYTES`] that is installed on this machine.
fn large_file() -> PathBuf {
    let sysroot = rig::run(Path::new("rustc"), ["--print", "sysroot"]);
    let sysroot = PathBuf::from(stdout(&sysroot));
    let large = |dir: PathBuf| {
        let files = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let mut files: Vec<PathBuf> = files.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        files
            .into_iter()
            .find(|path| path.is_file() && path.metadata().is_ok_and(|facts| facts.len() >= LARGE_BYTES))
    };
    large(sysroot.join("lib")).expect("the compiler's own library is larger than 100 MiB")
}

/// Whether two files are equal, compared by a program that is not ours.
fn assert_same(one: &Path, other: &Path) {
    let compared = rig::run(Path::new("cmp"), [one, other]);
    assert!(
        compared.status.success(),
        "{}",
        String::from_utf8_lossy(&compared.stdout)
    );
}

#[test]
fn a_large_file_survives_seven_peers_and_the_introducer() {
    let mut cluster = Cluster::start(program());
    let file = large_file();
    let copy = cluster.scratch("copy");
    let uri = format!("{}/uri", cluster.gateway());
    let upload = || stdout(&rig::curl(["-f", "-T", file.to_str().unwrap(), &uri]));
    let download = |cap: &str| {
        stdout(&rig::curl([
            "-f",
            "-o",
            copy.to_str().unwrap(),
            &format!("{uri}/{cap}"),
        ]));
        assert_same(&file, &copy);
    };
    let cap = upload();
    cluster.kill("introducer");
    let peers = cluster.peers();
    let lost = &peers[1..8];
    for name in lost {
        cluster.kill(name);
    }
    download(&cap);

    // The mesh outlives its introducer: peers come back and are found again, and uploads go on.
    for name in lost {
        cluster.restart(name);
    }
    cluster.wait_connected(10);
    let other = upload();
    assert_ne!(cap, other, "each upload has a key of its own");
    download(&other);
    download(&cap);
    assert!(
        !cluster.running().contains(&"introducer".to_owned()),
        "nobody started the introducer again"
    );
}

#[test]
fn one_share_too_few_is_said_so() {
    let mut cluster = Cluster::start(program());
    let http = cluster.http();
    let cap = http.put(&rig::bytes(1, 200_000));
    for name in &cluster.peers()[..8] {
        cluster.kill(name);
    }
    let answer = http.get(&cap);
    assert_eq!(answer.status, 410, "{}", answer.text());
    assert!(
        answer.text().contains('3'),
        "it says how many are needed: {}",
        answer.text()
    );
}

#[test]
fn too_few_peers_for_an_upload_are_said_so() {
    let mut cluster = Cluster::start(program());
    for name in &cluster.peers()[..4] {
        cluster.kill(name);
    }
    let json = [("accept", "application/json")];
    let answer = cluster
        .http()
        .answer("PUT", "/uri", &json, &rig::bytes(2, 200_000));
    assert_eq!(answer.status, 507, "{}", answer.text());
    let error: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let peers = error["error"]["peers"].as_array().unwrap();
    assert!(peers.len() >= 4, "it gives the reason per peer: {error}");
    assert!(
        peers
            .iter()
            .all(|peer| peer["message"].as_str().is_some_and(|text| !text.is_empty())),
        "{error}"
    );
}
