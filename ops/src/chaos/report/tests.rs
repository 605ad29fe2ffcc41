use std::collections::BTreeSet;

use super::super::answer::Failed;
use super::super::fault::{Fault, Kind, Target};
use super::super::model::At;
use super::super::plan::LeftOut;
use super::super::shape::testing::shape;
use super::*;
use crate::error::CliError;

fn at(seconds: u64) -> At {
    At::from_secs(seconds)
}

fn outcome() -> Outcome {
    let mut record = Record::default();
    let fault = Fault {
        number: 1,
        kind: Kind::Freeze,
        target: Target::Node("storage-04".into()),
        at_ms: 10_000,
        lasts_ms: 20_000,
        detail: 5,
    };
    record.fault_begins(at(10), &fault);
    record.tell(at(10), "freeze storage-04, 20.0 s".into());
    record.fault_ends(at(30), 1);
    record.done(Sort::Upload, at(11), at(14));
    let refused = Failed::of(&CliError::Status {
        status: 507,
        sentence: "too few".into(),
        retry_after: None,
    });
    record.failed(Sort::Upload, at(20), at(22), &refused);
    record.done(Sort::Upload, at(23), at(25));
    Outcome {
        seed: 42,
        again: "truckee chaos --seed 42 --minutes 1".into(),
        place: "a cluster of its own".into(),
        clients: 4,
        at_once: 2,
        beyond: false,
        shape: shape(10, 3, 10, 7),
        plan: Plan {
            faults: vec![fault],
            left_out: vec![LeftOut {
                kind: Kind::Fill,
                why: "no disk".into(),
            }],
            length_ms: 60_000,
        },
        record,
        files: 3,
        names: (5, 4),
        changes: (7, 1),
        verdict: Verdict {
            intact: 3,
            ..Verdict::default()
        },
        troubles: Vec::new(),
        notes: Vec::new(),
        ended_early: false,
        attack: at(60),
        took: at(70),
    }
}

#[test]
fn the_text_has_the_bars_the_table_the_promises_and_the_way_back() {
    let outcome = outcome();
    let text = text::lines(&outcome).join("\n");
    let line = |begins: &str| {
        let found = text.lines().find(|line| line.starts_with(begins));
        found
            .unwrap_or_else(|| panic!("no {begins:?} in\n{text}"))
            .to_owned()
    };
    let bar = line("freeze       .");
    assert_eq!(
        (bar.find('#'), bar.rfind('#')),
        (Some(13 + 12), Some(13 + 36)),
        "{bar}"
    );
    assert!(line("no upload").contains('!') && !line("no list").contains('!'));
    let row: Vec<String> = line("freeze           1")
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert_eq!(row[..7], ["freeze", "1", "|", "2", "1", "5.0", "3.0"]);
    assert!(line("  left out: fill").ends_with("no disk"));
    assert_eq!(line("upload"), "upload       507 x 1");
    assert_eq!(text.matches("  OK  ").count(), 6);
    assert!(!text.contains("VIOLATED") && !text.contains("BEYOND"));
    assert_eq!(line("AGAIN"), "AGAIN  truckee chaos --seed 42 --minutes 1");
}

#[test]
fn a_violation_is_told_with_its_evidence() {
    let mut outcome = outcome();
    outcome
        .record
        .violate(at(12), Promise::Bytes, "file 1 came back different".into());
    let text = text::lines(&outcome).join("\n");
    assert!(
        text.contains("VIOLATED  no wrong byte is served: 1 times"),
        "{text}"
    );
    assert!(
        text.contains("0:12  file 1 came back different (during freeze storage-04)"),
        "{text}"
    );
    let value = json::value(&outcome).unwrap();
    assert_eq!(value["promises"]["bytes"]["kept"], false);
    assert_eq!(
        value["promises"]["bytes"]["violations"][0]["during"][0],
        "freeze storage-04"
    );
    assert_eq!((value["violations"].as_u64(), outcome.violated()), (Some(1), 1));
}

#[test]
fn what_is_lost_beyond_the_budget_is_named() {
    let mut outcome = outcome();
    outcome.beyond = true;
    outcome.verdict.lost = vec![0, 2];
    let text = text::lines(&outcome).join("\n");
    assert!(text.contains("BEYOND the budget: 2 files are lost"), "{text}");
    assert!(text.contains("lost: file 0, 2"), "{text}");
}

#[test]
fn the_json_has_all_that_the_text_says() {
    let value = json::value(&outcome()).unwrap();
    assert_eq!(value["seed"], 42);
    assert_eq!(value["faults"][0]["fault"]["kind"], "freeze");
    assert_eq!(value["faults"][0]["fault"]["target"]["node"], "storage-04");
    assert_eq!(value["requests"]["upload"]["errors"]["507"], 1);
    assert_eq!(
        value["requests"]["upload"]["during"]["freeze"]["longest_gap"],
        5.0
    );
    assert_eq!(value["plan"]["left_out"][0]["kind"], "fill");
    let promises: BTreeSet<&str> = value["promises"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let words: BTreeSet<&str> = Promise::ALL.iter().map(|promise| promise.word()).collect();
    assert_eq!(promises, words);
}
