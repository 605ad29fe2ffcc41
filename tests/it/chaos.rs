//! `truckee chaos` against real processes: it passes where the cluster is right, leaves it running, and undoes what a killed
//! run has left behind. That it finds what is wrong is shown in `ops`, against a gateway that lies.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use truckee::cluster::file::ClusterFile;
use truckee_tests::rig::{self, Cluster, Options, Signal};

use crate::{program, stderr};

/// Runs an attack; gives how it ended, and its report.
fn attack(args: &[&str]) -> (Output, Value) {
    let output = rig::run(program(), [&["chaos", "--json"], args].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let report =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{}", stderr(&output)));
    (output, report)
}

fn kinds(report: &Value) -> BTreeSet<&str> {
    let faults = report["faults"].as_array().expect("a list of faults");
    faults
        .iter()
        .filter_map(|span| span["fault"]["kind"].as_str())
        .collect()
}

/// A small cluster that somebody else runs.
fn others() -> Cluster {
    let peers = 5;
    Cluster::start_with(
        program(),
        &Options {
            peers,
            ..Options::default()
        },
    )
}

#[test]
fn a_cluster_under_attack_keeps_its_promises() {
    let faults = "kill,restart,freeze,vdrive,flip";
    let temporary = tempfile::tempdir().unwrap();
    let text = temporary.path().join("report.txt");
    let run = [
        "--seed",
        "11",
        "--minutes",
        "0.6",
        "--peers",
        "5",
        "--faults",
        faults,
    ];
    let (output, report) = attack(&[&run[..], &["--report", text.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}: {report:#}", stderr(&output));
    assert_eq!(
        kinds(&report),
        faults.split(',').collect(),
        "{:#}",
        report["plan"]
    );
    assert_eq!(report["violations"], 0);
    assert_eq!(report["files"]["acknowledged"], report["files"]["intact"]);
    for figure in ["compared_bytes", "listings", "restarts"] {
        assert!(report[figure].as_u64() > Some(0), "{figure}: {report:#}");
    }
    assert!(report["changes"]["acknowledged"].as_u64() > Some(0));
    let text = std::fs::read_to_string(text).unwrap();
    for part in ["TIMELINE", "PROMISES", "truckee chaos --seed 11 --minutes 0.6"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn links_and_disks_fail_too_and_beyond_the_budget_only_files_are_lost() {
    let faults = ["--faults", "cut,one-way,slow,throttle,truncate"];
    let run = ["--seed", "5", "--minutes", "0.6", "--peers", "5", "--beyond"];
    let (output, report) = attack(&[run.as_slice(), &faults].concat());
    assert_eq!(output.status.code(), Some(10), "{}: {report:#}", stderr(&output));
    assert_eq!(report["violations"], 0);
    let seen = kinds(&report);
    assert!(seen.contains("blackout") && seen.contains("ruin"), "{seen:?}");
    assert!(
        ["cut", "one-way", "slow", "throttle"]
            .iter()
            .any(|kind| seen.contains(kind)),
        "{seen:?}"
    );
    let files = &report["files"];
    let lost = files["lost"].as_array().expect("a list").len() as u64;
    assert!(lost > 0, "{files}");
    assert_eq!(
        files["intact"].as_u64().map(|intact| intact + lost),
        files["acknowledged"].as_u64()
    );
    let too_few = &report["requests"]["download"]["errors"]["410"];
    assert!(
        too_few.as_u64() > Some(0),
        "during the blackout files are refused as they must be: {report:#}"
    );
}

#[test]
fn somebody_elses_cluster_runs_on_after_the_attack() {
    let mut cluster = others();
    let content = rig::bytes(1, 300_000);
    let cap = cluster.http().put(&content);
    let dir = cluster.dir().display().to_string();
    let faults = "kill,restart,gateway,vdrive,introducer";
    let (output, report) = attack(&[
        "--seed",
        "3",
        "--minutes",
        "0.5",
        "--faults",
        faults,
        "--cluster",
        &dir,
    ]);
    assert!(output.status.success(), "{}: {report:#}", stderr(&output));
    assert!(report["restarts"].as_u64() >= Some(4), "{report:#}");
    assert!(
        !cluster.dir().join("chaos.json").exists(),
        "nothing is to be undone"
    );
    // `truckee up` has noticed who runs now.
    let names: Vec<String> = cluster.file.nodes.iter().map(|node| node.name.clone()).collect();
    rig::until("all nodes are known again", || {
        cluster.file = ClusterFile::read(&cluster.dir()).unwrap()?;
        (cluster.running() == names).then_some(())
    });
    assert!(
        cluster.http().get(&cap).ok() == content,
        "what was there before is there"
    );
    assert!(cluster.down().success());
    assert_eq!(cluster.running(), [""; 0]);
}

/// An attack under way. Dropped, it is killed.
struct Running(Child);

impl Running {
    /// Freezes nodes of the cluster in that directory: `--cluster`, or of one that it starts there: `--dir`.
    fn start(option: &str, cluster: &Path, log: &Path) -> Running {
        let log = std::fs::File::create(log).expect("a log can be written");
        let child = Command::new(program())
            .args([
                "chaos",
                "--seed",
                "1",
                "--minutes",
                "5",
                "--faults",
                "freeze",
                option,
            ])
            .arg(cluster)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Running(child.expect("the program can be started"))
    }

    fn wait(&mut self) -> Option<i32> {
        let status = rig::until("the attack has ended", || {
            self.0.try_wait().expect("a child can be looked after")
        });
        status.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, which is what most tests wait for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn frozen(cluster: &Cluster) -> Vec<String> {
    frozen_of(&cluster.file)
}

/// Nodes whose processes are frozen.
fn frozen_of(file: &ClusterFile) -> Vec<String> {
    let is_frozen = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    };
    let nodes = file.nodes.iter().filter(|node| is_frozen(node.pid));
    nodes.map(|node| node.name.clone()).collect()
}

#[test]
fn a_killed_attack_is_healed_and_an_interrupted_one_heals_itself() {
    let cluster = others();
    let (dir, log) = (cluster.dir(), cluster.scratch("attack.log"));
    let mut killed = Running::start("--cluster", &dir, &log);
    rig::until("a node is frozen", || {
        (!frozen(&cluster).is_empty()).then_some(())
    });
    rig::signal(killed.0.id(), Signal::KILL);
    killed.wait();
    assert!(!frozen(&cluster).is_empty(), "nobody has thawed it");

    let path = dir.display().to_string();
    let refused = rig::run(program(), ["chaos", "--cluster", &path]);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    let healed = rig::run(program(), ["chaos", "--heal", "--cluster", &path]);
    assert!(healed.status.success(), "{}", stderr(&healed));
    assert_eq!(frozen(&cluster), [""; 0]);
    cluster.wait_connected(5);
    let again = rig::run(program(), ["chaos", "--heal", "--cluster", &path]);
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("nothing"),
        "{again:?}"
    );

    let mut interrupted = Running::start("--cluster", &dir, &log);
    rig::until("a node is frozen", || {
        (!frozen(&cluster).is_empty()).then_some(())
    });
    for _ in 0..2 {
        // Signals of one kind that come at once are one.
        rig::signal(interrupted.0.id(), Signal::INT);
        rig::until("it was heard", || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            (said.contains("ends early") || !rig::is_alive(interrupted.0.id())).then_some(())
        });
    }
    assert_eq!(
        interrupted.wait(),
        Some(130),
        "{}",
        std::fs::read_to_string(&log).unwrap_or_default()
    );
    assert_eq!(frozen(&cluster), [""; 0], "it has thawed what it froze");
    assert!(!dir.join("chaos.json").exists());
}

#[test]
fn a_killed_attack_leaves_nothing_of_its_own_cluster_once_it_is_healed() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("cluster");
    let mut killed = Running::start("--dir", &dir, &temporary.path().join("attack.log"));
    let file = rig::until("a node is frozen", || {
        let file = ClusterFile::read(&dir).ok()??;
        (!frozen_of(&file).is_empty()).then_some(file)
    });
    rig::signal(killed.0.id(), Signal::KILL);
    killed.wait();
    let path = dir.display().to_string();
    let healed = rig::run(program(), ["chaos", "--heal", "--cluster", &path]);
    assert!(healed.status.success(), "{}", stderr(&healed));
    let left: Vec<&str> = file
        .nodes
        .iter()
        .filter(|node| rig::is_alive(node.pid))
        .map(|node| node.name.as_str())
        .collect();
    assert_eq!(left, [""; 0], "{healed:?}");
    assert!(!dir.join("chaos.json").exists());
}
