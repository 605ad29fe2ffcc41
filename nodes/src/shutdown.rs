//! When and how a node stops, and what other signals mean to it.
//!
//! SIGINT or SIGTERM starts an ordered stop; a second signal ends the process at once. The order: no new uploads and
//! downloads, HTTP stops accepting, transfers under way drain to a deadline, peers are told goodbye, the store
//! flushes, the run file goes, the process exits with 0.

use std::io;
use std::process;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::dir::NodeDir;
use crate::incident;

/// What the shell gives a process that was interrupted: 128 and the number of the signal.
const EXIT_SECOND_SIGNAL: i32 = 130;
/// Beyond the drain: goodbye to peers and flushing have bounds of their own below this. If they are missed the
/// process ends all the same, since what was acknowledged is durable already.
const STOP_BEYOND_DRAIN: Duration = Duration::from_secs(15);

/// The signals that ask a node to stop.
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// From now on these signals no longer end the process by themselves.
    pub(crate) fn listen() -> io::Result<StopSignals> {
        Ok(StopSignals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one of them; gives its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// From now on the next signal ends the process at once.
    pub(crate) fn end_at_next(mut self) {
        actix_rt::spawn(async move {
            let name = self.next().await;
            tracing::warn!(signal = name, "second signal: ending at once");
            process::exit(EXIT_SECOND_SIGNAL);
        });
    }
}

/// From now on SIGUSR1 writes the recent events to the node's directory. Done in the order of the signals; several that
/// come at once count as one.
pub(crate) fn write_events_when_asked(dir: NodeDir) -> io::Result<()> {
    let mut asked = signal(SignalKind::user_defined1())?;
    actix_rt::spawn(async move {
        while asked.recv().await.is_some() {
            let dir = dir.clone();
            // A megabyte to a disk that may be slow: not on the thread that runs everything else.
            if let Err(error) = tokio::task::spawn_blocking(move || incident::write_asked(&dir)).await {
                tracing::warn!("recent events are not written: {error}");
            }
        }
    });
    Ok(())
}

/// Ends the process with an error if an ordered stop takes far longer than it may.
pub(crate) fn watch_over(drain: Duration) {
    let patience = drain + STOP_BEYOND_DRAIN;
    // A thread of its own: what hangs may be the one that runs everything else.
    let spawned = std::thread::Builder::new()
        .name("stop-watch".to_owned())
        .spawn(move || {
            std::thread::sleep(patience);
            tracing::error!(
                seconds = patience.as_secs(),
                "the stop took too long: ending at once"
            );
            process::exit(1);
        });
    if let Err(error) = spawned {
        tracing::warn!("nobody watches over the stop: {error}");
    }
}
