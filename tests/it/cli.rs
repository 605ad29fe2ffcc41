//! The commands on files and directories, as a user types them, on a real cluster; and what an interrupt leaves.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use truckee_tests::rig::{self, Cluster, Options, Signal};

use crate::{program, stderr, stdout};

/// A cluster with directories, and a user of it.
struct User {
    cluster: Cluster,
}

impl User {
    fn new() -> User {
        let options = Options {
            peers: 3,
            ..Options::default()
        };
        User {
            cluster: Cluster::start_with(program(), &options),
        }
    }

    fn path(&self, name: &str) -> String {
        self.cluster.scratch(name).display().to_string()
    }

    fn try_run(&self, args: &[&str]) -> Output {
        let aliases = self.path("aliases");
        let database = self.path("backup.db");
        let mut args = args.to_vec();
        if args[0] == "backup" {
            args.extend(["--database", &database]);
        }
        args.extend(["--aliases", &aliases]);
        crate::truckee(self.cluster.gateway(), &args)
    }

    fn run(&self, args: &[&str]) -> String {
        stdout(&self.try_run(args))
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[args, &["--json"]].concat())).unwrap()
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.cluster.scratch(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Compares two trees here by the system's own diff.
    fn same(&self, one: &str, other: &str) {
        let output = rig::run(Path::new("diff"), ["-r", &self.path(one), &self.path(other)]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn a_day_with_directories() {
    let user = User::new();
    user.run(&["alias", "create", "home"]);
    assert!(!user.run(&["alias", "list"]).contains("URI:"));
    user.write("src/small", b"hello");
    user.write("src/big", &rig::bytes(1, 3_000_000));
    user.write("src/deep/er/n a\u{fc}#?%", &rig::bytes(2, 100_000));
    fs::create_dir(user.cluster.scratch("src/empty")).unwrap();
    let copied = user.json(&["cp", "-r", &user.path("src"), "home:"]);
    assert_eq!((&copied["files"], &copied["directories"]), (&3.into(), &4.into()));
    let listed = user.json(&["ls", "home:src"]);
    assert_eq!(listed["children"]["big"]["size"], 3_000_000);
    user.run(&["cp", "-r", "home:src", &user.path("back")]);
    user.same("src", "back");

    // Names.
    user.run(&["mkdir", "-p", "home:a/b"]);
    user.run(&["mv", "home:src/small", "home:a/b/"]);
    user.run(&["ln", "home:a/b/small", "home:twin"]);
    user.run(&["rm", "home:a/b/small"]);
    assert_eq!(user.run(&["get", "home:twin"]), "hello");
    assert_eq!(user.try_run(&["get", "home:a/b/small"]).status.code(), Some(3));
    assert_eq!(user.try_run(&["rm", "home:a"]).status.code(), Some(4));
    let removed = user.json(&["rm", "-r", "home:a"]);
    let cap = removed[0]["cap"].as_str().unwrap();
    user.run(&["ln", cap, "home:again"]);
    assert_eq!(user.run(&["ls", "home:again"]), "b");

    // A mutable file keeps its cap.
    user.write("note", b"one");
    let note = user.run(&["put", "--mutable", &user.path("note"), "home:note"]);
    user.write("note", b"two");
    user.run(&["put", &user.path("note"), &note]);
    assert_eq!(user.run(&["get", "home:note"]), "two");

    // Everything at once.
    let manifest = user.run(&["manifest", "home:"]);
    assert!(
        manifest
            .lines()
            .any(|line| line.ends_with(" src/deep/er/n a\u{fc}#?%")),
        "{manifest}"
    );
    let checked = user.run(&["check", "-r", "home:"]);
    assert!(checked.contains(" 0 not healthy"), "{checked}");
}

#[test]
fn snapshots_and_trees_of_other_gateways() {
    let user = User::new();
    user.run(&["alias", "create", "home"]);
    user.write("src/a", &rig::bytes(1, 200_000));
    user.write("src/dir/b", b"two");
    let backup = ["backup", &user.path("src"), "home:saved"];
    let first = user.run(&[&backup[..], &["--json"]].concat());
    assert!(first.contains("\"files\":2"), "{first}");
    user.write("src/dir/b", b"changed");
    let again = ["backup", &user.path("src"), "home:again", "--json"];
    let second = user.run(&again);
    assert!(
        second.contains("\"reused\":1") && second.contains("\"files\":1"),
        "{second}"
    );
    user.run(&["cp", "-r", "home:again/Latest", &user.path("restored")]);
    user.same("src", "restored");
    let frozen = user.try_run(&["put", &user.path("src/a"), "home:again/Latest/a"]);
    assert!(!frozen.status.success(), "a snapshot never changes");

    // The cluster is a gateway like any other.
    let cap = user.json(&["alias", "list", "--caps"])["home"]["cap"]
        .as_str()
        .unwrap()
        .to_owned();
    let url = format!("{}/uri/{cap}/again", user.cluster.gateway());
    user.run(&["import", &url, "home:imported"]);
    user.run(&["cp", "-r", "home:imported/Latest", &user.path("imported")]);
    user.same("src", "imported");
    let taken_up = user.json(&["import", &url, "home:imported"]);
    assert_eq!(taken_up["files"], 0);
}

#[test]
fn the_codec_in_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let content = rig::bytes(7, 2_500_000);
    let encode = Command::new(program())
        .args([
            "codec", "encode", "-", "--prefix", "x", "-k", "2", "-n", "4", "--quiet",
        ])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .spawn();
    let mut encode = encode.unwrap();
    encode.stdin.take().unwrap().write_all(&content).unwrap();
    assert!(encode.wait().unwrap().success());
    let share = |number: usize| {
        dir.path()
            .join(format!("x.{number}_4.share"))
            .display()
            .to_string()
    };
    let decode = |shares: &[String]| {
        let args = [
            &["codec".to_owned(), "decode".into(), "-o".into(), "-".into()],
            shares,
        ]
        .concat();
        rig::run(program(), args)
    };
    let output = decode(&[share(3), share(1)]);
    assert!(output.status.success() && output.stdout == content);
    let mut damaged = fs::read(share(1)).unwrap();
    damaged[1000] ^= 1;
    fs::write(share(1), damaged).unwrap();
    let output = decode(&[share(3), share(1), share(0)]);
    assert!(output.status.success() && output.stdout == content);
    assert!(stderr(&output).contains("damaged"), "{}", stderr(&output));
    let output = decode(&[share(3), share(1)]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn an_interrupt_leaves_nothing_half() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("file");
    let mut get = Command::new(program())
        .args(["get", "URI:CHK:x", "--gateway", &address, "-o"])
        .arg(&target)
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = [0; 4096];
    assert!(stream.read(&mut request).unwrap() > 0);
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
        .unwrap();
    rig::until("the temporary file is there", || {
        fs::read_dir(dir.path()).unwrap().next().map(drop)
    });
    rig::signal(get.id(), Signal::INT);
    assert_eq!(get.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn completions_and_pages_come_out() {
    let output = rig::run(program(), ["completions", "bash"]);
    assert!(stdout(&output).contains("truckee"));
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man").display().to_string();
    stdout(&rig::run(program(), ["man", &pages]));
    assert!(Path::new(&pages).join("truckee-backup.1").exists());
}
