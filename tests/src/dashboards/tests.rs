//! No panel, rule or table asks for what is not there, and the files are what the code says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use truckee_actors::metrics::{ALL, Kind, Metric};

use super::{Dashboard, TARGET_LABELS, all};

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate lies in the workspace").to_owned()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words of letters, digits, `_` and `:` that begin so.
fn words<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .map(|word| word.trim_end_matches(':'))
        .filter(|word| word.starts_with(start) && word.len() > start.len() && !word.ends_with('_'))
        .collect()
}

fn metric(word: &str) -> Option<&'static Metric> {
    ALL.iter().find(|metric| {
        let bare = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| word.strip_suffix(suffix));
        match metric.kind {
            Kind::Histogram => bare == Some(metric.name),
            Kind::Counter | Kind::Gauge => word == metric.name,
        }
    })
}

fn recorded() -> BTreeSet<String> {
    let rules = text("ops/prometheus/rules/recording.yml");
    let lines = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "));
    lines.map(str::to_owned).collect()
}

/// What an expression names that does not exist.
fn unknown(expression: &str) -> Vec<String> {
    let recorded = recorded();
    let metrics = words(expression, "truckee_")
        .into_iter()
        .filter(|word| metric(word).is_none());
    let rules = words(expression, "grid:")
        .into_iter()
        .filter(|word| !recorded.contains(*word));
    metrics.chain(rules).map(str::to_owned).collect()
}

#[test]
fn the_files_are_what_the_code_says() {
    let write = std::env::var_os("TRUCKEE_WRITE_DASHBOARDS").is_some();
    let dir = root().join("grafana/dashboards");
    let mut expected = BTreeSet::new();
    for dashboard in all() {
        let path = dir.join(format!("{}.json", dashboard.uid));
        if write {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, dashboard.to_text()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == dashboard.to_text(),
            "{} is not what the code gives: write it anew with \
             TRUCKEE_WRITE_DASHBOARDS=1 cargo test -p truckee-tests --lib dashboards",
            path.display()
        );
        expected.insert(path);
    }
    let found = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn no_panel_asks_for_what_does_not_exist() {
    for dashboard in all() {
        for panel in dashboard.panels() {
            for (expression, _) in &panel.queries {
                assert_eq!(unknown(expression), Vec::<String>::new(), "{}", panel.title);
                assert!(
                    expression.contains("$job") || expression.starts_with("sum(ALERTS"),
                    "{}: asks all grids at once: {expression}",
                    panel.title
                );
                labels_exist(panel.title, expression);
            }
        }
    }
}

/// Labels that an expression groups by are those of its metrics or of targets.
fn labels_exist(title: &str, expression: &str) {
    let mut known: BTreeSet<&str> = TARGET_LABELS.iter().copied().chain(["le"]).collect();
    for word in words(expression, "truckee_") {
        known.extend(metric(word).map_or(&[][..], |metric| metric.labels));
    }
    for list in expression
        .split(" by (")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        for label in list.split(',').map(str::trim) {
            assert!(known.contains(label), "{title}: no label {label} in {expression}");
        }
    }
    for matchers in expression
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
    {
        for label in matchers
            .split(',')
            .filter_map(|one| one.split(['=', '!']).next())
            .filter(|_| !expression.contains("ALERTS"))
        {
            assert!(known.contains(label), "{title}: no label {label} in {expression}");
        }
    }
}

#[test]
fn no_rule_and_no_table_names_what_does_not_exist() {
    for path in [
        "ops/prometheus/rules/recording.yml",
        "ops/prometheus/rules/alerts.yml",
        "grafana/README.md",
        "ops/README.md",
    ] {
        // The names of groups of rules and of Prometheus's own things are not metrics.
        let text: String = text(path)
            .lines()
            .filter(|line| !line.contains("- name:"))
            .map(|line| format!("{line}\n"))
            .collect();
        let text = recorded()
            .iter()
            .fold(text, |text, rule| text.replace(rule.as_str(), ""));
        assert_eq!(unknown(&text), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn targets_and_metrics_do_not_fight_over_labels() {
    for metric in ALL {
        for label in metric.labels {
            assert!(!TARGET_LABELS.contains(label), "{}: {label}", metric.name);
        }
    }
}

#[test]
fn every_panel_is_a_question_with_words_around_the_answer() {
    for dashboard in all() {
        let mut titles = BTreeSet::new();
        for panel in dashboard.panels() {
            let place = format!("{}: {}", dashboard.uid, panel.title);
            assert!(panel.title.contains('?'), "{place}");
            assert!(titles.insert(panel.title), "{place} stands twice");
            assert!(
                panel.description.len() > 10 && panel.description.ends_with('.'),
                "{place}"
            );
            assert!(!panel.unit.is_empty() && !panel.queries.is_empty(), "{place}");
            assert!(
                panel.queries.iter().all(|(_, legend)| !legend.is_empty()),
                "{place}"
            );
        }
    }
}

#[test]
fn the_table_of_panels_names_panels() {
    let table = text("grafana/README.md");
    let dashboards: Vec<Dashboard> = all();
    let titles: BTreeSet<&str> = dashboards
        .iter()
        .flat_map(Dashboard::panels)
        .map(|panel| panel.title)
        .collect();
    let quoted: Vec<&str> = table
        .split('“')
        .skip(1)
        .filter_map(|rest| rest.split('”').next())
        .collect();
    assert!(quoted.len() > 20, "{quoted:?}");
    for title in quoted {
        assert!(titles.contains(title), "no panel asks {title:?}");
    }
}

#[test]
fn every_alert_has_its_first_action() {
    let rules = text("ops/prometheus/rules/alerts.yml");
    let handbook = text("ops/README.md");
    let tests = text("ops/prometheus/tests.yml");
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        assert!(
            handbook.contains(&format!("### {alert}\n")),
            "{alert} is not in the handbook"
        );
        let anchor = format!("action: ops/README.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&anchor), "{alert} does not name its action");
        assert!(
            tests.contains(&format!("alertname: {alert}\n")),
            "{alert} is not tested"
        );
    }
}
