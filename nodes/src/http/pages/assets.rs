//! The files that pages load: one style sheet, one picture, and small modules of plain JavaScript.
//!
//! They are part of the program. A page and its assets always belong together, so browsers ask each time whether they
//! changed, and the answer to that is short.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::error::HttpError;

macro_rules! assets {
    ($($name:literal $kind:literal),* $(,)?) => {
        /// Name under `/static/`, content type, content.
        const ASSETS: &[(&str, &str, &str)] =
            &[$(($name, $kind, include_str!(concat!("../../../assets/", $name)))),*];
    };
}

assets! {
    "style.css" "text/css; charset=utf-8",
    "icon.svg" "image/svg+xml",
    "common.js" "text/javascript; charset=utf-8",
    "copy.js" "text/javascript; charset=utf-8",
    "files.js" "text/javascript; charset=utf-8",
    "actions.js" "text/javascript; charset=utf-8",
    "preview.js" "text/javascript; charset=utf-8",
    "upload.js" "text/javascript; charset=utf-8",
    "start.js" "text/javascript; charset=utf-8",
    "memory.js" "text/javascript; charset=utf-8",
    "live.js" "text/javascript; charset=utf-8",
}

/// `GET /static/NAME`.
pub(in crate::http) async fn asset(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    let found = ASSETS.iter().find(|(known, ..)| *known == name.as_str());
    let Some((_, kind, text)) = found else {
        return HttpError::NoSuchRoute.respond(&request);
    };
    // A hash of the content: a browser that has it already gets a short answer.
    let etag = format!("\"{}-{:x}\"", env!("CARGO_PKG_VERSION"), checksum(text));
    let seen = request.headers().get(header::IF_NONE_MATCH);
    let unchanged = seen.is_some_and(|seen| seen.as_bytes() == etag.as_bytes());
    let mut response = if unchanged {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    response.insert_header((header::ETAG, etag));
    if unchanged {
        return response.finish();
    }
    response
        .content_type(*kind)
        .body(web::Bytes::from_static(text.as_bytes()))
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): tells two builds apart; nothing depends on it but a browser's cache.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
