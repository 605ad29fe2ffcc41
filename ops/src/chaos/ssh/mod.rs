//! A grid on other machines, reached with the system's `ssh`.
//!
//! The [`inventory`] says which nodes there are and how each is controlled ([`control`]); a [`line`] carries one command at
//! a time to one of them, every word of it quoted ([`quote`]); [`shares`] looks at shares and damages them there; and
//! [`remote`] is the hand that puts these together. Not promised: that a command that was cut off did nothing, and that
//! somebody else with another inventory leaves the grid alone.

mod control;
mod inventory;
mod keys;
mod line;
mod quote;
mod remote;
mod shares;

pub(crate) use inventory::Inventory;
pub(crate) use remote::Remote;
