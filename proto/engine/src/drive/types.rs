//! What goes into the drive and comes out of it.

use std::sync::Arc;
use std::time::Duration;

use truckee_grid::ids::NodeId;
use truckee_wire::message::{Lane, Request};

use super::asking::DIRECTORY_BYTES_MAX;
use super::work::Work;
use super::{DirectoryView, DriveError, Edited};
use crate::transfer::Token;

/// Bounds of a drive.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of verified copies that are kept for the next reader.
    pub copies_bytes: usize,
    /// Sealed bytes of the largest directory that is read.
    pub directory_bytes: usize,
    /// Reads and changes under way.
    pub tickets: usize,
    /// Edits that wait.
    pub edits: usize,
    /// Directories whose highest version is remembered.
    pub versions: usize,
}

impl Default for Limits {
    /// For a gateway that is to stay below 128 MiB: 48 MiB of copies are some 60,000 children. 65,536 versions take
    /// 10 MiB. A directory of 100,000 ordinary rows is 40 MB.
    fn default() -> Self {
        Self {
            copies_bytes: 48 << 20,
            directory_bytes: DIRECTORY_BYTES_MAX,
            tickets: 16_384,
            edits: 131_072,
            versions: 65_536,
        }
    }
}

/// Names one call of a user of the drive; chosen by the shell, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names one piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of a read.
    Read(Arc<DirectoryView>),
    /// Of a change; one for each edit. Durable. Without any: of a creation.
    Edited(Vec<Edited>),
}

/// Something that operators count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A copy was still the newest version.
    Current,
    /// A copy was brought up to date.
    News {
        /// Rows that changed.
        rows: usize,
    },
    /// A directory was read as a whole.
    Whole {
        /// Rows of it.
        rows: usize,
    },
    /// A change counts.
    Taken {
        /// Calls in it.
        calls: usize,
    },
    /// Somebody else's change was first.
    Conflict,
    /// A request to a vdrive failed.
    RequestFailed,
    /// An answer does not add up.
    Forged,
    /// An older version was given out as the newest.
    RolledBack,
    /// Two vdrives keep different databases.
    SplitDatabase,
    /// A copy was dropped for others.
    Evicted,
}

/// What the shell has to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Send a request and report its end by [`super::Drive::handle_answer`].
    Send {
        /// Names the request.
        token: Token,
        /// To whom.
        vdrive: NodeId,
        /// What.
        request: Request,
        /// How urgent.
        lane: Lane,
        /// Time for it.
        budget: Duration,
        /// The call that it is made for; of several, one of them.
        ticket: Option<Ticket>,
    },
    /// Nobody waits for this request any more.
    CancelSend {
        /// Names the request.
        token: Token,
    },
    /// Run the work, on the CPU pool unless it is short, and report by [`super::Drive::handle_worked`].
    Work {
        /// Names it.
        job: JobId,
        /// What to run.
        work: Work,
    },
    /// A call has ended. Exactly one for each ticket.
    Finished {
        /// Which call.
        ticket: Ticket,
        /// What it came to.
        result: Result<Outcome, DriveError>,
    },
    /// Count this.
    Note(Note),
}
