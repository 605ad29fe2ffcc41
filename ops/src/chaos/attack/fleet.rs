//! The nodes of a cluster as processes: signalled, stopped, started again.
//!
//! Nodes of the tool's own cluster are started as its children and end with it; nodes of somebody else's cluster are
//! started to go on without it, and `truckee up` takes them over. Dropped, it lets every frozen node go on.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use truckee_nodes::RunFile;

use super::super::patience::{Patience, Waited};
use super::super::undo::Undo;
use super::clock;
use crate::cluster::file::NodeEntry;
use crate::cluster::process::{Process, is_node, log_path, signal_node};
use crate::cluster::up::Cluster;
use crate::error::CliError;

/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// How long a node may take to stop in order: what it gives its transfers (20 s by default), what it takes beyond at most
/// (15 s), and some more.
const STOPPED_WITHIN: Duration = Duration::from_secs(45);

/// How long a node may take to be ready after its start on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// One node.
#[derive(Debug)]
struct Member {
    entry: NodeEntry,
    /// The process, if this tool started it for somebody else's cluster.
    started: Option<Process>,
    /// By how much its clock is to be wrong when it is started, in seconds.
    wrong_seconds: i64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Fleet {
    members: Vec<Member>,
    /// The tool's own cluster.
    pub(crate) own: Option<Cluster>,
    pub(crate) undo: Undo,
    /// Keeps a second attack away.
    _lock: File,
    /// Nodes that were started again.
    pub(crate) starts: u64,
}

impl Fleet {
    /// The nodes of a running cluster; `own` if this tool runs it.
    pub(crate) fn new(nodes: Vec<NodeEntry>, own: Option<Cluster>, undo: Undo, lock: File) -> Fleet {
        let member = |entry| Member {
            entry,
            started: None,
            wrong_seconds: 0,
        };
        Fleet {
            members: nodes.into_iter().map(member).collect(),
            own,
            undo,
            _lock: lock,
            starts: 0,
        }
    }

    /// Every node.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &NodeEntry> {
        self.members.iter().map(|member| &member.entry)
    }

    /// The directory of a node.
    pub(crate) fn dir(&self, name: &str) -> Option<PathBuf> {
        self.entry(name).map(|entry| entry.dir.clone())
    }

    fn entry(&self, name: &str) -> Option<&NodeEntry> {
        self.entries().find(|entry| entry.name == name)
    }

    /// The pid of the node if it runs: as it says itself, else as it was last known.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        let entry = self.entry(name)?;
        let said = RunFile::read(&entry.dir)
            .ok()
            .flatten()
            .map(|run_file| run_file.pid);
        let known = said.into_iter().chain([entry.pid]);
        let mut running = known.filter(|pid| is_node(*pid, &entry.dir));
        running.next()
    }

    /// Nodes that do not run.
    pub(crate) fn missing(&mut self) -> Vec<String> {
        self.reap();
        let names: Vec<String> = self.entries().map(|entry| entry.name.clone()).collect();
        names
            .into_iter()
            .filter(|name| self.pid(name).is_none())
            .collect()
    }

    /// Collects children that have ended, so that they do not stay as zombies. One that cannot be looked after counts as
    /// running, which shows.
    fn reap(&mut self) {
        let own = self.own.iter_mut().flat_map(|cluster| &mut cluster.members);
        for process in own.map(|member| &mut member.process) {
            drop(process.ended());
        }
        for process in self
            .members
            .iter_mut()
            .filter_map(|member| member.started.as_mut())
        {
            drop(process.ended());
        }
    }

    /// Signals the node if it runs; says whether it did.
    fn signal(&self, name: &str, signal: Signal) -> Result<bool, CliError> {
        let Some(entry) = self.entry(name) else {
            return Ok(false);
        };
        match self.pid(name) {
            Some(pid) => signal_node(pid, &entry.dir, signal),
            None => Ok(false),
        }
    }

    /// `kill -9`; returns when it is gone.
    pub(crate) fn kill(&mut self, name: &str, patience: &mut Patience) -> Result<(), CliError> {
        self.stop_with(name, Signal::KILL, GONE_WITHIN, patience)
    }

    /// Asks it to stop in order; returns when it is gone.
    pub(crate) fn stop(&mut self, name: &str, patience: &mut Patience) -> Result<(), CliError> {
        self.stop_with(name, Signal::TERM, STOPPED_WITHIN, patience)
    }

    fn stop_with(
        &mut self,
        name: &str,
        signal: Signal,
        within: Duration,
        patience: &mut Patience,
    ) -> Result<(), CliError> {
        self.undo.note(|deeds| deeds.down.insert(name.to_owned()))?;
        self.signal(name, signal)?;
        let waited = patience.until(within, || {
            self.reap();
            Ok(self.pid(name).is_none())
        })?;
        match waited {
            Waited::Yes => Ok(()),
            Waited::No => Err(self.not(name, "has not stopped", within)),
        }
    }

    /// Begins to start it, unless somebody else has done so.
    pub(crate) fn start(&mut self, name: &str) -> Result<(), CliError> {
        self.reap();
        if self.pid(name).is_some() {
            return Ok(());
        }
        let Some(member) = self.members.iter_mut().find(|member| member.entry.name == name) else {
            return Ok(());
        };
        let environment = match (member.wrong_seconds, clock::library()) {
            (0, _) | (_, None) => Vec::new(),
            (seconds, Some(library)) => clock::environment(library, seconds),
        };
        let own = self.own.iter_mut().flat_map(|cluster| &mut cluster.members);
        let pid = match own.into_iter().find(|own| own.name == name) {
            Some(own) => {
                own.process = Process::start_with(name, &member.entry.dir, environment)?;
                own.entry = None;
                own.process.pid()
            }
            None => {
                let process = Process::start_free(name, &member.entry.dir)?;
                let pid = process.pid();
                member.started = Some(process);
                pid
            }
        };
        member.entry.pid = pid;
        self.starts += 1;
        Ok(())
    }

    /// Its clock is wrong by so much from its next start on; 0: it is right.
    pub(crate) fn set_clock(&mut self, name: &str, wrong_seconds: i64) {
        let members = self.members.iter_mut();
        for member in members.filter(|member| member.entry.name == name) {
            member.wrong_seconds = wrong_seconds;
        }
    }

    /// Waits until it says that it serves.
    pub(crate) fn until_ready(&mut self, name: &str, patience: &mut Patience) -> Result<(), CliError> {
        let dir = self.dir(name).unwrap_or_default();
        let waited = patience.until(READY_WITHIN, || {
            self.reap();
            let said = RunFile::read(&dir).ok().flatten();
            Ok(said.is_some_and(|said| self.pid(name) == Some(said.pid)))
        })?;
        if waited == Waited::No {
            return Err(self.not(name, "is not ready", READY_WITHIN));
        }
        self.undo.note(|deeds| deeds.down.remove(name))?;
        self.publish()
    }

    /// Starts it and waits until it serves.
    pub(crate) fn start_and_wait(&mut self, name: &str, patience: &mut Patience) -> Result<(), CliError> {
        self.start(name)?;
        self.until_ready(name, patience)
    }

    fn publish(&mut self) -> Result<(), CliError> {
        let Some(cluster) = &mut self.own else {
            return Ok(());
        };
        if cluster.take_run_files()? {
            cluster.publish()?;
        }
        Ok(())
    }

    /// From now on it neither answers nor hangs up.
    pub(crate) fn freeze(&mut self, name: &str) -> Result<(), CliError> {
        self.undo.note(|deeds| deeds.frozen.insert(name.to_owned()))?;
        self.signal(name, Signal::STOP).map(drop)
    }

    /// It goes on.
    pub(crate) fn thaw(&mut self, name: &str) -> Result<(), CliError> {
        self.signal(name, Signal::CONT)?;
        self.undo.note(|deeds| deeds.frozen.remove(name))
    }

    fn not(&self, name: &str, what: &str, waited: Duration) -> CliError {
        CliError::NotReady {
            what: format!("{name} {what}"),
            waited,
            log: log_path(&self.dir(name).unwrap_or_default()),
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let frozen: Vec<String> = self.undo.deeds.frozen.iter().cloned().collect();
        for name in frozen {
            if let Err(error) = self.thaw(&name) {
                eprintln!(
                    "truckee: {name} may still be frozen ({error}); `truckee chaos --heal` undoes that"
                );
            }
        }
    }
}
