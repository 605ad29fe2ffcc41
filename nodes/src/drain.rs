//! A storage node that is being emptied, before it is taken away.
//!
//! That it is stands in the file `draining` of its directory, so that it outlives restarts; the store takes no shares from
//! then on and tells everybody. The healers of all nodes make again elsewhere what it holds, and its own finds out whether
//! they have. Nothing is removed here: taken back after all, the node is as good as before.
//!
//! Safe to be taken away it is when nothing can become durable here any more, and a look at what all nodes hold, begun after
//! that, has found every file with a share here whole without this node and without others that are being emptied.

use std::sync::{Mutex, PoisonError};

use truckee_actors::clock::ClockHandle;
use truckee_actors::heal::HealerHandle;
use truckee_actors::store::ShareStoreHandle;
use truckee_engine::time::Mono;

use crate::control::DrainStatus;
use crate::dir::{self, DirError, MODE_OPEN, NodeDir};

/// For people who look into the directory.
const MARK: &[u8] = b"This node is being emptied: `truckee drain --status` says how far, `truckee drain --undo` takes it back.\n";

/// Whether the directory's node is being emptied.
///
/// # Errors
/// The disk does not say.
pub(crate) fn is_marked(dir: &NodeDir) -> Result<bool, DirError> {
    let path = dir.draining_path();
    path.try_exists().map_err(DirError::on("look for", &path))
}

/// See the module.
pub(crate) struct Drain {
    dir: NodeDir,
    store: ShareStoreHandle,
    /// None: this node does not heal, and so cannot tell what the others hold.
    healer: Option<HealerHandle>,
    clock: ClockHandle,
    /// One change at a time: the file and the store go together.
    changing: tokio::sync::Mutex<()>,
    /// When it was first seen that nothing can become durable here any more.
    quiet_since: Mutex<Option<Mono>>,
}

impl Drain {
    pub(crate) fn new(
        dir: &NodeDir,
        store: ShareStoreHandle,
        healer: Option<HealerHandle>,
        clock: ClockHandle,
    ) -> Drain {
        Drain {
            dir: dir.clone(),
            store,
            healer,
            clock,
            changing: tokio::sync::Mutex::new(()),
            quiet_since: Mutex::new(None),
        }
    }

    /// Begins or ends it, on the disk first.
    ///
    /// # Errors
    /// The sentence for the operator.
    pub(crate) async fn set(&self, on: bool) -> Result<DrainStatus, String> {
        if on && self.healer.is_none() {
            return Err(
                "this node does not compare what nodes hold (heal.bytes_per_second is 0), so that it could not tell when \
                 it is safe to unplug: set that in its truckee.toml, start it again, and drain it then"
                    .to_owned(),
            );
        }
        let _changing = self.changing.lock().await;
        let path = self.dir.draining_path();
        let written = tokio::task::spawn_blocking(move || {
            if on {
                dir::replace(&path, MARK, MODE_OPEN)
            } else {
                dir::remove(&path)
            }
        });
        match written.await {
            Ok(written) => written.map_err(|error| error.to_string())?,
            Err(error) => return Err(format!("the node cannot write to its directory: {error}")),
        }
        self.store.set_draining(on).await.ok_or_else(stopped)?;
        *self.quiet() = None;
        tracing::warn!(on, "the operator has this node emptied, or takes that back");
        self.look().await
    }

    /// How far it is.
    ///
    /// # Errors
    /// The sentence for the operator.
    pub(crate) async fn status(&self) -> Result<DrainStatus, String> {
        // What the store says must not be of before a change, and be remembered after it.
        let _changing = self.changing.lock().await;
        self.look().await
    }

    async fn look(&self) -> Result<DrainStatus, String> {
        let store = self.store.report().await.ok_or_else(stopped)?;
        let mut status = DrainStatus {
            draining: store.draining,
            shares: store.share_count,
            used_bytes: store.used_bytes,
            unfinished_shares: store.unfinished_shares as u64,
            ..DrainStatus::default()
        };
        let Some(healer) = self.healer.as_ref().filter(|_| store.draining) else {
            return Ok(status);
        };
        let quiet = store.unfinished_shares == 0;
        let quiet_since = quiet.then(|| self.quiet_from(healer));
        let report = healer.report();
        status.takers = report.takers;
        let Some(evacuation) = report.evacuation else {
            return Ok(status);
        };
        status.moved_files = evacuation.moved_files;
        status.waiting_files = evacuation.waiting_files;
        status.stuck_files = evacuation.stuck_files;
        status.unknown_buckets = evacuation.unknown_buckets;
        let checked = evacuation.checked_from.zip(quiet_since);
        status.checked = checked.is_some_and(|(from, quiet)| from >= quiet);
        status.safe = status.checked && status.waiting_files == 0 && status.stuck_files == 0;
        Ok(status)
    }

    /// Since when nothing can become durable here; the first to see that has everything looked at once more.
    fn quiet_from(&self, healer: &HealerHandle) -> Mono {
        let mut quiet = self.quiet();
        *quiet.get_or_insert_with(|| {
            healer.look();
            self.clock.now()
        })
    }

    fn quiet(&self) -> std::sync::MutexGuard<'_, Option<Mono>> {
        // One value: a thread that panicked in here left it whole.
        self.quiet_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stopped() -> String {
    "the node is stopping; ask again when it runs".to_owned()
}
