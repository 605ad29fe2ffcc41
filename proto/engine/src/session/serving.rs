//! The table of the peer's requests. Owns the bounds that the peer must keep: how many, and how many payload bytes.
//!
//! States of a request: *arriving* (its payload is not all here), *working* (somebody works on it), *answering* (its
//! answer is queued or going out), gone. It counts until the last frame of its answer was handed to the socket (its
//! payload until the first was): a peer that asks but does not read runs into its own bound.

use std::collections::BTreeMap;

use truckee_wire::message::Lane;

use super::{InboundId, REQUESTS_MAX, Violation};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Arriving,
    Working,
    Answering,
}

#[derive(Clone, Copy, Debug)]
struct Served {
    lane: Lane,
    payload_bytes: usize,
    stage: Stage,
    cancelled: bool,
}

/// The table.
#[derive(Debug)]
pub(super) struct Serving {
    table: BTreeMap<InboundId, Served>,
    bytes: usize,
    bytes_max: usize,
    highest_id: u64,
}

impl Serving {
    /// Nothing asked yet; the peer may have `bytes_max` payload bytes unanswered.
    pub(super) fn new(bytes_max: usize) -> Serving {
        Serving {
            table: BTreeMap::new(),
            bytes: 0,
            bytes_max,
            highest_id: 0,
        }
    }

    /// Enters a request whose first frame is here.
    pub(super) fn open(&mut self, id: InboundId, lane: Lane, payload_bytes: usize) -> Result<(), Violation> {
        if self.table.contains_key(&id) {
            return Err(Violation::DuplicateRequest { id: id.0 });
        }
        if self.table.len() >= REQUESTS_MAX {
            return Err(Violation::TooManyRequests { max: REQUESTS_MAX });
        }
        let bytes = self.bytes + payload_bytes;
        if payload_bytes > 0 && self.bytes > 0 && bytes > self.bytes_max {
            return Err(Violation::CreditExceeded {
                bytes,
                max: self.bytes_max,
            });
        }
        self.bytes = bytes;
        self.highest_id = self.highest_id.max(id.0);
        self.table.insert(
            id,
            Served {
                lane,
                payload_bytes,
                stage: Stage::Arriving,
                cancelled: false,
            },
        );
        Ok(())
    }

    /// Where the request stands; `None` if there is no such request.
    pub(super) fn stage(&self, id: InboundId) -> Option<Stage> {
        self.table.get(&id).map(|served| served.stage)
    }

    /// All of the request is here.
    pub(super) fn work(&mut self, id: InboundId) {
        if let Some(served) = self.table.get_mut(&id) {
            served.stage = Stage::Working;
        }
    }

    /// The peer took the request back.
    pub(super) fn cancel(&mut self, id: InboundId) {
        if let Some(served) = self.table.get_mut(&id) {
            served.cancelled = true;
        }
    }

    /// An answer is being queued. Gives the request's lane and whether it was cancelled; `None` if there is no such
    /// request or it has its answer.
    pub(super) fn answer(&mut self, id: InboundId) -> Option<(Lane, bool)> {
        let served = self
            .table
            .get_mut(&id)
            .filter(|served| served.stage != Stage::Answering)?;
        served.stage = Stage::Answering;
        Some((served.lane, served.cancelled))
    }

    /// The first frame of the answer went out; the peer's credit is free, as it will be in the peer's own count when
    /// that frame arrives.
    pub(super) fn answer_begins(&mut self, id: InboundId) {
        if let Some(served) = self.table.get_mut(&id) {
            self.bytes -= std::mem::take(&mut served.payload_bytes);
        }
    }

    /// The last frame of the answer went out.
    pub(super) fn finish(&mut self, id: InboundId) {
        if let Some(served) = self.table.remove(&id) {
            self.bytes -= served.payload_bytes;
        }
    }

    /// Empties the table; gives the requests that somebody works on.
    pub(super) fn take_all(&mut self) -> Vec<InboundId> {
        self.bytes = 0;
        let table = std::mem::take(&mut self.table);
        let working = |served: &Served| served.stage == Stage::Working && !served.cancelled;
        table
            .into_iter()
            .filter(|(_, served)| working(served))
            .map(|(id, _)| id)
            .collect()
    }

    /// Whether the peer ever used the number, as far as can be told.
    pub(super) fn was_used(&self, id: InboundId) -> bool {
        id.0 <= self.highest_id
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
