//! Thin actix shells over the machines, their supervision, and what they need of the world behind traits

pub mod call;
pub mod clock;
pub mod cpu;
pub mod directory;
pub mod drive;
mod figures;
pub mod gate;
pub mod gc;
pub mod heal;
pub mod inbound;
pub mod link;
mod listener;
pub mod membership;
pub mod mesh;
pub mod metrics;
pub mod net;
pub mod node;
mod peer;
pub mod scrub;
mod state_file;
pub mod store;
pub mod supervise;
#[cfg(test)]
mod testing;
mod timer;
pub mod tls;
pub mod trace;
pub mod transfers;
pub mod trim;
pub mod vdrive;
