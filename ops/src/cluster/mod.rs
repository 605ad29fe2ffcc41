//! A whole cluster of real processes on one machine.
//!
//! [`up`] runs it, [`file`] is what others see of it, `layout` is what stands on disk, `process` one child, `signals`
//! what the outside says. The supervisor is single-threaded: only its main loop starts, signals and reaps children, so
//! no pid is ever signalled after it was reaped.

pub mod file;
pub(crate) mod layout;
mod observe;
pub(crate) mod process;
pub(crate) mod signals;
mod targets;
pub(crate) mod up;
pub(crate) mod watch;
