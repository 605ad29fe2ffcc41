//! What is read of a node's metrics, in two tables: numbers, and distributions of times.
//!
//! Owns which metrics and which values of their labels this command knows. Names are the constants that nodes count
//! under; a test sees to it that each has the labels that are asked for. A [`Sample`] is one page, reduced to these.

use truckee_actors::metrics as names;

use super::exposition::{self, Line, Malformed};
use super::text::clean;

/// Which of a metric's series count: their sum is the number.
#[derive(Clone, Copy, Debug)]
enum Pick {
    All,
    /// Those whose label has one of these values.
    Only(&'static str, &'static [&'static str]),
    /// All but those.
    Except(&'static str, &'static [&'static str]),
}

impl Pick {
    fn takes(self, line: &Line<'_>) -> bool {
        let among = |label, values: &[&str]| line.label(label).is_some_and(|value| values.contains(&value));
        match self {
            Pick::All => true,
            Pick::Only(label, values) => among(label, values),
            Pick::Except(label, values) => !among(label, values),
        }
    }
}

struct Read {
    metric: &'static str,
    pick: Pick,
}

macro_rules! table {
    ($(#[$about:meta])* $kind:ident, $rows:ident: $($(#[$doc:meta])* $name:ident = $metric:ident $(, $pick:ident($label:literal, $values:expr))?;)*) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $kind { $($(#[$doc])* $name),* }

        impl $kind {
            /// All of them, in order.
            pub(super) const EVERY: &[$kind] = &[$($kind::$name),*];
        }

        const $rows: &[Read] = &[$(Read { metric: names::$metric, pick: table!(@pick $($pick($label, $values))?) }),*];
    };
    (@pick) => { Pick::All };
    (@pick $pick:ident($label:literal, $values:expr)) => { Pick::$pick($label, $values) };
}

/// Ends of uploads that are failures of the grid and not the client's own doing, as the recording rules have them.
const UPLOAD_FAILURES: &[&str] = &["not_happy", "encode", "internal", "stopping"];

/// The same of downloads.
const DOWNLOAD_FAILURES: &[&str] = &[
    "too_few_shares",
    "inconsistent",
    "overloaded",
    "internal",
    "stopping",
];

/// What watchers ask all the time, this command included.
const PROBES: &[&str] = &["/metrics", "/healthz", "/readyz"];

/// What peers ask all the time, and what costs nothing to answer.
const CHEAP: &[&str] = &["get_status"];

table! {
    /// A number of a node.
    Series, SERIES:
    Ready = NODE_READY;
    Start = NODE_START_SECONDS;
    Memory = PROCESS_MEMORY_BYTES;
    Cpu = PROCESS_CPU_SECONDS;
    OpenFiles = PROCESS_OPEN_FILES;
    OpenFilesMax = PROCESS_OPEN_FILES_MAX;
    DiskSize = NODE_DISK_BYTES;
    DiskFree = NODE_DISK_FREE_BYTES;
    Restarts = ACTOR_RESTARTS;
    Escalations = ACTOR_ESCALATIONS;
    Unresponsive = ACTOR_UNRESPONSIVE;
    CodecFallback = CODEC_FALLBACK;
    Refused = LINK_REFUSED;
    LinkIn = LINK_RECEIVED_BYTES;
    LinkOut = LINK_SENT_BYTES;
    Served = LINK_SERVED;
    StorageMembers = MEMBERSHIP_MEMBERS, Only("role", &["storage"]);
    GatewayMembers = MEMBERSHIP_MEMBERS, Only("role", &["gateway"]);
    VdriveMembers = MEMBERSHIP_MEMBERS, Only("role", &["vdrive"]);
    IntroducerMembers = MEMBERSHIP_MEMBERS, Only("role", &["introducer"]);
    GrantExpires = MEMBERSHIP_GRANT_EXPIRES_SECONDS;
    IntroducersUp = MEMBERSHIP_INTRODUCERS_UP;
    Shares = STORE_SHARES;
    Used = STORE_USED_BYTES;
    Available = STORE_AVAILABLE_BYTES;
    DiskErrors = STORE_DISK_ERRORS;
    CorruptShares = STORE_CORRUPT;
    Scrubbed = STORE_SCRUBBED_BYTES;
    FilesShort = HEAL_FILES, Only("state", &["short"]);
    FilesUnreadable = HEAL_FILES, Only("state", &["unreadable"]);
    DatabaseUp = VDRIVE_DATABASE_UP;
    Needed = GATEWAY_SHARES_NEEDED;
    Made = GATEWAY_SHARES_MADE;
    Happy = GATEWAY_PEERS_HAPPY;
    UploadsActive = UPLOAD_ACTIVE;
    UploadsDone = UPLOAD_FINISHED, Only("outcome", &["completed"]);
    UploadsFailed = UPLOAD_FINISHED, Only("outcome", UPLOAD_FAILURES);
    UploadBytes = UPLOAD_PLAINTEXT_BYTES;
    SharesMissing = UPLOAD_SHARES_MISSING;
    DownloadsActive = DOWNLOAD_ACTIVE;
    DownloadsDone = DOWNLOAD_FINISHED, Only("outcome", &["completed"]);
    DownloadsFailed = DOWNLOAD_FINISHED, Only("outcome", DOWNLOAD_FAILURES);
    DownloadBytes = DOWNLOAD_PLAINTEXT_BYTES;
    Hedges = DOWNLOAD_HEDGES;
    CorruptBlocks = DOWNLOAD_CORRUPT;
    CheckCorrupt = CHECK_CORRUPT;
    DriveChanges = DRIVE_CHANGES;
    Distrusted = DRIVE_DISTRUSTED;
    HttpRequests = HTTP_REQUESTS, Except("route", PROBES);
}

table! {
    /// A distribution of times of a node, in seconds.
    Timing, TIMINGS:
    Store = STORE_REQUEST_SECONDS, Except("request", CHEAP);
    Trip = LINK_ROUND_TRIP_SECONDS;
    Lag = RUNTIME_LAG_SECONDS;
}

/// The metric that names what runs, and its labels.
const INFO: (&str, &str, &str) = (names::NODE_INFO, "version", "roles");

/// Most buckets of a distribution; nodes have sixteen.
const BUCKETS_MAX: usize = 64;

impl Series {
    fn read(self) -> &'static Read {
        &SERIES[self as usize]
    }

    /// Whether it only grows while a process lives.
    pub(super) fn is_counter(self) -> bool {
        self.read().metric.ends_with("_total")
    }
}

/// A distribution since the start of a process: buckets hold all observations up to their bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Distribution {
    pub(super) sum: f64,
    pub(super) count: f64,
    /// Upper bounds, growing, and counts.
    pub(super) buckets: Vec<(f64, f64)>,
}

impl Distribution {
    fn add(&mut self, part: Part, line: &Line<'_>) {
        match part {
            Part::Sum => self.sum += line.value,
            Part::Count => self.count += line.value,
            Part::Bucket => {
                let Some(bound) = line.label("le").and_then(|le| le.parse::<f64>().ok()) else {
                    return;
                };
                match self.buckets.binary_search_by(|(at, _)| at.total_cmp(&bound)) {
                    Ok(index) => self.buckets[index].1 += line.value,
                    Err(index) if self.buckets.len() < BUCKETS_MAX => {
                        self.buckets.insert(index, (bound, line.value));
                    }
                    Err(_) => {}
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Part {
    Sum,
    Count,
    Bucket,
}

/// One page of a node, reduced to what is known here.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    values: [Option<f64>; SERIES.len()],
    timings: [Distribution; TIMINGS.len()],
    /// What runs, as the node says; empty if it does not.
    pub(super) version: String,
    /// Its roles with commas, as the node says; empty if it does not.
    pub(super) roles: String,
}

impl Default for Sample {
    fn default() -> Sample {
        Sample {
            values: [None; SERIES.len()],
            timings: std::array::from_fn(|_| Distribution::default()),
            version: String::new(),
            roles: String::new(),
        }
    }
}

impl Sample {
    /// Reads a page. Values that are no finite number, and counters below zero, are left out.
    ///
    /// # Errors
    /// When the page is not in the text format of Prometheus.
    pub(super) fn read(page: &str) -> Result<Sample, Malformed> {
        let mut sample = Sample::default();
        exposition::read(page, |line| sample.take(&line))?;
        Ok(sample)
    }

    fn take(&mut self, line: &Line<'_>) {
        if !line.value.is_finite() || (line.name.ends_with("_total") && line.value < 0.0) {
            return;
        }
        for (value, read) in self.values.iter_mut().zip(SERIES) {
            if read.metric == line.name && read.pick.takes(line) {
                *value.get_or_insert(0.0) += line.value;
            }
        }
        for (timing, read) in self.timings.iter_mut().zip(TIMINGS) {
            if let Some(part) = part_of(line.name, read.metric).filter(|_| read.pick.takes(line)) {
                timing.add(part, line);
            }
        }
        if line.name == INFO.0 {
            self.version = clean(line.label(INFO.1).unwrap_or_default());
            self.roles = clean(line.label(INFO.2).unwrap_or_default());
        }
    }

    /// A number, if the node has it.
    pub(super) fn value(&self, series: Series) -> Option<f64> {
        self.values[series as usize]
    }

    /// A distribution, empty if the node has none.
    pub(super) fn timing(&self, timing: Timing) -> &Distribution {
        &self.timings[timing as usize]
    }

    #[cfg(test)]
    pub(super) fn set(&mut self, series: Series, value: f64) {
        self.values[series as usize] = Some(value);
    }

    #[cfg(test)]
    pub(super) fn set_timing(&mut self, timing: Timing, distribution: Distribution) {
        self.timings[timing as usize] = distribution;
    }
}

/// Which part of the distribution `metric` a series of this name is.
fn part_of(name: &str, metric: &str) -> Option<Part> {
    match name.strip_prefix(metric)? {
        "_sum" => Some(Part::Sum),
        "_count" => Some(Part::Count),
        "_bucket" => Some(Part::Bucket),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use names::{ALL, Kind, Metric};

    use super::*;

    fn metric(name: &str) -> &'static Metric {
        let found = ALL.iter().find(|metric| metric.name == name);
        found.unwrap_or_else(|| panic!("no metric {name}"))
    }

    #[test]
    fn every_metric_that_is_read_exists_with_its_labels() {
        for (read, is_timing) in SERIES
            .iter()
            .map(|read| (read, false))
            .chain(TIMINGS.iter().map(|read| (read, true)))
        {
            let metric = metric(read.metric);
            assert_eq!(metric.kind == Kind::Histogram, is_timing, "{}", read.metric);
            if let Pick::Only(label, values) | Pick::Except(label, values) = read.pick {
                assert!(metric.labels.contains(&label), "{} has no {label}", read.metric);
                assert!(!values.is_empty(), "{}", read.metric);
            }
        }
        for label in [INFO.1, INFO.2] {
            assert!(metric(INFO.0).labels.contains(&label), "{label}");
        }
        for series in Series::EVERY {
            let kind = metric(series.read().metric).kind;
            assert_eq!(series.is_counter(), kind == Kind::Counter, "{series:?}");
        }
    }

    #[test]
    fn failures_are_those_of_the_recording_rules() {
        let rules = include_str!("../../prometheus/rules/recording.yml");
        for failures in [UPLOAD_FAILURES, DOWNLOAD_FAILURES] {
            let list = format!("outcome=~\"{}\"", failures.join("|"));
            assert!(rules.contains(&list), "{list}");
        }
    }

    #[test]
    fn series_are_summed_over_the_labels_that_count() {
        let page = "truckee_upload_finished_total{outcome=\"completed\"} 5\n\
                    truckee_upload_finished_total{outcome=\"not_happy\"} 2\n\
                    truckee_upload_finished_total{outcome=\"internal\"} 1\n\
                    truckee_upload_finished_total{outcome=\"client_gone\"} 9\n\
                    truckee_http_requests_total{route=\"/metrics\",method=\"GET\",status=\"2xx\"} 100\n\
                    truckee_http_requests_total{route=\"/uri\",method=\"GET\",status=\"2xx\"} 3\n\
                    truckee_http_requests_total{route=\"/uri\",method=\"PUT\",status=\"2xx\"} 4\n\
                    truckee_something_new{x=\"y\"} 4\n\
                    truckee_node_info{version=\"truckee/0.1.0\",roles=\"storage,gateway\"} 1\n\
                    truckee_store_shares NaN\n\
                    truckee_link_sent_bytes_total -1\n";
        let sample = Sample::read(page).unwrap();
        assert_eq!(sample.value(Series::UploadsDone), Some(5.0));
        assert_eq!(sample.value(Series::UploadsFailed), Some(3.0));
        assert_eq!(sample.value(Series::HttpRequests), Some(7.0));
        assert_eq!(sample.value(Series::Shares), None);
        assert_eq!(sample.value(Series::LinkOut), None);
        assert_eq!(sample.version, "truckee/0.1.0");
        assert_eq!(sample.roles, "storage,gateway");
    }

    #[test]
    fn distributions_are_summed_without_the_cheap_requests() {
        let mut page = String::new();
        for (request, count) in [("write_block", 4), ("close_share", 2), ("get_status", 100)] {
            page += &format!(
                "truckee_store_request_seconds_bucket{{request=\"{request}\",le=\"0.01\"}} {}\n\
                 truckee_store_request_seconds_bucket{{request=\"{request}\",le=\"+Inf\"}} {count}\n\
                 truckee_store_request_seconds_sum{{request=\"{request}\"}} {count}.5\n\
                 truckee_store_request_seconds_count{{request=\"{request}\"}} {count}\n",
                count / 2
            );
        }
        let sample = Sample::read(&page).unwrap();
        let store = sample.timing(Timing::Store);
        assert_eq!((store.sum, store.count), (7.0, 6.0));
        assert_eq!(store.buckets, [(0.01, 3.0), (f64::INFINITY, 6.0)]);
        assert_eq!(sample.timing(Timing::Lag), &Distribution::default());
    }

    #[test]
    fn buckets_are_bounded() {
        let page: String = (0..1000)
            .map(|le| format!("truckee_runtime_lag_seconds_bucket{{loop=\"mesh\",le=\"{le}\"}} 1\n"))
            .collect();
        let sample = Sample::read(&page).unwrap();
        assert_eq!(sample.timing(Timing::Lag).buckets.len(), BUCKETS_MAX);
    }
}
