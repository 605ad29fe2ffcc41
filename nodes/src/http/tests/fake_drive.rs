//! A virtual drive in memory: rows in a map, edits as the true one judges them, and errors that it is told to answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use truckee_engine::drive::{DirectoryView, DriveError, Edit, EditRefused, EditWhy, Edited, Replace};
use truckee_grid::caps::MutableCap;
use truckee_grid::drive::{Child, ChildName, METADATA_BYTES_MAX, RowName};
use truckee_grid::ids::StorageIndex;
use truckee_grid::keys::WriteKey;

use crate::http::drive_port::DrivePort;
use crate::http::port::PortFuture;

type Rows = BTreeMap<RowName, Child>;

/// More edits at once than this are too large for one change.
pub(super) const EDITS_MAX: usize = 3000;

#[derive(Clone)]
struct Directory {
    version: u64,
    rows: Rows,
}

#[derive(Default)]
pub(super) struct FakeDrive {
    directories: Mutex<BTreeMap<StorageIndex, Directory>>,
    /// What reads answer.
    pub(super) failing_reads: Mutex<Option<DriveError>>,
    /// What the next changes answer.
    pub(super) failing_edits: Mutex<Vec<DriveError>>,
    /// A change that somebody else makes just before the next one.
    pub(super) meanwhile: Mutex<Option<(MutableCap, Edit)>>,
    /// How many changes were taken.
    pub(super) changes: Mutex<usize>,
}

impl FakeDrive {
    fn change(&self, cap: &MutableCap, edits: &[Edit]) -> Result<Vec<Edited>, DriveError> {
        if !matches!(cap, MutableCap::Write { .. }) {
            return Err(DriveError::ReadOnly);
        }
        if edits.len() > EDITS_MAX {
            return Err(DriveError::TooLarge { bytes_max: 4 << 20 });
        }
        let mut directories = self.directories.lock().unwrap();
        let directory = directories
            .get_mut(&cap.storage_index())
            .ok_or(DriveError::NotFound)?;
        let mut next = directory.clone();
        let mut done = Vec::new();
        for (index, edit) in edits.iter().enumerate() {
            done.push(apply(&mut next.rows, edit).map_err(|why| EditRefused { index, why })?);
        }
        next.version += 1;
        *directory = next;
        *self.changes.lock().unwrap() += 1;
        Ok(done)
    }

    fn view(&self, cap: &MutableCap) -> Result<Arc<DirectoryView>, DriveError> {
        let writable = match cap {
            MutableCap::Write { .. } => true,
            MutableCap::Read { .. } => false,
            MutableCap::Verify { .. } => return Err(DriveError::VerifyOnly),
        };
        let directories = self.directories.lock().unwrap();
        let directory = directories
            .get(&cap.storage_index())
            .ok_or(DriveError::NotFound)?;
        let weakened = |child: &Child| {
            let target = if writable {
                Some(child.target.clone())
            } else {
                child.target.to_read()
            };
            target.map(|target| Child {
                target,
                metadata: child.metadata.clone(),
            })
        };
        let children = directory.rows.iter().filter_map(|(row, child)| match row {
            RowName::Child(name) => Some((name.clone(), weakened(child)?)),
            RowName::Content => None,
        });
        Ok(Arc::new(DirectoryView {
            version: directory.version,
            writable,
            children: children.collect(),
            content: directory.rows.get(&RowName::Content).and_then(weakened),
        }))
    }
}

fn row(name: &ChildName) -> RowName {
    RowName::Child(name.clone())
}

fn may_replace(there: Option<&Child>, replace: Replace) -> Result<(), EditWhy> {
    match (there, replace) {
        (Some(_), Replace::Never) => Err(EditWhy::Exists),
        (Some(child), Replace::OnlyFiles) if child.target.is_directory() => Err(EditWhy::ExistsDirectory),
        _ => Ok(()),
    }
}

fn metadata(before: Option<&Child>, given: Option<&str>) -> Result<String, EditWhy> {
    let refused = EditWhy::Metadata {
        bytes_max: METADATA_BYTES_MAX,
    };
    let old: Value = before.map_or(json!({}), |child| serde_json::from_str(&child.metadata).unwrap());
    let mut new = match given {
        None => old.clone(),
        Some(text) => serde_json::from_str(text).map_err(|_| refused.clone())?,
    };
    let created = old["tahoe"]["linkcrtime"].as_f64().unwrap_or(1_000.5);
    new["tahoe"] = json!({"linkcrtime": created, "linkmotime": 2_000.5});
    let text = new.to_string();
    if text.len() > METADATA_BYTES_MAX {
        return Err(refused);
    }
    Ok(text)
}

fn apply(rows: &mut Rows, edit: &Edit) -> Result<Edited, EditWhy> {
    if rows.contains_key(&RowName::Content) != matches!(edit, Edit::SetContent { .. }) {
        return Err(EditWhy::WrongKind);
    }
    let before = match edit {
        Edit::Set {
            name,
            target,
            metadata: given,
            replace,
        } => {
            let there = rows.get(&row(name));
            may_replace(there, *replace)?;
            let metadata = metadata(there, given.as_deref())?;
            let target = target.clone();
            rows.insert(row(name), Child { target, metadata })
        }
        Edit::Remove { name } => Some(rows.remove(&row(name)).ok_or(EditWhy::NotFound)?),
        Edit::RemoveIf { name, target } => {
            let there = rows.get(&row(name)).ok_or(EditWhy::NotFound)?;
            if there.target != *target {
                return Err(EditWhy::Changed);
            }
            rows.remove(&row(name))
        }
        Edit::Rename { from, to, replace } => {
            let moved = rows.get(&row(from)).cloned().ok_or(EditWhy::NotFound)?;
            if from != to {
                may_replace(rows.get(&row(to)), *replace)?;
                rows.remove(&row(from));
                rows.insert(row(to), moved.clone());
            }
            Some(moved)
        }
        Edit::SetContent { target, based_on } => {
            let there = rows.get(&RowName::Content);
            if based_on.is_some() && based_on.as_ref() != there.map(|child| &child.target) {
                return Err(EditWhy::Changed);
            }
            let child = Child {
                target: target.clone(),
                metadata: "{}".to_owned(),
            };
            rows.insert(RowName::Content, child)
        }
    };
    Ok(Edited { before })
}

impl DrivePort for Arc<FakeDrive> {
    fn create(&self, key: WriteKey, rows: Vec<(RowName, Child)>) -> PortFuture<Result<(), DriveError>> {
        let drive = Arc::clone(self);
        Box::pin(async move {
            if let Some(error) = drive.failing_edits.lock().unwrap().pop() {
                return Err(error);
            }
            if rows.len() > EDITS_MAX + 1000 {
                return Err(DriveError::TooLarge { bytes_max: 4 << 20 });
            }
            let cap = MutableCap::of_write_key(key);
            let directory = Directory {
                version: 1,
                rows: rows.into_iter().collect(),
            };
            let old = drive
                .directories
                .lock()
                .unwrap()
                .insert(cap.storage_index(), directory);
            assert!(old.is_none(), "a key was used twice");
            Ok(())
        })
    }

    fn read(&self, cap: &MutableCap) -> PortFuture<Result<Arc<DirectoryView>, DriveError>> {
        let (drive, cap) = (Arc::clone(self), cap.clone());
        Box::pin(async move {
            let failing = drive.failing_reads.lock().unwrap().clone();
            failing.map_or_else(|| drive.view(&cap), Err)
        })
    }

    fn edit(&self, cap: &MutableCap, edits: Vec<Edit>) -> PortFuture<Result<Vec<Edited>, DriveError>> {
        let (drive, cap) = (Arc::clone(self), cap.clone());
        Box::pin(async move {
            if let Some(error) = drive.failing_edits.lock().unwrap().pop() {
                return Err(error);
            }
            let meanwhile = drive.meanwhile.lock().unwrap().take();
            if let Some((cap, edit)) = meanwhile {
                drive.change(&cap, &[edit]).unwrap();
            }
            drive.change(&cap, &edits)
        })
    }

    fn reachable(&self) -> Result<(), DriveError> {
        self.failing_reads.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}
