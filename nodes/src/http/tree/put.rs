//! `PUT` on a cap or a path: new content, a cap to be linked, a directory.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use truckee_engine::drive::Replace;
use truckee_grid::caps::Cap;
use truckee_grid::drive::Target;

use super::input::{CAP_BYTES_MAX, collect};
use super::link::Linking;
use super::resolve::{Node, Resolved, writable};
use super::{TreeError, answer, children};
use crate::http::Gateway;
use crate::http::args::Args;
use crate::http::body::Body;
use crate::http::error::{FormError, HttpError, wants_json};
use crate::http::path::{Place, place};
use crate::http::upload::content_length;

pub(super) async fn put(
    request: &HttpRequest,
    payload: web::Payload,
    gateway: &Gateway,
) -> Result<HttpResponse, HttpError> {
    let args = &Args::parse(request.query_string())?;
    let place = &place(request.path())?;
    let body = Body::of_request(payload, content_length(request)?);
    match args.operation() {
        "" | "upload" => {
            refuse_part(request)?;
            file(request, gateway, args, place, body).await
        }
        "uri" => uri(gateway, args, place, body).await,
        "mkdir" => {
            let made = super::make::mkdir(gateway, args, place, None).await?;
            Ok(answer::cap(request, StatusCode::OK, &made))
        }
        _ => Err(HttpError::BadArgument {
            name: "t",
            expected: "uri, mkdir or absent in a PUT",
        }),
    }
}

/// A part of a file is written with `offset=`; taking a `Content-Range` for the whole would destroy the rest.
pub(super) fn refuse_part(request: &HttpRequest) -> Result<(), HttpError> {
    if request.headers().contains_key(header::CONTENT_RANGE) {
        return Err(HttpError::Unsupported {
            what: "writing a part of a file with Content-Range",
        });
    }
    Ok(())
}

async fn file(
    request: &HttpRequest,
    gateway: &Gateway,
    args: &Args,
    place: &Place,
    body: Body,
) -> Result<HttpResponse, HttpError> {
    let replace = args.replace()?.unwrap_or(Replace::Always);
    let node = match gateway.resolve(place).await? {
        Resolved::Found(node) => node,
        Resolved::Blocked => return Err(TreeError::FileInTheWay.into()),
        Resolved::Missing { parent, .. } => {
            writable(&parent)?;
            if args.offset()?.is_some() {
                return Err(TreeError::NoSuchChild.into());
            }
            return stored(request, gateway, args, place, body, replace, StatusCode::CREATED).await;
        }
    };
    let mutable = check_replaceable(&node, replace)?;
    let offset = args.offset()?;
    if let Some(file) = mutable {
        match offset {
            Some(offset) => gateway.splice(file, args, offset, body).await?,
            None => gateway.overwrite(file, args, body).await?,
        }
        return Ok(answer::cap(request, StatusCode::OK, file));
    }
    if offset.is_some() || node.link.is_none() {
        return Err(TreeError::ImmutableFile.into());
    }
    stored(request, gateway, args, place, body, replace, StatusCode::OK).await
}

/// Stores the body as a new file and links it at the place.
async fn stored(
    request: &HttpRequest,
    gateway: &Gateway,
    args: &Args,
    place: &Place,
    body: Body,
    replace: Replace,
    status: StatusCode,
) -> Result<HttpResponse, HttpError> {
    let file = gateway.new_file(args, body).await?;
    gateway
        .link(
            &place.cap,
            &place.names,
            Linking::of(file.cap.clone(), for_file(replace)),
        )
        .await?;
    if wants_json(request) {
        return Ok(HttpResponse::build(status).json(file.to_json()));
    }
    Ok(answer::text_with(status, file.cap.to_uri()))
}

/// A file never takes the place of a directory, whatever the request says: all below it would be lost from sight.
pub(super) fn for_file(replace: Replace) -> Replace {
    match replace {
        Replace::Never => Replace::Never,
        Replace::Always | Replace::OnlyFiles => Replace::OnlyFiles,
    }
}

/// Whether a body may take the place of what is there; some: it is a mutable file, whose content is replaced.
pub(super) fn check_replaceable(node: &Node, replace: Replace) -> Result<Option<&Cap>, HttpError> {
    let cap = match &node.target {
        Target::Cap(cap) if cap.is_directory() && node.link.is_none() => {
            return Err(TreeError::NotAFile.into());
        }
        Target::Cap(cap) if cap.is_directory() => return Err(TreeError::DirectoryInTheWay.into()),
        Target::Cap(cap) => Some(cap),
        Target::Unknown { .. } => None,
    };
    if let Some(link) = &node.link {
        if replace == Replace::Never {
            return Err(TreeError::Exists.into());
        }
        if !cap.is_some_and(Cap::is_mutable) {
            writable(&link.parent)?;
        }
    }
    Ok(cap.filter(|cap| cap.is_mutable()))
}

async fn uri(gateway: &Gateway, args: &Args, place: &Place, body: Body) -> Result<HttpResponse, HttpError> {
    let replace = args.replace()?.unwrap_or(Replace::Always);
    if place.names.is_empty() {
        return Err(TreeError::NotLinked.into());
    }
    let bytes = collect(body, CAP_BYTES_MAX).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| HttpError::BadForm(FormError::Malformed))?;
    let linking = Linking {
        target: children::single(text)?,
        metadata: None,
        replace,
    };
    let linked = answer::strongest(&linking.target);
    gateway.link(&place.cap, &place.names, linking).await?;
    Ok(answer::text(linked))
}
