//! Answers that several operations share: a cap, a literal sentence, a redirect.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use truckee_grid::caps::Cap;
use truckee_grid::drive::Target;

use crate::http::args::Args;
use crate::http::error::{FormError, HttpError, wants_json};
use crate::http::path;

/// Text as an answer.
pub(in crate::http) fn text(body: impl Into<String>) -> HttpResponse {
    text_with(StatusCode::OK, body)
}

pub(super) fn text_with(status: StatusCode, body: impl Into<String>) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .body(body.into())
}

/// The cap of something that was made or linked, as text; as JSON for those who ask for it.
pub(super) fn cap(request: &HttpRequest, status: StatusCode, cap: &Cap) -> HttpResponse {
    if wants_json(request) {
        return HttpResponse::build(status).json(json!({
            "cap": cap.to_uri(),
            "read_cap": cap.to_read().map(|cap| cap.to_uri()),
            "verify_cap": cap.to_verifier().map(|cap| cap.to_uri()),
        }));
    }
    text_with(status, cap.to_uri())
}

/// The strongest text that names it.
pub(super) fn strongest(target: &Target) -> String {
    match target {
        Target::Cap(cap) => cap.to_uri(),
        Target::Unknown { write, read } => write.clone().or_else(|| read.clone()).unwrap_or_default(),
    }
}

/// Where a browser is sent after an operation, if the request says so (`when_done`). `%(uri)s` in it becomes the cap.
pub(in crate::http) fn when_done(args: &Args, cap: Option<&str>) -> Option<HttpResponse> {
    let target = args.filled("when_done")?;
    Some(see_other(
        target.replace("%(uri)s", &path::encode(cap.unwrap_or_default())),
    ))
}

/// To the place of a new directory, if the request says so (`redirect_to_result`).
pub(super) fn redirect_to_result(args: &Args, cap: &Cap) -> Result<Option<HttpResponse>, HttpError> {
    let target = || see_other(format!("/uri/{}", path::encode(&cap.to_uri())));
    Ok(args.flag("redirect_to_result")?.then(target))
}

fn see_other(target: String) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, target))
        .finish()
}

/// A redirect away from this gateway would hand the cap to whoever wrote the form.
pub(in crate::http) fn check_redirect(args: &Args) -> Result<(), HttpError> {
    let Some(target) = args.filled("when_done") else {
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
