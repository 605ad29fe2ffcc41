//! Nodes, histories and views for the tests of this command.

use std::time::Duration;

use super::history;
use super::model::{Model, View};
use super::row::Row;
use super::seen::{Answer, Link, Node, Round, Silence, Told};
use super::series::{Distribution, Sample, Series, Timing};

/// When the watch begins, in seconds since 1970: nodes started at 100.
pub(super) const UNIX_S: f64 = 1000.0;

/// Two samples of a node, two seconds apart unless told otherwise.
#[derive(Clone)]
pub(super) struct History {
    before: Sample,
    after: Sample,
    apart: Duration,
}

impl History {
    fn new(gauges: &[(Series, f64)]) -> History {
        let mut sample = Sample::default();
        for (series, value) in [(Series::Ready, 1.0), (Series::Start, 100.0)]
            .iter()
            .chain(gauges)
        {
            sample.set(*series, *value);
        }
        "truckee/0.1.0".clone_into(&mut sample.version);
        History {
            before: sample.clone(),
            after: sample,
            apart: Duration::from_secs(2),
        }
    }

    pub(super) fn storage() -> History {
        History::new(&[])
    }

    /// 3-of-10, happy 7.
    pub(super) fn gateway() -> History {
        History::new(&[
            (Series::Needed, 3.0),
            (Series::Made, 10.0),
            (Series::Happy, 7.0),
            (Series::StorageMembers, 10.0),
            (Series::GatewayMembers, 1.0),
        ])
    }

    pub(super) fn gauge(mut self, series: Series, value: f64) -> History {
        self.before.set(series, value);
        self.after.set(series, value);
        self
    }

    /// What the two samples hold of a number.
    pub(super) fn both(mut self, series: Series, before: f64, after: f64) -> History {
        self.before.set(series, before);
        self.after.set(series, after);
        self
    }

    /// A counter that grows by this between the two.
    pub(super) fn moved(mut self, series: Series, by: f64) -> History {
        self.before.set(series, 0.0);
        self.after.set(series, by);
        self
    }

    /// What a counter that moves begins at.
    pub(super) fn from(mut self, series: Series, at: f64) -> History {
        let by = self.after.value(series).unwrap_or_default();
        self.before.set(series, at);
        self.after.set(series, at + by);
        self
    }

    /// So many observations that took so long together.
    pub(super) fn times(mut self, timing: Timing, count: f64, sum: f64) -> History {
        let buckets = vec![(sum / count, count), (f64::INFINITY, count)];
        self.after
            .set_timing(timing, Distribution { sum, count, buckets });
        self
    }

    /// All that was observed until the second sample.
    pub(super) fn distribution(mut self, timing: Timing, distribution: Distribution) -> History {
        self.after.set_timing(timing, distribution);
        self
    }

    pub(super) fn apart(mut self, apart: Duration) -> History {
        self.apart = apart;
        self
    }

    pub(super) fn build(self) -> history::History {
        let mut history = history::History::default();
        history.push(Duration::ZERO, self.before);
        history.push(self.apart, self.after);
        history
    }

    /// The answers of the two looks.
    fn answers(&self) -> [Answer; 2] {
        let answer = |at, sample: &Sample| Answer::Page {
            at,
            sample: Box::new(sample.clone()),
            unready: None,
        };
        [
            answer(Duration::ZERO, &self.before),
            answer(self.apart, &self.after),
        ]
    }
}

pub(super) fn node(name: &str, roles: &str) -> Node {
    Node {
        name: name.to_owned(),
        roles: roles.to_owned(),
        zone: "none".to_owned(),
        address: "127.0.0.1:7000".to_owned(),
        dir: None,
    }
}

/// A node that is up, of which nothing is known.
pub(super) fn row(name: &str, roles: &str) -> Row {
    let told = Told {
        link: Link::Up,
        failure: None,
        shares: None,
        used_bytes: None,
        free_bytes: None,
        trip_s: None,
        uptime_s: None,
        version: String::new(),
    };
    Row::told(node(name, roles), &told)
}

/// What a grid looks like after two looks at nodes with these histories; one without a history does not answer.
pub(super) fn view(nodes: &[(Node, Option<History>)]) -> View {
    let mut model = Model::new("cluster /tmp/c".to_owned());
    for look in 0..2 {
        let answers = nodes.iter().map(|(node, history)| {
            let answer = match history {
                Some(history) => history.answers()[look].clone(),
                None => Answer::Silent(Silence::because("connection refused")),
            };
            (node.clone(), answer)
        });
        model.apply(Round {
            at: Duration::from_secs(2 * look as u64),
            unix_s: UNIX_S + 2.0 * look as f64,
            nodes: answers.collect(),
            trouble: None,
        });
    }
    model.view().clone()
}

/// A cluster as `truckee up` starts it, at work; those named in `gone` do not answer.
pub(super) fn cluster(gone: &[&str]) -> Vec<(Node, Option<History>)> {
    let storage = (1..=10).map(|number| {
        let history = History::storage()
            .gauge(Series::Shares, 40.0 + f64::from(number))
            .gauge(Series::Used, 7e7)
            .gauge(Series::Available, 5.8e10)
            .gauge(Series::Memory, 2.3e7)
            .moved(Series::Cpu, 1.0)
            .moved(Series::LinkIn, 1.4e7)
            .moved(Series::LinkOut, 4e6)
            .moved(Series::Served, 80.0)
            .moved(Series::Scrubbed, 2e6)
            .times(Timing::Store, 80.0, if number == 7 { 12.0 } else { 0.4 })
            .times(Timing::Trip, 5.0, 0.01)
            .times(Timing::Lag, 8.0, 0.008);
        (node(&format!("storage-{number:02}"), "storage"), history)
    });
    let gateway = History::gateway()
        .gauge(Series::UploadsActive, 2.0)
        .gauge(Series::DownloadsActive, 0.0)
        .gauge(Series::Memory, 6.3e7)
        .moved(Series::UploadBytes, 4e7)
        .moved(Series::UploadsDone, 8.0)
        .moved(Series::DownloadBytes, 2e8)
        .moved(Series::DownloadsDone, 40.0)
        .moved(Series::DriveChanges, 6.0)
        .moved(Series::Hedges, 1.0)
        .moved(Series::LinkIn, 2e8)
        .moved(Series::LinkOut, 1.4e8)
        .times(Timing::Lag, 8.0, 0.004);
    let first = [(node("introducer", "introducer"), History::new(&[]))];
    let all = first
        .into_iter()
        .chain(storage)
        .chain([(node("gateway", "gateway"), gateway)]);
    all.map(|(node, history)| {
        let there = !gone.contains(&node.name.as_str());
        (node, there.then_some(history))
    })
    .collect()
}
