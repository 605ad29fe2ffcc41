//! Why a check or a walk is refused or ended. Sentences for people; no caps in them.

use actix_web::http::StatusCode;
use thiserror::Error;

use crate::http::check_port::CheckError;

/// See the module.
#[derive(Debug, Error)]
pub(in crate::http) enum DeepError {
    #[error("this operation walks a directory, and the URL names something else")]
    NotADirectory,
    #[error("nothing is known of how to check this: its cap is of a kind that later software made")]
    Unknown,
    #[error("this operation needs ophandle=, a name of your choice to ask about it by at /operations/NAME")]
    NoHandle,
    #[error("ophandle must have 1 to {bytes_max} bytes, none of them / or a control character")]
    BadHandle { bytes_max: usize },
    #[error("there is no operation of this handle, or it has expired")]
    NoSuchHandle,
    #[error("the tree has more than {objects_max} objects; walk its parts one by one")]
    TooManyObjects { objects_max: usize },
    #[error(
        "the results of operations have taken all {bytes_max} bytes that are kept for them; use t=stream-manifest or \
         t=stream-deep-check, or release older handles"
    )]
    ResultsTooLarge { bytes_max: usize },
    #[error("the operation was cancelled")]
    Cancelled,
    #[error("{0}")]
    Check(#[from] CheckError),
}

impl DeepError {
    pub(in crate::http) fn status(&self) -> StatusCode {
        match self {
            DeepError::NotADirectory
            | DeepError::Unknown
            | DeepError::NoHandle
            | DeepError::BadHandle { .. }
            | DeepError::Check(CheckError::CapContradicts) => StatusCode::BAD_REQUEST,
            DeepError::NoSuchHandle => StatusCode::NOT_FOUND,
            DeepError::TooManyObjects { .. } | DeepError::ResultsTooLarge { .. } => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            DeepError::Cancelled => StatusCode::GONE,
            DeepError::Check(CheckError::Stopping) => StatusCode::SERVICE_UNAVAILABLE,
            DeepError::Check(CheckError::Cancelled | CheckError::Internal) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// For programs; never reworded.
    pub(in crate::http) fn cause(&self) -> &'static str {
        match self {
            DeepError::NotADirectory => "not_a_directory",
            DeepError::Unknown => "unknown_kind",
            DeepError::NoHandle | DeepError::BadHandle { .. } => "bad_argument",
            DeepError::NoSuchHandle => "no_such_handle",
            DeepError::TooManyObjects { .. } => "too_many_objects",
            DeepError::ResultsTooLarge { .. } => "results_too_large",
            DeepError::Cancelled => "cancelled",
            DeepError::Check(error) => error.cause(),
        }
    }
}
