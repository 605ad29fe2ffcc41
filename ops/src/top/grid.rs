//! The whole grid in figures: sums over its nodes, and what follows for its files.
//!
//! Owns what counts as ready and as spare, in the way of the recording rules in `ops/prometheus/rules`. What to do about
//! it stands in `alarms`.

use std::time::Duration;

use super::history::History;
use super::row::{Row, State, WINDOW};
use super::series::Series;

/// Failures are counted over this, or as long as the node was watched.
pub(super) const FAILURES_WITHIN: Duration = Duration::from_secs(600);

/// The roles of which members are counted, in the order in which they are told.
const MEMBER_ROLES: [(&str, Series); 4] = [
    ("storage", Series::StorageMembers),
    ("gateway", Series::GatewayMembers),
    ("vdrive", Series::VdriveMembers),
    ("introducer", Series::IntroducerMembers),
];

/// A node that answered, with what it answered.
pub(super) type Answering<'a> = (&'a Row, &'a History);

/// Whether files can be stored now.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ready {
    /// By at least one gateway.
    Yes,
    /// By none, and why.
    No(String),
    /// No gateway is among the nodes.
    NoGateway,
}

/// Sums over the nodes that answer. Counts of nodes are of those that are listed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) ready: Ready,
    /// k, n and happy: the largest of all gateways.
    pub(super) needed: Option<usize>,
    pub(super) made: Option<usize>,
    pub(super) happy: Option<usize>,
    pub(super) nodes: usize,
    pub(super) nodes_up: usize,
    pub(super) storage: usize,
    pub(super) storage_up: usize,
    pub(super) used_bytes: Option<f64>,
    pub(super) left_bytes: Option<f64>,
    pub(super) shares: Option<f64>,
    /// Damaged shares and blocks that were found since the nodes' starts.
    pub(super) damage: Option<f64>,
    /// Members that the roster knows, by role; the largest roster of all.
    pub(super) members: Vec<(&'static str, usize)>,
}

impl Grid {
    /// Adds up. `answering` are those of `rows` that have samples.
    pub(super) fn of(rows: &[Row], answering: &[Answering<'_>]) -> Grid {
        let count = |wanted: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| wanted(row)).count();
        let up = |row: &Row| row.state == State::Up;
        let storage = |row: &Row| row.node.is("storage");
        let sum = |of: fn(&Row) -> Option<f64>| total(rows.iter().map(of));
        let largest = |series| largest(answering, series).map(|value| value as usize);
        let damages = [Series::CorruptShares, Series::CorruptBlocks, Series::CheckCorrupt];
        Grid {
            ready: ready(rows),
            needed: largest(Series::Needed),
            made: largest(Series::Made),
            happy: largest(Series::Happy),
            nodes: rows.len(),
            nodes_up: count(&up),
            storage: count(&storage),
            storage_up: count(&|row| storage(row) && up(row)),
            used_bytes: sum(|row| row.used_bytes),
            left_bytes: sum(|row| row.free_bytes),
            shares: sum(|row| row.shares),
            damage: total(damages.map(|series| latest(answering, series))),
            members: MEMBER_ROLES
                .iter()
                .filter_map(|(role, series)| Some((*role, largest(*series)?)))
                .collect(),
        }
    }

    /// How many more storage nodes may fail before a file cannot be read; negative when too few are left already.
    pub(super) fn spare(&self) -> Option<i64> {
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Some(signed(self.storage_up) - signed(self.needed?))
    }

    /// The part of the space that is used.
    pub(super) fn filled(&self) -> Option<f64> {
        let (used, left) = self.used_bytes.zip(self.left_bytes)?;
        (used + left > 0.0).then(|| used / (used + left))
    }
}

fn ready(rows: &[Row]) -> Ready {
    let gateways: Vec<&Row> = rows.iter().filter(|row| row.node.is("gateway")).collect();
    if gateways.is_empty() {
        return Ready::NoGateway;
    }
    if gateways.iter().any(|row| row.state == State::Up) {
        return Ready::Yes;
    }
    let why = |row: &&Row| {
        let reason = row.reason.as_deref().unwrap_or(row.state.word());
        format!("{}: {reason}", row.node.name)
    };
    Ready::No(gateways.first().map(why).unwrap_or_default())
}

/// Uploads or downloads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Flow {
    /// Plaintext per second.
    pub(super) bytes: Option<f64>,
    /// Whole files per second.
    pub(super) files: Option<f64>,
    pub(super) active: Option<f64>,
    /// Failures that were not the client's own doing, while watched.
    pub(super) failed: Option<f64>,
}

/// What clients do, over all gateways.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) uploads: Flow,
    pub(super) downloads: Flow,
    /// Blocks asked of a further node because the first was slow, per second.
    pub(super) hedges: Option<f64>,
    /// Changes of directories per second.
    pub(super) changes: Option<f64>,
}

impl Rates {
    /// Adds up.
    pub(super) fn of(answering: &[Answering<'_>]) -> Rates {
        let rate = |series| rate(answering, series, WINDOW);
        let failed = |series| {
            total(
                answering
                    .iter()
                    .map(|(_, history)| history.increase(series, FAILURES_WITHIN)),
            )
        };
        Rates {
            uploads: Flow {
                bytes: rate(Series::UploadBytes),
                files: rate(Series::UploadsDone),
                active: latest(answering, Series::UploadsActive),
                failed: failed(Series::UploadsFailed),
            },
            downloads: Flow {
                bytes: rate(Series::DownloadBytes),
                files: rate(Series::DownloadsDone),
                active: latest(answering, Series::DownloadsActive),
                failed: failed(Series::DownloadsFailed),
            },
            hedges: rate(Series::Hedges),
            changes: rate(Series::DriveChanges),
        }
    }
}

/// How a figure of healing is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    BytesPerSecond,
    Count,
}

/// One figure of healing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// Its key in JSON.
    pub(super) key: &'static str,
    /// What stands before it, for people.
    pub(super) words: &'static str,
    pub(super) unit: Unit,
    pub(super) value: Option<f64>,
}

/// What is told of healing, in order.
const HEALING: [(&str, &str, Unit, Series); 3] = [
    (
        "files_unreadable",
        "unreadable",
        Unit::Count,
        Series::FilesUnreadable,
    ),
    ("files_short", "to repair", Unit::Count, Series::FilesShort),
    (
        "scrubbed_bytes_per_second",
        "checked",
        Unit::BytesPerSecond,
        Series::Scrubbed,
    ),
];

/// What the nodes do for files that nobody asks for. Counts are since the nodes' starts.
pub(super) fn healing(answering: &[Answering<'_>]) -> Vec<Figure> {
    let figure = |(key, words, unit, series)| Figure {
        key,
        words,
        unit,
        value: match unit {
            Unit::BytesPerSecond => rate(answering, series, WINDOW),
            Unit::Count => latest(answering, series),
        },
    };
    HEALING.into_iter().map(figure).collect()
}

/// The sum of those that are known; none if none is.
pub(super) fn total(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    values.into_iter().flatten().reduce(|one, other| one + other)
}

/// The sum of a number as the nodes told it last.
pub(super) fn latest(answering: &[Answering<'_>], series: Series) -> Option<f64> {
    total(
        answering
            .iter()
            .map(|(_, history)| history.latest()?.value(series)),
    )
}

fn largest(answering: &[Answering<'_>], series: Series) -> Option<f64> {
    let values = answering
        .iter()
        .filter_map(|(_, history)| history.latest()?.value(series));
    values.max_by(f64::total_cmp)
}

/// The sum of the nodes' rates.
pub(super) fn rate(answering: &[Answering<'_>], series: Series, window: Duration) -> Option<f64> {
    total(answering.iter().map(|(_, history)| history.rate(series, window)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History as Fixture, row};
    use super::*;

    fn gateway() -> History {
        let gateway = Fixture::gateway()
            .moved(Series::UploadBytes, 4e6)
            .moved(Series::UploadsFailed, 3.0);
        gateway.gauge(Series::UploadsActive, 2.0).build()
    }

    #[test]
    fn a_grid_adds_up() {
        let rows: Vec<Row> = (1..=10)
            .map(|number| Row {
                used_bytes: Some(100.0),
                free_bytes: Some(300.0),
                shares: Some(2.0),
                ..row(&format!("storage-{number:02}"), "storage")
            })
            .chain([row("gateway", "gateway")])
            .collect();
        let history = gateway();
        let grid = Grid::of(&rows, &[(&rows[10], &history)]);
        assert_eq!(grid.ready, Ready::Yes);
        assert_eq!((grid.needed, grid.made, grid.happy), (Some(3), Some(10), Some(7)));
        assert_eq!(
            (grid.nodes, grid.nodes_up, grid.storage, grid.storage_up),
            (11, 11, 10, 10)
        );
        assert_eq!(grid.spare(), Some(7));
        assert_eq!(
            (grid.used_bytes, grid.left_bytes, grid.shares),
            (Some(1000.0), Some(3000.0), Some(20.0))
        );
        assert_eq!(grid.filled(), Some(0.25));
        assert_eq!(grid.members, [("storage", 10), ("gateway", 1)]);
    }

    #[test]
    fn a_gateway_that_is_gone_or_not_ready_makes_the_grid_not_ready() {
        let mut gateway = row("gateway", "gateway");
        gateway.state = State::NotReady;
        gateway.reason = Some("2 storage peers are linked and an upload needs 7".into());
        let grid = Grid::of(&[gateway.clone()], &[]);
        let Ready::No(why) = &grid.ready else {
            panic!("{grid:?}");
        };
        assert!(why.contains("an upload needs 7"), "{why}");
        let both = Grid::of(&[gateway, row("other", "gateway,storage")], &[]);
        assert_eq!(both.ready, Ready::Yes);
        let none = Grid::of(&[row("storage-01", "storage")], &[]);
        assert_eq!((none.ready, none.needed), (Ready::NoGateway, None));
    }

    #[test]
    fn too_few_nodes_are_less_than_nothing_to_spare() {
        let history = gateway();
        let rows = [row("gateway", "gateway"), row("storage-01", "storage")];
        let grid = Grid::of(&rows, &[(&rows[0], &history)]);
        assert_eq!(grid.spare(), Some(-2));
        assert_eq!(grid.filled(), None);
    }

    #[test]
    fn rates_are_those_of_all_gateways() {
        let (one, other) = (gateway(), gateway());
        let rows = [row("a", "gateway"), row("b", "gateway")];
        let rates = Rates::of(&[(&rows[0], &one), (&rows[1], &other)]);
        assert_eq!(rates.uploads.bytes, Some(4e6));
        assert_eq!(
            (rates.uploads.active, rates.uploads.failed),
            (Some(4.0), Some(6.0))
        );
        assert_eq!(rates.downloads, Flow::default());
        assert_eq!(Rates::of(&[]), Rates::default());
    }

    #[test]
    fn healing_tells_what_there_is() {
        let storage = Fixture::storage()
            .moved(Series::Scrubbed, 8e6)
            .gauge(Series::FilesShort, 3.0);
        let history = storage.build();
        let row = row("storage-01", "storage");
        let figures = healing(&[(&row, &history)]);
        let values: Vec<Option<f64>> = figures.iter().map(|figure| figure.value).collect();
        assert_eq!(values, [None, Some(3.0), Some(4e6)]);
    }
}
