//! Files and directories as a tree: everything below `/uri/CAP` and the making of new things at `/uri`.
//!
//! A request is read in three steps: the URL becomes a [`super::path::Place`], the place is resolved to a node by
//! reading the directories on the way ([`resolve`]), and one function per method and operation does the rest.
//! Nothing is changed before the whole request was understood and its body stored, so that a request that fails
//! leaves at most unlinked shares and unlinked directories behind, never half a change.
//!
//! Not promised: changes of two directories at once (a move) are two changes. They come in the order in which the
//! moved thing is linked twice in between, and never not at all.

pub(super) mod answer;
mod children;
pub(super) mod describe;
mod error;
mod get;
mod input;
mod link;
mod listing;
mod make;
mod mutable;
mod page;
mod post;
mod put;
mod relink;
pub(super) mod resolve;
mod unlinked;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};

pub(super) use error::TreeError;
pub(super) use listing::Listings;

use super::Gateway;
use super::error::HttpError;

const METHODS: &str = "GET, HEAD, PUT, POST, DELETE";

/// Every request for `/uri/CAP…`.
pub(super) async fn place(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let answer = match *request.method() {
        Method::GET | Method::HEAD => get::get(&request, &gateway).await,
        Method::PUT => put::put(&request, payload, &gateway).await,
        Method::POST => post::post(&request, payload, &gateway).await,
        Method::DELETE => relink::delete(&request, &gateway).await,
        _ => Err(HttpError::WrongMethod { allowed: METHODS }),
    };
    answer.unwrap_or_else(|error| error.respond(&request))
}

/// `PUT`, `POST /uri`: a new file or directory that is linked nowhere.
pub(super) async fn unlinked(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let answer = match *request.method() {
        Method::PUT => unlinked::put(&request, payload, &gateway).await,
        _ => unlinked::post(&request, payload, &gateway).await,
    };
    answer.unwrap_or_else(|error| error.respond(&request))
}
