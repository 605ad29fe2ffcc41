//! Shell completions and manual pages, made from the definition of the command line itself.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::error::CliError;
use crate::files::write_whole;
use crate::output::print_line;

const NAME: &str = "truckee";

/// Permission bits of a page before the umask.
const PAGE_MODE: u32 = 0o666;

/// Runs `truckee completions`.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    match io::stdout().lock().write_all(&script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Stdout(error)),
        _ => Ok(()),
    }
}

/// Runs `truckee man`.
pub(crate) fn pages(args: &ManArgs) -> Result<(), CliError> {
    std::fs::create_dir_all(&args.dir).map_err(CliError::file("create", &args.dir))?;
    let mut command = Cli::command();
    command.build();
    let written = page_tree(&args.dir, NAME, &command)?;
    print_line(&format!(
        "{written} pages; read one with `man -l {}`",
        args.dir.join("truckee.1").display()
    ))
}

/// Writes the page of `command` and those of its subcommands, as `truckee-alias-add.1`; gives their number.
fn page_tree(dir: &Path, name: &str, command: &clap::Command) -> Result<usize, CliError> {
    let mut page = Vec::new();
    let path = dir.join(format!("{name}.1"));
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(CliError::file("write", &path))?;
    write_whole(&path, &page, PAGE_MODE)?;
    let mut written = 1;
    for child in command
        .get_subcommands()
        .filter(|child| !child.is_hide_set() && child.get_name() != "help")
    {
        written += page_tree(dir, &format!("{name}-{}", child.get_name()), child)?;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        let args = ManArgs {
            dir: dir.path().join("man"),
        };
        pages(&args).unwrap();
        for command in [
            "truckee",
            "truckee-cp",
            "truckee-alias-create",
            "truckee-codec-encode",
        ] {
            let page = std::fs::read_to_string(args.dir.join(format!("{command}.1"))).unwrap();
            assert!(page.contains(".TH"), "{command}");
        }
        let cp = std::fs::read_to_string(args.dir.join("truckee-cp.1")).unwrap();
        assert!(cp.contains("\\-\\-recursive"), "{cp}");
    }

    #[test]
    fn every_shell_is_told_every_command() {
        for shell in clap_complete::Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), NAME, &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in ["backup", "manifest", "codec"] {
                assert!(script.contains(command), "{shell}: {command}");
            }
            assert!(!script.contains("TRUCKEE_TOKEN="), "{shell}");
        }
    }
}
