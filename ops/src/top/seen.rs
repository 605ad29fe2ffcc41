//! What one look at a grid brought: the nodes that there are, and what each answered or what a gateway said of it.
//!
//! Owns the reading of `targets.json` in the form of Prometheus's file discovery, and of a gateway's `/?t=json` and
//! `/storage?t=json`, tolerant of fields that are missing. It asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::series::Sample;
use super::text::clean;

/// Most nodes that are watched: each has a history of some ten thousand numbers, and a row that somebody has to read.
pub(super) const NODES_MAX: usize = 512;

/// A node as whoever named it describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// Name for people, unique within one look.
    pub(super) name: String,
    /// What it does, with commas.
    pub(super) roles: String,
    /// Its failure domain; empty without one.
    pub(super) zone: String,
    /// Where it answers, or where peers reach it.
    pub(super) address: String,
    /// Its directory on this machine, if it has one here.
    pub(super) dir: Option<PathBuf>,
}

impl Node {
    /// Whether it has the role.
    pub(super) fn is(&self, role: &str) -> bool {
        self.roles.split(',').any(|own| own.trim() == role)
    }
}

/// Whether a gateway has a link to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Up.
    Up,
    /// Being made or ended: for the moment nothing goes through it.
    Changing,
    /// Given up for a while.
    Gone,
    /// Not asked for, or nobody could tell.
    Unknown,
}

/// What a gateway said of a peer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) link: Link,
    /// Why the link is not up, if somebody said.
    pub(super) failure: Option<String>,
    pub(super) shares: Option<f64>,
    pub(super) used_bytes: Option<f64>,
    pub(super) free_bytes: Option<f64>,
    pub(super) trip_s: Option<f64>,
    pub(super) uptime_s: Option<f64>,
    pub(super) version: String,
}

/// What came of asking about a node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// Its metrics, when they came, and why it is not ready if it said so.
    Page {
        at: Duration,
        sample: Box<Sample>,
        unready: Option<String>,
    },
    /// A gateway spoke of it.
    Told(Told),
    /// It did not answer.
    Silent(Silence),
}

/// Why a node did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    /// For people.
    pub(super) reason: String,
    /// Whether something is there that says nothing: a frozen process, a machine without power, a lost cable.
    pub(super) hangs: bool,
}

impl Silence {
    /// For a reason that is no silence.
    pub(super) fn because(reason: impl Into<String>) -> Silence {
        Silence {
            reason: reason.into(),
            hangs: false,
        }
    }
}

/// One look at a grid.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Round {
    /// When it ended, since the watch began.
    pub(super) at: Duration,
    /// When it ended, in seconds since 1970.
    pub(super) unix_s: f64,
    /// Every node, once.
    pub(super) nodes: Vec<(Node, Answer)>,
    /// Why the list of nodes is an old one, if it is.
    pub(super) trouble: Option<String>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The nodes that a file of targets lists.
///
/// # Errors
/// What the file has that is not of that form.
pub(super) fn read_targets(text: &str) -> Result<Vec<Node>, String> {
    let groups: Vec<Group> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut nodes = Vec::new();
    for group in groups {
        let label = |name: &str| clean(group.labels.get(name).map_or("", String::as_str));
        for address in &group.targets {
            let (host, port) = address.rsplit_once(':').unwrap_or_default();
            if host.is_empty() || port.parse::<u16>().is_err() || host.contains(['/', '@', '?', '#', ' ']) {
                return Err(format!("{:?} is no HOST:PORT", clean(address)));
            }
            let name = label("node");
            nodes.push(Node {
                name: if name.is_empty() { clean(address) } else { name },
                roles: label("node_roles"),
                zone: label("zone"),
                address: clean(address),
                dir: None,
            });
        }
    }
    Ok(nodes)
}

/// The nodes of all lists, each address once, with names that are told apart.
///
/// # Errors
/// When there are too many.
pub(super) fn merge(lists: impl IntoIterator<Item = Node>) -> Result<Vec<Node>, String> {
    let mut addresses = BTreeSet::new();
    let mut nodes: Vec<Node> = Vec::new();
    for node in lists {
        if addresses.insert(node.address.clone()) {
            nodes.push(node);
        }
    }
    if nodes.len() > NODES_MAX {
        return Err(format!(
            "{} nodes are listed, and at most {NODES_MAX} can be watched",
            nodes.len()
        ));
    }
    let mut names = BTreeMap::new();
    for node in &nodes {
        *names.entry(node.name.clone()).or_insert(0) += 1;
    }
    for node in nodes.iter_mut().filter(|node| names[&node.name] > 1) {
        node.name = format!("{} ({})", node.name, node.address);
    }
    Ok(nodes)
}

/// A gateway and all its peers, as the gateway tells in `/?t=json` and `/storage?t=json`; the answer of the gateway
/// itself is `own`.
pub(super) fn from_gateway(welcome: &Value, storage: &Value, own: Answer) -> Vec<(Node, Answer)> {
    let truckee = &welcome["truckee"];
    let text = |value: &Value| clean(value.as_str().unwrap_or_default());
    let rows = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let spaces: BTreeMap<String, Value> = rows(&storage["truckee"]["peers"])
        .into_iter()
        .map(|row| (text(&row["node_id"]), row))
        .collect();
    let gateway = Node {
        name: text(&truckee["nickname"]),
        roles: roles(&truckee["roles"]),
        ..Node::default()
    };
    let mut nodes = vec![(gateway, own)];
    for peer in rows(&truckee["peers"]) {
        let id = text(&peer["node_id"]);
        if peer["state"] == "own" {
            nodes[0].0.address = text(&peer["address"]);
            continue;
        }
        let space = spaces.get(&id).unwrap_or(&Value::Null);
        let node = Node {
            name: text(&peer["nickname"]),
            roles: roles(&peer["roles"]),
            zone: text(&peer["zone"]),
            address: text(&peer["address"]),
            dir: None,
        };
        nodes.push((node, Answer::Told(told(&peer, space))));
        if nodes.len() == NODES_MAX {
            break;
        }
    }
    name_apart(&mut nodes);
    nodes
}

fn roles(value: &Value) -> String {
    let roles = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let words: Vec<&str> = roles.iter().filter_map(Value::as_str).collect();
    clean(&words.join(","))
}

fn told(peer: &Value, space: &Value) -> Told {
    let failure = peer["last_failure"].as_str().map(clean);
    let available = || peer["available_bytes"].as_f64();
    Told {
        link: match peer["state"].as_str() {
            Some("up") => Link::Up,
            Some("dialing" | "draining") => Link::Changing,
            Some("backoff") => Link::Gone,
            _ => Link::Unknown,
        },
        failure,
        shares: space["share_count"].as_f64(),
        used_bytes: space["used_bytes"].as_f64(),
        free_bytes: space["available_bytes"].as_f64().or_else(available),
        trip_s: peer["round_trip_s"].as_f64(),
        uptime_s: space["uptime_s"].as_f64(),
        version: clean(peer["software"].as_str().unwrap_or_default()),
    }
}

/// Gives names that several have, or that are empty, a number behind them.
fn name_apart(nodes: &mut [(Node, Answer)]) {
    let mut taken = BTreeSet::new();
    for (node, _) in nodes {
        let name = if node.name.is_empty() { "node" } else { &node.name };
        let numbered = (2..).map(|number| format!("{name} ({number})"));
        let free = std::iter::once(name.to_owned())
            .chain(numbered)
            .find(|name| !taken.contains(name));
        node.name = free.unwrap_or_default();
        taken.insert(node.name.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn targets_are_read_as_prometheus_reads_them() {
        let text = json!([
            { "targets": ["127.0.0.1:1"], "labels": { "node": "storage-01", "zone": "none", "node_roles": "storage" } },
            { "targets": ["[::1]:2", "mesh.example:3"], "labels": { "node": "two", "something": "else" } },
            { "targets": ["10.0.0.1:4"] },
            { "targets": [], "labels": { "node": "without metrics" } },
        ]);
        let nodes = merge(read_targets(&text.to_string()).unwrap()).unwrap();
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "storage-01",
                "two ([::1]:2)",
                "two (mesh.example:3)",
                "10.0.0.1:4"
            ]
        );
        assert!(nodes[0].is("storage") && !nodes[0].is("gateway"));
    }

    #[test]
    fn other_files_are_refused() {
        for bad in [
            "",
            "{}",
            "[3]",
            r#"[{"targets": 1}]"#,
            r#"[{"targets": ["x"]}]"#,
            r#"[{"targets": ["http://x/:1"]}]"#,
        ] {
            assert!(read_targets(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_are_merged_and_bounded() {
        let node = |port: usize| Node {
            name: format!("node-{port}"),
            address: format!("127.0.0.1:{port}"),
            ..Node::default()
        };
        assert_eq!(merge([node(1), node(2), node(1)]).unwrap().len(), 2);
        assert_eq!(merge((0..NODES_MAX).map(node)).unwrap().len(), NODES_MAX);
        assert!(merge((0..=NODES_MAX).map(node)).is_err());
    }

    #[test]
    fn a_gateway_tells_of_its_peers() {
        let welcome = json!({ "truckee": {
            "nickname": "gateway", "roles": ["gateway"],
            "peers": [
                { "node_id": "g", "nickname": "gateway", "roles": ["gateway"], "state": "own", "address": "127.0.0.1:9" },
                { "node_id": "a", "nickname": "one", "roles": ["storage"], "zone": "east", "state": "up",
                  "round_trip_s": 0.002, "available_bytes": 10, "software": "truckee/0.1.0" },
                { "node_id": "b", "nickname": "one", "roles": ["storage"], "state": "backoff", "last_failure": "unreachable" },
                { "node_id": "c", "nickname": "\u{1b}[2Jthree", "roles": ["vdrive"], "state": "idle" },
            ],
        }});
        let storage = json!({ "truckee": { "peers": [
            { "node_id": "a", "share_count": 7, "used_bytes": 100, "available_bytes": 900, "uptime_s": 60 },
        ]}});
        let nodes = from_gateway(&welcome, &storage, Answer::Silent(Silence::because("x")));
        let names: Vec<&str> = nodes.iter().map(|(node, _)| node.name.as_str()).collect();
        assert_eq!(names, ["gateway", "one", "one (2)", "[2Jthree"]);
        assert_eq!(nodes[0].0.address, "127.0.0.1:9");
        let told = |index: usize| match &nodes[index].1 {
            Answer::Told(told) => told.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(told(1).link, Link::Up);
        assert_eq!(told(1).free_bytes, Some(900.0));
        assert_eq!(told(1).shares, Some(7.0));
        assert_eq!(told(2).link, Link::Gone);
        assert_eq!(told(2).failure.as_deref(), Some("unreachable"));
        assert_eq!(told(3).link, Link::Unknown);
        // An answer that lacks everything is no reason to fall over.
        assert_eq!(
            from_gateway(&json!(3), &json!(null), Answer::Silent(Silence::because("x")))[0]
                .0
                .name,
            "node"
        );
    }
}
