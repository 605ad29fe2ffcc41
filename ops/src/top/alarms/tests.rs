use super::super::history::History;
use super::super::row::State;
use super::super::series::{Series, Timing};
use super::super::testing::{History as Fixture, UNIX_S, cluster, row, view};
use super::*;

fn whats(alarms: &[Alarm]) -> Vec<&str> {
    alarms.iter().map(|alarm| alarm.what.as_str()).collect()
}

fn of_cluster(gone: &[&str]) -> Vec<Alarm> {
    let alarms = view(&cluster(gone)).alarms;
    alarms
        .into_iter()
        .filter(|alarm| !alarm.what.contains("is slow"))
        .collect()
}

/// What is said of one node with this history.
fn of_node(roles: &str, history: &History) -> Vec<Alarm> {
    let rows = [Row {
        version: "v".into(),
        ..row("node-1", roles)
    }];
    let answering = [(&rows[0], history)];
    let grid = Grid::of(&rows, &answering);
    let mut alarms = Vec::new();
    let judged = Judged {
        grid: &grid,
        rows: &rows,
        answering: &answering,
        at: Duration::from_secs(10),
        unix_s: UNIX_S,
        usual_latency_s: None,
        trouble: None,
    };
    nodes::judge(&judged, &mut alarms);
    safety::judge(&judged, &mut alarms);
    alarms.retain(|alarm| !alarm.what.contains("no gateway"));
    alarms
}

#[track_caller]
fn just(roles: &str, history: Fixture, severity: Severity, words: &str) {
    let alarms = of_node(roles, &history.build());
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(alarms[0].what.contains(words), "{alarms:?}");
    assert_eq!(alarms[0].severity, severity);
}

#[test]
fn a_sound_grid_has_none() {
    assert_eq!(of_cluster(&[]), []);
    assert_eq!(of_node("storage", &Fixture::storage().build()), []);
}

#[test]
fn the_slow_one_is_named() {
    let alarms = view(&cluster(&[])).alarms;
    assert_eq!(
        whats(&alarms),
        ["storage-07 is slow: 150 ms for a request, where others take 5.0 ms"]
    );
}

#[test]
fn a_node_that_is_gone_is_named_with_its_reason() {
    let alarms = of_cluster(&["storage-04"]);
    assert_eq!(
        whats(&alarms),
        [
            "storage-04 does not answer (connection refused)",
            "only 9 storage nodes answer, and a file should have its 10 shares on 10 of them",
        ]
    );
    assert!(alarms[0].advice.contains("truckee run"), "{alarms:?}");
}

#[test]
fn one_that_hangs_is_not_just_started() {
    let mut gone = row("storage-04", "storage");
    (gone.state, gone.hangs) = (State::Gone, true);
    gone.node.dir = Some("/c/nodes/storage-04".into());
    let advice = |row: &Row| {
        let grid = Grid::of(&[], &[]);
        let judged = Judged {
            grid: &grid,
            rows: std::slice::from_ref(row),
            answering: &[],
            at: Duration::ZERO,
            unix_s: UNIX_S,
            usual_latency_s: None,
            trouble: None,
        };
        let mut alarms = Vec::new();
        nodes::judge(&judged, &mut alarms);
        alarms.remove(0).advice
    };
    assert!(advice(&gone).contains("hangs"));
    gone.hangs = false;
    assert!(advice(&gone).starts_with("start it with `truckee run --dir /c/nodes/storage-04`"));
}

#[test]
fn the_worst_of_too_few_nodes_is_told_alone() {
    let names: Vec<String> = (1..=10).map(|number| format!("storage-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let first = |gone: usize| {
        let alarms = of_cluster(&names[..gone]);
        let too_few = alarms
            .iter()
            .filter(|alarm| !alarm.what.contains("do not answer"));
        let too_few: Vec<&Alarm> = too_few.collect();
        assert_eq!(too_few.len(), 1, "{alarms:?}");
        assert_eq!(alarms[0], *too_few[0], "the most urgent stands first");
        (alarms[0].severity, alarms[0].what.clone())
    };
    let critical = |what: &str| (Severity::Critical, what.to_owned());
    assert_eq!(
        first(4),
        critical("below happy: uploads are refused, only 6 storage nodes answer and 7 are needed")
    );
    assert_eq!(
        first(6),
        critical("only 1 more storage node may fail before files cannot be read, and uploads are refused")
    );
    assert_eq!(
        first(7),
        critical("no storage node may fail any more before files cannot be read, and uploads are refused")
    );
    assert_eq!(
        first(8),
        critical("only 2 storage nodes answer: files cannot be read, which needs 3")
    );
    assert_eq!(
        first(10),
        critical("no storage node answers: files cannot be read, which needs 3")
    );
}

#[test]
fn many_that_are_gone_are_one_alarm() {
    let alarms = of_cluster(&[
        "storage-01",
        "storage-02",
        "storage-03",
        "storage-04",
        "storage-05",
    ]);
    assert_eq!(
        whats(&alarms)[1..],
        ["storage-01, storage-02, storage-03 and 2 more do not answer"]
    );
}

#[test]
fn a_gateway_that_is_gone_is_urgent() {
    let alarms = of_cluster(&["gateway"]);
    assert_eq!(alarms[0].severity, Severity::Critical);
    assert_eq!(
        alarms[0].what,
        "no gateway is ready (gateway: connection refused)"
    );
}

#[test]
fn a_small_grid_is_not_at_risk_by_being_small() {
    let mut small = cluster(&[]);
    small.retain(|(node, _)| !node.is("storage") || node.name == "storage-01");
    for (_, history) in &mut small {
        let gateway = history.take().unwrap();
        *history = Some(
            [
                (Series::Needed, 1.0),
                (Series::Made, 1.0),
                (Series::Happy, 1.0),
                (Series::StorageMembers, 1.0),
            ]
            .into_iter()
            .fold(gateway, |gateway, (series, value)| gateway.gauge(series, value)),
        );
    }
    assert_eq!(whats(&view(&small).alarms), <[&str; 0]>::default());
}

#[test]
fn what_wears_a_node_out() {
    let storage = Fixture::storage;
    just(
        "storage",
        storage().moved(Series::CorruptShares, 1.0),
        Severity::Warning,
        "node-1 found 1 damaged piece, just now",
    );
    just(
        "storage",
        storage().gauge(Series::CorruptShares, 2.0),
        Severity::Info,
        "2 damaged pieces, since its start",
    );
    just(
        "storage",
        storage().gauge(Series::DiskErrors, 2.0),
        Severity::Warning,
        "2 disk operations failed on node-1",
    );
    just(
        "storage",
        storage().moved(Series::Restarts, 6.0),
        Severity::Critical,
        "keeps ending",
    );
    just(
        "storage",
        storage().moved(Series::Escalations, 1.0),
        Severity::Critical,
        "keeps ending",
    );
    just(
        "storage",
        storage().moved(Series::Unresponsive, 3.0),
        Severity::Warning,
        "health checks",
    );
    just(
        "storage",
        storage().times(Timing::Lag, 8.0, 8.0),
        Severity::Warning,
        "wake late",
    );
    just(
        "storage",
        storage().gauge(Series::CodecFallback, 1.0),
        Severity::Info,
        "reference engine",
    );
    just(
        "storage",
        storage().moved(Series::Refused, 5.0),
        Severity::Info,
        "refusing peers",
    );
    assert_eq!(
        of_node("storage", &storage().moved(Series::Restarts, 5.0).build()),
        []
    );
    assert_eq!(
        of_node("storage", &storage().moved(Series::Unresponsive, 2.0).build()),
        []
    );
    assert_eq!(
        of_node("storage", &storage().moved(Series::Refused, 2.0).build()),
        []
    );
    assert_eq!(
        of_node("storage", &storage().times(Timing::Lag, 8.0, 0.8).build()),
        []
    );
}

#[test]
fn what_a_node_runs_out_of() {
    let storage = Fixture::storage;
    let disk = |free| {
        storage()
            .gauge(Series::DiskSize, 100.0)
            .gauge(Series::DiskFree, free)
    };
    just(
        "storage",
        disk(4.0),
        Severity::Warning,
        "disk of node-1 is nearly full",
    );
    assert_eq!(of_node("storage", &disk(6.0).build()), []);
    let files = |open| {
        storage()
            .gauge(Series::OpenFilesMax, 100.0)
            .gauge(Series::OpenFiles, open)
    };
    just("storage", files(91.0), Severity::Warning, "file descriptors");
    assert_eq!(of_node("storage", &files(89.0).build()), []);
    let grant = |left: f64| storage().gauge(Series::GrantExpires, UNIX_S + left);
    just(
        "storage",
        grant(86_400.0),
        Severity::Warning,
        "a member for 1 d 0 h more",
    );
    just("storage", grant(-1.0), Severity::Warning, "a member no more");
    assert_eq!(of_node("storage", &grant(4.0 * 86_400.0).build()), []);
    assert_eq!(
        of_node("storage", &storage().gauge(Series::GrantExpires, 0.0).build()),
        [],
        "none yet"
    );
    just(
        "vdrive",
        storage().gauge(Series::DatabaseUp, 0.0),
        Severity::Critical,
        "database of node-1",
    );
    just(
        "storage",
        storage().gauge(Series::IntroducersUp, 0.0),
        Severity::Info,
        "node-1 reaches no introducer",
    );
    assert_eq!(
        of_node("introducer", &storage().gauge(Series::IntroducersUp, 0.0).build()),
        []
    );
}

#[test]
fn what_concerns_files() {
    let gateway = || Fixture::storage().gauge(Series::StorageMembers, 0.0);
    just(
        "gateway",
        gateway().moved(Series::UploadsFailed, 1.0),
        Severity::Warning,
        "1 upload failed",
    );
    just(
        "gateway",
        gateway().moved(Series::DownloadsFailed, 2.0),
        Severity::Warning,
        "2 downloads failed",
    );
    just(
        "gateway",
        gateway().gauge(Series::SharesMissing, 3.0),
        Severity::Info,
        "3 shares are missing",
    );
    just(
        "storage-01",
        Fixture::storage().gauge(Series::FilesUnreadable, 1.0),
        Severity::Critical,
        "1 file cannot be read",
    );
    just(
        "gateway",
        gateway().gauge(Series::Distrusted, 1.0),
        Severity::Warning,
        "not believed",
    );
    just(
        "gateway",
        gateway().gauge(Series::StorageMembers, 4.0),
        Severity::Info,
        "4 storage nodes as members",
    );
}

#[test]
fn a_full_grid() {
    let mut rows = [row("storage-01", "storage")];
    let mut said = |used, left| {
        (rows[0].used_bytes, rows[0].free_bytes) = (Some(used), Some(left));
        let grid = Grid::of(&rows, &[]);
        let judged = Judged {
            grid: &grid,
            rows: &rows,
            answering: &[],
            at: Duration::ZERO,
            unix_s: UNIX_S,
            usual_latency_s: None,
            trouble: Some("targets.json cannot be read"),
        };
        whats(&judge(&judged)).join("; ")
    };
    assert!(said(95.0, 5.0).contains("only 5.0% of the space is left"));
    assert!(!said(80.0, 20.0).contains("space"));
    assert!(said(80.0, 20.0).starts_with("targets.json cannot be read"));
}

#[test]
fn a_node_that_is_not_ready_says_why() {
    let mut rows = [row("vdrive-01", "vdrive"), row("storage-01", "storage")];
    rows[0].state = State::NotReady;
    rows[0].reason = Some("its database does not answer".into());
    rows[1].version = "truckee/0.2.0".into();
    rows[0].version = "truckee/0.1.0".into();
    let grid = Grid::of(&rows, &[]);
    let mut alarms = Vec::new();
    let judged = Judged {
        grid: &grid,
        rows: &rows,
        answering: &[],
        at: Duration::ZERO,
        unix_s: UNIX_S,
        usual_latency_s: None,
        trouble: None,
    };
    nodes::judge(&judged, &mut alarms);
    assert_eq!(
        whats(&alarms),
        [
            "vdrive-01 is not ready (its database does not answer)",
            "nodes run different versions: truckee/0.1.0 and truckee/0.2.0",
        ]
    );
}

#[test]
fn a_restart_under_our_eyes_is_told_for_a_while() {
    let mut history = History::default();
    for (at_s, start) in [(0, 100.0), (8, 900.0)] {
        let mut sample = super::super::series::Sample::default();
        sample.set(Series::Start, start);
        history.push(Duration::from_secs(at_s), sample);
    }
    let alarms = of_node("storage", &history);
    assert_eq!(whats(&alarms), ["node-1 was started again 2 s ago"]);
}

#[test]
fn every_heading_stands_in_the_handbook() {
    let handbook = include_str!("../../../README.md").to_lowercase();
    let sources = [include_str!("nodes.rs"), include_str!("safety.rs")].concat();
    let headings: Vec<&str> = sources
        .split('"')
        .filter(|word| word.starts_with("truckee") && word.bytes().all(|byte| byte.is_ascii_lowercase()))
        .collect();
    assert!(headings.len() > 15, "{headings:?}");
    for heading in headings {
        assert!(handbook.contains(&format!("### {heading}\n")), "{heading}");
    }
}
