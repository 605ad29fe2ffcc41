//! Payloads that come in parts. Owns at most one unfinished message per lane, because the parts of a lane's message come
//! to the end before the lane's next message: so at most three buffers of the largest payload, whatever the peer does.
//!
//! A payload that is all in its first frame is not copied, nor are parts that adjoin each other in memory, as the decoder
//! lays them. From the first part on that does not, they are copied, into a buffer of the payload's length that is taken
//! only after the length was checked.

use bytes::{Bytes, BytesMut};
use truckee_wire::message::{Lane, Request, Response, TraceContext};

use super::{InboundId, RequestId, Violation};
use crate::time::Mono;

/// A message whose payload is not all here.
#[derive(Debug)]
pub(super) enum Incoming {
    Request {
        id: InboundId,
        request: Request,
        lane: Lane,
        trace: Option<TraceContext>,
        deadline: Mono,
    },
    Answer {
        id: RequestId,
        response: Response,
    },
}

impl Incoming {
    fn id(&self) -> u64 {
        match self {
            Incoming::Request { id, .. } => id.0,
            Incoming::Answer { id, .. } => id.0,
        }
    }

    fn is(&self, id: u64, of_answer: bool) -> bool {
        self.id() == id && of_answer == matches!(self, Incoming::Answer { .. })
    }
}

#[derive(Debug)]
struct Assembly {
    incoming: Incoming,
    buffer: BytesMut,
    payload_bytes: usize,
}

impl Assembly {
    fn append(&mut self, part: BytesMut) {
        if self.buffer.as_ptr_range().end != part.as_ptr() {
            self.buffer.reserve(self.payload_bytes - self.buffer.len());
        }
        self.buffer.unsplit(part);
    }
}

/// The unfinished messages, by lane.
#[derive(Debug, Default)]
pub(super) struct Assemblies {
    lanes: [Option<Assembly>; 3],
}

impl Assemblies {
    /// A message begins on `lane` with the first part of its payload. Gives it back with its payload if that is all.
    pub(super) fn begin(
        &mut self,
        lane: Lane,
        incoming: Incoming,
        payload_bytes: usize,
        part: BytesMut,
    ) -> Result<Option<(Incoming, Bytes)>, Violation> {
        let slot = &mut self.lanes[lane.index()];
        if slot.is_some() {
            return Err(Violation::Interleaved { lane });
        }
        if part.len() > payload_bytes {
            let id = incoming.id();
            return Err(Violation::PartLength {
                id,
                part: part.len(),
                expected: payload_bytes,
            });
        }
        if part.len() == payload_bytes {
            return Ok(Some((incoming, part.freeze())));
        }
        *slot = Some(Assembly {
            incoming,
            buffer: part,
            payload_bytes,
        });
        Ok(None)
    }

    /// A further part comes on `lane`. Gives the message back with its payload if it was the last. A part of a message
    /// that was dropped is dropped too.
    pub(super) fn push(
        &mut self,
        lane: Lane,
        id: u64,
        of_answer: bool,
        part: BytesMut,
    ) -> Result<Option<(Incoming, Bytes)>, Violation> {
        let slot = &mut self.lanes[lane.index()];
        let Some(assembly) = slot
            .as_mut()
            .filter(|assembly| assembly.incoming.is(id, of_answer))
        else {
            return Ok(None);
        };
        let expected = assembly.payload_bytes - assembly.buffer.len();
        if part.is_empty() || part.len() > expected {
            return Err(Violation::PartLength {
                id,
                part: part.len(),
                expected,
            });
        }
        assembly.append(part);
        if assembly.buffer.len() < assembly.payload_bytes {
            return Ok(None);
        }
        Ok(slot
            .take()
            .map(|assembly| (assembly.incoming, assembly.buffer.freeze())))
    }

    /// Forgets an unfinished message.
    pub(super) fn drop_message(&mut self, id: u64, of_answer: bool) {
        for slot in &mut self.lanes {
            slot.take_if(|assembly| assembly.incoming.is(id, of_answer));
        }
    }

    /// Whether a message is coming in.
    pub(super) fn any(&self) -> bool {
        self.lanes.iter().any(Option::is_some)
    }

    /// When the first unfinished request's time is over, and which it is. Answers have their deadline in the table of
    /// calls.
    pub(super) fn next_deadline(&self) -> Option<(Mono, InboundId)> {
        let requests = self
            .lanes
            .iter()
            .flatten()
            .filter_map(|assembly| match &assembly.incoming {
                Incoming::Request { id, deadline, .. } => Some((*deadline, *id)),
                Incoming::Answer { .. } => None,
            });
        requests.min()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.lanes = Default::default();
    }
}
