//! `PUT` and `POST` of `/uri`: new things that are linked nowhere. The answer is their cap.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;

use super::answer;
use super::input::Input;
use super::make::{self, Kind};
use super::put::refuse_part;
use crate::http::Gateway;
use crate::http::args::{Args, Format};
use crate::http::body::Body;
use crate::http::error::{FormError, HttpError, wants_json};
use crate::http::pages;
use crate::http::upload::content_length;

/// `PUT /uri`: the body is the file, or `t=mkdir`.
pub(super) async fn put(
    request: &HttpRequest,
    payload: web::Payload,
    gateway: &Gateway,
) -> Result<HttpResponse, HttpError> {
    let args = Args::parse(request.query_string())?;
    match args.operation() {
        "" | "upload" => {
            refuse_part(request)?;
            let body = Body::of_request(payload, content_length(request)?);
            let stored = gateway.new_file(&args, body).await?;
            if wants_json(request) {
                return Ok(HttpResponse::Ok().json(stored.to_json()));
            }
            Ok(answer::text(stored.cap.to_uri()))
        }
        "mkdir" => {
            let made = make::unlinked(gateway, &args, Kind::Mutable, &Bytes::new()).await?;
            Ok(answer::cap(request, StatusCode::OK, &made))
        }
        _ => Err(HttpError::BadArgument {
            name: "t",
            expected: "mkdir or absent in a PUT of /uri",
        }),
    }
}

/// `POST /uri`: a file in a form, or a directory.
pub(super) async fn post(
    request: &HttpRequest,
    payload: web::Payload,
    gateway: &Gateway,
) -> Result<HttpResponse, HttpError> {
    let mut input = Input::read(request, payload, gateway).await?;
    let operation = input.args.operation().to_owned();
    if input.file.is_some() && !matches!(operation.as_str(), "" | "upload") {
        return Err(HttpError::BadForm(FormError::UnwantedFile));
    }
    let (kind, json) = match operation.as_str() {
        "" | "upload" => return file(request, gateway, input).await,
        "mkdir" => {
            input.no_body().await?;
            (Kind::Mutable, Bytes::new())
        }
        "mkdir-with-children" => (Kind::Mutable, input.json().await?),
        "mkdir-immutable" => (Kind::Immutable, input.json().await?),
        _ => {
            return Err(HttpError::BadArgument {
                name: "t",
                expected: "upload, mkdir, mkdir-with-children or mkdir-immutable in a POST of /uri",
            });
        }
    };
    let made = make::unlinked(gateway, &input.args, kind, &json).await?;
    if let Some(redirect) = answer::when_done(&input.args, Some(&made.to_uri())) {
        return Ok(redirect);
    }
    let redirect = answer::redirect_to_result(&input.args, &made)?;
    Ok(redirect.unwrap_or_else(|| answer::cap(request, StatusCode::OK, &made)))
}

async fn file(request: &HttpRequest, gateway: &Gateway, mut input: Input) -> Result<HttpResponse, HttpError> {
    let args = &input.args;
    let (stored, name) = match input.file.take() {
        Some(file) => file,
        None if input.is_form() => return Err(HttpError::BadForm(FormError::NoFile)),
        None => return Err(HttpError::BadForm(FormError::NotMultipart)),
    };
    let format = args.format()?.unwrap_or(Format::Chk);
    super::mutable::refuse_private_key(args)?;
    let stored = gateway.in_format(format, stored).await?;
    if let Some(redirect) = answer::when_done(args, Some(&stored.cap.to_uri())) {
        return Ok(redirect);
    }
    let asks = args
        .get("output")
        .is_some_and(|output| output.eq_ignore_ascii_case("json"));
    if asks || wants_json(request) {
        return Ok(HttpResponse::Ok().json(stored.to_json()));
    }
    if format != Format::Chk {
        return Ok(answer::text(stored.cap.to_uri()));
    }
    Ok(pages::stored(&stored, &name))
}
