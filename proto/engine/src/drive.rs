//! The gateway's side of the virtual drive: verified copies of directories, and changes to them.

mod edit;
mod error;
mod view;

pub use edit::{Edit, EditRefused, EditWhy, Edited, Replace};
pub use error::DriveError;
pub use view::DirectoryView;
