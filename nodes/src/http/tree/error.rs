//! What can be wrong with a request for a place in the virtual drive, and which status each error of the drive gets.

use actix_web::http::StatusCode;
use thiserror::Error;
use truckee_engine::drive::{DriveError, EditWhy};
use truckee_grid::drive::NameError;

/// Why a request for a place in the virtual drive is not served. Sentences never repeat what the client sent.
#[derive(Debug, Error)]
pub(in crate::http) enum TreeError {
    #[error("the path has an empty part: two slashes stand side by side")]
    EmptyPart,
    #[error("a path may have at most {parts_max} parts")]
    TooDeep { parts_max: usize },
    #[error("this cannot be the name of a child: {0}")]
    BadName(NameError),
    #[error("{name}= is missing; it names the child")]
    NoName { name: &'static str },
    #[error("there is no child of that name")]
    NoSuchChild,
    #[error("a file is in the way: only directories have something below them")]
    FileInTheWay,
    #[error("a directory is in the way; it is not replaced by a file")]
    DirectoryInTheWay,
    #[error("there is already a child of that name, and it is not to be replaced")]
    Exists,
    #[error("caps of kind {kind} do not open a directory; one that does begins with URI:DIR2")]
    NoDirectory { kind: &'static str },
    #[error("this is of a kind that only newer software knows; it can be listed and moved, nothing else")]
    UnknownKind,
    #[error("an immutable directory never changes; make a new one")]
    ImmutableDirectory,
    #[error("an immutable file never changes; PUT /uri stores a new one")]
    ImmutableFile,
    #[error("this is a directory; a body can only be put in the place of a file")]
    NotAFile,
    #[error("this takes a directory, and there is a file")]
    NotADirectory,
    #[error("the URL names a cap, and nothing that is linked somewhere; name a child of a directory")]
    NotLinked,
    #[error("offset = {offset} lies beyond the end of the file, which has {file_bytes} bytes")]
    OffsetBeyondEnd { offset: u64, file_bytes: u64 },
    #[error("the file was changed by somebody else while it was written; nothing was replaced, try again")]
    ChangedMeanwhile,
    #[error("a directory cannot be moved into itself")]
    IntoItself,
    #[error("{0}")]
    BadChild(ChildError),
    #[error(
        "the children cannot be read as JSON (line {line}, column {column}); wanted is \
             {{\"name\": [\"filenode\", {{\"rw_uri\" or \"ro_uri\": cap, \"metadata\": {{}}}}]}}"
    )]
    BadJson { line: usize, column: usize },
    #[error("two of the names are the same name")]
    SameName,
    #[error("t=mkdir takes no body; use t=mkdir-with-children to give children")]
    UnwantedBody,
    #[error("the directory's listing is damaged, or the cap names a file that is no directory")]
    BadListing,
    #[error("the directory's listing has {bytes} bytes; at most {bytes_max} are read")]
    ListingTooLong { bytes: u64, bytes_max: u64 },
    #[error("{0}")]
    Drive(#[from] DriveError),
}

/// What can be wrong with the caps of a child.
#[derive(Debug, Error)]
pub(in crate::http) enum ChildError {
    #[error("a child needs a cap: rw_uri or ro_uri")]
    NoCap,
    #[error("a child's cap cannot be read: {0}")]
    BadCap(truckee_grid::caps::CapError),
    #[error("a cap of a kind that is not known here may only be linked as ro_uri, or with one beside it")]
    UnknownWrite,
    #[error(
        "a cap that writes stands where one that only reads was promised (ro_uri, or the prefix ro. or imm.)"
    )]
    NotReadOnly,
    #[error("a child of an immutable directory must be immutable itself, with all below it")]
    NotImmutable,
    #[error("a verify cap cannot be linked: nobody could read the child")]
    VerifyOnly,
    #[error(
        "the metadata of a child may have at most {} bytes",
        truckee_grid::drive::METADATA_BYTES_MAX
    )]
    Metadata,
    #[error("the cap of a child is longer than {bytes_max} bytes or holds control characters")]
    TooLong { bytes_max: usize },
}

impl TreeError {
    pub(in crate::http) fn status(&self) -> StatusCode {
        match self {
            TreeError::EmptyPart
            | TreeError::TooDeep { .. }
            | TreeError::BadName(_)
            | TreeError::NoName { .. }
            | TreeError::NoDirectory { .. }
            | TreeError::UnknownKind
            | TreeError::ImmutableFile
            | TreeError::NotAFile
            | TreeError::NotADirectory
            | TreeError::NotLinked
            | TreeError::OffsetBeyondEnd { .. }
            | TreeError::IntoItself
            | TreeError::BadChild(_)
            | TreeError::BadJson { .. }
            | TreeError::SameName
            | TreeError::UnwantedBody => StatusCode::BAD_REQUEST,
            TreeError::NoSuchChild => StatusCode::NOT_FOUND,
            TreeError::FileInTheWay
            | TreeError::DirectoryInTheWay
            | TreeError::Exists
            | TreeError::ChangedMeanwhile => StatusCode::CONFLICT,
            TreeError::ImmutableDirectory => StatusCode::FORBIDDEN,
            TreeError::BadListing => StatusCode::GONE,
            TreeError::ListingTooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            TreeError::Drive(error) => drive_status(error),
        }
    }

    pub(in crate::http) fn cause(&self) -> &'static str {
        match self {
            TreeError::EmptyPart | TreeError::TooDeep { .. } => "bad_url",
            TreeError::BadName(_) | TreeError::NoName { .. } => "bad_name",
            TreeError::NoSuchChild => "no_such_child",
            TreeError::FileInTheWay | TreeError::NotADirectory => "not_a_directory",
            TreeError::DirectoryInTheWay | TreeError::NotAFile => "is_a_directory",
            TreeError::Exists => "exists",
            TreeError::NoDirectory { .. } => "bad_cap",
            TreeError::UnknownKind => "unknown_kind",
            TreeError::ImmutableDirectory | TreeError::ImmutableFile => "immutable",
            TreeError::NotLinked => "not_linked",
            TreeError::OffsetBeyondEnd { .. } => "bad_argument",
            TreeError::ChangedMeanwhile => "changed_meanwhile",
            TreeError::IntoItself => "into_itself",
            TreeError::BadChild(_) | TreeError::BadJson { .. } | TreeError::SameName => "bad_children",
            TreeError::UnwantedBody => "unwanted_body",
            TreeError::BadListing | TreeError::ListingTooLong { .. } => "bad_listing",
            TreeError::Drive(error) => drive_cause(error),
        }
    }
}

/// Upstream failures are told apart: 503 may pass by waiting, 502 will not, 504 leaves open what happened.
fn drive_status(error: &DriveError) -> StatusCode {
    match error {
        DriveError::NoVdrive
        | DriveError::Unreachable { .. }
        | DriveError::Contended { .. }
        | DriveError::Busy { .. }
        | DriveError::Database
        | DriveError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        DriveError::Unknown => StatusCode::GATEWAY_TIMEOUT,
        DriveError::NotFound => StatusCode::GONE,
        DriveError::ReadOnly => StatusCode::FORBIDDEN,
        DriveError::VerifyOnly => StatusCode::BAD_REQUEST,
        DriveError::Forged | DriveError::RolledBack { .. } | DriveError::SplitDatabase => {
            StatusCode::BAD_GATEWAY
        }
        DriveError::Refused(refused) => match refused.why {
            EditWhy::Exists | EditWhy::ExistsDirectory | EditWhy::Changed | EditWhy::Full { .. } => {
                StatusCode::CONFLICT
            }
            EditWhy::NotFound => StatusCode::NOT_FOUND,
            EditWhy::Metadata { .. } | EditWhy::WrongKind | EditWhy::Name(_) | EditWhy::Target(_) => {
                StatusCode::BAD_REQUEST
            }
        },
        DriveError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        DriveError::DirectoryTooLarge { .. } => StatusCode::INSUFFICIENT_STORAGE,
        DriveError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn drive_cause(error: &DriveError) -> &'static str {
    match error {
        DriveError::NoVdrive => "no_vdrive",
        DriveError::Unreachable { .. } => "vdrive_unreachable",
        DriveError::Unknown => "outcome_unknown",
        DriveError::NotFound => "no_such_directory",
        DriveError::ReadOnly => "read_only",
        DriveError::VerifyOnly => "bad_cap",
        DriveError::Forged => "forged",
        DriveError::RolledBack { .. } => "rolled_back",
        DriveError::SplitDatabase => "split_database",
        DriveError::Refused(refused) => match refused.why {
            EditWhy::Exists => "exists",
            EditWhy::ExistsDirectory => "is_a_directory",
            EditWhy::NotFound => "no_such_child",
            EditWhy::Changed => "changed_meanwhile",
            EditWhy::Full { .. } => "directory_full",
            EditWhy::Metadata { .. } => "bad_metadata",
            EditWhy::WrongKind => "wrong_kind",
            EditWhy::Name(_) => "bad_name",
            EditWhy::Target(_) => "bad_target",
        },
        DriveError::Contended { .. } => "contended",
        DriveError::TooLarge { .. } => "change_too_large",
        DriveError::DirectoryTooLarge { .. } => "directory_too_large",
        DriveError::Busy { .. } => "busy",
        DriveError::Database => "vdrive_database",
        DriveError::Stopping => "stopping",
        DriveError::Internal => "internal",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use truckee_engine::drive::EditRefused;

    use super::*;

    #[test]
    fn every_error_of_the_drive_has_its_status() {
        let refused = |why| DriveError::Refused(EditRefused { index: 0, why });
        let busy = DriveError::Busy {
            retry_after: Duration::from_secs(1),
        };
        for (error, status) in [
            (DriveError::NoVdrive, 503),
            (DriveError::Unreachable { known: 2 }, 503),
            (DriveError::Unknown, 504),
            (DriveError::NotFound, 410),
            (DriveError::ReadOnly, 403),
            (DriveError::VerifyOnly, 400),
            (DriveError::Forged, 502),
            (DriveError::RolledBack { seen: 2, got: 1 }, 502),
            (DriveError::SplitDatabase, 502),
            (DriveError::Contended { tries: 16 }, 503),
            (DriveError::TooLarge { bytes_max: 1 }, 413),
            (busy, 503),
            (DriveError::Database, 503),
            (DriveError::Stopping, 503),
            (DriveError::Internal, 500),
            (refused(EditWhy::Exists), 409),
            (refused(EditWhy::ExistsDirectory), 409),
            (refused(EditWhy::NotFound), 404),
            (refused(EditWhy::Changed), 409),
            (refused(EditWhy::Full { rows_max: 1 }), 409),
            (refused(EditWhy::Metadata { bytes_max: 1 }), 400),
            (refused(EditWhy::WrongKind), 400),
            (refused(EditWhy::Name(NameError::Empty)), 400),
        ] {
            assert_eq!(
                TreeError::Drive(error.clone()).status().as_u16(),
                status,
                "{error}"
            );
            assert!(!TreeError::Drive(error).cause().is_empty());
        }
    }
}
