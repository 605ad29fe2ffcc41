//! One command at a time to one node, by the system's `ssh`.
//!
//! Owns the arguments of `ssh`, the connection that stays open between two commands (it ends by itself a minute after the
//! last one, also when this program was killed), the limits of time and size, and the sentence for what goes wrong. When a
//! command has not answered in time only this end of it is given up: it may still have its effect there. A killed run
//! leaves an empty directory among the temporary ones.

use std::fs::DirBuilder;
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::inventory::Door;
use super::quote::quoted;
use crate::error::CliError;

/// Most bytes of an answer: a hundred thousand shares, listed.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Most bytes of complaints that are kept.
const COMPLAINT_BYTES_MAX: usize = 8 << 10;

/// Longest complaint in a sentence, in characters.
const COMPLAINT_SHOWN: usize = 200;

/// How long complaints may take to arrive when all else has. Who `ssh` started to find its way may hold the pipe for good.
const COMPLAINTS_WITHIN: Duration = Duration::from_millis(300);

/// Longest path of a socket, with what `ssh` adds to it while it is made.
const SOCKET_BYTES_MAX: usize = 80;

/// How long the end of a connection may take.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Between two looks whether `ssh` has ended, when it has said all.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The exit code of `ssh` itself when it did not get through.
const NOT_THROUGH: i32 = 255;

/// A directory for the sockets of open connections, for this user alone. It goes when this is dropped.
#[derive(Debug)]
pub(super) struct Sockets(PathBuf);

impl Sockets {
    pub(super) fn new() -> Result<Sockets, CliError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("truckee-ssh-{}-{:x}", std::process::id(), since.subsec_nanos());
        let dir = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&dir);
        made.map_err(CliError::file("create", &dir))?;
        Ok(Sockets(dir))
    }

    /// Of the node with this number; none if no socket can have such a path, or `ssh` would read more into it.
    pub(super) fn socket(&self, number: usize) -> Option<PathBuf> {
        let path = self.0.join(number.to_string());
        let bytes = path.as_os_str().as_encoded_bytes();
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
        let usable = bytes.len() <= SOCKET_BYTES_MAX && bytes.iter().all(is_plain);
        usable.then_some(path)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // Connections that do not end now do so by themselves; their sockets are removed with the directory.
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("truckee: cannot remove {}: {error}", self.0.display());
        }
    }
}

/// What is to be done there.
#[derive(Debug)]
pub(super) struct Order<'o> {
    /// Commands, one after the other as long as they succeed, each a list of words.
    pub(super) commands: &'o [Vec<String>],
    /// What the first reads from its standard input.
    pub(super) input: Vec<u8>,
    pub(super) within: Duration,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) answer: Vec<u8>,
    /// The last line of what it complained of.
    pub(super) complaint: String,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Line {
    node: String,
    destination: String,
    arguments: Vec<String>,
    has_socket: bool,
    /// Held while a command is under way.
    busy: Mutex<()>,
}

impl Line {
    /// To a node; `socket` is where its connection stays open.
    pub(super) fn new(node: &str, door: &Door, socket: Option<&Path>) -> Line {
        Line {
            node: node.to_owned(),
            destination: door.destination.clone(),
            arguments: arguments(door, socket),
            has_socket: socket.is_some(),
            busy: Mutex::new(()),
        }
    }

    /// Does it; any exit code of the command is an answer.
    ///
    /// # Errors
    /// When `ssh` does not get through, or the command does not answer in time.
    pub(super) fn ask(&self, order: Order<'_>) -> Result<Said, CliError> {
        let line = line_of(order.commands);
        // Nobody is hurt by a thread that panicked while it waited.
        let _busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let mut command = self.ssh();
        command.arg("--").arg(&self.destination).arg(&line);
        let destination = &self.destination;
        let said = run(command, order.input, order.within).map_err(|failed| match failed {
            Failed::NotStarted(error) => self.not(format!(
                "the program `ssh` cannot be started ({error}); install an OpenSSH client"
            )),
            Failed::Late => self.not(format!(
                "`{line}` has not answered on {destination} within {} s; look there: a command that leaves a process behind must close its output",
                order.within.as_secs()
            )),
            Failed::TooLong => self.not(format!(
                "`{line}` on {destination} answers with more than {ANSWER_BYTES_MAX} bytes; run it there by hand"
            )),
        })?;
        if said.code == NOT_THROUGH {
            return Err(self.not(format!(
                "`ssh {destination}` does not get through ({}); try it by hand, it must not ask for anything",
                said.complaint
            )));
        }
        Ok(said)
    }

    /// Does it, and takes nothing but success.
    pub(super) fn order(&self, order: Order<'_>) -> Result<Vec<u8>, CliError> {
        let commands = order.commands;
        let said = self.ask(order)?;
        match said.code {
            0 => Ok(said.answer),
            _ => Err(self.refused(commands, &said)),
        }
    }

    /// The sentence for a command that failed there.
    pub(super) fn refused(&self, commands: &[Vec<String>], said: &Said) -> CliError {
        let (line, destination) = (line_of(commands), &self.destination);
        let why = if said.complaint.is_empty() {
            "it does not say why"
        } else {
            &said.complaint
        };
        let code = said.code;
        self.not(format!(
            "`{line}` failed on {destination} with exit code {code} ({why}); run it there by hand"
        ))
    }

    /// An error of this node.
    pub(super) fn not(&self, reason: String) -> CliError {
        CliError::Node {
            node: self.node.clone(),
            reason,
        }
    }

    fn ssh(&self) -> Command {
        let mut command = Command::new("ssh");
        // A group of its own: Ctrl-C is for this program, which still needs the connection.
        command.args(&self.arguments).process_group(0);
        command
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.has_socket {
            let mut command = self.ssh();
            command.args(["-O", "exit", "--"]).arg(&self.destination);
            // A connection that was never opened cannot end, and one that does not end now does so by itself.
            let _ = run(command, Vec::new(), END_WITHIN);
        }
    }
}

/// The arguments of `ssh` before the destination. Of two that say the same the first counts.
fn arguments(door: &Door, socket: Option<&Path>) -> Vec<String> {
    let mut words: Vec<String> = ["-T", "-a", "-x"].map(str::to_owned).to_vec();
    if let Some(port) = door.port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(identity) = &door.identity {
        words.extend(["-i".to_owned(), identity.clone()]);
    }
    let mut option = |text: String| words.extend(["-o".to_owned(), text]);
    option("BatchMode=yes".to_owned());
    match socket {
        Some(path) => {
            option("ControlMaster=auto".to_owned());
            option(format!("ControlPath={}", path.display()));
            option("ControlPersist=60".to_owned());
        }
        None => option("ControlPath=none".to_owned()),
    }
    for given in &door.options {
        option(given.clone());
    }
    for usual in [
        "ConnectTimeout=10",
        "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
    ] {
        option(usual.to_owned());
    }
    words
}

/// Commands as one line for the shell there.
fn line_of(commands: &[Vec<String>]) -> String {
    let lines: Vec<String> = commands.iter().map(quoted).collect();
    lines.join(" && ")
}

#[derive(Debug)]
enum Failed {
    NotStarted(std::io::Error),
    Late,
    TooLong,
}

/// Runs a program to its end, or ends it when its time is over.
fn run(mut command: Command, input: Vec<u8>, within: Duration) -> Result<Said, Failed> {
    let deadline = Instant::now() + within;
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().map_err(Failed::NotStarted)?;
    if let Some(mut pipe) = child.stdin.take() {
        // One that does not read to the end says why in other ways.
        std::thread::spawn(move || drop(pipe.write_all(&input)));
    }
    let answer = child.stdout.take().map(|pipe| gather(pipe, ANSWER_BYTES_MAX + 1));
    let complaints = child.stderr.take().map(|pipe| gather(pipe, COMPLAINT_BYTES_MAX));
    let ended = wait(&mut child, answer, deadline);
    if ended.is_err() {
        // It may have ended in this moment, which is what is wanted.
        let _ = child.kill();
        let _ = child.wait();
    }
    let (code, answer) = ended?;
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(Failed::TooLong);
    }
    let complaints = complaints.map(|pieces| collect(&pieces, Instant::now() + COMPLAINTS_WITHIN).0);
    Ok(Said {
        code,
        answer,
        complaint: last_line(&complaints.unwrap_or_default()),
    })
}

/// Waits until it has said all and ended.
fn wait(
    child: &mut Child,
    answer: Option<Receiver<Vec<u8>>>,
    deadline: Instant,
) -> Result<(i32, Vec<u8>), Failed> {
    let (answer, whole) = answer.map_or((Vec::new(), true), |pieces| collect(&pieces, deadline));
    if !whole {
        return Err(Failed::Late);
    }
    loop {
        match child.try_wait() {
            // A signal has no code; for `ssh` that is as if it had not got through.
            Ok(Some(status)) => return Ok((status.code().unwrap_or(NOT_THROUGH), answer)),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
            Ok(None) => return Err(Failed::Late),
            Err(error) => return Err(Failed::NotStarted(error)),
        }
    }
}

/// Reads a pipe to its end on a thread of its own, and passes on at most so many bytes.
fn gather(mut pipe: impl Read + Send + 'static, most: usize) -> Receiver<Vec<u8>> {
    let (to, from) = channel();
    std::thread::spawn(move || {
        let mut left = most;
        let mut buffer = [0; 8 << 10];
        // A pipe that breaks has ended; so has one whose reader is gone.
        while let Ok(bytes) = pipe.read(&mut buffer) {
            let kept = bytes.min(left);
            left -= kept;
            if bytes == 0 || (kept > 0 && to.send(buffer[..kept].to_vec()).is_err()) {
                break;
            }
        }
    });
    from
}

/// What comes until the pipe ends or the time is over; says whether it ended.
fn collect(pieces: &Receiver<Vec<u8>>, deadline: Instant) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        match pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(piece) => all.extend(piece),
            Err(RecvTimeoutError::Disconnected) => return (all, true),
            Err(RecvTimeoutError::Timeout) => return (all, false),
        }
    }
}

/// The last line that says something, fit to be shown.
fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let shown = line.unwrap_or_default().chars().filter(|c| !c.is_control());
    shown.take(COMPLAINT_SHOWN).collect()
}

#[cfg(test)]
mod tests;
