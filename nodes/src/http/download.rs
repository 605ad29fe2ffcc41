//! Files on their way out: `GET` and `HEAD` of `/uri/CAP`, `/file/CAP/NAME` and `/named/CAP/NAME`.
//!
//! The status line is sent when the first bytes have been fetched and verified, so that a file that cannot be read
//! is a 410 and not a cut connection. If a transfer fails later, the connection is closed before the promised length
//! is reached, which every client notices. Stored content is untrusted: it is served in a sandbox, so that a stored
//! page cannot run script in the gateway's origin, and with the type that its name says, never a guessed one.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use truckee_grid::caps::{Cap, ChkCap};

use super::Gateway;
use super::args::Args;
use super::error::HttpError;
use super::observe::request_id;
use super::outflow::DownloadBody;
use super::path::{self, cap_path, parse_cap};
use super::port::{DownloadError, DownloadSpec};
use super::range::{Wanted, if_range_holds, none_match_hit, wanted};

/// `GET /uri?uri=CAP`: the place of the cap.
pub(super) async fn redirect(request: HttpRequest) -> HttpResponse {
    match try_redirect(&request) {
        Ok(response) => response,
        Err(error) => error.respond(&request),
    }
}

fn try_redirect(request: &HttpRequest) -> Result<HttpResponse, HttpError> {
    let args = Args::parse(request.query_string())?;
    let cap = parse_cap(args.get("uri").ok_or(HttpError::NoCap)?)?;
    let mut target = format!("/uri/{}", path::encode(&cap.to_uri()));
    let mut separator = '?';
    for name in ["t", "filename", "save"] {
        if let Some(value) = args.get(name) {
            target.extend([separator]);
            target += &format!("{name}={}", path::encode(value));
            separator = '&';
        }
    }
    Ok(HttpResponse::Found()
        .insert_header((header::LOCATION, target))
        .finish())
}

/// `GET`, `HEAD /file/CAP/NAME`.
pub(super) async fn by_name(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    match try_by_name(&request, &gateway).await {
        Ok(response) => response,
        Err(error) => error.respond(&request),
    }
}

async fn try_by_name(request: &HttpRequest, gateway: &Gateway) -> Result<HttpResponse, HttpError> {
    let args = Args::parse(request.query_string())?;
    let mut found = cap_path(request.path())?;
    let name = args
        .get("filename")
        .map(str::to_owned)
        .or_else(|| found.rest.pop());
    let content = gateway.content(&found.cap).await?;
    serve(request, gateway, content, name, args.flag("save")?).await
}

/// The bytes of a file; `cap` is the one of its content, `LIT` or `CHK`.
pub(super) async fn serve(
    request: &HttpRequest,
    gateway: &Gateway,
    cap: Cap,
    name: Option<String>,
    save: bool,
) -> Result<HttpResponse, HttpError> {
    let etag = etag(&cap);
    let file_bytes = match &cap {
        Cap::Lit(lit) => lit.bytes().len() as u64,
        Cap::Chk(chk) => chk.size,
        other => return Err(HttpError::CannotRead { kind: other.kind() }),
    };
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let seen = header(header::IF_NONE_MATCH).zip(etag.as_deref());
    if seen.is_some_and(|(header, etag)| none_match_hit(header, etag)) {
        return Ok(with_etag(HttpResponse::NotModified(), etag.as_deref()).finish());
    }
    let counts = if_range_holds(header(header::IF_RANGE), etag.as_deref());
    let part = match wanted(header(header::RANGE).filter(|_| counts), file_bytes) {
        Wanted::Whole => None,
        Wanted::Part(part) => Some(part),
        Wanted::Unsatisfiable => return Err(HttpError::RangeBeyondEnd { file_bytes }),
    };
    let mut response = with_etag(HttpResponse::Ok(), etag.as_deref());
    content_headers(&mut response, name.as_deref(), save);
    if let Some(part) = &part {
        response.status(StatusCode::PARTIAL_CONTENT);
        let content_range = format!("bytes {}-{}/{file_bytes}", part.start, part.end - 1);
        response.insert_header((header::CONTENT_RANGE, content_range));
    }
    let range = part.clone().unwrap_or(0..file_bytes);
    if request.method() == Method::HEAD {
        return Ok(response.body(Announced(range.end - range.start)));
    }
    match cap {
        Cap::Lit(lit) => {
            let bytes = &lit.bytes()[range.start as usize..range.end as usize];
            Ok(response.body(Bytes::copy_from_slice(bytes)))
        }
        Cap::Chk(chk) => {
            let body = fetch(request, gateway, chk, part, range.end - range.start).await?;
            Ok(response.body(body))
        }
        _ => Err(HttpError::Internal),
    }
}

/// Starts a download; returns when its first bytes are there.
async fn fetch(
    request: &HttpRequest,
    gateway: &Gateway,
    cap: ChkCap,
    range: Option<std::ops::Range<u64>>,
    bytes: u64,
) -> Result<DownloadBody, HttpError> {
    let permit = gateway.admit_download().await?;
    let file_bytes = cap.size;
    let stream = gateway
        .port
        .download(DownloadSpec { cap, range })
        .await
        .map_err(|error| match error {
            DownloadError::RangeBeyondEnd { .. } => HttpError::RangeBeyondEnd { file_bytes },
            other => HttpError::Download(other),
        })?;
    let idle = gateway.limits.download_idle;
    Ok(DownloadBody::new(
        stream,
        bytes,
        permit,
        idle,
        request_id(request),
    ))
}

/// Names the content without telling how to read it: the storage index and the hash that the cap pins. A file that
/// lives in its cap has none; there is nothing to save.
fn etag(cap: &Cap) -> Option<String> {
    let Cap::Chk(chk) = cap else { return None };
    let hash = truckee_grid::base32::encode(&chk.ueb_hash.as_bytes()[..10]);
    Some(format!("\"{}-{hash}\"", chk.storage_index().to_base32()))
}

fn with_etag(mut response: HttpResponseBuilder, etag: Option<&str>) -> HttpResponseBuilder {
    if let Some(etag) = etag {
        response.insert_header((header::ETAG, etag));
    }
    // The bytes behind a cap never change, but they are plaintext: nobody but the client may keep them, and it asks
    // again each time, which costs one answer without a body.
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    response
}

fn content_headers(response: &mut HttpResponseBuilder, name: Option<&str>, save: bool) {
    response.content_type(content_type(name).as_ref());
    response.insert_header((header::ACCEPT_RANGES, "bytes"));
    response.insert_header((header::CONTENT_SECURITY_POLICY, "sandbox"));
    if let Some(disposition) = content_disposition(name, save) {
        response.insert_header((header::CONTENT_DISPOSITION, disposition));
    }
}

fn content_type(name: Option<&str>) -> Cow<'static, str> {
    let guessed = name.and_then(|name| mime_guess::from_path(name).first_raw());
    match guessed.unwrap_or("application/octet-stream") {
        text if text.starts_with("text/") => Cow::Owned(format!("{text}; charset=utf-8")),
        other => Cow::Borrowed(other),
    }
}

/// RFC 6266: a name in ASCII for old clients and the true one beside it.
fn content_disposition(name: Option<&str>, save: bool) -> Option<String> {
    let kind = if save { "attachment" } else { "inline" };
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return save.then(|| kind.to_owned());
    };
    let plain = |c: char| {
        if c.is_ascii_graphic() && !"\"\\%/".contains(c) || c == ' ' {
            c
        } else {
            '_'
        }
    };
    let ascii: String = name.chars().map(plain).collect();
    Some(format!(
        "{kind}; filename=\"{ascii}\"; filename*=UTF-8''{}",
        path::encode(name)
    ))
}

/// The length of a body that a `HEAD` request does not get.
struct Announced(u64);

impl MessageBody for Announced {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_names() {
        for (name, expected) in [
            (None, "application/octet-stream"),
            (Some("a.txt"), "text/plain; charset=utf-8"),
            (Some("a.HTML"), "text/html; charset=utf-8"),
            (Some("a.png"), "image/png"),
            (Some("a"), "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected);
        }
    }

    #[test]
    fn dispositions() {
        for (name, save, expected) in [
            (None, false, None),
            (None, true, Some("attachment")),
            (Some(""), false, None),
            (
                Some("a b.txt"),
                true,
                Some("attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"),
            ),
            (
                Some("é\"\r\n;/x"),
                false,
                Some("inline; filename=\"____;_x\"; filename*=UTF-8''%C3%A9%22%0D%0A%3B%2Fx"),
            ),
        ] {
            assert_eq!(content_disposition(name, save).as_deref(), expected);
        }
    }
}
