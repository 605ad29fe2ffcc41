//! `truckee check`: how whole files and directories are.
//!
//! Owns the reading of check results and what they add up to. Exit code 0: all healthy. 8: shares are missing, all can be
//! read. 3: something cannot be read.

use serde_json::Value;

use crate::cli::drive::CheckArgs;
use crate::client::CheckChoice;
use crate::error::CliError;
use crate::output::{print_json, print_line};

use super::Drive;
use super::manifest::path;

/// What to do about what is not healthy.
const BEFORE_REPAIR: &str = "repair with `truckee check --repair`";
/// The same when that was done.
const AFTER_REPAIR: &str =
    "start the storage nodes that hold what is missing, or some that take new shares, and repair again";

/// What is known of one file or directory after the check.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    healthy: bool,
    recoverable: bool,
    repaired: bool,
    /// Why a repair that was attempted did not make it whole.
    problem: Option<String>,
    summary: String,
}

impl Verdict {
    /// Reads one check result, or one of check and repair.
    fn read(value: &Value) -> Verdict {
        let attempted = value["repair-attempted"] == true;
        let results = value
            .get("post-repair-results")
            .filter(|results| !results.is_null())
            .unwrap_or(value);
        let facts = &results["results"];
        let healthy = facts["healthy"] == true;
        // What lives in its cap has no shares: the result says healthy and nothing else.
        let recoverable = facts["recoverable"].as_bool().unwrap_or(healthy);
        let summary = results["summary"].as_str().filter(|text| !text.is_empty());
        Verdict {
            healthy,
            recoverable,
            repaired: attempted && value["repair-successful"] == true,
            problem: value["truckee"]["repair-problem"]
                .as_str()
                .filter(|_| attempted)
                .map(str::to_owned),
            summary: summary
                .unwrap_or(if healthy { "Healthy" } else { "Not healthy" })
                .to_owned(),
        }
    }

    fn text(&self, name: &str) -> String {
        let repaired = match &self.problem {
            _ if self.repaired => " (repaired)".to_owned(),
            Some(problem) => format!(" (not repaired: {problem})"),
            None => String::new(),
        };
        format!("{name}: {}{repaired}", self.summary)
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    checked: u64,
    unhealthy: u64,
    lost: u64,
    repaired: u64,
}

impl Tally {
    fn count(&mut self, verdict: &Verdict) {
        self.checked += 1;
        self.unhealthy += u64::from(!verdict.healthy);
        self.lost += u64::from(!verdict.recoverable);
        self.repaired += u64::from(verdict.repaired);
    }
}

/// Runs the command.
pub(crate) fn run(args: &CheckArgs) -> Result<(), CliError> {
    let drive = Drive::open(&args.drive)?;
    let choice = CheckChoice {
        verify: args.verify,
        repair: args.repair,
    };
    let mut tally = Tally::default();
    for text in &args.paths {
        let place = drive.place(text)?;
        if !args.recursive {
            let result = drive.gateway.check_one(&place, choice)?;
            report(&result, &result, &place.shown(), args, &mut tally, true)?;
            continue;
        }
        for line in drive.gateway.check_deep(&place, choice)? {
            let line = line?;
            if line["type"] == "stats" {
                if args.json {
                    print_json(&line)?;
                }
                continue;
            }
            let result = line
                .get("check-results")
                .or_else(|| line.get("check-and-repair-results"))
                .filter(|result| !result.is_null());
            let name = format!("{}/{}", place.shown(), path(&line));
            match result {
                Some(result) => report(&line, result, &name, args, &mut tally, false)?,
                None if args.json => print_json(&line)?,
                // A cap of an unknown kind: nobody can check it.
                None => {}
            }
        }
    }
    if !args.json && args.recursive {
        let Tally {
            checked,
            unhealthy,
            lost,
            repaired,
        } = tally;
        print_line(&format!(
            "{checked} checked, {} healthy, {unhealthy} not healthy, {lost} cannot be read, {repaired} repaired",
            checked - unhealthy
        ))?;
    }
    if tally.unhealthy == 0 {
        return Ok(());
    }
    Err(CliError::Unhealthy {
        unhealthy: tally.unhealthy,
        lost: tally.lost,
        checked: tally.checked,
        advice: if args.repair { AFTER_REPAIR } else { BEFORE_REPAIR },
    })
}

fn report(
    line: &Value,
    result: &Value,
    name: &str,
    args: &CheckArgs,
    tally: &mut Tally,
    always: bool,
) -> Result<(), CliError> {
    let verdict = Verdict::read(result);
    tally.count(&verdict);
    if args.json {
        print_json(line)
    } else if always || args.verbose || !verdict.healthy || verdict.repaired {
        print_line(&verdict.text(&super::ls::harmless(name)))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_of_both_shapes_are_read() {
        let plain = json!({ "summary": "Healthy", "results": { "healthy": true, "recoverable": true } });
        let literal = json!({ "results": { "healthy": true } });
        let weak =
            json!({ "summary": "8 of 10 shares", "results": { "healthy": false, "recoverable": true } });
        let lost =
            json!({ "summary": "2 of 3 needed", "results": { "healthy": false, "recoverable": false } });
        let repaired = json!({ "repair-attempted": true, "repair-successful": true, "pre-repair-results": weak, "post-repair-results": plain });
        let mut tally = Tally::default();
        for value in [&plain, &literal, &weak, &lost, &repaired] {
            tally.count(&Verdict::read(value));
        }
        assert_eq!(
            tally,
            Tally {
                checked: 5,
                unhealthy: 2,
                lost: 1,
                repaired: 1
            }
        );
        assert_eq!(Verdict::read(&repaired).text("a"), "a: Healthy (repaired)");
        let failed = json!({ "repair-attempted": true, "repair-successful": false, "post-repair-results": lost,
                             "truckee": { "shares-made": 0, "repair-problem": "too few shares" } });
        assert_eq!(
            Verdict::read(&failed).text("a"),
            "a: 2 of 3 needed (not repaired: too few shares)"
        );
        assert_eq!(Verdict::read(&weak).text("a"), "a: 8 of 10 shares");
        // An answer that says nothing is not good news.
        assert!(!Verdict::read(&json!({})).healthy);
    }
}
