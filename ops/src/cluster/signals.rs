//! Signals as events.
//!
//! Owns one thread that waits for SIGINT, SIGTERM, SIGHUP (stop) and SIGCHLD (a child changed) and passes them on. A
//! stop is never lost; child events merge while the receiver is busy, because each makes it look at all children. The
//! thread lives until the process ends.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;

/// What a signal means to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The user wants the cluster to stop.
    Stop,
    /// At least one child may have ended.
    Child,
    /// Nothing happened in the time given.
    Quiet,
}

/// Events queued while the receiver is busy; more would all say the same.
const EVENTS_QUEUED_MAX: usize = 16;

/// The receiving end.
pub(crate) struct Signals {
    events: Receiver<Event>,
}

impl Signals {
    /// Takes the signals over from their default actions, for the whole process.
    pub(crate) fn install() -> Result<Signals, CliError> {
        let refused = |source| CliError::System {
            action: "listen to signals",
            source,
        };
        let (events, received) = sync_channel(EVENTS_QUEUED_MAX);
        let (ready, installed) = sync_channel(1);
        let spawned = std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || forward(&events, &ready));
        spawned.map_err(refused)?;
        let outcome = installed
            .recv()
            .map_err(|_| refused(io::ErrorKind::BrokenPipe.into()))?;
        outcome.map_err(refused)?;
        Ok(Signals { events: received })
    }

    /// No signal ever comes: those of a test process belong to the harness.
    #[cfg(test)]
    pub(crate) fn silent() -> Signals {
        let (events, received) = sync_channel(1);
        // Without its other end the channel would say stop.
        std::mem::forget(events);
        Signals { events: received }
    }

    /// The next event, or [`Event::Quiet`] after `patience`.
    pub(crate) fn wait(&self, patience: Duration) -> Event {
        match self.events.recv_timeout(patience) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Quiet,
            // The thread is gone, and with it every way to be told to stop: stop.
            Err(RecvTimeoutError::Disconnected) => Event::Stop,
        }
    }
}

/// The signals that mean something here.
struct Watched {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    child: Signal,
}

impl Watched {
    fn register() -> io::Result<Watched> {
        Ok(Watched {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            child: signal(SignalKind::child())?,
        })
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            _ = self.interrupt.recv() => Event::Stop,
            _ = self.terminate.recv() => Event::Stop,
            _ = self.hangup.recv() => Event::Stop,
            _ = self.child.recv() => Event::Child,
        }
    }
}

/// The thread: registers, says so, and passes events on until nobody listens.
fn forward(events: &SyncSender<Event>, ready: &SyncSender<io::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let outcome = runtime.and_then(|runtime| {
        let guard = runtime.enter();
        let watched = Watched::register()?;
        drop(guard);
        Ok((runtime, watched))
    });
    let (runtime, mut watched) = match outcome {
        Ok(both) => both,
        // If nobody waits for the outcome any more, nobody waits for signals either.
        Err(error) => return drop(ready.send(Err(error))),
    };
    if ready.send(Ok(())).is_err() {
        return;
    }
    runtime.block_on(async {
        loop {
            let delivered = match watched.next().await {
                // A full queue already holds an event that makes the receiver look at its children.
                Event::Child => !matches!(
                    events.try_send(Event::Child),
                    Err(std::sync::mpsc::TrySendError::Disconnected(_))
                ),
                stop => events.send(stop).is_ok(),
            };
            if !delivered {
                return;
            }
        }
    });
}
