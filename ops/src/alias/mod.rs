//! `truckee alias`: short names for directories of the grid, and what paths on the command line mean.

mod store;
mod target;

use serde_json::{Map, json};

pub use store::{AliasFlaw, Aliases, DEFAULT_ALIAS, load, path};
pub use target::{Plain, Target, hide_cap, parse, parse_grid};

use crate::cli::drive::{AliasAddArgs, AliasArgs, AliasCommand, AliasListArgs, AliasNameArgs};
use crate::client::{Place, is_writable};
use crate::error::CliError;
use crate::http::Gateway;
use crate::output::{print_json, print_line};

/// Runs the command.
pub(crate) fn run(args: &AliasArgs) -> Result<(), CliError> {
    match &args.command {
        AliasCommand::Add(add) => add_one(add),
        AliasCommand::Create(create) => create_one(create),
        AliasCommand::Remove(remove) => remove_one(remove),
        AliasCommand::List(list) => list_all(list),
    }
}

fn add_one(args: &AliasAddArgs) -> Result<(), CliError> {
    let name = plain_name(&args.name);
    let file = path(args.drive.aliases.as_deref())?;
    let cap = args.cap.trim();
    store::change(&file, |aliases| {
        free(aliases, name, args.force)?;
        aliases.insert(name, cap).map_err(|flaw| unusable(name, flaw))
    })
}

fn create_one(args: &AliasNameArgs) -> Result<(), CliError> {
    let name = plain_name(&args.name);
    let file = path(args.drive.aliases.as_deref())?;
    store::check_name(name).map_err(|flaw| unusable(name, flaw))?;
    let gateway = Gateway::of(&args.drive.client)?;
    store::change(&file, |aliases| {
        free(aliases, name, false)?;
        let cap = gateway.mkdir()?;
        aliases.insert(name, &cap).map_err(|flaw| unusable(name, flaw))
    })
}

fn remove_one(args: &AliasNameArgs) -> Result<(), CliError> {
    let name = plain_name(&args.name);
    let file = path(args.drive.aliases.as_deref())?;
    let removed = store::change(&file, |aliases| {
        let removed = aliases.remove(name);
        removed.ok_or_else(|| CliError::NoAlias {
            name: name.to_owned(),
        })
    })?;
    // The last chance to keep it: without the cap the directory is lost.
    print_line(&removed)
}

fn list_all(args: &AliasListArgs) -> Result<(), CliError> {
    let aliases = load(&path(args.drive.aliases.as_deref())?)?;
    let mut all = Map::new();
    for (name, cap) in aliases.iter() {
        let shown = if args.readonly_uri {
            let gateway = Gateway::of(&args.drive.client)?;
            gateway.node(&Place::of(cap))?.read_cap().map(str::to_owned)
        } else {
            args.caps.then(|| cap.to_owned())
        };
        let writable = is_writable(cap);
        if args.json {
            all.insert(name.to_owned(), json!({ "cap": shown, "writable": writable }));
        } else {
            let right = if writable { "" } else { " (read only)" };
            print_line(&match shown {
                Some(cap) => format!("{name}: {cap}"),
                None => format!("{name}:{right}"),
            })?;
        }
    }
    if args.json {
        print_json(&all.into())?;
    }
    Ok(())
}

/// People write the colon too.
fn plain_name(name: &str) -> &str {
    name.strip_suffix(':').unwrap_or(name)
}

/// Refuses to go on if the name is taken: the cap that it has could be the only copy.
fn free(aliases: &Aliases, name: &str, force: bool) -> Result<(), CliError> {
    if force || aliases.get(name).is_none() {
        return Ok(());
    }
    Err(CliError::AliasTaken {
        name: name.to_owned(),
    })
}

fn unusable(name: &str, flaw: AliasFlaw) -> CliError {
    CliError::Usage {
        what: "the alias",
        value: name.to_owned(),
        hint: flaw.to_string(),
    }
}
