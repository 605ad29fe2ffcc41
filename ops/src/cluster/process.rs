//! One node of the cluster as a child process.
//!
//! Owns the child, its log and the pipe that ties its life to ours: the child's standard input is a pipe that we hold
//! and never write to, so that it ends by itself when this process is gone, however it went. One that is started to
//! outlive us has no such pipe. A child has its own process group, so that Ctrl-C reaches it only through us, in order.
//! The log is bounded by copying it aside when it has grown;
//! lines written during that moment may be lost.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use truckee_nodes::RunFile;

use crate::error::CliError;
use crate::files;

/// A log larger than this is set aside as `log.1`; a day of an idle node at the default level is far below.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How much of a log's end is read to find the last line.
const LOG_TAIL_BYTES: u64 = 8 * 1024;

/// A running child.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    dir: PathBuf,
    child: Child,
    /// Where the log ended when this process started.
    log_start: u64,
    exit: Option<ExitStatus>,
    /// Whether it must not outlive this process.
    tied: bool,
}

/// Where a node's log stands.
pub(crate) fn log_path(dir: &Path) -> PathBuf {
    dir.join("log")
}

impl Process {
    /// Starts the node in `dir` with this very program. It does not outlive us.
    pub(crate) fn start(name: &str, dir: &Path) -> Result<Process, CliError> {
        Process::spawn(name, dir, true)
    }

    /// The same, but the node goes on when this process ends or the value is dropped.
    pub(crate) fn start_free(name: &str, dir: &Path) -> Result<Process, CliError> {
        Process::spawn(name, dir, false)
    }

    fn spawn(name: &str, dir: &Path, tied: bool) -> Result<Process, CliError> {
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
        command.arg("run").arg("--dir").arg(dir);
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
            child,
            log_start,
            exit: None,
            tied,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did. Never blocks.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, CliError> {
        if self.exit.is_none() {
            let looked = self.child.try_wait();
            self.exit = looked.map_err(|source| CliError::System {
                action: "look after a child process",
                source,
            })?;
        }
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
    pub(crate) fn died(&self, status: ExitStatus) -> CliError {
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
        // Only we reap it: as long as its exit was not seen here, the pid is its own.
        if !matches!(self.ended(), Ok(None)) {
            return;
        }
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(error) = kill_process(pid, signal)
        {
            eprintln!(
                "truckee: cannot signal {} (pid {}): {error}",
                self.name,
                self.pid()
            );
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The ordered stop has happened before; this is for errors on the way, where nothing may be left behind.
        if self.tied && matches!(self.ended(), Ok(None)) {
            self.kill();
            // A killed process ends whatever happens; there is nobody left to tell if the system says otherwise.
            let _ = self.child.wait();
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
