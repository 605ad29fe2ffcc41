//! The next version of a directory while it is being written: edits are tried on it one call after the other, and a
//! call that is refused leaves no trace.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use truckee_grid::drive::{Child, ChildName, ROWS_MAX, RowError, RowName, Target};
use truckee_wire::message::RowChange;

use super::copy::Copy;
use super::{Children, Edit, EditRefused, EditWhy, Edited, Replace, metadata};

/// What a changed row takes in a message besides its sealed bytes, at most.
const CHANGE_OVERHEAD_BYTES: usize = 48;

/// See the module.
pub(super) struct Draft<'a> {
    base: &'a Copy,
    children: Children,
    content: Option<Child>,
    /// Every row that was touched, as it is to be sent. `None`: it goes.
    rows: BTreeMap<RowName, Option<Bytes>>,
    bytes: usize,
    pub(super) rows_max: usize,
    /// What the call under way has changed, the last one last.
    undo: Vec<Undo>,
    now_unix_ms: u64,
    random: StdRng,
}

struct Undo {
    name: RowName,
    child: Option<Child>,
    row: Option<Option<Bytes>>,
}

/// What changed, in the order of row ids, and what the directory then looks like.
pub(super) struct Finished {
    pub(super) changes: Vec<RowChange>,
    pub(super) children: Children,
    pub(super) content: Option<Child>,
    /// For the signature.
    pub(super) random: [u8; 32],
}

impl<'a> Draft<'a> {
    /// Nothing is changed yet. `random` gives the nonces.
    pub(super) fn of(base: &'a Copy, random: StdRng) -> Self {
        Self {
            base,
            children: base.view().children.clone(),
            content: base.view().content.clone(),
            rows: BTreeMap::new(),
            bytes: 0,
            rows_max: ROWS_MAX,
            undo: Vec::new(),
            now_unix_ms: 0,
            random,
        }
    }

    /// About how long the change is in a message.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tries the edits of one call in order. The call stays open until it is kept or undone.
    pub(super) fn try_edits(&mut self, edits: &[Edit], now_unix_ms: u64) -> Result<Vec<Edited>, EditRefused> {
        self.now_unix_ms = now_unix_ms;
        let tried: Result<Vec<Edited>, EditRefused> = edits
            .iter()
            .enumerate()
            .map(|(index, edit)| self.try_one(edit).map_err(|why| EditRefused { index, why }))
            .collect();
        if tried.is_err() {
            self.undo();
        }
        tried
    }

    /// Puts rows into a fresh directory.
    pub(super) fn fill(&mut self, rows: &[(RowName, Child)], now_unix_ms: u64) -> Result<(), EditRefused> {
        self.now_unix_ms = now_unix_ms;
        for (index, (name, child)) in rows.iter().enumerate() {
            let set = self.set(name.clone(), child.target.clone(), Some(&child.metadata));
            if let Err(why) = set {
                self.undo();
                return Err(EditRefused { index, why });
            }
        }
        Ok(())
    }

    /// The call stays in. Says whether it changed anything.
    pub(super) fn keep(&mut self) -> bool {
        let changed = !self.undo.is_empty();
        self.undo.clear();
        changed
    }

    /// The call goes.
    pub(super) fn undo(&mut self) {
        while let Some(Undo { name, child, row }) = self.undo.pop() {
            self.place(&name, child);
            let now = match row {
                Some(row) => self.rows.insert(name, row.clone()).map(|now| (now, Some(row))),
                None => self.rows.remove(&name).map(|now| (now, None)),
            };
            if let Some((now, then)) = now {
                self.bytes -= change_bytes(&now);
                self.bytes += then.as_ref().map_or(0, change_bytes);
            }
        }
    }

    /// The end of it.
    pub(super) fn finish(mut self) -> Finished {
        let keys = &self.base.keys;
        let view = self.base.view();
        let was_there = |name: &RowName| match name {
            RowName::Content => view.content.is_some(),
            RowName::Child(name) => view.children.contains_key(name),
        };
        let mut changes: Vec<RowChange> = self
            .rows
            .iter()
            // A row that came and went within the batch was never there.
            .filter(|(name, sealed)| sealed.is_some() || was_there(name))
            .map(|(name, sealed)| RowChange {
                id: keys.row_id(name),
                sealed: sealed.clone(),
            })
            .collect();
        changes.sort_unstable_by_key(|change| change.id);
        Finished {
            random: self.random.random(),
            changes,
            children: self.children,
            content: self.content,
        }
    }

    fn try_one(&mut self, edit: &Edit) -> Result<Edited, EditWhy> {
        if self.content.is_some() != matches!(edit, Edit::SetContent { .. }) && self.is_something() {
            return Err(EditWhy::WrongKind);
        }
        let before = match edit {
            Edit::Set {
                name,
                target,
                metadata,
                replace,
            } => {
                self.may_take(name, *replace)?;
                self.set(RowName::Child(name.clone()), target.clone(), metadata.as_deref())?
            }
            Edit::Remove { name } => Some(self.take(name)?),
            Edit::RemoveIf { name, target } => {
                if self.children.get(name).ok_or(EditWhy::NotFound)?.target != *target {
                    return Err(EditWhy::Changed);
                }
                Some(self.take(name)?)
            }
            Edit::Rename { from, to, replace } => Some(self.rename(from, to, *replace)?),
            Edit::SetContent { target, based_on } => {
                let now = self.content.as_ref().map(|content| &content.target);
                if based_on.is_some() && based_on.as_ref() != now {
                    return Err(EditWhy::Changed);
                }
                self.set(RowName::Content, target.clone(), None)?
            }
        };
        Ok(Edited { before })
    }

    /// Whether it has rows, by which it is told whether this is a directory or a mutable file.
    fn is_something(&self) -> bool {
        self.content.is_some() || !self.children.is_empty()
    }

    fn may_take(&self, name: &ChildName, replace: Replace) -> Result<(), EditWhy> {
        match (self.children.get(name), replace) {
            (Some(_), Replace::Never) => Err(EditWhy::Exists),
            (Some(child), Replace::OnlyFiles) if child.target.is_directory() => Err(EditWhy::ExistsDirectory),
            _ => Ok(()),
        }
    }

    fn rename(&mut self, from: &ChildName, to: &ChildName, replace: Replace) -> Result<Child, EditWhy> {
        let child = self.children.get(from).cloned().ok_or(EditWhy::NotFound)?;
        if from == to {
            return Ok(child);
        }
        self.may_take(to, replace)?;
        self.take(from)?;
        let own = metadata::without_system(&child.metadata);
        self.set(RowName::Child(to.clone()), child.target.clone(), Some(&own))?;
        Ok(child)
    }

    fn take(&mut self, name: &ChildName) -> Result<Child, EditWhy> {
        let name = RowName::Child(name.clone());
        let before = self.place(&name, None).ok_or(EditWhy::NotFound)?;
        self.note(name, Some(before.clone()), None);
        Ok(before)
    }

    fn set(&mut self, name: RowName, target: Target, given: Option<&str>) -> Result<Option<Child>, EditWhy> {
        let before = match &name {
            RowName::Content => self.content.as_ref(),
            RowName::Child(name) => self.children.get(name),
        };
        let rows = self.children.len() + usize::from(self.content.is_some());
        let rows_max = self.rows_max;
        if before.is_none() && rows >= rows_max {
            return Err(EditWhy::Full { rows_max });
        }
        let child = Child {
            metadata: metadata::updated(
                before.map(|before| before.metadata.as_str()),
                given,
                self.now_unix_ms,
            )?,
            target,
        };
        let mut nonces = [0; 48];
        self.random.fill(&mut nonces);
        let sealed = self
            .base
            .keys
            .seal_row(&name, &child, nonces)
            .map_err(|error| match error {
                RowError::NotAFile => EditWhy::WrongKind,
                error => EditWhy::Target(error),
            })?;
        let before = self.place(&name, Some(child));
        self.note(name, before.clone(), Some(sealed.bytes));
        Ok(before)
    }

    /// Puts a child into its place, or nothing; gives back what was there.
    fn place(&mut self, name: &RowName, child: Option<Child>) -> Option<Child> {
        match (name, child) {
            (RowName::Content, child) => std::mem::replace(&mut self.content, child),
            (RowName::Child(name), Some(child)) => self.children.insert(name.clone(), child),
            (RowName::Child(name), None) => self.children.remove(name),
        }
    }

    fn note(&mut self, name: RowName, child: Option<Child>, sealed: Option<Bytes>) {
        self.bytes += change_bytes(&sealed);
        let row = self.rows.insert(name.clone(), sealed);
        self.bytes -= row.as_ref().map_or(0, change_bytes);
        self.undo.push(Undo { name, child, row });
    }
}

fn change_bytes(sealed: &Option<Bytes>) -> usize {
    CHANGE_OVERHEAD_BYTES + sealed.as_ref().map_or(0, Bytes::len)
}
