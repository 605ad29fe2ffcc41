//! The operator's end of the socket: one ask, one answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{ASK_WITHIN, Answer, Ask, LINE_BYTES_MAX, socket_path};

/// Why a node did not answer its operator.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no node runs in {}; start it with `truckee run --dir {}`, or name the directory of one that runs", .0.display(), .0.display())]
    NotRunning(PathBuf),
    /// The socket is for others.
    #[error("the node in {} belongs to another user; run the command as that user or as root", .0.display())]
    Denied(PathBuf),
    /// It listens, and then there was no answer.
    #[error("the node in {} does not answer ({source}); look into its log", dir.display())]
    NoAnswer {
        /// The node's directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It answers what no node of this version does.
    #[error("the node in {} answers something else ({source}); it may be of another version of Truckee", dir.display())]
    Odd {
        /// The node's directory.
        dir: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
}

/// Asks the node that runs in a directory. Blocks until it answers or its time is over.
///
/// # Errors
/// [`ControlError`]. That the node refuses is none: then the answer is [`Answer::Refused`].
pub fn ask(dir: &Path, ask: &Ask) -> Result<Answer, ControlError> {
    let line = exchange(dir, ask).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ControlError::NotRunning(dir.to_owned())
        }
        io::ErrorKind::PermissionDenied => ControlError::Denied(dir.to_owned()),
        _ => ControlError::NoAnswer {
            dir: dir.to_owned(),
            source,
        },
    })?;
    serde_json::from_str(&line).map_err(|source| ControlError::Odd {
        dir: dir.to_owned(),
        source,
    })
}

fn exchange(dir: &Path, ask: &Ask) -> io::Result<String> {
    let (path, _open) = socket_path(dir)?;
    let mut stream = UnixStream::connect(path)?;
    // A little more than the node takes itself: it says why it gave up.
    stream.set_read_timeout(Some(ASK_WITHIN * 2))?;
    stream.set_write_timeout(Some(ASK_WITHIN))?;
    let mut line = serde_json::to_string(ask)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}
