//! The `truckee` program: run a node, run a local cluster, put and get files, measure.
//!
//! Owns the command line and everything that a person does from a shell. Nothing depends on this crate but its two
//! binaries; what a node is stands in `truckee-nodes`. Results go to standard output, errors to standard error as one
//! sentence with what to do next, and the exit code is one of the table in [`exit`].

use std::process::ExitCode;

use clap::Parser;

mod cli;
pub mod cluster;
pub mod codec;
mod doctor;
pub mod error;
pub mod exit;
mod files;
mod get;
pub mod http;
pub mod load;
mod node;
mod output;
mod put;
mod status;

use cli::Command;
use cli::codec::CodecCommand;
use exit::Exit;

/// Parses the command line, runs it and gives the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    let done = match cli::Cli::parse().command {
        // A running node speaks for itself, and its exit codes are its own.
        Command::Run(args) => return node::run(&args),
        Command::Up(args) => cluster::up::run(&args),
        Command::Init(args) => node::init(&args),
        Command::Put(args) => put::run(&args),
        Command::Get(args) => get::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Codec(CodecCommand::Encode(args)) => codec::encode(&args),
        Command::Codec(CodecCommand::Decode(args)) => codec::decode(&args),
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            eprintln!("truckee: {error}");
            error.exit().into()
        }
    }
}
