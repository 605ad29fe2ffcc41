//! The command line of `truckee chaos`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::chaos::Kind;
use crate::cluster::file::DEFAULT_DIR;

/// Attack a cluster and prove that it keeps its promises.
///
/// Without --cluster or --inventory a cluster of its own is started, attacked, stopped and removed. The faults follow from the seed, the
/// options and the shape of the cluster.
#[derive(Debug, Args)]
pub(crate) struct ChaosArgs {
    /// Seed of everything that is drawn [default: taken from the clock, and printed]
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Option<u64>,
    /// How long the attack lasts; healing and the last look come after it
    #[arg(long, value_name = "MINUTES", default_value = "2", value_parser = minutes)]
    pub(crate) minutes: f64,
    /// Attack the running cluster in this directory. Its processes are killed, and shares of files that this run stores
    /// are damaged: not for a cluster that somebody needs
    #[arg(long, value_name = "DIR")]
    pub(crate) cluster: Option<PathBuf>,
    /// Attack the grid on other machines that this file describes, over ssh. Its processes are killed, and shares of files
    /// that this run stores are damaged: not for a grid that somebody needs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cluster", "dir", "peers", "beyond"])]
    pub(crate) inventory: Option<PathBuf>,
    /// Where the cluster of its own lives; it is kept then [default: a temporary directory]
    #[arg(long, value_name = "DIR", conflicts_with = "cluster")]
    pub(crate) dir: Option<PathBuf>,
    /// Storage peers of the cluster of its own [default: 10]
    #[arg(long, value_name = "COUNT", conflicts_with = "cluster", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) peers: Option<u16>,
    /// Kinds of faults, with commas [default: all]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) faults: Vec<Kind>,
    /// Most faults at the same time
    #[arg(long, value_name = "COUNT", default_value = "2", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) at_once: u8,
    /// End with more damage than the cluster promises to bear: files will be lost, and nothing else may be
    #[arg(long)]
    pub(crate) beyond: bool,
    /// Clients at work at the same time
    #[arg(long, value_name = "COUNT", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) clients: u16,
    /// Print the report as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the report to this file too: as JSON if its name ends in .json, else as text
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Only undo what a run that was killed has left behind in the cluster of --cluster, or the grid of --inventory:
    /// frozen and stopped nodes, full disks
    #[arg(long, conflicts_with_all = ["seed", "dir", "peers", "faults", "beyond", "report"])]
    pub(crate) heal: bool,
    /// Certificates to believe of an https:// gateway [default: those of the system]
    #[arg(long, value_name = "FILE", env = "TRUCKEE_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// File with the gateway's access token
    #[arg(long, value_name = "FILE", env = "TRUCKEE_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The access token itself
    #[arg(long = "token", hide = true, env = "TRUCKEE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

/// Shortest run: a few seconds, in which nothing but the workload happens.
const MINUTES_MIN: f64 = 0.02;

/// Longest run: a week.
const MINUTES_MAX: f64 = 10_080.0;

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text
        .parse()
        .map_err(|_| "minutes are a number, such as 2 or 0.5".to_owned())?;
    if (MINUTES_MIN..=MINUTES_MAX).contains(&minutes) {
        Ok(minutes)
    } else {
        Err(format!(
            "a run lasts from {MINUTES_MIN} minutes to {MINUTES_MAX}, a week"
        ))
    }
}

impl ChaosArgs {
    /// Kinds of faults to choose from.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        if self.faults.is_empty() {
            Kind::ALL.to_vec()
        } else {
            self.faults.clone()
        }
    }

    /// How long the attack lasts.
    pub(crate) fn length_ms(&self) -> u64 {
        (self.minutes * 60_000.0) as u64
    }

    /// The directory of the cluster to heal.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.cluster
            .clone()
            .unwrap_or_else(|| Path::new(DEFAULT_DIR).to_owned())
    }

    /// The command line that does the same again.
    pub(crate) fn again(&self, seed: u64) -> String {
        let mut words = format!(
            "truckee chaos --seed {seed} --minutes {} --at-once {} --clients {}",
            self.minutes, self.at_once, self.clients
        );
        if let Some(dir) = &self.cluster {
            words.push_str(&format!(" --cluster {}", dir.display()));
        }
        if let Some(file) = &self.inventory {
            words.push_str(&format!(" --inventory {}", file.display()));
        }
        if let Some(peers) = self.peers {
            words.push_str(&format!(" --peers {peers}"));
        }
        if !self.faults.is_empty() {
            let kinds: Vec<&str> = self.faults.iter().map(|kind| kind.word()).collect();
            words.push_str(&format!(" --faults {}", kinds.join(",")));
        }
        if self.beyond {
            words.push_str(" --beyond");
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(line: &str) -> Option<ChaosArgs> {
        let cli = Cli::try_parse_from(line.split(' ')).ok()?;
        match cli.command {
            Command::Chaos(args) => Some(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_said_again_means_the_same() {
        for line in [
            "truckee chaos",
            "truckee chaos --minutes 0.5 --faults kill,one-way --at-once 3 --beyond --peers 6 --clients 2",
            "truckee chaos --cluster d --json --report r.json",
            "truckee chaos --inventory grid.toml --faults kill",
        ] {
            let args = parse(line).unwrap();
            let again = parse(&args.again(7)).unwrap();
            assert_eq!(again.seed, Some(7));
            assert_eq!(
                (again.kinds(), again.length_ms()),
                (args.kinds(), args.length_ms())
            );
            assert_eq!(again.again(7), args.again(7));
        }
        assert_eq!(
            parse("truckee chaos --heal --cluster d").unwrap().cluster(),
            Path::new("d")
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "truckee chaos --minutes 0",
            "truckee chaos --minutes nan",
            "truckee chaos --faults ruin",
            "truckee chaos --cluster d --peers 3",
            "truckee chaos --heal --seed 3",
            "truckee chaos --inventory g --cluster d",
            "truckee chaos --inventory g --dir d",
            "truckee chaos --inventory g --peers 3",
            "truckee chaos --inventory g --beyond",
            "truckee chaos --at-once 0",
        ] {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
