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
    /// Refused: too few peers, no space, something is in the way, or the directory is in use.
    Refused = 4,
    /// The gateway could not be reached or stopped answering.
    Unreachable = 5,
    /// The gateway is overloaded for the moment: try again later.
    Busy = 6,
    /// Several files were to be copied, saved or imported and some failed; each was reported.
    Partly = 7,
    /// A check found that something has lost shares but can still be read.
    Unhealthy = 8,
    /// A cluster under attack has not kept what it promises.
    Violated = 9,
    /// A cluster was damaged beyond what it promises to bear; files were lost, and nothing else.
    Beyond = 10,
    /// Ctrl-C or another signal that ends a process.
    Interrupted = 130,
}

impl Exit {
    /// Every code with its meaning, in the order of the numbers.
    pub const TABLE: [(Exit, &'static str); 12] = [
        (Exit::Done, "done"),
        (Exit::Failed, "failed"),
        (Exit::Usage, "wrong command line, configuration or cap"),
        (
            Exit::NotFound,
            "no such file, or too few of its shares can be reached",
        ),
        (
            Exit::Refused,
            "refused: too few peers, no space, something is in the way, or the directory is in use",
        ),
        (
            Exit::Unreachable,
            "the gateway cannot be reached or stopped answering",
        ),
        (Exit::Busy, "the gateway is overloaded; try again later"),
        (Exit::Partly, "done in part; each file that failed was named"),
        (
            Exit::Unhealthy,
            "checked: shares are missing, but all can be read",
        ),
        (Exit::Violated, "chaos: the cluster has not kept what it promises"),
        (
            Exit::Beyond,
            "chaos: damaged beyond what it promises to bear, the cluster lost files and nothing else",
        ),
        (
            Exit::Interrupted,
            "interrupted; no file has its name before it is whole",
        ),
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
            .map(|(exit, meaning)| format!("  {:3}  {meaning}\n", exit.code()));
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
    fn the_table_is_in_order_and_in_the_readme() {
        let numbers: Vec<u8> = Exit::TABLE.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130]);
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
