//! Taking names away and giving others: `DELETE`, unlink, rename, relink.
//!
//! A move to another directory links the thing there first and unlinks it here only if it still is the same: in
//! between it is in both places, and whatever fails, it is in one.

use actix_web::{HttpRequest, HttpResponse};
use truckee_engine::drive::{DriveError, Edit, EditWhy, Replace};
use truckee_grid::caps::Cap;
use truckee_grid::drive::{ChildName, Target};

use super::link::Linking;
use super::resolve::{Resolved, writable};
use super::{TreeError, answer};
use crate::http::Gateway;
use crate::http::args::Args;
use crate::http::error::HttpError;
use crate::http::path::{self, Place, place};

/// `DELETE CAP/path`: the cap of what was unlinked.
pub(super) async fn delete(request: &HttpRequest, gateway: &Gateway) -> Result<HttpResponse, HttpError> {
    let place = place(request.path())?;
    let node = gateway.find(&place).await?;
    let link = node.link.ok_or(TreeError::NotLinked)?;
    let removed = remove(gateway, &link.parent, link.name).await?;
    Ok(answer::text(answer::strongest(&removed)))
}

async fn remove(gateway: &Gateway, parent: &Cap, name: ChildName) -> Result<Target, HttpError> {
    let edited = gateway.change(parent, vec![Edit::Remove { name }]).await?;
    let before = edited.into_iter().next().and_then(|edited| edited.before);
    Ok(before.ok_or(HttpError::Internal)?.target)
}

/// The directory that a form works on.
async fn directory(gateway: &Gateway, place: &Place) -> Result<Cap, HttpError> {
    let node = gateway.find(place).await?;
    match node.target {
        Target::Cap(cap) if cap.is_directory() => {
            writable(&cap)?;
            Ok(cap)
        }
        Target::Cap(_) => Err(TreeError::NotADirectory.into()),
        Target::Unknown { .. } => Err(TreeError::UnknownKind.into()),
    }
}

fn named(args: &Args, name: &'static str) -> Result<ChildName, HttpError> {
    path::name(args.get(name).map(str::trim).ok_or(TreeError::NoName { name })?)
}

/// `t=unlink`, `t=delete`.
pub(super) async fn unlink(gateway: &Gateway, args: &Args, place: &Place) -> Result<HttpResponse, HttpError> {
    let name = named(args, "name")?;
    let parent = directory(gateway, place).await?;
    remove(gateway, &parent, name).await?;
    Ok(done(args, "thing unlinked"))
}

/// `t=rename`: another name in the same directory.
pub(super) async fn rename(gateway: &Gateway, args: &Args, place: &Place) -> Result<HttpResponse, HttpError> {
    if args.get("to_dir").is_some() {
        return Err(HttpError::BadArgument {
            name: "to_dir",
            expected: "absent in t=rename; t=relink moves to another directory",
        });
    }
    if args.get("to_name").is_none() {
        return Err(TreeError::NoName { name: "to_name" }.into());
    }
    relink(gateway, args, place).await
}

/// `t=relink`: another name, in the same directory or in another one.
pub(super) async fn relink(gateway: &Gateway, args: &Args, place: &Place) -> Result<HttpResponse, HttpError> {
    let from = named(args, "from_name")?;
    let to = match args.filled("to_name") {
        None => from.clone(),
        Some(_) => named(args, "to_name")?,
    };
    let replace = args.replace()?.unwrap_or(Replace::Always);
    let source = directory(gateway, place).await?;
    let destination = match args.filled("to_dir") {
        None => source.clone(),
        Some(text) => {
            let to_dir = Place::of_text(text.trim())?;
            let moved = source_child(gateway, &source, &from).await?.0;
            other_directory(gateway, &to_dir, &moved).await?
        }
    };
    if destination.storage_index() == source.storage_index() {
        gateway
            .change(&source, vec![Edit::Rename { from, to, replace }])
            .await?;
    } else {
        let (target, metadata) = source_child(gateway, &source, &from).await?;
        let linking = Linking {
            target: target.clone(),
            metadata: Some(metadata),
            replace,
        };
        gateway.link(&destination, &[to], linking).await?;
        let unlinked = gateway
            .change(&source, vec![Edit::RemoveIf { name: from, target }])
            .await;
        still_moved(unlinked.map(drop))?;
    }
    Ok(done(args, "thing moved"))
}

/// Somebody else may have taken the old name away meanwhile, which is what was wanted.
fn still_moved(unlinked: Result<(), HttpError>) -> Result<(), HttpError> {
    match unlinked {
        Err(HttpError::Tree(TreeError::Drive(DriveError::Refused(refused))))
            if refused.why == EditWhy::NotFound =>
        {
            Ok(())
        }
        other => other,
    }
}

async fn source_child(
    gateway: &Gateway,
    source: &Cap,
    name: &ChildName,
) -> Result<(Target, String), HttpError> {
    let view = gateway.read_directory(source).await?;
    let child = view.children.get(name).ok_or(TreeError::NoSuchChild)?;
    Ok((child.target.clone(), child.metadata.clone()))
}

/// The directory to move to. One that the way leads to through the moved thing would vanish with it.
async fn other_directory(gateway: &Gateway, to_dir: &Place, moved: &Target) -> Result<Cap, HttpError> {
    let moved_index = match moved {
        Target::Cap(cap) if cap.is_directory() => cap.storage_index(),
        _ => None,
    };
    let mut into_itself = false;
    let resolved = gateway
        .resolve_seeing(to_dir, |passed| {
            into_itself |= moved_index.is_some() && passed.storage_index() == moved_index;
        })
        .await?;
    if into_itself {
        return Err(TreeError::IntoItself.into());
    }
    match resolved {
        Resolved::Found(node) => match node.target {
            Target::Cap(cap) if cap.is_directory() => {
                writable(&cap)?;
                Ok(cap)
            }
            _ => Err(TreeError::NotADirectory.into()),
        },
        Resolved::Missing { .. } => Err(TreeError::NoSuchChild.into()),
        Resolved::Blocked => Err(TreeError::NotADirectory.into()),
    }
}

fn done(args: &Args, sentence: &str) -> HttpResponse {
    answer::when_done(args, None).unwrap_or_else(|| answer::text(sentence))
}
