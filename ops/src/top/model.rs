//! From looks at a grid to what is shown of it.
//!
//! Owns the memory between looks: the history of every node, and a point of each curve per look. Takes the time from the
//! looks; does no input or output, and knows nothing of keys and screens.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::alarms::{self, Alarm};
use super::grid::{self, Answering, Figure, Grid, Rates};
use super::history::History;
use super::row::{self, Row};
use super::seen::{Answer, Round};
use super::series::Series;

/// Most points of a curve: more than a terminal is wide.
const POINTS_MAX: usize = 512;

/// One look's point of the two curves, in bytes per second since the look before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    /// When, since the watch began.
    pub(super) at: Duration,
    pub(super) uploads: f64,
    pub(super) downloads: f64,
}

/// Everything that is shown, as of the last look.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Whom the watch asks, for people.
    pub(super) source: String,
    /// When the last look ended, since the watch began.
    pub(super) at: Duration,
    /// The same in seconds since 1970.
    pub(super) unix_s: f64,
    pub(super) grid: Grid,
    pub(super) rates: Rates,
    pub(super) healing: Vec<Figure>,
    /// In the order in which the nodes are listed.
    pub(super) rows: Vec<Row>,
    /// The worst first.
    pub(super) alarms: Vec<Alarm>,
    /// The oldest first.
    pub(super) points: VecDeque<Point>,
}

/// See the module.
pub(super) struct Model {
    histories: BTreeMap<String, History>,
    view: View,
}

impl Model {
    /// Knows nothing yet; `source` says whom the watch asks.
    pub(super) fn new(source: String) -> Model {
        Model {
            histories: BTreeMap::new(),
            view: View {
                source,
                at: Duration::ZERO,
                unix_s: 0.0,
                grid: Grid::of(&[], &[]),
                rates: Rates::default(),
                healing: grid::healing(&[]),
                rows: Vec::new(),
                alarms: Vec::new(),
                points: VecDeque::new(),
            },
        }
    }

    /// What is to be shown.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// Takes a look in.
    pub(super) fn apply(&mut self, round: Round) {
        let (unix_s, trouble) = (round.unix_s, round.trouble);
        let mut rows = Vec::with_capacity(round.nodes.len());
        let mut kept = BTreeMap::new();
        let mut answered = Vec::new();
        for (node, answer) in round.nodes {
            let name = node.name.clone();
            let mut history = self.histories.remove(&name).unwrap_or_default();
            rows.push(match answer {
                Answer::Page { at, sample, unready } => {
                    history.push(at, *sample);
                    answered.push(rows.len());
                    Row::answered(node, &history, unready, unix_s)
                }
                Answer::Told(told) => Row::told(node, &told),
                Answer::Silent(silence) => Row::silent(node, silence),
            });
            kept.insert(name, history);
        }
        // Those of nodes that are not listed any more are forgotten here.
        self.histories = kept;
        let usual = row::mark_slow(&mut rows);
        let answering: Vec<Answering<'_>> = answered
            .into_iter()
            .filter_map(|index| Some((&rows[index], self.histories.get(&rows[index].node.name)?)))
            .collect();
        let grid = Grid::of(&rows, &answering);
        let judged = alarms::Judged {
            grid: &grid,
            rows: &rows,
            answering: &answering,
            at: round.at,
            unix_s,
            usual_latency_s: usual,
            trouble: trouble.as_deref(),
        };
        let alarms = alarms::judge(&judged);
        let view = &mut self.view;
        add_point(&mut view.points, round.at, &answering);
        view.rates = Rates::of(&answering);
        view.healing = grid::healing(&answering);
        (view.at, view.unix_s, view.grid, view.alarms) = (round.at, unix_s, grid, alarms);
        view.rows = rows;
    }
}

fn add_point(points: &mut VecDeque<Point>, at: Duration, answering: &[Answering<'_>]) {
    let rate = |series| grid::rate(answering, series, Duration::ZERO);
    let (uploads, downloads) = (rate(Series::UploadBytes), rate(Series::DownloadBytes));
    // Before the second look nothing is known. Later, a gateway that is gone moves nothing.
    if points.is_empty() && uploads.is_none() && downloads.is_none() {
        return;
    }
    points.push_back(Point {
        at,
        uploads: uploads.unwrap_or_default(),
        downloads: downloads.unwrap_or_default(),
    });
    if points.len() > POINTS_MAX {
        points.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::State;
    use super::super::seen::Silence;
    use super::super::series::Sample;
    use super::super::testing::{self, cluster, node};
    use super::*;

    #[test]
    fn a_cluster_at_work() {
        let view = testing::view(&cluster(&[]));
        assert_eq!(
            (view.grid.nodes, view.grid.nodes_up, view.grid.spare()),
            (12, 12, Some(7))
        );
        assert_eq!(view.rates.uploads.bytes, Some(2e7));
        assert_eq!(view.points.len(), 1);
        assert_eq!(view.points[0].downloads, 1e8);
        let slow: Vec<&str> = view
            .rows
            .iter()
            .filter(|row| row.slow)
            .map(|row| row.node.name.as_str())
            .collect();
        assert_eq!(slow, ["storage-07"]);
    }

    #[test]
    fn one_that_is_gone_is_known_as_gone() {
        let view = testing::view(&cluster(&["storage-04"]));
        assert_eq!(
            (view.grid.storage, view.grid.storage_up, view.grid.spare()),
            (10, 9, Some(6))
        );
        let gone: Vec<&Row> = view.rows.iter().filter(|row| row.state == State::Gone).collect();
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].reason.as_deref(), Some("connection refused"));
        assert_eq!(gone[0].used_bytes, None);
    }

    fn gateway_look(model: &mut Model, at_s: u64, uploaded: Option<f64>, start: f64) {
        let answer = match uploaded {
            None => Answer::Silent(Silence::because("no answer")),
            Some(bytes) => {
                let mut sample = Sample::default();
                sample.set(Series::Start, start);
                sample.set(Series::UploadBytes, bytes);
                Answer::Page {
                    at: Duration::from_secs(at_s),
                    sample: Box::new(sample),
                    unready: None,
                }
            }
        };
        model.apply(Round {
            at: Duration::from_secs(at_s),
            unix_s: 0.0,
            nodes: vec![(node("gateway", "gateway"), answer)],
            trouble: None,
        });
    }

    #[test]
    fn curves_go_on_through_absence_and_restart() {
        let mut model = Model::new(String::new());
        for (at, uploaded, start) in [
            (0, Some(0.0), 1.0),
            (2, Some(200.0), 1.0),
            (4, None, 1.0),
            (6, Some(600.0), 1.0),
            (8, Some(10.0), 7.0),
            (10, Some(20.0), 7.0),
        ] {
            gateway_look(&mut model, at, uploaded, start);
        }
        let curve: Vec<f64> = model.view().points.iter().map(|point| point.uploads).collect();
        // Absent: nothing. Back: over the time since it answered last. New process: nothing, then its own rate.
        assert_eq!(curve, [100.0, 0.0, 100.0, 0.0, 5.0]);
    }

    #[test]
    fn memory_is_bounded_and_follows_the_list() {
        let mut model = Model::new(String::new());
        for at in 0..2 * POINTS_MAX as u64 {
            gateway_look(&mut model, 2 * at, Some(at as f64), 1.0);
        }
        assert_eq!(model.view().points.len(), POINTS_MAX);
        model.apply(Round {
            at: Duration::from_secs(9999),
            unix_s: 0.0,
            nodes: vec![],
            trouble: None,
        });
        assert!(model.histories.is_empty() && model.view().rows.is_empty());
    }
}
