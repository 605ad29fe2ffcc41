//! The figures of a grid in words, as the screen and the plain text have them in common.

use super::grid::{Figure, Flow, Grid, Ready, Unit};
use super::model::View;
use super::text::{NONE, bytes, count, per_second, percent};

/// What is known of the grid, label and words, the most important first.
pub(super) fn facts(view: &View) -> Vec<(&'static str, String)> {
    let grid = &view.grid;
    vec![
        ("coding", coding(grid)),
        ("nodes", nodes(grid)),
        ("safety", safety(grid)),
        ("space", space(grid)),
        ("shares", shares(grid)),
        ("healing", healing(&view.healing)),
        ("members", members(grid)),
        ("drive", drive(view)),
    ]
}

/// `READY` or why not, in a word.
pub(super) fn ready(grid: &Grid) -> &'static str {
    match grid.ready {
        Ready::Yes => "READY",
        Ready::No(_) => "NOT READY",
        Ready::NoGateway => "NO GATEWAY WATCHED",
    }
}

fn coding(grid: &Grid) -> String {
    match (grid.needed, grid.made, grid.happy) {
        (Some(k), Some(n), Some(happy)) => {
            format!("any {k} of {n} shares are enough, happy with {happy}")
        }
        _ => "known to gateways alone".to_owned(),
    }
}

fn nodes(grid: &Grid) -> String {
    format!(
        "{} of {} up, storage {} of {}",
        grid.nodes_up, grid.nodes, grid.storage_up, grid.storage
    )
}

fn safety(grid: &Grid) -> String {
    match grid.spare() {
        None => "known where a gateway is watched".to_owned(),
        Some(spare @ 1..) => format!("{} may fail before files cannot be read", more_nodes(spare)),
        Some(0) => "no storage node may fail any more".to_owned(),
        Some(spare) => format!("files cannot be read: {} needed", more_nodes(-spare)),
    }
}

fn more_nodes(number: i64) -> String {
    let number = usize::try_from(number).unwrap_or_default();
    count(number, "more storage node")
}

fn space(grid: &Grid) -> String {
    let some = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), bytes);
    let filled = grid.filled().map(|part| format!(" ({} full)", percent(part)));
    format!(
        "{} used, {} left{}",
        some(grid.used_bytes),
        some(grid.left_bytes),
        filled.unwrap_or_default()
    )
}

fn shares(grid: &Grid) -> String {
    let damage = match grid.damage {
        None => "damage is told by the nodes alone".to_owned(),
        Some(0.0) => "nothing found damaged".to_owned(),
        Some(number) => format!("{} found damaged", count(number as usize, "piece")),
    };
    let shares = grid
        .shares
        .map_or_else(|| NONE.to_owned(), |shares| format!("{shares:.0}"));
    format!("{shares}, {damage}")
}

fn members(grid: &Grid) -> String {
    if grid.members.is_empty() {
        return NONE.to_owned();
    }
    let one = |(role, number): &(&str, usize)| format!("{number} {role}");
    grid.members.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn drive(view: &View) -> String {
    let changes = view.rates.changes.map_or_else(|| NONE.to_owned(), per_second);
    format!("{changes} changes of directories/s")
}

/// What is told of healing.
pub(super) fn healing(figures: &[Figure]) -> String {
    let one = |figure: &Figure| {
        let value = match (figure.value, figure.unit) {
            (None, _) => NONE.to_owned(),
            (Some(value), Unit::BytesPerSecond) => format!("{}/s", bytes(value)),
            (Some(value), Unit::Count) => format!("{value:.0}"),
        };
        format!("{value} {}", figure.words)
    };
    figures.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// How fast bytes flow.
pub(super) fn speed(flow: &Flow) -> String {
    flow.bytes
        .map_or_else(|| NONE.to_owned(), |rate| format!("{}/s", bytes(rate)))
}

/// What else there is to say of uploads or downloads.
pub(super) fn flow(flow: &Flow) -> Vec<String> {
    let some = |value: Option<f64>, text: fn(f64) -> String| value.map_or_else(|| NONE.to_owned(), text);
    vec![
        format!("{} files/s", some(flow.files, per_second)),
        format!("{} active", some(flow.active, |number| format!("{number:.0}"))),
        format!("{} failed", some(flow.failed, |number| format!("{number:.0}"))),
    ]
}

/// Blocks that were asked for twice.
pub(super) fn hedges(view: &View) -> String {
    let hedges = view.rates.hedges.map_or_else(|| NONE.to_owned(), per_second);
    format!("{hedges} hedges/s")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cluster, view};
    use super::*;

    fn text(view: &View) -> String {
        let lines = facts(view)
            .into_iter()
            .map(|(label, words)| format!("{label}: {words}\n"));
        lines.collect()
    }

    #[test]
    fn a_cluster_in_words() {
        let text = text(&view(&cluster(&["storage-04"])));
        for part in [
            "any 3 of 10 shares are enough, happy with 7",
            "nodes: 11 of 12 up, storage 9 of 10",
            "6 more storage nodes may fail",
            "601 MiB used, 486 GiB left (0.1% full)",
            "members: 10 storage, 1 gateway",
            "drive: 3.0 changes",
            "– unreadable, – to repair, 8.58 MiB/s checked",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }

    #[test]
    fn nothing_known_is_said_as_such() {
        let empty = view(&[]);
        assert_eq!(ready(&empty.grid), "NO GATEWAY WATCHED");
        let text = text(&empty);
        assert!(
            text.contains("– used, – left\n") && text.contains("known where a gateway"),
            "{text}"
        );
        assert_eq!(flow(&Flow::default()), ["– files/s", "– active", "– failed"]);
    }

    #[test]
    fn safety_counts_in_both_directions() {
        let mut grid = view(&cluster(&[])).grid;
        for (up, words) in [
            (4, "1 more storage node may fail"),
            (3, "no storage node may"),
            (1, "2 more storage nodes needed"),
        ] {
            grid.storage_up = up;
            assert!(safety(&grid).contains(words), "{}", safety(&grid));
        }
    }
}
