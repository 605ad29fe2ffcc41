//! `truckee run` and `truckee init`: one node.
//!
//! Owns nothing but the way from the command line into `truckee-nodes`, and the tie to a parent process: a node started
//! with `--exit-with-parent` stops in order when its standard input ends.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::process::{Signal, getpid, kill_process};
use serde_json::json;
use truckee_nodes::{InitSpec, Role, RunOptions, init_node, run_node};

use crate::cli::{InitArgs, RunArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{print_json, print_line};

/// What a node ends with when another process runs on its directory. Here that is [`Exit::Refused`].
const NODE_DIR_IN_USE: u8 = 3;

/// Runs a node until it is stopped; 130 after a second signal, which ends it at once.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let dir = match directory(args) {
        Ok(dir) => dir,
        Err(error) => {
            eprintln!("truckee: {error}");
            return error.exit().into();
        }
    };
    if args.exit_with_parent
        && let Err(error) = std::thread::Builder::new()
            .name("parent".into())
            .spawn(stop_at_end_of_input)
    {
        eprintln!("truckee: cannot start a thread that watches for the end of the parent process: {error}");
        return Exit::Failed.into();
    }
    let code = run_node(&dir, &RunOptions::default());
    if code == ExitCode::from(NODE_DIR_IN_USE) {
        Exit::Refused.into()
    } else {
        code
    }
}

/// The node's directory: given, or where the given configuration stands.
fn directory(args: &RunArgs) -> Result<PathBuf, CliError> {
    if let Some(dir) = &args.dir {
        return Ok(dir.clone());
    }
    let config = args.config.as_deref().unwrap_or(Path::new("truckee.toml"));
    if config.is_dir() {
        return Ok(config.to_owned());
    }
    if config.file_name() != Some("truckee.toml".as_ref()) {
        return Err(CliError::Usage {
            what: "the configuration",
            value: config.display().to_string(),
            hint: "give the path of a truckee.toml, or its directory with --dir".into(),
        });
    }
    let parent = config.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(parent.unwrap_or(Path::new(".")).to_owned())
}

/// Blocks until standard input ends, then asks this very process to stop as any other would.
fn stop_at_end_of_input() {
    let mut ignored = [0; 64];
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut ignored) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A pipe that cannot be read tells nothing about the parent any more: better to stop than to be orphaned.
            Err(_) => break,
        }
    }
    if let Err(error) = kill_process(getpid(), Signal::TERM) {
        eprintln!("truckee: the parent process is gone but this one cannot signal itself: {error}");
    }
}

/// Sets up the directory of one node.
pub(crate) fn init(args: &InitArgs) -> Result<(), CliError> {
    let roles: Result<Vec<Role>, _> = args.role.iter().map(|word| word.parse::<Role>()).collect();
    let roles = roles.map_err(|error| CliError::Usage {
        what: "--role",
        value: args.role.join(","),
        hint: error.to_string(),
    })?;
    let nickname = match &args.nickname {
        Some(nickname) => nickname.clone(),
        None => args
            .dir
            .file_name()
            .map_or_else(|| "node".into(), |name| name.to_string_lossy().into_owned()),
    };
    let mut spec = InitSpec::new(&args.dir, &nickname, &roles);
    spec.listen = args.listen;
    spec.advertise.clone_from(&args.advertise);
    spec.zone.clone_from(&args.zone);
    spec.invites.clone_from(&args.invite);
    spec.gateway_listen = args.gateway_listen;
    spec.metrics_listen = args.metrics_listen;
    let made = init_node(&spec).map_err(|error| CliError::Node {
        node: args.dir.display().to_string(),
        reason: error.to_string(),
    })?;
    if args.json {
        return print_json(&json!({ "node_id": made.node_id.to_string(), "config": made.config }));
    }
    print_line(&format!(
        "node {} is set up; look through {}, then start it with `truckee run --dir {}`",
        made.node_id,
        made.config.display(),
        args.dir.display()
    ))
}
