//! The same figures as text and as JSON, for pipes and programs.

use serde_json::{Value, json};

use super::alarms::Alarm;
use super::columns::{Column, order};
use super::grid::{Flow, Ready};
use super::model::View;
use super::row::Row;
use super::words;

/// Where the headings of alarms stand.
const HANDBOOK: &str = "ops/README.md";

/// The lines of a text.
pub(super) fn lines(view: &View) -> Vec<String> {
    let mut lines = vec![format!("truckee top  {}", view.source), String::new()];
    lines.push(format!("state    {}", words::ready(&view.grid)));
    let facts = words::facts(view).into_iter();
    lines.extend(facts.map(|(label, words)| format!("{label:<8} {words}")));
    for (name, flow) in [("up", &view.rates.uploads), ("down", &view.rates.downloads)] {
        let mut parts = vec![words::speed(flow)];
        parts.extend(words::flow(flow));
        if name == "down" {
            parts.push(words::hedges(view));
        }
        lines.push(format!("{name:<8} {}", parts.join(", ")));
    }
    lines.push(String::new());
    if view.alarms.is_empty() {
        lines.push("nothing to do".to_owned());
    }
    let alarm = |alarm: &Alarm| format!("{:<8}  {}: {}", alarm.severity.word(), alarm.what, alarm.advice);
    lines.extend(view.alarms.iter().map(alarm));
    lines.push(String::new());
    lines.extend(table(&view.rows));
    lines
}

fn table(rows: &[Row]) -> Vec<String> {
    let chars = |row: &Row| row.node.name.chars().count();
    let name_width = rows.iter().map(chars).max().unwrap_or_default();
    let name_width = u16::try_from(name_width).unwrap_or(u16::MAX);
    let line = |cells: &dyn Fn(Column) -> String| {
        let cell = |column: Column| {
            let width = usize::from(column.width(name_width));
            let text = cells(column);
            if column.is_words() {
                format!("{text:<width$}")
            } else {
                format!("{text:>width$}")
            }
        };
        let cells: Vec<String> = Column::ALL.into_iter().map(cell).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&|column| column.heading().to_owned())];
    lines.extend(
        order(rows, Column::Name, false)
            .into_iter()
            .map(|index| line(&|column| column.text(&rows[index]))),
    );
    lines
}

/// One object. What is not known is null.
pub(super) fn json(view: &View) -> Value {
    let grid = &view.grid;
    let members: serde_json::Map<String, Value> = grid
        .members
        .iter()
        .map(|(role, number)| ((*role).to_owned(), json!(number)))
        .collect();
    let healing: serde_json::Map<String, Value> = view
        .healing
        .iter()
        .map(|figure| (figure.key.to_owned(), whole(figure.value)))
        .collect();
    json!({
        "source": view.source,
        "unix_s": view.unix_s,
        "grid": {
            "ready": match grid.ready { Ready::Yes => Some(true), Ready::No(_) => Some(false), Ready::NoGateway => None },
            "k": grid.needed,
            "n": grid.made,
            "happy": grid.happy,
            "nodes": grid.nodes,
            "nodes_up": grid.nodes_up,
            "storage_nodes": grid.storage,
            "storage_nodes_up": grid.storage_up,
            "storage_nodes_spare": grid.spare(),
            "used_bytes": whole(grid.used_bytes),
            "left_bytes": whole(grid.left_bytes),
            "shares": whole(grid.shares),
            "damaged": whole(grid.damage),
            "members": members,
        },
        "rates": {
            "uploads": flow(&view.rates.uploads),
            "downloads": flow(&view.rates.downloads),
            "hedges_per_second": view.rates.hedges,
            "directory_changes_per_second": view.rates.changes,
        },
        "healing": healing,
        "alarms": view.alarms.iter().map(alarm).collect::<Vec<Value>>(),
        "nodes": order(&view.rows, Column::Name, false).into_iter().map(|index| row(&view.rows[index])).collect::<Vec<Value>>(),
    })
}

/// A number of bytes or things, without a point if it is whole.
fn whole(value: Option<f64>) -> Value {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Some(value) if value.fract() == 0.0 && value.abs() < EXACT_MAX => json!(value as i64),
        other => json!(other),
    }
}

fn flow(flow: &Flow) -> Value {
    json!({
        "bytes_per_second": flow.bytes,
        "files_per_second": flow.files,
        "active": whole(flow.active),
        "failed": whole(flow.failed),
    })
}

fn alarm(alarm: &Alarm) -> Value {
    json!({
        "severity": alarm.severity.word(),
        "what": alarm.what,
        "advice": alarm.advice,
        "handbook": alarm.heading.map(|heading| format!("{HANDBOOK}#{heading}")),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "name": row.node.name,
        "roles": row.node.roles.split(',').filter(|role| !role.is_empty()).collect::<Vec<&str>>(),
        "zone": row.node.zone,
        "address": row.node.address,
        "version": row.version,
        "state": row.state.word(),
        "reason": row.reason,
        "slow": row.slow,
        "uptime_seconds": row.uptime_s,
        "cpu": row.cpu,
        "memory_bytes": whole(row.memory_bytes),
        "shares": whole(row.shares),
        "used_bytes": whole(row.used_bytes),
        "free_bytes": whole(row.free_bytes),
        "in_bytes_per_second": row.in_bytes,
        "out_bytes_per_second": row.out_bytes,
        "requests_per_second": row.requests,
        "store_latency_seconds": row.latency_s,
        "store_latency_p99_seconds": row.latency_p99_s,
        "round_trip_seconds": row.trip_s,
        "loop_lag_seconds": row.lag_s,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cluster, view};
    use super::*;

    #[test]
    fn the_text_has_everything() {
        let text = lines(&view(&cluster(&["storage-04"]))).join("\n");
        for part in [
            "state    READY",
            "up       19.1 MiB/s, 4.0 files/s, 2 active, – failed",
            "down     95.4 MiB/s, 20 files/s, 0 active, – failed, 0.5 hedges/s",
            "warning   storage-04 does not answer (connection refused): ",
            "NAME        ROLE        STATE        CPU",
            "storage-04  storage     gone           –",
            "storage-07  storage     slow",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "no colours in a pipe");
    }

    #[test]
    fn a_sound_grid_needs_nothing() {
        let mut sound = view(&cluster(&[]));
        sound.alarms.clear();
        assert!(lines(&sound).contains(&"nothing to do".to_owned()));
    }

    #[test]
    fn the_object_has_what_programs_read() {
        let value = json(&view(&cluster(&["storage-04"])));
        assert_eq!(value["grid"]["ready"], true);
        assert_eq!(value["grid"]["storage_nodes_spare"], 6);
        assert_eq!(value["rates"]["uploads"]["bytes_per_second"], 2e7);
        assert_eq!(value["healing"]["files_short"], Value::Null);
        assert_eq!(value["grid"]["members"]["storage"], 10);
        let gone = value["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|node| node["name"] == "storage-04")
            .unwrap();
        assert_eq!((&gone["state"], &gone["cpu"]), (&json!("gone"), &Value::Null));
        let handbook: Vec<&Value> = value["alarms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alarm| &alarm["handbook"])
            .collect();
        assert!(
            handbook.contains(&&json!("ops/README.md#truckeenodegone")),
            "{handbook:?}"
        );
    }
}
