//! One node's figures, as the table shows them.
//!
//! Owns over which time each figure is taken, and when a node counts as slow. A figure that is not known is none, never
//! zero.

use std::time::Duration;

use super::history::History;
use super::seen::{Link, Node, Silence, Told};
use super::series::{Sample, Series, Timing};

/// Rates and times of requests: long enough to be steady, short enough to follow what happens.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// CPU time is told in whole seconds and heartbeats are seconds apart: over less than this, either is noise.
const LONG_WINDOW: Duration = Duration::from_secs(30);

/// What CPU time is told in, in seconds.
const CPU_STEP_S: f64 = 1.0;

/// Watched for less than this, a node's CPU is its mean since its start, as `ps` shows it.
const CPU_WATCHED_MIN: Duration = Duration::from_secs(10);

/// A node that answered fewer requests than this within the window is not judged.
const JUDGED_REQUESTS_MIN: f64 = 10.0;

/// Fewer nodes than this have no usual time that one of them could exceed.
const JUDGED_NODES_MIN: usize = 3;

/// A slow node takes so many times as long as the node in the middle …
const SLOW_FACTOR: f64 = 3.0;

/// … and at least this much longer, in seconds: below, nobody feels it.
const SLOW_MORE_S: f64 = 0.02;

/// Whether a node works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It does not answer.
    Gone,
    /// It answers and says that it cannot serve.
    NotReady,
    /// Nobody knows.
    Unknown,
    /// It serves.
    Up,
}

impl State {
    /// As people and programs read it.
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Gone => "gone",
            State::NotReady => "not ready",
            State::Unknown => "unknown",
            State::Up => "up",
        }
    }
}

/// See the module. Times are in seconds, rates per second, `cpu` is parts of one processor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) node: Node,
    pub(super) state: State,
    /// Why it is not up.
    pub(super) reason: Option<String>,
    /// Whether it is gone and something is still there that does not answer.
    pub(super) hangs: bool,
    pub(super) version: String,
    pub(super) uptime_s: Option<f64>,
    pub(super) cpu: Option<f64>,
    /// What `cpu` is told in: less than this shows as nothing.
    pub(super) cpu_step: f64,
    pub(super) memory_bytes: Option<f64>,
    pub(super) shares: Option<f64>,
    pub(super) used_bytes: Option<f64>,
    pub(super) free_bytes: Option<f64>,
    pub(super) in_bytes: Option<f64>,
    pub(super) out_bytes: Option<f64>,
    pub(super) requests: Option<f64>,
    /// Mean time of a request to its store.
    pub(super) latency_s: Option<f64>,
    /// The time that 99 of 100 requests to its store did not exceed.
    pub(super) latency_p99_s: Option<f64>,
    /// Mean round trip of a heartbeat to its peers and back.
    pub(super) trip_s: Option<f64>,
    /// Mean lateness of its event loops.
    pub(super) lag_s: Option<f64>,
    /// Requests behind `latency_s`.
    pub(super) judged_requests: f64,
    /// Whether it takes much longer than the others.
    pub(super) slow: bool,
}

impl Row {
    fn new(node: Node, state: State, reason: Option<String>) -> Row {
        Row {
            node,
            state,
            reason,
            hangs: false,
            version: String::new(),
            uptime_s: None,
            cpu: None,
            cpu_step: 0.0,
            memory_bytes: None,
            shares: None,
            used_bytes: None,
            free_bytes: None,
            in_bytes: None,
            out_bytes: None,
            requests: None,
            latency_s: None,
            latency_p99_s: None,
            trip_s: None,
            lag_s: None,
            judged_requests: 0.0,
            slow: false,
        }
    }

    /// A node that does not answer.
    pub(super) fn silent(node: Node, silence: Silence) -> Row {
        Row {
            hangs: silence.hangs,
            ..Row::new(node, State::Gone, Some(silence.reason))
        }
    }

    /// A node of which a gateway told.
    pub(super) fn told(node: Node, told: &Told) -> Row {
        let state = match told.link {
            Link::Up => State::Up,
            Link::Changing => State::NotReady,
            Link::Gone => State::Gone,
            Link::Unknown => State::Unknown,
        };
        let up = state == State::Up;
        let reason = told.failure.clone().filter(|_| !up);
        Row {
            version: told.version.clone(),
            uptime_s: told.uptime_s.filter(|_| up),
            shares: told.shares.filter(|_| up),
            used_bytes: told.used_bytes.filter(|_| up),
            free_bytes: told.free_bytes.filter(|_| up),
            trip_s: told.trip_s.filter(|_| up),
            ..Row::new(node, state, reason)
        }
    }

    /// A node that answered, with its latest sample in `history`.
    pub(super) fn answered(mut node: Node, history: &History, unready: Option<String>, unix_s: f64) -> Row {
        let nothing = Sample::default();
        let sample = history.latest().unwrap_or(&nothing);
        let state = match sample.value(Series::Ready) {
            Some(ready) if ready > 0.0 => State::Up,
            Some(_) => State::NotReady,
            None => State::Unknown,
        };
        if node.roles.is_empty() {
            node.roles.clone_from(&sample.roles);
        }
        let rate = |series| history.rate(series, WINDOW);
        let both = |one, other| match (rate(one), rate(other)) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or_default() + other.unwrap_or_default()),
        };
        let uptime_s = sample.value(Series::Start).map(|start| (unix_s - start).max(0.0));
        let (cpu, cpu_step) = cpu(history, sample, uptime_s);
        Row {
            version: sample.version.clone(),
            uptime_s,
            cpu,
            cpu_step,
            memory_bytes: sample.value(Series::Memory),
            shares: sample.value(Series::Shares),
            used_bytes: sample.value(Series::Used),
            free_bytes: sample.value(Series::Available),
            in_bytes: both(Series::LinkIn, Series::UploadBytes),
            out_bytes: both(Series::LinkOut, Series::DownloadBytes),
            requests: both(Series::Served, Series::HttpRequests),
            latency_s: history.mean(Timing::Store, WINDOW),
            latency_p99_s: history.quantile(Timing::Store, 0.99, WINDOW),
            trip_s: history.mean(Timing::Trip, LONG_WINDOW),
            lag_s: history.mean(Timing::Lag, WINDOW),
            judged_requests: history.observations(Timing::Store, WINDOW),
            ..Row::new(node, state, unready.filter(|_| state != State::Up))
        }
    }
}

/// Parts of a processor, and the least part that can be told from none.
fn cpu(history: &History, sample: &Sample, uptime_s: Option<f64>) -> (Option<f64>, f64) {
    let step = |span_s: f64| CPU_STEP_S / span_s;
    if history.watched() >= CPU_WATCHED_MIN
        && let Some(span) = history.span(LONG_WINDOW)
    {
        return (history.rate(Series::Cpu, LONG_WINDOW), step(span.as_secs_f64()));
    }
    let both = sample.value(Series::Cpu).zip(uptime_s);
    match both.filter(|(_, uptime_s)| *uptime_s >= CPU_STEP_S) {
        Some((cpu_s, uptime_s)) => (Some(cpu_s / uptime_s), step(uptime_s)),
        None => (None, 0.0),
    }
}

/// Marks the nodes that take much longer than the node in the middle; gives its time if there is one.
pub(super) fn mark_slow(rows: &mut [Row]) -> Option<f64> {
    let judged = |row: &Row| {
        row.latency_s
            .filter(|_| row.judged_requests >= JUDGED_REQUESTS_MIN)
    };
    let mut times: Vec<f64> = rows.iter().filter_map(judged).collect();
    if times.len() < JUDGED_NODES_MIN {
        return None;
    }
    times.sort_by(f64::total_cmp);
    let usual = times[(times.len() - 1) / 2];
    for row in rows {
        row.slow = judged(row).is_some_and(|time| time > SLOW_FACTOR * usual && time > usual + SLOW_MORE_S);
    }
    Some(usual)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History as Fixture, node, row};
    use super::*;

    #[test]
    fn a_storage_node_has_its_figures() {
        let history = Fixture::storage()
            .moved(Series::LinkIn, 2e6)
            .moved(Series::Served, 40.0);
        let history = history
            .gauge(Series::Shares, 7.0)
            .times(Timing::Store, 20.0, 0.4)
            .build();
        let row = Row::answered(node("storage-01", "storage"), &history, None, 1000.0);
        assert_eq!(row.state, State::Up);
        assert_eq!((row.in_bytes, row.requests), (Some(1e6), Some(20.0)));
        assert_eq!((row.shares, row.latency_s), (Some(7.0), Some(0.02)));
        assert_eq!(row.uptime_s, Some(900.0));
        assert_eq!(
            row.out_bytes, None,
            "a node that tells no bytes sent has none, not zero"
        );
    }

    #[test]
    fn cpu_is_the_mean_since_the_start_until_it_was_watched() {
        let short = Fixture::storage()
            .moved(Series::Cpu, 1.0)
            .from(Series::Cpu, 89.0)
            .build();
        let row = Row::answered(node("a", "storage"), &short, None, 1000.0);
        assert_eq!(row.cpu, Some(0.1));
        let long = Fixture::storage()
            .moved(Series::Cpu, 10.0)
            .apart(Duration::from_secs(20))
            .build();
        let row = Row::answered(node("a", "storage"), &long, None, 1000.0);
        assert_eq!((row.cpu, row.cpu_step), (Some(0.5), 0.05));
    }

    #[test]
    fn a_node_that_says_no_is_not_ready() {
        let history = Fixture::storage().gauge(Series::Ready, 0.0).build();
        let row = Row::answered(node("a", "gateway"), &history, Some("2 of 7".into()), 1000.0);
        assert_eq!(
            (row.state, row.reason.as_deref()),
            (State::NotReady, Some("2 of 7"))
        );
        let other = Row::answered(node("a", ""), &History::default(), Some("late".into()), 1000.0);
        assert_eq!(other.state, State::Unknown);
    }

    #[test]
    fn what_a_gateway_said_of_one_that_is_gone_is_no_figure() {
        let told = |link| Told {
            link,
            failure: Some("unreachable".into()),
            shares: Some(1.0),
            used_bytes: Some(2.0),
            free_bytes: Some(3.0),
            trip_s: Some(0.1),
            uptime_s: Some(9.0),
            version: "v".into(),
        };
        let gone = Row::told(node("a", "storage"), &told(Link::Gone));
        assert_eq!(
            (gone.state, gone.used_bytes, gone.trip_s),
            (State::Gone, None, None)
        );
        assert_eq!(gone.reason.as_deref(), Some("unreachable"));
        let up = Row::told(node("a", "storage"), &told(Link::Up));
        assert_eq!((up.state, up.used_bytes, up.reason), (State::Up, Some(2.0), None));
        assert_eq!(
            Row::told(node("a", "storage"), &told(Link::Unknown)).state,
            State::Unknown
        );
        assert_eq!(
            Row::told(node("a", "storage"), &told(Link::Changing)).state,
            State::NotReady
        );
    }

    fn with_times(times: &[(f64, f64)]) -> Vec<Row> {
        let rows = times.iter().map(|(time, requests)| Row {
            latency_s: Some(*time),
            judged_requests: *requests,
            ..row("a", "storage")
        });
        rows.collect()
    }

    fn slow(times: &[(f64, f64)]) -> Vec<bool> {
        let mut rows = with_times(times);
        mark_slow(&mut rows);
        rows.iter().map(|row| row.slow).collect()
    }

    #[test]
    fn the_slow_one_is_marked() {
        assert_eq!(
            slow(&[(0.01, 50.0), (0.012, 50.0), (0.2, 50.0)]),
            [false, false, true]
        );
        // Three times next to nothing is next to nothing.
        assert_eq!(slow(&[(0.001, 50.0), (0.001, 50.0), (0.01, 50.0)]), [false; 3]);
        // A single slow request says nothing about a node.
        assert_eq!(
            slow(&[(0.01, 50.0), (0.01, 50.0), (0.01, 50.0), (2.0, 1.0)]),
            [false; 4]
        );
        // Of two, either could be the slow one.
        assert_eq!(slow(&[(0.01, 50.0), (2.0, 50.0)]), [false; 2]);
        assert_eq!(
            mark_slow(&mut with_times(&[(0.01, 50.0), (0.3, 50.0), (0.02, 50.0)])),
            Some(0.02)
        );
        assert_eq!(mark_slow(&mut []), None);
    }
}
