//! The `truckee` program.

fn main() -> std::process::ExitCode {
    truckee::main()
}
