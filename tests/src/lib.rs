//! Simulation of many engine nodes, and whole clusters of real processes
