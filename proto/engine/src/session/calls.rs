//! The table of this end's requests. Owns their deadlines and the count of payload bytes against the peer's credit.
//!
//! States of a call: *queued* (nothing sent), *begun* (its first frame is out), *sent* (all is out), *answering* (the
//! answer's first frame is here), gone. A call that is cancelled or expires after it has begun is *abandoned*: nobody
//! here waits any more, but it holds its credit until the peer answers, because only then has the peer let go of its
//! bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truckee_wire::message::{Request, RequestKind};

use super::{CallError, REQUESTS_MAX, RequestId};
use crate::time::Mono;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Queued,
    Begun,
    Sent { at: Mono },
    Answering,
    Abandoned,
}

#[derive(Clone, Debug)]
struct Call {
    kind: RequestKind,
    deadline: Mono,
    payload_bytes: usize,
    answer_bytes_max: usize,
    stage: Stage,
}

/// What has to be done about a call that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// Nothing of it was sent: take it out of the queue.
    Queued,
    /// Something of it was sent: stop sending the rest and tell the peer.
    Begun,
    /// Its answer was coming in: drop what is here and tell the peer.
    Answering,
}

/// What an answer's first frame is an answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) kind: RequestKind,
    pub(super) answer_bytes_max: usize,
    /// Somebody still waits for it.
    pub(super) wanted: bool,
    /// When the last of the request went out; `None` if the answer came before that.
    pub(super) sent_at: Option<Mono>,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Calls {
    table: BTreeMap<RequestId, Call>,
    /// Of those that somebody waits for.
    deadlines: BTreeSet<(Mono, RequestId)>,
    last_id: u64,
    waiting_bytes: usize,
    inflight_bytes: usize,
    /// Since when there is always somebody waiting.
    busy_since: Mono,
}

impl Calls {
    /// What the next request will be called.
    pub(super) fn next_id(&self) -> RequestId {
        RequestId(self.last_id + 1)
    }

    /// Enters a request.
    pub(super) fn open(
        &mut self,
        now: Mono,
        request: &Request,
        budget: Duration,
        waiting_bytes_max: usize,
    ) -> Result<RequestId, CallError> {
        let payload_bytes = request.payload_bytes();
        let room = self.waiting_bytes == 0 || self.waiting_bytes + payload_bytes <= waiting_bytes_max;
        if self.table.len() >= REQUESTS_MAX || (payload_bytes > 0 && !room) {
            return Err(CallError::Saturated);
        }
        if self.deadlines.is_empty() {
            self.busy_since = now;
        }
        let id = self.next_id();
        self.last_id = id.0;
        let call = Call {
            kind: request.kind(),
            deadline: now + budget,
            payload_bytes,
            answer_bytes_max: request.answer_payload_bytes_max(),
            stage: Stage::Queued,
        };
        self.deadlines.insert((call.deadline, id));
        self.waiting_bytes += payload_bytes;
        self.table.insert(id, call);
        Ok(id)
    }

    /// Whether a queued request fits the peer's credit. One that is longer than the whole credit goes when nothing
    /// else is under way.
    pub(super) fn fits(&self, id: RequestId, credit: usize) -> bool {
        self.table.get(&id).is_some_and(|call| {
            call.payload_bytes == 0
                || self.inflight_bytes == 0
                || self.inflight_bytes + call.payload_bytes <= credit
        })
    }

    /// The first frame goes out. Says how much time the request has left.
    pub(super) fn begin(&mut self, now: Mono, id: RequestId) -> Duration {
        let Some(call) = self.table.get_mut(&id) else {
            return Duration::ZERO;
        };
        debug_assert_eq!(call.stage, Stage::Queued);
        call.stage = Stage::Begun;
        self.waiting_bytes -= call.payload_bytes;
        self.inflight_bytes += call.payload_bytes;
        call.deadline.saturating_sub(now)
    }

    /// The last frame went out.
    pub(super) fn sent(&mut self, now: Mono, id: RequestId) {
        if let Some(call) = self.table.get_mut(&id)
            && call.stage == Stage::Begun
        {
            call.stage = Stage::Sent { at: now };
        }
    }

    /// Nobody waits for the call any more. `None` if nobody did before.
    pub(super) fn give_up(&mut self, id: RequestId) -> Option<GivenUp> {
        let call = self.table.get_mut(&id)?;
        let given_up = match call.stage {
            Stage::Abandoned => return None,
            Stage::Queued => GivenUp::Queued,
            Stage::Begun | Stage::Sent { .. } => GivenUp::Begun,
            Stage::Answering => GivenUp::Answering,
        };
        self.deadlines.remove(&(call.deadline, id));
        if given_up == GivenUp::Begun {
            call.stage = Stage::Abandoned;
            return Some(given_up);
        }
        if given_up == GivenUp::Queued {
            self.waiting_bytes -= call.payload_bytes;
        }
        self.table.remove(&id);
        Some(given_up)
    }

    /// The first frame of an answer is here; frees the credit. `None` if there is nothing that it could answer.
    pub(super) fn answer_begins(&mut self, id: RequestId) -> Option<Answered> {
        let call = self.table.get_mut(&id)?;
        let (wanted, sent_at) = match call.stage {
            Stage::Queued | Stage::Answering => return None,
            Stage::Begun => (true, None),
            Stage::Sent { at } => (true, Some(at)),
            Stage::Abandoned => (false, None),
        };
        let answered = Answered {
            kind: call.kind,
            answer_bytes_max: call.answer_bytes_max,
            wanted,
            sent_at,
        };
        self.inflight_bytes -= call.payload_bytes;
        call.stage = Stage::Answering;
        if !wanted {
            self.table.remove(&id);
        }
        Some(answered)
    }

    /// The whole answer is here.
    pub(super) fn finish(&mut self, id: RequestId) {
        if let Some(call) = self.table.remove(&id) {
            debug_assert_eq!(call.stage, Stage::Answering);
            self.deadlines.remove(&(call.deadline, id));
        }
    }

    /// A call whose time is over.
    pub(super) fn next_expired(&self, now: Mono) -> Option<RequestId> {
        self.deadlines
            .first()
            .filter(|(deadline, _)| *deadline <= now)
            .map(|(_, id)| *id)
    }

    /// When the next call's time is over.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Empties the table; gives the calls that somebody waits for, in the order in which they were asked.
    pub(super) fn take_all(&mut self) -> Vec<RequestId> {
        let table = std::mem::take(&mut self.table);
        self.deadlines.clear();
        (self.waiting_bytes, self.inflight_bytes) = (0, 0);
        table
            .into_iter()
            .filter(|(_, call)| call.stage != Stage::Abandoned)
            .map(|(id, _)| id)
            .collect()
    }

    /// Whether the number was ever given to a request.
    pub(super) fn was_used(&self, id: RequestId) -> bool {
        id.0 <= self.last_id
    }

    /// Since when somebody has been waiting without a pause; `None` if nobody is.
    pub(super) fn busy_since(&self) -> Option<Mono> {
        if self.deadlines.is_empty() {
            None
        } else {
            Some(self.busy_since)
        }
    }

    /// Calls that somebody waits for.
    pub(super) fn wanted(&self) -> usize {
        self.deadlines.len()
    }

    /// Calls given up and not answered yet.
    pub(super) fn abandoned(&self) -> usize {
        self.table.len() - self.deadlines.len()
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    pub(super) fn inflight_bytes(&self) -> usize {
        self.inflight_bytes
    }
}
