//! Commands on files and directories of the grid, and what they share: the gateway, the aliases, and how a target is read.

pub(crate) mod check;
pub(crate) mod get;
pub(crate) mod links;
pub(crate) mod ls;
pub(crate) mod manifest;
pub(crate) mod put;
pub(crate) mod renew;

use crate::alias::{self, Aliases};
use crate::cli::drive::DriveArgs;
use crate::client::{Kind, Node, Place};
use crate::error::CliError;
use crate::http::Gateway;

/// What every command on the grid begins with.
pub(crate) struct Drive {
    pub(crate) gateway: Gateway,
    pub(crate) aliases: Aliases,
}

impl Drive {
    /// Finds the gateway and reads the aliases.
    pub(crate) fn open(args: &DriveArgs) -> Result<Drive, CliError> {
        Ok(Drive {
            gateway: Gateway::of(&args.client)?,
            aliases: alias::load(&alias::path(args.aliases.as_deref())?)?,
        })
    }

    /// The place that `text` means to a command that works on the grid alone.
    pub(crate) fn place(&self, text: &str) -> Result<Place, CliError> {
        Ok(alias::parse_grid(text, &self.aliases)?.0)
    }

    /// Where something called `name` ends up if it is to go to `target`: in it if it is a directory (or is written like
    /// one), else there.
    pub(crate) fn destination(
        &self,
        (target, slash): (Place, bool),
        name: Option<&str>,
    ) -> Result<Place, CliError> {
        let there = self.gateway.node_if_there(&target)?;
        let directory = there.as_ref().is_some_and(is_directory);
        if !directory && !slash {
            return Ok(target);
        }
        if !directory {
            return Err(CliError::Place {
                what: "there is no directory",
                place: target.shown(),
                hint: "make it with `truckee mkdir -p`, or write the target without a slash at the end"
                    .into(),
            });
        }
        match name {
            Some(name) => Ok(target.child(name)),
            None => Err(CliError::Place {
                what: "what comes from a bare cap or standard input has no name to get in directory",
                place: target.shown(),
                hint: "write the name behind it".into(),
            }),
        }
    }
}

/// Whether it is a directory.
pub(crate) fn is_directory(node: &Node) -> bool {
    node.kind == Kind::Directory
}
