//! A walk as the answer of its request: one JSON object per line, as things are found; then the statistics; or, after
//! a failure, a line that begins with `ERROR:` and is no JSON.
//!
//! At most a few pieces wait for a client that reads slowly; a client that goes away ends the walk.

use std::pin::pin;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::future::select;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use truckee_grid::drive::Target;

use super::stats::Stats;
use super::walk::{Found, Plan, Step, cap_text, walk};
use super::{readable, results, shared};
use crate::http::Gateway;
use crate::http::error::HttpError;
use crate::http::tree::describe;

/// Lines are put together up to this length, as long as more are ready: a line by itself would be a packet each.
const PIECE_BYTES: usize = 16 << 10;

/// Pieces that wait for the client.
const PIECES_WAITING: usize = 4;

/// `POST DIR?t=stream-manifest`, `t=stream-deep-check`.
pub(super) async fn post(
    request: &HttpRequest,
    gateway: &Gateway,
    root: Target,
    plan: Plan,
) -> Result<HttpResponse, HttpError> {
    readable(gateway, &root).await?;
    let place = gateway.admit_walk()?;
    let data = shared(request)?;
    let (pieces, receiver) = mpsc::channel(PIECES_WAITING);
    actix_rt::spawn(async move {
        let _place = place;
        let gone = pieces.clone();
        let (gone, producing) = (pin!(gone.closed()), pin!(produce(&data, root, plan, &pieces)));
        select(gone, producing).await;
    });
    let body = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<Bytes>| {
        let piece = receiver.recv().await?;
        Some((Ok::<Bytes, actix_web::Error>(piece), receiver))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .streaming(Box::pin(body)))
}

async fn produce(gateway: &web::Data<Gateway>, root: Target, plan: Plan, pieces: &mpsc::Sender<Bytes>) {
    let mut stats = Stats::default();
    let mut steps = pin!(walk(gateway, root, plan).ready_chunks(64));
    let mut piece = Vec::new();
    while let Some(chunk) = steps.next().await {
        for step in chunk {
            match step {
                Ok(Step::Listing { children, bytes }) => stats.add_listing(children, bytes),
                Ok(Step::Found(found)) => {
                    stats.add(&found.target);
                    piece.extend(describe::ascii_text(&line(&found, plan)));
                }
                Err(error) => {
                    tracing::info!(cause = error.cause(), %error, "a walk failed");
                    piece.extend(format!("ERROR: {}\n{error}\n", error.cause()).into_bytes());
                    // Whoever has gone does not want to know.
                    drop(pieces.send(piece.into()).await);
                    return;
                }
            }
            if piece.len() >= PIECE_BYTES && pieces.send(std::mem::take(&mut piece).into()).await.is_err() {
                return;
            }
        }
        if !piece.is_empty() && pieces.send(std::mem::take(&mut piece).into()).await.is_err() {
            return;
        }
    }
    let last = describe::ascii_text(&json!({ "type": "stats", "stats": stats.to_json() }));
    drop(pieces.send(last.into()).await);
}

/// What is said of one thing.
fn line(found: &Found, plan: Plan) -> Value {
    let kind = match describe::kind(&found.target) {
        "dirnode" => "directory",
        "filenode" => "file",
        _ => "unknown",
    };
    let (verifier, si) = match &found.target {
        Target::Cap(cap) => (cap.to_verifier(), cap.storage_index()),
        Target::Unknown { .. } => (None, None),
    };
    let verifier = verifier.map(|cap| cap.to_uri()).unwrap_or_default();
    let mut line = json!({
        "path": found.path,
        "cap": cap_text(&found.target),
        "type": kind,
        "verifycap": verifier,
        // The shares of a file are rebuilt without its key; a directory has none.
        "repaircap": verifier,
        "storage-index": si.map(|si| si.to_base32()).unwrap_or_default(),
    });
    if let (Some(checked), Plan::Check { repair, .. }) = (&found.checked, plan) {
        if repair {
            line["check-and-repair-results"] = results::check_and_repair(checked);
        } else {
            line["check-results"] = results::check(checked);
        }
    }
    line
}
