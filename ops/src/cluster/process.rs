//! One node of the cluster as a child process.
//!
//! Owns the child, its log and the pipe that ties its life to ours: the child's standard input is a pipe that we hold
//! and never write to, so that it ends by itself when this process is gone, however it went. One that is started to
//! outlive us has no such pipe. A child has its own process group, so that Ctrl-C reaches it only through us, in order.
//! A node that somebody else started in place of a dead child can be taken over: it is signalled and waited for like one,
//! but how it ended stays unknown. The log is bounded by copying it aside when it has grown;
//! lines written during that moment may be lost.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use truckee_nodes::RunFile;

use crate::error::CliError;
use crate::files;

/// A log larger than this is set aside as `log.1`; a day of an idle node at the default level is far below.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How much of a log's end is read to find the last line.
const LOG_TAIL_BYTES: u64 = 8 * 1024;

/// A running child, or a node that somebody else started.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    dir: PathBuf,
    held: Held,
    /// Where the log ended when this process started.
    log_start: u64,
    exit: Option<Ended>,
    /// Whether it must not outlive this process.
    tied: bool,
}

#[derive(Debug)]
enum Held {
    Child(Child),
    /// Its pid; only its parent learns how it ended.
    Stranger(u32),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// As the system says.
    With(ExitStatus),
    /// It is not our child: it is gone, and that is all that is known.
    Gone,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::With(status) => status.fmt(f),
            Ended::Gone => f.write_str("started by somebody else, so nobody here knows how"),
        }
    }
}

/// Where a node's log stands.
pub(crate) fn log_path(dir: &Path) -> PathBuf {
    dir.join("log")
}

impl Process {
    /// Starts the node in `dir` with this very program. It does not outlive us.
    pub(crate) fn start(name: &str, dir: &Path) -> Result<Process, CliError> {
        Process::start_with(name, dir, Vec::new())
    }

    /// The same, with more in its environment.
    pub(crate) fn start_with(
        name: &str,
        dir: &Path,
        environment: Vec<(&'static str, OsString)>,
    ) -> Result<Process, CliError> {
        Process::spawn(name, dir, true, environment)
    }

    /// The same, but the node goes on when this process ends or the value is dropped.
    pub(crate) fn start_free(name: &str, dir: &Path) -> Result<Process, CliError> {
        Process::spawn(name, dir, false, Vec::new())
    }

    fn spawn(
        name: &str,
        dir: &Path,
        tied: bool,
        environment: Vec<(&'static str, OsString)>,
    ) -> Result<Process, CliError> {
        // What a killed predecessor left must not be taken for this one's.
        files::remove_if_there(&dir.join("run.json"))?;
        let path = log_path(dir);
        bound_log(&path)?;
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path);
        let log = log.map_err(CliError::file("write", &path))?;
        let log_start = log.metadata().map_err(CliError::file("read", &path))?.len();
        let program = std::env::current_exe();
        let program = program.map_err(|source| CliError::System {
            action: "find this program's own file",
            source,
        })?;
        let mut command = Command::new(&program);
        command.arg("run").arg("--dir").arg(dir).envs(environment);
        if tied {
            command.arg("--exit-with-parent").stdin(Stdio::piped());
        } else {
            command.stdin(Stdio::null());
        }
        let spawned = command.stdout(Stdio::null()).stderr(log).process_group(0).spawn();
        let child = spawned.map_err(CliError::file("start", &program))?;
        Ok(Process {
            name: name.to_owned(),
            dir: dir.to_owned(),
            held: Held::Child(child),
            log_start,
            exit: None,
            tied,
        })
    }

    /// Takes over the node of `dir` that somebody else runs as `pid`. It outlives us unless it is stopped.
    pub(crate) fn adopt(name: &str, dir: &Path, pid: u32) -> Process {
        Process {
            name: name.to_owned(),
            dir: dir.to_owned(),
            held: Held::Stranger(pid),
            log_start: 0,
            exit: None,
            tied: false,
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        match &self.held {
            Held::Child(child) => child.id(),
            Held::Stranger(pid) => *pid,
        }
    }

    /// How it ended, if it did. Never blocks.
    pub(crate) fn ended(&mut self) -> Result<Option<Ended>, CliError> {
        if self.exit.is_some() {
            return Ok(self.exit);
        }
        self.exit = match &mut self.held {
            Held::Child(child) => {
                let looked = child.try_wait().map_err(|source| CliError::System {
                    action: "look after a child process",
                    source,
                })?;
                looked.map(Ended::With)
            }
            Held::Stranger(pid) => (!is_node(*pid, &self.dir)).then_some(Ended::Gone),
        };
        Ok(self.exit)
    }

    /// What the node says of itself, once it is ready.
    pub(crate) fn run_file(&self) -> Result<Option<RunFile>, CliError> {
        let read = RunFile::read(&self.dir);
        let run_file = read.map_err(|error| CliError::Node {
            node: self.name.clone(),
            reason: error.to_string(),
        })?;
        Ok(run_file.filter(|run_file| run_file.pid == self.pid()))
    }

    /// The error for a process that ended while starting.
    pub(crate) fn died(&self, status: Ended) -> CliError {
        let reason = last_line(&log_path(&self.dir), self.log_start);
        CliError::ChildDied {
            node: self.name.clone(),
            status: status.to_string(),
            reason: reason.unwrap_or_else(|| "it wrote nothing".into()),
            log: log_path(&self.dir),
        }
    }

    /// Asks it to stop in order; wakes it if it was frozen.
    pub(crate) fn terminate(&mut self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    fn signal(&mut self, signal: Signal) {
        // One whose exit was seen has given its pid away.
        if !matches!(self.ended(), Ok(None)) {
            return;
        }
        if let Err(error) = signal_node(self.pid(), &self.dir, signal) {
            eprintln!(
                "truckee: cannot signal {} (pid {}): {error}",
                self.name,
                self.pid()
            );
        }
    }
}

/// Whether the process with this pid is a node of that directory.
pub(crate) fn is_node(pid: u32, dir: &Path) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let dir = dir.as_os_str().as_encoded_bytes();
    line.split(|byte| *byte == 0)
        .any(|word| word.strip_suffix(b"/").unwrap_or(word) == dir)
}

/// Signals a process if it is a node of that directory; says whether it was.
///
/// The process is opened first, then looked at, then signalled: a pid that was given to somebody else meanwhile is never
/// hit.
pub(crate) fn signal_node(pid: u32, dir: &Path, signal: Signal) -> Result<bool, CliError> {
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(false);
    };
    let refused = |error: rustix::io::Errno| CliError::System {
        action: "signal a node",
        source: error.into(),
    };
    let process = match pidfd_open(raw, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        other => other.map_err(refused)?,
    };
    if !is_node(pid, dir) {
        return Ok(false);
    }
    match pidfd_send_signal(&process, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(false),
        other => other.map(|()| true).map_err(refused),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The ordered stop has happened before; this is for errors on the way, where nothing may be left behind.
        if self.tied && matches!(self.ended(), Ok(None)) {
            self.kill();
            // A killed process ends whatever happens; there is nobody left to tell if the system says otherwise.
            if let Held::Child(child) = &mut self.held {
                let _ = child.wait();
            }
        }
    }
}

/// Sets the log aside if it has grown over the bound.
pub(crate) fn bound_log(path: &Path) -> Result<(), CliError> {
    let length = match std::fs::metadata(path) {
        Ok(facts) => facts.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CliError::file("read", path)(error)),
    };
    if length <= LOG_BYTES_MAX {
        return Ok(());
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(".1");
    std::fs::copy(path, Path::new(&aside)).map_err(CliError::file("copy", path))?;
    // The node appends: after the cut its next line stands at the beginning.
    let log = OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(CliError::file("write", path))?;
    log.set_len(0).map_err(CliError::file("write", path))
}

/// The last line of the log that was written after `from`; prefers the program's own error line.
fn last_line(path: &Path, from: u64) -> Option<String> {
    let mut log = File::open(path).ok()?;
    let length = log.metadata().ok()?.len();
    log.seek(SeekFrom::Start(from.max(length.saturating_sub(LOG_TAIL_BYTES))))
        .ok()?;
    let mut tail = Vec::new();
    log.take(LOG_TAIL_BYTES).read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail).into_owned();
    let lines = || tail.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let own = lines().find_map(|line| line.strip_prefix("truckee: "));
    own.or_else(|| lines().next()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_a_process_of_that_directory_is_signalled() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "read -r _", "sh"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // A process has no command line for a moment after it was started.
        while std::fs::read(format!("/proc/{}/cmdline", child.id())).is_ok_and(|line| line.is_empty()) {
            std::thread::yield_now();
        }
        let elsewhere = Path::new("/nonexistent/nodes/x");
        assert!(!signal_node(child.id(), elsewhere, Signal::KILL).unwrap());
        assert!(child.try_wait().unwrap().is_none(), "it lives");
        assert!(signal_node(child.id(), dir.path(), Signal::KILL).unwrap());
        child.wait().unwrap();
        assert!(
            !signal_node(child.id(), dir.path(), Signal::KILL).unwrap(),
            "it is gone"
        );
    }

    #[test]
    fn the_last_line_of_this_run_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "truckee: of an earlier run\n").unwrap();
        let from = std::fs::metadata(&path).unwrap().len();
        assert_eq!(last_line(&path, from), None);
        let mut log = OpenOptions::new().append(true).open(&path).unwrap();
        log.write_all(b"starting\ntruckee: port 1 is in use\nstopped\n\n")
            .unwrap();
        assert_eq!(last_line(&path, from).as_deref(), Some("port 1 is in use"));
        assert_eq!(last_line(&path, from + 9 + 26).as_deref(), Some("stopped"));
    }

    #[test]
    fn a_grown_log_is_set_aside_under_its_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        log.write_all(b"small\n").unwrap();
        bound_log(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"small\n");
        log.set_len(LOG_BYTES_MAX + 1).unwrap();
        bound_log(&path).unwrap();
        log.write_all(b"next\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"next\n");
        assert_eq!(
            std::fs::metadata(dir.path().join("log.1")).unwrap().len(),
            LOG_BYTES_MAX + 1
        );
    }
}
