//! One request, seen as a trace: from HTTP through the gateway's actors, over the links, to the disks and the database of
//! other processes; at a collector that speaks OTLP, and in the logs of nodes that export nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message;
use truckee_tests::rig::{self, Cluster, Options, until};

use crate::program;

/// What a client's own tracing would send.
const CLIENT: &str = "00-5eed5eed5eed5eed5eed5eed5eed5eed-c11e47c11e47c11e-01";
const TRACE: &str = "5eed5eed5eed5eed5eed5eed5eed5eed";

/// A span as the collector got it.
#[derive(Clone, Debug)]
struct Seen {
    node: String,
    name: String,
    trace: String,
    id: Vec<u8>,
    parent: Vec<u8>,
    /// Of its attributes.
    words: BTreeMap<String, String>,
}

/// Takes spans over HTTP until the test ends.
struct Collector {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Collector {
    fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(stream, &kept));
            }
        });
        Collector { url, seen }
    }

    fn of_trace(&self, trace: &str) -> Vec<Seen> {
        let seen = self.seen.lock().expect("no panic under the lock");
        seen.iter().filter(|span| span.trace == trace).cloned().collect()
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = request(&mut reader) {
        assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        let export = ExportTraceServiceRequest::decode(&body[..]).expect("OTLP");
        kept.lock()
            .expect("no panic under the lock")
            .extend(spans(export));
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        if reader.get_mut().write_all(answer).is_err() {
            return;
        }
    }
}

/// Head in lower case but for its first line, and body; none at the end of the connection.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let before = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if before > 0 {
            let line = head.split_off(before).to_ascii_lowercase();
            head.push_str(&line);
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn spans(export: ExportTraceServiceRequest) -> Vec<Seen> {
    let mut seen = Vec::new();
    for of_node in export.resource_spans {
        let resource = words(&of_node.resource.expect("a resource").attributes);
        assert_eq!(resource["service.name"], "truckee");
        for span in of_node.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            assert!(
                span.end_time_unix_nano >= span.start_time_unix_nano,
                "{}",
                span.name
            );
            seen.push(Seen {
                node: resource["service.instance.id"].clone(),
                name: span.name,
                trace: span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect(),
                id: span.span_id,
                parent: span.parent_span_id,
                words: words(&span.attributes),
            });
        }
    }
    seen
}

fn words(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    attributes
        .iter()
        .map(|one| (one.key.clone(), text(one)))
        .collect()
}

/// A cluster of three peers that exports to the collector, but for one of them, which logs everything instead.
fn cluster(collector: &Collector) -> Cluster {
    let args = Vec::new();
    let mut cluster = Cluster::start_with(program(), &Options { peers: 3, args });
    cluster.reconfigure(|node| {
        Some(match node.name == QUIET {
            true => "[log]\nlevel = \"trace\"".to_owned(),
            false => format!("[trace]\notlp_endpoint = \"{}\"", collector.url),
        })
    });
    cluster
}

/// The peer without a collector.
const QUIET: &str = "storage-02";

/// Names from a span up to where its trace enters the cluster.
fn way_up(spans: &[Seen], from: &Seen) -> Vec<String> {
    let mut way = vec![from.name.clone()];
    let mut at = from;
    while let Some(above) = spans.iter().find(|span| span.id == at.parent) {
        way.push(above.name.clone());
        at = above;
    }
    way
}

#[test]
fn a_request_is_one_trace_down_to_the_disks_of_other_nodes() {
    let collector = Collector::start();
    let cluster = cluster(&collector);
    let http = cluster.http();
    let content = rig::bytes(1, 2_500_000);
    let stored = http.answer("PUT", "/uri", &[("traceparent", CLIENT)], &content);
    assert_eq!(stored.status, 200, "{}", stored.text());
    let cap = stored.text().trim().to_owned();
    let read = http.answer("GET", &format!("/uri/{cap}"), &[("traceparent", CLIENT)], b"");
    assert!(read.ok() == content);
    let made = http.answer("POST", "/uri?t=mkdir", &[("traceparent", CLIENT)], b"");
    assert_eq!(made.status, 200, "{}", made.text());
    let directory = made.text().trim().to_owned();
    let bad = http.answer("GET", "/uri/URI:nonsense", &[("traceparent", CLIENT)], b"");
    let request_id = bad
        .header("x-request-id")
        .expect("every answer has one")
        .to_owned();
    assert!(bad.text().contains(&request_id), "{}", bad.text());

    let wanted: BTreeSet<&str> = WAYS.iter().copied().collect();
    let serving = BTreeSet::from(["storage-01", "storage-03", "vdrive-01"]);
    // Each node sends its own in its own time.
    let spans = until(
        "all kinds of spans of all nodes have reached the collector",
        || {
            let spans = collector.of_trace(TRACE);
            let ways: BTreeSet<String> = spans
                .iter()
                .map(|span| way_up(&spans, span).join(" < "))
                .collect();
            let all = wanted.iter().all(|way| ways.contains(*way)) && served(&spans) == serving;
            all.then_some(spans)
        },
    );
    let call = spans
        .iter()
        .find(|span| span.name == "call")
        .expect("there are calls");
    assert_eq!(call.words["outcome"], "ok");
    nothing_secret(&spans, &[&cap, &directory]);
    logs_name_the_trace(&cluster, &request_id);
    assert!(cluster.metric("gateway", "truckee_trace_spans_total{outcome=\"exported\"}") > 0.0);
}

/// The nodes that served a request of another one.
fn served(spans: &[Seen]) -> BTreeSet<&str> {
    let serves = spans.iter().filter(|span| span.name == "serve");
    serves.map(|span| span.node.as_str()).collect()
}

/// Spans under which others must be found, from the deepest to that of the request.
const WAYS: [&str; 6] = [
    "disk < serve < call < upload < request",
    "disk < serve < call < download < request",
    "encode < upload < request",
    "decode < download < request",
    "transaction < serve < call < directory < request",
    "request",
];

fn nothing_secret(spans: &[Seen], caps: &[&str]) {
    let text = format!("{spans:?}");
    for cap in caps {
        for part in cap.split(':').filter(|part| part.len() > 15) {
            assert!(!text.contains(part), "a span tells a part of a cap");
        }
    }
    assert!(!text.contains("URI:") && !text.contains("nonsense"));
}

/// The gateway's log has request and trace together; a node without a collector names the trace too.
fn logs_name_the_trace(cluster: &Cluster, request_id: &str) {
    let log = |name: &str| std::fs::read_to_string(cluster.node(name).dir.join("log")).expect("a log");
    let gateway = log("gateway");
    let line = gateway
        .lines()
        .find(|line| line.contains(request_id) && line.contains("request ended"));
    let line = line.expect("the request stands in the log");
    assert_eq!(line.matches(TRACE).count(), 1, "{line}");
    assert!(log(QUIET).contains(TRACE), "{QUIET} served some of it");
}

#[test]
fn a_collector_that_is_away_costs_traces_and_nothing_else() {
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        format!("http://{}", listener.local_addr().expect("it is bound"))
    };
    let collector = Collector {
        url: gone,
        seen: Arc::default(),
    };
    let mut cluster = cluster(&collector);
    let http = cluster.http();
    let content = rig::bytes(2, 100_000);
    let cap = http.put(&content);
    assert!(http.get(&cap).ok() == content);
    until("failures are counted", || {
        let failed = cluster.metric("gateway", "truckee_trace_spans_total{outcome=\"failed\"}");
        (failed > 0.0).then_some(())
    });
    let log = std::fs::read_to_string(cluster.node("gateway").dir.join("log")).expect("a log");
    assert_eq!(
        log.matches("spans do not reach the collector").count(),
        1,
        "{log}"
    );
    assert!(cluster.down().success(), "and it stops in order");
}
