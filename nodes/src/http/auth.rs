//! Asks clients of the gateway for its access token, if it has one.
//!
//! Programs send it as `Authorization: Bearer TOKEN`. Browsers ask their user for a name and a password when they are
//! told to (HTTP Basic): the password is the token, the name is not looked at. Health and readiness are open to all, for
//! those who watch over the process.
//!
//! Not promised: protection of a token that travels over plain HTTP; for that there is TLS.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::HttpError;
use crate::access::AccessToken;

/// What the routes of the gateway are closed with.
pub(super) type Lock = web::Data<Option<AccessToken>>;

/// Answered to whoever comes without the token: what they may come with.
pub(super) const CHALLENGES: [&str; 2] = [
    "Basic realm=\"truckee\", charset=\"UTF-8\"",
    "Bearer realm=\"truckee\"",
];

/// Wraps every request to the gateway.
pub(super) async fn authorise(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let admitted = match request.app_data::<Lock>().map(|lock| lock.as_ref()) {
        Some(Some(token)) => is_open(request.path()) || shows(request.headers(), token),
        Some(None) => true,
        // Never: the server puts a lock on every application that it wraps with this.
        None => false,
    };
    if admitted {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let response = HttpError::Unauthorised.respond(request.request());
    Ok(request.into_response(response))
}

fn is_open(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

fn shows(headers: &HeaderMap, token: &AccessToken) -> bool {
    let mut given = headers.get_all(AUTHORIZATION);
    let (Some(value), None) = (given.next(), given.next()) else {
        return false;
    };
    let Ok(value) = value.to_str() else { return false };
    let Some((scheme, rest)) = value.split_once(' ') else {
        return false;
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return token.is(rest.as_bytes());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let Ok(pair) = STANDARD.decode(rest).map(Zeroizing::new) else {
        return false;
    };
    // A user name has no colon, a password may.
    let colon = pair.iter().position(|byte| *byte == b':');
    colon.is_some_and(|colon| token.is(&pair[colon + 1..]))
}
