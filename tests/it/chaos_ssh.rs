//! `truckee chaos` over ssh: a real server on loopback, and nodes that are reached by nothing but commands.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use truckee_tests::rig::{self, Cluster, Options, Signal, Sshd};

use crate::{program, stderr};

/// What stands for a service manager on the other machine: `node.sh ACT PROGRAM DIR`. The pid stands beside the nodes.
const SCRIPT: &str = r#"
dir=$3
file=${0%/*}/pid.${dir##*/}
pid=$(cat "$file")
runs() { tr '\0' '\n' 2>/dev/null < "/proc/$pid/cmdline" | grep -qxF -e "$dir"; }
case $1 in
runs) runs ;;
kill) runs && kill -KILL "$pid" ;;
stop) runs && kill -TERM "$pid" ;;
freeze) runs && kill -STOP "$pid" ;;
thaw) runs && kill -CONT "$pid" ;;
start)
    rm -f "$dir/run.json"
    setsid "$2" run --dir "$dir" < /dev/null > /dev/null 2>> "$dir/log" &
    echo $! > "$file"
    ;;
esac
"#;

/// What stands for systemd: it knows one unit, which it starts again when it is killed until it was stopped.
const SYSTEMCTL: &str = r#"#!/bin/sh
node() { sh "SCRIPT" "$1" "PROGRAM" "DIR"; }
[ "$#" -ge 2 ] || exit 1
for unit; do :; done
[ "$unit" = truckee@x.service ] || exit 4
case "$1 $2 $3" in
"is-active --quiet $unit") node runs || exit 3 ;;
"kill -s KILL") node kill && while node runs; do :; done; node start ;;
"kill -s STOP") node freeze ;;
"kill -s CONT") node thaw ;;
"stop $unit "*) if node runs; then node stop; while node runs; do :; done; fi ;;
"start $unit "*) node start ;;
*) exit 1 ;;
esac
"#;

/// What stands for sudo.
const SUDO: &str = r#"#!/bin/sh
[ "$1" = -n ] || exit 1
shift
if [ "$1" = -u ]; then shift 3; fi
exec "$@"
"#;

/// The peer that is a unit.
const UNIT: &str = "storage-03";

/// A small cluster whose nodes are reached over ssh.
struct Grid {
    cluster: Cluster,
    sshd: Sshd,
    /// Programs that whoever logs in finds first.
    bin: tempfile::TempDir,
    scripts: PathBuf,
}

impl Grid {
    fn start() -> Option<Grid> {
        let bin = tempfile::tempdir().expect("a temporary directory can be made");
        let sshd = Sshd::start(bin.path())?;
        let cluster = Cluster::start_with(
            program(),
            &Options {
                peers: 5,
                ..Options::default()
            },
        );
        // With a name that a shell takes apart unless it is quoted.
        let scripts = cluster.scratch("it's $a dir");
        fs::create_dir(&scripts).expect("it can be written");
        fs::write(scripts.join("node.sh"), SCRIPT).expect("it can be written");
        let grid = Grid {
            cluster,
            sshd,
            bin,
            scripts,
        };
        grid.write_programs();
        grid.write_inventory();
        Some(grid)
    }

    fn inventory(&self) -> PathBuf {
        self.scripts.join("grid.toml")
    }

    /// All but one peer say where their metrics are, so that nobody waits for repairs, which take minutes here.
    fn write_inventory(&self) {
        let text = |words: &[String]| Value::from(words).to_string();
        let mut lines = vec![format!("gateway = \"{}\"", self.cluster.gateway())];
        for node in &self.cluster.file.nodes {
            fs::write(self.pid_file(&node.name), node.pid.to_string()).expect("it can be written");
            let sshd = &self.sshd;
            lines.push(format!(
                "[[node]]\nname = \"{}\"\nroles = {}\nssh = \"{}@127.0.0.1\"\nport = {}\nidentity = \"{}\"",
                node.name,
                text(&node.roles),
                sshd.user,
                sshd.port,
                sshd.identity().display(),
            ));
            lines.push(format!("options = {}", text(&sshd.options())));
            if node.roles == ["storage"] {
                lines.push(format!("dir = \"{}\"", node.dir.display()));
                lines.push(format!("may_wipe = {}", node.name == "storage-02"));
                lines.push(format!("files_as = \"{}\"", sshd.user));
            }
            if node.name != "storage-05" {
                let run: Value = serde_json::from_slice(
                    &fs::read(node.dir.join("run.json")).expect("a ready node says where it is"),
                )
                .expect("it is JSON");
                lines.push(format!("metrics = {}", run["metrics"]));
            }
            if node.name == UNIT {
                lines.push("systemd = { unit = \"truckee@x.service\", sudo = true }".to_owned());
                continue;
            }
            lines.push("[node.commands]".to_owned());
            for act in ["kill", "stop", "freeze", "thaw", "start", "runs"] {
                let script = self.scripts.join("node.sh");
                let words = [Path::new("sh"), &script, Path::new(act), program(), &node.dir];
                let words = words.map(|word| word.display().to_string());
                lines.push(format!("{act} = {}", text(&words)));
            }
        }
        fs::write(self.inventory(), lines.join("\n")).expect("it can be written");
    }

    fn write_programs(&self) {
        let script = self.scripts.join("node.sh").display().to_string();
        let systemctl = SYSTEMCTL
            .replace("SCRIPT", &script.replace('$', "\\$"))
            .replace("PROGRAM", &program().display().to_string())
            .replace("DIR", &self.cluster.node(UNIT).dir.display().to_string());
        for (name, text) in [("systemctl", systemctl.as_str()), ("sudo", SUDO)] {
            let path = self.bin.path().join(name);
            fs::write(&path, text).expect("it can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
    }

    fn pid_file(&self, node: &str) -> PathBuf {
        self.scripts.join(format!("pid.{node}"))
    }

    fn pid(&self, node: &str) -> Option<u32> {
        fs::read_to_string(self.pid_file(node)).ok()?.trim().parse().ok()
    }

    /// Pids of nodes that run, whoever started them.
    fn running(&self) -> Vec<u32> {
        let runs = |node: &&truckee::cluster::file::NodeEntry| {
            let dir = node.dir.display().to_string();
            self.pid(&node.name).is_some_and(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.split(|byte| *byte == 0).any(|word| word == dir.as_bytes())
            })
        };
        let nodes = self.cluster.file.nodes.iter().filter(runs);
        nodes.filter_map(|node| self.pid(&node.name)).collect()
    }

    fn frozen(&self) -> Vec<u32> {
        let is_frozen = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(')')
                .is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
        };
        self.running().into_iter().filter(is_frozen).collect()
    }

    fn chaos(&self, args: &[&str]) -> Output {
        let inventory = self.inventory().display().to_string();
        rig::run(program(), [&["chaos", "--inventory", &inventory], args].concat())
    }

    fn record(&self) -> PathBuf {
        self.scripts.join("grid.toml.chaos.json")
    }
}

impl Drop for Grid {
    fn drop(&mut self) {
        // Those that were started over ssh are nobody's children.
        for pid in self.running() {
            rig::signal(pid, Signal::KILL);
        }
    }
}

/// An attack under way. Dropped, it is killed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ends the connections that a killed attack has left open, which would end by themselves in a minute.
fn end_connections(temporary: &Path) {
    let entries = |dir: &Path| {
        let read = fs::read_dir(dir).expect("it can be read");
        read.map(|entry| entry.expect("it can be read").path())
            .collect::<Vec<_>>()
    };
    let sockets: Vec<PathBuf> = entries(temporary).iter().flat_map(|dir| entries(dir)).collect();
    assert!(!sockets.is_empty(), "connections stay open between commands");
    for socket in sockets {
        let path = socket.display().to_string();
        let ended = rig::run(Path::new("ssh"), ["-S", &path, "-O", "exit", "anywhere"]);
        assert!(ended.status.success(), "{}", stderr(&ended));
    }
}

#[test]
fn a_grid_over_ssh_keeps_its_promises() {
    let Some(mut grid) = Grid::start() else { return };
    let content = rig::bytes(1, 300_000);
    let cap = grid.cluster.http().put(&content);
    let faults = "kill,restart,freeze,vdrive,flip,truncate,wipe,cut,fill,skew";
    let run = [
        "--json",
        "--seed",
        "100",
        "--minutes",
        "0.5",
        "--clients",
        "2",
        "--faults",
        faults,
    ];
    let output = grid.chaos(&run);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    assert!(output.status.success(), "{}: {report:#}", stderr(&output));
    assert_eq!(report["violations"], 0);
    assert_eq!(report["files"]["acknowledged"], report["files"]["intact"]);
    assert!(report["files"]["acknowledged"].as_u64() > Some(5));
    assert!(report["restarts"].as_u64() >= Some(3), "{report:#}");
    let spans = report["faults"].as_array().unwrap();
    let kinds: BTreeSet<&str> = spans
        .iter()
        .filter_map(|span| span["fault"]["kind"].as_str())
        .collect();
    for kind in ["kill", "restart", "freeze", "vdrive", "flip", "truncate", "wipe"] {
        assert!(kinds.contains(kind), "{kind} is missing: {kinds:?}");
    }
    let hit = |kind: &str, node: &str| {
        let is = |span: &&Value| span["fault"]["kind"] == kind && span["fault"]["target"]["node"] == node;
        spans.iter().any(|span| is(&span))
    };
    assert!(
        hit("kill", UNIT),
        "the unit is killed too, and stays down until it is started: {spans:#?}"
    );
    for span in spans.iter().filter(|span| span["fault"]["kind"] == "wipe") {
        assert_eq!(
            span["fault"]["target"]["node"], "storage-02",
            "only it may be wiped"
        );
    }
    let left_out = report["plan"]["left_out"].to_string();
    for kind in ["cut", "fill", "skew"] {
        assert!(left_out.contains(&format!("\"{kind}\"")), "{left_out}");
    }
    let story = report["story"].to_string();
    assert!(
        story.contains("shares are damaged") && story.contains("shares are gone"),
        "{story}"
    );
    assert!(!grid.record().exists(), "nothing is to be undone");
    assert_eq!((grid.running().len(), grid.frozen().len()), (8, 0));
    grid.cluster.wait_connected(5);
    assert!(
        grid.cluster.http().get(&cap).ok() == content,
        "what was there before is there"
    );
    let aside = grid.cluster.node("storage-02").dir.join("chaos-removed");
    assert!(aside.is_dir(), "what was taken away is kept");
    assert!(grid.cluster.down().success());
}

#[test]
fn over_ssh_a_killed_attack_is_healed_and_a_grid_that_is_not_well_is_left_alone() {
    let Some(grid) = Grid::start() else { return };
    let log = fs::File::create(grid.scripts.join("attack.log")).unwrap();
    let temporary = grid.cluster.scratch("tmp");
    fs::create_dir(&temporary).unwrap();
    let child = Command::new(program())
        .args([
            "chaos",
            "--seed",
            "1",
            "--minutes",
            "5",
            "--faults",
            "freeze",
            "--inventory",
        ])
        .arg(grid.inventory())
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    let mut attack = Running(child.unwrap());
    rig::until("a node is frozen", || (!grid.frozen().is_empty()).then_some(()));
    let second = grid.chaos(&["--heal"]);
    assert_eq!(
        second.status.code(),
        Some(4),
        "the first still runs: {}",
        stderr(&second)
    );
    attack.0.kill().unwrap();
    attack.0.wait().unwrap();
    end_connections(&temporary);
    let record = fs::read_to_string(grid.record()).unwrap();
    assert!(!grid.frozen().is_empty(), "nobody has thawed it");

    let refused = grid.chaos(&[]);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("--heal --inventory"),
        "{}",
        stderr(&refused)
    );

    // As if it had killed a node too.
    let victim = "storage-03";
    rig::signal(grid.pid(victim).unwrap(), Signal::KILL);
    rig::until("it is gone", || (grid.running().len() == 7).then_some(()));
    let mut deeds: Value = serde_json::from_str(&record).unwrap();
    deeds["down"] = Value::from(vec![victim]);
    fs::write(grid.record(), deeds.to_string()).unwrap();
    let healed = grid.chaos(&["--heal"]);
    assert!(healed.status.success(), "{}", stderr(&healed));
    assert_eq!((grid.running().len(), grid.frozen().len()), (8, 0));
    grid.cluster.wait_connected(5);
    let again = grid.chaos(&["--heal"]);
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("nothing"),
        "{again:?}"
    );

    rig::signal(grid.pid(victim).unwrap(), Signal::KILL);
    rig::until("it is gone", || (grid.running().len() == 7).then_some(()));
    let refused = grid.chaos(&["--minutes", "0.1"]);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    let said = stderr(&refused);
    assert!(said.contains("node storage-03: it does not run"), "{said}");
    assert!(!said.contains('\n') && !grid.record().exists(), "{said}");
    assert_eq!(grid.running().len(), 7, "nothing was started");
}
