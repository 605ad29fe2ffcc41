//! How requests on a link are named, and how one ends that was not answered as asked.

use std::time::Duration;

use truckee_wire::convert::ConvertError;
use truckee_wire::message::Failure;

/// Names a request of this end, on this link. Never used twice on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a request of the other end, on this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboundId(pub u64);

/// Why a request was not answered as asked. Whoever asked decides whether to try again: no layer below does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The peer answered that it does not do it.
    #[error("the peer refused: {0}")]
    Refused(Failure),
    /// No answer within the time budget.
    #[error("no answer within the time budget")]
    Expired,
    /// The link ended while the request was under way; it may or may not have been carried out.
    #[error("the link to the peer was lost")]
    LinkLost,
    /// There is no link to the peer; nothing was sent.
    #[error("the peer is down, next try in {} ms", retry_in.as_millis())]
    Down {
        /// Until the next dial.
        retry_in: Duration,
    },
    /// The peer, or this node, takes no new requests because it is about to end the link; nothing was sent.
    #[error("the peer takes no new requests, it is leaving")]
    Leaving,
    /// Too many requests, or too many bytes of them, are waiting on this link already; nothing was sent.
    #[error("too many requests are waiting on the link to the peer")]
    Saturated,
    /// The peer's answer breaks a bound, or answers something else than was asked.
    #[error("the peer's answer is invalid: {0}")]
    BadAnswer(ConvertError),
    /// The request breaks a bound; nothing was sent.
    #[error("the request cannot be sent: {0}")]
    Unsendable(ConvertError),
}
