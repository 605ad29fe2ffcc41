//! Envelopes: what the head of a frame says, and heads ready to be sent.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use super::link::{
    goodbye_from_wire, goodbye_to_wire, hello_from_wire, hello_to_wire, lane_from_wire, lane_to_wire,
    trace_from_wire, trace_to_wire,
};
use super::request::{request_from_wire, request_to_wire};
use super::response::{answer_from_wire, answer_to_wire};
use super::{ConvertError, at_most};
use crate::frame::{FrameOut, HEAD_BYTES_MAX, PREFIX_BYTES};
use crate::message::limits::PAYLOAD_BYTES_MAX;
use crate::message::{Failure, Goodbye, Hello, Lane, Request, Response, TraceContext};
use crate::schema::{self, Envelope, Kind, envelope::Body};

/// What a frame is, by its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The first frame of each end.
    Hello(Hello),
    /// No new requests from now on.
    Goodbye(Goodbye),
    /// Answer with a pong of the same number.
    Ping {
        /// Chosen by the sender.
        id: u64,
    },
    /// To a ping; 0: a sign of life while a long message comes in.
    Pong {
        /// Of the ping.
        id: u64,
    },
    /// The requester no longer wants an answer.
    Cancel {
        /// Of the request.
        id: u64,
    },
    /// A request begins.
    Request {
        /// Chosen by the requester.
        id: u64,
        /// Of the request and its answer.
        lane: Lane,
        /// Time left when it was sent; `None`: the receiver's default.
        budget: Option<Duration>,
        /// Where it belongs.
        trace: Option<TraceContext>,
        /// Length of the whole payload.
        payload_bytes: usize,
        /// Without payload yet. An error is the requester's, who gets told; the link is sound.
        request: Result<Request, ConvertError>,
    },
    /// An answer begins.
    Answer {
        /// Of the request.
        id: u64,
        /// In which its parts come.
        lane: Lane,
        /// Length of the whole payload.
        payload_bytes: usize,
        /// Without payload yet. An error means that the request got no usable answer; the link is sound.
        answer: Result<Result<Response, Failure>, ConvertError>,
    },
    /// A further part of a payload.
    More {
        /// Of the request.
        id: u64,
        /// Of the message.
        lane: Lane,
        /// Of the answer to it, not of the request itself.
        of_answer: bool,
    },
}

/// Why a head makes no sense at all. The link is of no use after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not an envelope.
    #[error("the head of a frame is not valid protobuf")]
    Malformed,
    /// A kind of frame that this version does not know.
    #[error("a frame is of the unknown kind {got}")]
    UnknownKind {
        /// The number.
        got: i32,
    },
    /// A lane that this version does not know.
    #[error("a frame is of the unknown lane {got}")]
    UnknownLane {
        /// The number.
        got: i32,
    },
    /// The body is missing or of another kind than the frame.
    #[error("the body of a frame of kind {kind} is missing or of another kind")]
    Body {
        /// The number of the kind.
        kind: i32,
    },
    /// A message without a number.
    #[error("a message has the number 0")]
    NoId,
    /// No message has such a payload.
    #[error("a payload of {got} bytes is announced, at most {max} are taken")]
    PayloadTooLong {
        /// Announced.
        got: u32,
        /// Taken.
        max: usize,
    },
    /// A hello breaks a bound.
    #[error("the hello is invalid: {0}")]
    Hello(ConvertError),
}

/// Says what a frame is.
///
/// # Errors
/// The head is not an envelope or contradicts itself. That a request or answer inside breaks a bound is no error here.
pub fn decode_head(head: Bytes) -> Result<Head, HeadError> {
    let envelope = Envelope::decode(head).map_err(|_| HeadError::Malformed)?;
    let kind = Kind::try_from(envelope.kind).map_err(|_| HeadError::UnknownKind { got: envelope.kind })?;
    match kind {
        Kind::Unspecified => Err(HeadError::UnknownKind { got: envelope.kind }),
        Kind::Hello => hello_of(envelope),
        Kind::Goodbye => match envelope.body {
            Some(Body::Goodbye(goodbye)) => Ok(Head::Goodbye(goodbye_from_wire(goodbye))),
            _ => Err(HeadError::Body { kind: envelope.kind }),
        },
        Kind::Ping => Ok(Head::Ping { id: envelope.id }),
        Kind::Pong => Ok(Head::Pong { id: envelope.id }),
        Kind::Cancel => Ok(Head::Cancel {
            id: checked_id(&envelope)?,
        }),
        Kind::Request => request_of(envelope),
        Kind::Response => answer_of(envelope),
        Kind::More | Kind::MoreAnswer => Ok(Head::More {
            id: checked_id(&envelope)?,
            lane: checked_lane(&envelope)?,
            of_answer: kind == Kind::MoreAnswer,
        }),
    }
}

fn hello_of(envelope: Envelope) -> Result<Head, HeadError> {
    match envelope.body {
        Some(Body::Hello(hello)) => hello_from_wire(hello).map(Head::Hello).map_err(HeadError::Hello),
        _ => Err(HeadError::Body { kind: envelope.kind }),
    }
}

fn request_of(envelope: Envelope) -> Result<Head, HeadError> {
    let (id, lane) = (checked_id(&envelope)?, checked_lane(&envelope)?);
    let payload_bytes = checked_payload(&envelope)?;
    let budget = match envelope.budget_ms {
        0 => None,
        budget_ms => Some(Duration::from_millis(budget_ms.into())),
    };
    let trace = trace_from_wire(&envelope.trace);
    let request = match envelope.body {
        Some(Body::Request(request)) => request_from_wire(request, payload_bytes),
        None => Err(ConvertError::UnknownMessage),
        Some(_) => return Err(HeadError::Body { kind: envelope.kind }),
    };
    Ok(Head::Request {
        id,
        lane,
        budget,
        trace,
        payload_bytes,
        request,
    })
}

fn answer_of(envelope: Envelope) -> Result<Head, HeadError> {
    let (id, lane) = (checked_id(&envelope)?, checked_lane(&envelope)?);
    let payload_bytes = checked_payload(&envelope)?;
    let answer = match envelope.body {
        Some(Body::Response(response)) => answer_from_wire(response, payload_bytes),
        None => Err(ConvertError::UnknownMessage),
        Some(_) => return Err(HeadError::Body { kind: envelope.kind }),
    };
    Ok(Head::Answer {
        id,
        lane,
        payload_bytes,
        answer,
    })
}

fn checked_id(envelope: &Envelope) -> Result<u64, HeadError> {
    if envelope.id == 0 {
        Err(HeadError::NoId)
    } else {
        Ok(envelope.id)
    }
}

fn checked_lane(envelope: &Envelope) -> Result<Lane, HeadError> {
    lane_from_wire(envelope.lane).ok_or(HeadError::UnknownLane { got: envelope.lane })
}

fn checked_payload(envelope: &Envelope) -> Result<usize, HeadError> {
    let got = envelope.payload_bytes;
    if got as usize > PAYLOAD_BYTES_MAX {
        return Err(HeadError::PayloadTooLong {
            got,
            max: PAYLOAD_BYTES_MAX,
        });
    }
    Ok(got as usize)
}

/// The head of a message, checked, waiting to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    envelope: Envelope,
}

impl Prepared {
    /// The head of a request.
    ///
    /// # Errors
    /// A field breaks its bound, or the head would be longer than [`HEAD_BYTES_MAX`].
    pub fn request(
        id: u64,
        lane: Lane,
        trace: Option<TraceContext>,
        request: &Request,
    ) -> Result<Prepared, ConvertError> {
        let body = Body::Request(request_to_wire(request)?);
        let trace = trace_to_wire(trace);
        Prepared::new(Kind::Request, id, lane, trace, request.payload_bytes(), body)
    }

    /// The head of an answer.
    ///
    /// # Errors
    /// A field breaks its bound, or the head would be longer than [`HEAD_BYTES_MAX`].
    pub fn answer(id: u64, lane: Lane, answer: &Result<Response, Failure>) -> Result<Prepared, ConvertError> {
        let body = Body::Response(answer_to_wire(answer)?);
        let payload_bytes = answer.as_ref().map_or(0, Response::payload_bytes);
        Prepared::new(Kind::Response, id, lane, Bytes::new(), payload_bytes, body)
    }

    fn new(
        kind: Kind,
        id: u64,
        lane: Lane,
        trace: Bytes,
        payload_bytes: usize,
        body: Body,
    ) -> Result<Prepared, ConvertError> {
        at_most("payload", payload_bytes, PAYLOAD_BYTES_MAX)?;
        let envelope = Envelope {
            id,
            kind: kind.into(),
            lane: lane_to_wire(lane),
            budget_ms: u32::MAX, // replaced when the frame is laid out; here the longest, so that the check holds
            trace,
            payload_bytes: payload_bytes as u32,
            body: Some(body),
        };
        at_most("head", envelope.encoded_len(), HEAD_BYTES_MAX)?;
        Ok(Prepared { envelope })
    }

    /// The first frame of the message. `budget` (requests alone have one) is cut to whole milliseconds, at least 1 so
    /// that it does not turn into the receiver's default.
    pub fn into_frame(mut self, budget: Option<Duration>, part: Bytes) -> FrameOut {
        self.envelope.budget_ms = budget.map_or(0, |budget| {
            u32::try_from(budget.as_millis()).unwrap_or(u32::MAX).max(1)
        });
        lay_out(&self.envelope, part)
    }
}

/// The first frame of a link.
///
/// # Errors
/// A field of the hello breaks its bound.
pub fn hello_frame(hello: &Hello) -> Result<FrameOut, ConvertError> {
    let body = Body::Hello(hello_to_wire(hello)?);
    Ok(lay_out(&bare(Kind::Hello, 0, Some(body)), Bytes::new()))
}

/// The frame that announces the end of a link.
pub fn goodbye_frame(goodbye: Goodbye) -> FrameOut {
    lay_out(
        &bare(Kind::Goodbye, 0, Some(Body::Goodbye(goodbye_to_wire(goodbye)))),
        Bytes::new(),
    )
}

/// A ping.
pub fn ping_frame(id: u64) -> FrameOut {
    lay_out(&bare(Kind::Ping, id, None), Bytes::new())
}

/// The answer to a ping, or with 0 a sign of life.
pub fn pong_frame(id: u64) -> FrameOut {
    lay_out(&bare(Kind::Pong, id, None), Bytes::new())
}

/// Takes a request back.
pub fn cancel_frame(id: u64) -> FrameOut {
    lay_out(&bare(Kind::Cancel, id, None), Bytes::new())
}

/// A further part of the payload of request `id`, or of the answer to it.
pub fn more_frame(id: u64, lane: Lane, of_answer: bool, part: Bytes) -> FrameOut {
    let kind = if of_answer { Kind::MoreAnswer } else { Kind::More };
    let envelope = Envelope {
        lane: lane_to_wire(lane),
        ..bare(kind, id, None)
    };
    lay_out(&envelope, part)
}

fn bare(kind: Kind, id: u64, body: Option<Body>) -> Envelope {
    schema::Envelope {
        id,
        kind: kind.into(),
        body,
        ..Envelope::default()
    }
}

fn lay_out(envelope: &Envelope, part: Bytes) -> FrameOut {
    let head_bytes = envelope.encoded_len();
    debug_assert!(
        head_bytes <= HEAD_BYTES_MAX,
        "heads are checked when they are prepared"
    );
    let mut head = BytesMut::with_capacity(PREFIX_BYTES + head_bytes);
    head.put_u32((4 + head_bytes + part.len()) as u32);
    head.put_u32(head_bytes as u32);
    envelope.encode_raw(&mut head);
    FrameOut {
        head: head.freeze(),
        payload: part,
    }
}
