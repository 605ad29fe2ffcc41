use clap::Parser;
use serde_json::Value;

use super::*;
use crate::cli::{Cli, Command};
use crate::cluster::file::ClusterFile;
use crate::exit::Exit;
use crate::fake::{Fake, Lie};

fn parse(words: &[&str]) -> ChaosArgs {
    match Cli::parse_from(["truckee", "chaos", "--json"].iter().chain(words)).command {
        Command::Chaos(args) => args,
        other => panic!("{other:?}"),
    }
}

/// Runs for some seconds against a gateway in memory, as if it were a cluster; gives how it ended, and the report.
fn run_against(fake: &Fake) -> (Result<(), CliError>, Value) {
    let dir = tempfile::tempdir().unwrap();
    let cluster = ClusterFile {
        gateway: format!("http://{}", fake.address),
        invite: String::new(),
        nodes: Vec::new(),
    };
    cluster.write(dir.path()).unwrap();
    let path = dir.path().display().to_string();
    let args = parse(&["--minutes", "0.05", "--seed", "7", "--cluster", &path]);
    let outcome = attacked(&args, Patience::new(Signals::silent())).unwrap();
    (end(&outcome), json::value(&outcome).unwrap())
}

fn violations<'r>(report: &'r Value, promise: &str) -> Vec<&'r str> {
    let all = report["promises"][promise]["violations"].as_array().unwrap();
    all.iter()
        .filter_map(|violation| violation["what"].as_str())
        .collect()
}

#[test]
fn an_honest_gateway_is_not_accused() {
    let (ended, report) = run_against(&Fake::start());
    ended.unwrap_or_else(|error| panic!("{error}: {report:#}"));
    assert_eq!(report["violations"], 0);
    let files = &report["files"];
    assert!(files["acknowledged"].as_u64().unwrap() > 5, "{files}");
    assert_eq!(files["acknowledged"], files["intact"]);
    assert!(report["changes"]["acknowledged"].as_u64().unwrap() > 5);
    assert!(report["listings"].as_u64().unwrap() > 5);
    assert_eq!(
        report["faults"].as_array().unwrap().len(),
        0,
        "there is no node to attack"
    );
}

#[test]
fn every_lie_is_found_out_and_named() {
    let lies = [
        (Lie::WrongByte, "bytes", "different from byte"),
        (Lie::ShortFile, "bytes", "as if that were all"),
        (Lie::LostLink, "names", "lost"),
        (Lie::Undead, "names", "resurrected"),
        (Lie::RefusedAndMade, "names", "whose putting was refused"),
        (Lie::Internal, "errors", "500"),
    ];
    let found_out = |lie, promise, words| {
        let fake = Fake::start();
        fake.lie(lie);
        let (ended, report) = run_against(&fake);
        let error = ended.expect_err("it lied");
        assert_eq!(error.exit(), Exit::Violated, "{lie:?}: {error}");
        let found = violations(&report, promise);
        assert!(
            found.iter().any(|what| what.contains(words)),
            "{lie:?}: {found:?}"
        );
        for other in ["bytes", "files", "readable", "names", "errors"] {
            let found = violations(&report, other);
            assert!(
                other == promise || found.is_empty(),
                "{lie:?} is no matter of {other}: {found:?}"
            );
        }
    };
    std::thread::scope(|scope| {
        for (lie, promise, words) in lies {
            scope.spawn(move || found_out(lie, promise, words));
        }
    });
}

#[test]
fn a_cluster_that_is_not_there_or_not_healed_is_not_attacked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    let attack = || attacked(&parse(&["--cluster", &path]), Patience::new(Signals::silent())).unwrap_err();
    assert!(matches!(attack(), CliError::NoCluster { .. }));
    std::fs::write(
        dir.path().join("chaos.json"),
        r#"{"frozen":["a"],"down":[],"fillers":[],"mounts":[]}"#,
    )
    .unwrap();
    let error = attack();
    assert!(matches!(error, CliError::Unhealed { .. }), "{error}");
    assert!(error.to_string().contains("--heal"), "{error}");
}
