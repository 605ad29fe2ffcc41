//! The drive against vdrives that are made up: what it promises, one test each, and random histories.

mod doubt;
mod full;
mod histories;
mod lies;
mod model;
mod replays;
mod rules;
