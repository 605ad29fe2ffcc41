//! Simulation of many engine nodes, and whole clusters of real processes

pub mod dashboards;
pub mod rig;
pub mod sim;
pub mod years;

#[cfg(test)]
mod tidy;
