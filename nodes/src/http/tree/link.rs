//! Linking something under a name, with the directories on the way to it.
//!
//! Missing directories are made from the far end: each new one already holds the next when it is made, and one single
//! change of the directory that was there links them all. So nobody sees a half-made path, and a request that fails
//! leaves nothing visible.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use truckee_engine::drive::{DriveError, Edit, EditWhy, Edited, Replace};
use truckee_grid::caps::{Cap, MutableCap};
use truckee_grid::drive::{Child, ChildName, RowName, Target};
use truckee_grid::keys::WriteKey;

use super::TreeError;
use super::resolve::{Resolved, writable};
use crate::http::Gateway;
use crate::http::error::HttpError;
use crate::http::path::Place;

/// How often a path is looked at again because somebody else made a part of it meanwhile.
const TRIES: u32 = 8;
/// Rows that a new directory gets with its first change; more follow before anybody learns its cap. About 2 MiB of
/// rows with ordinary metadata, half of what one change may have.
const ROWS_PER_CHANGE: usize = 4000;

/// Something to be linked.
#[derive(Clone)]
pub(super) struct Linking {
    pub(super) target: Target,
    /// A JSON object; none: what is there stays.
    pub(super) metadata: Option<String>,
    pub(super) replace: Replace,
}

impl Linking {
    pub(super) fn of(cap: Cap, replace: Replace) -> Linking {
        Linking {
            target: Target::Cap(cap),
            metadata: None,
            replace,
        }
    }
}

impl Gateway {
    /// Links it under the last of `names` (at least one) below `root`; says what was there before.
    pub(super) async fn link(
        &self,
        root: &Cap,
        names: &[ChildName],
        linking: Linking,
    ) -> Result<Option<Child>, HttpError> {
        if let [name] = names {
            return self.link_in(root, name, linking).await;
        }
        for _ in 0..TRIES {
            let place = Place {
                cap: root.clone(),
                names: names.to_vec(),
            };
            let (parent, left) = match self.resolve(&place).await? {
                Resolved::Blocked => return Err(TreeError::FileInTheWay.into()),
                Resolved::Missing { parent, names } => (parent, names),
                Resolved::Found(node) => {
                    let link = node.link.ok_or(TreeError::NotLinked)?;
                    (link.parent, vec![link.name])
                }
            };
            if let [name] = &left[..] {
                return self.link_in(&parent, name, linking).await;
            }
            let first = left.first().ok_or(HttpError::Internal)?;
            writable(&parent)?;
            let made = self.chain(&left[1..], &linking).await?;
            match self
                .link_in(&parent, first, Linking::of(made, Replace::Never))
                .await
            {
                Err(HttpError::Tree(TreeError::Drive(DriveError::Refused(refused))))
                    if refused.why == EditWhy::Exists => {}
                other => return other,
            }
        }
        Err(DriveError::Contended { tries: TRIES }.into())
    }

    async fn link_in(
        &self,
        parent: &Cap,
        name: &ChildName,
        linking: Linking,
    ) -> Result<Option<Child>, HttpError> {
        let edit = Edit::Set {
            name: name.clone(),
            target: linking.target,
            metadata: linking.metadata,
            replace: linking.replace,
        };
        let edited = self.change(parent, vec![edit]).await?;
        Ok(edited.into_iter().next().and_then(|edited| edited.before))
    }

    /// New directories, one in the other, the last of `names` being the thing to link. Gives the outermost.
    async fn chain(&self, names: &[ChildName], linking: &Linking) -> Result<Cap, HttpError> {
        let mut inner = Child {
            target: linking.target.clone(),
            metadata: stamped(linking.metadata.as_deref()),
        };
        for name in names.iter().rev() {
            let directory = self.new_directory(vec![(name.clone(), inner)]).await?;
            inner = Child {
                target: Target::Cap(directory),
                metadata: stamped(None),
            };
        }
        match inner.target {
            Target::Cap(cap) => Ok(cap),
            Target::Unknown { .. } => Err(HttpError::Internal),
        }
    }

    /// Changes a directory. All or none, as long as the edits fit into one change; beyond that part by part.
    pub(super) async fn change(&self, directory: &Cap, edits: Vec<Edit>) -> Result<Vec<Edited>, HttpError> {
        let directory = writable(directory)?;
        let mut done = Vec::with_capacity(edits.len());
        let mut parts = vec![edits];
        while let Some(part) = parts.pop() {
            match self.drive.edit(directory, part.clone()).await {
                Ok(edited) => done.extend(edited),
                Err(DriveError::TooLarge { .. }) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second.to_vec(), first.to_vec()]);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    /// A new directory that is linked nowhere.
    pub(super) async fn new_directory(&self, mut rows: Vec<(ChildName, Child)>) -> Result<Cap, HttpError> {
        let later = rows.split_off(rows.len().min(ROWS_PER_CHANGE));
        let rows = rows
            .into_iter()
            .map(|(name, child)| (RowName::Child(name), child));
        let key = new_key()?;
        self.drive.create(key.clone(), rows.collect()).await?;
        let cap = Cap::Dir(MutableCap::of_write_key(key));
        let edits = later.into_iter().map(|(name, child)| Edit::Set {
            name,
            target: child.target,
            metadata: Some(child.metadata),
            replace: Replace::Always,
        });
        let mut edits = edits.peekable();
        while edits.peek().is_some() {
            let part: Vec<Edit> = edits.by_ref().take(ROWS_PER_CHANGE).collect();
            self.change(&cap, part).await?;
        }
        Ok(cap)
    }
}

/// A key that nobody can guess.
pub(super) fn new_key() -> Result<WriteKey, HttpError> {
    let mut bytes = zeroize::Zeroizing::new([0; WriteKey::BYTES]);
    getrandom::fill(&mut *bytes).map_err(|error| {
        tracing::error!("the system gives no random bytes: {error}");
        HttpError::Internal
    })?;
    Ok(WriteKey::from_bytes(*bytes))
}

/// Metadata with the times of linking, as the drive notes them for children of directories that are there already.
fn stamped(metadata: Option<&str>) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64());
    let mut metadata = super::describe::metadata(metadata.unwrap_or("{}"));
    metadata["tahoe"] = json!({ "linkcrtime": now, "linkmotime": now });
    metadata.to_string()
}
