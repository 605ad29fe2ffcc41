//! Nodes on this machine: processes with a pid, shares in directories.
//!
//! Nodes of the tool's own cluster are started as its children and end with it; nodes of somebody else's cluster are
//! started to go on without it, and `truckee up` takes them over.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use truckee_actors::store::look::{PackedShare, packed_shares};
use truckee_nodes::RunFile;

use super::clock;
use super::hand::{Deed, Hand, How, Identity, Node, Only, Share, Spoil};
use crate::cluster::file::NodeEntry;
use crate::cluster::process::{Process, is_node, log_path, signal_node};
use crate::cluster::up::Cluster;
use crate::error::CliError;

/// A look costs the reading of some files.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One node.
#[derive(Debug)]
struct Member {
    entry: NodeEntry,
    /// The process, if this tool started it for somebody else's cluster.
    started: Option<Process>,
    /// By how much its clock is to be wrong when it is started, in seconds.
    wrong_seconds: i64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Local {
    members: Vec<Member>,
    own: Option<Cluster>,
    /// Where shares go that are taken away.
    aside: PathBuf,
}

impl Local {
    /// The nodes of the running cluster in `dir`; `own` if this tool runs it.
    pub(crate) fn new(dir: &Path, nodes: Vec<NodeEntry>, own: Option<Cluster>) -> Local {
        let member = |entry| Member {
            entry,
            started: None,
            wrong_seconds: 0,
        };
        Local {
            members: nodes.into_iter().map(member).collect(),
            own,
            aside: dir.join("chaos-removed"),
        }
    }

    fn entry(&self, name: &str) -> Option<&NodeEntry> {
        let mut entries = self.members.iter().map(|member| &member.entry);
        entries.find(|entry| entry.name == name)
    }

    fn home(&self, name: &str) -> PathBuf {
        self.dir(name).unwrap_or_default()
    }

    /// The pid of the node if it runs: as it says itself, else as it was last known.
    fn pid(&self, name: &str) -> Option<u32> {
        let entry = self.entry(name)?;
        let said = RunFile::read(&entry.dir)
            .ok()
            .flatten()
            .map(|run_file| run_file.pid);
        let known = said.into_iter().chain([entry.pid]);
        let mut running = known.filter(|pid| is_node(*pid, &entry.dir));
        running.next()
    }

    /// Collects children that have ended, so that they do not stay as zombies. One that cannot be looked after counts as
    /// running, which shows.
    fn reap(&mut self) {
        let own = self.own.iter_mut().flat_map(|cluster| &mut cluster.members);
        for process in own.map(|member| &mut member.process) {
            drop(process.ended());
        }
        let members = self.members.iter_mut();
        for process in members.filter_map(|member| member.started.as_mut()) {
            drop(process.ended());
        }
    }
}

impl Hand for Local {
    fn nodes(&self) -> Vec<Node> {
        let metrics = |dir: &Path| RunFile::read(dir).ok()??.metrics;
        let node = |member: &Member| Node {
            name: member.entry.name.clone(),
            roles: member.entry.roles.clone(),
            metrics: metrics(&member.entry.dir).map(|address| address.to_string()),
        };
        self.members.iter().map(node).collect()
    }

    fn missing(&mut self) -> Result<Vec<String>, CliError> {
        self.reap();
        let names = self.members.iter().map(|member| member.entry.name.clone());
        Ok(names.filter(|name| self.pid(name).is_none()).collect())
    }

    fn runs(&mut self, name: &str) -> Result<bool, CliError> {
        self.reap();
        Ok(self.pid(name).is_some())
    }

    fn is_ready(&mut self, name: &str) -> Result<bool, CliError> {
        self.reap();
        let said = RunFile::read(&self.home(name)).ok().flatten();
        Ok(said.is_some_and(|said| self.pid(name) == Some(said.pid)))
    }

    fn deed(&mut self, name: &str, deed: Deed) -> Result<(), CliError> {
        let signal = match deed {
            Deed::Kill => Signal::KILL,
            Deed::Stop => Signal::TERM,
            Deed::Freeze => Signal::STOP,
            Deed::Thaw => Signal::CONT,
        };
        if let (Some(pid), Some(entry)) = (self.pid(name), self.entry(name)) {
            // It may have gone meanwhile, which shows.
            signal_node(pid, &entry.dir, signal)?;
        }
        Ok(())
    }

    fn start(&mut self, name: &str) -> Result<(), CliError> {
        let Some(member) = self.members.iter_mut().find(|member| member.entry.name == name) else {
            return Ok(());
        };
        let environment = match (member.wrong_seconds, clock::library()) {
            (0, _) | (_, None) => Vec::new(),
            (seconds, Some(library)) => clock::environment(library, seconds),
        };
        let own = self.own.iter_mut().flat_map(|cluster| &mut cluster.members);
        let pid = match own.into_iter().find(|own| own.name == name) {
            Some(own) => {
                own.process = Process::start_with(name, &member.entry.dir, environment)?;
                own.entry = None;
                own.process.pid()
            }
            None => {
                let process = Process::start_free(name, &member.entry.dir)?;
                let pid = process.pid();
                member.started = Some(process);
                pid
            }
        };
        member.entry.pid = pid;
        Ok(())
    }

    fn is_back(&mut self) -> Result<(), CliError> {
        let Some(cluster) = &mut self.own else {
            return Ok(());
        };
        if cluster.take_run_files()? {
            cluster.publish()?;
        }
        Ok(())
    }

    fn look_every(&self) -> Duration {
        LOOK_EVERY
    }

    fn log(&self, name: &str) -> String {
        log_path(&self.home(name)).display().to_string()
    }

    fn sees_all_shares(&self) -> bool {
        true
    }

    fn shares(&mut self, name: &str, only: &Only) -> Result<Vec<Share>, CliError> {
        find(&self.home(name), only)
    }

    fn spoil(&mut self, _name: &str, spoils: &[Spoil]) -> Result<Vec<Identity>, CliError> {
        let mut hit = Vec::new();
        for Spoil { share, how } in spoils {
            match spoil(share, how) {
                Ok(identity) => hit.push(identity),
                // The peer has put it aside meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(CliError::file("damage", &share.path)(error)),
            }
        }
        Ok(hit)
    }

    /// They are gone for good if they cannot be moved because that place is on another disk.
    fn take_away(&mut self, name: &str, shares: &[Share], label: &str) -> Result<String, CliError> {
        let aside = self.aside.join(label).join(name);
        let (packed, files): (Vec<_>, Vec<_>) = shares.iter().partition(|share| share.packed_at.is_some());
        for (at, share) in files.into_iter().enumerate() {
            let to = aside.join(&share.index).join(format!("{}.{at}", share.number));
            set_aside(&share.path, &to)?;
        }
        let packs: BTreeSet<&PathBuf> = packed.into_iter().map(|share| &share.path).collect();
        for pack in packs {
            // Its index first: it says nothing without the pack. One that is written to has none.
            for path in [pack.with_extension("idx"), pack.clone()] {
                let to = aside.join("packs").join(path.file_name().unwrap_or_default());
                if path.exists() {
                    set_aside(&path, &to)?;
                }
            }
        }
        Ok(aside.display().to_string())
    }

    fn dir(&self, name: &str) -> Option<PathBuf> {
        self.entry(name).map(|entry| entry.dir.clone())
    }

    fn set_clock(&mut self, name: &str, wrong_seconds: i64) {
        let members = self.members.iter_mut();
        for member in members.filter(|member| member.entry.name == name) {
            member.wrong_seconds = wrong_seconds;
        }
    }

    fn is_own(&self) -> bool {
        self.own.is_some()
    }

    fn take_own(&mut self) -> Option<Cluster> {
        self.own.take()
    }
}

/// Moves a file, or removes it if that place is on another disk.
fn set_aside(path: &Path, to: &Path) -> Result<(), CliError> {
    let dir = to.parent().unwrap_or(to);
    fs::create_dir_all(dir).map_err(CliError::file("create", dir))?;
    match fs::rename(path, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            fs::remove_file(path).map_err(CliError::file("remove", path))
        }
        other => other.map_err(CliError::file("move", path)),
    }
}

/// The shares below a node's directory, sorted, as far as they may be touched.
fn find(node: &Path, only: &Only) -> Result<Vec<Share>, CliError> {
    let may_be_touched = |index: &String| only.as_ref().is_none_or(|only| only.contains(index));
    let mut found = in_files(node, &may_be_touched);
    found.extend(in_packs(node, &may_be_touched)?);
    found.sort_by(|one, other| (&one.path, one.packed_at).cmp(&(&other.path, other.packed_at)));
    Ok(found)
}

fn in_files(node: &Path, may_be_touched: &impl Fn(&String) -> bool) -> Vec<Share> {
    let mut found = Vec::new();
    // Directories come and go under our eyes: what cannot be read is not there.
    let entries = |dir: &Path| {
        let read = fs::read_dir(dir).into_iter().flatten();
        read.filter_map(|entry| Some(entry.ok()?.path()))
            .collect::<Vec<_>>()
    };
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    for file in entries(&node.join("shares"))
        .iter()
        .flat_map(|prefix| entries(prefix))
    {
        let index = name(&file);
        if !may_be_touched(&index) {
            continue;
        }
        for path in entries(&file) {
            let Ok(facts) = fs::metadata(&path) else {
                continue;
            };
            found.push(Share {
                index: index.clone(),
                number: name(&path),
                identity: (facts.dev(), facts.ino(), 0),
                bytes: facts.len(),
                path,
                packed_at: None,
            });
        }
    }
    found
}

fn in_packs(node: &Path, may_be_touched: &impl Fn(&String) -> bool) -> Result<Vec<Share>, CliError> {
    let packed = packed_shares(node).map_err(|error| CliError::Node {
        node: node.display().to_string(),
        reason: error.to_string(),
    })?;
    let share = |packed: PackedShare| {
        let index = packed.share.si.to_base32();
        if !may_be_touched(&index) {
            return None;
        }
        // A pack may go under our eyes.
        let facts = fs::metadata(&packed.path).ok()?;
        Some(Share {
            index,
            number: packed.share.share.to_string(),
            identity: (facts.dev(), facts.ino(), packed.at),
            bytes: packed.bytes,
            path: packed.path,
            packed_at: Some(packed.at),
        })
    };
    Ok(packed.into_iter().filter_map(share).collect())
}

/// Damages one share; gives which it was.
fn spoil(share: &Share, how: &How) -> io::Result<Identity> {
    let mut file = OpenOptions::new().read(true).write(true).open(&share.path)?;
    let facts = file.metadata()?;
    let begin = share.packed_at.unwrap_or(0);
    match how {
        How::Cut(bytes) if share.packed_at.is_none() => file.set_len(*bytes)?,
        How::Cut(bytes) => {
            file.seek(SeekFrom::Start(begin + bytes))?;
            file.write_all(&vec![0; share.bytes.saturating_sub(*bytes) as usize])?;
        }
        How::Flip(bits) => {
            for (at, mask) in bits {
                let mut byte = [0];
                file.seek(SeekFrom::Start(begin + at))?;
                file.read_exact(&mut byte)?;
                byte[0] ^= mask;
                file.seek(SeekFrom::Start(begin + at))?;
                file.write_all(&byte)?;
            }
        }
    }
    Ok((facts.dev(), facts.ino(), begin))
}
