//! `GET` and `HEAD` of files and directories.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use truckee_grid::caps::Cap;
use truckee_grid::drive::Target;

use super::resolve::Node;
use super::{TreeError, answer, describe, page};
use crate::http::Gateway;
use crate::http::args::Args;
use crate::http::download;
use crate::http::error::HttpError;
use crate::http::path::{Place, place};
use crate::http::range::none_match_hit;

/// What a page or answer is about.
pub(super) struct Shown<'r> {
    pub(super) request: &'r HttpRequest,
    pub(super) args: &'r Args,
    pub(super) place: &'r Place,
}

pub(super) async fn get(request: &HttpRequest, gateway: &Gateway) -> Result<HttpResponse, HttpError> {
    let args = &Args::parse(request.query_string())?;
    let place = &place(request.path())?;
    let node = gateway.find(place).await?;
    let shown = Shown { request, args, place };
    match &node.target {
        Target::Cap(cap) if cap.is_directory() => directory(gateway, &shown, cap).await,
        Target::Cap(cap) => file(gateway, &shown, &node, cap).await,
        Target::Unknown { .. } => unknown(&shown, &node),
    }
}

async fn directory(gateway: &Gateway, shown: &Shown<'_>, cap: &Cap) -> Result<HttpResponse, HttpError> {
    match shown.args.operation() {
        "" => {
            // What the page shows of a directory depends on more than the directory: its arguments and the way to it.
            let tag = etag(cap, "page")
                .filter(|_| shown.request.query_string().is_empty() && shown.place.names.is_empty());
            if let Some(unchanged) = unchanged(shown.request, tag.as_deref()) {
                return Ok(unchanged);
            }
            let view = gateway.read_directory(cap).await?;
            Ok(tagged(page::directory(shown, cap, &view), tag.as_deref()))
        }
        "json" => {
            let tag = etag(cap, "json");
            if let Some(unchanged) = unchanged(shown.request, tag.as_deref()) {
                return Ok(unchanged);
            }
            let view = gateway.read_directory(cap).await?;
            Ok(tagged(describe::directory(cap, view).await?, tag.as_deref()))
        }
        "uri" => Ok(answer::text(cap.to_uri())),
        "readonly-uri" => readonly(cap),
        "info" => Ok(page::info(shown, cap, None)),
        "rename-form" => {
            let view = gateway.read_directory(cap).await?;
            Ok(page::rename_form(shown, cap, &view))
        }
        _ => Err(HttpError::BadArgument {
            name: "t",
            expected: "json, uri, readonly-uri, info, rename-form or absent when a directory is read",
        }),
    }
}

async fn file(
    gateway: &Gateway,
    shown: &Shown<'_>,
    node: &Node,
    cap: &Cap,
) -> Result<HttpResponse, HttpError> {
    match shown.args.operation() {
        "" => {
            let linked = node.link.as_ref().map(|link| link.name.as_str());
            let name = shown.args.get("filename").or(linked).map(str::to_owned);
            let content = gateway.content(cap).await?;
            download::serve(shown.request, gateway, content, name, shown.args.flag("save")?).await
        }
        "json" => {
            let mut facts = describe::facts(&node.target);
            if cap.is_mutable() && describe::kind(&node.target) == "filenode" {
                let content = gateway.content(cap).await?;
                facts.insert("size".to_owned(), json!(describe::size(&content)));
            }
            Ok(in_json(node, facts))
        }
        "uri" => Ok(answer::text(cap.to_uri())),
        "readonly-uri" => readonly(cap),
        "info" => {
            let size = match gateway.content(cap).await {
                Ok(content) => describe::size(&content),
                Err(_) if cap.to_read().is_none() => describe::size(cap),
                Err(error) => return Err(error),
            };
            Ok(page::info(shown, cap, size))
        }
        _ => Err(HttpError::BadArgument {
            name: "t",
            expected: "json, uri, readonly-uri, info or absent when a file is read",
        }),
    }
}

fn unknown(shown: &Shown<'_>, node: &Node) -> Result<HttpResponse, HttpError> {
    match shown.args.operation() {
        "json" => Ok(in_json(node, describe::facts(&node.target))),
        "uri" => Ok(answer::text(answer::strongest(&node.target))),
        "readonly-uri" => match &node.target {
            Target::Unknown { read: Some(read), .. } => Ok(answer::text(read.clone())),
            _ => Err(TreeError::UnknownKind.into()),
        },
        _ => Err(TreeError::UnknownKind.into()),
    }
}

fn in_json(node: &Node, mut facts: serde_json::Map<String, serde_json::Value>) -> HttpResponse {
    if let Some(link) = &node.link {
        facts.insert("metadata".to_owned(), describe::metadata(&link.metadata));
    }
    describe::ascii_json(&json!([describe::kind(&node.target), facts]))
}

fn readonly(cap: &Cap) -> Result<HttpResponse, HttpError> {
    let read = cap.to_read().ok_or(HttpError::CannotRead { kind: cap.kind() })?;
    Ok(answer::text(read.to_uri()))
}

/// Immutable directories have a tag for each of their forms; one in a literal cap has none, as nothing is fetched.
fn etag(cap: &Cap, form: &str) -> Option<String> {
    let Cap::DirChk(chk) = cap else { return None };
    let hash = truckee_grid::base32::encode(&chk.ueb_hash.as_bytes()[..10]);
    Some(format!(
        "\"DIR-{}-{hash}-{form}\"",
        chk.storage_index().to_base32()
    ))
}

fn unchanged(request: &HttpRequest, tag: Option<&str>) -> Option<HttpResponse> {
    let tag = tag?;
    let header = request.headers().get(header::IF_NONE_MATCH)?.to_str().ok()?;
    none_match_hit(header, tag).then(|| {
        let mut response = HttpResponse::NotModified();
        response.insert_header((header::ETAG, tag));
        response.finish()
    })
}

fn tagged(mut response: HttpResponse, tag: Option<&str>) -> HttpResponse {
    let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(tag).ok()) else {
        return response;
    };
    response.headers_mut().insert(header::ETAG, tag);
    let private = HeaderValue::from_static("private, no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, private);
    response
}
