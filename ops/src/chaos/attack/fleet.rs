//! The nodes of a cluster under attack: killed, stopped, frozen, started again.
//!
//! Owns the order that makes an attack undoable: what is to be undone stands on disk before it is done, and goes from there
//! when it is undone. How a node is reached is its [`Hand`]'s. Dropped, it lets every frozen node go on.

use std::fs::File;
use std::time::Duration;

use super::super::patience::{Patience, Waited};
use super::super::undo::Undo;
use super::hand::{Deed, Hand};
use crate::error::CliError;

/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// How long a node may take to stop in order: what it gives its transfers (20 s by default), what it takes beyond at most
/// (15 s), and some more.
const STOPPED_WITHIN: Duration = Duration::from_secs(45);

/// How long a node may take to be ready after its start on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Fleet {
    pub(crate) hand: Box<dyn Hand>,
    pub(crate) undo: Undo,
    /// Keeps a second attack away.
    _lock: File,
    /// Nodes that were started again.
    pub(crate) starts: u64,
}

impl Fleet {
    /// The nodes that a hand reaches.
    pub(crate) fn new(hand: impl Hand + 'static, undo: Undo, lock: File) -> Fleet {
        Fleet {
            hand: Box::new(hand),
            undo,
            _lock: lock,
            starts: 0,
        }
    }

    /// `kill -9`; returns when it is gone.
    pub(crate) fn kill(&mut self, name: &str, patience: &mut Patience) -> Result<(), CliError> {
        self.stop_by(name, Deed::Kill, GONE_WITHIN, patience)
    }

    /// Asks it to stop in order; returns when it is gone.
    pub(crate) fn stop(&mut self, name: &str, patience: &mut Patience) -> Result<(), CliError> {
        self.stop_by(name, Deed::Stop, STOPPED_WITHIN, patience)
    }

    fn stop_by(
        &mut self,
        name: &str,
        deed: Deed,
        within: Duration,
        patience: &mut Patience,
    ) -> Result<(), CliError> {
        self.undo.note(|deeds| deeds.down.insert(name.to_owned()))?;
        self.hand.deed(name, deed)?;
        match patience.until(within, || Ok(!self.hand.runs(name)?))? {
            Waited::Yes => Ok(()),
            Waited::No => Err(self.not(name, "has not stopped", within)),
        }
    }

    /// Begins to start it, unless somebody else has done so.
    pub(crate) fn start(&mut self, name: &str) -> Result<(), CliError> {
        if self.hand.runs(name)? {
            return Ok(());
        }
        self.hand.start(name)?;
        self.starts += 1;
        Ok(())
    }

    /// Waits until it says that it serves.
    pub(crate) fn until_ready(&mut self, name: &str, patience: &mut Patience) -> Result<(), CliError> {
        if patience.until(READY_WITHIN, || self.hand.is_ready(name))? == Waited::No {
            return Err(self.not(name, "is not ready", READY_WITHIN));
        }
        self.undo.note(|deeds| deeds.down.remove(name))?;
        self.hand.is_back()
    }

    /// Starts it and waits until it serves.
    pub(crate) fn start_and_wait(&mut self, name: &str, patience: &mut Patience) -> Result<(), CliError> {
        self.start(name)?;
        self.until_ready(name, patience)
    }

    /// From now on it neither answers nor hangs up.
    pub(crate) fn freeze(&mut self, name: &str) -> Result<(), CliError> {
        self.undo.note(|deeds| deeds.frozen.insert(name.to_owned()))?;
        self.hand.deed(name, Deed::Freeze)
    }

    /// It goes on.
    pub(crate) fn thaw(&mut self, name: &str) -> Result<(), CliError> {
        self.hand.deed(name, Deed::Thaw)?;
        self.undo.note(|deeds| deeds.frozen.remove(name))
    }

    fn not(&self, name: &str, what: &str, waited: Duration) -> CliError {
        CliError::NotReady {
            what: format!("{name} {what}"),
            waited,
            log: self.hand.log(name),
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let frozen: Vec<String> = self.undo.deeds.frozen.iter().cloned().collect();
        for name in frozen {
            if let Err(error) = self.thaw(&name) {
                eprintln!(
                    "truckee: {name} may still be frozen ({error}); `truckee chaos --heal` undoes that"
                );
            }
        }
    }
}
