//! How calls end, and which copies are kept for the next ones.

use std::sync::Arc;

use super::DriveError;
use super::copy::Copy;
use super::directory::{Directory, Doing, Key};
use super::machine::Drive;
use super::types::{Effect, Note, Outcome};

impl Drive {
    /// Takes back the requests of what was under way.
    pub(super) fn cancel_requests(&mut self, key: Key) {
        for token in std::mem::take(&mut self.directory(key).tokens) {
            if self.calls.close(token).is_some() {
                self.push(Effect::CancelSend { token });
            }
        }
    }

    /// Ends all that waits for what is under way.
    pub(super) fn fail(&mut self, key: Key, error: &DriveError) {
        self.cancel_requests(key);
        let directory = self.directory(key);
        let doing = std::mem::replace(&mut directory.doing, Doing::Nothing);
        // The shell may still be at it; its result is of no use to anybody then.
        if let Doing::Opening { job, .. } | Doing::Preparing { job } = doing {
            self.jobs.remove(&job);
        }
        let directory = self.directory(key);
        let readers = std::mem::take(&mut directory.readers);
        let batch = directory.batch.take();
        for ticket in readers {
            self.finish(ticket, Err(error.clone()));
        }
        let Some(batch) = batch else { return };
        let sent = match (&doing, &batch.doubt) {
            (_, Some(doubt)) => Some(&doubt.prepared),
            (Doing::Committing { prepared, .. }, None) => Some(prepared),
            _ => None,
        };
        self.end_batch(&batch, batch.calls.len());
        for (index, call) in batch.calls.iter().enumerate() {
            let unknown =
                sent.is_some_and(|sent| sent.answers.get(index).is_some_and(|answer| answer.in_change));
            let error = if unknown {
                DriveError::Unknown
            } else {
                error.clone()
            };
            self.finish(call.ticket, Err(error));
        }
    }

    /// A copy becomes the newest that is known.
    pub(super) fn install(&mut self, key: Key, copy: Arc<Copy>) {
        self.versions.note(key.0, copy.version());
        let directory = self.directory(key);
        let stamp = directory.stamp;
        let new = copy.bytes();
        let old = directory.copy.replace(copy).map_or(0, |old| old.bytes());
        self.copies_bytes = self.copies_bytes + new - old;
        self.copies.insert((stamp, key));
    }

    /// Answers the readers that waited for this.
    pub(super) fn serve_readers(&mut self, key: Key) {
        let directory = self.directory(key);
        let Some(copy) = &directory.copy else { return };
        let view = Arc::clone(copy.view());
        for ticket in std::mem::take(&mut directory.readers) {
            self.finish(ticket, Ok(Outcome::Read(Arc::clone(&view))));
        }
    }

    /// It is used now.
    pub(super) fn touch(&mut self, key: Key) {
        self.clock += 1;
        let stamp = self.clock;
        let old = std::mem::replace(&mut self.directory(key).stamp, stamp);
        if self.copies.remove(&(old, key)) {
            self.copies.insert((stamp, key));
        }
    }

    /// Forgets what nobody needs.
    pub(super) fn tidy(&mut self, key: Key) {
        let (idle, empty) = self.directories.get(&key).map_or((true, false), |directory| {
            (directory.is_idle(), directory.version() == 0)
        });
        if idle {
            self.busy.remove(&key);
        } else {
            self.busy.insert(key);
        }
        if idle && empty {
            self.directories.remove(&key);
        }
        if self.copies_bytes <= self.limits.copies_bytes {
            return;
        }
        let idle: Vec<(u64, Key)> = self
            .copies
            .iter()
            .filter(|(_, key)| self.directories.get(key).is_some_and(Directory::is_idle))
            .copied()
            .collect();
        for (stamp, key) in idle {
            if self.copies_bytes <= self.limits.copies_bytes {
                break;
            }
            self.copies.remove(&(stamp, key));
            let dropped = self.directories.remove(&key).and_then(|directory| directory.copy);
            self.copies_bytes -= dropped.map_or(0, |copy| copy.bytes());
            self.note(Note::Evicted);
        }
    }
}
