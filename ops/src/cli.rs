//! The command line: every command and option, with the text that `--help` shows.
//!
//! Owns names and defaults. What a command does stands in the module of its name.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::cluster::file::DEFAULT_DIR;
use crate::exit::Exit;

pub(crate) mod chaos;
pub(crate) mod codec;
pub(crate) mod drive;
pub(crate) mod operator;

/// Keep your files on machines that you do not have to trust.
#[derive(Debug, Parser)]
#[command(name = "truckee", version, max_term_width = 110, after_help = Exit::help_text())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a whole cluster of real processes on this machine; Ctrl-C stops it
    Up(UpArgs),
    /// Run one node from its directory
    Run(RunArgs),
    /// Set up the directory of one node
    Init(InitArgs),
    /// Upload a file and print its cap, or give it a name in the grid
    Put(drive::PutArgs),
    /// Download a file
    Get(drive::GetArgs),
    /// List a directory
    Ls(drive::LsArgs),
    /// Copy files and directories, from here to the grid, from the grid, or within it
    Cp(drive::CpArgs),
    /// Move or rename within the grid
    Mv(drive::MvArgs),
    /// Take a name away; the content stays readable for whoever has its cap
    Rm(drive::RmArgs),
    /// Make a directory
    Mkdir(drive::MkdirArgs),
    /// Give a file or directory a further name
    Ln(drive::LnArgs),
    /// Manage short names for directories
    Alias(drive::AliasArgs),
    /// Save a directory of this machine as a snapshot; the second run sends only what changed
    Backup(drive::BackupArgs),
    /// Ask the peers how whole files and directories are, and repair them
    Check(drive::CheckArgs),
    /// Say that files are still wanted: storage nodes that collect what nobody renews keep them for another term
    Renew(drive::RenewArgs),
    /// List the caps of everything below a directory
    Manifest(drive::ManifestArgs),
    /// Copy a whole tree from another gateway, one of Tahoe-LAFS included
    Import(drive::ImportArgs),
    /// Show the gateway and the peers that it sees
    Status(StatusArgs),
    /// Watch a grid: what it holds, what it does, which node is gone or slow, and what to do now
    Top(TopArgs),
    /// Measure a gateway: throughput, latency, CPU and memory
    Load(LoadArgs),
    /// Attack a cluster and prove that it keeps its promises
    Chaos(chaos::ChaosArgs),
    /// Look for what is wrong with this machine, a cluster or a gateway
    Doctor(DoctorArgs),
    /// Empty a storage node before it is taken away, and say when that is safe
    Drain(operator::DrainArgs),
    /// Shut a node out of the mesh for good
    Revoke(operator::RevokeArgs),
    /// Show which shares a storage node would let go because nobody renewed them
    Gc(GcArgs),
    /// Split a file into shares and restore it from any k of them, without a mesh
    #[command(subcommand)]
    Codec(codec::CodecCommand),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
}

/// Where the gateway is.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// Address of the gateway [default: that of the cluster in ./truckee-cluster, else http://127.0.0.1:3456]
    #[arg(long, value_name = "URL", env = "TRUCKEE_GATEWAY")]
    pub(crate) gateway: Option<String>,
    /// Certificates to believe of an https:// gateway, such as its own [default: those of the system]
    #[arg(long, value_name = "FILE", env = "TRUCKEE_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// File with the gateway's access token
    #[arg(long, value_name = "FILE", env = "TRUCKEE_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The access token itself. Never shown; from the environment, where other users do not see it.
    #[arg(long = "token", hide = true, env = "TRUCKEE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Directory of the cluster, made when absent, resumed with its data when not
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub(crate) dir: PathBuf,
    /// Storage peers; more than the cluster has adds some [default: 10, or as many as the cluster has]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) peers: Option<u16>,
    /// Where the gateway listens; port 0 takes a free one [default: 127.0.0.1:3456, or as the cluster was set up]
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) gateway: Option<SocketAddr>,
    /// Start a node again that died, with growing delay
    #[arg(long)]
    pub(crate) restart: bool,
    /// Start Prometheus and Grafana beside the cluster, as far as they are installed
    #[arg(long)]
    pub(crate) observe: bool,
    /// Print one line of JSON (the content of cluster.json) when ready
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["dir", "config"])))]
pub(crate) struct RunArgs {
    /// Directory of the node
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Its truckee.toml (the directory is where the file stands)
    #[arg(value_name = "CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Stop when standard input ends, that is when the parent process is gone
    #[arg(long)]
    pub(crate) exit_with_parent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Directory of the node, made when absent
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// What the node does: introducer, storage, vdrive, gateway; several with commas
    #[arg(long, value_name = "ROLE", required = true, value_delimiter = ',')]
    pub(crate) role: Vec<String>,
    /// Invite of an introducer; may be repeated
    #[arg(long, value_name = "truckee://…")]
    pub(crate) invite: Vec<String>,
    /// Name for people [default: the directory's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) nickname: Option<String>,
    /// Where the mesh listens; port 0 takes a free one at the first start and keeps it
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Address that other nodes are told, if not the one listened on; may be repeated
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Vec<String>,
    /// Failure domain, such as a rack or a site: shares are spread over zones first
    #[arg(long, value_name = "ZONE", default_value = "")]
    pub(crate) zone: String,
    /// Where the gateway listens [default: 127.0.0.1:3456]
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) gateway_listen: Option<SocketAddr>,
    /// Where /metrics and /readyz listen [default: 127.0.0.1, a free port]
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print the gateway's own JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// On a terminal the figures stay up to date; into a pipe, or with --once or --json, they are printed once. They are those of
/// the `/metrics` of every node, or, if only a gateway is known, what it tells of itself and its peers.
#[derive(Debug, Args)]
#[command(after_help = TOP_HELP)]
pub(crate) struct TopArgs {
    /// Directory of the local cluster to watch [default: ./truckee-cluster if there is one and no gateway is named]
    #[arg(long, value_name = "DIR")]
    pub(crate) cluster: Option<PathBuf>,
    /// File that lists nodes in the form of Prometheus's file discovery, such as a node's targets.json; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) targets: Vec<PathBuf>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) interval: u64,
    /// Look twice, so far apart, print the figures as text, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// The same as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// What `truckee top --help` says of keys and figures.
const TOP_HELP: &str = "\
Keys:
  q, Esc, Ctrl-C      end
  up, down, k, j      select a node, also PgUp, PgDn, Home, End
  s                   sort by the next column
  S                   sort the other way round
  underlined letter   sort by that column; once more: the other way round
  p                   pause
  +, -                look less often, more often
  ?                   show all keys

Columns: IN/S and OUT/S are bytes from and to peers and clients, REQ/S requests of both; LATENCY is the mean time of a \
request to the store, P99 what 99 of 100 did not exceed; TRIP is a heartbeat to a peer and back, LAG how late event loops \
wake; CPU is a part of one processor. All are of the last 10 s, CPU and TRIP of the last 30 s. Nodes count CPU in whole \
seconds: <3.3% is less than shows in 30 s, and for the first 10 s CPU is the mean since the node's start.

A node is slow if a request takes three times as long as at the node in the middle, and 20 ms more.

With NO_COLOR in the environment nothing is coloured. Exit code 5: nobody answered.";

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Size of each file, such as 1GiB, 10MiB, 1KiB, or a mix of sizes with their parts, such as 1KiB:90,64KiB:9,1MiB:1
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = crate::load::sizes::parse)]
    pub(crate) size: crate::load::sizes::Sizes,
    /// Files in each round
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) files: u64,
    /// Bytes of each part that `range` gets from places in the files [default: 1MiB, or the size of the files if that is less]
    #[arg(long, value_name = "SIZE", default_value = "1MiB", hide_default_value = true, value_parser = crate::load::size::parse)]
    pub(crate) part: u64,
    /// Clients at work at the same time
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) clients: u16,
    /// Measured rounds; the figures are medians
    #[arg(long, value_name = "ROUNDS", default_value = "3", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) repeat: u16,
    /// Rounds before that, of at most 64 MiB and 100 files, which are not measured
    #[arg(long, value_name = "ROUNDS", default_value = "1")]
    pub(crate) warmup: u16,
    /// What to measure; the others need put for its caps
    #[arg(long, value_name = "OP", value_delimiter = ',', default_values = ["put", "get"])]
    pub(crate) op: Vec<crate::load::Operation>,
    /// Measure the rows of the README's table instead: 1 GiB, and 1,000 files of 1 KiB with 1 and 16 clients
    #[arg(long, conflicts_with_all = ["size", "files", "clients", "op"])]
    pub(crate) table: bool,
    /// Measure directories instead: make them, add children one by one and with 16 clients, list 1,000 and 10,000
    #[arg(long, conflicts_with_all = ["size", "files", "clients", "op", "table", "seed"])]
    pub(crate) directories: bool,
    /// Show instead where the CPU time of uploads and downloads goes: each step in the cluster, and by itself
    #[arg(long, conflicts_with_all = ["op", "part", "table", "directories"])]
    pub(crate) profile: bool,
    /// Seed of the random content [default: taken from the clock, and printed]
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Option<u64>,
    /// Directory of the local cluster whose nodes' CPU and memory are read from /proc
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub(crate) cluster: PathBuf,
    /// Processes to look at instead, of any system that speaks the web API: the gateway's first, several with commas
    #[arg(long, value_name = "PID", value_delimiter = ',', conflicts_with_all = ["cluster", "profile", "directories"])]
    pub(crate) pids: Vec<u32>,
    /// Print one line of JSON with every round
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Directory of the local cluster to look at
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub(crate) cluster: PathBuf,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Directory of the storage node, which may be running
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Only show; nodes collect by themselves once `gc.expire_days` is set
    #[arg(long, required = true)]
    pub(crate) dry_run: bool,
    /// As if leases were over after so many days [default: as the node is configured]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) expire_days: Option<u32>,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Where the pages go; made when absent
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lists_every_exit_code() {
        let help = Cli::command().render_help().to_string();
        for (exit, meaning) in Exit::TABLE {
            assert!(
                help.contains(&format!("  {:3}  {meaning}", exit.code())),
                "{meaning}"
            );
        }
    }

    #[test]
    fn the_documented_commands_parse() {
        for line in [
            "truckee up",
            "truckee up --dir d --peers 4 --gateway 127.0.0.1:0 --json",
            "truckee run --dir d",
            "truckee run d/truckee.toml",
            "truckee init --dir d --role storage,gateway --invite truckee://x@h:1/s",
            "truckee put - --k 3 --n 10 --happy 7 --convergent",
            "truckee get URI:LIT: -o f --offset 3 --length 4",
            "truckee status --json --gateway http://127.0.0.1:1",
            "truckee top",
            "truckee top --cluster d --targets a --targets b --interval 60 --once",
            "truckee top --json --gateway http://127.0.0.1:1",
            "truckee load --size 10MiB --files 3 --clients 2 --op put",
            "truckee load --table --json",
            "truckee chaos --seed 7 --minutes 0.5 --faults kill,freeze --report r.json",
            "truckee get home:a/b",
            "truckee get home:a/b here",
            "truckee put file home:dir/ --mutable",
            "truckee ls -lF home: --json --uri --readonly-uri",
            "truckee cp -r a b home:dir",
            "truckee mv home:a home:b",
            "truckee rm -r home:a",
            "truckee mkdir -p home:a/b",
            "truckee mkdir",
            "truckee ln URI:LIT: home:a",
            "truckee alias add home URI:DIR2:a:b",
            "truckee alias create home",
            "truckee alias list --caps",
            "truckee alias remove home",
            "truckee backup . home:saved --exclude *.o --ignore-timestamps",
            "truckee check -r home: --verify --repair",
            "truckee manifest home: --json",
            "truckee import http://127.0.0.1:3456/uri/URI:DIR2:a:b home:old",
            "truckee drain storage-03",
            "truckee drain --dir d --no-wait",
            "truckee drain --dir d --status --json",
            "truckee drain storage-03 --undo",
            "truckee revoke storage-03",
            "truckee revoke storage-03 --dir d --yes --json",
            "truckee codec encode f -k 3 -n 10",
            "truckee codec decode a b c -o f",
            "truckee completions zsh",
            "truckee man d",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for line in [
            "truckee up --peers 0",
            "truckee up --peers 257",
            "truckee run",
            "truckee get x --length 0",
            "truckee top --interval 0",
            "truckee top --interval 61",
            "truckee drain",
            "truckee drain a --dir d",
            "truckee drain a --undo --status",
            "truckee revoke",
            "truckee revoke a --json",
            "truckee revoke a --dir d --cluster c",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
