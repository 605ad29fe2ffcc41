//! Signals to processes by pid.
//!
//! Owns the care that this needs: a pid may have been given to another process since it was read, so whoever signals a
//! process that is not its child first sees that the command line still names the node's directory.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Whether the process exists and has not ended. A zombie has ended.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Whether the process is a node that runs on `dir`.
pub(super) fn is_node(pid: u32, dir: &Path) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    line.split(|byte| *byte == 0)
        .any(|word| word == dir.as_os_str().as_encoded_bytes())
}

/// Sends a signal to a process that may already be gone.
///
/// # Panics
/// When the process is there and may not be signalled.
pub fn signal(pid: u32, signal: Signal) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        panic!("{pid} is no pid")
    };
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("cannot signal process {pid:?}: {error}"),
    }
}
