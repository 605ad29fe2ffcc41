//! State machines without I/O: session, backoff, upload, download, membership, share store

pub mod restart;
pub mod time;
