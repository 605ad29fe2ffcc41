//! What the gateway's operations are and were: `GET /status` and `GET /status/NAME`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use truckee_actors::transfers::{Operation, OperationKind};

use super::args::Args;
use super::error::{HttpError, wants_json};
use super::{Gateway, pages};

/// `GET /status`.
pub(super) async fn list(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let json = match asks_json(&request) {
        Ok(json) => json,
        Err(error) => return error.respond(&request),
    };
    let (active, recent) = (gateway.history.active(), gateway.history.recent());
    if json {
        let of = |operations: &[Operation]| operations.iter().map(describe).collect::<Vec<Value>>();
        return HttpResponse::Ok().json(json!({ "active": of(&active), "recent": of(&recent) }));
    }
    let rows: Vec<_> = active.iter().chain(&recent).map(row).collect();
    pages::operations::list(&rows)
}

/// `GET /status/NAME`, as in `down-7`.
pub(super) async fn one(
    request: HttpRequest,
    name: web::Path<String>,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let found = asks_json(&request).and_then(|json| {
        let found = parse(&name).and_then(|(kind, number)| gateway.history.find(kind, number));
        Ok((json, found.ok_or(HttpError::NoSuchOperation)?))
    });
    match found {
        Ok((true, operation)) => HttpResponse::Ok().json(describe(&operation)),
        Ok((false, operation)) => pages::operations::one(&row(&operation)),
        Err(error) => error.respond(&request),
    }
}

fn asks_json(request: &HttpRequest) -> Result<bool, HttpError> {
    let args = Args::parse(request.query_string())?;
    match args.operation() {
        "json" => Ok(true),
        "" => Ok(wants_json(request)),
        _ => Err(HttpError::BadArgument {
            name: "t",
            expected: "json or absent",
        }),
    }
}

fn parse(name: &str) -> Option<(OperationKind, u64)> {
    let (prefix, number) = name.split_once('-')?;
    let kind = OperationKind::ALL
        .into_iter()
        .find(|kind| kind.prefix() == prefix)?;
    Some((kind, number.parse().ok()?))
}

/// The keys that clients of Tahoe-LAFS know, and beside them what they do not.
fn describe(operation: &Operation) -> Value {
    let status = match operation.outcome {
        None => "Under way",
        Some("completed") => "Finished",
        Some(_) => "Failed",
    };
    let stages: Map<String, Value> = operation
        .stages
        .iter()
        .map(|(name, time)| ((*name).to_owned(), time.as_secs_f64().into()))
        .collect();
    let counts: Map<String, Value> = operation
        .counts
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    let mut value = json!({
        "type": operation.kind.word(),
        "storage-index-string": operation.storage_index.map(|si| si.to_base32()),
        "total-size": operation.size,
        "status": status,
        "name": operation.name(),
        "outcome": operation.outcome,
        "started-unix-s": operation.started.as_secs(),
        "seconds": operation.elapsed.as_secs_f64(),
        "stages-s": stages,
        "counts": counts,
    });
    let progress = operation.progress();
    if operation.kind == OperationKind::Upload {
        // Sealing, coding and sending go on together.
        value["progress-hash"] = progress.into();
        value["progress-ciphertext"] = progress.into();
        value["progress-encode-push"] = progress.into();
    } else {
        value["progress"] = progress.into();
    }
    value
}

fn row(operation: &Operation) -> pages::operations::OperationRow {
    let failure = operation.outcome.filter(|outcome| *outcome != "completed");
    let active = operation.outcome.is_none();
    pages::operations::OperationRow {
        href: Some(format!("/status/{}", operation.name())),
        kind: operation.kind.word().to_owned(),
        storage_index: operation.storage_index.map(|si| si.to_base32()),
        bytes: operation.size,
        progress: (active && operation.of > 0).then(|| operation.progress()),
        active,
        failure: failure.map(|cause| cause.replace('_', " ")),
        began_unix_s: operation.started.as_secs(),
        took: operation.elapsed,
        stages: operation
            .stages
            .iter()
            .map(|(name, time)| ((*name).to_owned(), *time))
            .collect(),
        facts: operation
            .counts
            .iter()
            .map(|(name, value)| (name.replace('-', " "), value.to_string()))
            .collect(),
    }
}
