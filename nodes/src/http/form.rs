//! `POST /uri`: a file in a form, as browsers and `curl -F` send it.
//!
//! The file is stored while it comes in; nothing of the body is kept. Fields before the file count like arguments of
//! the URL, fields after it only for the answer (`when_done`).

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;

use super::Gateway;
use super::args::Args;
use super::body::Body;
use super::error::{FormError, HttpError, wants_json};

use super::pages;
use super::path;
use super::port::{BodyError, UploadError};
use super::upload::{Stored, store};

/// Fields of a form besides the file: Tahoe-LAFS has five.
const FIELDS_MAX: usize = 16;
/// Longest value of such a field, bytes: a path with a cap in it.
const FIELD_BYTES_MAX: usize = 4096;

/// `POST /uri?t=upload`.
pub(super) async fn post(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    match try_post(&request, payload, &gateway).await {
        Ok(response) => response,
        Err(error) => error.respond(&request),
    }
}

async fn try_post(
    request: &HttpRequest,
    payload: web::Payload,
    gateway: &Gateway,
) -> Result<HttpResponse, HttpError> {
    let mut args = Args::parse(request.query_string())?;
    check_operation(&args)?;
    check_redirect(&args)?;
    let (stored, name) = read_form(request, payload, gateway, &mut args).await?;
    check_redirect(&args)?;
    if let Some(when_done) = args.get("when_done").filter(|target| !target.is_empty()) {
        let target = when_done.replace("%(uri)s", &path::encode(&stored.cap.to_uri()));
        return Ok(HttpResponse::SeeOther()
            .insert_header((header::LOCATION, target))
            .finish());
    }
    if wants_json(request)
        || args
            .get("output")
            .is_some_and(|output| output.eq_ignore_ascii_case("json"))
    {
        return Ok(HttpResponse::Ok().json(stored.to_json()));
    }
    Ok(pages::page(pages::stored(&stored, &name)))
}

async fn read_form(
    request: &HttpRequest,
    payload: web::Payload,
    gateway: &Gateway,
    args: &mut Args,
) -> Result<(Stored, String), HttpError> {
    let mut form = Multipart::new(request.headers(), payload);
    let mut stored: Option<(Stored, String)> = None;
    let mut fields = 0;
    while let Some(field) = form.next().await {
        let field = field.map_err(|error| form_error(&error))?;
        fields += 1;
        if fields > FIELDS_MAX {
            return Err(HttpError::BadForm(FormError::TooMuch));
        }
        let field_name = field.name().unwrap_or_default().to_owned();
        if field_name != "file" {
            args.add(&field_name, read_text(field).await?);
            continue;
        }
        if stored.is_some() {
            return Err(HttpError::BadForm(FormError::SecondFile));
        }
        check_operation(args)?;
        check_redirect(args)?;
        let file_name = field
            .content_disposition()
            .and_then(|found| found.get_filename())
            .map(str::to_owned);
        let pieces = field.map(|piece| piece.map_err(|error| body_error(&error)));
        let file = store(gateway, args, Body::of_pieces(Box::pin(pieces), None)).await?;
        stored = Some((file, file_name.unwrap_or_default()));
    }
    stored.ok_or(HttpError::BadForm(FormError::NoFile))
}

async fn read_text(mut field: Field) -> Result<String, HttpError> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.next().await {
        bytes.extend_from_slice(&piece.map_err(|error| form_error(&error))?);
        if bytes.len() > FIELD_BYTES_MAX {
            return Err(HttpError::BadForm(FormError::TooMuch));
        }
    }
    String::from_utf8(bytes).map_err(|_| HttpError::BadForm(FormError::Malformed))
}

fn check_operation(args: &Args) -> Result<(), HttpError> {
    match args.get("t") {
        None | Some("" | "upload") => Ok(()),
        Some("mkdir" | "mkdir-with-children" | "mkdir-immutable") => Err(HttpError::Unsupported {
            what: "making directories",
        }),
        Some(_) => Err(HttpError::BadArgument {
            name: "t",
            expected: "upload",
        }),
    }
}

/// A redirect away from this gateway would hand the cap to whoever wrote the form.
fn check_redirect(args: &Args) -> Result<(), HttpError> {
    let Some(target) = args.get("when_done").filter(|target| !target.is_empty()) else {
        return Ok(());
    };
    let local = target.starts_with('/') && !target[1..].starts_with(['/', '\\']);
    let plain = target.bytes().all(|byte| byte.is_ascii_graphic());
    if local && plain {
        Ok(())
    } else {
        Err(HttpError::BadForm(FormError::ForeignRedirect))
    }
}

fn form_error(error: &MultipartError) -> HttpError {
    match body_error(error) {
        BodyError::Malformed => HttpError::BadForm(match error {
            MultipartError::ContentTypeMissing
            | MultipartError::ContentTypeParse
            | MultipartError::ContentTypeIncompatible
            | MultipartError::BoundaryMissing => FormError::NotMultipart,
            _ => FormError::Malformed,
        }),
        cause => HttpError::Upload(UploadError::Body(cause)),
    }
}

fn body_error(error: &MultipartError) -> BodyError {
    match error {
        MultipartError::Incomplete
        | MultipartError::Payload(PayloadError::Incomplete(_) | PayloadError::Io(_)) => BodyError::Vanished,
        _ => BodyError::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_here() {
        let check = |target: &str| {
            let mut args = Args::default();
            args.add("when_done", target.to_owned());
            check_redirect(&args).is_ok()
        };
        for good in ["", "/", "/uri/%(uri)s?save=true", "/a//b"] {
            assert!(check(good), "{good}");
        }
        for bad in [
            "//evil.example",
            "/\\evil.example",
            "http://evil.example/",
            "x",
            "/a\r\nSet-Cookie: b",
            "/ä",
        ] {
            assert!(!check(bad), "{bad}");
        }
    }
}
