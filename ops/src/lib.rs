//! Run a node, run a local cluster, put and get files, measure.

/// Parses the command line, runs it and gives the process's exit code.
#[must_use]
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
