//! The `truckee` program, built beside the tests that run it.

fn main() -> std::process::ExitCode {
    truckee::main()
}
