//! Thin actix shells over the machines, their supervision, and what they need of the world behind traits
