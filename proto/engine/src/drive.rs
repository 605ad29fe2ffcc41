//! The gateway's side of the virtual drive: verified copies of directories, and changes to them.
//!
//! [`Drive`] is the machine. What costs CPU time leaves it as [`Work`], which runs anywhere.

mod asking;
mod changing;
mod copy;
mod directory;
mod draft;
mod edit;
mod ending;
mod error;
mod machine;
mod metadata;
mod reading;
mod shared;
#[cfg(test)]
mod tests;
mod types;
mod vdrives;
mod versions;
mod view;
mod work;

pub use copy::CopyError;
pub use edit::{Edit, EditRefused, EditWhy, Edited, Replace};
pub use error::DriveError;
pub use machine::{Drive, TRIES_MAX};
pub use shared::SharedMap;
pub use types::{Effect, JobId, Limits, Note, Outcome, Ticket};
pub use view::{Children, DirectoryView};
pub use work::{CHANGE_BYTES_MAX, Work, Worked};
