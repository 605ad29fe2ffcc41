//! The exit codes of every command, in one table.
//!
//! Owns the numbers and their meaning; `--help` prints this table, and a test holds the two together. A number, once
//! given out, keeps its meaning: scripts depend on it.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All was done.
    Done = 0,
    /// It failed for a reason that has no number of its own.
    Failed = 1,
    /// The command line, a configuration or a cap was wrong: repeating it as it is cannot help.
    Usage = 2,
    /// No such file, or too few shares of it can be reached.
    NotFound = 3,
    /// Refused: too few peers, no space, or the directory is in use.
    Refused = 4,
    /// The gateway could not be reached or stopped answering.
    Unreachable = 5,
    /// The gateway is overloaded for the moment: try again later.
    Busy = 6,
}

impl Exit {
    /// Every code with its meaning, in the order of the numbers.
    pub const TABLE: [(Exit, &'static str); 7] = [
        (Exit::Done, "done"),
        (Exit::Failed, "failed"),
        (Exit::Usage, "wrong command line, configuration or cap"),
        (
            Exit::NotFound,
            "no such file, or too few of its shares can be reached",
        ),
        (
            Exit::Refused,
            "refused: too few peers, no space, or the directory is in use",
        ),
        (
            Exit::Unreachable,
            "the gateway cannot be reached or stopped answering",
        ),
        (Exit::Busy, "the gateway is overloaded; try again later"),
    ];

    /// The number that the process ends with.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The table as `--help` prints it.
    #[must_use]
    pub fn help_text() -> String {
        let rows = Self::TABLE
            .iter()
            .map(|(exit, meaning)| format!("  {}  {meaning}\n", exit.code()));
        format!("Exit codes:\n{}", rows.collect::<String>())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_table_is_dense_in_order_and_in_the_readme() {
        for (at, (exit, meaning)) in Exit::TABLE.iter().enumerate() {
            assert_eq!(usize::from(exit.code()), at);
            assert!(!meaning.is_empty());
        }
        let readme = include_str!("../README.md");
        for (exit, meaning) in Exit::TABLE {
            assert!(
                readme.contains(&format!("| {} | {meaning} |", exit.code())),
                "the README lacks {meaning:?}"
            );
        }
        // Clap ends with 2 for a wrong command line: the table must agree with it.
        assert_eq!(Exit::Usage.code(), 2);
    }
}
