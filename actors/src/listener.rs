//! Takes connections from peers: handshakes side by side up to a bound, everything else at the peer's own actor.
//!
//! A permit is taken before a connection is accepted and travels with the socket until its hello was judged, so that
//! strangers, frozen peers and slow talkers together hold no more than the bound, each for a few seconds at most;
//! the rest waits in the kernel. Members that are linked already are not touched by any of this.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use metrics::counter;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use truckee_engine::restart::ExitReason;

use crate::answers_ping;
use crate::gate::{CountGate, GateError, tell};
use crate::mesh::{Accepted, World};
use crate::metrics as names;
use crate::net;
use crate::supervise::{ExitGuard, Stop};

/// Connections whose peer has not been judged yet. A node of a large mesh that restarts is dialled by hundreds at
/// once; at half a millisecond of computing each, 64 at a time are through in well under a second.
const UNJUDGED_MAX: usize = 64;

/// Pause after the system refused to accept, which it mostly does for lack of file descriptors.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Accepts connections.
pub(crate) struct Listener {
    world: Arc<World>,
    socket: Arc<std::net::TcpListener>,
    task: Option<AbortHandle>,
    guard: ExitGuard,
}

impl Listener {
    /// `socket` is bound already, so that a port in use is an error at start and not a restart loop.
    pub(crate) fn new(world: Arc<World>, socket: Arc<std::net::TcpListener>, guard: ExitGuard) -> Self {
        Self {
            world,
            socket,
            task: None,
            guard,
        }
    }

    fn open(&self) -> io::Result<TcpListener> {
        let socket = self.socket.try_clone()?;
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket)
    }
}

/// The accept loop has ended, which it never does by itself.
#[derive(Message)]
#[rtype(result = "()")]
struct LoopEnded(ExitReason);

struct LoopReport(actix::WeakAddr<Listener>);

impl Drop for LoopReport {
    fn drop(&mut self) {
        let reason = if std::thread::panicking() {
            ExitReason::Panicked
        } else {
            ExitReason::Stopped
        };
        // An actor that has ended has aborted the loop itself.
        let _gone = self
            .0
            .upgrade()
            .map(|listener| tell(&listener, LoopEnded(reason)));
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let report = LoopReport(context.address().downgrade());
        match self.open() {
            Ok(socket) => {
                let task = tokio::task::spawn_local(accept_loop(Arc::clone(&self.world), socket, report));
                self.task = Some(task.abort_handle());
            }
            Err(error) => {
                tracing::error!(%error, "cannot listen");
                self.guard.fail();
                context.stop();
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

answers_ping!(Listener);

impl Handler<LoopEnded> for Listener {
    type Result = ();

    fn handle(&mut self, LoopEnded(reason): LoopEnded, context: &mut Self::Context) {
        tracing::error!(reason = reason.name(), "the accept loop has ended");
        self.guard.fail();
        context.stop();
    }
}

impl Handler<Stop> for Listener {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        context.stop();
    }
}

async fn accept_loop(world: Arc<World>, socket: TcpListener, report: LoopReport) {
    let _report = report;
    let gate = CountGate::new("unjudged_links", UNJUDGED_MAX);
    loop {
        let permit = match gate.acquire().await {
            Ok(permit) => permit,
            Err(GateError::Closed { .. } | GateError::Full { .. } | GateError::TooLarge { .. }) => return,
        };
        let (tcp, remote) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                counter!(names::LINK_ACCEPTS, "outcome" => "system_error").increment(1);
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                continue;
            }
        };
        let world = Arc::clone(&world);
        tokio::task::spawn_local(async move {
            let outcome = net::accept(&world.identity, tcp, remote, world.limits.net).await;
            let name = outcome.as_ref().map_or_else(net::NetError::name, |_| "ok");
            counter!(names::LINK_ACCEPTS, "outcome" => name).increment(1);
            match outcome {
                Ok(socket) => {
                    // Without a mesh the socket closes, and the peer tries again.
                    let _gone = world.table.mesh.tell(Accepted {
                        socket: Box::new(socket),
                        permit,
                    });
                }
                Err(error) => tracing::debug!(%remote, %error, "a connection was not taken"),
            }
        });
    }
}
