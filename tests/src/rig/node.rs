//! A single node that a test runs beside a cluster: a newcomer, or a stranger.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::until;

/// What a node says whose port another program has. Ports are taken from the same range by all tests: while a node is down, a node of
/// another test can be given the same.
pub(super) const PORT_TAKEN: &str = "Address already in use";

/// A running node. Dropped, it is killed.
pub struct Node {
    dir: PathBuf,
    command: Command,
    child: Child,
    /// Length of its log when it was started.
    said_before: usize,
}

impl Node {
    /// Runs the node of a directory that was set up with `truckee init`. Returns at once.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn start(program: &Path, dir: &Path) -> Node {
        Node::spawn(Command::new(program), dir)
    }

    /// The same with files that cannot grow beyond `file_kib`: writing fails there (EFBIG), as on a full disk.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn start_with_small_files(program: &Path, dir: &Path, file_kib: u64) -> Node {
        let mut shell = Command::new("bash");
        // The signal that the limit sends by default would end the process before it sees the error.
        shell
            .args([
                "-c",
                &format!("trap '' XFSZ; ulimit -f {file_kib}; exec \"$0\" \"$@\""),
            ])
            .arg(program);
        Node::spawn(shell, dir)
    }

    fn spawn(mut command: Command, dir: &Path) -> Node {
        let log = OpenOptions::new().append(true).create(true).open(dir.join("log"));
        command
            .args(["run", "--dir"])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command.stderr(log.expect("a node's log can be opened"));
        let said_before = log_of(dir).len();
        let child = spawned(&mut command);
        Node {
            dir: dir.to_owned(),
            command,
            child,
            said_before,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended; if so, nothing is left of its process.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be looked after")
            .is_some()
    }

    /// Waits until it has said where it is, and gives what it said. While another test has its port, it is started again.
    pub fn wait_ready(&mut self) -> Value {
        until(&format!("the node in {} is ready", self.dir.display()), || {
            if let Some(ended) = self.child.try_wait().expect("a child can be looked after") {
                let said = self.log().split_off(self.said_before);
                assert!(
                    said.contains(PORT_TAKEN),
                    "it ended while starting: {ended:?}\n{}",
                    self.log()
                );
                self.said_before = self.log().len();
                self.child = spawned(&mut self.command);
            }
            let pid = u64::from(self.child.id());
            run_file(&self.dir).filter(|run| run["pid"].as_u64() == Some(pid))
        })
    }

    /// What it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        log_of(&self.dir)
    }
}

fn log_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log")).unwrap_or_default()
}

fn spawned(command: &mut Command) -> Child {
    command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself, which is no concern of the test that drops it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the node of a directory said of itself last.
pub(super) fn run_file(dir: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(dir.join("run.json")).ok()?).ok()
}
