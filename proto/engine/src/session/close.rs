//! Why links end, and which of two links between the same nodes is kept.

use std::time::Duration;

use truckee_grid::ids::NodeId;
use truckee_wire::convert::HeadError;
use truckee_wire::frame::FrameError;
use truckee_wire::message::{GoodbyeReason, Lane};

/// Why a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// Both ends said goodbye and all under way has ended.
    #[error("the link was closed ({})", .0.name())]
    Drained(GoodbyeReason),
    /// Goodbye was said, and what was under way took too long.
    #[error("the link was closed with requests under way ({})", .0.name())]
    DrainTimeout(GoodbyeReason),
    /// This end did not admit the peer.
    #[error("the peer was not admitted")]
    Refused,
    /// The peer did not admit this end.
    #[error("the peer does not admit this node")]
    RefusedByPeer,
    /// The peer speaks another version of the protocol.
    #[error(
        "the peer speaks version {theirs} of the protocol, this node speaks {ours}: upgrade the older one"
    )]
    VersionMismatch {
        /// This end's.
        ours: u32,
        /// The peer's.
        theirs: u32,
    },
    /// No hello, or no decision about it, in time.
    #[error("no valid hello came in time")]
    HelloTimeout,
    /// The peer sent nothing for too long.
    #[error("the peer was silent for {} ms", silent.as_millis())]
    Silent {
        /// For how long.
        silent: Duration,
    },
    /// The peer sends a frame too slowly.
    #[error("the peer took over {} s for one frame", within.as_secs())]
    SlowFrame {
        /// The bound.
        within: Duration,
    },
    /// The connection ended under the session.
    #[error("the connection was lost")]
    LinkLost,
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    ProtocolViolation(#[from] Violation),
}

/// How a peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The byte stream is not made of frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The head of a frame makes no sense.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The first frame is not a hello.
    #[error("its first message is not a hello")]
    HelloExpected,
    /// A second hello.
    #[error("it said hello twice")]
    HelloRepeated,
    /// Frames pile up before this end has decided about the hello.
    #[error("it sent too much before it was admitted")]
    Unadmitted,
    /// A second goodbye.
    #[error("it said goodbye twice")]
    GoodbyeRepeated,
    /// A request after the goodbye.
    #[error("it sent request {id} after its goodbye")]
    RequestAfterGoodbye {
        /// Of the request.
        id: u64,
    },
    /// A request with the number of one that is not answered yet.
    #[error("it used number {id} for two requests at once")]
    DuplicateRequest {
        /// Of both.
        id: u64,
    },
    /// More requests than [`super::REQUESTS_MAX`].
    #[error("it has more than {max} unanswered requests")]
    TooManyRequests {
        /// The bound.
        max: usize,
    },
    /// More payload than this end announced to take.
    #[error("its unanswered requests would carry {bytes} bytes, {max} are allowed")]
    CreditExceeded {
        /// With the request that broke it.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// An answer, or a cancel, to what was never asked.
    #[error("it refers to request {id}, which does not exist")]
    NoSuchRequest {
        /// The number it gave.
        id: u64,
    },
    /// A second message begins on a lane before the first has ended.
    #[error("it mixed two messages on the {} lane", lane.name())]
    Interleaved {
        /// Which lane.
        lane: Lane,
    },
    /// A part of a payload is empty, or longer than what the message announced.
    #[error("a part of {part} bytes of message {id} came where {expected} were missing")]
    PartLength {
        /// Of the request.
        id: u64,
        /// Of this part.
        part: usize,
        /// Still missing.
        expected: usize,
    },
    /// An answer with a longer payload than its request asked for.
    #[error("its answer to request {id} carries {bytes} bytes, at most {max} were asked for")]
    PayloadNotAsked {
        /// Of the request.
        id: u64,
        /// Announced.
        bytes: usize,
        /// Asked for.
        max: usize,
    },
}

/// Whether the newer of two links between the same two nodes is kept (else the older): the one dialled by the smaller
/// id, so that both ends choose the same after a simultaneous dial; of two links dialled by the same end the newer,
/// since the dialler knows that the older is gone.
///
/// The end that closes the other link says goodbye with [`GoodbyeReason::Duplicate`], so nothing under way is lost.
pub fn keeps_newer_link(
    local: &NodeId,
    peer: &NodeId,
    older_dialled_here: bool,
    newer_dialled_here: bool,
) -> bool {
    if older_dialled_here == newer_dialled_here {
        return true;
    }
    newer_dialled_here == (local < peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_keep_the_link_that_the_smaller_id_dialled() {
        let (small, large) = (NodeId([1; 32]), NodeId([2; 32]));
        for dialled_by_small_is_newer in [true, false] {
            let at_small = keeps_newer_link(
                &small,
                &large,
                !dialled_by_small_is_newer,
                dialled_by_small_is_newer,
            );
            let at_large = keeps_newer_link(
                &large,
                &small,
                dialled_by_small_is_newer,
                !dialled_by_small_is_newer,
            );
            assert_eq!(at_small, dialled_by_small_is_newer);
            assert_eq!(at_large, dialled_by_small_is_newer);
        }
    }

    #[test]
    fn of_two_links_of_one_dialler_the_newer_is_kept() {
        let (small, large) = (NodeId([1; 32]), NodeId([2; 32]));
        for here in [true, false] {
            assert!(keeps_newer_link(&small, &large, here, here));
            assert!(keeps_newer_link(&large, &small, here, here));
        }
    }
}
