//! Carries out a copy into the grid.
//!
//! Files are stored without a name first and linked into their directories many at a time, so that a directory of a
//! thousand files is changed ten times and not a thousand times. A name appears when its file is whole. A mutable file that
//! is in the way gets the new content and keeps its cap.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use super::report::{Report, patiently};
use super::tree::{FileJob, Origin, Tree};
use crate::client::{Kind, NewChild, Node, Place, Replace};
use crate::error::CliError;
use crate::http::{Gateway, PutChoice};
use crate::output::Counted;
use crate::parallel;

/// Children linked in one change. A change costs one round trip and one commit of the database whatever it holds, and what
/// was uploaded but not linked is lost when the command is interrupted.
const LINKED_AT_ONCE: usize = 100;

/// Where files of the grid are read from.
pub(crate) struct Options<'a> {
    /// The gateway that the sources belong to, if it is another one: then contents have to be carried over.
    pub(crate) foreign: Option<&'a Gateway>,
    /// Leave alone what is there with the same size.
    pub(crate) keep_same: bool,
    /// Transfers at the same time.
    pub(crate) jobs: usize,
}

/// A directory of the target.
struct Made {
    place: Place,
    cap: String,
    /// What was in it before.
    before: BTreeMap<String, Node>,
}

/// Files of one directory that wait for their names.
#[derive(Default)]
struct Waiting {
    children: BTreeMap<String, (NewChild, u64)>,
    /// Files of the directory that are not uploaded yet.
    left: usize,
}

struct Copier<'a> {
    gateway: &'a Gateway,
    options: &'a Options<'a>,
    tree: &'a Tree,
    made: Vec<Option<Made>>,
    waiting: Vec<Mutex<Waiting>>,
    /// Files carried over from a foreign gateway, by their read cap there: the same file is carried once.
    carried: Mutex<BTreeMap<String, String>>,
    report: &'a Report,
}

/// Copies `tree` into the directory at `base`, which is made if it is not there.
pub(crate) fn copy(
    gateway: &Gateway,
    base: &Place,
    tree: &Tree,
    options: &Options<'_>,
    report: &Report,
) -> Result<(), CliError> {
    let made = directories(gateway, base, tree, report)?;
    let mut left = vec![0; tree.dirs.len()];
    for file in &tree.files {
        left[file.dir] += 1;
    }
    let waiting = left.into_iter().map(|left| {
        Mutex::new(Waiting {
            left,
            ..Waiting::default()
        })
    });
    let copier = Copier {
        gateway,
        options,
        tree,
        made,
        waiting: waiting.collect(),
        carried: Mutex::new(BTreeMap::new()),
        report,
    };
    parallel::for_each(options.jobs, &tree.files, |file| copier.file(file));
    copier.links();
    Ok(())
}

/// Makes all directories, parents first. One that cannot be made is reported and `None`.
fn directories(
    gateway: &Gateway,
    base: &Place,
    tree: &Tree,
    report: &Report,
) -> Result<Vec<Option<Made>>, CliError> {
    let root = match gateway.node_if_there(base)? {
        Some(node) if node.kind == Kind::Directory => opened(node, &base.shown())?,
        Some(_) => return Err(in_the_way("a file", &base.shown())),
        None => fresh(gateway.mkdir_all(base)?),
    };
    let mut made = vec![Some(root)];
    for (at, dir) in tree.dirs.iter().enumerate().skip(1) {
        let path = || tree.path(dir.parent, &dir.name);
        let outcome = match &made[dir.parent] {
            // Told once, for the directory that could not be made.
            None => None,
            Some(_) if report.stopped() => None,
            Some(parent) => Some(directory(gateway, parent, &dir.name, &path())),
        };
        debug_assert_eq!(at, made.len());
        made.push(match outcome {
            Some(Ok(directory)) => Some(directory),
            Some(Err(error)) => {
                report.fail(path(), error);
                None
            }
            None => None,
        });
    }
    Ok(made)
}

fn directory(gateway: &Gateway, parent: &Made, name: &str, path: &str) -> Result<Made, CliError> {
    match parent.before.get(name) {
        Some(node) if node.kind == Kind::Directory => {
            let cap = node.cap().unwrap_or_default();
            opened(gateway.node(&Place::of(cap))?, path)
        }
        Some(_) => Err(in_the_way("a file", path)),
        None => patiently(|| gateway.mkdir_new(&parent.place, name)).map(fresh),
    }
}

/// A directory that was there.
fn opened(node: Node, path: &str) -> Result<Made, CliError> {
    let Some(cap) = node.rw_uri else {
        return Err(CliError::Place {
            what: "this directory can only be read:",
            place: path.to_owned(),
            hint: "copy into one whose write cap you have".into(),
        });
    };
    Ok(Made {
        place: Place::of(&cap),
        cap,
        before: node.children,
    })
}

/// A new directory.
fn fresh(cap: String) -> Made {
    Made {
        place: Place::of(&cap),
        cap,
        before: BTreeMap::new(),
    }
}

fn in_the_way(what: &'static str, path: &str) -> CliError {
    CliError::Place {
        what: if what == "a file" {
            "a file is in the way at"
        } else {
            "a directory is in the way at"
        },
        place: path.to_owned(),
        hint: "remove it, or copy to another name".into(),
    }
}

impl Copier<'_> {
    fn file(&self, file: &FileJob) {
        let path = || self.tree.path(file.dir, &file.name);
        let ready = match &self.made[file.dir] {
            None => None,
            Some(_) if self.report.stopped() => None,
            Some(made) => match self.store(file, made) {
                Ok(stored) => stored,
                Err(error) => {
                    self.report.fail(path(), error);
                    None
                }
            },
        };
        let batch = {
            let mut waiting = self.waiting[file.dir]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            waiting.left -= 1;
            waiting
                .children
                .extend(ready.map(|ready| (file.name.clone(), ready)));
            let due = waiting.left == 0 || waiting.children.len() >= LINKED_AT_ONCE;
            if due {
                std::mem::take(&mut waiting.children)
            } else {
                BTreeMap::new()
            }
        };
        self.link(file.dir, batch);
    }

    /// Gives names to files of one directory.
    fn link(&self, dir: usize, batch: BTreeMap<String, (NewChild, u64)>) {
        let (Some(made), false) = (&self.made[dir], batch.is_empty()) else {
            return;
        };
        let sizes: Vec<(String, u64)> = batch
            .iter()
            .map(|(name, (_, bytes))| (name.clone(), *bytes))
            .collect();
        let children = batch
            .into_iter()
            .map(|(name, (child, _))| (name, child))
            .collect();
        let linked = patiently(|| {
            self.gateway
                .set_children(&made.place, &children, Replace::OnlyFiles)
        });
        let error = linked.err();
        for (name, bytes) in sizes {
            let path = self.tree.path(dir, &name);
            match &error {
                None => self.report.done(&path, bytes),
                Some(error) => self.report.fail(path, error.again()),
            }
        }
    }

    /// Further names of directories.
    fn links(&self) {
        for link in &self.tree.links {
            let (Some(made), Some(to)) = (&self.made[link.dir], &self.made[link.to]) else {
                continue;
            };
            let place = made.place.child(&link.name);
            match patiently(|| self.gateway.link(&place, &to.cap, Replace::OnlyFiles)) {
                // It is there from an earlier run.
                Err(CliError::Status { status: 409, .. })
                    if made
                        .before
                        .get(&link.name)
                        .is_some_and(|node| node.cap() == Some(to.cap.as_str())) => {}
                Err(error) => self.report.fail(self.tree.path(link.dir, &link.name), error),
                Ok(()) => {}
            }
        }
    }

    /// Stores the content. Gives the child that is to get the name, unless there is nothing to link.
    fn store(&self, file: &FileJob, made: &Made) -> Result<Option<(NewChild, u64)>, CliError> {
        let before = made.before.get(&file.name);
        if before.is_some_and(|node| node.kind == Kind::Directory) {
            return Err(in_the_way("a directory", &self.tree.path(file.dir, &file.name)));
        }
        let same = file.bytes.is_some() && before.is_some_and(|node| node.size == file.bytes);
        if self.options.keep_same && same {
            self.report.same(file.bytes.unwrap_or(0));
            return Ok(None);
        }
        let inplace = before
            .filter(|node| node.mutable)
            .and_then(|node| node.rw_uri.as_deref());
        if let Some(cap) = inplace {
            let place = Place::of(cap);
            let (_, bytes) = patiently(|| {
                self.upload(file, &|gateway, body, length| {
                    gateway.put_at(&place, body, length, PutChoice::default(), None)
                })
            })?;
            self.report.done(&self.tree.path(file.dir, &file.name), bytes);
            return Ok(None);
        }
        let (cap, bytes) = match &file.from {
            Origin::Grid { cap, mutable: false } if self.options.foreign.is_none() => {
                // Who has the cap has the file: there is nothing to carry.
                let bytes = file.bytes.unwrap_or(0);
                self.report.bar().inc(bytes);
                (cap.clone(), bytes)
            }
            Origin::Grid { cap, mutable: false } => match self.carried_before(cap) {
                Some(ours) => {
                    self.report.bar().inc(file.bytes.unwrap_or(0));
                    (ours, file.bytes.unwrap_or(0))
                }
                None => {
                    let (ours, bytes) = self.new_file(file)?;
                    let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
                    carried.insert(cap.clone(), ours.clone());
                    (ours, bytes)
                }
            },
            _ => self.new_file(file)?,
        };
        let child = NewChild {
            directory: false,
            cap,
            metadata: file.metadata.clone(),
        };
        Ok(Some((child, bytes)))
    }

    fn carried_before(&self, cap: &str) -> Option<String> {
        let carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        carried.get(cap).cloned()
    }

    fn new_file(&self, file: &FileJob) -> Result<(String, u64), CliError> {
        patiently(|| {
            self.upload(file, &|gateway, body, length| {
                gateway.put(body, length, PutChoice::default())
            })
        })
    }

    /// Opens the source and sends it. Gives the cap and the bytes.
    fn upload(&self, file: &FileJob, send: &Send<'_>) -> Result<(String, u64), CliError> {
        match &file.from {
            Origin::Local(path) => {
                let source = File::open(path).map_err(CliError::file("read", path))?;
                let length = source.metadata().map_err(CliError::file("read", path))?.len();
                let mut body = Counted::new(source, self.report.bar().clone());
                match send(self.gateway, &mut body, Some(length)) {
                    Ok(cap) => Ok((cap, body.bytes)),
                    Err(error) if matches!(error, CliError::Status { .. }) => Err(error),
                    Err(_) if body.failure.is_some() => {
                        let kind = body.failure.unwrap_or(std::io::ErrorKind::Other);
                        Err(CliError::file("read", path)(kind.into()))
                    }
                    Err(_) if body.ended && body.bytes < length => {
                        Err(CliError::Changed { path: path.clone() })
                    }
                    Err(error) => Err(error),
                }
            }
            Origin::Grid { cap, .. } => {
                let source = self.options.foreign.unwrap_or(self.gateway);
                let download = source.fetch(&Place::of(cap), None)?;
                let length = download.announced_bytes;
                let mut body = Counted::new(download.into_reader(), self.report.bar().clone());
                match send(self.gateway, &mut body, length) {
                    Ok(cap) => Ok((cap, body.bytes)),
                    Err(error) if matches!(error, CliError::Status { .. }) => Err(error),
                    Err(error) => match body.failure {
                        Some(kind) => Err(source.cut_short(body.bytes, &kind.into())),
                        None => Err(error),
                    },
                }
            }
        }
    }
}

/// Sends a body of this length to the gateway; gives the cap.
type Send<'a> = dyn Fn(&Gateway, &mut dyn Read, Option<u64>) -> Result<String, CliError> + 'a;
