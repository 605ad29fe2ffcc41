//! The commands when something is wrong: the exit code of the table, one sentence, and no half file.

use std::io::{Read, Write};
use std::net::TcpListener;

use truckee_tests::rig::{self, Cluster, Options};

use crate::{program, stderr, truckee};

#[test]
fn nobody_at_the_gateways_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    for args in [["status"].as_slice(), &["get", "URI:LIT:"], &["put", "/dev/null"]] {
        let output = truckee(&address, args);
        assert_eq!(output.status.code(), Some(5), "{args:?}: {}", stderr(&output));
        assert_eq!(
            stderr(&output).lines().count(),
            1,
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("truckee up"),
            "it says what to do: {}",
            stderr(&output)
        );
    }
}

#[test]
fn wrong_words_and_files() {
    let usage = rig::run(program(), ["frobnicate"]);
    assert_eq!(usage.status.code(), Some(2));
    let missing = truckee("127.0.0.1:1", &["put", "/nonexistent/file"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        stderr(&missing).contains("/nonexistent/file"),
        "{}",
        stderr(&missing)
    );
    let directory = truckee("127.0.0.1:1", &["put", "/"]);
    assert_eq!(directory.status.code(), Some(2));
    assert!(stderr(&directory).contains("directory"), "{}", stderr(&directory));
    let help = rig::run(program(), ["--help"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("Exit codes:"));
}

#[test]
fn the_gateways_refusals_have_their_exit_codes() {
    let cluster = of_three_peers();
    let bad_cap = truckee(cluster.gateway(), &["get", "URI:CHK:junk"]);
    assert_eq!(bad_cap.status.code(), Some(2), "{}", stderr(&bad_cap));
    let foreign =
        "URI:CHK:aaaaaaaaaaaaaaaaaaaaaaaaaa:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:3:10:1000";
    let foreign = truckee(cluster.gateway(), &["get", foreign]);
    assert_eq!(foreign.status.code(), Some(3), "{}", stderr(&foreign));
    let file = cluster.scratch("file");
    std::fs::write(&file, rig::bytes(1, 100_000)).unwrap();
    let file = file.to_str().unwrap();
    let k_above_n = truckee(cluster.gateway(), &["put", file, "--k", "4", "--n", "3"]);
    assert_eq!(k_above_n.status.code(), Some(2), "{}", stderr(&k_above_n));
    let unhappy = truckee(
        cluster.gateway(),
        &["put", file, "--k", "3", "--n", "10", "--happy", "10"],
    );
    assert_eq!(unhappy.status.code(), Some(4), "{}", stderr(&unhappy));
}

#[test]
fn a_download_that_breaks_off_leaves_no_file() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).unwrap() > 0);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
            .unwrap();
    });
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("file");
    std::fs::write(&target, b"old").unwrap();
    let output = truckee(&address, &["get", "URI:CHK:x", "-o", target.to_str().unwrap()]);
    served.join().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert_eq!(
        std::fs::read(&target).unwrap(),
        b"old",
        "what was there is untouched"
    );
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

/// Enough for what is measured of it.
fn of_three_peers() -> Cluster {
    Cluster::start_with(
        program(),
        &Options {
            peers: 3,
            ..Options::default()
        },
    )
}

#[test]
fn load_measures_and_compares() {
    let cluster = of_three_peers();
    let dir = cluster.dir();
    let args = [
        "load",
        "--size",
        "100KiB:3,30KiB:1",
        "--files",
        "4",
        "--clients",
        "2",
        "--repeat",
        "2",
        "--op",
        "range,put,get",
        "--part",
        "10KiB",
        "--json",
        "--cluster",
    ];
    let output = truckee(
        cluster.gateway(),
        &[args.as_slice(), &[dir.to_str().unwrap()]].concat(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for outcome in value["outcomes"].as_array().unwrap() {
        assert_eq!(outcome["rounds"].as_array().unwrap().len(), 2, "{outcome}");
        assert!(
            outcome["bytes_per_second"]["median"].as_f64().unwrap() > 0.0,
            "{outcome}"
        );
        assert!(outcome["gateway_peak_bytes"].as_u64().unwrap() > 0, "{outcome}");
        assert!(outcome["latency_ms"]["p99"].as_f64().unwrap() > 0.0, "{outcome}");
    }
    let outcomes = value["outcomes"].as_array().unwrap().iter();
    let measured: Vec<(&str, Option<u64>, Option<u64>)> = outcomes
        .map(|outcome| {
            let word = outcome["operation"].as_str().unwrap();
            (word, outcome["requests"].as_u64(), outcome["bytes"].as_u64())
        })
        .collect();
    assert_eq!(
        measured,
        [
            ("put", Some(4), Some(330 << 10)),
            ("get", Some(4), Some(330 << 10)),
            ("range", Some(256), Some(2560 << 10)),
        ],
        "in the order in which they can be"
    );
    let parts = value["outcomes"][2]["sizes"].as_array().unwrap().iter();
    let of_sizes: Vec<_> = parts
        .map(|size| (size["size_bytes"].as_u64(), size["requests"].as_u64()))
        .collect();
    assert_eq!(
        of_sizes,
        [(Some(100 << 10), Some(192)), (Some(30 << 10), Some(64))]
    );
}

/// Every step is seen, and together they are all that the nodes burned.
#[test]
fn profile_says_where_the_time_goes() {
    let cluster = of_three_peers();
    let dir = cluster.dir();
    let args = [
        "load",
        "--profile",
        "--size",
        "8MiB",
        "--repeat",
        "1",
        "--json",
        "--cluster",
    ];
    let profiled = |dir: &std::path::Path| {
        truckee(
            cluster.gateway(),
            &[args.as_slice(), &[dir.to_str().unwrap()]].concat(),
        )
    };
    let output = profiled(&dir);
    assert!(output.status.success(), "{}", stderr(&output));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let budgets = value["profile"].as_array().unwrap();
    let operations: Vec<&str> = budgets
        .iter()
        .map(|budget| budget["operation"].as_str().unwrap())
        .collect();
    assert_eq!(operations, ["put", "get"]);
    for budget in budgets {
        let mut sum = budget["everything_else_ns_per_byte"].as_f64().unwrap();
        for step in budget["steps"].as_array().unwrap() {
            for cost in ["measured_ns_per_byte", "bare_ns_per_byte", "ratio"] {
                assert!(step[cost].as_f64().unwrap() > 0.0, "{cost} of {budget}");
            }
            sum += step["measured_ns_per_byte"].as_f64().unwrap();
        }
        let total = budget["measured_ns_per_byte"].as_f64().unwrap();
        assert!((0.9..1.1).contains(&(sum / total)), "{budget}");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let output = profiled(elsewhere.path());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("it needs all nodes of the cluster"),
        "{}",
        stderr(&output)
    );
}

/// The side-by-side measurement with Tahoe-LAFS cannot run here, but what it would ask of `truckee load` can be tried.
#[test]
fn the_comparison_asks_for_options_that_there_are() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/compare/tahoe");
    let output = std::process::Command::new(script)
        .arg("--dry-run")
        .output()
        .expect("python3 is there");
    assert!(output.status.success(), "{}", stderr(&output));
    let plan = String::from_utf8(output.stdout).unwrap();
    assert_eq!(plan.lines().count(), 9, "three systems, three workloads: {plan}");
    for line in plan.lines() {
        let (_, options) = line.split_once(" load ").unwrap();
        let (options, _) = options.split_once(" --gateway ").unwrap();
        let words: Vec<&str> = ["load"].into_iter().chain(options.split(' ')).collect();
        // Nobody is there: what is wrong with the words is said before that is found out.
        let output = truckee(
            "http://127.0.0.1:1",
            &[words.as_slice(), &["--pids", "1,2"]].concat(),
        );
        assert_eq!(output.status.code(), Some(5), "{line}: {}", stderr(&output));
    }
}

/// The comparison with plain object stores has a client of its own; what can be tried here is that it measures Truckee, and that it
/// leaves nothing behind.
#[test]
fn the_comparison_with_other_stores_measures_truckee() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("seen.json");
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/compare/others");
    let output = std::process::Command::new(script)
        .args([
            "--only",
            "truckee",
            "--mebibytes",
            "64",
            "--files",
            "2",
            "--rounds",
            "1",
        ])
        .args(["--truckee".as_ref(), program().as_os_str()])
        .args(["--dir".as_ref(), dir.path().as_os_str()])
        .args(["--json".as_ref(), json.as_os_str()])
        .output()
        .expect("python3 is there");
    assert!(output.status.success(), "{}", stderr(&output));
    let seen: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let rounds = &seen["systems"]["truckee"]["rounds"];
    let read = |what: &str, clock: &str| {
        let figure = rounds[what][0][clock].as_f64();
        figure.unwrap_or_else(|| panic!("{what} has no {clock}: {seen}"))
    };
    for what in ["large put", "large get", "small 1 put", "small 16 get"] {
        assert!(read(what, "seconds") > 0.0, "{what}: {seen}");
        // The system counts CPU in hundredths of a second: two small files can take none.
        assert!(read(what, "cpu_seconds") >= 0.0, "{what}: {seen}");
    }
    for what in ["warm-up put", "large put"] {
        assert!(read(what, "cpu_seconds") > 0.0, "{what}: {seen}");
    }
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "the directory of the run is gone"
    );
}
