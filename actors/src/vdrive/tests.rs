//! The vdrive over both databases.
