//! What is told about each request: an id, metrics, and one line of log when it ends. Also the headers that every
//! answer carries.
//!
//! The path of a request may hold a cap. Only the name of its route, from a closed set, gets into logs and metrics.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest};
use bytes::Bytes;
use metrics::{counter, gauge, histogram};
use tracing::Instrument;
use tracing::field::Empty;
use truckee_actors::metrics as names;
use truckee_actors::trace::Trace;

use crate::spans;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Headers of every answer; a handler's own value counts more.
const COMMON_HEADERS: [(HeaderName, &str); 4] = [
    (actix_web::http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // A cap stands in the URL: it must not be told to the next site.
    (actix_web::http::header::REFERRER_POLICY, "no-referrer"),
    (actix_web::http::header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

#[derive(Clone)]
struct RequestId(String);

/// The id of a request, as in its log line and its answer.
pub(super) fn request_id(request: &HttpRequest) -> String {
    request
        .extensions()
        .get::<RequestId>()
        .map(|id| id.0.clone())
        .unwrap_or_default()
}

fn next_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!(
        "{:x}-{:x}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Wraps every request.
pub(super) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (id, route, method) = (next_id(), route(request.path()), method(request.method()));
    let span = tracing::info_span!("request", %id, route, method, trace = Empty, status = Empty);
    let trace = Trace::root(span, spans::of_client(request.headers()));
    let mut entry = Entry {
        trace,
        route,
        method,
        status: 0,
        sent_bytes: 0,
        began: Instant::now(),
    };
    gauge!(names::HTTP_ACTIVE).increment(1.0);
    request.extensions_mut().insert(RequestId(id.clone()));
    let id = HeaderValue::from_str(&id).expect("an id has hexadecimal digits and a dash only");
    let mut response = match next.call(request).instrument(entry.trace.span().clone()).await {
        Ok(response) => response,
        Err(error) => {
            entry.status = error.as_response_error().status_code().as_u16();
            return Err(error);
        }
    };
    entry.status = response.status().as_u16();
    for (name, value) in COMMON_HEADERS {
        if !response.headers().contains_key(&name) {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
    }
    response.headers_mut().insert(REQUEST_ID, id);
    Ok(response.map_body(|_, body| {
        BoxBody::new(Observed {
            body: Box::pin(body),
            entry,
        })
    }))
}

/// The first part of a path, if it is one of ours.
fn route(path: &str) -> &'static str {
    let first = path.split('/').nth(1).unwrap_or_default();
    match first {
        "" => "/",
        "uri" | "cap" => "/uri",
        "file" | "named" => "/file",
        "static" => "/static",
        "files" => "/files",
        "openapi.json" => "/openapi.json",
        "healthz" => "/healthz",
        "readyz" => "/readyz",
        "metrics" => "/metrics",
        "operations" => "/operations",
        "status" => "/status",
        "statistics" => "/statistics",
        "storage" => "/storage",
        "helper_status" => "/helper_status",
        _ => "other",
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// One request. When it is dropped the request is over, whatever became of it.
struct Entry {
    /// The request itself. Names its id.
    trace: Trace,
    route: &'static str,
    method: &'static str,
    /// 0 if the client went away before there was an answer.
    status: u16,
    sent_bytes: u64,
    began: Instant,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let seconds = self.began.elapsed().as_secs_f64();
        let class = match self.status {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            500..=599 => "5xx",
            _ => "gone",
        };
        gauge!(names::HTTP_ACTIVE).decrement(1.0);
        let labels = [("route", self.route), ("method", self.method), ("status", class)];
        counter!(names::HTTP_REQUESTS, &labels).increment(1);
        histogram!(names::HTTP_REQUEST_SECONDS, "route" => self.route).record(seconds);
        counter!(names::HTTP_SENT_BYTES).increment(self.sent_bytes);
        let level_low = matches!(self.route, "/healthz" | "/readyz" | "/metrics" | "/static");
        let (span, status, sent_bytes) = (self.trace.span(), self.status, self.sent_bytes);
        span.record("status", status);
        if level_low {
            tracing::debug!(parent: span, status, sent_bytes, seconds, "request ended");
        } else {
            tracing::info!(parent: span, status, sent_bytes, seconds, "request ended");
        }
    }
}

/// A body that is counted on its way out.
struct Observed<B> {
    body: Pin<Box<B>>,
    entry: Entry,
}

impl<B: MessageBody> MessageBody for Observed<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = self.body.as_mut().poll_next(cx);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            self.entry.sent_bytes += piece.len() as u64;
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_a_closed_set() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("/uri", "/uri"),
            ("/uri/URI:CHK:secret", "/uri"),
            ("/cap/URI:CHK:secret", "/uri"),
            ("/file/URI:CHK:secret/name", "/file"),
            ("/URI:CHK:secret", "other"),
            ("/metrics", "/metrics"),
        ] {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}
