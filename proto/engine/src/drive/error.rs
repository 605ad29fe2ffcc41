//! Why a directory could not be read or changed.

use std::time::Duration;

use super::EditRefused;

/// Why a directory could not be read or changed. Nothing was changed, except where it says that this is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriveError {
    /// No member of the mesh has the role.
    #[error(
        "this mesh has no vdrive, the node that keeps directories; files are reached by their caps all the same. \
         Run a node with the role vdrive"
    )]
    NoVdrive,
    /// None of the vdrives answers.
    #[error("none of the {known} vdrives of this mesh answers; try again in a while, or look at their logs")]
    Unreachable {
        /// How many there are.
        known: usize,
    },
    /// The answer to a change was lost, and asking again did not help: it may count or not.
    #[error(
        "the vdrive was lost while it took the change, which may count or not; look before you repeat it"
    )]
    Unknown,
    /// No vdrive has heard of it.
    #[error("no vdrive of this mesh knows the directory; its cap may belong to another grid")]
    NotFound,
    /// The cap does not allow changes.
    #[error("the cap only reads; changing needs the write cap")]
    ReadOnly,
    /// The cap does not even read.
    #[error("the cap only checks; reading needs the read cap")]
    VerifyOnly,
    /// What the vdrive answered is not what the owner of the directory signed.
    #[error("the vdrive answered with rows that the directory's owner did not sign; it is damaged or lies")]
    Forged,
    /// What the vdrive answered is older than what was seen before.
    #[error("the vdrive answered with version {got} of a directory that had version {seen} before")]
    RolledBack {
        /// The highest version that this gateway has seen.
        seen: u64,
        /// The version now.
        got: u64,
    },
    /// Two vdrives of the mesh keep different databases.
    #[error("the vdrives of this mesh keep different databases; give all of them the same database URL")]
    SplitDatabase,
    /// One edit's condition does not hold.
    #[error(transparent)]
    Refused(#[from] EditRefused),
    /// Others changed the directory again and again in between.
    #[error("others changed the directory {tries} times in between; try again")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// The change is longer than a message may be.
    #[error("a single change may have at most {bytes_max} bytes; split it")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The directory's rows are more than a gateway keeps in memory.
    #[error(
        "the directory is larger than {bytes_max} bytes, more than a gateway reads; move children into subdirectories"
    )]
    DirectoryTooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// As much is under way as there is room for, here or at the vdrive.
    #[error("too many changes are under way; try again in {} s", .retry_after.as_secs().max(1))]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The vdrive's database fails.
    #[error("the vdrive cannot reach its database or failed inside; its log says more")]
    Database,
    /// The node stops.
    #[error("the node is stopping")]
    Stopping,
    /// A part of this node failed.
    #[error("something inside the gateway failed; its log has more")]
    Internal,
}
