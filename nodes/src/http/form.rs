//! Forms of the kind `multipart/form-data`, as browsers and `curl -F` send them, mostly with a file.
//!
//! The file is stored while it comes in; nothing of the body is kept. Fields before the file count like arguments of
//! the URL when it is stored (`k`, `n`, `convergent`); fields after it still count for everything else.

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::error::PayloadError;
use actix_web::{HttpRequest, web};
use futures_util::StreamExt;

use super::Gateway;
use super::args::Args;
use super::body::Body;
use super::error::{FormError, HttpError};
use super::port::{BodyError, UploadError};
use super::tree::answer::check_redirect;
use super::upload::{Stored, store};

/// Fields of a form besides the file: Tahoe-LAFS has five.
const FIELDS_MAX: usize = 16;
/// Longest value of such a field, bytes: a path with a cap in it.
const FIELD_BYTES_MAX: usize = 4096;

/// Reads a form to its end. Fields become arguments; a file is stored.
pub(super) async fn read(
    request: &HttpRequest,
    payload: web::Payload,
    gateway: &Gateway,
    args: &mut Args,
) -> Result<Option<(Stored, String)>, HttpError> {
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
        if !matches!(args.operation(), "" | "upload") {
            return Err(HttpError::BadForm(FormError::UnwantedFile));
        }
        args.format()?;
        check_redirect(args)?;
        let file_name = field
            .content_disposition()
            .and_then(|found| found.get_filename())
            .map(str::to_owned);
        let pieces = field.map(|piece| piece.map_err(|error| body_error(&error)));
        let file = store(gateway, args, Body::of_pieces(Box::pin(pieces), None)).await?;
        stored = Some((file, file_name.unwrap_or_default()));
    }
    Ok(stored)
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
