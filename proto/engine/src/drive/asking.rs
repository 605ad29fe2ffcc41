//! One question to whichever vdrive answers: to the best one first, to the next when that one fails or is silent, and
//! once more to all of them after a rest, until patience ends.
//!
//! Both kinds of question may be put several times: reading changes nothing, and the same signed change counts once.

use std::time::Duration;

use truckee_grid::ids::NodeId;
use truckee_wire::message::{Failure, FailureCode, Request};

use super::DriveError;
use crate::session::CallError;
use crate::time::Mono;
use crate::transfer::earlier;

/// Time for one request. A vdrive commits within milliseconds; one that needs longer is stuck behind its database.
pub(super) const REQUEST_BUDGET: Duration = Duration::from_secs(5);

/// Silence after which the next vdrive is asked too: a hundred times what an answer takes, so that no healthy one is
/// asked twice, and short enough for a person who waits.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(1);

/// Rest after all vdrives have failed: a killed process is started again within about a second.
const REST: Duration = Duration::from_millis(200);

/// How long a question is put when none of it was ever under way: a restart takes less.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it is put when a change was sent and its answer lost: it pays to wait for certainty.
const PATIENCE_IN_DOUBT: Duration = Duration::from_secs(15);

/// Sealed bytes of the largest directory: what a vdrive takes.
pub(super) const DIRECTORY_BYTES_MAX: usize = 128 << 20;

#[derive(Debug)]
pub(super) struct Asking {
    pub(super) request: Request,
    /// The highest version that was seen before it was put: an answer below it is a rollback. One that is seen meanwhile,
    /// with a cap of the other strength, says nothing about an answer that was on its way.
    pub(super) seen: u64,
    /// Those that are not asked yet in this round, the next one last.
    left: Vec<NodeId>,
    /// Requests that wait for an answer.
    out: usize,
    /// When the next one is asked although one is out.
    hedge_at: Option<Mono>,
    /// When the next round begins.
    round_at: Option<Mono>,
    began: Mono,
    /// Whether one was sent whose outcome is not known.
    pub(super) in_doubt: bool,
    /// Asking again is of no use.
    hopeless: bool,
    /// What the last one that failed said.
    trouble: Option<DriveError>,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Send(NodeId),
    Wait,
    GiveUp,
}

impl Asking {
    pub(super) fn new(request: Request, seen: u64, now: Mono) -> Self {
        Self {
            request,
            seen,
            left: Vec::new(),
            out: 0,
            hedge_at: None,
            round_at: Some(now),
            began: now,
            in_doubt: false,
            hopeless: false,
            trouble: None,
        }
    }

    /// What to do now. `order` is called when a round begins.
    pub(super) fn step(&mut self, now: Mono, order: impl FnOnce() -> Vec<NodeId>) -> Step {
        if self.hopeless {
            return Step::GiveUp;
        }
        if self.round_at.is_some_and(|at| at <= now) {
            if self.is_too_late(now) {
                return Step::GiveUp;
            }
            self.round_at = None;
            self.left = order();
            self.left.reverse();
            if self.left.is_empty() {
                return Step::GiveUp;
            }
        }
        let silent = self.hedge_at.is_some_and(|at| at <= now);
        if self.out > 0 && !silent {
            return Step::Wait;
        }
        if let Some(next) = self.left.pop() {
            self.out += 1;
            self.hedge_at = (!self.left.is_empty()).then_some(now + SILENCE_MAX);
            return Step::Send(next);
        }
        self.hedge_at = None;
        if self.out > 0 || self.round_at.is_some() {
            return Step::Wait;
        }
        if self.is_too_late(now) {
            return Step::GiveUp;
        }
        self.round_at = Some(now + REST);
        Step::Wait
    }

    /// A request was not answered as asked.
    pub(super) fn failed(&mut self, now: Mono, error: &CallError) {
        self.out = self.out.saturating_sub(1);
        self.hedge_at = None;
        let (trouble, in_doubt) = judge(error);
        self.in_doubt |= in_doubt;
        if let Some(DriveError::Busy { retry_after }) = &trouble {
            // Asking all others does not make their common database faster, but one of them may have room.
            if self.left.is_empty() && self.out == 0 {
                self.round_at = Some(now + (*retry_after).max(REST));
            }
        }
        // A vdrive that understood the question and refuses it speaks for all.
        self.hopeless = matches!(
            trouble,
            Some(DriveError::DirectoryTooLarge { .. } | DriveError::Internal)
        );
        self.trouble = trouble.or(self.trouble.take());
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        earlier(self.hedge_at, self.round_at)
    }

    fn is_too_late(&self, now: Mono) -> bool {
        let patience = if self.in_doubt {
            PATIENCE_IN_DOUBT
        } else {
            PATIENCE
        };
        now.saturating_sub(self.began) >= patience
    }

    /// Why it was given up.
    pub(super) fn error(self, known: usize) -> DriveError {
        if known == 0 {
            return DriveError::NoVdrive;
        }
        self.trouble.unwrap_or(DriveError::Unreachable { known })
    }
}

/// What a failure means to the asker, if more than "out of reach", and whether the request may have been carried out.
fn judge(error: &CallError) -> (Option<DriveError>, bool) {
    let Failure {
        code, retry_after, ..
    } = match error {
        CallError::Refused(failure) => failure,
        CallError::Down { .. } | CallError::Leaving => return (None, false),
        CallError::Saturated => {
            let retry_after = REST;
            return (Some(DriveError::Busy { retry_after }), false);
        }
        CallError::Unsendable(_) => return (Some(DriveError::Internal), false),
        CallError::Expired | CallError::LinkLost => return (None, true),
        CallError::BadAnswer(_) => return (Some(DriveError::Forged), true),
    };
    match code {
        FailureCode::Busy => {
            let retry_after = *retry_after;
            (Some(DriveError::Busy { retry_after }), false)
        }
        FailureCode::RefusedRole | FailureCode::Unsupported => (None, false),
        FailureCode::Full => {
            let bytes_max = DIRECTORY_BYTES_MAX;
            (Some(DriveError::DirectoryTooLarge { bytes_max }), false)
        }
        FailureCode::BadRequest | FailureCode::NotFound => (Some(DriveError::Internal), false),
        FailureCode::Cancelled | FailureCode::Expired => (None, true),
        FailureCode::Internal | FailureCode::Corrupt | FailureCode::BadSecret => {
            (Some(DriveError::Database), true)
        }
    }
}

#[cfg(test)]
mod tests {
    use truckee_wire::message::Request;

    use super::*;

    fn refused(code: FailureCode) -> CallError {
        CallError::Refused(Failure::new(code, "as the test wants it"))
    }

    #[test]
    fn what_may_have_been_carried_out_is_in_doubt_and_nothing_else() {
        let down = CallError::Down {
            retry_in: Duration::ZERO,
        };
        let doubtful = [CallError::Expired, CallError::LinkLost];
        let doubtful_codes = [
            FailureCode::Cancelled,
            FailureCode::Expired,
            FailureCode::Internal,
            FailureCode::Corrupt,
        ];
        for error in doubtful.into_iter().chain(doubtful_codes.map(refused)) {
            assert!(judge(&error).1, "{error:?}");
        }
        let certain = [down, CallError::Leaving, CallError::Saturated];
        let certain_codes = [
            FailureCode::Busy,
            FailureCode::RefusedRole,
            FailureCode::Unsupported,
            FailureCode::Full,
            FailureCode::BadRequest,
            FailureCode::NotFound,
        ];
        for error in certain.into_iter().chain(certain_codes.map(refused)) {
            assert!(!judge(&error).1, "{error:?}");
        }
        let bad = truckee_wire::convert::ConvertError::Missing { field: "head" };
        assert!(judge(&CallError::BadAnswer(bad)).1);
    }

    #[test]
    fn a_refusal_of_the_question_itself_ends_it() {
        let now = Mono::from_millis(1);
        let order = || vec![NodeId([1; 32]), NodeId([2; 32])];
        for (code, ends) in [
            (FailureCode::BadRequest, true),
            (FailureCode::Full, true),
            (FailureCode::RefusedRole, false),
            (FailureCode::Internal, false),
        ] {
            let mut asking = Asking::new(Request::GetStatus, 0, now);
            assert_eq!(asking.step(now, order), Step::Send(NodeId([1; 32])));
            asking.failed(now, &refused(code));
            let next = asking.step(now, order);
            let expected = if ends {
                Step::GiveUp
            } else {
                Step::Send(NodeId([2; 32]))
            };
            assert_eq!(next, expected, "{code:?}");
        }
    }
}
