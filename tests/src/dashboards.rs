//! The dashboards of `grafana/dashboards` as code: what they ask, in which words, and how they become Grafana's JSON.
//!
//! Owns the questions and their layout. The JSON files beside the provisioning files are what [`all`] gives, byte for
//! byte; a test compares them and says how to write them anew. Nothing here knows numbers: every expression asks
//! Prometheus, and a test sees that it asks only for metrics and labels that exist.

mod overview;
mod panel;
mod peers;
mod runtime;
mod storage;
mod transfers;
mod vdrive;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

pub use panel::{Panel, Row};

/// One dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// File name without its ending, and identity in Grafana.
    pub uid: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Further choices above the panels: name, label, values; the first is chosen.
    pub choices: &'static [(&'static str, &'static str, &'static [&'static str])],
    /// Panels under their headings.
    pub rows: Vec<Row>,
}

/// Labels that the scrape configuration gives to every series.
pub const TARGET_LABELS: &[&str] = &["job", "instance", "node", "zone", "node_roles"];

/// All dashboards.
#[must_use]
pub fn all() -> Vec<Dashboard> {
    vec![
        overview::dashboard(),
        transfers::dashboard(),
        peers::dashboard(),
        storage::dashboard(),
        vdrive::dashboard(),
        runtime::dashboard(),
    ]
}

impl Dashboard {
    /// Every panel with its place in the order of the page.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }

    /// Grafana's form, ready for a file.
    ///
    /// # Panics
    /// Never: texts and numbers always encode.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.to_json()).expect("texts and numbers encode");
        text.push('\n');
        text
    }

    fn to_json(&self) -> Value {
        let mut panels = Vec::new();
        let (mut id, mut y) = (1, 0);
        for row in &self.rows {
            panels.push(row.heading(id, y));
            (id, y) = (id + 1, y + 1);
            let (mut x, mut tallest) = (0, 0);
            for panel in &row.panels {
                if x + panel.width > 24 {
                    (x, y, tallest) = (0, y + tallest, 0);
                }
                panels.push(panel.to_json(id, x, y));
                id += 1;
                x += panel.width;
                tallest = tallest.max(panel.height());
            }
            y += tallest;
        }
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["truckee"],
            "editable": true,
            "graphTooltip": 1,
            "schemaVersion": 39,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "browser",
            "fiscalYearStartMonth": 0,
            "links": [{
                "title": "Truckee", "type": "dashboards", "tags": ["truckee"], "asDropdown": true, "icon": "external link",
                "includeVars": true, "keepTime": true, "targetBlank": false, "tooltip": "Other dashboards", "url": ""
            }],
            "annotations": {"list": [alerts_on_the_time_axis()]},
            "templating": {"list": self.variables()},
            "panels": panels,
        })
    }

    fn variables(&self) -> Vec<Value> {
        let mut list = vec![json!({
            "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
            "multi": false, "includeAll": false, "hide": 0, "refresh": 1, "regex": ""
        })];
        let selectors = [
            ("job", "Grid", "label_values(truckee_node_info, job)"),
            (
                "zone",
                "Zone",
                "label_values(truckee_node_info{job=~\"$job\"}, zone)",
            ),
            (
                "node",
                "Node",
                "label_values(truckee_node_info{job=~\"$job\",zone=~\"$zone\"}, node)",
            ),
        ];
        for (name, label, query) in selectors {
            list.push(json!({
                "name": name, "label": label, "type": "query", "datasource": panel::datasource(),
                "query": {"query": query, "refId": name},
                "multi": true, "includeAll": true, "allValue": ".*", "refresh": 2, "sort": 1, "hide": 0,
                "current": {"selected": true, "text": ["All"], "value": ["$__all"]}
            }));
        }
        for (name, label, values) in self.choices {
            let option = |value: &str| json!({"selected": value == values[0], "text": value, "value": value});
            let options: Vec<Value> = values.iter().map(|value| option(value)).collect();
            list.push(json!({
                "name": name, "label": label, "type": "custom", "query": values.join(","), "multi": false,
                "includeAll": false, "hide": 0, "options": options, "current": option(values[0])
            }));
        }
        list
    }
}

/// Alerts that fire are drawn into every graph.
fn alerts_on_the_time_axis() -> Value {
    json!({
        "name": "Alerts", "datasource": panel::datasource(), "enable": true, "hide": false, "iconColor": "red",
        "expr": "ALERTS{alertname=~\"Truckee.*\",alertstate=\"firing\"}"
    })
}
