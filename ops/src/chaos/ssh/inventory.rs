//! The inventory of a grid on other machines: a file that says which nodes there are and how each is reached.
//!
//! Owns the form of the file and checks all of it before anything is done: every problem is one sentence with the file, the
//! line and the key. An inventory that exists is well formed; whether it is true shows when the nodes are looked at.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::shape::Means;
use super::control::Control;
use super::keys::{Keys, Problems};
use crate::error::CliError;

/// Some lines for each node; a megabyte of it is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Most nodes.
const NODES_MAX: usize = 256;

/// The wire's bound for nicknames.
const NAME_BYTES_MAX: usize = 64;

/// Most options of `ssh` for one node.
const OPTIONS_MAX: usize = 32;

/// What a node can do.
const ROLES: [&str; 4] = ["introducer", "vdrive", "storage", "gateway"];

/// Options of `ssh` that this program sets itself, or that have a key of their own, in lower case.
const OPTIONS_OF_OURS: [&str; 6] = [
    "batchmode",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "port",
    "identityfile",
];

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inventory {
    pub(super) path: PathBuf,
    /// Address of the gateway that the clients use.
    pub(crate) gateway: String,
    pub(super) posts: Vec<Post>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Post {
    /// Its nickname.
    pub(super) name: String,
    pub(super) roles: Vec<String>,
    pub(super) door: Door,
    pub(super) disk: Option<Disk>,
    /// Whether its shares may be taken away.
    pub(super) may_wipe: bool,
    /// Where its metrics are served, as seen from here.
    pub(super) metrics: Option<String>,
    pub(super) control: Control,
}

/// How `ssh` reaches a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Door {
    /// `user@host`, or a host of the configuration of `ssh`.
    pub(super) destination: String,
    pub(super) port: Option<u16>,
    /// File with the key.
    pub(super) identity: Option<String>,
    /// Further options as `Key=value`.
    pub(super) options: Vec<String>,
}

/// Where a node keeps its shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    /// The node's directory there.
    pub(super) dir: String,
    /// User as whom its files are touched, by `sudo`; none: the account itself.
    pub(super) files_as: Option<String>,
}

impl Post {
    pub(super) fn is_peer(&self) -> bool {
        self.roles.iter().any(|role| role == "storage")
    }
}

impl Inventory {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Inventory, CliError> {
        let file = File::open(path).map_err(CliError::file("read", path))?;
        let mut text = String::new();
        let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
        let bytes = read.map_err(CliError::file("read", path))?;
        if bytes as u64 > FILE_BYTES_MAX {
            let sentences = format!(
                "{}: is longer than {FILE_BYTES_MAX} bytes, which no inventory is",
                path.display()
            );
            return Err(CliError::Inventory { sentences });
        }
        Inventory::parse(path, &text).map_err(|sentences| CliError::Inventory { sentences })
    }

    fn parse(path: &Path, text: &str) -> Result<Inventory, String> {
        let mut problems = Problems::new(path, text);
        let document = problems.parse();
        let mut top = Keys::top(&document);
        let gateway = top.needed(&mut problems, "gateway").unwrap_or_default();
        let nodes = top.tables(&mut problems, "node");
        if nodes.is_empty() || nodes.len() > NODES_MAX {
            let what = format!("there must be 1 to {NODES_MAX} nodes, each begun with [[node]]");
            top.wrong(&mut problems, "node", &what);
        }
        let mut posts: Vec<Post> = Vec::new();
        for mut keys in nodes.into_iter().take(NODES_MAX) {
            if let Some(post) = read_post(&mut keys, &mut problems) {
                tell_doubles(&posts, &post, &mut keys, &mut problems);
                posts.push(post);
            }
            keys.finish(&mut problems);
        }
        top.finish(&mut problems);
        match problems.sentences() {
            Some(sentences) => Err(sentences),
            None => Ok(Inventory {
                path: path.to_owned(),
                gateway,
                posts,
            }),
        }
    }

    /// What can be done to this grid, and why something cannot.
    pub(crate) fn means(&self) -> Means {
        let named = |is: fn(&Post) -> bool| {
            let posts = self.posts.iter().filter(|post| post.is_peer() && is(post));
            posts.map(|post| post.name.clone()).collect()
        };
        Means {
            no_links: Some("links between nodes are out of reach over ssh".to_owned()),
            no_small_disks: Some("disks of machines that others use are not filled".to_owned()),
            no_clocks: Some("clocks of machines that others use are not set wrong".to_owned()),
            small_disks: Vec::new(),
            unharmed: named(|post| post.disk.is_none()),
            unwiped: named(|post| post.disk.is_none() || !post.may_wipe),
            why_spared: Some(
                "the inventory gives no peer for it: damage takes its `dir`, a wipe `may_wipe = true` too"
                    .to_owned(),
            ),
        }
    }
}

/// One node; none if something is wrong with it, which is told.
fn read_post<'i>(keys: &mut Keys<'_, 'i>, problems: &mut Problems<'i>) -> Option<Post> {
    let name = keys.needed(problems, "name");
    if name.as_ref().is_some_and(|name| name.len() > NAME_BYTES_MAX) {
        let what = format!("must not be longer than {NAME_BYTES_MAX} bytes: it is the nickname of the node");
        keys.wrong(problems, "name", &what);
    }
    let roles = keys.needed_texts(problems, "roles", ROLES.len());
    if let Some(odd) = roles.iter().find(|role| !ROLES.contains(&role.as_str())) {
        let what = format!("{odd:?} is no role; those are {}", ROLES.join(", "));
        keys.wrong(problems, "roles", &what);
    }
    let door = read_door(keys, problems);
    let dir = keys.text(problems, "dir");
    if dir.as_ref().is_some_and(|dir| !dir.starts_with('/')) {
        keys.wrong(
            problems,
            "dir",
            "must be a path from the root, such as \"/var/lib/truckee\"",
        );
    }
    let files_as = keys.text(problems, "files_as");
    if files_as.as_ref().is_some_and(|user| user.starts_with('-')) {
        keys.wrong(problems, "files_as", "must be the name of a user");
    }
    let may_wipe = keys.flag(problems, "may_wipe");
    for (key, given) in [("files_as", files_as.is_some()), ("may_wipe", may_wipe)] {
        if given && !keys.has(problems, "dir") {
            keys.wrong(problems, key, "is of no use without dir");
        }
    }
    let metrics = keys.text(problems, "metrics");
    let control = Control::read(keys, problems);
    Some(Post {
        name: name?,
        roles,
        door: door?,
        disk: dir.map(|dir| Disk { dir, files_as }),
        may_wipe,
        metrics,
        control: control?,
    })
}

fn read_door<'i>(keys: &mut Keys<'_, 'i>, problems: &mut Problems<'i>) -> Option<Door> {
    let destination = keys.needed(problems, "ssh");
    let odd = |text: &String| text.starts_with('-') || text.contains(char::is_whitespace);
    if destination.as_ref().is_some_and(odd) {
        keys.wrong(problems, "ssh", "must be user@host, or a Host of ~/.ssh/config");
    }
    let port = keys.port(problems, "port");
    let identity = keys.text(problems, "identity");
    let options = keys.texts(problems, "options", OPTIONS_MAX).unwrap_or_default();
    for option in &options {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        if key.is_empty() || value.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric()) {
            let what = format!("{option:?} must be of the form \"ProxyJump=gate.example.org\"");
            keys.wrong(problems, "options", &what);
        } else if OPTIONS_OF_OURS.contains(&key.to_ascii_lowercase().as_str()) {
            let what =
                format!("{key} cannot be given here: truckee sets it itself, or it has a key of its own");
            keys.wrong(problems, "options", &what);
        }
    }
    Some(Door {
        destination: destination?,
        port,
        identity,
        options,
    })
}

/// Two nodes must not be one: who hits the second would hit the first again.
fn tell_doubles<'i>(before: &[Post], post: &Post, keys: &mut Keys<'_, 'i>, problems: &mut Problems<'i>) {
    let same_door = |other: &&Post| {
        (&other.door.destination, other.door.port) == (&post.door.destination, post.door.port)
    };
    if before.iter().any(|other| other.name == post.name) {
        let what = format!("{:?} is the name of a node above", post.name);
        keys.wrong(problems, "name", &what);
    }
    let mut there = before.iter().filter(same_door);
    if let Some(other) = there.clone().find(|other| other.control == post.control) {
        let what = format!("{} above is controlled by the same there", other.name);
        keys.wrong_here(problems, &what);
    }
    let dir = post.disk.as_ref().map(|disk| &disk.dir);
    let same_dir = |other: &&Post| dir.is_some() && other.disk.as_ref().map(|disk| &disk.dir) == dir;
    if let Some(other) = there.find(same_dir) {
        let what = format!("is also the directory of {} above", other.name);
        keys.wrong(problems, "dir", &what);
    }
}

/// Names of the nodes, with where each is in the list.
pub(super) fn places(posts: &[Post]) -> BTreeMap<String, usize> {
    let names = posts.iter().enumerate();
    names.map(|(at, post)| (post.name.clone(), at)).collect()
}

#[cfg(test)]
mod tests;
