//! The report for programs.

use serde_json::{Map, Value, json};

use super::super::record::{Promise, Sort, Tally};
use super::Outcome;
use crate::error::CliError;

/// The whole report. Times are in seconds since the start.
///
/// # Errors
/// Never in practice: texts and numbers always encode.
pub(crate) fn value(outcome: &Outcome) -> Result<Value, CliError> {
    let encode = |part: Result<Value, serde_json::Error>| {
        part.map_err(|error| CliError::System {
            action: "write the report",
            source: error.into(),
        })
    };
    let record = &outcome.record;
    let spans: Result<Vec<Value>, CliError> = record
        .spans
        .iter()
        .map(|span| {
            Ok(json!({
                "fault": encode(serde_json::to_value(&span.fault))?,
                "from": span.from.as_secs_f64(),
                "to": span.to.map(|to| to.as_secs_f64()),
            }))
        })
        .collect();
    Ok(json!({
        "seed": outcome.seed,
        "again": outcome.again,
        "place": outcome.place,
        "clients": outcome.clients,
        "at_once": outcome.at_once,
        "beyond": outcome.beyond,
        "shape": encode(serde_json::to_value(&outcome.shape))?,
        "plan": encode(serde_json::to_value(&outcome.plan))?,
        "faults": spans?,
        "story": record.story.iter().map(|(at, line)| json!([at.as_secs_f64(), line])).collect::<Vec<_>>(),
        "requests": Sort::ALL.into_iter().map(|sort| (sort.word().to_owned(), requests(outcome, sort))).collect::<Map<_, _>>(),
        "promises": Promise::ALL.into_iter().map(|promise| (promise.word().to_owned(), promise_json(outcome, promise))).collect::<Map<_, _>>(),
        "violations": outcome.violated(),
        "files": { "acknowledged": outcome.files, "intact": outcome.verdict.intact, "lost": outcome.verdict.lost },
        "changes": { "acknowledged": outcome.changes.0, "without_answer": outcome.changes.1 },
        "names": { "given": outcome.names.0, "sure": outcome.names.1 },
        "compared_bytes": record.compared_bytes,
        "stored_bytes": record.stored_bytes,
        "listings": record.listings,
        "restarts": record.restarts,
        "troubles": outcome.troubles,
        "notes": outcome.notes,
        "ended_early": outcome.ended_early,
        "unfinished": outcome.verdict.unfinished,
        "attack_seconds": outcome.attack.as_secs_f64(),
        "seconds": outcome.took.as_secs_f64(),
    }))
}

fn tally_json(tally: Tally, longest_gap: Option<std::time::Duration>) -> Value {
    json!({
        "done": tally.done,
        "failed": tally.failed,
        "slowest": tally.slowest.as_secs_f64(),
        "longest_gap": longest_gap.map(|gap| gap.as_secs_f64()),
    })
}

fn requests(outcome: &Outcome, sort: Sort) -> Value {
    let record = &outcome.record;
    let gaps = || record.gaps(sort);
    let mut kinds: Vec<_> = record.spans.iter().map(|span| span.fault.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let of_kind = |kind: Option<_>| tally_json(record.tally_of(sort, kind), record.longest_gap(sort, kind));
    let during: Map<String, Value> = kinds
        .into_iter()
        .map(|kind| (kind.word().to_owned(), of_kind(Some(kind))))
        .chain([("none".to_owned(), of_kind(None))])
        .collect();
    let longest = gaps().map(super::super::record::Gap::length).max();
    json!({
        "all": tally_json(record.tally(sort), longest),
        "during": during,
        "errors": record.errors(sort),
        "surprises": record.surprises(sort),
        "gaps": gaps().map(|gap| json!([gap.from.as_secs_f64(), gap.to.as_secs_f64()])).collect::<Vec<_>>(),
    })
}

fn promise_json(outcome: &Outcome, promise: Promise) -> Value {
    let violations: Vec<Value> = outcome
        .violations(promise)
        .map(|violation| {
            let (at, what, during) = (violation.at.as_secs_f64(), &violation.what, &violation.on);
            json!({ "at": at, "what": what, "during": during })
        })
        .collect();
    json!({
        "promise": Outcome::wording(promise),
        "kept": violations.is_empty(),
        "figures": outcome.figures(promise),
        "violations": violations,
    })
}
