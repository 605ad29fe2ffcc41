//! Options of the commands on files and directories of the grid.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ClientArgs;

/// Uploads and downloads at the same time when nothing else is asked for. Small files spend their time waiting for peers;
/// more of them at once than this gain little on one gateway.
const JOBS_DEFAULT: &str = "4";

/// Where the grid is and what its directories are called.
#[derive(Debug, Args)]
pub(crate) struct DriveArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// The file of aliases [default: truckee/aliases in the user's configuration directory]
    #[arg(long, value_name = "FILE", env = "TRUCKEE_ALIASES")]
    pub(crate) aliases: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where it goes: ALIAS:path or CAP/path; a directory takes it under its own name [default: no name, only a cap]
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// Shares needed to get the file back
    #[arg(long, value_name = "K")]
    pub(crate) k: Option<u16>,
    /// Shares made
    #[arg(long, value_name = "N")]
    pub(crate) n: Option<u16>,
    /// Distinct peers that must hold a share before the upload is a success
    #[arg(long, value_name = "PEERS")]
    pub(crate) happy: Option<u16>,
    /// Same content, same cap: saves space, but others at this gateway can find out that you store the same as they
    #[arg(long, conflicts_with = "mutable")]
    pub(crate) convergent: bool,
    /// Make a file whose content can be changed later under the same cap
    #[arg(long)]
    pub(crate) mutable: bool,
    /// Print one line of JSON: cap, bytes, seconds
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// CAP, ALIAS:path or CAP/path
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Write to this file, which appears when it is whole; a directory takes it under its own name
    #[arg(value_name = "FILE", conflicts_with = "output")]
    pub(crate) target: Option<PathBuf>,
    /// The same as FILE; - is standard output [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// First byte wanted
    #[arg(long, value_name = "BYTES")]
    pub(crate) offset: Option<u64>,
    /// Number of bytes wanted
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) length: Option<u64>,
    /// Print one line of JSON (bytes, seconds) after the file was written; needs a file to write to
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// ALIAS:path or CAP/path [default: truckee:]
    #[arg(value_name = "PATH", default_value = "")]
    pub(crate) path: String,
    /// Kind, size and time of each
    #[arg(short, long)]
    pub(crate) long: bool,
    /// Put / behind directories, ? behind what is of unknown kind
    #[arg(short = 'F', long)]
    pub(crate) classify: bool,
    /// Show caps. They are secrets
    #[arg(long)]
    pub(crate) uri: bool,
    /// Show caps that only read
    #[arg(long)]
    pub(crate) readonly_uri: bool,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CpArgs {
    /// Files and directories, then where they go: ALIAS:path and CAP/path are in the grid, all else is here
    #[arg(value_name = "SOURCE… TARGET", required = true, num_args = 2..)]
    pub(crate) paths: Vec<String>,
    /// Copy directories with all that is in them
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Copying to here: write caps instead of contents
    #[arg(long)]
    pub(crate) caps_only: bool,
    /// Copying to here: give files the time of change that the grid remembers
    #[arg(short, long)]
    pub(crate) preserve: bool,
    /// Transfers at the same time
    #[arg(long, value_name = "COUNT", default_value = JOBS_DEFAULT, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// Name each file when it is done
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Print one line of JSON: files, bytes, failures
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MvArgs {
    /// What to move, then where: a new name, or a directory
    #[arg(value_name = "SOURCE… TARGET", required = true, num_args = 2..)]
    pub(crate) paths: Vec<String>,
    /// Never replace a file
    #[arg(short, long)]
    pub(crate) no_clobber: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// What to take away
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<String>,
    /// Directories too
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Names that are not there are no error
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Print the caps that the names had, one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MkdirArgs {
    /// ALIAS:path or CAP/path [default: no name, only a cap, which is printed]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Make the directories on the way, and do not mind if it exists
    #[arg(short, long)]
    pub(crate) parents: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LnArgs {
    /// What gets a further name: CAP, ALIAS:path or CAP/path
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// The name, or a directory that takes it under the same name
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Link so that it can be read but not changed
    #[arg(long)]
    pub(crate) readonly: bool,
    /// Replace a file of that name
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AliasArgs {
    #[command(subcommand)]
    pub(crate) command: AliasCommand,
}

/// What to do with aliases.
#[derive(Debug, Subcommand)]
pub(crate) enum AliasCommand {
    /// Give a cap a name
    Add(AliasAddArgs),
    /// Make a directory and give it a name
    Create(AliasNameArgs),
    /// Forget a name; prints its cap, without which the directory is lost
    Remove(AliasNameArgs),
    /// List the names
    List(AliasListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AliasAddArgs {
    /// The name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it stands for
    #[arg(value_name = "CAP")]
    pub(crate) cap: String,
    /// Replace what it stood for
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AliasNameArgs {
    /// The name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AliasListArgs {
    /// Show the caps. They are secrets
    #[arg(long)]
    pub(crate) caps: bool,
    /// Show the caps that only read; asks the gateway
    #[arg(long, conflicts_with = "caps")]
    pub(crate) readonly_uri: bool,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The directory to save
    #[arg(value_name = "DIR")]
    pub(crate) source: PathBuf,
    /// Directory of the grid that gets Archives/DATE and Latest: ALIAS:path or CAP/path
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Leave out what matches: a pattern with * ? [abc], of a name, or with a slash of a path below DIR; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
    /// Read the patterns from a file, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) exclude_from: Vec<PathBuf>,
    /// Leave out what version control keeps: .git, .hg, .svn and others
    #[arg(long)]
    pub(crate) exclude_vcs: bool,
    /// Read every file, whatever its size and times say
    #[arg(long)]
    pub(crate) ignore_timestamps: bool,
    /// A new key for each file: the same content is stored again
    #[arg(long)]
    pub(crate) random_keys: bool,
    /// What is remembered of earlier runs [default: truckee/backup.db in the user's state directory]
    #[arg(long, value_name = "FILE", env = "TRUCKEE_BACKUP_DB")]
    pub(crate) database: Option<PathBuf>,
    /// Transfers at the same time
    #[arg(long, value_name = "COUNT", default_value = JOBS_DEFAULT, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// Name each file that is sent
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// CAP, ALIAS:path or CAP/path [default: truckee:]
    #[arg(value_name = "PATH", default_value = "")]
    pub(crate) paths: Vec<String>,
    /// Everything below too
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Read and verify every byte instead of asking who has what
    #[arg(long)]
    pub(crate) verify: bool,
    /// Make missing shares again
    #[arg(long)]
    pub(crate) repair: bool,
    /// Name what is healthy too
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Print the gateway's own results, one line of JSON for each
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    /// Files and directories: ALIAS:path or CAP/path; of directories everything below too [default: truckee:]
    #[arg(value_name = "PATH", default_value = "")]
    pub(crate) paths: Vec<String>,
    /// Print the gateway's own lines of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ManifestArgs {
    /// ALIAS:path or CAP/path [default: truckee:]
    #[arg(value_name = "PATH", default_value = "")]
    pub(crate) path: String,
    /// Storage indexes instead of caps; these are no secrets
    #[arg(short, long, group = "what")]
    pub(crate) storage_index: bool,
    /// Caps to check with instead of caps
    #[arg(long, group = "what")]
    pub(crate) verify_cap: bool,
    /// Print the gateway's own lines of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Directory or file of the other gateway: http://host:port/uri/CAP, with a path below it if need be
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Where it goes: ALIAS:path or CAP/path, made when absent [default: truckee:]
    #[arg(value_name = "TARGET", default_value = "")]
    pub(crate) target: String,
    /// Copy files again that are there with the same size
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Transfers at the same time
    #[arg(long, value_name = "COUNT", default_value = JOBS_DEFAULT, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// Name each file when it is done
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Print one line of JSON: files, bytes, failures
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) drive: DriveArgs,
}
