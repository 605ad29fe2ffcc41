//! What the nodes of a local cluster have burned, told apart by what they were doing.
//!
//! Owns where that is read. Stages of coding count their own CPU time in the metrics of each node. Everything else is told by the
//! threads that do nothing else, with the nanoseconds that the kernel gives each: the threads `disk-write-…` and `disk-read-…` of a
//! store, the event loops of a gateway's HTTP server, and the first thread of each node, which has its links (TLS and TCP) and its
//! actors; these two cannot be told apart from outside. A thread that ends in between takes what it burned with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use truckee_actors::metrics as names;
use truckee_nodes::targets;

use crate::cluster::file::NodeEntry;
use crate::error::CliError;
use crate::http::Gateway;
use crate::top::exposition;

/// How long a node may take to show its metrics: it is as busy as the machine.
const WITHIN: Duration = Duration::from_secs(30);

/// What the kernel calls the event loops of HTTP servers: its names are cut after fifteen bytes.
const HTTP_THREADS: &str = "actix-rt|system";

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doing {
    /// A stage of coding.
    Stage(&'static str),
    /// Reading and writing the bodies of HTTP requests, with all that a gateway does on those threads.
    Http,
    /// Links between nodes and the actors on the same threads.
    Links,
    /// Writing shares.
    Write,
    /// Reading shares.
    Read,
}

/// The stages that are looked for, by the label that nodes count them under.
const STAGES: [&str; 6] = ["seal", "code", "hash", "verify", "decode", "open"];

/// CPU seconds since the start of each process; the difference of two is what happened between.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) doing: BTreeMap<Doing, f64>,
    /// Of all threads.
    pub(super) all: f64,
}

impl Reading {
    fn add(&mut self, doing: Doing, seconds: f64) {
        *self.doing.entry(doing).or_default() += seconds;
    }

    /// What came after `before`.
    pub(super) fn since(&self, before: &Reading) -> Reading {
        let seconds = |doing: &Doing| before.doing.get(doing).copied().unwrap_or_default();
        let doing = self
            .doing
            .iter()
            .map(|(doing, after)| (*doing, after - seconds(doing)));
        Reading {
            doing: doing.collect(),
            all: self.all - before.all,
        }
    }

    /// Puts what another stretch of time showed to this.
    pub(super) fn join(&mut self, other: &Reading) {
        for (doing, seconds) in &other.doing {
            self.add(*doing, *seconds);
        }
        self.all += other.all;
    }

    /// Takes the stages from a page of metrics.
    fn take_page(&mut self, page: &str) -> Result<(), exposition::Malformed> {
        exposition::read(page, |line| {
            let is_sum = line.name.strip_suffix("_sum") == Some(names::CODEC_STAGE_CPU_SECONDS);
            let stage = line.label("stage").filter(|_| is_sum);
            let known = stage.and_then(|stage| STAGES.into_iter().find(|known| *known == stage));
            if let Some(stage) = known {
                self.add(Doing::Stage(stage), line.value);
            }
        })
    }

    /// Takes one thread.
    fn take_thread(&mut self, name: &str, is_first: bool, is_gateway: bool, seconds: f64) {
        self.all += seconds;
        let doing = match name {
            _ if is_first => Doing::Links,
            _ if name.starts_with("disk-write") => Doing::Write,
            _ if name.starts_with("disk-read") => Doing::Read,
            _ if is_gateway && name.starts_with(HTTP_THREADS) => Doing::Http,
            _ => return,
        };
        self.add(doing, seconds);
    }
}

/// Somebody to ask for the stages, and whose threads to look at.
pub(super) struct Meter<'n> {
    node: &'n NodeEntry,
    metrics: Gateway,
}

impl<'n> Meter<'n> {
    /// Finds where the node shows its metrics.
    ///
    /// # Errors
    /// When it does not say where.
    pub(super) fn of(node: &'n NodeEntry) -> Result<Meter<'n>, CliError> {
        let listed = targets::read(&node.dir);
        let address = listed.first().and_then(|target| target["targets"][0].as_str());
        let Some(address) = address else {
            return Err(CliError::Usage {
                what: "the node",
                value: node.name.clone(),
                hint: "it shows no metrics; set `metrics.listen` in its truckee.toml".into(),
            });
        };
        Ok(Meter {
            node,
            metrics: Gateway::at(address)?.within(WITHIN),
        })
    }

    fn page(&self) -> Result<String, CliError> {
        self.metrics.page("/metrics")
    }

    fn threads(&self, into: &mut Reading) -> Result<(), CliError> {
        let is_gateway = self.node.roles.iter().any(|role| role == "gateway");
        let tasks = format!("/proc/{}/task", self.node.pid);
        let tasks = Path::new(&tasks);
        for task in fs::read_dir(tasks).map_err(CliError::file("read", tasks))? {
            let task = task.map_err(CliError::file("read", tasks))?.path();
            // A thread that has just ended has no files any more, and nothing to say.
            let (Ok(name), Ok(schedule)) = (
                fs::read_to_string(task.join("comm")),
                fs::read_to_string(task.join("schedstat")),
            ) else {
                continue;
            };
            let is_first = task
                .file_name()
                .is_some_and(|id| *id == *self.node.pid.to_string());
            if let Some(seconds) = parse_schedule(&schedule) {
                into.take_thread(name.trim_end(), is_first, is_gateway, seconds);
            }
        }
        Ok(())
    }
}

/// Reads the threads after the metrics, so that showing these counts for nothing when a stretch of time begins.
pub(super) fn begin(meters: &[Meter<'_>]) -> Result<Reading, CliError> {
    let pages: Vec<String> = meters.iter().map(Meter::page).collect::<Result<_, _>>()?;
    reading(meters, &pages, threads(meters)?)
}

/// Reads the threads before the metrics, for the end of it.
pub(super) fn end(meters: &[Meter<'_>]) -> Result<Reading, CliError> {
    let threads = threads(meters)?;
    let pages: Vec<String> = meters.iter().map(Meter::page).collect::<Result<_, _>>()?;
    reading(meters, &pages, threads)
}

fn threads(meters: &[Meter<'_>]) -> Result<Reading, CliError> {
    let mut reading = Reading::default();
    for meter in meters {
        meter.threads(&mut reading)?;
    }
    Ok(reading)
}

fn reading(meters: &[Meter<'_>], pages: &[String], mut reading: Reading) -> Result<Reading, CliError> {
    for (meter, page) in meters.iter().zip(pages) {
        let taken = reading.take_page(page);
        taken.map_err(|error| meter.metrics.odd(&error.to_string()))?;
    }
    Ok(reading)
}

/// The first number of `/proc/PID/task/TID/schedstat`: nanoseconds on a processor.
fn parse_schedule(text: &str) -> Option<f64> {
    let nanoseconds: u64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gives_the_stages_and_nothing_else() {
        let page = "truckee_codec_stage_cpu_seconds_sum{stage=\"seal\"} 2.5\n\
                    truckee_codec_stage_cpu_seconds_sum{stage=\"polish\"} 9\n\
                    truckee_codec_stage_cpu_seconds_count{stage=\"seal\"} 7\n\
                    truckee_codec_stage_seconds_sum{stage=\"seal\"} 100\n";
        let mut reading = Reading::default();
        reading.take_page(page).unwrap();
        reading.take_page(page).unwrap();
        assert_eq!(
            reading.doing,
            BTreeMap::from([(Doing::Stage("seal"), 5.0)]),
            "of both nodes"
        );
        assert!(reading.take_page("<html>").is_err());
    }

    #[test]
    fn threads_are_told_apart_by_their_names() {
        let mut reading = Reading::default();
        for (name, is_first, is_gateway) in [
            ("truckee", true, true),
            ("actix-rt|system", false, true),
            ("actix-rt|system", false, false),
            ("disk-write-3", false, false),
            ("disk-read-0", false, false),
            ("disk-last", false, false),
            ("truckee-cpu-1", false, true),
        ] {
            reading.take_thread(name, is_first, is_gateway, 1.0);
        }
        let one = [Doing::Links, Doing::Http, Doing::Write, Doing::Read].map(|doing| (doing, 1.0));
        assert_eq!(reading.doing, BTreeMap::from(one));
        assert_eq!(reading.all, 7.0);
        assert_eq!(parse_schedule("1500000000 7 3\n"), Some(1.5));
        assert_eq!(parse_schedule("x"), None);
    }

    #[test]
    fn the_difference_of_two_readings_is_what_happened_between() {
        let read = |write, all| Reading {
            doing: BTreeMap::from([(Doing::Write, write)]),
            all,
        };
        let mut between = read(5.0, 9.0).since(&read(2.0, 4.0));
        assert_eq!(between, read(3.0, 5.0));
        between.join(&read(1.0, 2.0));
        assert_eq!(between, read(4.0, 7.0));
        assert_eq!(
            read(5.0, 9.0).since(&Reading::default()),
            read(5.0, 9.0),
            "a node that is new"
        );
    }
}
