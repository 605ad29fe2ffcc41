//! Whether peers want the disk, so that work of the node itself goes behind theirs.
//!
//! Owns the count of operations of peers that wait or are carried out. Work that can wait asks before each of its reads
//! and is held while the count is not zero, but not longer than its patience: on a node that is never idle it goes on
//! slowly instead of never. Once given up, it ends at its next read.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::disk::{GivenUp, Turn};

/// See the module.
#[derive(Debug)]
pub(super) struct Quiet {
    /// How long one read is held at most.
    patience: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Operations of peers that wait or are carried out.
    wanted: usize,
    given_up: bool,
}

/// An operation of a peer, until it is dropped.
#[derive(Debug)]
pub(super) struct Wanted(Arc<Quiet>);

impl Quiet {
    pub(super) fn new(patience: Duration) -> Arc<Quiet> {
        Arc::new(Quiet {
            patience,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        })
    }

    /// A peer wants something.
    pub(super) fn wanted(self: &Arc<Quiet>) -> Wanted {
        self.state().wanted += 1;
        Wanted(Arc::clone(self))
    }

    /// Ends what waits for its turn, and all that will.
    pub(super) fn give_up(&self) {
        self.state().given_up = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Held only for a moment of counting, which leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.wanted -= 1;
        if state.wanted == 0 {
            self.0.changed.notify_all();
        }
    }
}

impl Turn for Quiet {
    fn wait(&self) -> Result<(), GivenUp> {
        let is_held = |state: &mut State| state.wanted > 0 && !state.given_up;
        let waited = self
            .changed
            .wait_timeout_while(self.state(), self.patience, is_held);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.given_up { Err(GivenUp) } else { Ok(()) }
    }
}
