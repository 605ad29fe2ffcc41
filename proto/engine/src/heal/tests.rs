//! The rules of the healer, in a made-up grid where every storage node runs one.

mod additions;
mod draining;
mod grid;
mod merging;
mod placing;
mod rules;
