//! The verdict: when all is healed, everything that was acknowledged is looked at once more.
//!
//! Owns the last comparison of every byte of every file and of every name of every directory, and the question whether a
//! file that does not come back was bound to be lost. Requests that fail are tried again; what fails then is not there.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::answer::Failed;
use super::attack::shares::index_of;
use super::model::Text;
use super::model::files::File;
use super::random::Random;
use super::record::Promise;
use super::work::{Fetched, Scratch, fetch, list};
use super::world::World;
use crate::client::Place;
use crate::error::CliError;
use crate::http::{Gateway, PutChoice};
use crate::load::content::Content;
use crate::parallel;

/// Files looked at in parallel.
const AT_ONCE: usize = 4;

/// Names that are followed to their files; that files come back by their caps is looked at for each.
const PATHS_MAX: usize = 200;

/// Stream of chance that says which.
const STREAM: u64 = 1;

/// How often what fails is tried, and the rest between two tries.
const TRIES: u32 = 6;
const REST: Duration = Duration::from_secs(1);

/// How long after healing an upload, a download and a change may take until one succeeds.
const WORKS_WITHIN: Duration = Duration::from_secs(60);

/// Content of the file with which it is tried whether all works again.
const PROBE: Text = Text {
    seed: 0x7472_7563_6b65_6521,
    size_bytes: 300_000,
};

/// What the last look found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Files that came back, every byte.
    pub(crate) intact: usize,
    /// Files whose shares were destroyed beyond what any coding bears, by number.
    pub(crate) lost: Vec<usize>,
    /// Files that came back by their names.
    pub(crate) paths: usize,
    /// Directories that were listed and compared.
    pub(crate) folders: usize,
    /// Whether it was cut off.
    pub(crate) unfinished: bool,
}

/// What the judge needs to know of the cluster.
pub(crate) struct Facts {
    /// Shares that are enough.
    pub(crate) k: usize,
    /// Whole shares that are left of each file, by storage index; none if the disks cannot be looked at.
    pub(crate) whole: Option<BTreeMap<String, usize>>,
    /// Whether more was damaged than the cluster promises to bear.
    pub(crate) beyond: bool,
}

/// Looks at everything. `cut` ends it early.
pub(crate) fn judge(world: &World, gateway: &Gateway, facts: &Facts, cut: &AtomicBool) -> Verdict {
    works_again(world, gateway, cut);
    let files: Vec<File> = world.state().files.all().to_vec();
    let verdict = Mutex::new(Verdict::default());
    parallel::for_each(AT_ONCE, &files, |file| {
        let outcome = look(world, gateway, facts, cut, file);
        let mut verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Looked::Intact => verdict.intact += 1,
            Looked::Lost => verdict.lost.push(file.number),
            Looked::Violated => {}
            Looked::Cut => verdict.unfinished = true,
        }
    });
    let mut verdict = verdict.into_inner().unwrap_or_else(PoisonError::into_inner);
    verdict.lost.sort_unstable();
    let folders = world.state().folders.len();
    for folder in 0..folders {
        let listed = again(cut, || list(world, gateway, folder));
        match listed {
            Ok(()) => verdict.folders += 1,
            Err(_) if cut.load(Ordering::Relaxed) => verdict.unfinished = true,
            Err(failed) => {
                let what = format!(
                    "directory {folder} cannot be listed at the end: {}",
                    failed.sentence
                );
                world.violate(Promise::Names, what);
            }
        }
    }
    // Where files or names are known to be wrong, this would only say so once more.
    if verdict.lost.is_empty() && world.state().record.violations.is_empty() {
        verdict.paths = follow_names(world, gateway, cut);
    }
    verdict
}

/// Gets files by their names: what a name leads to must be what the model says. The files themselves were compared before.
fn follow_names(world: &World, gateway: &Gateway, cut: &AtomicBool) -> usize {
    let (mut named, folders) = {
        let state = world.state();
        (state.names.sure_files(), state.folders.clone())
    };
    Random::new(world.seed, STREAM).shuffle(&mut named);
    named.truncate(PATHS_MAX);
    let mut scratch = Scratch::default();
    let mut right = 0;
    for (folder, name, text) in named {
        let place = Place::of(&folders[folder]).child(&name);
        let fetched = again(cut, || match fetch(gateway, &place, text, None, &mut scratch) {
            Fetched::Failed(failed) => Err(failed),
            other => Ok(other),
        });
        let (promise, wrong) = match fetched {
            Ok(Fetched::Same { .. }) => {
                right += 1;
                continue;
            }
            Err(_) if cut.load(Ordering::Relaxed) => return right,
            Ok(Fetched::Wrong(what)) => (Promise::Bytes, what),
            Ok(Fetched::Failed(failed)) | Err(failed) => (Promise::Names, failed.sentence),
        };
        world.violate(
            promise,
            format!("at the end, by its name {name} in directory {folder}: {wrong}"),
        );
    }
    right
}

enum Looked {
    Intact,
    Lost,
    Violated,
    Cut,
}

fn look(world: &World, gateway: &Gateway, facts: &Facts, cut: &AtomicBool, file: &File) -> Looked {
    let mut scratch = Scratch::default();
    let place = Place::of(&file.cap);
    let mut attempt = || match fetch(gateway, &place, file.text, None, &mut scratch) {
        Fetched::Failed(failed) => Err(failed),
        other => Ok(other),
    };
    let fetched = if facts.is_destroyed(file) {
        // Nothing is gained by asking again for what cannot come back.
        attempt()
    } else {
        again(cut, attempt)
    };
    match fetched {
        Ok(Fetched::Same { bytes }) => {
            world.state().record.compared_bytes += bytes;
            Looked::Intact
        }
        Ok(Fetched::Wrong(what)) => {
            world.violate(Promise::Bytes, format!("at the end {}: {what}", file.shown()));
            Looked::Violated
        }
        Err(_) if cut.load(Ordering::Relaxed) => Looked::Cut,
        Ok(Fetched::Failed(failed)) | Err(failed) => missing(world, facts, file, &failed),
    }
}

impl Facts {
    /// Whole shares of a file that lie on the disks; none if that is not known, or if it needs none.
    fn left(&self, file: &File) -> Option<usize> {
        let index = index_of(&file.cap)?;
        let whole = self.whole.as_ref()?;
        Some(whole.get(&index).copied().unwrap_or_default())
    }

    /// Whether a file was bound to be lost.
    fn is_destroyed(&self, file: &File) -> bool {
        self.beyond && self.left(file).is_some_and(|left| left < self.k)
    }
}

/// A file does not come back: was it bound to be lost?
fn missing(world: &World, facts: &Facts, file: &File, failed: &Failed) -> Looked {
    let shown = file.shown();
    let sentence = &failed.sentence;
    if facts.is_destroyed(file) {
        if failed.code == "410" {
            return Looked::Lost;
        }
        let what = format!("{shown} is lost, which must be answered with 410, and it is: {sentence}");
        world.violate(Promise::Errors, what);
        return Looked::Lost;
    }
    let left = facts.left(file).map_or_else(String::new, |left| {
        format!(" although {left} whole shares of it lie on the disks")
    });
    world.violate(
        Promise::Files,
        format!("{shown} does not come back{left}: {sentence}"),
    );
    Looked::Violated
}

/// Tries a few times.
fn again<T>(cut: &AtomicBool, mut attempt: impl FnMut() -> Result<T, Failed>) -> Result<T, Failed> {
    let mut tries = 1;
    loop {
        match attempt() {
            Err(_) if tries < TRIES && !cut.load(Ordering::Relaxed) => {
                tries += 1;
                std::thread::sleep(REST);
            }
            outcome => return outcome,
        }
    }
}

/// After healing everything works that worked before.
fn works_again(world: &World, gateway: &Gateway, cut: &AtomicBool) {
    let must = |what: &str, attempt: &mut dyn FnMut() -> Result<(), CliError>| {
        let deadline = Instant::now() + WORKS_WITHIN;
        loop {
            match attempt() {
                Ok(()) => return,
                Err(_) if cut.load(Ordering::Relaxed) => return,
                Err(error) if Instant::now() >= deadline => {
                    let seconds = WORKS_WITHIN.as_secs();
                    let what =
                        format!("{what} did not succeed within {seconds} s after all was healed: {error}");
                    return world.violate(Promise::Recovery, what);
                }
                Err(_) => std::thread::sleep(REST),
            }
        }
    };
    must("an upload", &mut || {
        let mut body = Content::new(PROBE.seed, PROBE.size_bytes);
        let cap = gateway.put(&mut body, Some(PROBE.size_bytes), PutChoice::default())?;
        world.stored(&cap, PROBE);
        Ok(())
    });
    must("a change of a directory", &mut || gateway.mkdir().map(drop));
}
