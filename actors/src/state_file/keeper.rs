//! How an actor keeps its state in a file, over its own lives and those of the process.
//!
//! Owns the last state that was meant for the file, which outlives an actor that panics ([`Kept`]), and the writes of one life
//! ([`Keeper`]). A write that fails is told in the log, and the next state is the next try.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use actix::dev::ToEnvelope;
use actix::prelude::*;

use super::replace;
use crate::gate::tell;

/// Where a state is kept, for one life of an actor after the other: the file, and the last state that was meant for it.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T> {
    path: PathBuf,
    last: Arc<Mutex<Option<T>>>,
}

impl<T: Copy> Kept<T> {
    /// Begins with what an earlier process kept.
    pub(crate) fn new(path: PathBuf, recalled: Option<T>) -> Self {
        Self {
            path,
            last: Arc::new(Mutex::new(recalled)),
        }
    }

    /// What was meant for the file last.
    pub(crate) fn last(&self) -> Option<T> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state was written, or that failed and was told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Saved;

/// Writes the states of one life of an actor, one write at a time, on a thread that may block; of those that come meanwhile
/// only the newest.
#[derive(Debug)]
pub(crate) struct Keeper<T> {
    kept: Kept<T>,
    /// What follows if a write fails.
    unwritten: &'static str,
    writing: bool,
    next: Option<T>,
}

impl<T: Copy + Send + 'static> Keeper<T> {
    /// `unwritten` says what follows if the file cannot be written.
    pub(crate) fn new(kept: Kept<T>, unwritten: &'static str) -> Self {
        Self {
            kept,
            unwritten,
            writing: false,
            next: None,
        }
    }

    /// Keeps this from now on.
    pub(crate) fn keep(&mut self, state: T) {
        *self.kept.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        self.next = Some(state);
    }

    /// Begins to write what is to be written, unless a write is under way; `back` is told of its end by [`Saved`]. Whether
    /// nothing is left to do.
    pub(crate) fn go_on<A>(&mut self, back: &Addr<A>, text: impl FnOnce(T) -> String) -> bool
    where
        A: Actor<Context = Context<A>> + Handler<Saved>,
        A::Context: ToEnvelope<A, Saved>,
    {
        if self.writing {
            return false;
        }
        let Some(state) = self.next.take() else {
            return true;
        };
        self.writing = true;
        let (path, text, back, unwritten) =
            (self.kept.path.clone(), text(state), back.clone(), self.unwritten);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = replace(&path, text.as_bytes()) {
                tracing::warn!(path = %path.display(), %error, "{unwritten}");
            }
            if tell(&back, Saved).is_err() {
                tracing::debug!(path = %path.display(), "a state was written after its actor had ended");
            }
        });
        false
    }

    /// A write has ended.
    pub(crate) fn saved(&mut self) {
        self.writing = false;
    }
}
