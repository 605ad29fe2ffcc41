//! What an answer of the gateway says about the request: done, certainly not done, or nobody knows.
//!
//! Pure. The line between the last two is the gateway's own promise: it says 504 when a change may count or not, and with
//! every other refusal that it does not. A connection that broke says nothing.

use std::time::Duration;

use crate::error::CliError;

/// How long after a broken connection a change may still come to count: what a gateway gives a change that is in doubt
/// (15 s), one question of it (5 s), and as much again for a busy machine.
const LINGERS: Duration = Duration::from_secs(40);

/// What became of a request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What is counted in the table of errors: a status, or what happened to the connection.
    pub(crate) code: String,
    /// Whether it was done.
    pub(crate) fate: Fate,
    /// The gateway's sentence. It names no cap.
    pub(crate) sentence: String,
}

/// Whether a request that failed was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Certainly not.
    NotDone,
    /// Perhaps; if so, then before anything that is asked for after this time from now.
    Unknown {
        /// Until when it may come to count.
        lingers: Duration,
    },
}

impl Failed {
    /// Reads an error.
    pub(crate) fn of(error: &CliError) -> Failed {
        let lost = Fate::Unknown { lingers: LINGERS };
        let (code, fate) = match error {
            CliError::Status { status: 504, .. } => {
                // A later change is based on a later version, which this one would no longer fit.
                let lingers = Duration::ZERO;
                ("504".to_owned(), Fate::Unknown { lingers })
            }
            // What broke inside may have broken after the deed.
            CliError::Status {
                status: status @ 500..=502,
                ..
            } => (status.to_string(), lost),
            CliError::Status { status, .. } => (status.to_string(), Fate::NotDone),
            CliError::Unreachable { sent: false, .. } => ("no connection".to_owned(), Fate::NotDone),
            CliError::Unreachable { .. } => ("no answer".to_owned(), lost),
            CliError::CutShort { .. } => ("cut short".to_owned(), lost),
            _ => ("odd answer".to_owned(), lost),
        };
        Failed {
            code,
            fate,
            sentence: error.to_string(),
        }
    }

    /// Whether the gateway said that it failed inside, or that what it was told adds up to nothing: never right.
    pub(crate) fn is_wrong(&self) -> bool {
        matches!(self.code.as_str(), "500" | "502" | "odd answer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_status(status: u16) -> Failed {
        Failed::of(&CliError::Status {
            status,
            sentence: "because".into(),
            retry_after: None,
        })
    }

    fn unreachable(sent: bool) -> Failed {
        Failed::of(&CliError::Unreachable {
            gateway: "g".into(),
            reason: "r".into(),
            sent,
        })
    }

    #[test]
    fn only_some_answers_leave_open_what_happened() {
        let lost = Fate::Unknown { lingers: LINGERS };
        for status in [400, 404, 409, 410, 503, 507] {
            assert_eq!(of_status(status).fate, Fate::NotDone, "{status}");
            assert!(!of_status(status).is_wrong());
        }
        let lingers = Duration::ZERO;
        assert_eq!(of_status(504).fate, Fate::Unknown { lingers });
        assert_eq!(of_status(500).fate, lost);
        assert!(of_status(500).is_wrong() && of_status(502).is_wrong());
        assert_eq!(
            (unreachable(false).fate, unreachable(true).fate),
            (Fate::NotDone, lost)
        );
    }
}
