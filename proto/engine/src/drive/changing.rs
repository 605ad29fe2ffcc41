//! Changing a directory: from evaluated edits to a signed change that counts, does not, or may.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use truckee_grid::ids::NodeId;
use truckee_wire::message::{ChangeTaken, CommitChange, Request};

use super::DriveError;
use super::asking::Asking;
use super::directory::{Doing, Doubt, Key};
use super::machine::{Drive, TRIES_MAX};
use super::types::{Note, Outcome};
use super::work::{Change, Prepared, What};
use crate::time::Mono;
use crate::vdrive::REMEMBERED_CHANGES;

/// Longest rest after the second conflict in a row; it doubles with each further one.
const REST_FIRST_MS: u64 = 5;

/// Longest rest of all: with sixteen tries a call ends within two seconds on average.
const REST_MAX_MS: u64 = 250;

impl Drive {
    /// The edits of a batch have been evaluated.
    pub(super) fn prepared(&mut self, now: Mono, key: Key, prepared: Box<Prepared>) {
        let directory = self.directory(key);
        let Some(batch) = &directory.batch else { return };
        let Some(change) = &prepared.change else {
            if batch.confirmed {
                return self.answer_calls(key, &prepared);
            }
            // Refusals count only on top of what is the newest version.
            return self.start_fetch(now, key);
        };
        let request = Request::CommitChange(CommitChange {
            head: change.head,
            changes: change.rows.clone(),
        });
        let seen = self.versions.of(&key.0);
        let directory = self.directory(key);
        directory.admit_readers();
        directory.doing = Doing::Committing {
            prepared,
            asking: Asking::new(request, seen, now),
        };
    }

    pub(super) fn on_taken(&mut self, now: Mono, key: Key, vdrive: NodeId, taken: ChangeTaken) {
        let same_database = self.vdrives.answered(vdrive, taken.database);
        let directory = self.directory(key);
        if !matches!(directory.doing, Doing::Committing { .. }) {
            return;
        }
        if !same_database {
            self.note(Note::SplitDatabase);
            return self.fail(key, &DriveError::SplitDatabase);
        }
        // A request that is still out, here or at another vdrive, may have been first.
        let others_out = !directory.tokens.is_empty();
        let doing = std::mem::replace(&mut directory.doing, Doing::Nothing);
        self.cancel_requests(key);
        let Doing::Committing { prepared, asking } = doing else {
            return;
        };
        let Some(change) = &prepared.change else { return };
        if taken.taken || taken.head == Some(change.head) {
            return self.count(key, &prepared, change);
        }
        let newest = taken.head.map_or(0, |head| head.head.version);
        let own = change.head.head.version;
        let slot_is_anothers = newest == own && taken.head.is_some_and(|head| head.verify(&key.0).is_ok());
        let in_doubt = (asking.in_doubt || others_out) && !slot_is_anothers;
        if in_doubt && let Some(batch) = &mut self.directory(key).batch {
            let above = newest.checked_sub(own);
            let denied = above.is_some_and(|above| above < REMEMBERED_CHANGES as u64);
            batch.doubt = Some(Doubt { prepared, denied });
        }
        let seen = asking.seen;
        if newest < seen {
            self.note(Note::RolledBack);
            return self.fail(key, &DriveError::RolledBack { seen, got: newest });
        }
        if in_doubt {
            return self.start_fetch(now, key);
        }
        self.conflict(now, key);
    }

    /// The change counts.
    fn count(&mut self, key: Key, prepared: &Prepared, change: &Change) {
        let calls = prepared.answers.iter().filter(|answer| answer.in_change).count();
        self.note(Note::Taken { calls });
        self.install(key, Arc::clone(&change.copy));
        self.serve_readers(key);
        self.answer_calls(key, prepared);
    }

    /// Somebody else's change was first.
    fn conflict(&mut self, now: Mono, key: Key) {
        self.note(Note::Conflict);
        let Some(batch) = &mut self.directory(key).batch else {
            return;
        };
        batch.tries += 1;
        let tries = batch.tries;
        let creates = batch
            .calls
            .iter()
            .any(|call| matches!(call.what, What::Create(_)));
        if creates || tries >= TRIES_MAX {
            return self.fail(key, &DriveError::Contended { tries });
        }
        if tries == 1 {
            return self.start_fetch(now, key);
        }
        let most = (REST_FIRST_MS << (tries - 2)).min(REST_MAX_MS);
        let rest = Duration::from_micros(self.random.random_range(0..=most * 1000));
        self.directory(key).doing = Doing::Resting { until: now + rest };
    }

    /// Nobody answers a change any more.
    pub(super) fn give_up_change(&mut self, key: Key, prepared: Box<Prepared>, asking: Asking) {
        let in_doubt = asking.in_doubt;
        let error = asking.error(self.vdrives.len());
        if in_doubt && let Some(batch) = &mut self.directory(key).batch {
            let denied = false;
            batch.doubt = Some(Doubt { prepared, denied });
        }
        self.fail(key, &error);
    }

    /// A change was sent, its answer was lost, and the directory is further by now: its rows tell whether it counted.
    pub(super) fn settle_doubt(&mut self, now: Mono, key: Key, doubt: &Doubt) {
        let prepared = &doubt.prepared;
        let directory = self.directory(key);
        let (Some(change), Some(copy)) = (&prepared.change, &directory.copy) else {
            return;
        };
        // Rows are sealed under nonces that were drawn for this change, so nobody else made the same. One of them
        // stands for all.
        let stands = change.rows.iter().any(|row| {
            let sealed = row.sealed.as_ref();
            sealed.is_some_and(|sealed| copy.holds(&row.id, sealed))
        });
        if stands || copy.head() == Some(&change.head) {
            let calls = prepared.answers.iter().filter(|answer| answer.in_change).count();
            self.note(Note::Taken { calls });
            return self.answer_calls(key, prepared);
        }
        // Below its own version it may still be on its way, and count later.
        let settled = match copy.version().cmp(&change.head.head.version) {
            Ordering::Less => false,
            Ordering::Equal => true,
            Ordering::Greater => doubt.denied,
        };
        if settled {
            return self.conflict(now, key);
        }
        self.answer_unknown(key, prepared);
    }

    /// Nobody can tell any more. Calls that were not in the change are evaluated again: they were refused on top of a
    /// version of which nobody knows whether it ever was.
    fn answer_unknown(&mut self, key: Key, prepared: &Prepared) {
        let directory = self.directory(key);
        let Some(batch) = directory.batch.take() else {
            return;
        };
        let mut ended = Vec::new();
        for (index, call) in batch.calls.iter().enumerate().rev() {
            match prepared.answers.get(index) {
                Some(answer) if answer.in_change => ended.push(call),
                _ => directory.calls.push_front(call.clone()),
            }
        }
        for call in ended.into_iter().rev() {
            self.edits -= call.rows();
            self.finish(call.ticket, Err(DriveError::Unknown));
        }
    }

    /// Ends the calls of a batch that were evaluated; the others wait for the next change.
    fn answer_calls(&mut self, key: Key, prepared: &Prepared) {
        let Some(batch) = self.directory(key).batch.take() else {
            return;
        };
        let done = prepared.answers.len().min(batch.calls.len());
        self.end_batch(&batch, done);
        for (call, answer) in batch.calls.iter().zip(&prepared.answers) {
            self.finish(call.ticket, answer.result.clone().map(Outcome::Edited));
        }
        let directory = self.directory(key);
        for call in batch.calls[done..].iter().rev() {
            directory.calls.push_front(call.clone());
        }
    }
}
