//! A real Prometheus watches a real cluster: every panel, rule and alert is asked, and the figures are those of the work
//! that was done.
//!
//! Needs `prometheus` and `promtool`. Without them the test says so and ends, unless `TRUCKEE_TEST_PROMETHEUS` is set:
//! then they must be there.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use truckee_tests::dashboards;
use truckee_tests::rig::{self, Cluster, Http};

/// The program under test.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_truckee-under-test"))
}

/// A name in a directory: no scrape may tell it.
const SECRET_NAME: &str = "diagnosis-of-alice";

/// The node that is killed.
const GONE: &str = "storage-04";

/// The node whose disk is replaced by an empty one.
const WIPED: &str = "storage-05";

/// What fires when one of ten storage nodes is gone and files are stored all the same: all n shares of each, two of them
/// on one node.
const EXPECTED: &[&str] = &["TruckeeGridBelowN", "TruckeeNodeGone"];

struct Prometheus {
    child: Child,
    http: Http,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Watches the cluster with the rules of the tree; alerts wait a second where they wait for minutes.
    fn start(cluster: &Cluster) -> Prometheus {
        let dir = cluster.scratch("prometheus");
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/prometheus/rules");
        std::fs::create_dir_all(dir.join("rules")).expect("a directory can be made");
        for name in ["recording.yml", "alerts.yml"] {
            let text = std::fs::read_to_string(rules.join(name)).expect("the rules are there");
            let quick = |line: &str| match line.trim().starts_with("for: ") {
                true => "        for: 1s\n".to_owned(),
                false => format!("{line}\n"),
            };
            let text: String = text.lines().map(quick).collect();
            std::fs::write(dir.join("rules").join(name), text).expect("a file can be written");
        }
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules/*.yml]\nscrape_configs:\n  \
             - job_name: truckee\n    file_sd_configs: [{{files: [\"{}\"]}}]\n",
            cluster.dir().join("targets.json").display()
        );
        std::fs::write(dir.join("prometheus.yml"), config).expect("a file can be written");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = free.expect("a port is free").to_string();
        let log = std::fs::File::create(dir.join("log")).expect("a file can be made");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus starts");
        let http = Http::new(&format!("http://{address}"));
        Prometheus { child, http }
    }

    fn api(&self, path: &str) -> Result<Value, String> {
        let answer = self.http.send("GET", path, &[], b"")?;
        let value: Value =
            serde_json::from_slice(&answer.body).map_err(|error| format!("{error}: {}", answer.text()))?;
        match value["status"].as_str() {
            Some("success") => Ok(value["data"].clone()),
            _ => Err(value.to_string()),
        }
    }

    /// The values of an expression now.
    fn ask(&self, expression: &str) -> Result<Vec<f64>, String> {
        let data = self.api(&format!("/api/v1/query?query={}", encoded(expression)))?;
        let rows = data["result"].as_array().cloned().unwrap_or_default();
        let value = |row: &Value| row["value"][1].as_str()?.parse::<f64>().ok();
        Ok(rows.iter().filter_map(value).collect())
    }

    /// The sum of an expression's values; none without any.
    fn sum(&self, expression: &str) -> Option<f64> {
        let values = self.ask(expression).ok()?;
        (!values.is_empty()).then(|| values.iter().sum())
    }

    fn firing(&self) -> BTreeSet<String> {
        let data = self.api("/api/v1/alerts").unwrap_or_default();
        let alerts = data["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        let name = |alert: &Value| {
            alert["labels"]["alertname"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        firing.map(name).collect()
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// A panel's expression with choices made, as Grafana makes them.
fn chosen(expression: &str) -> String {
    [
        ("$__rate_interval", "30s"),
        ("$job", ".*"),
        ("$zone", ".*"),
        ("$node", ".*"),
        ("$request", "write_block"),
        ("$quantile", "0.99"),
    ]
    .iter()
    .fold(expression.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}

/// Panels that show nothing although something happened.
fn silent_panels(prometheus: &Prometheus, roles: &BTreeSet<String>) -> Vec<String> {
    let mut silent = Vec::new();
    for dashboard in dashboards::all() {
        for panel in dashboard.panels() {
            let mut answers = 0;
            for (expression, _) in &panel.queries {
                let values = prometheus.ask(&chosen(expression));
                let values = values.unwrap_or_else(|error| panic!("{}: {expression}: {error}", panel.title));
                answers += values.iter().filter(|value| !value.is_nan()).count();
            }
            let expected = panel.needs.is_none_or(|role| roles.contains(role));
            if answers == 0 && expected {
                silent.push(format!("{}: {}", dashboard.uid, panel.title));
            }
        }
    }
    silent
}

/// Whether what the test needs is installed.
fn is_installed() -> bool {
    let runs = |program: &str| {
        let mut command = Command::new(program);
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let installed = runs("prometheus") && runs("promtool");
    assert!(
        installed || std::env::var_os("TRUCKEE_TEST_PROMETHEUS").is_none(),
        "TRUCKEE_TEST_PROMETHEUS is set, and prometheus or promtool is not installed"
    );
    if !installed {
        eprintln!(
            "NOT TESTED: prometheus and promtool are not installed; nobody asked the dashboards anything"
        );
    }
    installed
}

/// What was stored and read, by the test's own count.
#[derive(Default)]
struct Done {
    stored_bytes: usize,
    read_bytes: usize,
    files: usize,
    caps: Vec<String>,
}

impl Done {
    /// Stores a file and reads it back.
    fn one(&mut self, http: &Http, bytes: usize) {
        self.files += 1;
        let content = rig::bytes(self.files as u64, bytes);
        let cap = http.put(&content);
        self.stored_bytes += bytes;
        assert!(http.get(&cap).ok() == content, "the file comes back");
        self.read_bytes += bytes;
        self.caps.push(cap);
    }

    /// Makes a directory, puts a name into it, reads it through both of its caps, and asks for what is not there.
    fn directory(&mut self, http: &Http) {
        let made = http.answer("POST", "/uri?t=mkdir", &[], b"");
        assert_eq!(made.status, 200, "{}", made.text());
        let cap = made.text().trim().to_owned();
        let child = http.answer("POST", &format!("/uri/{cap}/{SECRET_NAME}?t=mkdir"), &[], b"");
        assert_eq!(child.status, 200, "{}", child.text());
        let listed = http.answer("GET", &format!("/uri/{cap}?t=json"), &[], b"");
        assert!(listed.text().contains(SECRET_NAME), "{}", listed.text());
        let missing = http.answer("GET", &format!("/uri/{cap}/{SECRET_NAME}-missing"), &[], b"");
        assert_eq!(missing.status, 404, "{}", missing.text());
        let readcap = http.answer("GET", &format!("/uri/{cap}?t=readonly-uri"), &[], b"");
        self.caps.extend([cap, child.text().trim().to_owned()]);
        if readcap.status == 200 {
            self.caps.push(readcap.text().trim().to_owned());
        }
    }
}

#[test]
fn prometheus_sees_what_was_done_and_every_panel_has_an_answer() {
    if !is_installed() {
        return;
    }
    let mut cluster = Cluster::start(program());
    cluster.hurry_healing();
    let prometheus = Prometheus::start(&cluster);
    let nodes = cluster.file.nodes.len() as f64;
    rig::until("prometheus sees every node", || {
        (prometheus.sum("up") == Some(nodes)).then_some(())
    });
    rig::until("rules are evaluated", || {
        prometheus.sum("grid:truckee_storage_nodes_up:count")
    });
    assert_eq!(
        prometheus.firing(),
        BTreeSet::new(),
        "all is well before anything is broken"
    );

    let http = cluster.http();
    let roles = cluster
        .file
        .nodes
        .iter()
        .flat_map(|node| node.roles.clone())
        .collect();
    let mut done = Done::default();
    for bytes in [70_000, 3_000_000, 1 << 20, (1 << 20) + 1, 5_000_000] {
        done.one(&http, bytes);
    }
    wipe(&mut cluster, &prometheus, done.files);
    cluster.kill(GONE);
    cluster.wait_connected(9);
    done.one(&http, 200_000);
    assert_eq!(
        http.send("GET", "/uri/URI:nonsense", &[], b"")
            .map(|answer| answer.status)
            .ok(),
        Some(400)
    );

    let mut silent = Vec::new();
    // Rates need work that goes on; each file has two segments.
    for _ in 0..40 {
        done.one(&http, 1_300_000);
        seen(&prometheus, &done);
        silent = silent_panels(&prometheus, &roles);
        if roles.contains("vdrive") {
            done.directory(&http);
        }
        if silent.is_empty() {
            break;
        }
    }
    assert_eq!(silent, Vec::<String>::new(), "panels without an answer");
    exact_figures(&prometheus, &done);
    rules_are_well(&prometheus);
    let expected: BTreeSet<String> = EXPECTED.iter().map(ToString::to_string).collect();
    rig::until("the right alerts fire", || {
        expected.is_subset(&prometheus.firing()).then_some(())
    });
    assert_eq!(prometheus.firing(), expected, "and no other");
    nothing_secret(&cluster, &done);
}

/// Empties a node's disk, and waits until what it held was made again and the figures tell so.
fn wipe(cluster: &mut Cluster, prometheus: &Prometheus, files: usize) {
    cluster.kill(WIPED);
    cluster.wipe(WIPED);
    cluster.restart(WIPED);
    cluster.wait_connected(10);
    rig::until("the figures tell of every share that was made again", || {
        let made = prometheus.sum("truckee_repair_shares_total")?;
        let short = prometheus.sum("truckee_heal_files{state=\"short\"}")?;
        (made >= files as f64 && short == 0.0).then_some(())
    });
}

/// Waits for a scrape after the last transfer.
fn seen(prometheus: &Prometheus, done: &Done) {
    rig::until("prometheus has seen the last transfer", || {
        let stored = prometheus.sum("truckee_upload_plaintext_bytes_total")?;
        let read = prometheus.sum("truckee_download_plaintext_bytes_total")?;
        (stored >= done.stored_bytes as f64 && read >= done.read_bytes as f64).then_some(())
    });
}

fn exact_figures(prometheus: &Prometheus, done: &Done) {
    for (expression, expected) in [
        ("truckee_upload_plaintext_bytes_total", done.stored_bytes),
        ("truckee_download_plaintext_bytes_total", done.read_bytes),
        ("truckee_upload_finished_total{outcome=\"completed\"}", done.files),
        (
            "truckee_download_finished_total{outcome=\"completed\"}",
            done.files,
        ),
        ("truckee_upload_seconds_count", done.files),
        ("truckee_http_received_bytes_total", done.stored_bytes),
        (
            "truckee_http_requests_total{method=\"PUT\",status=\"2xx\"}",
            done.files,
        ),
    ] {
        assert_eq!(prometheus.sum(expression), Some(expected as f64), "{expression}");
    }
}

fn rules_are_well(prometheus: &Prometheus) {
    let data = prometheus
        .api("/api/v1/rules")
        .expect("prometheus lists its rules");
    let groups = data["groups"].as_array().cloned().unwrap_or_default();
    let rules: Vec<&Value> = groups
        .iter()
        .filter_map(|group| group["rules"].as_array())
        .flatten()
        .collect();
    assert!(rules.len() > 40, "{}", rules.len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        if rule["type"] == "recording" {
            let name = rule["name"].as_str().expect("rules have names");
            let values = prometheus.ask(name).expect("a name is an expression");
            assert!(!values.is_empty(), "{name} gives nothing");
        }
    }
}

/// The metrics of every node: well-formed, and nothing that belongs to a client.
fn nothing_secret(cluster: &Cluster, done: &Done) {
    let mut secrets: BTreeSet<String> = BTreeSet::new();
    for cap in &done.caps {
        secrets.extend(cap.split(':').filter(|part| part.len() > 15).map(str::to_owned));
    }
    let shares = cluster.shares_of_peers().into_iter();
    secrets.extend(shares.map(|share| share.file));
    assert!(
        secrets.len() > 3 * done.files - 1,
        "{} caps and indexes",
        secrets.len()
    );
    secrets.insert("URI:".into());
    secrets.insert(SECRET_NAME.into());
    secrets.insert("127.0.0.1".into());
    secrets.insert(cluster.dir().display().to_string());
    for node in cluster.file.nodes.iter().filter(|node| node.name != GONE) {
        let targets = std::fs::read_to_string(node.dir.join("targets.json")).expect("it says where it is");
        let targets: Value = serde_json::from_str(&targets).expect("in JSON");
        let address = targets[0]["targets"][0].as_str().expect("a target").to_owned();
        let page = Http::new(&format!("http://{address}"))
            .answer("GET", "/metrics", &[], b"")
            .ok();
        let text = String::from_utf8_lossy(&page);
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{} tells {secret}", node.name);
        }
        let file = cluster.scratch("page");
        std::fs::write(&file, &page).expect("a file can be written");
        let input = std::fs::File::open(&file).expect("it was just written");
        let checked = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(input)
            .output();
        let checked = checked.expect("promtool runs");
        assert!(
            checked.status.success() && checked.stderr.is_empty(),
            "{}: {}",
            node.name,
            String::from_utf8_lossy(&checked.stderr)
        );
    }
}
