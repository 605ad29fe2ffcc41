//! Results of checks as JSON, in the shapes that clients of Tahoe-LAFS know. What they do not know stands beside it
//! under `truckee`.

use serde_json::{Map, Value, json};

use super::check::Checked;
use super::repair::Attempt;
use crate::http::check_port::CheckReport;

/// Why a repair that was asked for was not attempted, although something is wrong.
const NO_SHARES: &str =
    "what is wrong is not with shares, and only shares are made again; see the summary of the check";

/// The result of a check.
pub(super) fn check(checked: &Checked) -> Value {
    let Some(si) = checked.si else {
        return json!({ "storage-index": "", "results": { "healthy": true } });
    };
    let mut results = counts(checked);
    results.insert("healthy".to_owned(), checked.healthy.into());
    results.insert("recoverable".to_owned(), checked.recoverable.into());
    let mut value = json!({
        "storage-index": si.to_base32(),
        "summary": checked.summary,
        "results": results,
    });
    value["truckee"] = json!({ "version": checked.version });
    if let Some(report) = &checked.report {
        let silent = report.silent.iter().map(|silent| {
            json!({
                "node_id": silent.peer.to_base32(),
                "cause": silent.why.name(),
                "message": silent.why.to_string(),
            })
        });
        value["truckee"] = json!({
            "version": checked.version,
            "content-storage-index": report.si.to_base32(),
            "verified": report.verified,
            "blocks-verified": report.blocks,
            "servers-silent": silent.collect::<Vec<Value>>(),
        });
    }
    value
}

/// The result of a check that was to repair.
pub(super) fn check_and_repair(checked: &Checked) -> Value {
    let Some(si) = checked.si else {
        return json!({ "storage-index": "", "repair-attempted": false });
    };
    let attempt = checked.repair.as_ref();
    let mut value = json!({
        "storage-index": si.to_base32(),
        "repair-attempted": attempt.is_some(),
        "repair-successful": attempt.is_some_and(Attempt::succeeded),
        "pre-repair-results": check(checked),
        "post-repair-results": check(attempt.map_or(checked, |attempt| &attempt.after)),
    });
    if let Some(attempt) = attempt {
        value["truckee"] = json!({ "shares-made": attempt.made, "repair-problem": attempt.problem });
    } else if !checked.healthy {
        value["repair-unavailable"] = NO_SHARES.into();
    }
    value
}

/// A directory or a mutable file without content counts as one share of one: its database has it or not.
fn counts(checked: &Checked) -> Map<String, Value> {
    let there = usize::from(checked.recoverable);
    let value = match &checked.report {
        Some(report) => of_report(report),
        None => json!({
            "count-happiness": there,
            "count-shares-good": there,
            "count-shares-needed": 1,
            "count-shares-expected": 1,
            "count-good-share-hosts": there,
            "count-corrupt-shares": 0,
            "list-corrupt-shares": [],
            "servers-responding": [],
            "sharemap": {},
            "count-wrong-shares": 0,
            "count-recoverable-versions": there,
            "count-unrecoverable-versions": 1 - there,
        }),
    };
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn of_report(report: &CheckReport) -> Value {
    let recoverable = usize::from(report.is_recoverable());
    let sharemap: Map<String, Value> = report
        .sharemap
        .iter()
        .map(|(share, peers)| {
            let peers = peers.iter().map(|peer| peer.to_base32());
            (share.0.to_string(), peers.collect())
        })
        .collect();
    let responding = report.responding.iter().map(|peer| peer.to_base32());
    json!({
        "count-happiness": report.happiness,
        "count-shares-good": report.good(),
        "count-shares-needed": report.coding.k(),
        "count-shares-expected": report.coding.n(),
        "count-good-share-hosts": report.good_hosts(),
        "count-corrupt-shares": report.corrupt.len(),
        "list-corrupt-shares": corrupt(report),
        "servers-responding": responding.collect::<Vec<String>>(),
        "sharemap": sharemap,
        "count-wrong-shares": report.incompatible.len(),
        "count-recoverable-versions": recoverable,
        "count-unrecoverable-versions": 1 - recoverable,
    })
}

/// Damaged shares: node, storage index, number.
pub(super) fn corrupt(report: &CheckReport) -> Vec<Value> {
    let si = report.si.to_base32();
    let rows = report.corrupt.iter();
    rows.map(|found| json!([found.peer.to_base32(), si, found.share.0]))
        .collect()
}
