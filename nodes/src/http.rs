//! The HTTP side of a node: the gateway's API and pages, and what every node tells its operator.
//!
//! Two applications share this code: [`gateway_routes`] on the gateway's address, and [`probe_routes`] (health,
//! readiness, metrics) on the metrics address of every node and on the gateway's as well. Both run on actix-web's own
//! worker threads; all they know of the node stands in [`Gateway`] and [`Probes`].
//!
//! Without an access token whoever reaches the gateway's address may store files, which is why it is on loopback unless
//! configured otherwise; reading takes a cap in any case.

mod args;
mod auth;
mod body;
pub mod check_port;
mod deep;
mod download;
pub mod drive_port;
mod error;
mod form;
mod observe;
mod openapi;
mod origin;
mod outflow;
mod pages;
mod path;
pub mod port;
mod range;
mod recent;
mod segments;
pub mod server;
mod spool;
mod statistics;
mod status;
mod tree;
mod upload;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, web};
use truckee_actors::gate::{CountGate, CountPermit, GateError};
use truckee_actors::transfers::History;
use truckee_grid::keys::ConvergenceSecret;
use truckee_grid::params::Encoding;

use crate::config::Limits;
use check_port::{CheckPort, Recorded};
use deep::Operations;
use drive_port::DrivePort;
use error::HttpError;
use port::{NodeView, TransferPort};
use tree::{Listings, TreeError};

/// What a client is told to wait when all places are taken, and those in the line for them too, or when it has waited in vain: about what a
/// small upload takes.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Requests that wait for each place of a transfer. Of each the head and some kilobytes of body are in memory.
const LINE_PER_PLACE: usize = 4;

/// All that the gateway's handlers know.
pub struct Gateway {
    port: Arc<dyn TransferPort>,
    drive: Arc<dyn DrivePort>,
    checker: Arc<dyn CheckPort>,
    history: History,
    operations: Operations,
    walks: CountGate,
    started: Instant,
    listings: Listings,
    view: Arc<dyn NodeView>,
    encoding: Encoding,
    limits: Limits,
    convergence: ConvergenceSecret,
    spool_dir: PathBuf,
    uploads: CountGate,
    downloads: CountGate,
}

/// The node behind a gateway.
pub struct Behind {
    /// Moves files.
    pub transfers: Arc<dyn TransferPort>,
    /// Keeps directories.
    pub drive: Arc<dyn DrivePort>,
    /// Counts shares.
    pub checker: Arc<dyn CheckPort>,
    /// Knows the mesh.
    pub view: Arc<dyn NodeView>,
}

impl Gateway {
    /// A gateway in front of a node. `spool_dir` is the node's own directory.
    pub fn new(
        behind: Behind,
        encoding: Encoding,
        limits: Limits,
        convergence: ConvergenceSecret,
        spool_dir: PathBuf,
    ) -> Gateway {
        let Behind {
            transfers,
            drive,
            checker,
            view,
        } = behind;
        let history = checker.history();
        Gateway {
            uploads: CountGate::new("http_uploads", limits.uploads),
            downloads: CountGate::new("http_downloads", limits.downloads),
            port: transfers,
            drive: Arc::new(Recorded::new(drive, history.clone())),
            checker,
            history,
            operations: Operations::default(),
            walks: CountGate::new("http_walks", deep::WALKS_MAX),
            started: Instant::now(),
            listings: Listings::default(),
            view,
            encoding,
            limits,
            convergence,
            spool_dir,
        }
    }

    /// Refuses every transfer from now on; those under way go on.
    pub fn close(&self) {
        self.uploads.close();
        self.downloads.close();
        self.walks.close();
    }

    fn admit_walk(&self) -> Result<CountPermit, HttpError> {
        self.walks
            .try_acquire()
            .map_err(|error| refused("walks through trees", error))
    }

    async fn admit_upload(&self) -> Result<CountPermit, HttpError> {
        let line_max = self.limits.uploads.saturating_mul(LINE_PER_PLACE);
        let permit = self.uploads.acquire_within(line_max, self.limits.wait).await;
        permit.map_err(|error| refused("uploads", error))
    }

    async fn admit_download(&self) -> Result<CountPermit, HttpError> {
        let line_max = self.limits.downloads.saturating_mul(LINE_PER_PLACE);
        let permit = self.downloads.acquire_within(line_max, self.limits.wait).await;
        permit.map_err(|error| refused("downloads", error))
    }
}

fn refused(what: &'static str, error: GateError) -> HttpError {
    match error {
        GateError::Full { .. } => HttpError::Busy {
            what,
            retry_after: RETRY_AFTER,
        },
        other => HttpError::from(other),
    }
}

/// All that the handlers of health, readiness and metrics know.
pub struct Probes {
    /// Readiness comes from here.
    pub view: Arc<dyn NodeView>,
    /// Health comes from here.
    pub alive: Arc<dyn Alive>,
    /// Makes the text of `/metrics`.
    pub render: Box<dyn Fn() -> String + Send + Sync>,
}

/// Whether the node's actors are alive.
pub trait Alive: Send + Sync + 'static {
    /// False once the root actor has ended.
    fn is_alive(&self) -> bool;
}

/// Routes that every node has.
pub fn probe_routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/healthz").get(status::healthz))
        .service(web::resource("/readyz").get(status::readyz))
        .service(web::resource("/metrics").get(status::metrics));
}

/// Routes of the gateway.
pub fn gateway_routes(config: &mut web::ServiceConfig) {
    for place in ["/uri", "/cap"] {
        config.service(
            web::resource([place.to_owned(), format!("{place}/")])
                .route(web::get().to(download::redirect))
                .route(web::put().to(tree::unlinked))
                .route(web::post().to(tree::unlinked))
                .default_service(web::to(|request| wrong_method(request, "GET, PUT, POST"))),
        );
        config.service(web::resource(format!("{place}/{{tail:.*}}")).default_service(web::to(tree::place)));
    }
    for place in ["/file", "/named"] {
        config.service(
            web::resource(format!("{place}/{{tail:.*}}"))
                .route(web::get().to(download::by_name))
                .route(web::head().to(download::by_name))
                .default_service(web::to(|request| wrong_method(request, "GET, HEAD"))),
        );
    }
    config
        .service(web::resource("/").get(status::welcome).head(status::welcome))
        .service(web::resource("/openapi.json").get(openapi::serve))
        .service(web::resource("/files").get(pages::files))
        .service(web::resource("/static/{name}").get(pages::asset))
        .service(web::resource(["/status", "/status/"]).get(recent::list))
        .service(web::resource("/status/{name}").get(recent::one))
        .service(web::resource(["/statistics", "/statistics/"]).get(statistics::statistics))
        .service(web::resource(["/storage", "/storage/"]).get(statistics::storage))
        .service(web::resource("/helper_status").get(statistics::helper_status))
        .service(
            web::resource("/operations/{handle}")
                .route(web::get().to(deep::operation))
                .route(web::post().to(deep::operation))
                .default_service(web::to(|request| wrong_method(request, "GET, POST"))),
        );
}

/// The answer to what no route takes.
pub async fn no_such_route(request: HttpRequest) -> HttpResponse {
    HttpError::NoSuchRoute.respond(&request)
}

async fn wrong_method(request: HttpRequest, allowed: &'static str) -> HttpResponse {
    HttpError::WrongMethod { allowed }.respond(&request)
}
