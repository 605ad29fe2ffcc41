//! A node from its configuration: roles, identity, start and stop, and the HTTP gateway.
//!
//! [`init::init_node`] makes the directory of a new node, [`run::run_node`] runs it until it is told to stop. What a
//! running node tells about itself stands in [`run_file::RunFile`].

pub mod access;
mod behind;
pub mod config;
pub mod control;
pub mod dir;
mod drain;
mod heap;
pub mod http;
pub mod identity;
mod incident;
pub mod init;
pub mod lock;
pub mod logging;
pub mod metrics;
pub mod ports;
pub mod role;
pub mod run;
pub mod run_file;
mod services;
mod shutdown;
mod spans;
mod startup;
pub mod targets;
pub mod trust;
pub mod view;

pub use truckee_engine::invite::Invite;

pub use config::{Config, ConfigErrors, LogFormat, LogLevel};
pub use init::{InitError, InitExtra, InitSpec, Initialised, init_node};
pub use role::Role;
pub use run::{RunError, RunOptions, run_node};
pub use run_file::{RunFile, RunFileError};
