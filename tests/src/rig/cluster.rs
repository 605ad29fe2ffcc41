//! A cluster started with `truckee up`, and everything that a test may do to it.
//!
//! Owns the `up` process, the nodes that it started and those that the test started again. Dropped, it ends them all and
//! removes their directory; if the test is failing, it first shows the ends of their logs.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use truckee::cluster::file::{ClusterFile, NodeEntry};

use super::http::{Answer, Http};
use super::node::{Node, PORT_TAKEN, run_file};
use super::process::{is_alive, is_node, signal};
use super::{LOOK_EVERY, PATIENCE, until};

/// Lines of each log that a failing test shows.
const LOG_LINES_SHOWN: usize = 15;

/// How to start a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Storage peers.
    pub peers: u16,
    /// Further arguments of `truckee up`.
    pub args: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            peers: 10,
            args: Vec::new(),
        }
    }
}

/// A running cluster.
pub struct Cluster {
    program: PathBuf,
    temporary: TempDir,
    up: Option<Child>,
    /// What `truckee up` printed when it was ready.
    pub file: ClusterFile,
    /// Nodes that the test started itself.
    restarted: Vec<Node>,
}

impl Cluster {
    /// Starts a cluster of ten peers and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start(program: &Path) -> Cluster {
        Cluster::start_with(program, &Options::default())
    }

    /// Starts a cluster and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start_with(program: &Path, options: &Options) -> Cluster {
        let temporary = tempfile::tempdir().expect("a temporary directory can be made");
        let file = ClusterFile {
            gateway: String::new(),
            invite: String::new(),
            nodes: Vec::new(),
        };
        let mut cluster = Cluster {
            program: program.to_owned(),
            temporary,
            up: None,
            file,
            restarted: Vec::new(),
        };
        let peers = options.peers.to_string();
        let mut args = vec!["--peers", peers.as_str(), "--gateway", "127.0.0.1:0"];
        args.extend(options.args.iter().map(String::as_str));
        cluster.up(&args);
        cluster
    }

    /// Runs `truckee up` on the cluster's directory, which must not be up. A port that another test has is
    /// asked for again.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn up(&mut self, args: &[&str]) {
        assert!(self.up.is_none(), "the cluster is up already");
        let line = until("the ports of the cluster are free", || {
            let said_before = self.up_stderr().len();
            let why = match self.up_once(args) {
                Ok(line) => return Some(line),
                Err(why) => why,
            };
            let said = self.up_stderr().split_off(said_before);
            assert!(said.contains(PORT_TAKEN), "`truckee up` {why}:\n{said}");
            let mut ended = self.up.take()?;
            ended.wait().expect("a child can be waited for");
            None
        });
        self.file = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
    }

    /// The first line that it prints, or why there is none.
    fn up_once(&mut self, args: &[&str]) -> Result<String, String> {
        let mut child = Command::new(&self.program)
            .args(["up", "--json", "--dir"])
            .arg(self.dir())
            .args(args)
            .env_remove("TRUCKEE_GATEWAY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.up_log())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let stdout = child.stdout.take().expect("standard output was piped");
        self.up = Some(child);
        first_line(stdout)
    }

    /// The cluster's directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.temporary.path().join("cluster")
    }

    /// A path for a file of the test, removed with the cluster.
    #[must_use]
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// A client of the gateway.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(&self.file.gateway)
    }

    /// The gateway's URL, without a slash at the end.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.file.gateway
    }

    /// Names of the storage peers.
    #[must_use]
    pub fn peers(&self) -> Vec<String> {
        let is_peer = |node: &&NodeEntry| node.roles.iter().any(|role| role == "storage");
        self.file
            .nodes
            .iter()
            .filter(is_peer)
            .map(|node| node.name.clone())
            .collect()
    }

    /// A node by its name.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn node(&self, name: &str) -> &NodeEntry {
        self.file
            .nodes
            .iter()
            .find(|node| node.name == name)
            .unwrap_or_else(|| panic!("no node {name}"))
    }

    /// Adds lines to the configuration of a node, which reads them when it is started again.
    ///
    /// # Panics
    /// When there is no such node or file.
    pub fn configure(&self, name: &str, lines: &str) {
        let file = OpenOptions::new()
            .append(true)
            .open(self.node(name).dir.join("truckee.toml"));
        let mut file = file.expect("a node has a configuration");
        writeln!(file, "\n{lines}").expect("it can be written");
    }

    /// Stops everything, adds to each node's configuration what `lines` says, and starts everything again.
    ///
    /// # Panics
    /// When one of it fails.
    pub fn reconfigure(&mut self, lines: impl Fn(&NodeEntry) -> Option<String>) {
        assert!(self.down().success(), "the cluster stops in order");
        for node in &self.file.nodes {
            if let Some(lines) = lines(node) {
                self.configure(&node.name, &lines);
            }
        }
        self.up(&["--gateway", "127.0.0.1:0"]);
    }

    /// Starts everything again with storage peers that repair after seconds where they would wait for minutes.
    ///
    /// # Panics
    /// When that fails.
    pub fn hurry_healing(&mut self) {
        let lines = "[heal]\ngrace_seconds = 3\nround_seconds = 1\nsettle_seconds = 1\nbytes_per_second = \"500 MiB\"";
        self.reconfigure(|node| (node.roles == ["storage"]).then(|| lines.to_owned()));
    }

    /// `kill -9`; returns when the process is gone.
    pub fn kill(&mut self, name: &str) {
        self.signal(name, Signal::KILL);
        self.wait_gone(name);
    }

    /// Stops a node so that it neither answers nor hangs up (SIGSTOP).
    pub fn freeze(&self, name: &str) {
        self.signal(name, Signal::STOP);
    }

    /// Lets a frozen node go on.
    pub fn thaw(&self, name: &str) {
        self.signal(name, Signal::CONT);
    }

    /// Sends a signal to a node.
    ///
    /// # Panics
    /// When the node does not run.
    pub fn signal(&self, name: &str, what: Signal) {
        let node = self.node(name);
        assert!(is_node(node.pid, &node.dir), "{name} does not run");
        signal(node.pid, what);
    }

    /// Starts a node again from its directory and waits until it is ready.
    ///
    /// # Panics
    /// When it still runs, or does not become ready.
    pub fn restart(&mut self, name: &str) {
        self.adopt(name, Node::start);
    }

    /// Like [`Cluster::restart`], but each file that the node writes fails beyond `file_kib`, as on a full disk.
    ///
    /// # Panics
    /// When it still runs, or does not become ready.
    pub fn restart_with_small_files(&mut self, name: &str, file_kib: u64) {
        self.adopt(name, |program, dir| {
            Node::start_with_small_files(program, dir, file_kib)
        });
    }

    fn adopt(&mut self, name: &str, start: impl FnOnce(&Path, &Path) -> Node) {
        let entry = self.file.nodes.iter_mut().find(|node| node.name == name);
        let entry = entry.unwrap_or_else(|| panic!("no node {name}"));
        assert!(!is_node(entry.pid, &entry.dir), "{name} still runs");
        let mut node = start(&self.program, &entry.dir);
        node.wait_ready();
        entry.pid = node.pid();
        self.restarted.push(node);
    }

    /// Waits until the gateway is connected to just this many peers.
    pub fn wait_connected(&self, peers: usize) {
        let http = self.http();
        until(&format!("the gateway reaches {peers} peers"), || {
            let answer = http.send("GET", "/?t=json", &[], b"").ok()?;
            let value: Value = serde_json::from_slice(&answer.body).ok()?;
            let up = |row: &&Value| {
                row["connection_status"]
                    .as_str()
                    .is_some_and(|text| text.to_ascii_lowercase().starts_with("connected"))
            };
            (value["servers"].as_array()?.iter().filter(up).count() == peers).then_some(())
        });
    }

    /// Stops the cluster as Ctrl-C does and gives the exit status of `truckee up`.
    ///
    /// # Panics
    /// When it is not up or does not stop.
    pub fn down(&mut self) -> ExitStatus {
        let up = self.up.as_mut().expect("the cluster is up");
        signal(up.id(), Signal::INT);
        let status = until("`truckee up` has stopped", || {
            up.try_wait().expect("a child can be looked after")
        });
        self.up = None;
        status
    }

    /// `kill -9` of `truckee up` itself.
    ///
    /// # Panics
    /// When it is not up.
    pub fn kill_up(&mut self) {
        let mut up = self.up.take().expect("the cluster is up");
        up.kill().expect("a child can be killed");
        up.wait().expect("a killed child ends");
    }

    /// What `truckee up` wrote to standard error.
    #[must_use]
    pub fn up_stderr(&self) -> String {
        std::fs::read_to_string(self.scratch("up.stderr")).unwrap_or_default()
    }

    /// Nodes whose processes still run, by their directories.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        let runs = |node: &&NodeEntry| is_node(node.pid, &node.dir) && is_alive(node.pid);
        self.file
            .nodes
            .iter()
            .filter(runs)
            .map(|node| node.name.clone())
            .collect()
    }

    /// What a node answers on the address of its metrics; none while it does not.
    #[must_use]
    pub fn probe(&self, name: &str, path: &str) -> Option<Answer> {
        let run = run_file(&self.node(name).dir)?;
        let http = Http::new(&format!("http://{}", run["metrics"].as_str()?));
        http.send("GET", path, &[], b"").ok()
    }

    /// The sum of a metric over all its labels, on one node; 0 if it has none yet.
    ///
    /// # Panics
    /// When the node does not answer.
    #[must_use]
    pub fn metric(&self, name: &str, metric: &str) -> f64 {
        let run = run_file(&self.node(name).dir).unwrap_or_else(|| panic!("{name} does not say where it is"));
        let address = run["metrics"]
            .as_str()
            .unwrap_or_else(|| panic!("{name} has no metrics"))
            .to_owned();
        let page = Http::new(&format!("http://{address}"))
            .answer("GET", "/metrics", &[], b"")
            .ok();
        let page = String::from_utf8_lossy(&page).into_owned();
        let of_metric = |line: &&str| {
            line.strip_prefix(metric)
                .is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        };
        let values = page
            .lines()
            .filter(of_metric)
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    /// All files in a subdirectory of every storage peer's directory, with the peer's name, sorted.
    #[must_use]
    pub fn files_of_peers(&self, subdirectory: &str) -> Vec<(String, PathBuf)> {
        let mut all = Vec::new();
        for name in self.peers() {
            let mut pending = vec![self.node(&name).dir.join(subdirectory)];
            while let Some(dir) = pending.pop() {
                // Directories come and go under our eyes.
                let Ok(entries) = std::fs::read_dir(&dir) else {
                    continue;
                };
                for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                    if path.is_dir() {
                        pending.push(path);
                    } else {
                        all.push((name.clone(), path));
                    }
                }
            }
        }
        all.sort();
        all
    }

    fn wait_gone(&mut self, name: &str) {
        let pid = self.node(name).pid;
        until(&format!("{name} is gone"), || {
            // A node that the test started itself is a zombie until its parent, this process, has seen it.
            for node in &mut self.restarted {
                node.has_ended();
            }
            (!is_alive(pid)).then_some(())
        });
    }

    fn up_log(&self) -> File {
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.scratch("up.stderr"));
        log.expect("a file can be made in the temporary directory")
    }

    fn show_logs(&self) {
        eprintln!("--- truckee up\n{}", self.up_stderr());
        for node in &self.file.nodes {
            let text = std::fs::read(node.dir.join("log")).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("--- {} (pid {})\n{}", node.name, node.pid, shown.join("\n"));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
        if let Some(mut up) = self.up.take() {
            // Nothing to be done about an error here: the nodes are ended one by one below in any case.
            let _ = up.kill();
            let _ = up.wait();
        }
        self.restarted.clear();
        // Those that `up` started end by themselves when it is gone, unless they are frozen.
        for node in self.file.nodes.iter().filter(|node| is_node(node.pid, &node.dir)) {
            signal(node.pid, Signal::KILL);
        }
        // Only when all are gone can the directory be removed; a killed process takes a moment to go.
        let deadline = Instant::now() + PATIENCE;
        while !self.running().is_empty() && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// The first line of a process's output, or why there is none.
fn first_line(stdout: std::process::ChildStdout) -> Result<String, String> {
    let (found, line) = mpsc::sync_channel(1);
    // The thread ends with the process that writes; nobody waits for it.
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = BufReader::new(stdout).read_line(&mut text);
        // Nobody listens any more when the patience was over: then the test has failed already.
        let _ = found.send(read.map(|_| text));
    });
    match line.recv_timeout(PATIENCE) {
        Ok(Ok(text)) if !text.is_empty() => Ok(text),
        Ok(Ok(_)) => Err("ended without being ready".to_owned()),
        Ok(Err(error)) => Err(format!("cannot be read: {error}")),
        Err(_) => Err(format!("was not ready after {} s", PATIENCE.as_secs())),
    }
}
