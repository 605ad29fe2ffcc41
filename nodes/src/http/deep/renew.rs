//! Leases renewed: of one file, or of every file below a directory, at all storage nodes.
//!
//! Renewed is what lies in shares: files, the contents of mutable files, and listings of immutable directories that do not fit
//! their caps. The rows of other directories lie in a vdrive, which keeps them without leases.
//!
//! The answer is streamed, one JSON object per line: how far the walk is; at the end each file that no node holds, and the
//! sums. Storage indexes are held until the walk ends or [`HELD_MAX`] are there, and sent in order: each node then writes each
//! place of its disk once.

use std::collections::BTreeSet;
use std::pin::pin;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::future::select;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use truckee_grid::caps::Cap;
use truckee_grid::drive::Target;
use truckee_grid::ids::{NodeId, StorageIndex};

use super::shared;
use super::walk::{Plan, Step, walk};
use crate::http::Gateway;
use crate::http::error::HttpError;
use crate::http::tree::describe;

/// Files that are held at once, some 10 MB: a walk of more sends several rounds.
const HELD_MAX: usize = 1 << 18;
/// A line says how far the walk is after so many things.
const PROGRESS_EVERY: u64 = 1_000;
/// Lines that wait for the client.
const LINES_WAITING: usize = 16;

#[derive(Default)]
struct Sums {
    objects: u64,
    files: u64,
    unheld: u64,
    nodes: usize,
    failed: BTreeSet<NodeId>,
}

/// Why the work ended before its end.
enum Ended {
    /// Nobody reads any more.
    Unread,
    Failed(HttpError),
}

impl From<HttpError> for Ended {
    fn from(error: HttpError) -> Ended {
        Ended::Failed(error)
    }
}

/// `POST CAP?t=stream-renew`.
pub(super) async fn post(
    request: &HttpRequest,
    gateway: &Gateway,
    root: Target,
) -> Result<HttpResponse, HttpError> {
    let place = gateway.admit_walk()?;
    let data = shared(request)?;
    // What cannot be found at all is told before the answer begins.
    if is_directory(&root) {
        super::readable(gateway, &root).await?;
    }
    let (lines, receiver) = mpsc::channel(LINES_WAITING);
    actix_rt::spawn(async move {
        let _place = place;
        let gone = lines.clone();
        let (gone, producing) = (pin!(gone.closed()), pin!(produce(&data, root, &lines)));
        select(gone, producing).await;
    });
    let body = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<Bytes>| {
        let line = receiver.recv().await?;
        Some((Ok::<Bytes, actix_web::Error>(line), receiver))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .streaming(Box::pin(body)))
}

async fn produce(gateway: &web::Data<Gateway>, root: Target, lines: &mpsc::Sender<Bytes>) {
    if let Err(Ended::Failed(error)) = renew(gateway, root, lines).await {
        tracing::info!(cause = error.cause(), %error, "a renewal failed");
        let text = format!("ERROR: {}\n{error}\n", error.cause());
        // Whoever has gone does not want to know.
        drop(lines.send(text.into()).await);
    }
}

async fn renew(gateway: &web::Data<Gateway>, root: Target, lines: &mpsc::Sender<Bytes>) -> Result<(), Ended> {
    let (mut sums, mut held) = (Sums::default(), BTreeSet::new());
    if is_directory(&root) {
        let mut steps = pin!(walk(gateway, root, Plan::Look));
        while let Some(step) = steps.next().await {
            let Step::Found(found) = step? else { continue };
            sums.objects += 1;
            held.extend(file_of(gateway, &found.target).await?);
            if held.len() >= HELD_MAX {
                send(gateway, std::mem::take(&mut held), &mut sums, lines).await?;
            }
            if sums.objects.is_multiple_of(PROGRESS_EVERY) {
                say(lines, &json!({ "type": "progress", "objects": sums.objects, "files": sums.files + held.len() as u64 })).await?;
            }
        }
    } else {
        sums.objects = 1;
        held.extend(file_of(gateway, &root).await?);
    }
    send(gateway, held, &mut sums, lines).await?;
    let failed: Vec<String> = sums.failed.iter().map(NodeId::to_base32).collect();
    let stats = json!({
        "objects": sums.objects,
        "files": sums.files,
        "files-without-holder": sums.unheld,
        "nodes": sums.nodes,
        "nodes-not-renewed": failed,
    });
    say(lines, &json!({ "type": "stats", "stats": stats })).await
}

/// Renews what is held.
async fn send(
    gateway: &Gateway,
    held: BTreeSet<StorageIndex>,
    sums: &mut Sums,
    lines: &mpsc::Sender<Bytes>,
) -> Result<(), Ended> {
    if held.is_empty() {
        return Ok(());
    }
    let sis: Vec<StorageIndex> = held.into_iter().collect();
    let report = gateway.checker.renew(sis.clone()).await;
    let report = report.ok_or(Ended::Failed(
        super::DeepError::from(crate::http::check_port::CheckError::Stopping).into(),
    ))?;
    sums.files += sis.len() as u64;
    sums.nodes = sums.nodes.max(report.nodes);
    sums.failed.extend(report.failed);
    for (si, holders) in sis.iter().zip(&report.holders) {
        if *holders == 0 {
            sums.unheld += 1;
            say(
                lines,
                &json!({ "type": "without-holder", "storage-index": si.to_base32() }),
            )
            .await?;
        }
    }
    Ok(())
}

async fn say(lines: &mpsc::Sender<Bytes>, line: &Value) -> Result<(), Ended> {
    let text = describe::ascii_text(line);
    lines.send(text.into()).await.map_err(|_| Ended::Unread)
}

/// What of a thing lies in shares.
async fn file_of(gateway: &Gateway, target: &Target) -> Result<Option<StorageIndex>, HttpError> {
    let Target::Cap(cap) = target else {
        return Ok(None);
    };
    Ok(match cap {
        Cap::Lit(_) | Cap::DirLit(_) | Cap::Dir(_) => None,
        Cap::Chk(_) | Cap::DirChk(_) | Cap::ChkVerifier(_) | Cap::DirChkVerifier(_) => cap.storage_index(),
        Cap::Ssk(mutable) | Cap::Mdmf(mutable) => {
            let view = gateway.drive.read(mutable).await?;
            match view.content.as_ref().map(|content| &content.target) {
                Some(Target::Cap(Cap::Chk(content))) => Some(content.verifier().si),
                _ => None,
            }
        }
    })
}

fn is_directory(target: &Target) -> bool {
    matches!(target, Target::Cap(cap) if cap.is_directory() && cap.to_read().is_some())
}
