//! `truckee mkdir`, `mv`, `rm` and `ln`: names in directories of the grid.
//!
//! No content moves here. `rm` takes a name away and nothing else: the content stays for whoever has its cap, and the cap
//! is printed with `--json`. A directory wants `-r`, as in a file system, because its cap may be the only way to what is
//! below. A directory is never replaced; a file is, by `mv` (without `-n`) and by `ln --force`.

use serde_json::json;

use crate::alias;
use crate::cli::drive::{LnArgs, MkdirArgs, MvArgs, RmArgs};
use crate::client::{Place, Replace};
use crate::error::CliError;
use crate::output::{print_json, print_line};

use super::{Drive, is_directory};

/// Runs `truckee mkdir`.
pub(crate) fn mkdir(args: &MkdirArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    if args.paths.is_empty() {
        return print_line(&drive.gateway.mkdir()?);
    }
    for path in &args.paths {
        let place = drive.place(path)?;
        if args.parents {
            drive.gateway.mkdir_all(&place)?;
            continue;
        }
        let (parent, name) = named(&place, "make a directory in place of")?;
        let Some(there) = drive.gateway.node_if_there(&parent)? else {
            return Err(CliError::Place {
                what: "there is no directory",
                place: parent.shown(),
                hint: "make it first, or give -p".into(),
            });
        };
        if there.children.contains_key(name) {
            return Err(taken(&place));
        }
        drive.gateway.mkdir_new(&parent, name)?;
    }
    Ok(())
}

/// Runs `truckee mv`.
pub(crate) fn mv(args: &MvArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    let (target, sources) = args.paths.split_last().expect("clap asks for two paths at least");
    let (target, slash) = alias::parse_grid(target, &drive.aliases)?;
    let replace = if args.no_clobber {
        Replace::Never
    } else {
        Replace::OnlyFiles
    };
    for source in sources {
        let source = drive.place(source)?;
        let (from, from_name) = named(&source, "move")?;
        // With several sources the target has to be a directory, as if a slash stood behind it.
        let slash = slash || sources.len() > 1;
        let to = drive.destination((target.clone(), slash), Some(from_name))?;
        let (to_dir, to_name) = named(&to, "replace")?;
        drive
            .gateway
            .relink((&from, from_name), (&to_dir, to_name), replace)?;
    }
    Ok(())
}

/// Runs `truckee rm`.
pub(crate) fn rm(args: &RmArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    let mut removed = Vec::new();
    let mut first_error = None;
    for path in &args.paths {
        match remove(&drive, path, args) {
            Ok(Some(entry)) => removed.push(entry),
            Ok(None) => {}
            Err(error) if first_error.is_none() => first_error = Some(error),
            Err(error) => eprintln!("truckee: {error}"),
        }
    }
    if args.json {
        print_json(&removed.into())?;
    }
    first_error.map_or(Ok(()), Err)
}

fn remove(drive: &Drive, path: &str, args: &RmArgs) -> Result<Option<serde_json::Value>, CliError> {
    let place = drive.place(path)?;
    named(&place, "take a name from")?;
    if !args.recursive {
        match drive.gateway.node_if_there(&place)? {
            Some(node) if is_directory(&node) => {
                return Err(CliError::Place {
                    what: "this is a directory:",
                    place: place.shown(),
                    hint: "give -r to take it away with all that is below".into(),
                });
            }
            _ => {}
        }
    }
    match drive.gateway.unlink(&place) {
        Ok(cap) => Ok(Some(json!({ "path": place.shown(), "cap": cap }))),
        Err(CliError::Status { status: 404, .. }) if args.force => Ok(None),
        Err(error) => Err(error),
    }
}

/// Runs `truckee ln`.
pub(crate) fn ln(args: &LnArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    let source = drive.place(&args.source)?;
    let node = drive.gateway.node(&source)?;
    let cap = if args.readonly {
        node.read_cap()
    } else {
        node.cap()
    };
    let Some(cap) = cap else {
        return Err(CliError::Place {
            what: "the gateway knows no cap of",
            place: source.shown(),
            hint: "it may be of a kind that a newer gateway understands".into(),
        });
    };
    let target = alias::parse_grid(&args.target, &drive.aliases)?;
    let to = drive.destination(target, source.name())?;
    named(&to, "replace")?;
    let replace = if args.force {
        Replace::OnlyFiles
    } else {
        Replace::Never
    };
    drive.gateway.link(&to, cap, replace)
}

/// Directory and name of a place; a bare cap or alias has none.
fn named<'a>(place: &'a Place, what: &'static str) -> Result<(Place, &'a str), CliError> {
    place.split().ok_or_else(|| CliError::Usage {
        what: "the path",
        value: place.shown(),
        hint: format!("to {what} something it must have a name: write the path behind the alias or cap"),
    })
}

fn taken(place: &Place) -> CliError {
    CliError::Place {
        what: "there is something already at",
        place: place.shown(),
        hint: "choose another name, or remove it first".into(),
    }
}
