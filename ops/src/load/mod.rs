//! `truckee load`: the measuring tool.
//!
//! Owns what is measured: random data put to any gateway that speaks the web API, got back and compared bit for bit, in
//! rounds, with medians. It stores what it measures: rounds × files × size × n/k bytes stay in the cluster, so use one
//! that can be thrown away. The client burns CPU on the same machine when the gateway is local; its share is in the JSON.

pub(crate) mod content;
mod directories;
mod outcome;
mod procs;
mod profile;
mod report;
mod round;
pub(crate) mod size;
pub(crate) mod sizes;
mod stats;
mod workload;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::cli::LoadArgs;
use crate::error::CliError;
use crate::http::Gateway;
use crate::output::{print_json, print_line, transfer_bar};
use outcome::Outcome;
use procs::Nodes;
use round::Files;

pub(crate) use procs::runs as node_runs;
pub(crate) use workload::Operation;
use workload::Workload;

/// Runs the command.
pub(crate) fn run(args: &LoadArgs) -> Result<(), CliError> {
    let operations = operations(args)?;
    let gateway = Gateway::of(&args.client)?;
    if args.directories {
        return directories::run(args, &gateway);
    }
    see_ready(&gateway)?;
    let nodes = match args.pids.as_slice() {
        [] => Nodes::of_cluster(&args.cluster, gateway.url())?,
        pids => Some(Nodes::of_pids(pids)?),
    };
    let seed = args.seed.unwrap_or_else(seed_from_clock);
    if args.profile {
        return profile::run(args, &gateway, nodes.as_ref(), seed);
    }
    let mut bench = Bench {
        args,
        url: gateway.url(),
        nodes: nodes.as_ref(),
        seed,
        round: 0,
    };
    let workloads = if args.table {
        workload::table().to_vec()
    } else {
        vec![(Workload::of(args), operations.as_slice())]
    };
    let mut outcomes = Vec::new();
    for (work, operations) in &workloads {
        outcomes.extend(bench.measure(work, operations)?);
    }
    if args.json {
        let all: Vec<_> = outcomes.iter().map(Outcome::json).collect();
        return print_json(&json!({ "seed": seed, "gateway": gateway.url(), "outcomes": all }));
    }
    for line in report::table(&outcomes) {
        print_line(&line)?;
    }
    let note = match &nodes {
        None => format!(
            "no cluster.json of this gateway in {}: CPU and memory of the nodes are not known",
            args.cluster.display()
        ),
        Some(nodes) if nodes.missing > 0 => format!("{} nodes of the cluster do not run", nodes.missing),
        Some(_) => String::new(),
    };
    if !note.is_empty() {
        eprintln!("truckee: {note}");
    }
    print_line(&format!(
        "seed {seed}, {} rounds, every download compared bit for bit",
        args.repeat
    ))
}

/// Asks the gateway whether it can work. One that does not know the question, such as that of Tahoe-LAFS, is taken at its word when
/// it answers requests.
fn see_ready(gateway: &Gateway) -> Result<(), CliError> {
    match gateway.page("/readyz") {
        Err(CliError::Status { status: 404, .. }) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The operations in the order in which they make sense.
fn operations(args: &LoadArgs) -> Result<Vec<Operation>, CliError> {
    if !args.op.contains(&Operation::Put) {
        let asked: Vec<&str> = args.op.iter().map(|operation| operation.word()).collect();
        return Err(CliError::Usage {
            what: "--op",
            value: asked.join(","),
            hint: "a download needs the caps of an upload; use --op put,get".into(),
        });
    }
    if args.op.contains(&Operation::Range) && (args.part == 0 || args.size.smallest_bytes() == 0) {
        return Err(CliError::Usage {
            what: if args.part == 0 { "--part" } else { "--size" },
            value: "0".into(),
            hint: "a part of a file has at least one byte, so no file may be empty".into(),
        });
    }
    let files_min = args.size.files_min();
    if args.files < files_min {
        return Err(CliError::Usage {
            what: "--files",
            value: args.files.to_string(),
            hint: format!(
                "a {} needs at least {files_min} files, or some sizes never come",
                args.size
            ),
        });
    }
    let in_order = [Operation::Put, Operation::Get, Operation::Range].into_iter();
    Ok(in_order.filter(|operation| args.op.contains(operation)).collect())
}

fn seed_from_clock() -> u64 {
    // Any number will do; a clock before 1970 gives the same one each time, which is as good.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |since| since.as_nanos() as u64)
}

/// What stays the same over all rounds.
struct Bench<'a> {
    args: &'a LoadArgs,
    url: &'a str,
    nodes: Option<&'a Nodes>,
    seed: u64,
    /// Rounds so far, warm-ups included: no content comes twice.
    round: u64,
}

impl Bench<'_> {
    /// All rounds of one workload.
    fn measure(&mut self, work: &Workload, operations: &[Operation]) -> Result<Vec<Outcome>, CliError> {
        let warmup = work.warmup();
        for _ in 0..self.args.warmup {
            self.round(&warmup, operations, "warm-up")?;
        }
        let mut outcomes: Vec<Outcome> = operations
            .iter()
            .map(|operation| Outcome {
                operation: *operation,
                work: work.clone(),
                rounds: Vec::new(),
                nodes_seen: self.nodes.is_some(),
            })
            .collect();
        for _ in 0..self.args.repeat {
            let rounds = self.round(work, operations, "round")?;
            for (outcome, round) in outcomes.iter_mut().zip(rounds) {
                outcome.rounds.push(round);
            }
        }
        Ok(outcomes)
    }

    /// One round: each operation once, on the same files.
    fn round(
        &mut self,
        work: &Workload,
        operations: &[Operation],
        kind: &'static str,
    ) -> Result<Vec<round::Round>, CliError> {
        self.round += 1;
        let mut files = Files::new(self.seed, self.round);
        let mut rounds = Vec::new();
        for operation in operations {
            let bar = transfer_bar(
                operation.word(),
                Some(work.total_bytes(*operation)),
                self.args.json,
            );
            bar.set_prefix(format!("{kind} {} ", work.text(*operation)));
            let measured = round::run(*operation, work, &mut files, self.url, self.nodes, &bar);
            bar.finish_and_clear();
            rounds.push(measured?);
        }
        Ok(rounds)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A gateway that answers one request so.
    fn once(status: &'static str) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway = Gateway::at(&listener.local_addr().unwrap().to_string()).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        gateway
    }

    #[test]
    fn who_does_not_know_the_question_may_be_ready() {
        assert!(see_ready(&once("200 OK")).is_ok());
        assert!(see_ready(&once("404 Not Found")).is_ok());
        assert!(see_ready(&once("503 Service Unavailable")).is_err());
    }
}
