//! `POST` on a cap or a path: one function for each `t`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use truckee_engine::drive::{Edit, Replace};
use truckee_grid::drive::Target;

use super::input::Input;
use super::link::Linking;
use super::make::{self, Kind};
use super::put::{check_replaceable, for_file};
use super::resolve::Resolved;
use super::{TreeError, answer, children, relink};
use crate::http::Gateway;
use crate::http::args::{Args, Format};
use crate::http::deep;
use crate::http::error::{FormError, HttpError, wants_json};
use crate::http::path::{self, Place, place};
use crate::http::upload::Stored;

const OPERATIONS: &str = "upload, mkdir, mkdir-with-children, mkdir-immutable, uri, delete, unlink, rename, relink, \
                          set_children, check, start-deep-check, start-manifest, start-deep-size, start-deep-stats, \
                          stream-deep-check, stream-renew or stream-manifest in a POST";

pub(super) async fn post(
    request: &HttpRequest,
    payload: web::Payload,
    gateway: &Gateway,
) -> Result<HttpResponse, HttpError> {
    let place = place(request.path())?;
    let mut input = Input::read(request, payload, gateway).await?;
    let operation = input.args.operation().to_owned();
    if input.file.is_some() && operation != "upload" {
        return Err(HttpError::BadForm(FormError::UnwantedFile));
    }
    let args = &input.args;
    match operation.as_str() {
        "upload" => upload(request, gateway, args, place, input.file.take()).await,
        "mkdir" => {
            input.no_body().await?;
            mkdir(request, gateway, &input.args, place).await
        }
        "mkdir-with-children" => with_children(request, gateway, input, place, Kind::Mutable).await,
        "mkdir-immutable" => with_children(request, gateway, input, place, Kind::Immutable).await,
        "uri" => uri(gateway, args, place).await,
        "delete" | "unlink" => relink::unlink(gateway, args, &place).await,
        "rename" => relink::rename(gateway, args, &place).await,
        "relink" => relink::relink(gateway, args, &place).await,
        "set_children" | "set-children" => set_children(gateway, input, &place).await,
        "check" | "stream-renew" | "start-deep-check" | "stream-deep-check" | "start-manifest"
        | "stream-manifest" | "start-deep-size" | "start-deep-stats" => {
            let node = gateway.find(&place).await?;
            deep::post(request, gateway, node, args).await
        }
        _ => Err(HttpError::BadArgument {
            name: "t",
            expected: OPERATIONS,
        }),
    }
}

/// The name of a child in an argument; empty counts as absent.
fn child_name(args: &Args) -> Result<Option<truckee_grid::drive::ChildName>, HttpError> {
    args.get("name")
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(path::name)
        .transpose()
}

async fn mkdir(
    request: &HttpRequest,
    gateway: &Gateway,
    args: &Args,
    place: Place,
) -> Result<HttpResponse, HttpError> {
    let made = match child_name(args)? {
        None => make::mkdir(gateway, args, &place, None).await?,
        Some(name) => make::mkdir(gateway, args, &place.below(name), args.replace()?).await?,
    };
    let cap = made.to_uri();
    Ok(answer::when_done(args, Some(&cap)).unwrap_or_else(|| answer::cap(request, StatusCode::OK, &made)))
}

async fn with_children(
    request: &HttpRequest,
    gateway: &Gateway,
    mut input: Input,
    place: Place,
    kind: Kind,
) -> Result<HttpResponse, HttpError> {
    let json = input.json().await?;
    let args = &input.args;
    let place = match child_name(args)? {
        None => place,
        Some(name) => place.below(name),
    };
    let made = make::with_children(gateway, args, &place, kind, &json).await?;
    let cap = made.to_uri();
    Ok(answer::when_done(args, Some(&cap)).unwrap_or_else(|| answer::cap(request, StatusCode::OK, &made)))
}

/// A file from a form: into a directory under its name, or in the place of what the URL names.
async fn upload(
    request: &HttpRequest,
    gateway: &Gateway,
    args: &Args,
    place: Place,
    file: Option<(Stored, String)>,
) -> Result<HttpResponse, HttpError> {
    let (stored, file_name) = file.ok_or(HttpError::BadForm(FormError::NoFile))?;
    let replace = args.replace()?.unwrap_or(Replace::Always);
    let mut place = place;
    let mut resolved = gateway.resolve(&place).await?;
    if let Resolved::Found(node) = &resolved
        && matches!(&node.target, Target::Cap(cap) if cap.is_directory())
    {
        let name = match child_name(args)? {
            Some(name) => name,
            None if file_name.trim().is_empty() => return Err(TreeError::NoName { name: "name" }.into()),
            None => path::name(file_name.trim())?,
        };
        place = place.below(name);
        resolved = gateway.resolve(&place).await?;
    }
    let made = match &resolved {
        Resolved::Blocked => return Err(TreeError::FileInTheWay.into()),
        Resolved::Found(node) => match check_replaceable(node, replace)? {
            Some(file) => {
                gateway.overwrite_with(file, stored.cap.clone()).await?;
                Stored {
                    cap: file.clone(),
                    ..stored
                }
            }
            None if node.link.is_none() => return Err(TreeError::ImmutableFile.into()),
            None => linked(gateway, args, &place, stored, replace).await?,
        },
        Resolved::Missing { .. } => linked(gateway, args, &place, stored, replace).await?,
    };
    let cap = made.cap.to_uri();
    if let Some(redirect) = answer::when_done(args, Some(&cap)) {
        return Ok(redirect);
    }
    if wants_json(request) {
        return Ok(HttpResponse::Ok().json(made.to_json()));
    }
    Ok(answer::text(cap))
}

async fn linked(
    gateway: &Gateway,
    args: &Args,
    place: &Place,
    stored: Stored,
    replace: Replace,
) -> Result<Stored, HttpError> {
    let format = args.format()?.unwrap_or(Format::Chk);
    let file = gateway.in_format(format, stored).await?;
    let linking = Linking::of(file.cap.clone(), for_file(replace));
    gateway.link(&place.cap, &place.names, linking).await?;
    Ok(file)
}

/// Links a cap under a name.
async fn uri(gateway: &Gateway, args: &Args, place: Place) -> Result<HttpResponse, HttpError> {
    let cap = args.filled("uri").ok_or(HttpError::BadArgument {
        name: "uri",
        expected: "the cap to link",
    })?;
    let name = child_name(args)?.ok_or(TreeError::NoName { name: "name" })?;
    let linking = Linking {
        target: children::single(cap)?,
        metadata: None,
        replace: args.replace()?.unwrap_or(Replace::Always),
    };
    let linked = answer::strongest(&linking.target);
    let place = place.below(name);
    gateway.link(&place.cap, &place.names, linking).await?;
    Ok(answer::when_done(args, Some(&linked)).unwrap_or_else(|| answer::text(linked)))
}

/// Links many caps at once.
async fn set_children(gateway: &Gateway, mut input: Input, place: &Place) -> Result<HttpResponse, HttpError> {
    let replace = input.args.replace()?.unwrap_or(Replace::Always);
    let json = input.json().await?;
    let children = children::parse(&json)?;
    let node = gateway.find(place).await?;
    let Target::Cap(directory) = &node.target else {
        return Err(TreeError::UnknownKind.into());
    };
    super::resolve::writable(directory)?;
    let edits: Vec<Edit> = children
        .into_iter()
        .map(|given| Edit::Set {
            name: given.name,
            target: given.target,
            metadata: given.metadata,
            replace,
        })
        .collect();
    if !edits.is_empty() {
        gateway.change(directory, edits).await?;
    }
    Ok(answer::when_done(&input.args, None).unwrap_or_else(|| answer::text("Okay so I did it.")))
}
