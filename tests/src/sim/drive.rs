//! What must be true of directories, kept beside the mesh: every version that the database of the vdrives has ever had,
//! and what each client did and was told.
//!
//! The database outlives every node, as a server of its own would. Its rows are opened with the owner's keys when a change
//! is taken, so the truth is what was written and not what a machine believes. Each value is written by one order and
//! named after it. What is checked, after every step: what a client was told to be done is done, once, between its
//! question and the answer, on top of what it was told to have replaced; what it was told not to be done is never done;
//! what it reads is a version that was the newest one after it asked; versions only go up.

mod judge;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};

use truckee_engine::drive::{DriveError, Edit, Outcome, Replace};
use truckee_engine::vdrive::model::ModelVdrive;
use truckee_grid::caps::{Cap, LitCap, MutableCap};
use truckee_grid::drive::{ChildName, DirectoryKeys, RowId, RowName, Target};
use truckee_grid::keys::WriteKey;
use truckee_wire::message::{CommitChange, Failure, Request, Response};

use super::model::OrderId;

/// What the children of a directory say, by name.
type Texts = BTreeMap<String, String>;

/// What a client wants of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Make it.
    Create,
    /// See all of it, with the read cap.
    Read,
    /// Link the value of this order, over what is there or not.
    Set {
        /// The name.
        name: String,
        /// Also if the name is taken?
        replaces: bool,
    },
    /// Unlink a child.
    Remove {
        /// The name.
        name: String,
    },
}

#[derive(Clone, Debug)]
struct Order {
    host: usize,
    directory: usize,
    what: What,
    /// The newest version when it was given.
    seen: usize,
}

/// One directory.
#[derive(Debug)]
struct Directory {
    write: DirectoryKeys,
    read: DirectoryKeys,
    /// Somebody was told that it exists.
    ready: bool,
    /// Somebody was told that it does not.
    denied: bool,
    /// By version; the first is that of a directory that does not exist.
    versions: Vec<Texts>,
    names: BTreeMap<RowId, String>,
}

/// See the module.
#[derive(Debug)]
pub struct DriveWorld {
    server: ModelVdrive,
    directories: Vec<Directory>,
    orders: BTreeMap<OrderId, Order>,
    /// Values that some version has had.
    written: BTreeSet<String>,
    /// Values that no version may have: their clients were told so.
    denied: BTreeSet<String>,
    ended: Vec<(OrderId, Result<Outcome, DriveError>)>,
    broken: Vec<String>,
}

/// The value that an order writes.
fn value_of(id: OrderId) -> String {
    format!("v{}", id.0)
}

fn child_name(name: &str) -> ChildName {
    ChildName::new(name).expect("the draw gives names")
}

fn text_of(target: &Target) -> String {
    match target {
        Target::Cap(Cap::Lit(lit)) => String::from_utf8_lossy(lit.bytes()).into_owned(),
        _ => "something that nobody wrote".into(),
    }
}

impl DriveWorld {
    /// No directories, in a database that this names.
    pub fn new(database: [u8; 16]) -> Self {
        Self {
            server: ModelVdrive::new(database),
            directories: Vec::new(),
            orders: BTreeMap::new(),
            written: BTreeSet::new(),
            denied: BTreeSet::new(),
            ended: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// A directory of its own, which is yet to be made.
    fn add(&mut self, key: [u8; 16]) -> usize {
        let cap = MutableCap::of_write_key(WriteKey::from_bytes(key));
        let read = cap.to_read().expect("a write cap reads");
        let keys = |cap: &MutableCap| DirectoryKeys::of(cap).expect("it reads");
        self.directories.push(Directory {
            write: keys(&cap),
            read: keys(&read),
            ready: false,
            denied: false,
            versions: vec![Texts::new()],
            names: BTreeMap::new(),
        });
        self.directories.len() - 1
    }

    fn begin(&mut self, id: OrderId, host: usize, directory: usize, what: What) {
        let seen = self.directories[directory].newest();
        let order = Order {
            host,
            directory,
            what,
            seen,
        };
        self.orders.insert(id, order);
    }

    /// What an order wants, with the keys for it.
    pub fn order(&self, id: OrderId) -> Option<(What, DirectoryKeys)> {
        let order = self.orders.get(&id)?;
        let directory = &self.directories[order.directory];
        let keys = match order.what {
            What::Read => &directory.read,
            _ => &directory.write,
        };
        Some((order.what.clone(), keys.clone()))
    }

    /// The edit of an order that changes something.
    pub fn edit(&self, id: OrderId) -> Option<Edit> {
        match &self.orders.get(&id)?.what {
            What::Create | What::Read => None,
            What::Set { name, replaces } => Some(Edit::Set {
                name: child_name(name),
                target: Target::Cap(Cap::Lit(LitCap::new(value_of(id).as_bytes())?)),
                metadata: None,
                replace: if *replaces {
                    Replace::Always
                } else {
                    Replace::Never
                },
            }),
            What::Remove { name } => Some(Edit::Remove {
                name: child_name(name),
            }),
        }
    }

    /// The gateway says what became of an order.
    pub fn ended(&mut self, id: OrderId, result: Result<Outcome, DriveError>) {
        self.ended.push((id, result));
    }

    /// A gateway has crashed: what its orders came to is open.
    pub fn orders_lost(&mut self, host: usize) {
        self.orders.retain(|_, order| order.host != host);
    }

    fn forget(&mut self, id: OrderId) {
        self.orders.remove(&id);
    }

    /// The database does what a vdrive asks of it, at this moment and for good.
    ///
    /// # Errors
    /// What a vdrive refuses.
    pub fn serve(&mut self, request: &Request) -> Result<Response, Failure> {
        let result = self.server.serve(request);
        if let Request::CommitChange(change) = request {
            self.record(change);
        }
        result
    }

    /// What broke outside of any order.
    pub fn take_broken(&mut self) -> Vec<String> {
        std::mem::take(&mut self.broken)
    }

    fn record(&mut self, change: &CommitChange) {
        let id = change.head.head.directory;
        let found = self
            .directories
            .iter_mut()
            .find(|directory| directory.write.id() == id);
        let (Some(directory), Some(kept)) = (found, self.server.directory_mut(&id)) else {
            return;
        };
        let (version, newest) = (kept.stored.version(), directory.newest() as u64);
        if version == newest {
            return;
        }
        if version != newest + 1 || kept.stored.head != change.head || directory.denied {
            let what = format!("a directory of version {newest} has version {version} now");
            return self.broken.push(what);
        }
        let mut texts = directory.versions.last().cloned().unwrap_or_default();
        for row in &change.changes {
            let Some(sealed) = &row.sealed else {
                let name = directory.names.get(&row.id).cloned().unwrap_or_default();
                texts.remove(&name);
                continue;
            };
            let Ok((RowName::Child(name), child)) = directory.write.open_row(row.id, sealed) else {
                self.broken
                    .push("a row that its owner cannot open was taken".into());
                continue;
            };
            let (name, value) = (name.as_str().to_owned(), text_of(&child.target));
            if !self.written.insert(value.clone()) {
                self.broken.push(format!("{value} is written twice"));
            }
            if self.denied.contains(&value) {
                self.broken.push(format!(
                    "{value} is written, and its client was told that it is not"
                ));
            }
            directory.names.insert(row.id, name.clone());
            texts.insert(name, value);
        }
        directory.versions.push(texts);
    }
}

impl Directory {
    fn newest(&self) -> usize {
        self.versions.len() - 1
    }
}
