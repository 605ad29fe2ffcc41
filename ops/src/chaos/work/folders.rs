//! Changing and listing directories.
//!
//! A client writes names of its own, which nobody else writes, and in a directory that all share some that all write. What
//! each change writes is known to the model before it is sent, so that a listing by somebody else can be judged meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::answer::{Failed, Fate};
use super::super::model::At;
use super::super::model::names::{Folder, Seen, Ticket, Value};
use super::super::record::{Promise, Sort};
use super::super::world::World;
use super::{Client, NAMES_MAX};
use crate::client::{Kind, Node, Place, Replace};
use crate::error::CliError;
use crate::http::{Gateway, PutChoice};
use crate::load::content::Content;

/// Directories that are there from the start.
const FIRST_FOLDERS: usize = 3;

/// Most directories.
const FOLDERS_MAX: usize = 40;

/// Most names of one client.
const OWN_MAX: usize = 150;

/// Names that all clients write.
const CONTESTED: u64 = 4;

/// Largest file that is stored and named in one request.
const PUT_BYTES_MAX: u64 = 100_000;

/// How long the first directories may take to be made, and between two tries.
const FIRST_WITHIN: Duration = Duration::from_secs(60);
const FIRST_AGAIN: Duration = Duration::from_millis(500);

/// Makes the directories that are there from the start.
pub(crate) fn first_folders(world: &World, gateway: &Gateway) -> Result<(), CliError> {
    let deadline = world.now() + FIRST_WITHIN;
    for _ in 0..FIRST_FOLDERS {
        let cap = loop {
            match gateway.mkdir() {
                Ok(cap) => break cap,
                Err(error) if world.now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(FIRST_AGAIN),
            }
        };
        world.add_folder(cap);
    }
    Ok(())
}

/// Lists a directory and judges what is found.
pub(crate) fn list(world: &World, gateway: &Gateway, folder: Folder) -> Result<(), Failed> {
    let begun = world.now();
    let (read, cap) = {
        let mut state = world.state();
        let Some(cap) = state.folders.get(folder).cloned() else {
            return Ok(());
        };
        (state.names.begin_read(begun), cap)
    };
    let listed = gateway.node(&Place::of(&cap));
    let ended = world.now();
    let mut state = world.state();
    let node = match listed {
        Ok(node) => node,
        Err(error) => {
            state.names.forget_read(read);
            let failed = Failed::of(&error);
            state.failed(Sort::List, begun, ended, &failed);
            return Err(failed);
        }
    };
    let listing: BTreeMap<String, Seen> = node
        .children
        .iter()
        .map(|(name, child)| (name.clone(), seen(child)))
        .collect();
    let (findings, found) = state.names.check(read, ended, folder, &listing);
    state.record.listings += 1;
    state.record.done(Sort::List, begun, ended);
    for finding in findings {
        let (name, what) = (&finding.name, &finding.what);
        let what = format!("{:?}: {name} in directory {folder}: {what}", finding.breach).to_lowercase();
        state.record.violate(ended, Promise::Names, what);
    }
    drop(state);
    for (cap, text) in found {
        world.stored(&cap, text);
    }
    Ok(())
}

fn seen(child: &Node) -> Seen {
    Seen {
        directory: child.kind == Kind::Directory,
        cap: child.cap().unwrap_or_default().to_owned(),
        size_bytes: child.size,
    }
}

impl Client<'_> {
    pub(super) fn list_any(&mut self) {
        let Some(folder) = self.any_folder() else { return };
        // What went wrong is in the record.
        let _ = list(self.world, &self.gateway, folder);
    }

    fn any_folder(&mut self) -> Option<Folder> {
        let count = self.world.state().folders.len();
        (count > 0).then(|| self.random.below(count as u64) as Folder)
    }

    fn place(&self, folder: Folder) -> Place {
        Place::of(self.world.state().folders.get(folder).map_or("", String::as_str))
    }

    fn new_name(&mut self) -> String {
        self.next_name += 1;
        format!("c{}-{}", self.number, self.next_name)
    }

    /// A new name, or one that is there and gets another content.
    fn some_name(&mut self) -> Option<(Folder, String)> {
        let again = self.random.percent(35) || self.own.len() >= OWN_MAX || self.next_name >= NAMES_MAX;
        if again && let Some(own) = self.random.pick(&self.own).cloned() {
            // A directory stays what it is.
            let certain = self.world.state().names.certain(own.0, &own.1);
            return matches!(certain, Some(None | Some(Value::File { .. }))).then_some(own);
        }
        let folder = self.any_folder()?;
        let own = (folder, self.new_name());
        self.own.push(own.clone());
        Some(own)
    }

    fn begin(&self, folder: Folder, name: &str, value: Option<Value>) -> (Ticket, At) {
        let begun = self.now();
        (self.world.state().names.begin(begun, folder, name, value), begun)
    }

    /// Notes what became of a change of one or two names.
    fn settle(
        &self,
        tickets: &[Ticket],
        begun: At,
        outcome: Result<Option<&str>, &CliError>,
        halves: bool,
    ) -> bool {
        let ended = self.now();
        let mut state = self.world.state();
        match outcome {
            Ok(cap) => {
                for ticket in tickets {
                    state.names.acknowledge(ticket, ended, cap);
                }
                state.record.done(Sort::Change, begun, ended);
                true
            }
            Err(error) => {
                let failed = Failed::of(error);
                state.failed(Sort::Change, begun, ended, &failed);
                let whole =
                    !halves || matches!(failed.code.as_str(), "400" | "404" | "409" | "no connection");
                for ticket in tickets {
                    match failed.fate {
                        Fate::NotDone if whole => state.names.refuse(ticket),
                        // Of two steps the first may have been done.
                        Fate::NotDone => state.names.lose(ticket, ended),
                        Fate::Unknown { lingers } => state.names.lose(ticket, ended + lingers),
                    }
                }
                false
            }
        }
    }

    /// Gives a stored file a name.
    pub(super) fn link(&mut self) {
        let Some(file) = self.any_file() else { return };
        let Some((folder, name)) = self.some_name() else {
            return;
        };
        self.link_as(folder, &name, &file);
    }

    fn link_as(&mut self, folder: Folder, name: &str, file: &super::super::model::files::File) {
        let value = Value::File {
            text: file.text,
            cap: Some(file.cap.clone()),
        };
        let place = self.place(folder).child(name);
        let (ticket, begun) = self.begin(folder, name, Some(value));
        let linked = self.gateway.link(&place, &file.cap, Replace::Always);
        self.settle(&[ticket], begun, linked.as_ref().map(|()| None), false);
    }

    /// Stores a file and names it in one request.
    pub(super) fn put(&mut self) {
        let Some((folder, name)) = self.some_name() else {
            return;
        };
        let text = self.new_text(PUT_BYTES_MAX.min(self.largest_bytes()));
        let place = self.place(folder).child(&name);
        let (ticket, begun) = self.begin(folder, &name, Some(Value::File { text, cap: None }));
        let mut body = Content::new(text.seed, text.size_bytes);
        let size = Some(text.size_bytes);
        let put = self
            .gateway
            .put_at(&place, &mut body, size, PutChoice::default(), None);
        if self.settle(
            &[ticket],
            begun,
            put.as_ref().map(|cap| Some(cap.as_str())),
            false,
        ) && let Ok(cap) = put
        {
            self.world.stored(&cap, text);
        }
    }

    /// One of the own names that stands for a file beyond doubt, with its place in the list.
    fn sure_name(&mut self) -> Option<(usize, Value)> {
        if self.own.is_empty() {
            return None;
        }
        let at = self.random.below(self.own.len() as u64) as usize;
        let (folder, name) = &self.own[at];
        let certain = self.world.state().names.certain(*folder, name);
        let value = certain
            .flatten()
            .filter(|value| matches!(value, Value::File { .. }))?;
        Some((at, value))
    }

    /// Moves one of the own names, within its directory or to another one.
    fn relink(&mut self, to_another: bool) {
        let Some((at, value)) = self.sure_name() else {
            return;
        };
        let (folder, name) = self.own[at].clone();
        let to = if to_another {
            let Some(other) = self.any_folder().filter(|other| *other != folder) else {
                return;
            };
            other
        } else {
            folder
        };
        let to_name = self.new_name();
        self.own.push((to, to_name.clone()));
        let (from_place, to_place) = (self.place(folder), self.place(to));
        let (old, begun) = self.begin(folder, &name, None);
        let (new, _) = self.begin(to, &to_name, Some(value));
        let moved = self
            .gateway
            .relink((&from_place, &name), (&to_place, &to_name), Replace::Always);
        self.settle(&[old, new], begun, moved.as_ref().map(|()| None), to_another);
        self.must_have_been_there(&moved, folder, &name);
    }

    pub(super) fn rename(&mut self) {
        self.relink(false);
    }

    pub(super) fn move_to_another(&mut self) {
        self.relink(true);
    }

    /// A name that stood for something beyond doubt, and of which the gateway says that it is not there, was lost.
    fn must_have_been_there<T>(&self, outcome: &Result<T, CliError>, folder: Folder, name: &str) {
        if let Err(CliError::Status { status: 404, .. }) = outcome {
            let what = format!(
                "lost: {name} in directory {folder}: it was acknowledged, and a change of it was answered 404"
            );
            self.world.violate(Promise::Names, what);
        }
    }

    pub(super) fn unlink(&mut self) {
        let Some((at, _)) = self.sure_name() else { return };
        let (folder, name) = self.own[at].clone();
        let place = self.place(folder).child(&name);
        let (ticket, begun) = self.begin(folder, &name, None);
        let unlinked = self.gateway.unlink(&place);
        if self.settle(&[ticket], begun, unlinked.as_ref().map(|_| None), false) {
            self.own.swap_remove(at);
        }
        self.must_have_been_there(&unlinked, folder, &name);
    }

    /// Makes a directory with a name.
    pub(super) fn mkdir(&mut self) {
        if self.world.state().folders.len() >= FOLDERS_MAX {
            return self.list_any();
        }
        let Some(folder) = self.any_folder() else { return };
        let name = self.new_name();
        let place = self.place(folder);
        let (ticket, begun) = self.begin(folder, &name, Some(Value::Directory { cap: None }));
        let made = self.gateway.mkdir_new(&place, &name);
        if self.settle(
            &[ticket],
            begun,
            made.as_ref().map(|cap| Some(cap.as_str())),
            false,
        ) && let Ok(cap) = made
        {
            self.world.add_folder(cap);
        }
    }

    /// Writes or takes away a name that all write.
    pub(super) fn contest(&mut self) {
        let (folder, name) = (0, format!("all-{}", self.random.below(CONTESTED)));
        if self.random.percent(70) {
            let Some(file) = self.any_file() else { return };
            return self.link_as(folder, &name, &file);
        }
        let place = self.place(folder).child(&name);
        let (ticket, begun) = self.begin(folder, &name, None);
        let unlinked = self.gateway.unlink(&place);
        // That nothing is there is what was wanted.
        if let Err(CliError::Status { status: 404, .. }) = unlinked {
            self.world.state().names.refuse(&ticket);
            return;
        }
        self.settle(&[ticket], begun, unlinked.as_ref().map(|_| None), false);
    }
}
