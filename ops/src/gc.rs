//! `truckee gc --dry-run`: what a storage node would let go.
//!
//! Reads the node's configuration, the days that it has counted, and the leases in its directory; changes nothing, and does
//! not disturb a node that runs there. What goes is decided by the node alone.

use serde_json::json;
use truckee_actors::gc::load;
use truckee_actors::store::look::{Outlook, look};
use truckee_engine::gc::GcState;
use truckee_engine::time::{Day, UnixSeconds};
use truckee_nodes::Config;
use truckee_nodes::dir::NodeDir;

use crate::cli::GcArgs;
use crate::date;
use crate::error::CliError;
use crate::output::{bytes_text, print_json, print_line};

/// Days after which a lease counts as over if the node collects nothing and none are given.
const EXPIRE_DAYS_SHOWN: u32 = 90;

/// Runs the command.
pub(crate) fn run(args: &GcArgs) -> Result<(), CliError> {
    let failed = |reason: String| CliError::Node {
        node: args.dir.display().to_string(),
        reason,
    };
    let config = Config::load(&args.dir).map_err(|errors| failed(errors.to_string()))?;
    let Some(gc) = config.gc else {
        return Err(failed("it has not the role storage, and so no shares".to_owned()));
    };
    let state = load(&NodeDir::new(&args.dir).gc_path());
    let today = state.map_or_else(calendar, |state| state.today);
    let days = args.expire_days.or(gc.expire_days).unwrap_or(EXPIRE_DAYS_SHOWN);
    let before = Day::from_number(today.number().saturating_sub(days));
    let outlook = look(&args.dir, before).map_err(|error| failed(error.to_string()))?;
    let first = first_day(state);
    if args.json {
        let day = |day: Option<Day>| day.map(text);
        return print_json(&json!({
            "today": text(today),
            "on": gc.expire_days.is_some(),
            "expire_days": days,
            "wait_days": gc.wait_days,
            "first_day": day(first),
            "shares": outlook.over.shares,
            "bytes": outlook.over.bytes,
            "shares_held": outlook.held.shares,
            "bytes_held": outlook.held.bytes,
            "oldest_lease": day(outlook.oldest),
            "youngest_lease": day(outlook.youngest),
            "trash_shares": outlook.trash.shares,
            "trash_bytes": outlook.trash.bytes,
            "unreadable": outlook.unreadable,
        }));
    }
    for line in lines(&outlook, today, days, gc.expire_days.is_some(), first) {
        print_line(&line)?;
    }
    Ok(())
}

/// The first day on which anything goes, if collecting is on.
fn first_day(state: Option<GcState>) -> Option<Day> {
    let term = state?.term?;
    Some(term.since.plus(term.expire_days).plus(1))
}

fn lines(outlook: &Outlook, today: Day, days: u32, is_on: bool, first: Option<Day>) -> Vec<String> {
    let amount = |shares: u64, bytes: u64| format!("{shares} shares, {}", bytes_text(bytes));
    let day = |day: Option<Day>| day.map_or_else(|| "none".to_owned(), text);
    let Outlook {
        held, over, trash, ..
    } = outlook;
    let mut lines = vec![
        format!(
            "would go: {} of {}, with leases of more than {days} days on {}",
            amount(over.shares, over.bytes),
            amount(held.shares, held.bytes),
            text(today)
        ),
        format!(
            "oldest lease {}, youngest {}",
            day(outlook.oldest),
            day(outlook.youngest)
        ),
        format!("in the trash: {}", amount(trash.shares, trash.bytes)),
    ];
    if outlook.unreadable > 0 {
        lines.push(format!(
            "{} places could not be read; nothing goes from there, see the log of the node",
            outlook.unreadable
        ));
    }
    lines.push(match (is_on, first) {
        (false, _) => "nothing goes: gc.expire_days is not set".to_owned(),
        (true, Some(first)) if first > today => {
            format!(
                "nothing goes before {}: files are to be renewed until then",
                text(first)
            )
        }
        (true, Some(_)) => "it goes at the next walk, once a day".to_owned(),
        (true, None) => "nothing goes yet: the node has not run since gc.expire_days was set".to_owned(),
    });
    lines
}

fn calendar() -> Day {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A machine without a battery clock: all leases are then from the future, and none is over.
    Day::of(UnixSeconds::from_secs(
        since_1970.map_or(0, |since| since.as_secs()),
    ))
}

fn text(day: Day) -> String {
    date::civil(day.begin().as_secs() as f64).date()
}

#[cfg(test)]
mod tests {
    use truckee_engine::store::Amount;

    use super::*;

    #[test]
    fn it_says_what_would_go_and_why_nothing_goes() {
        let outlook = Outlook {
            held: Amount {
                shares: 10,
                bytes: 4096,
            },
            over: Amount {
                shares: 4,
                bytes: 1024,
            },
            oldest: Some(Day::from_number(19_000)),
            youngest: Some(Day::from_number(20_000)),
            ..Outlook::default()
        };
        let today = Day::from_number(20_000);
        let shown = |is_on, first| lines(&outlook, today, 90, is_on, first).join("\n");
        let off = shown(false, None);
        assert!(off.starts_with("would go: 4 shares, "), "{off}");
        assert!(
            off.contains("oldest lease 2022-01-08, youngest 2024-10-04"),
            "{off}"
        );
        assert!(off.ends_with("nothing goes: gc.expire_days is not set"), "{off}");
        let waiting = shown(true, Some(Day::from_number(20_030)));
        assert!(waiting.contains("nothing goes before 2024-11-03"), "{waiting}");
        assert!(shown(true, Some(today)).ends_with("once a day"));
        assert!(shown(true, None).contains("has not run since"));
    }
}
