//! What is to be copied: directories, files and links, found by walking the sources.
//!
//! Owns the bounds of a walk: a directory that contains itself is walked once. Where the target can hold links (the grid),
//! its further places become links to the copy; where it cannot (this machine), a loop is a failure, and what merely has
//! two names is copied twice. Symlinks and special files here are left out and counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde_json::{Map, Value, json};

use super::report::Failure;
use crate::client::{Kind, Node, Place};
use crate::error::CliError;
use crate::http::Gateway;

/// Directories and files of one copy, with paths of a few hundred bytes each: beyond this the walk itself would need more
/// memory than a command should. Copy such a tree in parts.
const ENTRIES_MAX: usize = 10_000_000;

/// Where the bytes come from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file here.
    Local(PathBuf),
    /// A file of the grid.
    Grid {
        /// Its cap for reading.
        cap: String,
        /// Whether its content can change, so that the cap alone is no copy.
        mutable: bool,
    },
}

/// A directory to be made; number 0 is the one that everything goes into.
pub(crate) struct Dir {
    pub(crate) parent: usize,
    pub(crate) name: String,
    /// Cap that it was read with, if it comes from the grid.
    read_cap: Option<String>,
}

/// A file to be copied.
pub(crate) struct FileJob {
    pub(crate) dir: usize,
    pub(crate) name: String,
    pub(crate) from: Origin,
    pub(crate) bytes: Option<u64>,
    pub(crate) metadata: Map<String, Value>,
}

/// A further name for a directory that is copied already.
pub(crate) struct Link {
    pub(crate) dir: usize,
    pub(crate) name: String,
    pub(crate) to: usize,
}

/// All that is to be done.
pub(crate) struct Tree {
    pub(crate) dirs: Vec<Dir>,
    pub(crate) files: Vec<FileJob>,
    pub(crate) links: Vec<Link>,
    pub(crate) failures: Vec<Failure>,
    /// Symlinks, special files, and caps of unknown kind.
    pub(crate) skipped: u64,
    /// Whether the target can hold links.
    links_allowed: bool,
    /// Directories of the grid seen so far, by read cap.
    seen: BTreeMap<String, usize>,
}

impl Tree {
    pub(crate) fn new(links_allowed: bool) -> Tree {
        let root = Dir {
            parent: 0,
            name: String::new(),
            read_cap: None,
        };
        Tree {
            dirs: vec![root],
            files: Vec::new(),
            links: Vec::new(),
            failures: Vec::new(),
            skipped: 0,
            links_allowed,
            seen: BTreeMap::new(),
        }
    }

    /// Bytes of all files whose length is known.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| file.bytes).sum()
    }

    /// Path of something called `name` in directory `dir`, below the target.
    pub(crate) fn path(&self, dir: usize, name: &str) -> String {
        let mut parts = vec![name];
        let mut at = dir;
        while at != 0 {
            parts.push(&self.dirs[at].name);
            at = self.dirs[at].parent;
        }
        parts.reverse();
        parts.join("/")
    }

    /// A directory `name` in `parent`, or `parent` itself if there is no name.
    pub(crate) fn dir(&mut self, parent: usize, name: Option<&str>) -> usize {
        let Some(name) = name else {
            return parent;
        };
        self.dirs.push(Dir {
            parent,
            name: name.to_owned(),
            read_cap: None,
        });
        self.dirs.len() - 1
    }

    pub(crate) fn fail(&mut self, dir: usize, name: &str, error: CliError) {
        let path = self.path(dir, name);
        self.failures.push(Failure { path, error });
    }

    fn room(&self) -> Result<(), CliError> {
        if self.files.len() + self.dirs.len() < ENTRIES_MAX {
            return Ok(());
        }
        Err(CliError::Usage {
            what: "a tree of more files than",
            value: ENTRIES_MAX.to_string(),
            hint: "copy it in parts".into(),
        })
    }

    /// A file here, as `name` in `dir`.
    pub(crate) fn local_file(&mut self, dir: usize, name: &str, path: &Path, facts: &fs::Metadata) {
        self.files.push(FileJob {
            dir,
            name: name.to_owned(),
            from: Origin::Local(path.to_owned()),
            bytes: Some(facts.len()),
            metadata: metadata_of(facts),
        });
    }

    /// Everything in the directory at `path`, into `dir`.
    pub(crate) fn local_dir(&mut self, dir: usize, path: &Path) -> Result<(), CliError> {
        let mut open = vec![(dir, path.to_owned())];
        while let Some((dir, path)) = open.pop() {
            let mut entries = match fs::read_dir(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
                Ok(entries) => entries,
                Err(error) => {
                    self.fail(dir, "", CliError::file("read", &path)(error));
                    continue;
                }
            };
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                self.room()?;
                let path = entry.path();
                let name = entry.file_name();
                let Some(name) = name.to_str() else {
                    self.fail(dir, &name.to_string_lossy(), not_utf8(&path));
                    continue;
                };
                match entry.metadata() {
                    Err(error) => self.fail(dir, name, CliError::file("read", &path)(error)),
                    Ok(facts) if facts.is_dir() => {
                        let child = self.dir(dir, Some(name));
                        open.push((child, path));
                    }
                    Ok(facts) if facts.is_file() => self.local_file(dir, name, &path, &facts),
                    Ok(_) => self.skipped += 1,
                }
            }
        }
        Ok(())
    }

    /// A file of the grid, as `name` in `dir`.
    pub(crate) fn grid_file(&mut self, dir: usize, name: &str, node: &Node) {
        match node.read_cap() {
            None => self.skipped += 1,
            Some(cap) => self.files.push(FileJob {
                dir,
                name: name.to_owned(),
                from: Origin::Grid {
                    cap: cap.to_owned(),
                    mutable: node.mutable,
                },
                bytes: node.size,
                metadata: kept_metadata(node),
            }),
        }
    }

    /// Everything in the directory `node` of the grid, into `dir`.
    pub(crate) fn grid_dir(&mut self, gateway: &Gateway, dir: usize, node: Node) -> Result<(), CliError> {
        self.enter(dir, &node);
        let mut open = vec![(dir, node)];
        while let Some((dir, node)) = open.pop() {
            for (name, child) in &node.children {
                self.room()?;
                match child.kind {
                    Kind::File => self.grid_file(dir, name, child),
                    Kind::Unknown => self.skipped += 1,
                    Kind::Directory => {
                        if let Some(found) = self.grid_child(gateway, dir, name, child)? {
                            open.push(found);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// A directory below another; gives it with its content if that is still to be walked.
    fn grid_child(
        &mut self,
        gateway: &Gateway,
        dir: usize,
        name: &str,
        child: &Node,
    ) -> Result<Option<(usize, Node)>, CliError> {
        let Some(cap) = child.read_cap() else {
            self.skipped += 1;
            return Ok(None);
        };
        if let (true, Some(&to)) = (self.links_allowed, self.seen.get(cap)) {
            self.links.push(Link {
                dir,
                name: name.to_owned(),
                to,
            });
            return Ok(None);
        }
        if self.is_above(dir, cap) {
            let error = CliError::Place {
                what: "this directory contains itself:",
                place: name.to_owned(),
                hint: "it is left out here, since a file system cannot hold it".into(),
            };
            self.fail(dir, name, error);
            return Ok(None);
        }
        match gateway.node(&Place::of(cap)) {
            Ok(node) => {
                let made = self.dir(dir, Some(name));
                self.enter(made, &node);
                Ok(Some((made, node)))
            }
            // Nobody there: the rest would fail in the same way.
            Err(error @ CliError::Unreachable { .. }) => Err(error),
            Err(error) => {
                self.fail(dir, name, error);
                Ok(None)
            }
        }
    }

    fn enter(&mut self, dir: usize, node: &Node) {
        if let Some(cap) = node.read_cap() {
            self.dirs[dir].read_cap = Some(cap.to_owned());
            self.seen.entry(cap.to_owned()).or_insert(dir);
        }
    }

    /// Whether `dir` or a directory above it was read with `cap`.
    fn is_above(&self, dir: usize, cap: &str) -> bool {
        let mut at = dir;
        loop {
            if self.dirs[at].read_cap.as_deref() == Some(cap) {
                return true;
            }
            if at == 0 {
                return false;
            }
            at = self.dirs[at].parent;
        }
    }
}

/// What the grid is to remember of a file here.
pub(crate) fn metadata_of(facts: &fs::Metadata) -> Map<String, Value> {
    let modified = facts.modified().ok().and_then(|time| {
        let after = time.duration_since(UNIX_EPOCH).map(|after| after.as_secs_f64());
        after
            .or_else(|before| Ok::<f64, ()>(-before.duration().as_secs_f64()))
            .ok()
    });
    modified
        .map(|modified| Map::from_iter([("mtime".to_owned(), json!(modified))]))
        .unwrap_or_default()
}

/// What a copy within the grid keeps: everything the user or a backup noted, and when the name first appeared. The rest of
/// `tahoe` is about the old link; its time of change becomes the `mtime` if there was none.
fn kept_metadata(node: &Node) -> Map<String, Value> {
    let mut kept = node.metadata.clone();
    if let Some(tahoe) = kept.remove("tahoe")
        && let Some(created) = tahoe.get("linkcrtime")
    {
        kept.insert("tahoe".into(), json!({ "linkcrtime": created }));
    }
    if !kept.contains_key("mtime")
        && let Some(modified) = node.modified()
    {
        kept.insert("mtime".into(), json!(modified));
    }
    kept
}

pub(crate) fn not_utf8(path: &Path) -> CliError {
    CliError::Usage {
        what: "the name",
        value: path.display().to_string(),
        hint: "it is not UTF-8, as names in the grid are; rename it".into(),
    }
}
