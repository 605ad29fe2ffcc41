//! What a link needs besides requests and answers: lanes, hello, goodbye, failures, trace contexts.

use std::fmt;
use std::time::Duration;

use super::Grant;

/// The version of the protocol that this code speaks; both ends must say the same.
pub const PROTOCOL_VERSION: u32 = 1;

/// Longest text of a failure, in bytes: one sentence.
pub const FAILURE_TEXT_BYTES_MAX: usize = 300;

/// How soon a message is sent, relative to others of the same link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Heartbeats, rosters, refusals.
    Control,
    /// Somebody waits: reads.
    Interactive,
    /// Uploads, repair.
    Bulk,
}

impl Lane {
    /// All lanes, most urgent first.
    pub const ALL: [Lane; 3] = [Lane::Control, Lane::Interactive, Lane::Bulk];

    /// Position in [`Lane::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Lane::Control => 0,
            Lane::Interactive => 1,
            Lane::Bulk => 2,
        }
    }

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Lane::Control => "control",
            Lane::Interactive => "interactive",
            Lane::Bulk => "bulk",
        }
    }
}

/// 16 random bytes of one run of a process: new at each start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({:032x})", u128::from_be_bytes(self.0))
    }
}

/// A W3C trace context: which trace a request belongs to, and under which span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// Names the trace; not all zero.
    pub trace_id: [u8; 16],
    /// Names the span of the asker.
    pub span_id: [u8; 8],
}

/// The first message of each end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Of the protocol: [`PROTOCOL_VERSION`].
    pub version: u32,
    /// This run of the sender's process.
    pub session: SessionId,
    /// The sender's proof of membership; absent only at a node that is about to join.
    pub grant: Option<Grant>,
    /// Sequence of the sender's newest announcement.
    pub announcement_sequence: u64,
    /// The longest frame that the sender of this message takes, in bytes after the length field.
    pub frame_bytes_max: u32,
    /// Payload bytes of unanswered requests that the sender of this message takes.
    pub inflight_bytes_max: u32,
}

/// No new requests from now on; the link closes when those under way have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// Why.
    pub reason: GoodbyeReason,
}

/// Why a node ends a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GoodbyeReason {
    /// The node stops.
    Stopping,
    /// Another link between the two nodes is kept.
    Duplicate,
    /// The other end has no valid grant.
    Refused,
    /// Nobody uses the link.
    Idle,
    /// A reason that this version does not know.
    Other,
}

impl GoodbyeReason {
    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            GoodbyeReason::Stopping => "stopping",
            GoodbyeReason::Duplicate => "duplicate",
            GoodbyeReason::Refused => "refused",
            GoodbyeReason::Idle => "idle",
            GoodbyeReason::Other => "other",
        }
    }
}

/// Why a node did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", code.name())]
pub struct Failure {
    /// For programs.
    pub code: FailureCode,
    /// For people: one sentence of at most [`FAILURE_TEXT_BYTES_MAX`] bytes, without secrets.
    pub text: String,
    /// For [`FailureCode::Busy`]: when to ask again. Zero otherwise.
    pub retry_after: Duration,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureCode {
    /// The receiver does not know the message.
    Unsupported,
    /// A field breaks its bound, or the message does not fit the state.
    BadRequest,
    /// The asker's grant does not allow it, or the receiver has no such role.
    RefusedRole,
    /// The receiver has no such thing.
    NotFound,
    /// No space for new shares.
    Full,
    /// No permits now; ask again after `retry_after`.
    Busy,
    /// The share is damaged and has been put aside.
    Corrupt,
    /// The asker took the request back.
    Cancelled,
    /// The time budget was over before the work was done.
    Expired,
    /// The receiver's disk or code failed; its log says more. Also any code that this version does not know.
    Internal,
    /// [`super::Request::Join`]: not the invite's secret.
    BadSecret,
}

impl Failure {
    /// A failure with a sentence for people, cut at a character's edge to [`FAILURE_TEXT_BYTES_MAX`] bytes. Control
    /// characters become spaces, since no receiver takes them.
    pub fn new(code: FailureCode, text: impl Into<String>) -> Failure {
        let mut text: String = text.into();
        if text.chars().any(char::is_control) {
            text = text
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
        }
        let edge = (0..=FAILURE_TEXT_BYTES_MAX)
            .rev()
            .find(|at| text.is_char_boundary(*at));
        if text.len() > FAILURE_TEXT_BYTES_MAX {
            text.truncate(edge.unwrap_or(0));
        }
        Failure {
            code,
            text,
            retry_after: Duration::ZERO,
        }
    }

    /// "Ask again after `retry_after`" (sent as whole milliseconds).
    pub fn busy(retry_after: Duration, text: impl Into<String>) -> Failure {
        Failure {
            retry_after,
            ..Failure::new(FailureCode::Busy, text)
        }
    }
}

impl FailureCode {
    /// Every code.
    pub const ALL: [FailureCode; 11] = [
        FailureCode::Unsupported,
        FailureCode::BadRequest,
        FailureCode::RefusedRole,
        FailureCode::NotFound,
        FailureCode::Full,
        FailureCode::Busy,
        FailureCode::Corrupt,
        FailureCode::Cancelled,
        FailureCode::Expired,
        FailureCode::Internal,
        FailureCode::BadSecret,
    ];

    /// The name in metrics, logs and sentences.
    pub const fn name(self) -> &'static str {
        match self {
            FailureCode::Unsupported => "unsupported",
            FailureCode::BadRequest => "bad_request",
            FailureCode::RefusedRole => "refused_role",
            FailureCode::NotFound => "not_found",
            FailureCode::Full => "full",
            FailureCode::Busy => "busy",
            FailureCode::Corrupt => "corrupt",
            FailureCode::Cancelled => "cancelled",
            FailureCode::Expired => "expired",
            FailureCode::Internal => "internal",
            FailureCode::BadSecret => "bad_secret",
        }
    }
}
