//! Figures under the names that tools of Tahoe-LAFS know: `GET /statistics`, `/storage` and `/helper_status`.
//!
//! Only what means something here is there. A gateway keeps no shares itself, so what is said of storage is the sum of
//! what its storage nodes said last. The whole of what a node counts is at `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use truckee_actors::transfers::OperationKind;

use super::args::Args;
use super::error::{HttpError, wants_json};
use super::port::StorageStatus;
use super::{Gateway, pages};
use crate::role::Role;

/// `GET /statistics`: JSON, or with `t=openmetrics` text for Prometheus.
pub(super) async fn statistics(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let args = match Args::parse(request.query_string()) {
        Ok(args) => args,
        Err(error) => return error.respond(&request),
    };
    let (counters, stats) = (counters(&gateway), stats(&gateway));
    match args.operation() {
        "" | "json" => HttpResponse::Ok().json(json!({ "counters": counters, "stats": stats })),
        "openmetrics" => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(open_metrics(&counters, &stats)),
        _ => HttpError::BadArgument {
            name: "t",
            expected: "json, openmetrics or absent",
        }
        .respond(&request),
    }
}

fn counters(gateway: &Gateway) -> BTreeMap<&'static str, u64> {
    let of = |kind| gateway.history.totals(kind);
    let (up, down) = (of(OperationKind::Upload), of(OperationKind::Download));
    BTreeMap::from([
        ("uploader.files_uploaded", up.completed),
        ("uploader.bytes_uploaded", up.bytes),
        ("downloader.files_downloaded", down.completed),
        ("downloader.bytes_downloaded", down.bytes),
        ("mutable.files_published", of(OperationKind::Change).completed),
        ("truckee.files_checked", of(OperationKind::Check).completed),
    ])
}

fn stats(gateway: &Gateway) -> BTreeMap<&'static str, Value> {
    let storage = gateway.view.storage();
    let sum = |of: fn(&StorageStatus) -> u64| storage.values().map(of).sum::<u64>();
    let accepts = storage.values().any(|status| status.accepts);
    BTreeMap::from([
        ("node.uptime", json!(gateway.started.elapsed().as_secs_f64())),
        (
            "storage_server.total_bucket_count",
            json!(sum(|status| status.shares)),
        ),
        ("storage_server.disk_used", json!(sum(|status| status.used_bytes))),
        (
            "storage_server.disk_avail",
            json!(sum(|status| status.available_bytes)),
        ),
        (
            "storage_server.accepting_immutable_shares",
            json!(u8::from(accepts)),
        ),
    ])
}

fn open_metrics(counters: &BTreeMap<&str, u64>, stats: &BTreeMap<&str, Value>) -> String {
    let mut text = String::new();
    let name = |name: &str| name.replace('.', "_");
    for (key, value) in counters {
        writeln!(text, "tahoe_counters_{} {value}", name(key)).expect("memory takes all that is written");
    }
    for (key, value) in stats {
        writeln!(text, "tahoe_stats_{} {value}", name(key)).expect("memory takes all that is written");
    }
    text + "# EOF\n"
}

/// `GET /storage`: the storage nodes and how full they are.
pub(super) async fn storage(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let args = match Args::parse(request.query_string()) {
        Ok(args) => args,
        Err(error) => return error.respond(&request),
    };
    match args.operation() {
        "json" => HttpResponse::Ok().json(storage_json(&gateway)),
        "" if wants_json(&request) => HttpResponse::Ok().json(storage_json(&gateway)),
        "" => pages::storage::page(&rows(&gateway)),
        _ => HttpError::BadArgument {
            name: "t",
            expected: "json or absent",
        }
        .respond(&request),
    }
}

fn rows(gateway: &Gateway) -> Vec<pages::storage::StorageRow> {
    let said = gateway.view.storage();
    let peers = gateway.view.snapshot().peers.into_iter();
    peers
        .filter(|peer| peer.roles.contains(&Role::Storage))
        .map(|peer| {
            let status = said.get(&peer.node_id);
            pages::storage::StorageRow {
                nickname: peer.nickname,
                zone: peer.zone,
                state: peer.state,
                shares: status.map(|status| status.shares),
                used_bytes: status.map(|status| status.used_bytes),
                available_bytes: status.map(|status| status.available_bytes),
                accepts: status.map(|status| status.accepts),
                uptime: status.map(|status| status.uptime),
                node_id: peer.node_id,
            }
        })
        .collect()
}

fn storage_json(gateway: &Gateway) -> Value {
    let peers: Vec<Value> = rows(gateway)
        .into_iter()
        .map(|row| {
            json!({
                "node_id": row.node_id,
                "nickname": row.nickname,
                "zone": row.zone,
                "state": row.state,
                "share_count": row.shares,
                "used_bytes": row.used_bytes,
                "available_bytes": row.available_bytes,
                "accepts_shares": row.accepts,
                "uptime_s": row.uptime.map(|time| time.as_secs()),
            })
        })
        .collect();
    json!({
        "stats": stats(gateway),
        "bucket-counter": null,
        "lease-checker": null,
        "lease-checker-progress": null,
        "truckee": { "peers": peers },
    })
}

/// `GET /helper_status`: what a Tahoe-LAFS node without a helper answers. There are no helpers here: a gateway does
/// their work.
pub(super) async fn helper_status() -> HttpResponse {
    HttpResponse::Ok().json(json!({}))
}
