//! `truckee load --directories`: what directories cost, at any gateway that speaks the web API.
//!
//! Owns the order of the measurements: make directories; add children one by one to a new one; list it; make one of ten
//! times as many children, list that, add to it and unlink from it; then several clients at once on one directory. Each
//! child is a small file that lives in its cap, so that nothing but the directory is measured. After the last step the
//! directory is listed and every child that was acknowledged must be in it.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use ureq::http::Method;

use super::stats::{Percentiles, Spread};
use crate::cli::LoadArgs;
use crate::client::{NewChild, Place, Replace};
use crate::error::CliError;
use crate::http::{Gateway, Payload, PutChoice, escape};
use crate::output::{print_json, print_line};

/// Children that are added one by one.
const CHILDREN: u64 = 1_000;
/// Children of the large directory.
const CHILDREN_LARGE: u64 = 10_000;
/// Children that one request adds to it.
const CHILDREN_AT_ONCE: u64 = 1_000;
/// Operations of a kind that are short and of which many make a figure.
const REPEATED: u64 = 20;
/// Clients at once.
const CLIENTS: u64 = 16;

/// How long each operation of one kind took.
struct Row {
    what: &'static str,
    clients: u64,
    latencies: Vec<Duration>,
    /// From the first request to the last answer.
    elapsed: Duration,
}

/// All rounds of the measurement; a gateway that fails one request ends it.
pub(super) fn run(args: &LoadArgs, gateway: &Gateway) -> Result<(), CliError> {
    let mut rounds: Vec<Vec<Row>> = Vec::new();
    for round in 0..args.warmup + args.repeat {
        let rows = Bench { gateway }.round(args.json)?;
        if round >= args.warmup {
            rounds.push(rows);
        }
    }
    let table: Vec<Figures> = (0..rounds.first().map_or(0, Vec::len))
        .filter_map(|row| Figures::of(&rounds, row))
        .collect();
    if args.json {
        let all: Vec<Value> = table.iter().map(Figures::json).collect();
        return print_json(&json!({ "gateway": gateway.url(), "rounds": args.repeat, "directories": all }));
    }
    print_line("| directories | per second, median [min–max] of the rounds | latency p50 / p90 / p99, ms |")?;
    print_line("|---|---|---|")?;
    for figures in &table {
        print_line(&figures.line())?;
    }
    print_line(&format!(
        "{} rounds; every acknowledged child was found again",
        args.repeat
    ))
}

struct Bench<'g> {
    gateway: &'g Gateway,
}

impl Bench<'_> {
    fn round(&self, quiet: bool) -> Result<Vec<Row>, CliError> {
        let bar = steps_bar(quiet);
        let made = one_by_one("make a directory", REPEATED, |_| self.gateway.mkdir().map(drop));
        let small = self.gateway.mkdir()?;
        let added = one_by_one("add a child, one by one", CHILDREN, |child| {
            bar.inc(1);
            self.add(&small, child)
        });
        let listed = one_by_one("list 1,000 children", REPEATED, |_| self.list(&small, CHILDREN));
        let large = self.gateway.mkdir()?;
        for first in (0..CHILDREN_LARGE).step_by(CHILDREN_AT_ONCE as usize) {
            self.fill(&large, first)?;
            bar.inc(CHILDREN_AT_ONCE);
        }
        let listed_large = one_by_one("list 10,000 children", REPEATED, |_| {
            self.list(&large, CHILDREN_LARGE)
        });
        let added_large = one_by_one("add a child to 10,000", REPEATED, |child| {
            self.add(&large, CHILDREN_LARGE + child)
        });
        let removed = one_by_one("unlink a child of 10,000", REPEATED, |child| {
            let path = format!("/uri/{}/{}", escape(&large), name(CHILDREN_LARGE + child));
            self.gateway
                .call(&Method::DELETE, &path, Payload::Nothing, None)
                .map(drop)
        });
        let shared = self.gateway.mkdir()?;
        let at_once = self.at_once(&shared, &bar)?;
        bar.finish_and_clear();
        self.list(&shared, CHILDREN)?;
        let found = one_by_one("look a child of 10,000 up", REPEATED, |child| {
            let path = format!("/uri/{}/{}?t=json", escape(&large), name(child));
            self.gateway.page(&path).map(drop)
        });
        [
            made,
            added,
            listed,
            listed_large,
            added_large,
            removed,
            found,
            Ok(at_once),
        ]
        .into_iter()
        .collect()
    }

    fn add(&self, directory: &str, child: u64) -> Result<(), CliError> {
        let path = format!("/uri/{}/{}", escape(directory), name(child));
        let text = content(child);
        let payload = Payload::Text("application/octet-stream", text.as_bytes());
        self.gateway.call(&Method::PUT, &path, payload, None).map(drop)
    }

    /// Many children in one change.
    fn fill(&self, directory: &str, first: u64) -> Result<(), CliError> {
        let lit = self
            .gateway
            .put(&mut content(first).as_bytes(), None, PutChoice::default())?;
        let children: BTreeMap<String, NewChild> = (first..first + CHILDREN_AT_ONCE)
            .map(|child| (name(child), link_to(&lit)))
            .collect();
        self.gateway
            .set_children(&Place::of(directory), &children, Replace::Always)
    }

    fn list(&self, directory: &str, children: u64) -> Result<(), CliError> {
        let node = self.gateway.node(&Place::of(directory))?;
        let found = node.children.len() as u64;
        if found >= children {
            return Ok(());
        }
        Err(CliError::LostChildren { children, found })
    }

    /// Several clients add to one directory.
    fn at_once(&self, directory: &str, bar: &ProgressBar) -> Result<Row, CliError> {
        let next = AtomicU64::new(0);
        let started = Instant::now();
        let client = || -> Result<Vec<Duration>, CliError> {
            let bench = Bench {
                gateway: &self.gateway.clone(),
            };
            let mut latencies = Vec::new();
            loop {
                let child = next.fetch_add(1, Ordering::Relaxed);
                if child >= CHILDREN {
                    return Ok(latencies);
                }
                let asked = Instant::now();
                bench.add(directory, child)?;
                latencies.push(asked.elapsed());
                bar.inc(1);
            }
        };
        let latencies: Result<Vec<Vec<Duration>>, CliError> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            clients
                .into_iter()
                .map(|client| client.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        Ok(Row {
            what: "add a child, to one directory",
            clients: CLIENTS,
            latencies: latencies?.into_iter().flatten().collect(),
            elapsed: started.elapsed(),
        })
    }
}

/// How far a round is, in children.
fn steps_bar(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(CHILDREN * 2 + CHILDREN_LARGE);
    // The template is fixed: that it parses is tested by every run.
    if let Ok(style) = ProgressStyle::with_template("directories {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    bar
}

fn one_by_one(
    what: &'static str,
    times: u64,
    mut operation: impl FnMut(u64) -> Result<(), CliError>,
) -> Result<Row, CliError> {
    let started = Instant::now();
    let mut latencies = Vec::with_capacity(times as usize);
    for time in 0..times {
        let asked = Instant::now();
        operation(time)?;
        latencies.push(asked.elapsed());
    }
    Ok(Row {
        what,
        clients: 1,
        latencies,
        elapsed: started.elapsed(),
    })
}

fn link_to(cap: &str) -> NewChild {
    NewChild {
        directory: false,
        cap: cap.to_owned(),
        metadata: Map::new(),
    }
}

fn name(child: u64) -> String {
    format!("child-{child:06}.txt")
}

fn content(child: u64) -> String {
    format!("content of child {child}")
}

/// One kind of operation over all rounds.
struct Figures {
    what: &'static str,
    clients: u64,
    per_second: Spread,
    latency: Percentiles,
}

impl Figures {
    fn of(rounds: &[Vec<Row>], row: usize) -> Option<Figures> {
        let rows: Vec<&Row> = rounds.iter().filter_map(|round| round.get(row)).collect();
        let first = rows.first()?;
        let per_second = rows
            .iter()
            .map(|row| row.latencies.len() as f64 / row.elapsed.as_secs_f64());
        Some(Figures {
            what: first.what,
            clients: first.clients,
            per_second: Spread::of(per_second)?,
            latency: Percentiles::of(
                rows.iter()
                    .flat_map(|row| row.latencies.iter().copied())
                    .collect(),
            )?,
        })
    }

    fn line(&self) -> String {
        let clients = if self.clients == 1 {
            "1 client".to_owned()
        } else {
            format!("{} clients", self.clients)
        };
        let Spread { median, min, max } = self.per_second;
        format!(
            "| {}, {clients} | {median:.1} [{min:.1}–{max:.1}] | {:.1} / {:.1} / {:.1} |",
            self.what,
            millis(self.latency.p50),
            millis(self.latency.p90),
            millis(self.latency.p99),
        )
    }

    fn json(&self) -> Value {
        let Spread { median, min, max } = self.per_second;
        json!({
            "operation": self.what,
            "clients": self.clients,
            "per_second": { "median": median, "min": min, "max": max },
            "latency_ms": {
                "p50": millis(self.latency.p50), "p90": millis(self.latency.p90),
                "p99": millis(self.latency.p99), "max": millis(self.latency.max),
            },
        })
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_medians_over_rounds() {
        let row = |seconds: u64| Row {
            what: "list",
            clients: 16,
            latencies: vec![Duration::from_millis(10), Duration::from_millis(20)],
            elapsed: Duration::from_secs(seconds),
        };
        let rounds = [vec![row(1)], vec![row(2)], vec![row(4)]];
        let figures = Figures::of(&rounds, 0).unwrap();
        assert_eq!(
            figures.line(),
            "| list, 16 clients | 1.0 [0.5–2.0] | 10.0 / 20.0 / 20.0 |"
        );
        assert_eq!(figures.json()["per_second"]["max"], json!(2.0));
        assert!(Figures::of(&rounds, 1).is_none());
    }
}
