//! An error as a page, for browsers.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use maud::html;

use super::{Page, Place};

/// What went wrong, and the way back. The sentence says what to do where something can be done.
///
/// `headers` are added: when to try again, what is allowed.
pub(in crate::http) fn failure(
    status: StatusCode,
    sentence: &str,
    request_id: &str,
    headers: HeaderMap,
) -> HttpResponse {
    let content = html! {
        div.empty.failure {
            p.code { (status.as_u16()) }
            h1 { (headline(status)) }
            p { (spoken(sentence)) }
            p.row { a.button.primary href="/files" { "Files" } a.button href="/" { "Is the grid well?" } }
            p.hint { "Request " code { (request_id) } ", as in the gateway's log" }
        }
    };
    let page = Page {
        place: Place::Elsewhere,
        title: headline(status),
        scripts: &[],
        content,
    };
    let mut response = page.respond_as(status);
    for (name, value) in headers {
        response.headers_mut().insert(name, value);
    }
    response
}

fn headline(status: StatusCode) -> &'static str {
    match status.as_u16() {
        404 => "Not here",
        405 | 501 => "Not supported",
        409 => "In the way",
        410 => "Not enough shares",
        413 | 414 => "Too large",
        503 => "Busy",
        507 => "Not enough peers or space",
        400..=499 => "That did not work",
        _ => "The gateway failed",
    }
}

/// With a capital letter and a full stop.
fn spoken(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let stop = if sentence.ends_with(['.', '…', '!', '?']) {
        ""
    } else {
        "."
    };
    first.unwrap_or_default() + letters.as_str() + stop
}
