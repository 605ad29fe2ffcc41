//! A verified copy of one version of a directory: what its owner signed, opened.
//!
//! A copy is never half right: it is made from the signed head and exactly the rows that the head's digest counts, or
//! not at all. It does not change; the next version shares what is the same. Not promised: that it is the newest.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use truckee_grid::drive::{Child, DirectoryKeys, HeadError, RowError, RowId, RowName, RowSum, SignedHead};
use truckee_wire::message::RowChange;

use super::{Children, DirectoryView, SharedMap};

/// What a row costs in memory besides its sealed bytes and texts: two map entries, a cap and two allocations.
const ROW_OVERHEAD_BYTES: usize = 360;

/// Why rows and head do not make a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// The head counts for nothing.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The rows are not those of the head.
    #[error("the rows are not those that version {version} was signed with")]
    OtherRows {
        /// Of the head.
        version: u64,
    },
    /// The rows are those of the head, but one does not open.
    #[error(transparent)]
    Row(#[from] RowError),
}

/// See the module.
#[derive(Clone)]
pub(super) struct Copy {
    pub(super) keys: Arc<DirectoryKeys>,
    /// `None`: there is no version yet.
    head: Option<SignedHead>,
    sum: RowSum,
    rows: SharedMap<RowId, Bytes>,
    view: Arc<DirectoryView>,
    bytes: usize,
}

impl Copy {
    /// A directory that does not exist yet.
    #[must_use]
    pub(super) fn of_none(keys: Arc<DirectoryKeys>) -> Self {
        let view = DirectoryView {
            version: 0,
            writable: keys.writable(),
            children: Children::new(),
            content: None,
        };
        Self {
            keys,
            head: None,
            sum: RowSum::empty(),
            rows: SharedMap::new(),
            view: Arc::new(view),
            bytes: 0,
        }
    }

    /// A whole version. Takes about 10 µs for each row.
    ///
    /// # Errors
    /// [`CopyError`] when this is not what the owner signed.
    pub(super) fn of_rows(
        keys: Arc<DirectoryKeys>,
        head: SignedHead,
        rows: BTreeMap<RowId, Bytes>,
    ) -> Result<Self, CopyError> {
        head.verify(&keys.id())?;
        let mut copy = Self::of_none(keys);
        for (id, sealed) in &rows {
            copy.sum.add(id, sealed);
        }
        copy.check(&head, rows.len())?;
        let mut opened = Vec::with_capacity(rows.len());
        let mut content = None;
        for (id, sealed) in &rows {
            let (name, child) = copy.keys.open_row(*id, sealed)?;
            copy.bytes += row_bytes(&name, &child, sealed);
            match name {
                RowName::Content => content = Some(child),
                RowName::Child(name) => opened.push((name, child)),
            }
        }
        // Pages of an answer share one buffer; a row of its own does not keep the others alive.
        let own = |(id, sealed): (RowId, Bytes)| (id, Bytes::copy_from_slice(&sealed));
        copy.rows = rows.into_iter().map(own).collect();
        copy.show(head, opened.into_iter().collect(), content);
        Ok(copy)
    }

    /// The version that comes from this one by `changes`. Takes about 10 µs for each.
    ///
    /// # Errors
    /// [`CopyError`] when this is not what the owner signed.
    pub(super) fn renewed(&self, head: SignedHead, changes: &[RowChange]) -> Result<Self, CopyError> {
        head.verify(&self.keys.id())?;
        let mut next = self.clone();
        let mut children = self.view.children.clone();
        let mut content = self.view.content.clone();
        for RowChange { id, sealed } in changes {
            let old = next.put_row(*id, sealed.as_ref().map(|sealed| Bytes::copy_from_slice(sealed)));
            if let Some(old) = old {
                let (name, _) = self.keys.open_row(*id, &old)?;
                let before = match name {
                    RowName::Content => content.take(),
                    RowName::Child(ref name) => children.remove(name),
                };
                if let Some(before) = before {
                    next.bytes = next.bytes.saturating_sub(row_bytes(&name, &before, &old));
                }
            }
            // What does not open counts only once the digest shows that the owner signed it.
            let Some(sealed) = sealed else { continue };
            let (name, child) = self.keys.open_row(*id, sealed)?;
            next.bytes += row_bytes(&name, &child, sealed);
            match name {
                RowName::Content => content = Some(child),
                RowName::Child(name) => drop(children.insert(name, child)),
            }
        }
        next.check(&head, next.rows.len())?;
        next.show(head, children, content);
        Ok(next)
    }

    /// The version that this gateway makes of this one: `rows` are sealed by it, `children` and `content` are what they
    /// come to.
    pub(super) fn followed(
        &self,
        rows: &[RowChange],
        children: Children,
        content: Option<Child>,
        random: &[u8; 32],
    ) -> Result<(Self, SignedHead), RowError> {
        let mut next = self.clone();
        for RowChange { id, sealed } in rows {
            let new = sealed
                .as_ref()
                .map_or(0, |sealed| ROW_OVERHEAD_BYTES + 2 * sealed.len());
            let old = next.put_row(*id, sealed.clone());
            let old = old.map_or(0, |old| ROW_OVERHEAD_BYTES + 2 * old.len());
            next.bytes = (next.bytes + new).saturating_sub(old);
        }
        let count = u32::try_from(next.rows.len()).expect("a draft has at most ROWS_MAX rows");
        let head = self
            .keys
            .sign_sum_fresh(self.version() + 1, count, &next.sum, random)?;
        next.show(head, children, content);
        Ok((next, head))
    }

    /// Counts the changes; 0: there is no directory.
    #[must_use]
    pub(super) fn version(&self) -> u64 {
        self.view.version
    }

    /// What was signed.
    #[must_use]
    pub(super) fn head(&self) -> Option<&SignedHead> {
        self.head.as_ref()
    }

    /// What readers see.
    #[must_use]
    pub(super) fn view(&self) -> &Arc<DirectoryView> {
        &self.view
    }

    /// About how much memory it takes, not counting what it shares with other versions.
    #[must_use]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether exactly this sealed row is there.
    #[must_use]
    pub(super) fn holds(&self, id: &RowId, sealed: &[u8]) -> bool {
        self.rows.get(id).is_some_and(|own| own[..] == *sealed)
    }

    fn put_row(&mut self, id: RowId, sealed: Option<Bytes>) -> Option<Bytes> {
        let old = match sealed {
            Some(sealed) => {
                self.sum.add(&id, &sealed);
                self.rows.insert(id, sealed)
            }
            None => self.rows.remove(&id),
        };
        if let Some(old) = &old {
            self.sum.remove(&id, old);
        }
        old
    }

    fn check(&self, head: &SignedHead, rows: usize) -> Result<(), CopyError> {
        // Its signature bounds the count.
        let counted = head.head.rows as usize == rows;
        if counted && self.sum.digest() == head.head.digest {
            return Ok(());
        }
        Err(CopyError::OtherRows {
            version: head.head.version,
        })
    }

    fn show(&mut self, head: SignedHead, children: Children, content: Option<Child>) {
        self.view = Arc::new(DirectoryView {
            version: head.head.version,
            writable: self.keys.writable(),
            children,
            content,
        });
        self.head = Some(head);
    }
}

impl std::fmt::Debug for Copy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Copy(version {}, {} rows)", self.version(), self.rows.len())
    }
}

fn row_bytes(name: &RowName, child: &Child, sealed: &[u8]) -> usize {
    let name = match name {
        RowName::Content => 0,
        RowName::Child(name) => name.as_str().len(),
    };
    ROW_OVERHEAD_BYTES + sealed.len() + name + child.metadata.len()
}
