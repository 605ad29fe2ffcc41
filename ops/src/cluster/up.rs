//! `truckee up`: starts the cluster, says where it is, and stops it.
//!
//! Owns the order: the introducer first (its address is in the invite), then all others at once; `cluster.json` when
//! every node is ready and the gateway reaches every peer. Whatever goes wrong on the way, no child is left behind.
//! While it runs see `watch`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::UpArgs;
use crate::cluster::file::{ClusterFile, NodeEntry};
use crate::cluster::layout::{GATEWAY, INTRODUCER, Layout, VDRIVE};
use crate::cluster::observe::Observers;
use crate::cluster::process::{Process, log_path};
use crate::cluster::signals::{Event, Signals};
use crate::cluster::targets;
use crate::cluster::watch;
use crate::error::CliError;
use crate::http::Gateway;
use crate::output::{print_json, print_line};
use crate::status::PeerRow;

/// How long the nodes have for each step of the start. A start takes about a second; a machine that is busy with other
/// things may need many times that, and giving up early helps nobody.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a file or page that is about to appear.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One node of the running cluster.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) process: Process,
    /// What `cluster.json` says of it; none until it is ready.
    pub(crate) entry: Option<NodeEntry>,
}

/// The running cluster. Dropped, it kills what still runs.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) layout: Layout,
    pub(crate) invite: String,
    pub(crate) gateway: String,
    /// The introducer first, the gateway last.
    pub(crate) members: Vec<Member>,
}

/// Runs the command.
pub(crate) fn run(args: &UpArgs) -> Result<(), CliError> {
    let started = Instant::now();
    let signals = Signals::install()?;
    let mut cluster = Cluster::open(&args.dir, args.peers)?;
    if let Err(error) = cluster.start(args.gateway, &signals) {
        watch::stop(&mut cluster, &signals);
        return Err(error);
    }
    announce(&cluster, args.json, started.elapsed())?;
    // Held to the end of the run.
    let _observers = match args
        .observe
        .then(|| Observers::start(cluster.layout.dir(), args.json))
    {
        Some(Err(error)) => {
            watch::stop(&mut cluster, &signals);
            return Err(error);
        }
        other => other,
    };
    let outcome = watch::watch(&mut cluster, &signals, args.restart);
    watch::stop(&mut cluster, &signals);
    ClusterFile::remove(cluster.layout.dir())?;
    outcome
}

impl Cluster {
    /// Opens the directory and locks it; nothing runs yet.
    pub(crate) fn open(dir: &Path, peers: Option<u16>) -> Result<Cluster, CliError> {
        let layout = Layout::open(dir, peers)?;
        ClusterFile::remove(layout.dir())?;
        Ok(Cluster {
            layout,
            invite: String::new(),
            gateway: String::new(),
            members: Vec::new(),
        })
    }

    /// Sets up what is new and starts everything; returns when the gateway reaches every peer.
    pub(crate) fn start(&mut self, gateway: Option<SocketAddr>, signals: &Signals) -> Result<(), CliError> {
        self.layout.ensure_introducer()?;
        self.spawn(INTRODUCER)?;
        self.until_ready(signals)?;
        if self.layout.lacks_vdrive() {
            eprintln!(
                "truckee: this cluster had no vdrive, the node that keeps directories; {VDRIVE} is added"
            );
        }
        self.layout.ensure_vdrive(&self.invite)?;
        self.spawn(VDRIVE)?;
        for name in self.layout.storage_names() {
            self.layout.ensure_storage(&name, &self.invite)?;
            self.spawn(&name)?;
        }
        self.layout.ensure_gateway(&self.invite, gateway)?;
        self.spawn(GATEWAY)?;
        self.until_ready(signals)?;
        self.until_connected(signals)?;
        self.publish()
    }

    /// Tells others, Prometheus among them, what runs.
    pub(crate) fn publish(&self) -> Result<(), CliError> {
        let file = self.file();
        let nodes = file.nodes.iter().map(|node| node.dir.as_path());
        targets::write(self.layout.dir(), nodes)?;
        file.write(self.layout.dir())
    }

    fn spawn(&mut self, name: &str) -> Result<(), CliError> {
        let process = Process::start(name, &self.layout.node_dir(name))?;
        self.members.push(Member {
            name: name.to_owned(),
            process,
            entry: None,
        });
        Ok(())
    }

    /// Waits until every started node has said where it is.
    fn until_ready(&mut self, signals: &Signals) -> Result<(), CliError> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            self.take_run_files()?;
            let Some(missing) = self.members.iter().find(|member| member.entry.is_none()) else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(CliError::NotReady {
                    what: format!("{} is not ready", missing.name),
                    waited: START_PATIENCE,
                    log: log_path(&self.layout.node_dir(&missing.name))
                        .display()
                        .to_string(),
                });
            }
            self.pause(signals)?;
        }
    }

    /// Waits until the gateway is ready, reaches every storage peer, and has heard of the vdrive: before, it would say that there
    /// is none to whoever makes a directory.
    fn until_connected(&mut self, signals: &Signals) -> Result<(), CliError> {
        let gateway = Gateway::at(&self.gateway)?;
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            let reached = reached(&gateway);
            let all = usize::from(self.layout.peers);
            if matches!(reached, Ok(Reached { peers, vdrive: true }) if peers >= all) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let peers = self.layout.peers;
                return Err(CliError::NotReady {
                    what: match reached {
                        Ok(Reached {
                            peers: reached,
                            vdrive: true,
                        }) => {
                            format!("the gateway reaches {reached} of {peers} storage peers")
                        }
                        Ok(_) => "the gateway has not heard of the vdrive".to_owned(),
                        Err(error) => error.to_string(),
                    },
                    waited: START_PATIENCE,
                    log: log_path(&self.layout.node_dir(GATEWAY)).display().to_string(),
                });
            }
            self.pause(signals)?;
        }
    }

    /// Lets a moment pass; an error if a signal asks to stop or a child has died meanwhile.
    fn pause(&mut self, signals: &Signals) -> Result<(), CliError> {
        if signals.wait(LOOK_EVERY) == Event::Stop {
            return Err(CliError::Interrupted);
        }
        for member in &mut self.members {
            if let Some(status) = member.process.ended()? {
                return Err(member.process.died(status));
            }
        }
        Ok(())
    }

    /// Reads what nodes say of themselves that have become ready; says whether there was any news.
    pub(crate) fn take_run_files(&mut self) -> Result<bool, CliError> {
        let mut news = false;
        for member in self.members.iter_mut().filter(|member| member.entry.is_none()) {
            // What a process wrote of itself says nothing any more once it has ended.
            if member.process.ended()?.is_some() {
                continue;
            }
            let Some(run_file) = member.process.run_file()? else {
                continue;
            };
            member.entry = Some(NodeEntry {
                name: member.name.clone(),
                roles: run_file.roles.iter().map(ToString::to_string).collect(),
                pid: run_file.pid,
                address: run_file.mesh.to_string(),
                dir: self.layout.node_dir(&member.name),
            });
            news = true;
            if let Some(invite) = run_file.invite.filter(|_| member.name == INTRODUCER) {
                self.invite = invite;
            }
            if let Some(http) = run_file.http.filter(|_| member.name == GATEWAY) {
                self.gateway = http.trim_end_matches('/').to_owned();
            }
        }
        Ok(news)
    }

    /// The content of `cluster.json`.
    pub(crate) fn file(&self) -> ClusterFile {
        ClusterFile {
            gateway: self.gateway.clone(),
            invite: self.invite.clone(),
            nodes: self
                .members
                .iter()
                .filter_map(|member| member.entry.clone())
                .collect(),
        }
    }
}

/// Whom a ready gateway knows.
struct Reached {
    /// Storage peers that it is connected to.
    peers: usize,
    /// Whether there is a vdrive.
    vdrive: bool,
}

fn reached(gateway: &Gateway) -> Result<Reached, CliError> {
    gateway.page("/readyz")?;
    let welcome = gateway.json("/?t=json")?;
    let rows = PeerRow::all(&welcome);
    Ok(Reached {
        peers: rows.iter().filter(|row| row.connected).count(),
        vdrive: knows_vdrive(&welcome),
    })
}

/// Whether one of the nodes that a gateway knows keeps directories.
fn knows_vdrive(welcome: &Value) -> bool {
    let peers = welcome["truckee"]["peers"].as_array();
    let mut roles = peers
        .into_iter()
        .flatten()
        .filter_map(|peer| peer["roles"].as_array());
    roles.any(|roles| roles.iter().any(|role| role == "vdrive"))
}

/// Tells the user where the cluster is.
fn announce(cluster: &Cluster, json: bool, took: Duration) -> Result<(), CliError> {
    if json {
        let value = serde_json::to_value(cluster.file());
        let value = value.map_err(|error| CliError::System {
            action: "print the cluster",
            source: error.into(),
        })?;
        return print_json(&value);
    }
    let peers = cluster.layout.peers;
    print_line(&format!(
        "{}/  is the gateway of a cluster of {peers} storage peer{}, ready after {:.1} s",
        cluster.gateway,
        if peers == 1 { "" } else { "s" },
        took.as_secs_f64(),
    ))?;
    print_line(&format!(
        "data, logs and cluster.json are in {}; Ctrl-C stops it",
        cluster.layout.dir().display()
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gateway_knows_a_vdrive_or_not() {
        let of =
            |roles: Value| json!({ "truckee": { "peers": [{ "roles": ["storage"] }, { "roles": roles }] } });
        assert!(knows_vdrive(&of(json!(["storage", "vdrive"]))));
        assert!(!knows_vdrive(&of(json!(["introducer"]))));
        assert!(!knows_vdrive(&json!({ "servers": [] })));
    }
}
