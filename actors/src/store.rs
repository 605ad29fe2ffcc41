//! The share store of a node: its disk, the threads that wait for the disk, and the actor.

pub mod disk;
pub mod file_disk;
pub mod pool;
