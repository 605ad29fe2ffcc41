//! `truckee codec`: the erasure code on its own, without a mesh.
//!
//! Owns the names of share files and that none of them, nor a restored file, has its name before it is whole. The format
//! stands in [`format`]. Memory does not depend on the length of the file.

pub mod decode;
pub mod encode;
mod error;
pub mod format;

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use truckee_grid::erasure::ErasureChoice;
use truckee_grid::{Coding, Engines};

pub use error::CodecError;

use crate::cli::codec::{DecodeArgs, EncodeArgs};
use crate::error::CliError;
use crate::files::PendingFile;
use crate::output::{Counted, print_json, print_line, transfer_bar};
use decode::{JoinError, OpenShare};
use encode::SplitError;

/// Permission bits of shares and restored files before the umask, as for any new file.
const FILE_MODE: u32 = 0o666;

/// Prefix of the shares of standard input when none is given.
const STDIN_PREFIX: &str = "stdin";

/// Runs `truckee codec encode`.
pub(crate) fn encode(args: &EncodeArgs) -> Result<(), CliError> {
    let coding = coding(args.k, args.n)?;
    let paths = share_paths(args, coding)?;
    if !args.force {
        absent(&paths)?;
    }
    let (mut input, length): (Box<dyn Read>, _) = if args.file == Path::new("-") {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(&args.file).map_err(CliError::file("read", &args.file))?;
        let facts = file.metadata().map_err(CliError::file("read", &args.file))?;
        (Box::new(file), facts.is_file().then_some(facts.len()))
    };
    let started = Instant::now();
    let mut pending: Vec<PendingFile> = paths
        .iter()
        .map(|path| PendingFile::create(path, FILE_MODE))
        .collect::<Result<_, _>>()?;
    let bar = transfer_bar("split", length, args.json || args.quiet);
    let mut counted = Counted::new(&mut input, bar.clone());
    let mut writers: Vec<BufWriter<&mut File>> = pending
        .iter_mut()
        .map(|file| BufWriter::new(file.writer()))
        .collect();
    let engine = engines()?.erasure;
    let split =
        encode::split(&mut counted, &mut writers, coding, engine, format::SEGMENT_BYTES).and_then(|bytes| {
            for (number, writer) in writers.iter_mut().enumerate() {
                writer
                    .flush()
                    .map_err(|source| SplitError::Output { number, source })?;
            }
            Ok(bytes)
        });
    drop(writers);
    bar.finish_and_clear();
    let bytes = split.map_err(|error| match error {
        SplitError::Input(error) if args.file == Path::new("-") => CliError::Stdin(error),
        SplitError::Input(error) => CliError::file("read", &args.file)(error),
        SplitError::Output { number, source } => CliError::file("write", &paths[number])(source),
    })?;
    for file in pending {
        file.keep()?;
    }
    if args.json {
        let seconds = started.elapsed().as_secs_f64();
        return print_json(
            &json!({ "bytes": bytes, "k": coding.k(), "n": coding.n(), "shares": paths, "seconds": seconds }),
        );
    }
    if args.quiet {
        return Ok(());
    }
    paths
        .iter()
        .try_for_each(|path| print_line(&path.display().to_string()))
}

/// Runs `truckee codec decode`.
pub(crate) fn decode(args: &DecodeArgs) -> Result<(), CliError> {
    let started = Instant::now();
    let to_stdout = args.output == Path::new("-");
    if to_stdout && args.json {
        return Err(CliError::Usage {
            what: "--json",
            value: "-o -".into(),
            hint: "standard output is taken by the file; give an output file".into(),
        });
    }
    if !to_stdout && !args.force {
        absent(std::slice::from_ref(&args.output))?;
    }
    let warn = |share: &str, why: &str| {
        if !args.quiet {
            eprintln!("truckee: {share} is left out: {why}");
        }
    };
    let shares = open_all(&args.shares, warn);
    let usable = shares.len();
    let chosen = decode::choose(shares, args.shares.len())?;
    for name in &chosen.foreign {
        warn(name, "it belongs to another file");
    }
    let engine = engines()?.erasure;
    let bar = transfer_bar(
        "restore",
        Some(decode::file_bytes(&chosen)),
        args.json || args.quiet,
    );
    let damaged = |name: &str| warn(name, "it is damaged; where it is sound it is still used");
    let joined = if to_stdout {
        let mut out = bar.wrap_write(io::stdout().lock());
        let joined = decode::join(chosen, engine, &mut out, damaged);
        joined.and_then(|joined| out.flush().map(|()| joined).map_err(JoinError::Output))
    } else {
        let mut pending = PendingFile::create(&args.output, FILE_MODE)?;
        let mut out = bar.wrap_write(pending.writer());
        let joined = decode::join(chosen, engine, &mut out, damaged);
        drop(out);
        match joined {
            Ok(joined) => pending.keep().map(|()| Ok(joined))?,
            Err(error) => Err(error),
        }
    };
    bar.finish_and_clear();
    let joined = joined.map_err(|error| match error {
        JoinError::Shares(error) => error.into(),
        JoinError::Output(error) if to_stdout => CliError::Stdout(error),
        JoinError::Output(error) => CliError::file("write", &args.output)(error),
    })?;
    if !args.json {
        return Ok(());
    }
    print_json(&json!({
        "bytes": joined.file_bytes,
        "k": joined.coding.k(),
        "n": joined.coding.n(),
        "usable": usable,
        "damaged": joined.damaged,
        "seconds": started.elapsed().as_secs_f64(),
    }))
}

/// Opens the shares that can be used, calling `warn` for the others.
fn open_all(paths: &[PathBuf], warn: impl Fn(&str, &str)) -> Vec<OpenShare> {
    let mut shares = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let opened = File::open(path)
            .map_err(decode::OpenError::from)
            .and_then(|file| OpenShare::open(&name, Box::new(file)));
        match opened {
            Ok(share) => shares.push(share),
            Err(error) => warn(&name, &error.to_string()),
        }
    }
    shares
}

fn coding(k: u16, n: u16) -> Result<Coding, CliError> {
    let coding = Coding::new(u32::from(k), u32::from(n));
    coding.map_err(|error| {
        CodecError::Coding {
            reason: error.to_string(),
        }
        .into()
    })
}

fn engines() -> Result<Engines, CliError> {
    Engines::select(ErasureChoice::Auto).map_err(|error| CliError::System {
        action: "choose an erasure code engine",
        source: io::Error::other(error.to_string()),
    })
}

/// Where the shares go: DIR/PREFIX.NN_MM.share, numbers from zero, as wide as n.
fn share_paths(args: &EncodeArgs, coding: Coding) -> Result<Vec<PathBuf>, CliError> {
    let from_stdin = args.file == Path::new("-");
    let prefix = match (&args.prefix, args.file.file_name()) {
        (Some(prefix), _) => prefix.clone(),
        (None, _) if from_stdin => STDIN_PREFIX.into(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => {
            return Err(CliError::Usage {
                what: "the file to split",
                value: args.file.display().to_string(),
                hint: "it has no name; give a file, or - for standard input".into(),
            });
        }
    };
    let beside = args.file.parent().filter(|_| !from_stdin);
    let dir = args.dir.as_deref().or(beside).unwrap_or(Path::new(""));
    let n = coding.n();
    let width = n.to_string().len();
    let path = |number: usize| {
        let mut name = prefix.clone();
        name.push(format!(".{number:0width$}_{n}.share"));
        dir.join(name)
    };
    Ok((0..n).map(path).collect())
}

/// Refuses to go on if one of `paths` exists.
fn absent(paths: &[PathBuf]) -> Result<(), CliError> {
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        None => Ok(()),
        Some(path) => Err(CodecError::Exists {
            path: path.display().to_string(),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests;
