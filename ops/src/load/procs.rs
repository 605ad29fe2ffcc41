//! What the nodes of a local cluster cost, read from `/proc`.
//!
//! Owns CPU seconds and peak memory of every node, of this program, and of everything else on the machine, so that a
//! figure can say by how much others disturbed it. Processes of another system can be named by their pids instead. A node whose pid no longer belongs to its directory is left out and
//! counted. Linux only, as is `/proc`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cluster::file::{ClusterFile, NodeEntry};
use crate::cluster::process::is_node;
use crate::error::CliError;

/// Clock ticks per second in `/proc`: the kernel's USER_HZ, 100 on every architecture that Rust's std runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds burned between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cpu {
    /// By all nodes of the cluster.
    pub(crate) nodes: f64,
    /// By this program.
    pub(crate) client: f64,
    /// By all processes of the machine, these included.
    pub(crate) machine: f64,
}

/// CPU seconds burned since each process started, and the machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clocks {
    /// Of each node, as long as it runs.
    nodes: Vec<Option<f64>>,
    client: f64,
    machine: f64,
}

/// What one node cost between two readings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeCost {
    pub(crate) name: String,
    pub(crate) is_gateway: bool,
    /// None if it does not run any more.
    pub(crate) cpu_seconds: Option<f64>,
    /// Most resident memory, shared pages counted.
    pub(crate) peak_bytes: Option<u64>,
}

/// The processes to look at.
#[derive(Debug)]
pub(crate) struct Nodes {
    entries: Vec<NodeEntry>,
    /// Nodes of the cluster file that do not run.
    pub(crate) missing: usize,
}

impl Nodes {
    /// The running nodes of the cluster in `dir` if its gateway is the one at `url`; none otherwise.
    pub(crate) fn of_cluster(dir: &Path, url: &str) -> Result<Option<Nodes>, CliError> {
        let Some(cluster) = ClusterFile::read(dir)?.filter(|cluster| cluster.gateway == url) else {
            return Ok(None);
        };
        let all = cluster.nodes.len();
        let entries: Vec<NodeEntry> = cluster.nodes.into_iter().filter(runs).collect();
        Ok(Some(Nodes {
            missing: all - entries.len(),
            entries,
        }))
    }

    /// Processes of somebody else's system, the gateway's first.
    ///
    /// # Errors
    /// When one of them does not run.
    pub(crate) fn of_pids(pids: &[u32]) -> Result<Nodes, CliError> {
        let entry = |(index, pid): (usize, &u32)| {
            let role = if index == 0 { "gateway" } else { "process" };
            if cpu_seconds(&pid.to_string()).is_none() {
                return Err(CliError::Usage {
                    what: "--pids",
                    value: pid.to_string(),
                    hint: "no process has this number".into(),
                });
            }
            Ok(NodeEntry {
                name: format!("process {pid}"),
                roles: vec![role.to_owned()],
                pid: *pid,
                address: String::new(),
                dir: PathBuf::new(),
            })
        };
        Ok(Nodes {
            entries: pids.iter().enumerate().map(entry).collect::<Result<_, _>>()?,
            missing: 0,
        })
    }

    /// Those that run.
    pub(crate) fn entries(&self) -> &[NodeEntry] {
        &self.entries
    }

    /// Starts peak memory anew; what the kernel refuses leaves the peak since the node's start, which is only higher.
    pub(crate) fn reset_peaks(&self) {
        for entry in &self.entries {
            let _ = fs::write(format!("/proc/{}/clear_refs", entry.pid), "5");
        }
    }

    /// What each node cost between two readings, and the peak of its memory until now.
    pub(crate) fn costs(&self, before: &Clocks, after: &Clocks) -> Vec<NodeCost> {
        let burned = burned(before, after);
        let each = self.entries.iter().zip(burned);
        each.map(|(entry, cpu_seconds)| NodeCost {
            name: entry.name.clone(),
            is_gateway: entry.roles.iter().any(|role| role == "gateway"),
            cpu_seconds,
            peak_bytes: peak_bytes(entry.pid),
        })
        .collect()
    }
}

/// A reading of all clocks; the difference of two is what happened between.
pub(crate) fn clocks(nodes: Option<&Nodes>) -> Clocks {
    let entries = nodes.map_or(&[] as &[NodeEntry], Nodes::entries);
    Clocks {
        nodes: entries
            .iter()
            .map(|entry| cpu_seconds(&entry.pid.to_string()))
            .collect(),
        client: cpu_seconds("self").unwrap_or(0.0),
        machine: fs::read_to_string("/proc/stat")
            .ok()
            .and_then(|text| parse_machine(&text))
            .unwrap_or(0.0),
    }
}

/// By each node. What one burned that ended in between is not known.
fn burned<'a>(before: &'a Clocks, after: &'a Clocks) -> impl Iterator<Item = Option<f64>> + 'a {
    let both = before.nodes.iter().zip(&after.nodes);
    both.map(|(before, after)| Some((*after)? - (*before)?))
}

impl Clocks {
    /// What was burned since `before`.
    pub(crate) fn since(&self, before: &Clocks) -> Cpu {
        Cpu {
            nodes: burned(before, self).flatten().sum(),
            client: self.client - before.client,
            machine: self.machine - before.machine,
        }
    }
}

impl Cpu {
    /// What processes burned that have nothing to do with the measurement.
    pub(crate) fn others(self) -> f64 {
        (self.machine - self.nodes - self.client).max(0.0)
    }
}

/// Whether the pid still belongs to a node of that directory.
pub(crate) fn runs(entry: &NodeEntry) -> bool {
    is_node(entry.pid, &entry.dir)
}

fn cpu_seconds(pid: &str) -> Option<f64> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// User and system time from `/proc/PID/stat`. The name in the second field may hold spaces and brackets: count from
/// the last closing one.
fn parse_stat(text: &str) -> Option<f64> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // Fields 14 and 15 of proc(5); the third is the first one here.
    Some((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND)
}

/// Busy time of all processors from `/proc/stat`: user, nice, system, irq, softirq, steal.
fn parse_machine(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let busy: u64 = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|index| ticks.get(*index))
        .sum();
    Some(busy as f64 / TICKS_PER_SECOND)
}

fn peak_bytes(pid: u32) -> Option<u64> {
    parse_peak(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// `VmHWM` from `/proc/PID/status`, which is in KiB.
fn parse_peak(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_texts() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 0 0";
        assert_eq!(parse_stat(stat), Some(3.0));
        assert_eq!(parse_stat("junk"), None);
        assert_eq!(
            parse_machine("cpu  100 0 50 9000 77 10 20 20 0 0\ncpu0 1 1 1\n"),
            Some(2.0)
        );
        assert_eq!(
            parse_peak("Name:\tx\nVmHWM:\t    1024 kB\nVmRSS:\t 1 kB\n"),
            Some(1 << 20)
        );
    }

    #[test]
    fn this_process_is_seen() {
        assert!(cpu_seconds("self").is_some());
        assert!(peak_bytes(std::process::id()).is_some_and(|bytes| bytes > 0));
        assert!(clocks(None).machine > 0.0);
    }

    #[test]
    fn processes_that_are_named_are_looked_at_and_the_first_is_the_gateway() {
        let own = std::process::id();
        let nodes = Nodes::of_pids(&[own, own]).unwrap();
        let now = clocks(Some(&nodes));
        let before = Clocks {
            nodes: vec![Some(0.0), None],
            ..Clocks::default()
        };
        let costs = nodes.costs(&before, &now);
        assert_eq!(
            costs.iter().map(|cost| cost.is_gateway).collect::<Vec<_>>(),
            [true, false]
        );
        assert!(
            costs
                .iter()
                .all(|cost| cost.peak_bytes.is_some_and(|bytes| bytes > 0))
        );
        assert_eq!(costs[1].cpu_seconds, None, "it was not there before");
        assert_eq!(costs[0].cpu_seconds, Some(now.since(&before).nodes));
        let refused = Nodes::of_pids(&[u32::MAX]).unwrap_err();
        assert!(
            refused.to_string().contains("no process has this number"),
            "{refused}"
        );
    }

    #[test]
    fn a_foreign_pid_is_not_taken_for_a_node() {
        let entry = NodeEntry {
            name: "x".into(),
            roles: vec![],
            pid: std::process::id(),
            address: String::new(),
            dir: "/nonexistent/nodes/x".into(),
        };
        assert!(!runs(&entry));
    }
}
