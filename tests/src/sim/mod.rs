//! A mesh of engine nodes in one thread, in virtual time, from one seed.
//!
//! The machines of `truckee-engine` run here as they run under actors, over a simulated network and simulated disks that
//! fail in every way that the seed draws, with real bytes, real coding and real signatures. The same seed is the same
//! run, to the last byte: [`trace`] tells.
//!
//! From the bottom: [`rng`] and [`scheduler`] (what happens next), [`network`] (connections), [`disk`], [`node`] (the
//! machines put together), [`mix`] and [`faults`] (what goes wrong), [`wishes`] (what clients want), [`model`] and
//! [`drive`] (what must hold of files and of directories), [`world`] (one step), [`run`] (from start to the last check) and [`scenario`] (a story told by hand).

use std::sync::OnceLock;

use truckee_grid::Engines;
use truckee_grid::erasure::ErasureChoice;

pub mod disk;
pub mod drive;
pub mod faults;
pub mod identity;
pub mod mix;
pub mod model;
pub mod network;
pub mod node;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod scheduler;
pub mod shares;
mod stream;
pub mod trace;
mod way;
pub mod wishes;
pub mod world;

/// The engines that all nodes of all runs use; which they are changes nothing but the time it takes.
fn engines() -> Engines {
    static ENGINES: OnceLock<Engines> = OnceLock::new();
    *ENGINES.get_or_init(|| Engines::select(ErasureChoice::Auto).unwrap_or_else(|_| Engines::reference()))
}
