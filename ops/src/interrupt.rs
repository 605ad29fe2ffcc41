//! Ctrl-C in a client command: unfinished files go, then the process.
//!
//! Owns the list of temporary files that exist at the moment. Names are given to whole files only, so an interrupt never
//! leaves half a file under a name; this removes the temporary ones too. What was sent to a gateway is not taken back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::signal::unix::{SignalKind, signal};

use crate::error::CliError;
use crate::exit::Exit;

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// What else is to be done before the end.
static BEFORE_END: Mutex<Option<fn()>> = Mutex::new(None);

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a temporary file.
pub(crate) fn begun(path: &Path) {
    unfinished().insert(path.to_owned());
}

/// Forgets a temporary file that was renamed or removed.
pub(crate) fn ended(path: &Path) {
    unfinished().remove(path);
}

/// Has `action` done before a signal ends the process, such as giving the terminal back. There is room for one.
pub(crate) fn before_end(action: fn()) {
    *BEFORE_END.lock().unwrap_or_else(PoisonError::into_inner) = Some(action);
}

/// From now on SIGINT, SIGTERM and SIGHUP remove all unfinished files and end the process with [`Exit::Interrupted`].
pub(crate) fn watch() -> Result<(), CliError> {
    let refused = |source| CliError::System {
        action: "listen to signals",
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(refused)?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(refused)?;
    drop(entered);
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        // Holding the lock, so that no file is begun between the removal and the end.
        let files = unfinished();
        for file in files.iter() {
            // Best effort: there is nobody left to tell, and the name says what it is.
            let _ = std::fs::remove_file(file);
        }
        let action = *BEFORE_END.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(action) = action {
            action();
        }
        eprintln!("truckee: interrupted");
        std::process::exit(i32::from(Exit::Interrupted.code()));
    };
    let spawned = std::thread::Builder::new().name("interrupt".into()).spawn(wait);
    spawned.map(drop).map_err(refused)
}
