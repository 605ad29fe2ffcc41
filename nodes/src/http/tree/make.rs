//! New directories: empty, with children, immutable.

use bytes::Bytes;
use truckee_engine::drive::{DriveError, EditWhy, Replace};
use truckee_grid::caps::Cap;
use truckee_grid::drive::{Child, ChildName, Target};

use super::children::{self, Given, check_immutable};
use super::link::Linking;
use super::mutable::refuse_private_key;
use super::resolve::{Resolved, writable};
use super::{TreeError, error::ChildError};
use crate::http::Gateway;
use crate::http::args::{Args, Format};
use crate::http::error::HttpError;
use crate::http::path::Place;

/// What kind of directory to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Mutable,
    Immutable,
}

/// A new directory that is linked nowhere.
pub(super) async fn unlinked(
    gateway: &Gateway,
    args: &Args,
    kind: Kind,
    json: &Bytes,
) -> Result<Cap, HttpError> {
    let children = read_children(args, kind, json)?;
    match kind {
        Kind::Mutable => gateway.new_directory(children).await,
        Kind::Immutable => gateway.store_listing(children).await,
    }
}

fn read_children(args: &Args, kind: Kind, json: &Bytes) -> Result<Vec<(ChildName, Child)>, HttpError> {
    refuse_private_key(args)?;
    if args.format()? == Some(Format::Chk) && kind == Kind::Mutable {
        return Err(HttpError::BadArgument {
            name: "format",
            expected: "SDMF, MDMF or absent for a directory; t=mkdir-immutable makes an immutable one",
        });
    }
    let children = children::parse(json)?;
    children
        .into_iter()
        .map(
            |Given {
                 name,
                 target,
                 metadata,
             }| {
                if kind == Kind::Immutable {
                    check_immutable(&target)?;
                }
                let metadata = metadata.unwrap_or_else(|| "{}".to_owned());
                if metadata.len() > truckee_grid::drive::METADATA_BYTES_MAX {
                    return Err(TreeError::BadChild(ChildError::Metadata).into());
                }
                Ok((name, Child { target, metadata }))
            },
        )
        .collect()
}

/// `t=mkdir` at a place. A directory that is there already is the answer, unless `replace` says otherwise.
pub(super) async fn mkdir(
    gateway: &Gateway,
    args: &Args,
    place: &Place,
    replace: Option<Replace>,
) -> Result<Cap, HttpError> {
    let none = Bytes::new();
    match gateway.resolve(place).await? {
        Resolved::Blocked => Err(TreeError::FileInTheWay.into()),
        Resolved::Found(node) => {
            let directory = match node.target {
                Target::Cap(cap) if cap.is_directory() => Some(cap),
                _ => None,
            };
            match (directory, replace) {
                (Some(_), Some(Replace::Never | Replace::OnlyFiles)) => Err(TreeError::Exists.into()),
                (Some(there), None) => Ok(there),
                (None, None) if node.link.is_none() => Err(TreeError::NotADirectory.into()),
                (None, None | Some(Replace::Never)) => Err(TreeError::FileInTheWay.into()),
                (_, Some(replace)) => {
                    let made = unlinked(gateway, args, Kind::Mutable, &none).await?;
                    let linking = Linking::of(made.clone(), replace);
                    gateway.link(&place.cap, &place.names, linking).await?;
                    Ok(made)
                }
            }
        }
        Resolved::Missing { parent, .. } => {
            writable(&parent)?;
            let made = unlinked(gateway, args, Kind::Mutable, &none).await?;
            let linking = Linking::of(made.clone(), Replace::Never);
            match gateway.link(&place.cap, &place.names, linking).await {
                Ok(_) => Ok(made),
                Err(error) if replace.is_none() && is_exists(&error) => made_meanwhile(gateway, place).await,
                Err(error) => Err(error),
            }
        }
    }
}

fn is_exists(error: &HttpError) -> bool {
    matches!(error, HttpError::Tree(TreeError::Drive(DriveError::Refused(refused))) if refused.why == EditWhy::Exists)
}

/// Two clients made the same directory: both get the one that is there.
async fn made_meanwhile(gateway: &Gateway, place: &Place) -> Result<Cap, HttpError> {
    match gateway.find(place).await?.target {
        Target::Cap(cap) if cap.is_directory() => Ok(cap),
        _ => Err(TreeError::FileInTheWay.into()),
    }
}

/// `t=mkdir-with-children` and `t=mkdir-immutable` at a place: never in the place of something.
pub(super) async fn with_children(
    gateway: &Gateway,
    args: &Args,
    place: &Place,
    kind: Kind,
    json: &Bytes,
) -> Result<Cap, HttpError> {
    match gateway.resolve(place).await? {
        Resolved::Blocked => return Err(TreeError::FileInTheWay.into()),
        Resolved::Found(_) => return Err(TreeError::Exists.into()),
        Resolved::Missing { parent, .. } => {
            writable(&parent)?;
        }
    }
    let made = unlinked(gateway, args, kind, json).await?;
    let linking = Linking::of(made.clone(), Replace::Never);
    gateway.link(&place.cap, &place.names, linking).await?;
    Ok(made)
}
