//! What can go wrong in a command, each with its exit code and a sentence that says what to do next.
//!
//! Owns the wording that people see on standard error. It does not print: `main` does.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use truckee_nodes::control::ControlError;

use crate::codec::CodecError;
use crate::exit::Exit;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// A file or directory on this machine could not be used.
    #[error("cannot {action} {}: {source}; check that the path exists and that you may use it", path.display())]
    File {
        /// What was tried: "read", "write", …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output went away or its disk is full.
    #[error("cannot write to standard output: {0}; whatever reads it may have stopped")]
    Stdout(io::Error),
    /// Standard input broke.
    #[error("cannot read standard input: {0}")]
    Stdin(io::Error),
    /// An address or option has no usable form.
    #[error("{what} {value:?} is not usable: {hint}")]
    Usage {
        /// Which option or value.
        what: &'static str,
        /// As given.
        value: String,
        /// What it should look like.
        hint: String,
    },
    /// Nothing listens at the gateway's address, or the connection broke.
    #[error(
        "the gateway at {gateway} cannot be reached ({reason}); start a cluster with `truckee up`, or name a gateway with --gateway"
    )]
    Unreachable {
        /// Its address.
        gateway: String,
        /// What the network said.
        reason: String,
        /// Whether the request may have arrived all the same.
        sent: bool,
    },
    /// A grid was watched and not one of its nodes answered.
    #[error(
        "no node of the {watched} answers; start it with `truckee up` or `truckee run`, or name others with --cluster or --targets"
    )]
    NobodyAnswers {
        /// Where the nodes are listed.
        watched: String,
    },
    /// The connection broke in the middle of an answer.
    #[error(
        "the gateway at {gateway} stopped in the middle of the answer after {got_bytes} bytes ({reason}); nothing was kept, try again"
    )]
    CutShort {
        /// Its address.
        gateway: String,
        /// Bytes of content received before.
        got_bytes: u64,
        /// What the network said.
        reason: String,
    },
    /// The gateway answered with an error; it says what to do itself.
    #[error("the gateway answered {status}: {sentence}")]
    Status {
        /// HTTP status.
        status: u16,
        /// Its own sentence.
        sentence: String,
        /// When it may be asked again, if it says so.
        retry_after: Option<Duration>,
    },
    /// The gateway answered something that no Truckee gateway answers.
    #[error("{gateway} answered with {what}; is it a Truckee gateway?")]
    NotAGateway {
        /// Its address.
        gateway: String,
        /// What was odd.
        what: String,
    },
    /// Another `truckee up` runs on the same directory.
    #[error("another `truckee up` is running on {}; stop it first, or give another directory with --dir", dir.display())]
    ClusterInUse {
        /// The cluster's directory.
        dir: PathBuf,
    },
    /// `--peers` is smaller than the cluster.
    #[error(
        "the cluster in {} has {have} peers and cannot shrink to {asked}, because their shares would be lost; ask for --peers {have} or more, or give another --dir",
        dir.display()
    )]
    Shrink {
        /// The cluster's directory.
        dir: PathBuf,
        /// Storage peers in it.
        have: u16,
        /// Storage peers asked for.
        asked: u16,
    },
    /// A node could not be set up or its files are wrong.
    #[error("node {node}: {reason}")]
    Node {
        /// Its name in the cluster.
        node: String,
        /// The sentence of the node's own error.
        reason: String,
    },
    /// A child process of the cluster ended before it was ready.
    #[error("{node} stopped while starting ({status}): {reason}; its log is {}", log.display())]
    ChildDied {
        /// Its name in the cluster.
        node: String,
        /// Exit code or signal.
        status: String,
        /// The last line that it wrote.
        reason: String,
        /// Where the rest stands.
        log: PathBuf,
    },
    /// A child process lives but does not become ready.
    #[error("{what} after {} s; look into {log}", waited.as_secs())]
    NotReady {
        /// Who or what is missing.
        what: String,
        /// How long it had.
        waited: Duration,
        /// The log to look into.
        log: String,
    },
    /// The start was interrupted by a signal.
    #[error("interrupted while starting; all nodes were stopped")]
    Interrupted,
    /// The operating system refused something that has no file.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A directory lacks children whose adding was acknowledged.
    #[error(
        "a directory has {found} children of the {children} that were acknowledged; this is a fault of the gateway, please report it"
    )]
    LostChildren {
        /// How many there must be.
        children: u64,
        /// How many there are.
        found: u64,
    },
    /// Downloaded content is not what was uploaded.
    #[error(
        "file {file} came back different from byte {at_byte} on: this is a bug in Truckee or a broken machine, keep the cluster's directory and report it"
    )]
    Mismatch {
        /// Number of the file within the run.
        file: u64,
        /// First differing byte.
        at_byte: u64,
    },
    /// Some of the doctor's checks failed.
    #[error("{failed} of {checks} checks failed; each line above says what to do")]
    Unwell {
        /// How many failed.
        failed: usize,
        /// Of how many.
        checks: usize,
    },
    /// The gateway began to list or check and then could not go on.
    #[error("the gateway could not go on: {sentence}")]
    Deep {
        /// Its own sentence.
        sentence: String,
    },
    /// A path names an alias that is not there.
    #[error(
        "there is no alias {name:?}; make a directory for it with `truckee alias create {name}`, or see `truckee alias list`"
    )]
    NoAlias {
        /// Without its colon.
        name: String,
    },
    /// An alias would lose its cap.
    #[error(
        "the alias {name:?} exists and may be the only copy of its cap; remove it first with `truckee alias remove {name}`"
    )]
    AliasTaken {
        /// Without its colon.
        name: String,
    },
    /// What is at a place is not what the command needs.
    #[error("{what} {place}: {hint}")]
    Place {
        /// What is wrong with it.
        what: &'static str,
        /// As the user wrote it, without caps.
        place: String,
        /// What to do.
        hint: String,
    },
    /// Part of the work failed; each failure was reported.
    #[error("{failed} of {all} failed; each line above says why")]
    Partly {
        /// Files and directories that failed.
        failed: u64,
        /// Of how many.
        all: u64,
    },
    /// A file changed while it was read.
    #[error("{} became shorter while it was read; copy it again when nothing writes to it", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// One request was for several files and failed; the sentence stands for each.
    #[error("{sentence}")]
    Shared {
        /// Of the request.
        sentence: String,
        /// Its exit code.
        exit: Exit,
    },
    /// A check found something that is not whole.
    #[error("{unhealthy} of {checked} are not healthy, {lost} of them cannot be read; {advice}")]
    Unhealthy {
        /// Files and directories with fewer shares than they should have.
        unhealthy: u64,
        /// Of these, how many have too few.
        lost: u64,
        /// How many were looked at.
        checked: u64,
        /// What to do about it.
        advice: &'static str,
    },
    /// Some leases were not renewed.
    #[error(
        "{without_holder} of {files} files are held by no storage node, and {not_renewed} of {nodes} nodes did not renew \
         all; look at `truckee check` and `truckee status`, then renew again"
    )]
    NotRenewed {
        /// Files that were to be renewed.
        files: u64,
        /// Of these, how many no node holds shares of.
        without_holder: u64,
        /// Storage nodes that were asked.
        nodes: u64,
        /// Of these, how many did not renew all that they hold.
        not_renewed: u64,
    },
    /// Another `truckee chaos` is at work on the same cluster.
    #[error("another `truckee chaos` is at work on {}; let it end, or give another cluster", of.display())]
    ChaosInUse {
        /// The cluster's directory, or the grid's inventory.
        of: PathBuf,
    },
    /// An earlier run was killed and left things that must be undone first.
    #[error(
        "an earlier `truckee chaos` was killed before it had undone what it did; run `truckee chaos --heal {heal}` first"
    )]
    Unhealed {
        /// The option that names the cluster, with its value.
        heal: String,
    },
    /// The inventory of a grid is not as it must be.
    #[error("{sentences}")]
    Inventory {
        /// One for each thing that is wrong.
        sentences: String,
    },
    /// A grid on other machines is not as it must be before an attack.
    #[error("nothing was attacked: {}", reasons.join("; "))]
    Unfit {
        /// What keeps it from being attacked, each with its node.
        reasons: Vec<String>,
    },
    /// No cluster runs in the directory that was given.
    #[error("no cluster runs in {}; start one there with `truckee up --dir`, or leave --cluster out", dir.display())]
    NoCluster {
        /// The directory.
        dir: PathBuf,
    },
    /// A second signal ended a run at once.
    #[error("ended at once, without a verdict")]
    CutOff,
    /// A cluster under attack has not kept what it promises.
    #[error(
        "{violations} violations of what Truckee promises: this is a bug in Truckee or a broken machine; keep the cluster's directory, and report the seed"
    )]
    Violated {
        /// How many were seen.
        violations: u64,
    },
    /// A cluster was damaged beyond what it promises to bear, and behaved as it must.
    #[error(
        "{lost} of {files} files are lost, as had to be expected beyond the budget of damage; nothing that could be there is missing"
    )]
    Beyond {
        /// Files whose shares were destroyed.
        lost: usize,
        /// Files that were acknowledged.
        files: usize,
    },
    /// A run could not do all that it had to; each reason was reported.
    #[error("the attack could not be carried out as planned; the report says what went wrong")]
    Attack,
    /// A run was ended early, and what it saw until then was right.
    #[error("the run ended early; what was seen until then was right")]
    EndedEarly,
    /// The operator's node cannot be asked.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// It was asked, and did nothing.
    #[error("{sentence}")]
    NodeRefused {
        /// Its own sentence.
        sentence: String,
    },
    /// A node that was to be emptied is not; the line before says how far it is.
    #[error("the node must not be taken away yet")]
    NotDrained,
    /// What cannot be undone was not confirmed.
    #[error("nothing was done: {hint}")]
    Unconfirmed {
        /// What to do.
        hint: &'static str,
    },
    /// A file could not be split or restored.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl CliError {
    /// For `map_err` on file operations.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CliError {
        let path = path.to_owned();
        move |source| CliError::File { action, path, source }
    }

    /// The same for another file that the same request was for.
    pub(crate) fn again(&self) -> CliError {
        CliError::Shared {
            sentence: self.to_string(),
            exit: self.exit(),
        }
    }

    /// The exit code of this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            CliError::Usage { .. } => Exit::Usage,
            CliError::Unreachable { .. } | CliError::CutShort { .. } | CliError::NobodyAnswers { .. } => {
                Exit::Unreachable
            }
            CliError::Status { status, .. } => exit_of_status(*status),
            CliError::Codec(error) => error.exit(),
            CliError::NoAlias { .. } => Exit::Usage,
            CliError::AliasTaken { .. } | CliError::Place { .. } => Exit::Refused,
            CliError::Partly { .. } => Exit::Partly,
            CliError::Shared { exit, .. } => *exit,
            CliError::Unhealthy { lost: 0, .. } => Exit::Unhealthy,
            CliError::Unhealthy { .. } => Exit::NotFound,
            CliError::NotRenewed {
                without_holder: 0, ..
            } => Exit::Partly,
            CliError::NotRenewed { .. } => Exit::NotFound,
            CliError::ClusterInUse { .. } | CliError::Shrink { .. } => Exit::Refused,
            CliError::ChaosInUse { .. } | CliError::Unhealed { .. } | CliError::Unfit { .. } => Exit::Refused,
            CliError::NoCluster { .. } | CliError::Inventory { .. } => Exit::Usage,
            CliError::Control(ControlError::NotRunning(_) | ControlError::NoAnswer { .. }) => {
                Exit::Unreachable
            }
            CliError::NotDrained | CliError::NodeRefused { .. } | CliError::Unconfirmed { .. } => {
                Exit::Refused
            }
            CliError::Violated { .. } => Exit::Violated,
            CliError::Beyond { .. } => Exit::Beyond,
            CliError::CutOff | CliError::EndedEarly => Exit::Interrupted,
            _ => Exit::Failed,
        }
    }
}

/// The exit code that stands for an HTTP error.
fn exit_of_status(status: u16) -> Exit {
    match status {
        400 | 405 | 411 | 413 | 414 | 416 | 501 => Exit::Usage,
        404 | 410 => Exit::NotFound,
        401 | 403 | 409 | 507 => Exit::Refused,
        429 | 503 => Exit::Busy,
        502 | 504 => Exit::Unreachable,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_the_documented_exit_code() {
        let exit = |status| {
            CliError::Status {
                status,
                sentence: String::new(),
                retry_after: None,
            }
            .exit()
        };
        assert_eq!(exit(400), Exit::Usage);
        assert_eq!(exit(416), Exit::Usage);
        assert_eq!(exit(410), Exit::NotFound);
        assert_eq!(exit(507), Exit::Refused);
        assert_eq!(exit(503), Exit::Busy);
        assert_eq!(exit(500), Exit::Failed);
    }

    #[test]
    fn every_error_is_one_line() {
        let died = CliError::ChildDied {
            node: "gateway".into(),
            status: "exit status: 1".into(),
            reason: "port 3456 is in use".into(),
            log: "log".into(),
        };
        assert!(!died.to_string().contains('\n'));
        assert_eq!(died.exit(), Exit::Failed);
    }
}
