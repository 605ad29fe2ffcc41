//! State machines without I/O: session, backoff, upload, download, repair, membership, share store, scrubber, healer,
//! trimmer

pub mod backoff;
pub mod check;
pub mod download;
pub mod drive;
pub mod gc;
pub mod heal;
pub mod invite;
pub mod lease;
pub mod membership;
pub mod repair;
pub mod restart;
pub mod scrub;
pub mod session;
pub mod store;
pub mod time;
pub mod transfer;
pub mod trim;
pub mod upload;
pub mod vdrive;
