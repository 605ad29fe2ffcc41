//! The root of a tree from its leaves as they come, in memory logarithmic in their number.

use super::node;
use crate::ids::Hash;

/// Keeps the root of each complete subtree that is not yet part of a larger one. An uploader has one for each share and
/// one for the sealed tree, so that its memory does not grow with the file.
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    /// At index i, the root of a complete subtree of 2^i leaves, if `count` has bit i.
    subtrees: Vec<Option<Hash>>,
    count: u64,
}

impl Frontier {
    /// No leaves yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            subtrees: Vec::new(),
            count: 0,
        }
    }

    /// Leaves so far.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The next leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.count += 1;
        let mut carried = leaf;
        for subtree in &mut self.subtrees {
            match subtree.take() {
                Some(left) => carried = node(&left, &carried),
                None => {
                    *subtree = Some(carried);
                    return;
                }
            }
        }
        self.subtrees.push(Some(carried));
    }

    /// The root over all leaves so far; `None` before the first.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        let mut complete = self.subtrees.iter().flatten();
        let smallest = *complete.next()?;
        Some(complete.fold(smallest, |right, left| node(left, &right)))
    }
}
