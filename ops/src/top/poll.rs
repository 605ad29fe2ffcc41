//! Asks the nodes: the only part of this command that uses the network and reads files.
//!
//! Owns whom to ask, how many at a time, and for how long to wait: a node that is frozen costs one wait of one thread,
//! and the others are asked meanwhile. What the answers mean stands in `seen` and `series`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use truckee_nodes::targets::FILE_NAME;

use super::seen::{Answer, Link, Node, Round, Silence, Told, from_gateway, merge, read_targets};
use super::series::{Sample, Series};
use super::text::{clean, span};
use crate::cli::TopArgs;
use crate::cluster::file::DEFAULT_DIR;
use crate::error::CliError;
use crate::http::Gateway;
use crate::parallel;

/// Nodes asked at the same time. Threads mostly wait; so many frozen nodes together delay a look by one wait.
const ASKED_AT_ONCE: usize = 32;

/// Longest file of targets: some ten thousand nodes.
const TARGETS_BYTES_MAX: u64 = 4 << 20;

/// Whom the watch asks.
pub(super) enum Source {
    /// Every node in these files, and the directory of the cluster if one of them is a cluster's.
    Files {
        files: Vec<PathBuf>,
        cluster: Option<PathBuf>,
    },
    /// A gateway, of itself and of its peers.
    Gateway(Box<Gateway>),
}

impl Source {
    /// Files and a cluster that are named count most, then a gateway that is named, then the cluster here, then the
    /// gateway that every command uses.
    ///
    /// # Errors
    /// When the gateway's address or token has no usable form.
    pub(super) fn of(args: &TopArgs) -> Result<Source, CliError> {
        let here = Path::new(DEFAULT_DIR);
        let named = args.cluster.is_some() || !args.targets.is_empty();
        let cluster = match &args.cluster {
            Some(dir) => Some(dir.clone()),
            None if named || args.client.gateway.is_some() => None,
            None => Some(here.to_owned()).filter(|dir| dir.join(FILE_NAME).exists()),
        };
        if !named && cluster.is_none() {
            return Ok(Source::Gateway(Box::new(Gateway::of(&args.client)?)));
        }
        let of_cluster = cluster.iter().map(|dir| dir.join(FILE_NAME));
        Ok(Source::Files {
            files: of_cluster.chain(args.targets.iter().cloned()).collect(),
            cluster,
        })
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        match self {
            Source::Files {
                files,
                cluster: Some(dir),
            } if files.len() == 1 => format!("cluster {}", dir.display()),
            Source::Files { files, .. } => format!("list {}", paths(files)),
            Source::Gateway(gateway) => format!("gateway {}", gateway.url()),
        }
    }

    fn list(&self) -> Result<Vec<Node>, CliError> {
        let Source::Files { files, cluster } = self else {
            return Ok(Vec::new());
        };
        if let Some(dir) = cluster.as_deref().filter(|dir| !dir.join(FILE_NAME).exists()) {
            return Err(CliError::Usage {
                what: "the cluster",
                value: dir.display().to_string(),
                hint: format!(
                    "none runs there; start it with `truckee up --dir {}`",
                    dir.display()
                ),
            });
        }
        let mut nodes = Vec::new();
        for path in files {
            nodes.extend(read_file(path)?);
        }
        let mut nodes = merge(nodes).map_err(|hint| CliError::Usage {
            what: "the list of nodes",
            value: paths(files),
            hint,
        })?;
        for node in &mut nodes {
            node.dir = cluster.as_deref().and_then(|cluster| dir_of(cluster, &node.name));
        }
        Ok(nodes)
    }
}

fn paths(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

fn read_file(path: &Path) -> Result<Vec<Node>, CliError> {
    let unusable = |hint: String| CliError::Usage {
        what: "the file of targets",
        value: path.display().to_string(),
        hint,
    };
    let size = std::fs::metadata(path)
        .map_err(CliError::file("read", path))?
        .len();
    if size > TARGETS_BYTES_MAX {
        return Err(unusable("it is too long to be one".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(CliError::file("read", path))?;
    read_targets(&text).map_err(unusable)
}

/// The directory of a node of a local cluster, if it is there.
fn dir_of(cluster: &Path, name: &str) -> Option<PathBuf> {
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return None;
    }
    let dir = cluster.join("nodes").join(name);
    dir.join("truckee.toml").is_file().then_some(dir)
}

/// Asks again and again.
pub(super) struct Poller {
    source: Source,
    /// How long a node may take to answer.
    within: Duration,
    began: Instant,
    /// Connections, by address.
    agents: BTreeMap<String, Gateway>,
    /// What was listed last.
    listed: Vec<Node>,
    /// What a gateway last told.
    told: Vec<(Node, Answer)>,
}

impl Poller {
    /// Begins a watch: sees that there is somebody to ask.
    ///
    /// # Errors
    /// When a file of targets cannot be read or lists nobody, or when the gateway cannot be reached.
    pub(super) fn new(source: Source, within: Duration) -> Result<Poller, CliError> {
        let mut poller = Poller {
            listed: source.list()?,
            source,
            within,
            began: Instant::now(),
            agents: BTreeMap::new(),
            told: Vec::new(),
        };
        match &poller.source {
            Source::Gateway(gateway) => poller.told = poller.ask_gateway(gateway)?,
            Source::Files { files, .. } if poller.listed.is_empty() => {
                return Err(CliError::Usage {
                    what: "the list of nodes",
                    value: paths(files),
                    hint:
                        "it is empty; start a cluster with `truckee up`, or name other files with --targets"
                            .into(),
                });
            }
            Source::Files { .. } => {}
        }
        Ok(poller)
    }

    /// When the watch began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Whom it asks, for people.
    pub(super) fn source_words(&self) -> String {
        self.source.words()
    }

    /// Asks everybody once. Whoever does not answer in time is silent; if the list of nodes cannot be read any more, the
    /// last one stands.
    pub(super) fn round(&mut self) -> Round {
        let (nodes, trouble) = match &self.source {
            Source::Gateway(gateway) => (self.by_gateway(gateway), None),
            Source::Files { .. } => {
                let listed = self.source.list();
                let trouble = match listed {
                    Ok(listed) => {
                        self.listed = listed;
                        None
                    }
                    Err(error) => Some(clean(&error.to_string())),
                };
                (self.by_node(), trouble)
            }
        };
        if matches!(self.source, Source::Gateway(_)) {
            self.told.clone_from(&nodes);
        }
        Round {
            at: self.began.elapsed(),
            unix_s: unix_s(),
            nodes,
            trouble,
        }
    }

    fn by_node(&mut self) -> Vec<(Node, Answer)> {
        self.agents
            .retain(|address, _| self.listed.iter().any(|node| node.address == *address));
        for node in &self.listed {
            if !self.agents.contains_key(&node.address)
                && let Ok(agent) = Gateway::at(&node.address)
            {
                self.agents
                    .insert(node.address.clone(), agent.within(self.within));
            }
        }
        let answers = Mutex::new(BTreeMap::new());
        let indices: Vec<usize> = (0..self.listed.len()).collect();
        parallel::for_each(ASKED_AT_ONCE, &indices, |index| {
            let address = &self.listed[*index].address;
            let answer = match self.agents.get(address) {
                Some(agent) => self.ask_node(agent),
                None => Answer::Silent(Silence::because(format!("{address} cannot be asked"))),
            };
            answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(*index, answer);
        });
        let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.listed.iter().cloned().zip(answers.into_values()).collect()
    }

    /// What the node itself says.
    fn ask_node(&self, agent: &Gateway) -> Answer {
        let page = match agent.page("/metrics") {
            Ok(page) => page,
            Err(error) => return Answer::Silent(self.silence(&error)),
        };
        let at = self.began.elapsed();
        match Sample::read(&page) {
            Err(error) => Answer::Silent(Silence::because(error.to_string())),
            Ok(sample) => {
                // Why it is not ready stands on another page, which is asked for only then.
                let not_ready = sample.value(Series::Ready) == Some(0.0);
                let unready = not_ready.then(|| agent.page("/readyz").err()).flatten();
                Answer::Page {
                    at,
                    sample: Box::new(sample),
                    unready: unready.map(|error| self.silence(&error).reason),
                }
            }
        }
    }

    fn ask_gateway(&self, gateway: &Gateway) -> Result<Vec<(Node, Answer)>, CliError> {
        let gateway = gateway.clone().within(self.within);
        let welcome = gateway.json("/?t=json")?;
        if !welcome["truckee"].is_object() {
            return Err(gateway.odd("a page that does not speak of peers"));
        }
        // An older gateway does not have it; then less is known of its peers.
        let storage = gateway.json("/storage?t=json").unwrap_or(Value::Null);
        Ok(from_gateway(&welcome, &storage, self.ask_node(&gateway)))
    }

    /// What the gateway says of itself and others; if it says nothing, of its peers nothing is known.
    fn by_gateway(&self, gateway: &Gateway) -> Vec<(Node, Answer)> {
        let error = match self.ask_gateway(gateway) {
            Ok(nodes) => return nodes,
            Err(error) => self.silence(&error),
        };
        let unknown = |answer: &Answer| match answer {
            Answer::Told(told) => Answer::Told(Told {
                link: Link::Unknown,
                failure: Some("the gateway does not answer".to_owned()),
                ..told.clone()
            }),
            _ => Answer::Silent(error.clone()),
        };
        self.told
            .iter()
            .map(|(node, answer)| (node.clone(), unknown(answer)))
            .collect()
    }

    /// Why somebody did not answer, in a few words.
    fn silence(&self, error: &CliError) -> Silence {
        let (hangs, reason) = match error {
            CliError::Unreachable { reason, .. } if reason.starts_with("timeout") => {
                (true, format!("no answer within {}", span(self.within)))
            }
            CliError::Unreachable { reason, .. } if reason.contains("onnection refused") => {
                (false, "connection refused".to_owned())
            }
            CliError::Unreachable { reason, .. } => {
                (false, reason.strip_prefix("io: ").unwrap_or(reason).to_owned())
            }
            CliError::Status {
                status: 503,
                sentence,
                ..
            } => (false, sentence.clone()),
            other => (false, other.to_string()),
        };
        Silence {
            reason: clean(&reason),
            hangs,
        }
    }
}

fn unix_s() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
