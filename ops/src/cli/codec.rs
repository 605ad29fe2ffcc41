//! Options of `truckee codec`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do with the erasure code.
#[derive(Debug, Subcommand)]
pub(crate) enum CodecCommand {
    /// Split a file into n shares, any k of which restore it
    Encode(EncodeArgs),
    /// Restore a file from any k of its shares
    Decode(DecodeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct EncodeArgs {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Shares needed
    #[arg(short, value_name = "K", default_value = "3")]
    pub(crate) k: u16,
    /// Shares made
    #[arg(short, value_name = "N", default_value = "10")]
    pub(crate) n: u16,
    /// Where the shares go [default: beside the file; the current directory for standard input]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Start of the shares' names, which go on with .NN_MM.share [default: the file's name]
    #[arg(short, long, value_name = "PREFIX")]
    pub(crate) prefix: Option<OsString>,
    /// Replace shares that exist
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print one line of JSON: bytes, k, n, names of the shares
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// Share files, in any order
    #[arg(value_name = "SHARE", required = true)]
    pub(crate) shares: Vec<PathBuf>,
    /// The file to write, or - for standard output; it appears when it is whole
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Replace the file if it exists
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print one line of JSON: bytes, k, n, damaged shares; needs an output file
    #[arg(long)]
    pub(crate) json: bool,
}
