//! `truckee doctor`: looks for what is wrong with this machine, a local cluster and its gateway.
//!
//! Owns a list of independent checks, each with one sentence on what to do when it fails. It mends nothing. Nodes that
//! run are asked to write down their recent events, for whoever has to find out what happened.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};
use serde_json::json;

use crate::cli::DoctorArgs;
use crate::cluster::file::{ClusterFile, NodeEntry};
use crate::error::CliError;
use crate::http::Gateway;
use crate::load::node_runs;
use crate::output::{bytes_text, print_json, print_line};

/// Open files that a node may need: two sockets for each of some hundred peers, its clients, its shares.
const OPEN_FILES_MIN: u64 = 1024;

/// Free space below which uploads are about to be refused.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// How long a node may take to write its recent events.
const EVENTS_WITHIN: Duration = Duration::from_secs(5);

/// How often it is looked whether it has.
const EVENTS_LOOK_EVERY: Duration = Duration::from_millis(20);

/// The outcome of one check: what was found, or what to do.
struct Finding {
    what: String,
    outcome: Result<String, String>,
}

impl Finding {
    fn new(what: impl Into<String>, outcome: Result<String, String>) -> Finding {
        Finding {
            what: what.into(),
            outcome,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &DoctorArgs) -> Result<(), CliError> {
    let mut findings = vec![open_files()];
    if args.cluster.is_dir() {
        findings.push(free_space(&args.cluster));
    }
    match ClusterFile::read(&args.cluster)? {
        None => findings.push(Finding::new(
            "cluster",
            Ok(format!("none runs in {}", args.cluster.display())),
        )),
        Some(cluster) => findings.extend(cluster.nodes.iter().flat_map(about)),
    }
    findings.push(gateway(args));
    let failed = findings.iter().filter(|finding| finding.outcome.is_err()).count();
    if args.json {
        let row = |finding: &Finding| {
            let (ok, text) = match &finding.outcome {
                Ok(text) => (true, text),
                Err(text) => (false, text),
            };
            json!({ "check": finding.what, "ok": ok, "finding": text })
        };
        print_json(&json!({ "checks": findings.iter().map(row).collect::<Vec<_>>() }))?;
    } else {
        for finding in &findings {
            let (mark, text) = match &finding.outcome {
                Ok(text) => ("ok ", text),
                Err(text) => ("BAD", text),
            };
            print_line(&format!("{mark}  {}: {text}", finding.what))?;
        }
    }
    if failed > 0 {
        return Err(CliError::Unwell {
            failed,
            checks: findings.len(),
        });
    }
    Ok(())
}

fn open_files() -> Finding {
    let limit = getrlimit(Resource::Nofile).current;
    let outcome = match limit {
        Some(limit) if limit < OPEN_FILES_MIN => Err(format!(
            "only {limit} allowed; raise it with `ulimit -n {OPEN_FILES_MIN}` or in the service's unit"
        )),
        Some(limit) => Ok(format!("{limit} allowed")),
        None => Ok("no limit".into()),
    };
    Finding::new("open files", outcome)
}

fn free_space(dir: &Path) -> Finding {
    let outcome = match rustix::fs::statvfs(dir) {
        Err(error) => Err(format!(
            "cannot be read ({error}); check that the directory's disk is mounted"
        )),
        Ok(facts) => {
            let free = facts.f_bavail.saturating_mul(facts.f_frsize);
            let text = format!("{} free", bytes_text(free));
            if free < FREE_BYTES_MIN {
                Err(format!("only {text}; uploads will be refused, make room"))
            } else {
                Ok(text)
            }
        }
    };
    Finding::new(format!("disk of {}", dir.display()), outcome)
}

fn about(node: &NodeEntry) -> Vec<Finding> {
    let mut findings = vec![process(node), key(node)];
    if node_runs(node) {
        findings.extend(events(node));
    }
    findings
}

/// Has the node write its recent events. A node without a directory for them does not know the signal, which would end
/// it: it is left alone.
fn events(node: &NodeEntry) -> Option<Finding> {
    let dir = node.dir.join("incidents");
    let before = newest(&dir)?;
    let pid = Pid::from_raw(i32::try_from(node.pid).ok()?)?;
    let asked = kill_process(pid, Signal::USR1);
    let outcome = asked.map_err(|error| format!("the node cannot be asked for them: {error}"));
    let outcome = outcome.and_then(|()| {
        let until = Instant::now() + EVENTS_WITHIN;
        while Instant::now() < until {
            if let Some(path) = newest(&dir).filter(|path| *path > before) {
                return Ok(format!("in {}", path.display()));
            }
            sleep(EVENTS_LOOK_EVERY);
        }
        Err(format!(
            "not written within {} s; the node hangs or its disk is full, see {}",
            EVENTS_WITHIN.as_secs(),
            node.dir.join("log").display()
        ))
    });
    Some(Finding::new(format!("{} recent events", node.name), outcome))
}

/// The newest file of recent events, or the empty path; none if the node keeps no such files.
fn newest(dir: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Some(
        paths
            .filter(|path| path.extension().is_some_and(|end| end == "log"))
            .max()
            .unwrap_or_default(),
    )
}

fn process(node: &NodeEntry) -> Finding {
    let outcome = if node_runs(node) {
        Ok(format!("runs, pid {}", node.pid))
    } else {
        Err(format!(
            "does not run; start it with `truckee run --dir {}`",
            node.dir.display()
        ))
    };
    Finding::new(&node.name, outcome)
}

fn key(node: &NodeEntry) -> Finding {
    let path = node.dir.join("identity.key");
    let outcome = match std::fs::metadata(&path) {
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
        Ok(facts) if facts.permissions().mode() & 0o077 != 0 => Err(format!(
            "others can read {0}; close it with `chmod 600 {0}`",
            path.display()
        )),
        Ok(_) => Ok("readable by its owner alone".into()),
    };
    Finding::new(format!("{} identity", node.name), outcome)
}

fn gateway(args: &DoctorArgs) -> Finding {
    let found = Gateway::of(&args.client);
    let outcome = found.and_then(|gateway| {
        gateway
            .page("/readyz")
            .map(|_| format!("{}/ is ready", gateway.url()))
    });
    Finding::new("gateway", outcome.map_err(|error| error.to_string()))
}
