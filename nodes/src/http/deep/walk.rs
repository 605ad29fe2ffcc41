//! The way through a tree: a directory, then its files, then its directories, each thing once.
//!
//! Holds what it has seen (16 bytes of storage index for each object) and the directories still to be read; at most one
//! listing is unfolded at a time. Things that live in their caps have no name to be recognised by and come as often as
//! they are linked; they hold no directories that are stored, so they end no walk.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use actix_web::web;
use futures_util::stream::{self, Stream, StreamExt};
use truckee_engine::drive::DirectoryView;
use truckee_grid::caps::Cap;
use truckee_grid::drive::{ChildName, Target};
use truckee_grid::ids::StorageIndex;

use super::DeepError;
use super::check::{self, Checked};
use crate::http::Gateway;
use crate::http::error::HttpError;
use crate::http::tree::resolve::is_writable;

/// Objects that a walk takes: about 100 MiB of memory for what it has seen.
pub(super) const OBJECTS_MAX: usize = 2_000_000;

/// Objects that are checked at the same time: enough to hide a round trip to the farthest node.
const CHECKS_AT_ONCE: usize = 8;

/// What is done with each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// It is only looked at.
    Look,
    /// It is checked.
    Check {
        /// Whether every block is read.
        verify: bool,
        /// Whether what is missing is made again.
        repair: bool,
    },
}

/// A thing on the way.
#[derive(Debug)]
pub(super) struct Found {
    /// Names from the root of the walk.
    pub(super) path: Vec<String>,
    /// The strongest cap that the way down gives.
    pub(super) target: Target,
    /// What the check found, if there was one.
    pub(super) checked: Option<Checked>,
}

/// One step of a walk.
#[derive(Debug)]
pub(super) enum Step {
    /// Something was found.
    Found(Box<Found>),
    /// The directory found before was read.
    Listing {
        /// Entries.
        children: usize,
        /// About how many bytes it takes.
        bytes: u64,
    },
}

/// Names from the root, shared with everything above.
#[derive(Clone, Default)]
struct Path(Option<Arc<(Path, ChildName)>>);

impl Path {
    fn below(&self, name: &ChildName) -> Path {
        Path(Some(Arc::new((self.clone(), name.clone()))))
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut at = self;
        while let Some(link) = &at.0 {
            names.push(link.1.as_str().to_owned());
            at = &link.0;
        }
        names.reverse();
        names
    }
}

struct Walker {
    gateway: web::Data<Gateway>,
    seen: BTreeSet<(bool, StorageIndex)>,
    /// Directories to be read, the next one last.
    stack: Vec<(Path, Target)>,
    ready: VecDeque<Step>,
    /// Files of the directory that was read last.
    files: std::vec::IntoIter<(Path, Target)>,
    steps: usize,
}

/// Walks below `root`, and checks by the plan. Ends after the first error.
pub(super) fn walk(
    gateway: &web::Data<Gateway>,
    root: Target,
    plan: Plan,
) -> impl Stream<Item = Result<Step, HttpError>> + use<> {
    let walker = Walker {
        gateway: gateway.clone(),
        seen: BTreeSet::new(),
        stack: vec![(Path::default(), root)],
        ready: VecDeque::new(),
        files: Vec::new().into_iter(),
        steps: 0,
    };
    let steps = stream::unfold(Some(walker), async |walker| {
        let mut walker = walker?;
        match walker.next().await {
            Ok(Some(step)) => Some((Ok(step), Some(walker))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    let gateway = gateway.clone();
    let checked = steps.map(move |step| carry_out(gateway.clone(), step, plan));
    checked.buffered(CHECKS_AT_ONCE)
}

async fn carry_out(
    gateway: web::Data<Gateway>,
    step: Result<Step, HttpError>,
    plan: Plan,
) -> Result<Step, HttpError> {
    let mut step = step?;
    if let (Step::Found(found), Plan::Check { verify, repair }) = (&mut step, plan) {
        let choice = check::Choice { verify, repair };
        found.checked = Some(check::check_one_of_many(&gateway, &found.target, choice).await?);
    }
    Ok(step)
}

impl Walker {
    async fn next(&mut self) -> Result<Option<Step>, HttpError> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            if let Some((path, target)) = self.files.next() {
                return self.found(&path, target).map(Some);
            }
            let Some((path, target)) = self.stack.pop() else {
                return Ok(None);
            };
            if !self.is_new(&target)? {
                continue;
            }
            self.enter(&path, target).await?;
        }
    }

    fn found(&mut self, path: &Path, target: Target) -> Result<Step, HttpError> {
        self.steps += 1;
        if self.steps > OBJECTS_MAX {
            return Err(too_many().into());
        }
        Ok(Step::Found(Box::new(Found {
            path: path.names(),
            target,
            checked: None,
        })))
    }

    /// Notes a thing; false if the walk has come to it before.
    fn is_new(&mut self, target: &Target) -> Result<bool, HttpError> {
        let Target::Cap(cap) = target else {
            return Ok(true);
        };
        let Some(si) = cap.storage_index() else {
            return Ok(true);
        };
        let new = self.seen.insert((cap.is_directory(), si));
        if self.seen.len() > OBJECTS_MAX {
            return Err(too_many().into());
        }
        Ok(new)
    }

    async fn enter(&mut self, path: &Path, target: Target) -> Result<(), HttpError> {
        let Target::Cap(cap) = &target else {
            return Ok(());
        };
        let (cap, step) = (cap.clone(), self.found(path, target.clone())?);
        let view = self.gateway.read_directory(&cap).await?;
        self.ready.push_back(step);
        self.ready.push_back(Step::Listing {
            children: view.children.len(),
            bytes: listing_bytes(&cap, &view),
        });
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for (name, child) in &view.children {
            let target = if is_writable(&cap) || !cap.is_mutable() {
                Some(child.target.clone())
            } else {
                child.target.to_read()
            };
            let Some(target) = target else { continue };
            let path = path.below(name);
            if is_walkable(&target) {
                directories.push((path, target));
            } else if self.is_new(&target)? {
                files.push((path, target));
            }
        }
        directories.reverse();
        if self.stack.len() + directories.len() > OBJECTS_MAX {
            return Err(too_many().into());
        }
        self.stack.extend(directories);
        self.files = files.into_iter();
        Ok(())
    }
}

fn too_many() -> DeepError {
    DeepError::TooManyObjects {
        objects_max: OBJECTS_MAX,
    }
}

/// A directory whose cap reads it.
fn is_walkable(target: &Target) -> bool {
    matches!(target, Target::Cap(cap) if cap.is_directory() && cap.to_read().is_some())
}

/// Exact for immutable directories; for others the names, caps and metadata, without their sealing.
fn listing_bytes(cap: &Cap, view: &DirectoryView) -> u64 {
    match cap {
        Cap::DirChk(listing) => listing.size,
        Cap::DirLit(listing) => listing.bytes().len() as u64,
        _ => {
            let row = |(name, child): (&ChildName, &truckee_grid::drive::Child)| {
                name.as_str().len() + cap_text(&child.target).len() + child.metadata.len()
            };
            view.children.iter().map(row).sum::<usize>() as u64
        }
    }
}

/// The strongest cap of a thing as text; empty if there is none.
pub(super) fn cap_text(target: &Target) -> String {
    match target {
        Target::Cap(cap) => cap.to_uri(),
        Target::Unknown { write, read } => write.clone().or_else(|| read.clone()).unwrap_or_default(),
    }
}
