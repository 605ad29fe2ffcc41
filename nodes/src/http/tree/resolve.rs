//! From a place to what is there: one look at each directory on the way.
//!
//! Read-only is transitive: below a directory that was opened with a read cap nothing is found with a write cap, whatever
//! the rows say.

use std::sync::Arc;

use truckee_engine::drive::{DirectoryView, DriveError};
use truckee_grid::caps::{Cap, LitCap, MutableCap};
use truckee_grid::drive::{ChildName, Target};

use super::TreeError;
use crate::http::Gateway;
use crate::http::error::HttpError;
use crate::http::path::Place;

/// What was found at a place.
#[derive(Clone, Debug)]
pub(in crate::http) struct Node {
    /// The strongest cap that the way down to it gives.
    pub(in crate::http) target: Target,
    /// Where it is linked; none if the URL names it by its cap.
    pub(in crate::http) link: Option<Link>,
}

/// The row of a directory that a node was found in.
#[derive(Clone, Debug)]
pub(in crate::http) struct Link {
    /// The directory.
    pub(in crate::http) parent: Cap,
    /// The name in it.
    pub(in crate::http) name: ChildName,
    /// A JSON object.
    pub(in crate::http) metadata: String,
}

/// What the way to a place leads to.
#[derive(Clone, Debug)]
pub(in crate::http) enum Resolved {
    /// The thing itself.
    Found(Node),
    /// A directory that has not got the first of the names that are left, at least one.
    Missing {
        /// The last directory on the way that is there.
        parent: Cap,
        /// What is left of the way.
        names: Vec<ChildName>,
    },
    /// A file or something unknown, with names left.
    Blocked,
}

impl Gateway {
    /// Follows the names. Nothing is made on the way.
    pub(in crate::http) async fn resolve(&self, place: &Place) -> Result<Resolved, HttpError> {
        self.resolve_seeing(place, |_| {}).await
    }

    /// Follows the names and shows each directory on the way, the last one included.
    pub(in crate::http) async fn resolve_seeing(
        &self,
        place: &Place,
        mut seen: impl FnMut(&Cap),
    ) -> Result<Resolved, HttpError> {
        let mut node = Node {
            target: Target::Cap(place.cap.clone()),
            link: None,
        };
        for (depth, name) in place.names.iter().enumerate() {
            let parent = match &node.target {
                Target::Cap(cap) if cap.is_directory() => cap,
                _ => return Ok(Resolved::Blocked),
            };
            seen(parent);
            let view = self.read_directory(parent).await?;
            let child = view.children.get(name).and_then(|child| {
                let target = if is_writable(parent) {
                    Some(child.target.clone())
                } else {
                    child.target.to_read()
                };
                Some((target?, child.metadata.clone()))
            });
            let Some((target, metadata)) = child else {
                return Ok(Resolved::Missing {
                    parent: parent.clone(),
                    names: place.names[depth..].to_vec(),
                });
            };
            let link = Link {
                parent: parent.clone(),
                name: name.clone(),
                metadata,
            };
            node = Node {
                target,
                link: Some(link),
            };
        }
        if let Target::Cap(cap) = &node.target {
            seen(cap);
        }
        Ok(Resolved::Found(node))
    }

    /// What is at the place.
    ///
    /// # Errors
    /// Nothing is there, or a file is on the way to it.
    pub(in crate::http) async fn find(&self, place: &Place) -> Result<Node, HttpError> {
        match self.resolve(place).await? {
            Resolved::Found(node) => Ok(node),
            Resolved::Missing { .. } => Err(TreeError::NoSuchChild.into()),
            Resolved::Blocked => Err(HttpError::NothingBelowFile),
        }
    }

    /// The newest version of a directory of any kind.
    ///
    /// # Errors
    /// The cap does not read a directory, or nobody answers for it.
    pub(in crate::http) async fn read_directory(&self, cap: &Cap) -> Result<Arc<DirectoryView>, HttpError> {
        match cap {
            Cap::Dir(MutableCap::Verify { .. }) => Err(DriveError::VerifyOnly.into()),
            Cap::Dir(directory) => {
                let view = self.drive.read(directory).await?;
                if view.content.is_some() {
                    // The cap of a mutable file with the word DIR2 in it.
                    return Err(TreeError::NotADirectory.into());
                }
                Ok(view)
            }
            Cap::DirLit(listing) => Ok(Arc::new(super::listing::open(listing.bytes())?)),
            Cap::DirChk(listing) => self.read_listing(listing).await,
            other => Err(TreeError::NoDirectory { kind: other.kind() }.into()),
        }
    }

    /// The cap of a file's bytes as they are now: `LIT` or `CHK`.
    ///
    /// # Errors
    /// The cap does not read a file, or nobody answers for it.
    pub(in crate::http) async fn content(&self, cap: &Cap) -> Result<Cap, HttpError> {
        let mutable = match cap {
            Cap::Lit(_) | Cap::Chk(_) => return Ok(cap.clone()),
            Cap::Ssk(MutableCap::Verify { .. }) | Cap::Mdmf(MutableCap::Verify { .. }) => {
                return Err(HttpError::CannotRead { kind: cap.kind() });
            }
            Cap::Ssk(mutable) | Cap::Mdmf(mutable) => mutable,
            other => return Err(HttpError::CannotRead { kind: other.kind() }),
        };
        let view = self.drive.read(mutable).await?;
        match view.content.as_ref().map(|content| &content.target) {
            None => Ok(Cap::Lit(LitCap::new(&[]).expect("nothing fits into a cap"))),
            Some(Target::Cap(content @ (Cap::Lit(_) | Cap::Chk(_)))) => Ok(content.clone()),
            Some(_) => Err(TreeError::UnknownKind.into()),
        }
    }
}

/// Whether the cap itself allows changes.
pub(in crate::http) fn is_writable(cap: &Cap) -> bool {
    matches!(
        cap,
        Cap::Dir(MutableCap::Write { .. })
            | Cap::Ssk(MutableCap::Write { .. })
            | Cap::Mdmf(MutableCap::Write { .. })
    )
}

/// The directory to change.
///
/// # Errors
/// The cap does not allow changes.
pub(super) fn writable(parent: &Cap) -> Result<&MutableCap, HttpError> {
    match parent {
        Cap::Dir(directory @ MutableCap::Write { .. }) => Ok(directory),
        Cap::Dir(MutableCap::Read { .. }) => Err(DriveError::ReadOnly.into()),
        Cap::Dir(MutableCap::Verify { .. }) => Err(DriveError::VerifyOnly.into()),
        Cap::DirLit(_) | Cap::DirChk(_) => Err(TreeError::ImmutableDirectory.into()),
        other => Err(TreeError::NoDirectory { kind: other.kind() }.into()),
    }
}
