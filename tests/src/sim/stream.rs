//! One direction of a simulated connection: chunks in order, each with the time at which it can arrive.
//!
//! Owns the chunks under way and whether an arrival event is on its way for them (`armed`; at most one at a time, so that
//! order needs no care elsewhere). Knows nothing of hosts or ways: [`Network`](super::network::Network) does.

use std::collections::VecDeque;

use bytes::Bytes;

use super::scheduler::{Micros, SECONDS};

/// What an end finds when something arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// These bytes.
    Chunk(Bytes),
    /// The other end has closed in order, and all that it sent was taken.
    End,
    /// Nothing yet.
    Nothing,
}

/// Chunks under way in one direction.
#[derive(Debug, Default)]
pub(super) struct Stream {
    chunks: VecDeque<(Micros, Bytes)>,
    bytes: usize,
    busy_until: Micros,
    last_due: Micros,
    armed: bool,
    ended: bool,
    sender_waits: bool,
}

impl Stream {
    /// Puts a chunk on its way: it leaves when those before it have left, at `bandwidth` bytes per second, and arrives
    /// `delay` later, but never before one that was sent earlier.
    pub(super) fn push(&mut self, now: Micros, chunk: Bytes, bandwidth: u64, delay: Micros) {
        let sending = (chunk.len() as u64).saturating_mul(SECONDS) / bandwidth.max(1);
        self.busy_until = self.busy_until.max(now) + sending;
        self.last_due = self.last_due.max(self.busy_until + delay);
        self.bytes += chunk.len();
        self.chunks.push_back((self.last_due, chunk));
    }

    /// Nothing arrives before `due`.
    pub(super) fn not_before(&mut self, due: Micros) {
        self.last_due = self.last_due.max(due + 1);
    }

    /// The time of the next arrival, if one has to be announced.
    pub(super) fn arm(&mut self) -> Option<Micros> {
        if self.armed {
            return None;
        }
        let due = match self.chunks.front() {
            Some((due, _)) => *due,
            None if self.ended => self.last_due,
            None => return None,
        };
        self.armed = true;
        Some(due)
    }

    /// The announced arrival has happened.
    pub(super) fn disarm(&mut self) {
        self.armed = false;
    }

    /// The next chunk that is due.
    pub(super) fn pop(&mut self, now: Micros) -> Taken {
        match self.chunks.front() {
            Some((due, _)) if *due > now => Taken::Nothing,
            Some(_) => match self.chunks.pop_front() {
                Some((_, chunk)) => {
                    self.bytes -= chunk.len();
                    Taken::Chunk(chunk)
                }
                None => Taken::Nothing,
            },
            None if self.ended => Taken::End,
            None => Taken::Nothing,
        }
    }

    /// Is there room in a window of `window` bytes? If not, the sender waits to be woken.
    pub(super) fn has_room(&mut self, window: usize) -> bool {
        let room = self.bytes < window && !self.ended;
        self.sender_waits = !room;
        room
    }

    /// Is it time to wake a sender that found no room?
    pub(super) fn wakes_sender(&mut self, window: usize) -> bool {
        let wakes = self.sender_waits && self.bytes < window;
        self.sender_waits &= !wakes;
        wakes
    }

    /// No more will be sent.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Forgets what is under way: nobody is left to take it.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.bytes = 0;
    }
}
