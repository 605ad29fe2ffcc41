//! `truckee up`: start, resume, grow, refuse, stop; and nothing left behind, however it ends.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use truckee::cluster::file::ClusterFile;
use truckee_tests::rig::{self, Cluster, Options};

use crate::{program, stderr};

fn small() -> Options {
    Options {
        peers: 3,
        ..Options::default()
    }
}

#[test]
fn the_cluster_file_tells_where_everything_is_while_it_runs() {
    let mut cluster = Cluster::start_with(program(), &small());
    let file = ClusterFile::read(&cluster.dir())
        .unwrap()
        .expect("it is there while the cluster runs");
    assert_eq!(file, cluster.file, "the file and the line that was printed agree");
    let mode = std::fs::metadata(cluster.dir().join("cluster.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "it holds the invite");
    assert!(file.invite.starts_with("truckee://"));
    let names: Vec<&str> = file.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "introducer",
            "vdrive-01",
            "storage-01",
            "storage-02",
            "storage-03",
            "gateway"
        ]
    );
    assert_eq!(cluster.running(), names);

    assert!(cluster.down().success());
    assert_eq!(
        ClusterFile::read(&cluster.dir()).unwrap(),
        None,
        "it is gone with the cluster"
    );
    assert_eq!(cluster.running(), [""; 0], "no node outlives the cluster");
}

#[test]
fn a_second_up_resumes_the_same_cluster_with_its_data() {
    let mut cluster = Cluster::start_with(program(), &small());
    let content = rig::bytes(3, 300_000);
    let cap = cluster.http().put(&content);
    let before = cluster.file.clone();
    assert!(cluster.down().success());

    cluster.up(&[]);
    assert_eq!(cluster.file.gateway, before.gateway);
    assert_eq!(cluster.file.invite, before.invite);
    assert_eq!(cluster.peers().len(), 3);
    assert!(cluster.http().get(&cap).ok() == content);
    assert!(cluster.down().success());

    cluster.up(&["--peers", "5"]);
    assert_eq!(cluster.peers().len(), 5, "a cluster can grow");
    assert!(cluster.http().get(&cap).ok() == content);
    assert!(cluster.down().success());

    let shrink = rig::run(
        program(),
        ["up", "--peers", "2", "--dir", cluster.dir().to_str().unwrap()],
    );
    assert_eq!(shrink.status.code(), Some(4), "{}", stderr(&shrink));
    assert!(stderr(&shrink).contains("has 5 peers"), "{}", stderr(&shrink));
}

#[test]
fn a_cluster_that_was_made_without_a_vdrive_gets_one() {
    const SAID: &str = "this cluster had no vdrive";
    let mut cluster = Cluster::start_with(program(), &small());
    let content = rig::bytes(4, 100_000);
    let cap = cluster.http().put(&content);
    assert!(!cluster.up_stderr().contains(SAID), "{}", cluster.up_stderr());
    assert!(cluster.down().success());
    std::fs::remove_dir_all(cluster.dir().join("nodes/vdrive-01")).unwrap();

    cluster.up(&[]);
    assert_eq!(cluster.running()[1], "vdrive-01");
    assert!(cluster.up_stderr().contains(SAID), "{}", cluster.up_stderr());
    let http = cluster.http();
    let directory = crate::drive::make_directory(&http);
    let put = http.answer("PUT", &format!("/uri/{directory}/a"), &[], b"small");
    assert_eq!(put.status, 201, "{}", put.text());
    assert!(http.get(&cap).ok() == content);
    assert!(cluster.down().success());

    cluster.up(&[]);
    assert_eq!(cluster.up_stderr().matches(SAID).count(), 1, "it has one now");
    let names = crate::drive::children(&cluster.http(), &directory);
    assert_eq!(names.into_keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_concurrent_up_is_refused_and_does_no_harm() {
    let cluster = Cluster::start_with(program(), &small());
    let second = rig::run(program(), ["up", "--dir", cluster.dir().to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(4), "{}", stderr(&second));
    assert!(
        stderr(&second).contains("another `truckee up`"),
        "{}",
        stderr(&second)
    );
    assert_eq!(cluster.running().len(), 6);
    assert!(
        ClusterFile::read(&cluster.dir()).unwrap().is_some(),
        "the first one's file is still there"
    );
}

#[test]
fn a_running_nodes_directory_is_refused() {
    let cluster = Cluster::start_with(program(), &small());
    let dir = &cluster.node("storage-01").dir;
    let second = rig::run(program(), ["run", "--dir", dir.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(4), "{}", stderr(&second));
    assert!(stderr(&second).contains("in use"), "{}", stderr(&second));
    assert_eq!(cluster.running().len(), 6);
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left_running() {
    let dir = tempfile::tempdir().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let target = dir.path().join("cluster");
    let args = [
        "up",
        "--peers",
        "1",
        "--gateway",
        &address,
        "--dir",
        target.to_str().unwrap(),
    ];
    let refused = rig::run(program(), args);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    let said = stderr(&refused);
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    assert!(said.contains(&address) && said.contains("gateway"), "{said}");
    assert_eq!(nodes_running_below(&target), 0, "no node is left running");
    assert_eq!(ClusterFile::read(&target).unwrap(), None);
}

#[test]
fn nodes_do_not_outlive_a_killed_up() {
    let mut cluster = Cluster::start_with(program(), &small());
    cluster.kill_up();
    rig::until("all nodes have noticed", || {
        cluster.running().is_empty().then_some(())
    });
    // The stale file and pids do not keep the next one from starting.
    cluster.up(&[]);
    assert_eq!(cluster.running().len(), 6);
}

#[test]
fn a_frozen_node_does_not_keep_the_cluster_from_stopping() {
    let mut cluster = Cluster::start_with(program(), &small());
    cluster.freeze("storage-02");
    assert!(cluster.down().success());
    assert_eq!(cluster.running(), [""; 0]);
}

#[test]
fn a_dead_node_is_reported_and_stays_dead() {
    let mut cluster = Cluster::start_with(program(), &small());
    cluster.kill("storage-02");
    rig::until("the death is reported", || {
        cluster.up_stderr().contains("storage-02 has died").then_some(())
    });
    assert_eq!(cluster.running().len(), 5);
    assert_eq!(cluster.file, ClusterFile::read(&cluster.dir()).unwrap().unwrap());
    cluster.restart("storage-02");
    cluster.wait_connected(3);
}

#[test]
fn a_node_that_somebody_starts_again_belongs_to_the_cluster_again() {
    let mut cluster = Cluster::start_with(program(), &small());
    cluster.kill("storage-02");
    cluster.restart("storage-02");
    let after = cluster.node("storage-02").pid;
    rig::until("cluster.json names it", || {
        let file = ClusterFile::read(&cluster.dir()).unwrap()?;
        file.nodes.iter().any(|node| node.pid == after).then_some(())
    });
    assert!(
        cluster.up_stderr().contains("storage-02 was started again"),
        "{}",
        cluster.up_stderr()
    );
    assert!(cluster.down().success());
    assert_eq!(cluster.running(), [""; 0], "it is stopped with the others");
}

#[test]
fn with_restart_a_dead_node_comes_back() {
    let args = vec!["--restart".to_owned()];
    let mut cluster = Cluster::start_with(program(), &Options { args, ..small() });
    let before = cluster.node("storage-02").pid;
    cluster.kill("storage-02");
    let after = rig::until("storage-02 is back", || {
        let file = ClusterFile::read(&cluster.dir()).unwrap()?;
        file.nodes
            .into_iter()
            .find(|node| node.name == "storage-02" && node.pid != before)
    });
    assert!(rig::is_alive(after.pid));
    cluster.wait_connected(3);
    cluster.file = ClusterFile::read(&cluster.dir()).unwrap().unwrap();
}

/// Processes whose command line names a directory below `dir`.
fn nodes_running_below(dir: &std::path::Path) -> usize {
    let dir = dir.to_str().expect("a temporary directory has a plain name");
    let processes = std::fs::read_dir("/proc")
        .expect("this is Linux")
        .filter_map(Result::ok);
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(dir))
        .count()
}

#[test]
fn the_doctor_has_every_node_write_its_recent_events() {
    let options = Options {
        peers: 3,
        ..Options::default()
    };
    let mut cluster = Cluster::start_with(program(), &options);
    let cap = cluster.http().put(&rig::bytes(1, 100_000));
    cluster.kill("storage-02");
    let dir = cluster.dir().display().to_string();
    let output = crate::truckee(cluster.gateway(), &["doctor", "--cluster", &dir]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "a node is dead: {said}");
    let key = cap.split(':').nth(2).unwrap();
    for name in ["introducer", "storage-01", "storage-03", "vdrive-01", "gateway"] {
        let line = format!("ok   {name} recent events: in ");
        let path = said
            .lines()
            .find_map(|found| found.strip_prefix(&line))
            .expect(&said);
        let events = fs::read_to_string(path).unwrap();
        assert!(
            events.contains("somebody asked for it") && events.contains("node runs"),
            "{events}"
        );
        assert!(!events.contains(key), "a cap in the events of {name}");
        assert!(rig::is_alive(cluster.node(name).pid), "{name} lives on");
    }
    assert!(!said.contains("storage-02 recent events"), "{said}");
    assert_eq!(cluster.http().get(&cap).ok(), rig::bytes(1, 100_000));
}
