//! Starts and stops the HTTP servers on sockets that are listening already.
//!
//! Signals are not actix-web's business here: the node decides when a server stops.

use std::cell::Cell;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};

use super::auth::{self, Lock};
use super::{Gateway, Probes, gateway_routes, no_such_route, observe, origin, probe_routes};
use crate::access::OpenedDoors;
use crate::metrics::watch_lag;

/// How long a client may take to send the head of a request; more is a slow-loris.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for the handshake of TLS: a few round trips over the slowest line.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept for the next request: longer than people pause between two clicks, and than
/// scrapers' usual 15 s.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long a body that was refused is read on and thrown away after the answer went out. Closing at once would reset
/// the connection, and the reset overtakes the answer: the client would see a broken pipe instead of the reason. Enough
/// for gigabytes from the same machine.
const LINGER: Duration = Duration::from_secs(5);
/// The encoder's buffer is flushed when it holds as much: two pieces of a download.
const WRITE_BUFFER_BYTES: usize = 256 << 10;
/// Scrapers and probes: a few at a time.
const PROBE_CONNECTIONS_MAX: usize = 64;

/// A server that runs until it is told to stop.
pub struct Running {
    handle: ServerHandle,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Running {
    /// Accepts no more connections, waits for requests under way (at most the drain time given at start), and ends.
    ///
    /// # Errors
    /// The server had failed.
    pub async fn stop(self, graceful: bool) -> io::Result<()> {
        self.handle.stop(graceful).await;
        match self.task.await {
            Ok(ended) => ended,
            Err(failed) => Err(io::Error::other(failed)),
        }
    }
}

thread_local! {
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Measures the event loop of this worker. A worker makes its application on its own thread, once for each socket; the
/// task ends with the thread's event loop.
fn watch_worker() {
    if !IS_WATCHED.replace(true) {
        actix_rt::spawn(watch_lag("http"));
    }
}

/// Serves the gateway's API, pages and probes, behind its doors.
///
/// # Errors
/// The socket cannot be used.
pub fn start_gateway(
    listener: TcpListener,
    gateway: web::Data<Gateway>,
    probes: web::Data<Probes>,
    workers: usize,
    doors: OpenedDoors,
) -> io::Result<Running> {
    let (connections, drain) = (gateway.limits.connections, gateway.limits.drain);
    let lock: Lock = web::Data::new(doors.token);
    let server = HttpServer::new(move || {
        watch_worker();
        App::new()
            .app_data(gateway.clone())
            .app_data(probes.clone())
            .app_data(lock.clone())
            // Wraps what follows: the last one sees a request first.
            .wrap(from_fn(origin::refuse_foreign_pages))
            .wrap(from_fn(auth::authorise))
            .wrap(from_fn(observe::observe))
            .configure(probe_routes)
            .configure(gateway_routes)
            .default_service(web::to(no_such_route))
    });
    let server = server
        .workers(workers)
        .max_connections(connections)
        .tcp_nodelay(true)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(LINGER)
        .h1_write_buffer_size(WRITE_BUFFER_BYTES)
        // A body that stays here keeps its transfer alive; transfers are drained before this server is.
        .shutdown_timeout(drain.as_secs().max(1))
        .tls_handshake_timeout(HANDSHAKE_TIMEOUT)
        .disable_signals();
    let server = match doors.tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls.config)?,
        None => server.listen(listener)?,
    };
    Ok(spawn(server.run()))
}

/// Serves health, readiness and metrics.
///
/// # Errors
/// The socket cannot be used.
pub fn start_probes(listener: TcpListener, probes: web::Data<Probes>) -> io::Result<Running> {
    let server = HttpServer::new(move || {
        watch_worker();
        App::new()
            .app_data(probes.clone())
            .wrap(from_fn(observe::observe))
            .configure(probe_routes)
            .default_service(web::to(no_such_route))
    });
    let server = server
        .workers(1)
        .max_connections(PROBE_CONNECTIONS_MAX)
        .tcp_nodelay(true)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(spawn(server))
}

fn spawn(server: Server) -> Running {
    let handle = server.handle();
    Running {
        handle,
        task: actix_rt::spawn(server),
    }
}
