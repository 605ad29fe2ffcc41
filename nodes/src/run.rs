//! One node from its directory, from the first check to the last flush.
//!
//! Everything that can be wrong is found before the node says that it runs: configuration, secrets, lock, ports. The
//! run file appears when all listeners stand, and goes at a clean stop.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use metrics_exporter_prometheus::BuildError;
use thiserror::Error;
use truckee_actors::cpu::CpuError;
use truckee_actors::gate::Gone;
use truckee_actors::membership::MembershipError;
use truckee_actors::node::NodeFailure;
use truckee_actors::store::DiskError;
use truckee_actors::tls::IdentityError;
use truckee_actors::vdrive::sql::OpenError;
use truckee_engine::invite::{AddressError, InviteError};
use truckee_grid::engines::SimdRefused;

use crate::access::AccessErrors;
use crate::config::{Config, ConfigErrors, LogFormat, LogLevel};
use crate::dir::{DirError, NodeDir};
use crate::heap;
use crate::identity::SecretError;
use crate::incident;
use crate::lock::{LockError, NodeLock};
use crate::logging;
use crate::ports::PortError;
use crate::run_file::RunFile;
use crate::shutdown::{self, StopSignals};
use crate::spans::SpansError;
use crate::startup;
use crate::targets;

/// What a run says differently from the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// In place of `log.format`.
    pub log_format: Option<LogFormat>,
    /// In place of `log.level`.
    pub log_level: Option<LogLevel>,
}

/// A node that does not run, or no longer.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Another process runs on the directory, or it cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The files that `[gateway]` names are not in order.
    #[error(transparent)]
    Access(#[from] AccessErrors),
    /// The node directory cannot be read or written.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A port cannot be had.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The identity is no good for TLS.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The roster or what joining needs is not in order.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The share store cannot be opened.
    #[error("cannot open the share store: {0}")]
    Store(#[from] DiskError),
    /// The vdrive's database cannot be what the configuration says.
    #[error("cannot open the vdrive's database: {0}")]
    Vdrive(#[from] OpenError),
    /// The erasure engine that the configuration insists on failed its check.
    #[error("{0}; set gateway.erasure to \"auto\" to use the reference engine instead")]
    Erasure(#[from] SimdRefused),
    /// An address to advertise is not one that others can dial.
    #[error("cannot advertise this node's address: {0}; set `advertise` in the configuration")]
    Advertise(#[from] AddressError),
    /// An introducer's invite cannot be made.
    #[error("cannot make an invite: {0}")]
    Invite(#[from] InviteError),
    /// Metrics cannot be recorded.
    #[error("cannot record metrics: {0}")]
    Metrics(#[from] BuildError),
    /// Spans cannot be exported.
    #[error(transparent)]
    Spans(#[from] SpansError),
    /// The system gives no threads, sockets or signals.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The CPU pool cannot start.
    #[error("cannot start the threads that code: {0}")]
    Cpu(#[from] CpuError),
    /// The root actor ended while the node was starting.
    #[error("the node's actors ended during the start; the log says why")]
    Gone(#[from] Gone),
    /// Something broke that only a fresh process can mend.
    #[error("the node failed: {0}")]
    Failed(NodeFailure),
}

impl RunError {
    /// What the process ends with: 1 failed, 2 wrong configuration or directory, 3 directory in use.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::Lock(LockError::Held(_)) => 3,
            RunError::Config(_)
            | RunError::Access(_)
            | RunError::Secret(_)
            | RunError::Spans(_)
            | RunError::Advertise(_)
            | RunError::Erasure(_) => 2,
            RunError::Lock(LockError::Dir(_)) | RunError::Dir(_) => 2,
            _ => 1,
        }
    }
}

/// Runs the node of a directory until it is stopped by a signal or fails. Errors go to stderr, one sentence a line.
///
/// The code is 0 after an ordered stop, 1 if the node failed while starting or running, 2 if its configuration or
/// directory is not in order, 3 if another process runs on the directory; a second signal ends the process with 130.
pub fn run_node(dir: &Path, options: &RunOptions) -> ExitCode {
    match run(dir, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("truckee: {line}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(path: &Path, options: &RunOptions) -> Result<(), RunError> {
    let mut config = Config::load(path)?;
    heap::keep_freed(&config.roles);
    config.log.format = options.log_format.unwrap_or(config.log.format);
    config.log.level = options.log_level.unwrap_or(config.log.level);
    let dir = NodeDir::new(path);
    let _lock = NodeLock::acquire(&dir)?;
    // Left over by a process that was killed: what it says is not true until this one has written its own.
    RunFile::remove(&dir)?;
    let spans = logging::start(&config)?;
    incident::watch(&dir)?;
    let result = actix_rt::System::new().block_on(run_until_stopped(&dir, &config));
    spans.end();
    result
}

async fn run_until_stopped(dir: &NodeDir, config: &Config) -> Result<(), RunError> {
    let mut signals = StopSignals::listen()?;
    shutdown::write_events_when_asked(dir.clone())?;
    let running = startup::start(dir, config).await?;
    targets::write(dir, running.run_file(), &config.zone)?;
    running.run_file().write(dir)?;
    tracing::info!(
        node_id = %running.run_file().node_id,
        mesh = %running.run_file().mesh,
        http = running.run_file().http.as_deref(),
        metrics = ?running.run_file().metrics,
        "node runs"
    );
    let failure = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            None
        }
        failure = running.failed() => {
            tracing::error!("node failed: {failure}");
            Some(failure)
        }
    };
    signals.end_at_next();
    shutdown::watch_over(config.limits.drain);
    running.stop(config.limits.drain).await;
    RunFile::remove(dir)?;
    targets::remove(dir)?;
    tracing::info!("stopped");
    failure.map_or(Ok(()), |failure| Err(RunError::Failed(failure)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::init::{InitSpec, init_node};
    use crate::role::Role;

    #[test]
    fn a_directory_without_a_node() {
        let temp = tempfile::tempdir().unwrap();
        let error = run(temp.path(), &RunOptions::default()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("truckee init"), "{error}");
    }

    #[test]
    fn a_directory_in_use() {
        let temp = tempfile::tempdir().unwrap();
        init_node(&InitSpec::new(temp.path(), "a", &[Role::Introducer])).unwrap();
        let _lock = NodeLock::acquire(&NodeDir::new(temp.path())).unwrap();
        let error = run(temp.path(), &RunOptions::default()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
    }

    #[test]
    fn a_port_in_use_and_a_key_that_others_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut spec = InitSpec::new(temp.path(), "a", &[Role::Introducer]);
        spec.listen = holder.local_addr().unwrap();
        init_node(&spec).unwrap();
        let error = run(temp.path(), &RunOptions::default()).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains(&spec.listen.to_string()), "{error}");
        let key = NodeDir::new(temp.path()).identity_path();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = run(temp.path(), &RunOptions::default()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}
