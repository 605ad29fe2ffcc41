//! `truckee drain`: empties a storage node before it is taken away, and says when that is safe.
//!
//! Owns the display and the patience. The node itself keeps that it is draining, so that the command may end at any time;
//! what is safe is its own finding, and this command adds nothing to it.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use truckee_nodes::control::{Answer, Ask, DrainStatus};

use crate::cli::operator::DrainArgs;
use crate::error::CliError;
use crate::operator::{ask, in_cluster, odd};
use crate::output::{bytes_text, print_json, print_line};

/// Between two looks: the node itself looks once a round, and answers from what it knows.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two lines where nobody sees a bar: a drain takes hours, and its log is to be read.
const LINE_EVERY: Duration = Duration::from_secs(60);
/// So often in a row must nobody be found who takes shares: nodes that are busy for a moment say no as well.
const NO_TAKERS_MAX: u32 = 30;
/// Look of the bar.
const BAR: &str = "{wide_bar} {pos}/{len} files  {msg}";

/// Runs the command.
pub(crate) fn run(args: &DrainArgs) -> Result<(), CliError> {
    let dir = directory(args)?;
    let order = match (args.status, args.undo) {
        (true, _) => Ask::DrainStatus,
        (_, undo) => Ask::Drain { on: !undo },
    };
    let look = |what: &Ask| match ask(&dir, what)? {
        Answer::Drain(status) => Ok(status),
        _ => Err(odd(&dir)),
    };
    let mut status = look(&order)?;
    let name = args.node.clone().unwrap_or_else(|| "the node".to_owned());
    let waits = !(args.undo || args.status || args.no_wait);
    if waits {
        if !args.json {
            print_line(&begun(&name))?;
        }
        status = wait(args.json, status, || look(&Ask::DrainStatus))?;
    }
    let verdict = verdict(&name, &status);
    if args.json {
        print_json(&json!({ "status": status, "text": verdict }))?;
    } else {
        print_line(&verdict)?;
    }
    match args.undo || args.no_wait || status.safe {
        true => Ok(()),
        false => Err(CliError::NotDrained),
    }
}

fn directory(args: &DrainArgs) -> Result<PathBuf, CliError> {
    let Some(name) = &args.node else {
        // Clap has seen to it that one of both is there.
        return Ok(args.dir.clone().unwrap_or_default());
    };
    in_cluster(&args.cluster, |node| node.name == *name)?.ok_or_else(|| CliError::Usage {
        what: "NODE",
        value: name.clone(),
        hint: format!(
            "{} has no such node; give the directory of one that is not of a local cluster with --dir",
            args.cluster.display()
        ),
    })
}

fn begun(name: &str) -> String {
    format!(
        "{name} takes no new shares from now on, and what it holds is made again on other nodes; nothing is removed from it; \
         Ctrl-C ends only this display, and `truckee drain --undo` takes it back"
    )
}

/// Waits until nothing more is to be waited for; gives the last state.
fn wait(
    quiet: bool,
    first: DrainStatus,
    mut look: impl FnMut() -> Result<DrainStatus, CliError>,
) -> Result<DrainStatus, CliError> {
    let bar = bar(quiet);
    let (mut status, mut without_takers, mut line_at) = (first, 0, Instant::now());
    while !is_over(&status, &mut without_takers) {
        bar.set_length(status.moved_files + status.waiting_files + status.stuck_files);
        bar.set_position(status.moved_files);
        bar.set_message(progress(&status));
        if bar.is_hidden() && !quiet && Instant::now() >= line_at {
            print_line(&progress(&status))?;
            line_at = Instant::now() + LINE_EVERY;
        }
        sleep(LOOK_EVERY);
        status = look()?;
    }
    bar.finish_and_clear();
    Ok(status)
}

fn bar(quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(4));
    // One that does not parse (a test sees to it that it does) leaves the bar its default look.
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    bar
}

/// Whether waiting is of no use any more: it is safe, somebody has taken the order back, or it can never be as things are.
fn is_over(status: &DrainStatus, without_takers: &mut u32) -> bool {
    let nobody = status.checked && status.takers == 0 && status.waiting_files > 0;
    *without_takers = if nobody { *without_takers + 1 } else { 0 };
    let stuck = status.checked && status.stuck_files > 0 && status.waiting_files == 0;
    status.safe || !status.draining || stuck || *without_takers >= NO_TAKERS_MAX
}

/// One line while it is under way.
fn progress(status: &DrainStatus) -> String {
    let held = format!(
        "{} shares of {} here",
        status.shares,
        bytes_text(status.used_bytes)
    );
    if status.unfinished_shares > 0 {
        return format!(
            "{held}; {} that were begun before are being finished",
            status.unfinished_shares
        );
    }
    if status.unknown_buckets > 0 {
        return format!(
            "{held}; still to be compared with other nodes: {} parts of 1024",
            status.unknown_buckets
        );
    }
    if !status.checked {
        return format!("{held}; being compared with what other nodes hold");
    }
    format!(
        "{held}; files with a share here: {} safe elsewhere, {} to go{}",
        status.moved_files,
        status.waiting_files,
        stuck(status)
    )
}

fn stuck(status: &DrainStatus) -> String {
    match status.stuck_files {
        0 => String::new(),
        files => format!(", {files} with too few shares to make any again"),
    }
}

/// What it has come to, for people.
fn verdict(name: &str, status: &DrainStatus) -> String {
    if !status.draining {
        return format!("{name} is not draining: it takes new shares as far as it has room");
    }
    if status.safe && status.moved_files == 0 {
        return format!("safe to unplug: {name} holds no share of any file");
    }
    if status.safe {
        return format!(
            "safe to unplug: all {} files with a share on {name} have all their shares on other nodes that stay; stop it, and if \
             it never comes back, `truckee revoke` forgets it",
            status.moved_files
        );
    }
    let why = if status.stuck_files > 0 && status.waiting_files == 0 && status.checked {
        "bring back nodes that are away: what is here may be among the last shares of these files".to_owned()
    } else if status.checked && status.takers == 0 {
        "no other node takes shares: add storage nodes, or make room on those that there are".to_owned()
    } else {
        "it goes on draining; ask again with --status".to_owned()
    };
    format!("not safe to unplug yet: {}; {why}", progress(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> DrainStatus {
        DrainStatus {
            draining: true,
            checked: true,
            shares: 12,
            used_bytes: 3 << 20,
            moved_files: 5,
            waiting_files: 7,
            takers: 9,
            ..DrainStatus::default()
        }
    }

    #[test]
    fn safe_is_said_only_when_the_node_says_so() {
        let safe = DrainStatus {
            safe: true,
            waiting_files: 0,
            ..status()
        };
        let empty = DrainStatus {
            moved_files: 0,
            ..safe
        };
        assert!(verdict("a", &safe).starts_with("safe to unplug: all 5 files"));
        assert!(verdict("a", &empty).starts_with("safe to unplug: a holds no share"));
        let unchecked = DrainStatus {
            checked: false,
            waiting_files: 0,
            ..status()
        };
        let parts = DrainStatus {
            unknown_buckets: 3,
            ..unchecked
        };
        let unfinished = DrainStatus {
            unfinished_shares: 2,
            ..unchecked
        };
        let stuck = DrainStatus {
            stuck_files: 4,
            waiting_files: 0,
            ..status()
        };
        let alone = DrainStatus {
            takers: 0,
            ..status()
        };
        for (not, part) in [
            (status(), "5 safe elsewhere, 7 to go; it goes on draining"),
            (unchecked, "being compared"),
            (parts, "3 parts of 1024"),
            (unfinished, "2 that were begun before"),
            (stuck, "4 with too few shares to make any again; bring back nodes"),
            (alone, "no other node takes shares"),
        ] {
            let text = verdict("a", &not);
            assert!(
                text.starts_with("not safe to unplug yet: 12 shares of 3.00 MiB here"),
                "{text}"
            );
            assert!(text.contains(part), "{part}: {text}");
        }
        let undone = DrainStatus::default();
        assert!(verdict("a", &undone).contains("is not draining"));
    }

    #[test]
    fn waiting_ends_when_it_is_safe_or_of_no_use() {
        let mut states = vec![
            DrainStatus {
                safe: true,
                waiting_files: 0,
                ..status()
            },
            status(),
            DrainStatus {
                checked: false,
                waiting_files: 0,
                ..status()
            },
        ];
        let mut without = 0;
        assert!(!is_over(&status(), &mut without));
        let last = wait(true, status(), || Ok(states.pop().expect("it ends before"))).expect("waits");
        assert!(last.safe && states.is_empty());
        let over = |status: DrainStatus| is_over(&status, &mut 0);
        assert!(over(DrainStatus::default()), "somebody took it back");
        assert!(over(DrainStatus {
            stuck_files: 1,
            waiting_files: 0,
            ..status()
        }));
        assert!(
            !over(DrainStatus {
                stuck_files: 1,
                ..status()
            }),
            "others can still be moved"
        );
        assert!(!over(DrainStatus {
            stuck_files: 1,
            waiting_files: 0,
            checked: false,
            ..status()
        }));
        let alone = DrainStatus {
            takers: 0,
            ..status()
        };
        let mut without = 0;
        let looks = (1..).find(|_| is_over(&alone, &mut without));
        assert_eq!(looks, Some(NO_TAKERS_MAX));
    }

    #[test]
    fn the_bar_has_its_look() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }
}
