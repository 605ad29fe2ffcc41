//! What a measurement says: a table for people, JSON with every round for programs.

use serde_json::{Value, json};

use crate::load::Operation;
use crate::load::outcome::Outcome;
use crate::load::procs::NodeCost;
use crate::load::round::Round;
use crate::load::sizes::Share;
use crate::load::stats::{Percentiles, Spread};
use crate::output::bytes_text;

const MIB: f64 = 1024.0 * 1024.0;
const GIB: f64 = 1024.0 * MIB;

impl Outcome {
    /// One row of the table.
    fn row(&self) -> String {
        let verb = match self.operation {
            Operation::Put => "upload",
            Operation::Get => "download",
            Operation::Range => "parts of",
        };
        let whole = self.work.sizes.to_string();
        let size = match self.operation {
            Operation::Put | Operation::Get => whole,
            Operation::Range => {
                let part = self.work.part_bytes.min(self.work.sizes.largest_bytes());
                let requests = self.work.requests(self.operation);
                let at_most = if self.work.sizes.are_mixed() {
                    "at most "
                } else {
                    ""
                };
                format!("{whole}, {requests} of {at_most}{}", bytes_text(part))
            }
        };
        let files = if self.work.files == 1 {
            String::new()
        } else {
            format!("{} × ", self.work.files)
        };
        let clients = if self.work.clients == 1 {
            "1 client".into()
        } else {
            format!("{} clients", self.work.clients)
        };
        let cpu = if self.nodes_seen {
            self.cpu_text()
        } else {
            "–".into()
        };
        let (gateway, all) = match self.gateway_peak() {
            Some(peak) => (bytes_text(peak), bytes_text(self.nodes_peak())),
            None => ("–".into(), "–".into()),
        };
        let latency = latency_text(self.latencies(|_| true));
        format!(
            "| {verb} {files}{size}, {clients} | {} | {latency} | {cpu} | {gateway} | {all} |",
            self.speed_text()
        )
    }

    /// A row of latencies for each size of a mix.
    fn rows_of_sizes(&self) -> Vec<String> {
        if !self.work.sizes.are_mixed() {
            return Vec::new();
        }
        let shares = self.work.sizes.shares().iter().enumerate();
        let row = |(number, share): (usize, &Share)| {
            let latency = latency_text(self.latencies_of(number));
            format!("| – files of {} | | {latency} | | | |", bytes_text(share.bytes))
        };
        shares.map(row).collect()
    }

    /// CPU of all nodes: per GiB for large files, per file for small ones.
    fn cpu_text(&self) -> String {
        let seconds = self.spread(|round| round.cpu.nodes).median;
        if self.is_large() {
            return format!("{:.1} s/GiB", seconds * GIB / self.total_bytes());
        }
        format!("{:.1} ms/file", seconds * 1e3 / self.requests())
    }

    /// Bytes per second for large files, files per second for small ones, both if they are mixed.
    fn speed_text(&self) -> String {
        if self.is_large() {
            let spread = self.bytes_per_second().divided_by(MIB);
            let mb = spread.median * MIB / 1e6;
            return format!(
                "{:.0} MiB/s = {mb:.0} MB/s [{:.0}–{:.0} MiB/s]",
                spread.median, spread.min, spread.max
            );
        }
        let spread = self.requests_per_second();
        let files = format!(
            "{:.0} files/s [{:.0}–{:.0}]",
            spread.median, spread.min, spread.max
        );
        if !self.work.sizes.are_mixed() {
            return files;
        }
        format!("{files}, {:.1} MiB/s", self.bytes_per_second().median / MIB)
    }

    /// Everything, for programs.
    pub(crate) fn json(&self) -> Value {
        let spread =
            |spread: Spread| json!({ "median": spread.median, "min": spread.min, "max": spread.max });
        let sizes = self.work.sizes.shares().iter().enumerate();
        let sizes = sizes.map(|(number, share)| {
            json!({
                "size_bytes": share.bytes,
                "parts": share.parts,
                "requests": self.work.requests_of(self.operation, number),
                "request_bytes": self.work.moved_bytes(self.operation, share.bytes),
                "latency_ms": latency_json(self.latencies_of(number)),
            })
        });
        let rounds: Vec<Value> = self
            .rounds
            .iter()
            .map(|round| round_json(round, self.nodes_seen))
            .collect();
        json!({
            "operation": self.operation.word(),
            "sizes": sizes.collect::<Vec<_>>(),
            "files": self.work.files,
            "requests": self.work.requests(self.operation),
            "bytes": self.work.total_bytes(self.operation),
            "clients": self.work.clients,
            "bytes_per_second": spread(self.bytes_per_second()),
            "files_per_second": spread(self.requests_per_second()),
            "latency_ms": latency_json(self.latencies(|_| true)),
            "refusals": self.refusals(),
            "nodes_cpu_seconds": self.nodes_seen.then(|| spread(self.spread(|round| round.cpu.nodes))),
            "gateway_peak_bytes": self.gateway_peak(),
            "nodes_peak_bytes": self.nodes_seen.then(|| self.nodes_peak()),
            "rounds_disturbed": self.counted().1,
            "rounds": rounds,
        })
    }
}

fn round_json(round: &Round, nodes_seen: bool) -> Value {
    json!({
        "seconds": round.seconds,
        "nodes_cpu_seconds": nodes_seen.then_some(round.cpu.nodes),
        "client_cpu_seconds": round.cpu.client,
        "other_cpu_seconds": nodes_seen.then(|| round.cpu.others()),
        "disturbed": Outcome::is_disturbed(round, nodes_seen),
        "gateway_peak_bytes": round.gateway_peak_bytes(),
        "nodes": round.nodes.iter().map(node_json).collect::<Vec<_>>(),
    })
}

fn node_json(node: &NodeCost) -> Value {
    json!({ "name": node.name, "cpu_seconds": node.cpu_seconds, "peak_bytes": node.peak_bytes })
}

/// For people, in milliseconds.
fn latency_text(latencies: Option<Percentiles>) -> String {
    latencies.map_or_else(
        || "–".into(),
        |all| {
            format!(
                "{:.1} / {:.1} / {:.1}",
                millis(all.p50),
                millis(all.p90),
                millis(all.p99)
            )
        },
    )
}

/// For programs, in milliseconds.
fn latency_json(latencies: Option<Percentiles>) -> Option<Value> {
    latencies.map(|all| {
        json!({ "p50": millis(all.p50), "p90": millis(all.p90), "p99": millis(all.p99), "max": millis(all.max) })
    })
}

fn millis(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The table, in Markdown.
pub(crate) fn table(outcomes: &[Outcome]) -> Vec<String> {
    let mut lines = vec![
        "| what | median [min–max] | latency p50 / p90 / p99, ms | CPU, all nodes | peak memory, gateway | peak memory, all nodes |"
            .to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    for outcome in outcomes {
        lines.push(outcome.row());
        lines.extend(outcome.rows_of_sizes());
    }
    for outcome in outcomes {
        if outcome.refusals() > 0 {
            lines.push(format!(
                "in {} rounds of {} ({}) the gateway asked {} times to come back later, which was done",
                outcome.rounds.len(),
                outcome.work.text(outcome.operation),
                outcome.operation.word(),
                outcome.refusals(),
            ));
        }
        let (_, disturbed) = outcome.counted();
        if disturbed > 0 {
            lines.push(format!(
                "{} of {} rounds of {} ({}) were disturbed by other processes{}",
                disturbed,
                outcome.rounds.len(),
                outcome.work.text(outcome.operation),
                outcome.operation.word(),
                if disturbed == outcome.rounds.len() {
                    "; its figures are not to be trusted"
                } else {
                    " and not counted"
                },
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::Workload;
    use crate::load::procs::Cpu;
    use crate::load::sizes::{self, Sizes};

    fn round(seconds: f64, others: f64) -> Round {
        Round {
            seconds,
            latencies: vec![Duration::from_secs_f64(seconds)],
            refusals: 3,
            cpu: Cpu {
                nodes: 1.0,
                client: 0.5,
                machine: 1.5 + others,
            },
            nodes: vec![
                node("gateway", 0.25, 50 << 20),
                node("storage-01", 0.75, 250 << 20),
            ],
        }
    }

    fn node(name: &str, cpu_seconds: f64, peak_bytes: u64) -> NodeCost {
        NodeCost {
            name: name.to_owned(),
            is_gateway: name == "gateway",
            cpu_seconds: Some(cpu_seconds),
            peak_bytes: Some(peak_bytes),
        }
    }

    fn outcome(rounds: Vec<Round>) -> Outcome {
        let work = Workload {
            sizes: Sizes::one(1 << 30),
            files: 1,
            clients: 1,
            part_bytes: 1 << 20,
        };
        Outcome {
            operation: Operation::Put,
            work,
            rounds,
            nodes_seen: true,
        }
    }

    #[test]
    fn disturbed_rounds_do_not_count_unless_all_are() {
        let mixed = outcome(vec![round(8.0, 0.0), round(100.0, 1e6), round(10.0, 0.0)]);
        assert_eq!(mixed.counted().1, 1);
        let speed = mixed.spread(|round| round.seconds);
        assert_eq!((speed.min, speed.max), (8.0, 10.0));
        let all = outcome(vec![round(100.0, 1e6)]);
        assert_eq!(all.spread(|round| round.seconds).median, 100.0);
        let table = table(&[all]);
        assert!(table.last().unwrap().contains("not to be trusted"));
        assert!(
            table
                .iter()
                .any(|line| line.contains("asked 3 times to come back later"))
        );
    }

    #[test]
    fn the_row_and_the_json_agree() {
        let one = outcome(vec![round(8.0, 0.0)]);
        let row = one.row();
        assert!(row.contains("128 MiB/s = 134 MB/s"), "{row}");
        assert!(row.contains("| 1.0 s/GiB | 50.0 MiB | 300 MiB |"), "{row}");
        let value = one.json();
        assert_eq!(
            value["bytes_per_second"]["median"],
            json!((1u64 << 30) as f64 / 8.0)
        );
        assert_eq!(value["gateway_peak_bytes"], json!(50u64 << 20));
        assert_eq!(
            value["rounds"][0]["nodes"][1],
            json!({ "name": "storage-01", "cpu_seconds": 0.75, "peak_bytes": 250u64 << 20 })
        );
    }

    #[test]
    fn a_mix_tells_its_sizes_apart() {
        let sizes = sizes::parse("1KiB:3,1MiB:1").unwrap();
        // Large files take a second, small ones a millisecond.
        let latency = |file| {
            Duration::from_millis(if sizes.size_bytes(file) == 1 << 20 {
                1_000
            } else {
                1
            })
        };
        let mut mixed = outcome(vec![round(8.0, 0.0)]);
        mixed.rounds[0].latencies = (0..8).map(latency).collect();
        mixed.work = Workload {
            sizes: sizes.clone(),
            files: 8,
            ..mixed.work
        };
        let rows = table(std::slice::from_ref(&mixed)).join("\n");
        assert!(
            rows.contains("upload 8 × mix of 3/4 1.00 KiB, 1/4 1.00 MiB, 1 client"),
            "{rows}"
        );
        assert!(rows.contains("1 files/s [1–1], 0.3 MiB/s"), "{rows}");
        assert!(
            rows.contains("| – files of 1.00 KiB | | 1.0 / 1.0 / 1.0 |"),
            "{rows}"
        );
        assert!(
            rows.contains("| – files of 1.00 MiB | | 1000.0 / 1000.0 / 1000.0 |"),
            "{rows}"
        );
        let value = mixed.json();
        assert_eq!(value["bytes"], json!(6 * 1024 + 2 * (1u64 << 20)));
        assert_eq!(value["sizes"][1]["requests"], json!(2));
        mixed.operation = Operation::Range;
        mixed.work.part_bytes = 2048;
        assert_eq!(mixed.json()["sizes"][1]["request_bytes"], json!(2048));
        assert_eq!(mixed.json()["bytes"], json!(64 * (6 * 1024 + 2 * 2048)));
    }
}
