//! Checks of one thing and of whole trees, renewals, manifests and statistics: `POST CAP?t=check` and everything that walks.
//!
//! A walk begins at a directory and comes to everything below it once, however often it is linked, so it also ends
//! where a directory contains itself. It runs either for the answer of its request, line by line
//! (`t=stream-…`), or behind a handle that is asked about later (`t=start-…`, [`handles`]). Closing the connection
//! ends the first kind, `t=cancel` and expiry end the second.
//!
//! Not promised: that a walk shows a tree of one moment; each directory is of the moment when it was read.

mod check;
mod error;
pub(super) mod handles;
mod monitor;
mod renew;
mod repair;
mod results;
mod stats;
mod stream;
mod walk;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use truckee_grid::drive::Target;

pub(super) use error::DeepError;
pub(super) use handles::{Operations, operation};

use self::monitor::{Kind, Monitor};
use self::walk::Plan;
use super::Gateway;
use super::args::Args;
use super::error::HttpError;
use super::path;
use super::tree::resolve::Node;

/// Walks that a gateway has under way: each reads directories and asks storage nodes as fast as they answer, so a few
/// keep them busy.
pub(super) const WALKS_MAX: usize = 16;

/// Every `POST` of this module. `args` holds what the URL and the form say.
pub(super) async fn post(
    request: &HttpRequest,
    gateway: &Gateway,
    node: Node,
    args: &Args,
) -> Result<HttpResponse, HttpError> {
    // A renewal is an operation of its own, which asks the nodes about thousands of files at once; the argument is taken so
    // that clients need not know.
    args.flag("add-lease")?;
    let checking = Plan::Check {
        verify: args.flag("verify")?,
        repair: args.flag("repair")?,
    };
    match args.operation() {
        "check" => check::post(request, gateway, &node.target, checking, args).await,
        "stream-renew" => renew::post(request, gateway, node.target).await,
        "stream-manifest" => stream::post(request, gateway, node.target, Plan::Look).await,
        "stream-deep-check" => stream::post(request, gateway, node.target, checking).await,
        "start-manifest" => start(request, gateway, node.target, Kind::Manifest, Plan::Look, args).await,
        "start-deep-size" => start(request, gateway, node.target, Kind::Size, Plan::Look, args).await,
        "start-deep-stats" => start(request, gateway, node.target, Kind::Stats, Plan::Look, args).await,
        _ => start(request, gateway, node.target, Kind::Check, checking, args).await,
    }
}

/// The gateway as something that outlives the request.
fn shared(request: &HttpRequest) -> Result<web::Data<Gateway>, HttpError> {
    let gateway = request.app_data::<web::Data<Gateway>>();
    gateway.cloned().ok_or(HttpError::Internal)
}

/// The root of a walk, which must be a directory that can be read now.
async fn readable(gateway: &Gateway, root: &Target) -> Result<(), HttpError> {
    match root {
        Target::Cap(cap) if cap.is_directory() => gateway.read_directory(cap).await.map(|_| ()),
        _ => Err(DeepError::NotADirectory.into()),
    }
}

/// Starts a walk behind a handle, and sends the client there.
async fn start(
    request: &HttpRequest,
    gateway: &Gateway,
    root: Target,
    kind: Kind,
    plan: Plan,
    args: &Args,
) -> Result<HttpResponse, HttpError> {
    let handle = handles::handle_of(args.get("ophandle"))?;
    let retain = handles::retain_for(args)?;
    readable(gateway, &root).await?;
    let place = gateway.admit_walk()?;
    let monitor = Monitor::new(kind, plan, &root, gateway.operations.room());
    let (data, watched) = (shared(request)?, monitor.clone());
    let task = actix_rt::spawn(async move {
        let _place = place;
        monitor::run(data, root, &watched).await;
    });
    gateway
        .operations
        .add(&handle, monitor, task.abort_handle(), retain)?;
    let mut target = format!("/operations/{}", path::encode(&handle));
    if let Some(output) = args.filled("output") {
        target += &format!("?output={}", path::encode(output));
    }
    Ok(HttpResponse::Found()
        .insert_header((header::LOCATION, target))
        .finish())
}
