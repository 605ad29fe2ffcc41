//! Sessions in pairs over a simulated connection in virtual time, and single ones against frames made by hand.

mod drain;
mod flow;
mod harness;
mod hostile;
mod liveness;
mod random;
mod transfer;
