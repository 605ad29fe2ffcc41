//! What a `POST` brings: arguments in the query and in a form, a file in a form, a body of JSON.

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};

use super::TreeError;
use super::answer::check_redirect;
use crate::http::Gateway;
use crate::http::args::Args;
use crate::http::body::Body;
use crate::http::error::{FormError, HttpError};
use crate::http::form;
use crate::http::port::UploadError;
use crate::http::upload::{Stored, content_length};

/// Longest body of JSON, bytes: some 20,000 children with long metadata.
const JSON_BYTES_MAX: u64 = 16 << 20;
/// Longest form without a file, bytes.
const FORM_BYTES_MAX: u64 = 64 << 10;
/// Longest cap in a body, bytes, with blanks around it.
pub(super) const CAP_BYTES_MAX: u64 = 8 << 10;

/// A `POST` as it came, with its form read.
pub(super) struct Input {
    /// From the query, then from the form.
    pub(super) args: Args,
    /// A file that the form held; it is stored already.
    pub(super) file: Option<(Stored, String)>,
    /// None: the body was a form.
    body: Option<Body>,
}

impl Input {
    /// Reads a form, if there is one. A file in it is stored on the way.
    pub(super) async fn read(
        request: &HttpRequest,
        payload: web::Payload,
        gateway: &Gateway,
    ) -> Result<Input, HttpError> {
        let mut args = Args::parse(request.query_string())?;
        check_redirect(&args)?;
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let (mut file, mut body) = (None, None);
        if content_type.starts_with("multipart/form-data") {
            file = form::read(request, payload, gateway, &mut args).await?;
        } else {
            let request_body = Body::of_request(payload, content_length(request)?);
            // The `tahoe` client sends JSON without any type, and curl sends it as a form unless told otherwise.
            let is_form = content_type.starts_with("application/x-www-form-urlencoded");
            if is_form && !takes_json(args.operation()) {
                let bytes = collect(request_body, FORM_BYTES_MAX).await?;
                let text =
                    std::str::from_utf8(&bytes).map_err(|_| HttpError::BadForm(FormError::Malformed))?;
                args.extend(Args::parse(text)?);
            } else {
                body = Some(request_body);
            }
        }
        check_redirect(&args)?;
        Ok(Input { args, file, body })
    }

    /// Whether the body was a form.
    pub(super) fn is_form(&self) -> bool {
        self.body.is_none()
    }

    /// The body as JSON; empty if there is none.
    pub(super) async fn json(&mut self) -> Result<Bytes, HttpError> {
        match self.body.take() {
            Some(body) => collect(body, JSON_BYTES_MAX).await,
            None => Ok(Bytes::new()),
        }
    }

    /// Refuses a body that would be ignored.
    pub(super) async fn no_body(&mut self) -> Result<(), HttpError> {
        match self.body.take() {
            Some(body) if body.expected() == Some(0) => Ok(()),
            Some(mut body) => match body.next().await.map_err(UploadError::Body)? {
                None => Ok(()),
                Some(_) => Err(TreeError::UnwantedBody.into()),
            },
            None => Ok(()),
        }
    }
}

fn takes_json(operation: &str) -> bool {
    matches!(
        operation,
        "mkdir-with-children" | "mkdir-immutable" | "set_children" | "set-children"
    )
}

/// Reads a short body. One that is announced as longer is refused before it is read.
pub(super) async fn collect(mut body: Body, bytes_max: u64) -> Result<Bytes, HttpError> {
    if body.expected().is_some_and(|expected| expected > bytes_max) {
        return Err(HttpError::BodyTooLong { bytes_max });
    }
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await.map_err(UploadError::Body)? {
        if body.got() > bytes_max {
            return Err(HttpError::BodyTooLong { bytes_max });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
