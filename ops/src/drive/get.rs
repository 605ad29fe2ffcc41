//! `truckee get`: a cap or a path of the grid in, the file out.
//!
//! Owns the promise that a name never stands for half a file: with a file to write to, the content goes to a temporary file in the
//! same directory and gets its name only when it is whole and of the announced length. What goes to standard output is
//! written as it arrives; there the exit code says whether it was whole.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::ProgressBar;
use serde_json::json;

use super::Drive;
use crate::cli::drive::GetArgs;
use crate::client::Place;
use crate::error::CliError;
use crate::files::PendingFile;
use crate::http::{Download, Gateway};
use crate::output::{print_json, transfer_bar};

/// Copied at a time: large enough that system calls cost little beside the copy itself.
const COPY_BYTES: usize = 256 * 1024;

/// Permission bits of a downloaded file before the umask, as for any new file.
pub(crate) const FILE_MODE: u32 = 0o666;

/// Runs the command.
pub(crate) fn run(args: &GetArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    let gateway = &drive.gateway;
    let place = drive.place(&args.source)?;
    let target = target(args, &place)?;
    if args.json && target.is_none() {
        return Err(CliError::Usage {
            what: "--json",
            value: args.source.clone(),
            hint: "standard output is taken by the file; name a file to write to".into(),
        });
    }
    let range =
        (args.offset.is_some() || args.length.is_some()).then(|| (args.offset.unwrap_or(0), args.length));
    let started = Instant::now();
    let download = gateway.fetch(&place, range)?;
    let bar = transfer_bar("download", download.announced_bytes, args.json);
    let copied = match &target {
        None => to_stdout(gateway, download, &bar),
        Some(path) => {
            let mut pending = PendingFile::create(path, FILE_MODE)?;
            let temporary = pending.path().to_owned();
            let broken = CliError::file("write", &temporary);
            copy(gateway, download, pending.writer(), broken, &bar)
                .and_then(|bytes| pending.keep().map(|()| bytes))
        }
    };
    bar.finish_and_clear();
    let bytes = copied?;
    if args.json {
        let seconds = started.elapsed().as_secs_f64();
        return print_json(&json!({ "bytes": bytes, "seconds": seconds }));
    }
    Ok(())
}

/// The file to write to; none for standard output.
fn target(args: &GetArgs, place: &Place) -> Result<Option<PathBuf>, CliError> {
    let Some(given) = args.output.as_ref().or(args.target.as_ref()) else {
        return Ok(None);
    };
    if given == Path::new("-") {
        return Ok(None);
    }
    if !given.is_dir() {
        return Ok(Some(given.clone()));
    }
    match place.name() {
        Some(name) => Ok(Some(given.join(name))),
        None => Err(CliError::Usage {
            what: "the output",
            value: given.display().to_string(),
            hint: "it is a directory and a bare cap has no name; write the name of the file".into(),
        }),
    }
}

fn to_stdout(gateway: &Gateway, download: Download, bar: &ProgressBar) -> Result<u64, CliError> {
    let mut out = io::stdout().lock();
    let bytes = copy(gateway, download, &mut out, CliError::Stdout, bar)?;
    out.flush().map_err(CliError::Stdout)?;
    Ok(bytes)
}

/// Copies a whole download into `out`; an error of `out` becomes `broken`.
pub(crate) fn copy(
    gateway: &Gateway,
    download: Download,
    out: &mut dyn Write,
    broken: impl FnOnce(io::Error) -> CliError,
    bar: &ProgressBar,
) -> Result<u64, CliError> {
    let announced = download.announced_bytes;
    let mut reader = download.into_reader();
    let mut buffer = vec![0; COPY_BYTES];
    let mut copied = 0;
    loop {
        let got = reader
            .read(&mut buffer)
            .map_err(|error| gateway.cut_short(copied, &error))?;
        if got == 0 {
            break;
        }
        if let Err(error) = out.write_all(&buffer[..got]) {
            return Err(broken(error));
        }
        copied += got as u64;
        bar.inc(got as u64);
    }
    if announced.is_some_and(|announced| announced != copied) {
        return Err(gateway.cut_short(copied, &io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(copied)
}
