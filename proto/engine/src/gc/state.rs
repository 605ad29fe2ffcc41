//! What a collector keeps over restarts, as text.

use std::time::Duration;

use serde_json::{Value, json};

use crate::time::Day;

const VERSION: u64 = 1;

/// The text is no state of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not what a collector keeps: {0} is missing or wrong")]
pub struct StateError(&'static str);

/// Since when leases are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// The day on which it was turned on, or its term made shorter.
    pub since: Day,
    /// Days after which a lease is over.
    pub expire_days: u32,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcState {
    /// The last day that was counted.
    pub today: Day,
    /// How long the node has run since.
    pub run: Duration,
    /// `None`: nothing is collected.
    pub term: Option<Term>,
}

impl GcState {
    /// The text to keep; less than a kilobyte.
    pub fn to_text(&self) -> String {
        let mut object = json!({
            "version": VERSION,
            "today": self.today.number(),
            "run_seconds": self.run.as_secs(),
        });
        if let Some(term) = self.term {
            object["on_since"] = json!(term.since.number());
            object["expire_days"] = json!(term.expire_days);
        }
        format!("{object:#}\n")
    }

    /// Reads what [`GcState::to_text`] gives.
    ///
    /// # Errors
    /// [`StateError`] for anything else.
    pub fn from_text(text: &str) -> Result<GcState, StateError> {
        let object: Value = serde_json::from_str(text).map_err(|_| StateError("its JSON"))?;
        let number = |name: &'static str| object[name].as_u64().ok_or(StateError(name));
        let small = |name: &'static str| u32::try_from(number(name)?).map_err(|_| StateError(name));
        if number("version")? != VERSION {
            return Err(StateError("version"));
        }
        let term = match &object["on_since"] {
            Value::Null => None,
            _ => Some(Term {
                since: Day::from_number(small("on_since")?),
                expire_days: small("expire_days")?,
            }),
        };
        Ok(GcState {
            today: Day::from_number(small("today")?),
            run: Duration::from_secs(number("run_seconds")?),
            term,
        })
    }
}
