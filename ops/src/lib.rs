//! The `truckee` program: run a node, run a local cluster, put and get files, measure.
//!
//! Owns the command line and everything that a person does from a shell. Nothing depends on this crate but its two
//! binaries; what a node is stands in `truckee-nodes`. Results go to standard output, errors to standard error as one
//! sentence with what to do next, and the exit code is one of the table in [`exit`].

use std::process::ExitCode;

use clap::Parser;

pub mod alias;
mod backup;
mod chaos;
mod cli;
pub mod client;
pub mod cluster;
pub mod codec;
mod copy;
mod date;
mod doctor;
mod drain;
mod drive;
pub mod error;
pub mod exit;
#[cfg(test)]
mod fake;
mod files;
mod gc;
pub mod http;
mod interrupt;
pub mod load;
mod manual;
mod node;
mod operator;
mod output;
mod parallel;
mod revoke;
mod status;
#[cfg(test)]
mod testing;
mod top;

use cli::Command;
use cli::codec::CodecCommand;
use error::CliError;
use exit::Exit;

/// Parses the command line, runs it and gives the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    match dispatch(cli::Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("truckee: {error}");
            error.exit().into()
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, CliError> {
    // Nodes and clusters stop in order before they end; every other command just cleans up.
    if !matches!(command, Command::Up(_) | Command::Run(_) | Command::Chaos(_)) {
        interrupt::watch()?;
    }
    carry_out(command)
}

fn carry_out(command: Command) -> Result<ExitCode, CliError> {
    let done = match command {
        // A running node speaks for itself, and its exit codes are its own.
        Command::Run(args) => return Ok(node::run(&args)),
        Command::Up(args) => cluster::up::run(&args),
        Command::Init(args) => node::init(&args),
        Command::Put(args) => drive::put::run(&args),
        Command::Get(args) => drive::get::run(&args),
        Command::Ls(args) => drive::ls::run(&args),
        Command::Cp(args) => copy::cp(&args),
        Command::Mv(args) => drive::links::mv(&args),
        Command::Rm(args) => drive::links::rm(&args),
        Command::Mkdir(args) => drive::links::mkdir(&args),
        Command::Ln(args) => drive::links::ln(&args),
        Command::Alias(args) => alias::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Check(args) => drive::check::run(&args),
        Command::Renew(args) => drive::renew::run(&args),
        Command::Manifest(args) => drive::manifest::run(&args),
        Command::Import(args) => copy::import(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::pages(&args),
        Command::Status(args) => status::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Chaos(args) => chaos::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Drain(args) => drain::run(&args),
        Command::Revoke(args) => revoke::run(&args),
        Command::Gc(args) => gc::run(&args),
        Command::Codec(CodecCommand::Encode(args)) => codec::encode(&args),
        Command::Codec(CodecCommand::Decode(args)) => codec::decode(&args),
    };
    done.map(|()| Exit::Done.into())
}
