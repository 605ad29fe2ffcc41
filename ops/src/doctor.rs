//! `truckee doctor`: looks for what is wrong with this machine, a local cluster and its gateway.
//!
//! Owns a list of independent checks, each with one sentence on what to do when it fails. It changes nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
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
        Some(cluster) => findings.extend(cluster.nodes.iter().flat_map(|node| [process(node), key(node)])),
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
