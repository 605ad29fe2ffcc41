//! The report for people: a timeline, a table of faults, the promises, and how to repeat it.

use std::time::Duration;

use super::super::fault::Kind;
use super::super::record::{Promise, Sort, Tally};
use super::timeline::{bar, clock, scale};
use super::{Outcome, seconds};

/// Lines of the story that are shown; the report for programs has all.
const STORY_SHOWN: usize = 120;

/// Lost files that are shown.
const LOST_SHOWN: usize = 20;

/// Violations of one promise that are shown.
const VIOLATIONS_SHOWN: usize = 12;

/// The whole report, line by line.
pub(crate) fn lines(outcome: &Outcome) -> Vec<String> {
    let parts = [
        head(outcome),
        timeline(outcome),
        story(outcome),
        faults(outcome),
        errors(outcome),
        promises(outcome),
        beyond(outcome),
        tail(outcome),
    ];
    let parts: Vec<Vec<String>> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(&String::new())
}

fn head(outcome: &Outcome) -> Vec<String> {
    let shape = &outcome.shape;
    let mut lines = vec![
        format!("truckee chaos, seed {}: {}", outcome.seed, outcome.place),
        format!(
            "  {} storage peers; any {} of {} shares are enough, an upload needs {} peers; {} of them may be away or damaged",
            shape.peers.len(),
            shape.k,
            shape.n,
            shape.happy,
            shape.bearable(),
        ),
        format!(
            "  {} faults in {}, at most {} at once; {} clients; {} in all{}",
            outcome.record.spans.len(),
            seconds(outcome.attack),
            outcome.at_once,
            outcome.clients,
            seconds(outcome.took),
            if outcome.ended_early { "; ENDED EARLY" } else { "" },
        ),
    ];
    lines.extend(outcome.notes.iter().map(|note| format!("  {note}")));
    lines
}

fn kinds(outcome: &Outcome) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = outcome.record.spans.iter().map(|span| span.fault.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn timeline(outcome: &Outcome) -> Vec<String> {
    let all = outcome.attack;
    let row = |name: &str, bar: String| format!("{name:13}{bar}");
    let mut lines = vec![row("TIMELINE", scale(all))];
    for kind in kinds(outcome) {
        let spans = outcome.record.spans.iter().filter(|span| span.fault.kind == kind);
        let stretches = spans.map(|span| (span.from, span.to.unwrap_or(all)));
        lines.push(row(kind.word(), bar(all, stretches, '#')));
    }
    for sort in Sort::ALL {
        let gaps = outcome.record.gaps(sort).filter(|gap| gap.from < all);
        let gaps = bar(all, gaps.map(|gap| (gap.from, gap.to)), '!');
        lines.push(row(&format!("no {}", sort.word()), gaps));
    }
    lines
}

fn story(outcome: &Outcome) -> Vec<String> {
    let told = &outcome.record.story;
    let mut lines = vec!["WHAT HAPPENED".to_owned()];
    let shown = told.iter().take(STORY_SHOWN);
    lines.extend(shown.map(|(at, line)| format!("  {:>6}  {line}", clock(*at))));
    let left = told.len().saturating_sub(STORY_SHOWN) as u64 + outcome.record.story_cut;
    if left > 0 {
        lines.push(format!(
            "          and {left} more lines, in the report with --json"
        ));
    }
    lines
}

fn faults(outcome: &Outcome) -> Vec<String> {
    let mut head = format!("{:13}{:>5} ", "FAULTS", "times");
    let mut under = format!("{:13}{:>5} ", "", "");
    for sort in Sort::ALL {
        head.push_str(&format!("|{:^26}", sort.word()));
        under.push_str(&format!(
            "|{:>6}{:>7}{:>6}{:>6} ",
            "done", "failed", "gap", "slow"
        ));
    }
    let mut lines = vec![head, under];
    let rows = kinds(outcome).into_iter().map(Some).chain([None]);
    for kind in rows {
        let (name, times) = match kind {
            Some(kind) => (kind.word(), outcome.record.times(kind).to_string()),
            None => ("none", String::new()),
        };
        let mut line = format!("{name:13}{times:>5} ");
        for sort in Sort::ALL {
            let tally = outcome.record.tally_of(sort, kind);
            let gap = outcome.record.longest_gap(sort, kind);
            line.push_str(&cell(tally, gap));
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.push(
        "  In seconds: gap, the longest time from a failure to the next success; slow, the slowest answer of those that were done."
            .to_owned(),
    );
    lines.push("  What is seen during two faults, or up to 5 s after one, counts for each.".to_owned());
    for left_out in &outcome.plan.left_out {
        lines.push(format!(
            "  left out: {}, because {}",
            left_out.kind.word(),
            left_out.why
        ));
    }
    lines
}

fn cell(tally: Tally, gap: Option<Duration>) -> String {
    let figure = |time: Duration| format!("{:.1}", time.as_secs_f64());
    let (gap, slow) = (gap.map_or_else(|| "-".to_owned(), figure), figure(tally.slowest));
    format!("|{:>6}{:>7}{gap:>6}{slow:>6} ", tally.done, tally.failed)
}

fn errors(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    for sort in Sort::ALL {
        let errors = outcome.record.errors(sort);
        if errors.is_empty() {
            continue;
        }
        let counts: Vec<String> = errors
            .iter()
            .map(|(code, count)| format!("{code} x {count}"))
            .collect();
        let surprises = match outcome.record.surprises(sort) {
            0 => String::new(),
            count => format!("; {count} of them although nothing stood in the way"),
        };
        lines.push(format!("{:13}{}{surprises}", sort.word(), counts.join(", ")));
    }
    if !lines.is_empty() {
        lines.insert(0, "ERRORS SEEN".to_owned());
    }
    lines
}

fn promises(outcome: &Outcome) -> Vec<String> {
    let mut lines = vec!["PROMISES".to_owned()];
    for promise in Promise::ALL {
        let violations: Vec<_> = outcome.violations(promise).collect();
        let wording = Outcome::wording(promise);
        if violations.is_empty() {
            lines.push(format!("  OK        {wording}: {}", outcome.figures(promise)));
            continue;
        }
        lines.push(format!("  VIOLATED  {wording}: {} times", violations.len()));
        for violation in violations.iter().take(VIOLATIONS_SHOWN) {
            let on = if violation.on.is_empty() {
                "no fault was on".to_owned()
            } else {
                format!("during {}", violation.on.join(" and "))
            };
            lines.push(format!(
                "    {:>6}  {} ({on})",
                clock(violation.at),
                violation.what
            ));
        }
    }
    let unkept = outcome.record.violations_cut;
    if unkept > 0 {
        lines.push(format!("  {unkept} more violations were counted and not kept"));
    }
    lines
}

fn beyond(outcome: &Outcome) -> Vec<String> {
    if !outcome.beyond {
        return Vec::new();
    }
    let lost = &outcome.verdict.lost;
    let mut lines = vec![format!(
        "BEYOND the budget: {} files are lost, each with fewer than {} whole shares left on all disks together",
        lost.len(),
        outcome.shape.k
    )];
    let shown: Vec<String> = lost.iter().take(LOST_SHOWN).map(usize::to_string).collect();
    if !shown.is_empty() {
        let more = lost.len().saturating_sub(LOST_SHOWN);
        let more = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        lines.push(format!("  lost: file {}{more}", shown.join(", ")));
    }
    lines
}

fn tail(outcome: &Outcome) -> Vec<String> {
    let mut lines: Vec<String> = outcome
        .troubles
        .iter()
        .map(|trouble| format!("TROUBLE  {trouble}"))
        .collect();
    if outcome.verdict.unfinished {
        lines.push("UNFINISHED  the last look was cut off or left out".to_owned());
    }
    lines.push(format!("AGAIN  {}", outcome.again));
    lines
}
