//! `truckee chaos`: a cluster under attack, and the proof that it keeps its promises.
//!
//! A seeded schedule of faults ([`plan`], within the [`budget`] of damage) is carried out against real processes
//! ([`attack`], [`net`], on other machines through [`ssh`]) while clients store, read and rename ([`work`]) and a [`model`] knows what must be there. When all
//! is healed everything that was acknowledged is looked at once more ([`verdict`]), and a [`report`] says what was seen.
//! Owns the order of these, and what is left of the cluster afterwards.

mod answer;
mod attack;
mod budget;
mod fault;
mod ground;
mod heal;
mod model;
mod net;
mod own;
mod patience;
mod plan;
mod probe;
mod random;
mod record;
mod report;
mod run;
mod shape;
mod ssh;
mod undo;
mod verdict;
mod work;
mod world;

pub(crate) use fault::Kind;
pub(crate) use run::run;
