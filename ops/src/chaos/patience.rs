//! Waiting that a person can cut short.
//!
//! Owns the count of the signals that ask to stop: after the first the run ends in order, after the second at once.

use std::time::{Duration, Instant};

use crate::cluster::signals::{Event, Signals};
use crate::error::CliError;

/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// It is so.
    Yes,
    /// It was not so in the time given.
    No,
}

/// See the module.
pub(crate) struct Patience {
    signals: Signals,
    stops: u32,
}

impl Patience {
    /// Takes the signals over.
    pub(crate) fn new(signals: Signals) -> Patience {
        Patience { signals, stops: 0 }
    }

    /// Lets a moment pass, or less if a signal comes.
    pub(crate) fn pause(&mut self, time: Duration) {
        if self.signals.wait(time) == Event::Stop {
            self.stops += 1;
            if self.stops == 1 {
                eprintln!("truckee: the run ends early; once more ends it at once, without a verdict");
            }
        }
    }

    /// Whether the run shall end.
    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.stops > 0
    }

    /// Whether it shall end at once.
    pub(crate) fn is_over(&self) -> bool {
        self.stops > 1
    }

    /// Looks again and again whether something is so.
    ///
    /// # Errors
    /// When the look fails, or when all shall end at once.
    pub(crate) fn until(
        &mut self,
        within: Duration,
        mut look: impl FnMut() -> Result<bool, CliError>,
    ) -> Result<Waited, CliError> {
        let deadline = Instant::now() + within;
        loop {
            if look()? {
                return Ok(Waited::Yes);
            }
            if self.is_over() {
                return Err(CliError::CutOff);
            }
            if Instant::now() >= deadline {
                return Ok(Waited::No);
            }
            self.pause(LOOK_EVERY);
        }
    }

    /// The signals themselves, for those who stop a cluster.
    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }
}
