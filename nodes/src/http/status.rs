//! What a node says of itself to programs: health, readiness, metrics, and the welcome page as JSON.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::args::Args;
use super::error::{HttpError, wants_json};
use super::port::{NodeSnapshot, PeerRow};
use super::{Gateway, Probes, pages};
use crate::role::Role;

/// `GET /healthz`: the process runs and its root actor answers.
pub(super) async fn healthz(probes: web::Data<Probes>) -> HttpResponse {
    if probes.alive.is_alive() {
        plain(HttpResponse::Ok(), "alive\n".to_owned())
    } else {
        plain(
            HttpResponse::ServiceUnavailable(),
            "the node's actors have ended\n".to_owned(),
        )
    }
}

/// `GET /readyz`: whether the node would serve what its roles promise.
pub(super) async fn readyz(probes: web::Data<Probes>) -> HttpResponse {
    match probes.view.snapshot().unready {
        None => plain(HttpResponse::Ok(), "ready\n".to_owned()),
        Some(reason) => plain(HttpResponse::ServiceUnavailable(), format!("{reason}\n")),
    }
}

/// `GET /metrics`: in the text format of Prometheus.
pub(super) async fn metrics(probes: web::Data<Probes>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body((probes.render)())
}

fn plain(mut response: actix_web::HttpResponseBuilder, body: String) -> HttpResponse {
    response.content_type("text/plain; charset=utf-8").body(body)
}

/// `GET /`: a page, or with `t=json` the same for programs.
pub(super) async fn welcome(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let args = match Args::parse(request.query_string()) {
        Ok(args) => args,
        Err(error) => return error.respond(&request),
    };
    match args.get("t") {
        Some("json") => HttpResponse::Ok().json(describe(&gateway.view.snapshot(), &gateway)),
        None | Some("") if wants_json(&request) => {
            HttpResponse::Ok().json(describe(&gateway.view.snapshot(), &gateway))
        }
        None | Some("") => pages::welcome(&gateway),
        Some(_) => HttpError::BadArgument {
            name: "t",
            expected: "json or absent",
        }
        .respond(&request),
    }
}

/// The shape that clients of Tahoe-LAFS know, and beside it what they do not.
fn describe(node: &NodeSnapshot, gateway: &Gateway) -> Value {
    let introducers = node
        .peers
        .iter()
        .filter(|peer| peer.roles.contains(&Role::Introducer));
    let servers = node
        .peers
        .iter()
        .filter(|peer| peer.roles.contains(&Role::Storage));
    json!({
        "introducers": { "statuses": introducers.map(introducer_status).collect::<Vec<String>>() },
        "servers": servers.map(server).collect::<Vec<Value>>(),
        "truckee": {
            "version": env!("CARGO_PKG_VERSION"),
            "node_id": node.node_id,
            "nickname": node.nickname,
            "roles": node.roles,
            "ready": node.unready.is_none(),
            "unready_reason": node.unready,
            "k": gateway.encoding.coding().k(),
            "n": gateway.encoding.coding().n(),
            "happy": gateway.encoding.happy(),
            "segment_bytes": gateway.encoding.segment_bytes(),
            "peers": node.peers.iter().map(peer).collect::<Vec<Value>>(),
        },
    })
}

fn introducer_status(peer: &PeerRow) -> String {
    let link = if peer.state.is_up() {
        "Connected"
    } else {
        "Not connected"
    };
    format!("{link} to {} ({})", peer.nickname, peer.state.word())
}

fn server(peer: &PeerRow) -> Value {
    json!({
        "nodeid": peer.node_id,
        "nickname": peer.nickname,
        "version": peer.software,
        "available_space": peer.available_bytes,
        "connection_status": connection_status(peer),
        "last_received_data": peer.last_heard_unix_s,
    })
}

fn connection_status(peer: &PeerRow) -> String {
    match (&peer.address, peer.state.is_up()) {
        (Some(address), true) => format!("Connected to {address}"),
        (None, true) => "Connected".to_owned(),
        _ => format!("Not connected ({})", peer.state.word()),
    }
}

fn peer(peer: &PeerRow) -> Value {
    json!({
        "node_id": peer.node_id,
        "nickname": peer.nickname,
        "roles": peer.roles,
        "zone": peer.zone,
        "software": peer.software,
        "state": peer.state,
        "address": peer.address,
        "last_heard_unix_s": peer.last_heard_unix_s,
        "round_trip_s": peer.round_trip.map(|trip| trip.as_secs_f64()),
        "available_bytes": peer.available_bytes,
        "last_failure": peer.last_failure,
    })
}
