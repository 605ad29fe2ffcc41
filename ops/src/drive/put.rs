//! `truckee put`: a file or standard input in, a cap out, and a name in the grid if one is given.
//!
//! Owns what is printed: the cap alone on standard output (or one JSON object), everything else on standard error.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::Drive;
use crate::alias;
use crate::cli::drive::PutArgs;
use crate::client::Place;
use crate::error::CliError;
use crate::http::PutChoice;
use crate::output::{Counted, print_json, print_line, transfer_bar};

/// How a mutable file is stored. The gateway treats both formats of Tahoe-LAFS the same.
const MUTABLE_FORMAT: &str = "SDMF";

/// What is uploaded.
struct Source {
    reader: Box<dyn Read>,
    length_bytes: Option<u64>,
}

/// Runs the command.
pub(crate) fn run(args: &PutArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    let target = target(&drive, args)?;
    let source = open(&args.file)?;
    let choice = PutChoice {
        k: args.k,
        n: args.n,
        happy: args.happy,
        convergent: args.convergent,
    };
    let bar = transfer_bar("upload", source.length_bytes, args.json);
    let mut body = Counted::new(source.reader, bar.clone());
    let started = Instant::now();
    let length = source.length_bytes;
    let format = args.mutable.then_some(MUTABLE_FORMAT);
    let answer = match (&target, format) {
        (Some(place), _) => drive.gateway.put_at(place, &mut body, length, choice, format),
        (None, Some(format)) => drive.gateway.put_mutable(&mut body, length, format),
        (None, None) => drive.gateway.put(&mut body, length, choice),
    };
    bar.finish_and_clear();
    let cap = answer.map_err(|error| blame(error, &body, args, source.length_bytes))?;
    if !args.json {
        return print_line(&cap);
    }
    let seconds = started.elapsed().as_secs_f64();
    print_json(&json!({ "cap": cap, "bytes": body.bytes, "seconds": seconds }))
}

/// Where the file gets its name, if it is to have one.
fn target(drive: &Drive, args: &PutArgs) -> Result<Option<Place>, CliError> {
    let Some(target) = &args.target else {
        return Ok(None);
    };
    let target = alias::parse_grid(target, &drive.aliases)?;
    if target.0.name().is_none() && !target.0.cap().starts_with("URI:DIR2") {
        // The cap of a mutable file: its content is replaced.
        return Ok(Some(target.0));
    }
    let name = args.file.file_name().filter(|_| args.file != Path::new("-"));
    let name = name.map(|name| {
        name.to_str().ok_or_else(|| CliError::Usage {
            what: "the file to put",
            value: args.file.display().to_string(),
            hint: "its name is not UTF-8, as names in the grid are; write a name behind the target".into(),
        })
    });
    drive.destination(target, name.transpose()?).map(Some)
}

/// Opens the file, or standard input for `-`.
fn open(name: &Path) -> Result<Source, CliError> {
    if name == Path::new("-") {
        return Ok(Source {
            reader: Box::new(io::stdin().lock()),
            length_bytes: None,
        });
    }
    let file = File::open(name).map_err(CliError::file("read", name))?;
    let facts = file.metadata().map_err(CliError::file("read", name))?;
    if facts.is_dir() {
        return Err(CliError::Usage {
            what: "the file to put",
            value: name.display().to_string(),
            hint: "it is a directory; give a file, or pipe an archive into `truckee put -`".into(),
        });
    }
    // A pipe or device has no length to announce.
    let length_bytes = facts.is_file().then_some(facts.len());
    Ok(Source {
        reader: Box::new(file),
        length_bytes,
    })
}

/// If our own side of the body failed, says so instead of blaming the gateway for the broken request.
fn blame<R>(error: CliError, body: &Counted<R>, args: &PutArgs, length_bytes: Option<u64>) -> CliError {
    if matches!(error, CliError::Status { .. }) {
        return error;
    }
    match body.failure {
        Some(kind) if args.file == Path::new("-") => CliError::Stdin(kind.into()),
        Some(kind) => CliError::file("read", &args.file)(kind.into()),
        None if body.ended && length_bytes.is_some_and(|length| body.bytes < length) => CliError::Usage {
            what: "the file to put",
            value: args.file.display().to_string(),
            hint: "it became shorter while it was read; put it again when nothing writes to it".into(),
        },
        None => error,
    }
}
