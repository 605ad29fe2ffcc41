//! `truckee top` on a real cluster: everybody is seen, one that is killed is named as gone, and a terminal is given back
//! as it was.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use truckee_tests::rig::{self, Cluster, Options, Signal};

use crate::{program, stderr, stdout};

/// Enters and leaves the second screen of a terminal.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

fn small() -> Cluster {
    let options = Options {
        peers: 4,
        ..Options::default()
    };
    Cluster::start_with(program(), &options)
}

fn top(args: &[&str]) -> Output {
    rig::run(program(), [&["top", "--interval", "1"], args].concat())
}

fn object(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(&top(&[args, &["--json"]].concat()))).unwrap()
}

/// Names of the nodes in this state.
fn nodes(object: &Value, state: &str) -> Vec<String> {
    let rows = object["nodes"].as_array().unwrap().iter();
    let in_state = rows.filter(|row| row["state"] == state);
    in_state
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Looks until all but `gone` nodes are up, and those are gone.
fn look(args: &[&str], up: usize, gone: &[&str]) -> Value {
    rig::until(&format!("{up} nodes are seen as up and {gone:?} as gone"), || {
        let seen = object(args);
        (nodes(&seen, "up").len() == up && nodes(&seen, "gone") == gone).then_some(seen)
    })
}

#[test]
fn everybody_is_seen_and_who_is_killed_is_named() {
    let mut cluster = small();
    let dir = cluster.dir();
    let here = ["--cluster", dir.to_str().unwrap()];
    let all = cluster.file.nodes.len();
    let _cap = cluster.http().put(&rig::bytes(1, 300_000));

    let seen = look(&here, all, &[]);
    let grid = &seen["grid"];
    assert_eq!(
        (&grid["ready"], &grid["storage_nodes_up"]),
        (&true.into(), &4.into())
    );
    assert_eq!(grid["members"]["storage"], 4);
    assert!(grid["shares"].as_f64().unwrap() >= 4.0, "{grid}");
    assert!(grid["used_bytes"].as_f64().unwrap() >= 300_000.0, "{grid}");
    assert_eq!(grid["damaged"], 0);
    let spare = grid["storage_nodes_spare"].as_i64().unwrap();
    assert_eq!(spare, 4 - grid["k"].as_i64().unwrap());
    let text = stdout(&top(&here));
    assert!(text.contains("state    READY"), "{text}");
    for node in &cluster.file.nodes {
        assert!(text.contains(&node.name), "{} is missing in\n{text}", node.name);
    }
    // The same through nothing but the gateway.
    let address = cluster.gateway().to_owned();
    let gateway = ["--gateway", address.as_str()];
    let told = look(&gateway, all, &[]);
    assert_eq!(told["grid"]["storage_nodes_spare"], spare);

    cluster.kill("storage-02");
    let seen = look(&here, all - 1, &["storage-02"]);
    assert_eq!(seen["grid"]["storage_nodes_spare"], spare - 1);
    let whats: Vec<&str> = seen["alarms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alarm| alarm["what"].as_str().unwrap())
        .collect();
    assert!(
        whats.contains(&"storage-02 does not answer (connection refused)"),
        "{whats:?}"
    );
    let text = stdout(&top(&[&here[..], &["--once"]].concat()));
    let advice = format!(
        "start it with `truckee run --dir {}",
        cluster.node("storage-02").dir.display()
    );
    assert!(text.contains(&advice), "{advice:?} is missing in\n{text}");
    rig::until("the gateway has seen it too", || {
        let told = object(&gateway);
        (!nodes(&told, "up").contains(&"storage-02".to_owned())).then_some(())
    });

    cluster.restart("storage-02");
    look(&here, all, &[]);
}

#[test]
fn a_grid_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let no_cluster = top(&["--cluster", path]);
    assert_eq!(no_cluster.status.code(), Some(2), "{}", stderr(&no_cluster));
    assert!(
        stderr(&no_cluster).contains("truckee up"),
        "{}",
        stderr(&no_cluster)
    );
    let list = dir.path().join("list.json");
    // Nobody listens on the port of discarding.
    std::fs::write(
        &list,
        r#"[{"targets": ["127.0.0.1:9"], "labels": {"node": "lost"}}]"#,
    )
    .unwrap();
    let nobody = top(&["--targets", list.to_str().unwrap()]);
    assert_eq!(nobody.status.code(), Some(5), "{}", stderr(&nobody));
    assert!(String::from_utf8_lossy(&nobody.stdout).contains("lost does not answer"));
}

/// `truckee top` on a terminal of its own, by the `script` of util-linux.
struct OnTerminal {
    script: Child,
    dir: tempfile::TempDir,
}

impl OnTerminal {
    fn start(cluster: &Cluster) -> OnTerminal {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let command = format!(
            "stty rows 40 cols 140; echo $$ > '{}'; exec '{}' top --interval 1 --cluster '{}'",
            pid.display(),
            program().display(),
            cluster.dir().display()
        );
        let script = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(File::create(dir.path().join("screen")).unwrap())
            .spawn()
            .unwrap();
        OnTerminal { script, dir }
    }

    /// All that was written to the terminal.
    fn written(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("screen")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn wait_for(&self, text: &str) {
        rig::until(&format!("{text:?} is on the screen"), || {
            self.written().contains(text).then_some(())
        });
    }

    fn press(&mut self, keys: &str) {
        let stdin = self.script.stdin.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, what: Signal) {
        let pid = std::fs::read_to_string(self.dir.path().join("pid")).unwrap();
        rig::signal(pid.trim().parse().unwrap(), what);
    }

    /// Waits for the end; gives the exit code and what was written after the screen was given back.
    fn ended(&mut self) -> (Option<i32>, String) {
        let script = &mut self.script;
        let status = rig::until("it has ended", || script.try_wait().unwrap());
        let written = self.written();
        let (before, after) = written.rsplit_once(LEAVE).expect("the second screen is left");
        assert!(before.contains(ENTER), "{before:?}");
        (status.code(), after.trim().to_owned())
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end. Its child ends with its terminal.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

#[test]
fn a_terminal_is_given_back() {
    if !Path::new("/usr/bin/script").exists() {
        eprintln!("not tried: there is no /usr/bin/script");
        return;
    }
    let cluster = small();
    for keys in ["q", "\u{1b}", "\u{3}"] {
        let mut top = OnTerminal::start(&cluster);
        top.wait_for("storage-04");
        top.press(keys);
        let (code, after) = top.ended();
        assert_eq!((code, after.as_str()), (Some(0), ""), "{keys:?}");
    }
    let mut top = OnTerminal::start(&cluster);
    top.wait_for("storage-04");
    top.signal(Signal::TERM);
    let (code, after) = top.ended();
    assert_eq!(code, Some(130));
    assert!(after.ends_with("truckee: interrupted"), "{after:?}");
}
