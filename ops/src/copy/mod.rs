//! `truckee cp` and `truckee import`: trees from here to the grid, from the grid to here, within the grid, and from other
//! gateways.
//!
//! Three steps: [`plan`] says where each source goes, [`tree`] finds all there is to copy, and [`to_grid`] or [`to_local`]
//! does it, several files at a time. What fails is named at the end; the rest is copied all the same.

mod import;
mod plan;
pub(crate) mod report;
mod to_grid;
mod to_local;
pub(crate) mod tree;

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use import::import;

use crate::alias::{Plain, Target, parse};
use crate::cli::drive::CpArgs;
use crate::client::{Node, Place};
use crate::drive::{Drive, is_directory};
use crate::error::CliError;
use crate::output::transfer_bar;
use plan::{Landing, SourceFacts, TargetFacts, plan};
use report::Report;
use tree::Tree;

/// A source that was looked at.
enum Source {
    Local { path: PathBuf, facts: fs::Metadata },
    Grid { place: Place, node: Node },
}

impl Source {
    fn facts(&self) -> Result<SourceFacts, CliError> {
        let (name, directory) = match self {
            Source::Local { path, facts } => {
                let name = path
                    .file_name()
                    .map(|name| name.to_str().ok_or_else(|| tree::not_utf8(path)));
                (name.transpose()?.map(str::to_owned), facts.is_dir())
            }
            Source::Grid { place, node } => (place.name().map(str::to_owned), is_directory(node)),
        };
        Ok(SourceFacts { name, directory })
    }
}

/// Runs `truckee cp`.
pub(crate) fn cp(args: &CpArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    let (target_text, source_texts) = args.paths.split_last().expect("clap asks for two paths at least");
    let target = parse(target_text, Plain::Local, &drive.aliases)?;
    let to_grid = matches!(target, Target::Grid { .. });
    let mut sources = Vec::new();
    for text in source_texts {
        sources.push(look(&drive, text, to_grid)?);
    }
    let facts: Vec<SourceFacts> = sources.iter().map(Source::facts).collect::<Result<_, _>>()?;
    let (there, slash) = look_at_target(&drive, &target)?;
    let landings = plan(&facts, there, slash, args.recursive).map_err(|error| CliError::Usage {
        what: "the copy to",
        value: crate::alias::hide_cap(target_text),
        hint: error.to_string(),
    })?;
    // A single file that becomes the target is a child of the directory above.
    let as_file = landings[0] == Landing::Itself && !facts[0].directory;
    let mut tree = Tree::new(to_grid);
    let own_name = if as_file { Some(own_name(&target)?) } else { None };
    for (source, landing) in sources.into_iter().zip(landings) {
        let name = match landing {
            Landing::Child(name) => Some(name),
            Landing::Itself => own_name.clone(),
        };
        add(&mut tree, &drive, source, name.as_deref())?;
    }
    let bar = transfer_bar("copy", Some(tree.bytes()), args.json);
    let report = Report::new("copy", bar, tree.files.len(), args.verbose);
    for failure in std::mem::take(&mut tree.failures) {
        report.fail(failure.path, failure.error);
    }
    let jobs = usize::from(args.jobs);
    match &target {
        Target::Grid { place, .. } => {
            let base = if as_file {
                place.split().map(|(parent, _)| parent)
            } else {
                Some(place.clone())
            };
            let base = base.expect("a target with a name has a directory");
            let options = to_grid::Options {
                foreign: None,
                keep_same: false,
                jobs,
            };
            to_grid::copy(&drive.gateway, &base, &tree, &options, &report)?;
        }
        Target::Local { path, .. } => {
            let base = if as_file {
                path.parent().unwrap_or(Path::new(""))
            } else {
                path
            };
            let options = to_local::Options {
                caps_only: args.caps_only,
                preserve: args.preserve,
                jobs,
            };
            to_local::copy(&drive.gateway, base, &tree, &options, &report);
        }
    }
    report.tell(tree.dirs.len() - 1, tree.skipped, args.json)
}

fn look(drive: &Drive, text: &str, to_grid: bool) -> Result<Source, CliError> {
    match parse(text, Plain::Local, &drive.aliases)? {
        Target::Grid { place, .. } => {
            let node = drive.gateway.node(&place)?;
            Ok(Source::Grid { place, node })
        }
        Target::Local { path, .. } if !to_grid => Err(CliError::Usage {
            what: "the source",
            value: path.display().to_string(),
            hint: "source and target are both on this machine; use cp, or write the target as ALIAS:path"
                .into(),
        }),
        Target::Local { path, .. } => {
            let facts = fs::metadata(&path).map_err(CliError::file("read", &path))?;
            Ok(Source::Local { path, facts })
        }
    }
}

fn look_at_target(drive: &Drive, target: &Target) -> Result<(TargetFacts, bool), CliError> {
    match target {
        Target::Grid { place, slash } => {
            let facts = match drive.gateway.node_if_there(place)? {
                None => TargetFacts::Missing,
                Some(node) if is_directory(&node) => TargetFacts::Directory,
                Some(_) => TargetFacts::File,
            };
            Ok((facts, *slash))
        }
        Target::Local { path, slash } => {
            let facts = match fs::metadata(path) {
                Ok(facts) if facts.is_dir() => TargetFacts::Directory,
                Ok(_) => TargetFacts::File,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => TargetFacts::Missing,
                Err(error) => return Err(CliError::file("read", path)(error)),
            };
            Ok((facts, *slash))
        }
    }
}

/// The name that a single file gets.
fn own_name(target: &Target) -> Result<String, CliError> {
    let name = match target {
        Target::Grid { place, .. } => place.name().map(str::to_owned),
        Target::Local { path, .. } => path
            .file_name()
            .map(|name| {
                name.to_str()
                    .map(str::to_owned)
                    .ok_or_else(|| tree::not_utf8(path))
            })
            .transpose()?,
    };
    name.ok_or_else(|| CliError::Usage {
        what: "the target",
        value: "URI:…".into(),
        hint: "it is the cap of a file; to replace the content of a mutable file use `truckee put FILE CAP`"
            .into(),
    })
}

/// Adds a source to what is to be copied.
fn add(tree: &mut Tree, drive: &Drive, source: Source, name: Option<&str>) -> Result<(), CliError> {
    match source {
        Source::Local { path, facts } if facts.is_dir() => {
            let dir = tree.dir(0, name);
            tree.local_dir(dir, &path)
        }
        Source::Local { path, facts } => {
            tree.local_file(0, name.unwrap_or_default(), &path, &facts);
            Ok(())
        }
        Source::Grid { node, .. } if is_directory(&node) => {
            let dir = tree.dir(0, name);
            tree.grid_dir(&drive.gateway, dir, node)
        }
        Source::Grid { node, .. } => {
            tree.grid_file(0, name.unwrap_or_default(), &node);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
