//! Refuses what a page of another site makes a browser do here.
//!
//! A browser sends a form to whatever address a page names, with the password that it keeps for that address, and a
//! gateway on loopback is reached by every page that its user opens. No such page knows a cap, but without this it could
//! fill the grid. Browsers say where a request comes from (Fetch Metadata, <https://www.w3.org/TR/fetch-metadata/>; over
//! plain HTTP only `Origin`, RFC 6454); other programs say nothing and are not asked. Reading is left alone: what is read
//! stays hidden from the page, and links from elsewhere are meant to work.

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use actix_web::middleware::Next;

use super::error::HttpError;

/// Wraps every request to the gateway.
pub(super) async fn refuse_foreign_pages(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if reads || !is_foreign(request.headers()) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let response = HttpError::ForeignPage.respond(request.request());
    Ok(request.into_response(response))
}

fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        // "none": typed by the user. "same-site" is another port of this machine.
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(ORIGIN.as_str()) else {
        return false;
    };
    // "null" has no authority: a page that hides where it comes from.
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    // Behind a proxy the browser's address of the gateway may stand in the second. Pages cannot set either.
    let own = [text(HOST.as_str()), text("x-forwarded-host")];
    !own.iter()
        .flatten()
        .any(|own| authority.is_some_and(|authority| authority.eq_ignore_ascii_case(own)))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn pages_of_this_gateway_and_programs_are_at_home() {
        for (given, foreign) in [
            (&[][..], false),
            (&[("host", "h:1")], false),
            (
                &[("sec-fetch-site", "same-origin"), ("origin", "http://x")],
                false,
            ),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "\u{e9}")], true),
            (&[("host", "h:1"), ("origin", "http://H:1")], false),
            (&[("host", "h:1"), ("origin", "http://h:2")], true),
            (&[("host", "h:1"), ("origin", "http://h")], true),
            (&[("host", "h:1"), ("origin", "null")], true),
            (&[("origin", "http://h")], true),
            (
                &[
                    ("host", "h:1"),
                    ("x-forwarded-host", "files.example"),
                    ("origin", "https://files.example"),
                ],
                false,
            ),
        ] {
            let headers: HeaderMap = given
                .iter()
                .map(|(name, value)| {
                    let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                    (HeaderName::from_static(name), value)
                })
                .collect();
            assert_eq!(is_foreign(&headers), foreign, "{given:?}");
        }
    }
}
