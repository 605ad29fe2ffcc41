//! `truckee renew`: the leases of files and of everything below directories.
//!
//! Owns the reading of what the gateway says. Exit code 0: every file was renewed at every storage node. 7: some node was not
//! reached, so that the renewal is to be repeated. 3: a file is held by nobody.

use serde_json::Value;

use crate::cli::drive::RenewArgs;
use crate::error::CliError;
use crate::output::{print_json, print_line};

use super::Drive;

/// What the renewals add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    files: u64,
    without_holder: u64,
    nodes: u64,
    not_renewed: u64,
}

impl Tally {
    fn add(&mut self, stats: &Value) {
        let number = |name: &str| stats[name].as_u64().unwrap_or(0);
        self.files += number("files");
        self.without_holder += number("files-without-holder");
        self.nodes = self.nodes.max(number("nodes"));
        let failed = stats["nodes-not-renewed"].as_array().map_or(0, Vec::len);
        self.not_renewed = self.not_renewed.max(failed as u64);
    }
}

/// Runs the command.
pub(crate) fn run(args: &RenewArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    let mut tally = Tally::default();
    for text in &args.paths {
        let place = drive.place(text)?;
        for line in drive.gateway.renew(&place)? {
            let line = line?;
            if args.json {
                print_json(&line)?;
            } else if line["type"] == "without-holder" {
                let si = line["storage-index"].as_str().unwrap_or("");
                print_line(&format!(
                    "no storage node holds shares of {}",
                    super::ls::harmless(si)
                ))?;
            }
            if line["type"] == "stats" {
                tally.add(&line["stats"]);
            }
        }
    }
    let Tally {
        files,
        without_holder,
        nodes,
        not_renewed,
    } = tally;
    if !args.json {
        print_line(&format!(
            "{files} files renewed at {} of {nodes} storage nodes",
            nodes - not_renewed.min(nodes)
        ))?;
    }
    if without_holder == 0 && not_renewed == 0 {
        return Ok(());
    }
    Err(CliError::NotRenewed {
        files,
        without_holder,
        nodes,
        not_renewed,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stats_add_up_over_several_places() {
        let mut tally = Tally::default();
        tally.add(&json!({ "files": 3, "files-without-holder": 1, "nodes": 10, "nodes-not-renewed": ["a"] }));
        tally.add(&json!({ "files": 4, "files-without-holder": 0, "nodes": 10, "nodes-not-renewed": [] }));
        // An answer that says nothing adds nothing.
        tally.add(&json!({}));
        let expected = Tally {
            files: 7,
            without_holder: 1,
            nodes: 10,
            not_renewed: 1,
        };
        assert_eq!(tally, expected);
    }
}
